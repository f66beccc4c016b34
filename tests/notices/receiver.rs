//! A server on the loopback that is posted to and behaves as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::program::eventually;

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// With 200.
    Takes,
    /// With this status line, and headers behind it.
    Answers(&'static str),
    /// Never, and keeps the connection.
    Silent,
}

/// What was posted.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Posted>>>,
    is_over: Arc<AtomicBool>,
}

impl Receiver {
    pub(crate) fn listen(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, over) = (Arc::clone(&taken), Arc::clone(&is_over));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                // A daemon that gave the connection up is no trouble of ours.
                if let Ok((stream, posted)) = stream.and_then(read) {
                    kept.lock().unwrap().push(posted);
                    held.extend(answer(stream, behaviour).ok().flatten());
                }
            }
        });
        Self { address, taken, is_over }
    }

    /// Its address, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for so many; then all that came, in order.
    pub(crate) async fn taken(&self, at_least: usize) -> Vec<Posted> {
        eventually("it was posted to", async || {
            let taken = self.taken.lock().unwrap();
            (taken.len() >= at_least).then(|| taken.clone())
        })
        .await
    }
}

fn read(stream: TcpStream) -> std::io::Result<(TcpStream, Posted)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().map_err(std::io::Error::other)?;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok((reader.into_inner(), Posted { head, body }))
}

/// The connection, if it is to be kept open.
fn answer(mut stream: TcpStream, behaviour: Behaviour) -> std::io::Result<Option<TcpStream>> {
    let status = match behaviour {
        Behaviour::Silent => return Ok(Some(stream)),
        Behaviour::Takes => "200 OK",
        Behaviour::Answers(status) => status,
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(None)
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _was_over = TcpStream::connect(self.address).is_err();
    }
}
