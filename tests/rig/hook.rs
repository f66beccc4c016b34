//! A receiver of notifications on the loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::daemon::LONG;

/// Takes every notification and keeps it.
#[derive(Debug)]
pub(crate) struct Hook {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Value>>>,
    grown: watch::Receiver<usize>,
    is_over: Arc<AtomicBool>,
}

impl Hook {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (grow, grown) = watch::channel(0);
        let (kept, over) = (Arc::clone(&taken), Arc::clone(&is_over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                // A daemon that was killed while it sent is no trouble of ours.
                if let Ok(Some(notification)) = stream.and_then(take) {
                    kept.lock().unwrap().push(notification);
                    grow.send_modify(|count| *count += 1);
                }
            }
        });
        Self { address, taken, grown, is_over }
    }

    /// Where it listens; the path stands for a secret.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All that came, in order.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// The ids of those about this, in order, repeats included.
    pub(crate) fn ids(&self, event: &str) -> Vec<String> {
        let about = |notification: &Value| {
            (notification["event"] == event).then(|| notification["id"].as_str().unwrap().to_owned())
        };
        self.taken().iter().filter_map(about).collect()
    }

    /// Waits for one that fits.
    pub(crate) async fn notified(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut grown = self.grown.clone();
        let waiting = async {
            loop {
                grown.borrow_and_update();
                if let Some(found) = self.taken().into_iter().find(|notification| is_it(notification)) {
                    return found;
                }
                grown.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("no notification: {what}"))
    }
}

/// Reads one request and says that it was taken.
fn take(stream: TcpStream) -> std::io::Result<Option<Value>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().map_err(std::io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let notification = serde_json::from_slice(&body)?;
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
    Ok(Some(notification))
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _was_over = TcpStream::connect(self.address).is_err();
    }
}
