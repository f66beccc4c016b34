//! A client that knows no library: what it sends is exactly what the test says.

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::rig::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Reply {
    /// Reads the head and as much of a body as it promises.
    pub(crate) async fn read(stream: &mut UnixStream) -> Option<Self> {
        tokio::time::timeout(PATIENCE, Self::read_all(stream)).await.expect("an answer, or the end")
    }

    async fn read_all(stream: &mut UnixStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            // A reset is an end as well: the server threw away what it did not want to read.
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head_end + length {
            assert!(stream.read_buf(&mut bytes).await.unwrap_or(0) > 0, "the answer ends in the middle");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Self { status, text: String::from_utf8(bytes[head_end..].to_vec()).unwrap(), head })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no document: {self:?}"))
    }

    /// Status, and the code of the problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{self:?}");
        let code = document["code"].as_str().unwrap().to_owned();
        assert_eq!(document["type"], format!("urn:switchman:problem:{code}"));
        assert!(document["title"].is_string() && document["detail"].is_string());
        (self.status, code)
    }

    /// Status, and the outcome of a report.
    pub(crate) fn outcome(&self) -> (u16, String) {
        (self.status, self.json()["outcome"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) async fn connect(socket: &Path) -> UnixStream {
    UnixStream::connect(socket).await.expect("somebody listens")
}

/// One request on a connection of its own.
pub(crate) async fn call(socket: &Path, method: &str, path: &str, body: &str) -> Reply {
    send(socket, request(method, path, body).as_bytes()).await
}

/// One request, byte by byte as given. The server may answer before it has read all of it.
pub(crate) async fn send(socket: &Path, bytes: &[u8]) -> Reply {
    let mut stream = connect(socket).await;
    let (mut from, mut to) = stream.split();
    let mut reply = Vec::new();
    let write = async {
        // Who is refused early may find nobody to write to.
        let _refused = to.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        loop {
            if let Some(reply) = complete(&reply) {
                return Some(reply);
            }
            if from.read_buf(&mut reply).await.unwrap_or(0) == 0 {
                return complete(&reply);
            }
        }
    };
    let answered = async {
        tokio::select! {
            () = write => None,
            reply = read => reply,
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time").expect("an answer")
}

fn complete(bytes: &[u8]) -> Option<Reply> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(head_end..head_end + length)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Reply { status, text: String::from_utf8(body.to_vec()).unwrap(), head })
}

/// Waits for the end of a connection; returns what was said before it.
pub(crate) async fn until_closed(stream: &mut UnixStream) -> String {
    let mut rest = Vec::new();
    // Closed with something unread, which is a reset, counts as closed.
    let _ended_or_reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    String::from_utf8_lossy(&rest).into_owned()
}

/// One request on a connection that stays.
pub(crate) async fn ask(stream: &mut UnixStream, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).await.unwrap();
    Reply::read(stream).await.expect("an answer")
}
