//! What the tests of the targets share: a message, and a server that answers once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use crate::domain::{Generation, IntentId, Message, Notification, NotifyEvent, Wall};

pub(super) fn message() -> Message {
    Message::from(&Notification {
        agent: Some("reviewer".into()),
        subscription: Some("max-b".into()),
        generation: Some(Generation(4)),
        intent: Some(IntentId { agent: "reviewer".into(), number: 3 }),
        ..Notification::new(
            NotifyEvent::Switch,
            "reviewer-s3-switch".to_owned(),
            Wall(1_795_000_000_123),
            "reviewer moved to max-b".to_owned(),
        )
    })
}

/// Answers one request with `answer`, then with zeros until the caller has enough if it is to be endless; returns what
/// was asked: the head in lower case, and the body.
pub(super) fn serve_once(answer: &'static str, is_endless: bool) -> (SocketAddr, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "the request ended early: {head}");
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let stream = reader.get_mut();
        stream.write_all(answer.as_bytes()).unwrap();
        while is_endless && stream.write_all(&[0; 4096]).is_ok() {}
        (head, String::from_utf8(body).unwrap())
    });
    (address, served)
}
