//! The accept loop, and one task per connection.
//!
//! Whoever connects is known by the kernel's word, gets a place or a short refusal, and is served until it goes,
//! oversteps a limit ([`super::connections`]) or the daemon stops. A failed accept (no descriptors left) waits a
//! moment and goes on.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tower::Service as _;

use super::connections::{Connections, Place, Word};
use super::listener::Bound;
use super::peer::Peer;
use super::problem::{Code, Refusal};
use crate::ports::clock::Clock;
use crate::telemetry::Telemetry;

/// After a failed accept.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The largest head of a request, in bytes; its lines are at most a hundred.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) router: Router,
    pub(super) connections: Arc<Connections>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
}

/// Accepts until the stop, then lets what is under way end.
pub(super) async fn run(bound: Bound, desk: Desk, mut stop: watch::Receiver<bool>) {
    let Bound { listener, name } = bound;
    let sweeper = tokio::spawn({
        let connections = Arc::clone(&desk.connections);
        async move { connections.sweep().await }
    });
    tokio::select! {
        () = accept(&listener, &desk) => {}
        // A stop that nobody can ask for any more is asked for.
        _ = stop.wait_for(|is_asked| *is_asked) => {}
    }
    // First the name, so that nobody finds a socket that does not answer.
    drop(name);
    drop(listener);
    desk.connections.close().await;
    sweeper.abort();
}

async fn accept(listener: &UnixListener, desk: &Desk) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move { attend(stream, desk).await });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                desk.clock.sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, desk: Desk) {
    let Ok(peer) = Peer::of(&stream) else { return };
    let Some(place) = desk.connections.enter(peer.uid) else { return turn_away(&stream, &desk.telemetry) };
    let (place, peer) = (Arc::new(place), Arc::new(peer));
    let io = TokioIo::new(Watched { stream, place: Arc::clone(&place) });
    let service = hyper::service::service_fn({
        let place = Arc::clone(&place);
        move |request: Request<Incoming>| serve(request, desk.clone(), Arc::clone(&place), Arc::clone(&peer))
    });
    let mut builder = http1::Builder::new();
    // Time is kept by the connections' own sweeper.
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection has ended early");
                }
                return;
            }
            word = place.told() => match word {
                Word::Finish => connection.as_mut().graceful_shutdown(),
                Word::Go => return,
            },
        }
    }
}

async fn serve(
    request: Request<Incoming>,
    mut desk: Desk,
    place: Arc<Place>,
    peer: Arc<Peer>,
) -> Result<Response<Body>, Infallible> {
    place.serving();
    let may_do_it = !place.is_guest() || request.method().is_safe() || place.settle().await;
    let response = if may_do_it {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        desk.router.call(request).await?
    } else {
        let mut refused = full().into_response();
        refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        refused
    };
    if let Some(code) = response.extensions().get::<Code>() {
        desk.telemetry.metrics().api_refused(code.as_str());
    }
    place.served();
    Ok(response)
}

fn full() -> Refusal {
    let detail = "too many connections are open: try again in a second";
    Refusal::new(Code::TooManyConnections, detail).retry(Duration::from_secs(1))
}

/// Says why, in one write that waits for nobody.
fn turn_away(stream: &UnixStream, telemetry: &Telemetry) {
    let document = full().document();
    telemetry.metrics().api_refused(&document.code);
    let body = serde_json::to_string(&document).unwrap_or_default();
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n";
    let answer = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::debug!(%error, "a connection that was turned away has gone");
    }
}

/// A stream that tells its place when something comes in.
struct Watched {
    stream: UnixStream,
    place: Arc<Place>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.place.heard();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
