//! A raw client of the daemon's socket: one connection, one request.

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::daemon::LONG;

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Head and body as they came.
    pub(crate) text: String,
}

/// One request with these headers besides the usual ones, each as `Name: value`; an error if the daemon is not there or
/// goes away before it has answered.
pub(crate) async fn call(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[String],
    body: Option<&Value>,
) -> std::io::Result<Answered> {
    let called = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(request(method, path, headers, body).as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        read(text)
    };
    tokio::time::timeout(LONG, called).await.unwrap_or_else(|_| panic!("{method} {path} is not answered"))
}

fn request(method: &str, path: &str, headers: &[String], body: Option<&Value>) -> String {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut head = vec![
        format!("{method} {path} HTTP/1.1"),
        "Host: switchman".to_owned(),
        "Connection: close".to_owned(),
        "Content-Type: application/json".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    head.extend_from_slice(headers);
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}

fn read(text: String) -> std::io::Result<Answered> {
    let short = || std::io::Error::other(format!("no whole answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(short)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(short)?;
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if length.is_some_and(|length: usize| body.len() < length) {
        return Err(short());
    }
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Ok(Answered { status, body, text })
}
