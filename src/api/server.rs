//! The accept loops, one per socket, and one task per connection.
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
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tower::Service as _;

use super::connections::{Connections, Place, Word};
use super::handover::Handover;
use super::listener::{Bound, SocketName};
use super::own_socket;
use super::peer::Peer;
use super::problem::{Code, Refusal};
use crate::domain::AgentName;
use crate::ports::clock::Clock;
use crate::telemetry::Telemetry;

/// After a failed accept.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The largest head of a request, in bytes; its lines are at most a hundred.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Sockets that lead to the same desk.
pub(super) struct Entrance {
    pub(super) desk: Desk,
    pub(super) gates: Vec<Gate>,
}

/// A socket, and the agent whose own it is.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) bound: Bound,
    pub(super) whose: Option<AgentName>,
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) router: Router,
    pub(super) connections: Arc<Connections>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
}

/// What becomes of the sockets of agents while the daemon runs.
#[derive(Debug)]
pub(super) enum Turnover {
    /// An agent has one from now on.
    Open(Gate),
    /// It has none any more. Who has come in by it may stay; nothing is found any more behind it.
    Close(AgentName),
}

/// Accepts until the stop, then lets what is under way end. What the second entrance leads to may change meanwhile.
pub(super) async fn run(
    entrances: [Entrance; 2],
    mut turnover: mpsc::UnboundedReceiver<Turnover>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sweeping = JoinSet::new();
    let all = entrances.each_ref().map(|entrance| Arc::clone(&entrance.desk.connections));
    let mut ways = entrances.map(|Entrance { desk, gates }| {
        let connections = Arc::clone(&desk.connections);
        sweeping.spawn(async move { connections.sweep().await });
        let mut way = Way { desk, open: Vec::new(), accepting: JoinSet::new(), opened: 0 };
        for gate in gates {
            way.open(gate);
        }
        way
    });
    loop {
        tokio::select! {
            biased;
            asked = stop.wait_for(|is_asked| *is_asked) => {
                if asked.is_err() {
                    tracing::debug!("a stop that nobody can ask for any more is asked for");
                }
                break;
            }
            Some(turnover) = turnover.recv() => match turnover {
                Turnover::Open(gate) => ways[1].open(gate),
                Turnover::Close(agent) => ways[1].close(&agent),
            },
        }
    }
    // First the names, so that nobody finds a socket that does not answer.
    for way in &mut ways {
        way.open.clear();
    }
    for way in &mut ways {
        way.accepting.shutdown().await;
    }
    futures_util::future::join_all(all.iter().map(|connections| connections.close())).await;
    sweeping.shutdown().await;
}

/// Sockets that are open and lead to the same desk.
struct Way {
    desk: Desk,
    open: Vec<(Option<AgentName>, SocketName, AbortHandle)>,
    accepting: JoinSet<()>,
    /// How many there ever were: each has a number of its own.
    opened: u32,
}

impl Way {
    fn open(&mut self, Gate { bound: Bound { listener, name }, whose }: Gate) {
        let number = self.opened;
        self.opened += 1;
        let accepting = accept(listener, self.desk.clone(), whose.clone().map(|agent| (agent, number)));
        self.open.push((whose, name, self.accepting.spawn(accepting)));
    }

    fn close(&mut self, agent: &AgentName) {
        self.open.retain(|(whose, _, accepting)| {
            let stays = whose.as_ref() != Some(agent);
            if !stays {
                accepting.abort();
            }
            stays
        });
        // What has ended is not kept.
        while self.accepting.try_join_next().is_some() {}
    }
}

/// An agent, and the number that it is counted by.
type Whose = Option<(AgentName, u32)>;

async fn accept(listener: UnixListener, desk: Desk, whose: Whose) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (desk, whose) = (desk.clone(), whose.clone());
                tokio::spawn(async move { attend(stream, desk, whose).await });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                desk.clock.sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, desk: Desk, whose: Whose) {
    let (agent, number) = whose.unzip();
    let Ok(peer) = Peer::of(&stream, agent) else { return };
    let counted_for = number.unwrap_or(peer.uid);
    let Some(place) = desk.connections.enter(counted_for) else { return turn_away(&stream, &desk.telemetry) };
    let (place, peer) = (Arc::new(place), Arc::new(peer));
    let handover = Arc::new(Handover::default());
    let io = TokioIo::new(Watched { stream, place: Arc::clone(&place), handover: Arc::clone(&handover) });
    let service = hyper::service::service_fn({
        let place = Arc::clone(&place);
        move |request: Request<Incoming>| {
            let caller = Caller { place: Arc::clone(&place), peer: Arc::clone(&peer), handover: Arc::clone(&handover) };
            serve(request, desk.clone(), caller)
        }
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

/// Who is at the other end of a connection.
struct Caller {
    place: Arc<Place>,
    peer: Arc<Peer>,
    handover: Arc<Handover>,
}

async fn serve(request: Request<Incoming>, mut desk: Desk, caller: Caller) -> Result<Response<Body>, Infallible> {
    let Caller { place, peer, handover } = caller;
    place.serving();
    if let Some(own) = &peer.agent
        && !own_socket::permits(own, request.method(), request.uri().path())
    {
        let refused = not_its_business(own).into_response();
        desk.telemetry.metrics().api_refused(Code::NotThisAgent.as_str());
        place.served();
        return Ok(refused);
    }
    let may_do_it = !place.is_guest() || request.method().is_safe() || place.settle().await;
    let response = if may_do_it {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(handover);
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

fn not_its_business(own: &AgentName) -> Refusal {
    let detail = format!("this is the socket of agent \"{own}\": it reports and holds turns for that agent only");
    Refusal::new(Code::NotThisAgent, detail)
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

/// A stream that tells its place when something comes in, and what was to be handed over when everything has gone out.
struct Watched {
    stream: UnixStream,
    place: Arc<Place>,
    handover: Arc<Handover>,
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
        // The connection flushes when all that it had to say is written, and not before.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.handover.arrived();
        }
        flushed
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
