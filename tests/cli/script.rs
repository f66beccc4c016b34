//! A daemon that is a script: canned answers by method and target, and a record of what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, run};

/// A canned answer: the bytes as they go out.
type Bytes = Vec<u8>;

#[derive(Default)]
struct Shared {
    answers: BTreeMap<String, VecDeque<Bytes>>,
    asked: Vec<String>,
    /// The header `Authorization` of each request.
    proofs: Vec<Option<String>>,
    is_over: bool,
}

pub(crate) struct Script {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    directory: TempDir,
}

impl Script {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("a socket");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.lock().unwrap().is_over {
                    return;
                }
                // A client that goes away in the middle is one of the tests.
                let _ = serve(stream.expect("a client"), &theirs);
            }
        });
        Self { shared, thread: Some(thread), directory }
    }

    pub(crate) fn socket(&self) -> String {
        self.directory.path().join("s").display().to_string()
    }

    /// The next answer to `METHOD /target`; the last one given stays.
    pub(crate) fn answers(self, asked: &str, status: u16, body: &Value) -> Self {
        let body = body.to_string();
        let kind = if status < 300 { "application/json" } else { "application/problem+json" };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        self.answers_raw(asked, (head + &body).into_bytes())
    }

    pub(crate) fn answers_raw(self, asked: &str, bytes: Bytes) -> Self {
        self.shared.lock().unwrap().answers.entry(asked.to_owned()).or_default().push_back(bytes);
        self
    }

    /// Everything that was asked, a line each: method, target, body.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }

    /// How whoever asked proved to be somebody, a line each.
    pub(crate) fn proofs(&self) -> Vec<Option<String>> {
        self.shared.lock().unwrap().proofs.clone()
    }

    /// Runs the binary against it.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let socket = self.socket();
        let words: Vec<_> = ["--socket", &socket].into_iter().chain(line.split_whitespace()).collect();
        run(&words)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.shared.lock().unwrap().is_over = true;
        // Wakes the thread, which sees that it is over.
        let _ = UnixStream::connect(self.directory.path().join("s"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: UnixStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let asked = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (mut length, mut proof) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => proof = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body);
    let answer = {
        let mut shared = shared.lock().unwrap();
        shared.proofs.push(proof);
        shared.asked.push(if body.is_empty() { asked.clone() } else { format!("{asked} {body}") });
        let answers = shared.answers.get_mut(&asked);
        answers.and_then(|answers| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() })
    };
    let unknown = || format!("HTTP/1.1 404 X\r\ncontent-length: 0\r\nx-asked: {asked}\r\n\r\n").into_bytes();
    stream.write_all(&answer.unwrap_or_else(unknown))
}
