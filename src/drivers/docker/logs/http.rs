//! One request to the engine on a connection of its own, and the answer's head.
//!
//! A connection that follows a log stands still for hours, so all it owns between two reads is the socket: what
//! is read goes through a buffer on the stack. A client library keeps three of 8 KiB per connection instead.
//! It must not retry, and has no deadline of its own.
//!
//! Tests: `tests/log_conformance/scripted.rs`.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::super::client::DockerHost;
use super::body::Body;
use crate::ports::logs::LogError;

/// The most of an answer's head that is read.
const HEAD_MAX: usize = 16 * 1024;
/// The head of an answer is seldom longer.
const HEAD_USUAL: usize = 1024;
const FIELDS_MAX: usize = 64;
/// What is read at once.
pub(super) const READ_LEN: usize = 16 * 1024;

/// A connection to the engine.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    async fn connect(host: &DockerHost) -> io::Result<Self> {
        Ok(match host {
            DockerHost::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            DockerHost::Http(address) => Self::Tcp(TcpStream::connect(address).await?),
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes).await,
            Self::Tcp(stream) => stream.write_all(bytes).await,
        }
    }

    async fn receive(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read_buf(into).await,
            Self::Tcp(stream) => stream.read_buf(into).await,
        }
    }

    /// Reads once and hands over what came; nothing is an end.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<T, LogError>> {
        let mut room = [const { MaybeUninit::uninit() }; READ_LEN];
        let mut room = ReadBuf::uninit(&mut room);
        let read = match self {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut room),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut room),
        };
        read.map(|read| read.map(|()| look(room.filled())).map_err(|error| broken(&error)))
    }
}

/// An answer of which the head has been read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
    /// What came along with the head.
    pub(super) early: Vec<u8>,
    pub(super) socket: Socket,
}

fn broken(error: &io::Error) -> LogError {
    LogError::Broken(error.to_string())
}

/// Asks for a path of the engine, which must be fit for a request line.
pub(super) async fn get(host: &DockerHost, path: &str) -> Result<Answer, LogError> {
    let connected = Socket::connect(host).await;
    let mut socket = connected.map_err(|error| LogError::Unreachable(format!("{host}: {error}")))?;
    let authority = match host {
        DockerHost::Unix(_) => "localhost",
        DockerHost::Http(address) => address,
    };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: switchman\r\nConnection: close\r\n\r\n");
    socket.send(request.as_bytes()).await.map_err(|error| broken(&error))?;
    let mut bytes = Vec::with_capacity(HEAD_USUAL);
    loop {
        if socket.receive(&mut bytes).await.map_err(|error| broken(&error))? == 0 {
            return Err(LogError::Broken("the engine closed the connection instead of answering".to_owned()));
        }
        if let Some((status, body, length)) = head(&bytes).map_err(|why| LogError::Broken(why.to_owned()))? {
            // A copy, so that no room is kept that the head needed.
            let early = bytes[length..].to_vec();
            return Ok(Answer { status, body, early, socket });
        }
        if bytes.len() > HEAD_MAX {
            return Err(LogError::Broken("the head of the answer does not end".to_owned()));
        }
    }
}

/// The status, the kind of body and the length of a head; `None` if it is not whole yet.
fn head(bytes: &[u8]) -> Result<Option<(u16, Body, usize)>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("the answer is not HTTP"),
    };
    let status = head.code.unwrap_or(0);
    let field =
        |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    let body = match (field("transfer-encoding"), field("content-length")) {
        _ if status < 200 => return Err("the engine answers something other than the request"),
        (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Body::CHUNKED,
        (Some(_), _) => return Err("the answer is coded in a way that was not asked for"),
        (None, Some(length)) => {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
            Body::Length(length.ok_or("the length of the answer is no number")?)
        }
        (None, None) => Body::Close,
    };
    Ok(Some((status, body, length)))
}

impl Answer {
    /// The whole body, if it is not longer than `most`.
    pub(super) async fn collect(mut self, most: usize) -> Result<Vec<u8>, LogError> {
        let mut collected = Vec::new();
        let mut wire = std::mem::take(&mut self.early);
        loop {
            let mut input = wire.as_slice();
            while let Some(piece) = self.body.next(&mut input).map_err(|bad| LogError::Broken(bad.0.to_owned()))? {
                collected.extend_from_slice(piece);
            }
            if collected.len() > most {
                return Err(LogError::Broken("the answer is too long".to_owned()));
            }
            if matches!(self.body, Body::Done | Body::Length(0)) {
                return Ok(collected);
            }
            wire.clear();
            wire.reserve(READ_LEN);
            if self.socket.receive(&mut wire).await.map_err(|error| broken(&error))? == 0 {
                let whole = self.body.may_end_here().then_some(collected);
                return whole.ok_or_else(|| LogError::Broken("the answer ended before its end".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_head_is_read_when_it_is_whole() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nContent-Length: 3\r\n\r\n2\r\n";
        assert_eq!(head(chunked), Ok(Some((200, Body::CHUNKED, chunked.len() - 3))));
        for end in 0..chunked.len() - 3 {
            assert_eq!(head(&chunked[..end]), Ok(None), "{end}");
        }
        let length = b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(head(length), Ok(Some((404, Body::Length(12), length.len()))));
        let close = b"HTTP/1.0 200 OK\r\n\r\n";
        assert_eq!(head(close), Ok(Some((200, Body::Close, close.len()))));
        for bad in
            ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
        {
            assert!(head(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
