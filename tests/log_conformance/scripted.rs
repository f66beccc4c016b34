//! An engine that does what a test writes down, byte by byte: what breaks, ends, dribbles or says nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::domain::{AgentName, ContainerPosition, Disposition, LogPosition};
use switchman::drivers::docker::DockerHost;
use switchman::drivers::docker::logs::DockerLogs;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::logs::{LogBatch, LogError, LogRead};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::one;
use super::reader::{PATIENCE, Reader, texts};

const CALL: Duration = Duration::from_millis(300);
const LOOK: &str = r#"{"Id":"c1","Name":"/box","State":{"StartedAt":"2026-11-21T10:00:00.5Z","FinishedAt":"2026-11-21T09:59:59.5Z"},"Config":{"Tty":false},"HostConfig":{"LogConfig":{"Type":"json-file"}}}"#;
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const BASE: i64 = 1_795_255_201_000_000_000;

/// What is done on one connection after its request.
#[derive(Clone)]
enum Act {
    Send(Vec<u8>),
    /// As slowly as the other side reads, one byte each.
    Dribble(Vec<u8>),
    /// Until the other side goes.
    Silence,
}

/// An engine that answers each log request with the next script, and every other with a look.
struct Engine {
    host: DockerHost,
    requests: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
    _serving: tokio::task::JoinHandle<()>,
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

struct Script {
    look: Vec<Act>,
    logs: Vec<Vec<Act>>,
}

type Served = (Arc<Script>, Arc<Mutex<Vec<String>>>);

impl Engine {
    fn with_look(look: Vec<Act>, logs: Vec<Vec<Act>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let served: Served = (Arc::new(Script { look, logs }), requests.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { host: DockerHost::Unix(path.display().to_string()), requests, _folder: folder, _serving: serving }
    }

    fn new(logs: Vec<Vec<Act>>) -> Self {
        Self::with_look(vec![Act::Send(answer(200, LOOK))], logs)
    }

    fn source(&self) -> DockerLogs {
        source(self.host.clone())
    }

    async fn open(&self) -> Reader {
        Reader::open(&self.source(), None, true).await.unwrap()
    }

    fn log_requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|line| line.contains("/logs?")).cloned().collect()
    }
}

fn source(host: DockerHost) -> DockerLogs {
    DockerLogs::new(host, BTreeMap::from([(one(), "box".to_owned())]), CALL, Arc::new(SystemClock::new()))
}

async fn serve(mut stream: impl AsyncReadExt + AsyncWrite + Unpin, (script, requests): Served) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let acts = {
        let mut requests = requests.lock().unwrap();
        let number = requests.iter().filter(|line| line.contains("/logs?")).count();
        requests.push(line.clone());
        if line.contains("/logs?") {
            script.logs[number.min(script.logs.len() - 1)].clone()
        } else {
            script.look.clone()
        }
    };
    for act in acts {
        let gone = match act {
            Act::Send(bytes) => stream.write_all(&bytes).await.is_err(),
            Act::Dribble(bytes) => {
                let mut gone = false;
                for byte in bytes {
                    gone |= stream.write_all(&[byte]).await.is_err();
                    tokio::task::yield_now().await;
                }
                gone
            }
            Act::Silence => stream.read(&mut [0]).await.is_ok(),
        };
        if gone {
            return;
        }
    }
}

fn frame(at_ns: i64, text: &str) -> Vec<u8> {
    let time = jiff::Timestamp::from_nanosecond(at_ns.into()).unwrap();
    let body = format!("{time:.9} {text}");
    [&[1, 0, 0, 0], &u32::try_from(body.len()).unwrap().to_be_bytes()[..], body.as_bytes()].concat()
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

fn lines(lines: &[(i64, &str)]) -> Act {
    Act::Send(lines.iter().flat_map(|(at, text)| chunk(&frame(BASE + at, &format!("{text}\n")))).collect())
}

fn head() -> Act {
    Act::Send(STREAM.to_vec())
}

fn end() -> Act {
    Act::Send(b"0\r\n\r\n".to_vec())
}

fn place(container: &str, at: i64, seen: u32) -> LogPosition {
    LogPosition::Container(ContainerPosition { container: container.to_owned(), at_ns: BASE + at, seen })
}

fn position(at: i64, seen: u32) -> LogPosition {
    place("c1", at, seen)
}

#[tokio::test]
async fn the_position_is_asked_for_with_a_second_to_spare_and_read_lines_are_dropped() {
    let log = [(1, "a"), (1, "b"), (1, "c"), (2, "d")];
    let engine = Engine::new(vec![vec![head(), lines(&log), end()]]);
    for (from, expected) in
        [(position(1, 1), "bcd"), (position(1, 2), "cd"), (position(1, 3), "d"), (position(2, 1), "")]
    {
        let mut stream = Reader::open(&engine.source(), Some(&from), true).await.unwrap();
        assert_eq!(texts(&stream.until_the_end().await).concat(), expected);
        assert_eq!(stream.gaps, 0);
    }
    let path = "/containers/c1/logs?follow=1&stdout=1&stderr=1&timestamps=1";
    assert_eq!(engine.log_requests()[0], format!("GET {path}&since=1795255200.000000001 HTTP/1.1"));
    engine.open().await;
    assert_eq!(engine.log_requests()[4], format!("GET {path} HTTP/1.1"));
    let elsewhere = place("c2", 1, 1);
    Reader::open(&engine.source(), Some(&elsewhere), false).await.unwrap();
    assert_eq!(engine.log_requests()[5], format!("GET {path}&tail=0 HTTP/1.1"));
}

#[tokio::test]
async fn a_lost_line_is_told_as_a_gap_once_and_first() {
    let engine = Engine::new(vec![vec![head(), lines(&[(5, "e")]), lines(&[(6, "f")]), Act::Silence]]);
    let mut stream = Reader::open(&engine.source(), Some(&position(1, 1)), false).await.unwrap();
    assert_eq!(stream.read().await, Ok(LogRead::Gap));
    assert_eq!(stream.took[0].text(), "e");
    let mut count = stream.took.len();
    while count < 2 {
        assert_eq!(stream.read().await, Ok(LogRead::Lines));
        count += stream.took.len();
    }
    // A plain time is no line that could be missing.
    let mut stream = Reader::open(&engine.source(), Some(&position(1, 0)), false).await.unwrap();
    assert_eq!(texts(&stream.lines(2).await), ["e", "f"]);
    assert_eq!(stream.gaps, 0);
}

#[tokio::test]
async fn a_line_is_of_this_life_from_the_middle_between_end_and_start_on() {
    const SECOND: i64 = 1_000_000_000;
    let log = [(-SECOND - 1, "before"), (-SECOND, "after"), (0, "later")];
    let engine = Engine::new(vec![vec![head(), lines(&log), end()]]);
    let lines = engine.open().await.until_the_end().await;
    assert_eq!(lines.iter().map(|read| read.line.is_of_this_life).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn an_end_and_a_break_are_told_apart_after_the_lines() {
    let one_line = || lines(&[(1, "a")]);
    let half_a_chunk = Act::Send(b"ff\r\nabc".to_vec());
    let half_a_frame = Act::Send(chunk(&frame(BASE, "half")[..20]));
    let nonsense = Act::Send(chunk(b"nonsense that goes on for a while"));
    let bad_chunk = Act::Send(b"what\r\n".to_vec());
    let ended = Engine::new(vec![vec![head(), one_line(), end(), Act::Silence]]);
    let mut stream = ended.open().await;
    assert_eq!(texts(&stream.until_the_end().await), ["a"]);
    assert_eq!(stream.read().await, Ok(LogRead::Ended));
    let breaks = [vec![], vec![half_a_chunk], vec![half_a_frame, end()], vec![nonsense], vec![bad_chunk]];
    for (number, acts) in breaks.into_iter().enumerate() {
        let acts = [vec![head(), one_line()], acts].concat();
        let engine = Engine::new(vec![acts]);
        let mut stream = engine.open().await;
        let (lines, error) = stream.until_the_break().await;
        assert_eq!(texts(&lines), ["a"], "{number}");
        assert!(matches!(&error, LogError::Broken(_)), "{number}: {error}");
        assert_eq!(error.disposition(), Disposition::Transient);
        assert_eq!(stream.read().await, Err(error), "and so again");
    }
}

#[tokio::test]
async fn a_silent_stream_waits_and_costs_nothing_to_leave() {
    let engine = Engine::new(vec![vec![head(), Act::Silence], vec![head(), lines(&[(1, "a")]), Act::Silence]]);
    let mut silent = engine.open().await;
    assert!(silent.poll_once().await.is_empty());
    let mut batch = LogBatch::default();
    let waited = tokio::time::timeout(2 * CALL, silent.stream.next(&mut batch)).await;
    assert!(waited.is_err(), "the deadline is for the head alone: {waited:?}");
    drop(silent);
    assert_eq!(texts(&engine.open().await.lines(1).await), ["a"]);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_a_timeout() {
    for acts in [vec![Act::Silence], vec![Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-".to_vec()), Act::Silence]] {
        let engine = Engine::new(vec![acts.clone()]);
        assert_eq!(Reader::open(&engine.source(), None, true).await.err(), Some(LogError::Timeout));
        let engine = Engine::with_look(acts, vec![vec![]]);
        assert_eq!(Reader::open(&engine.source(), None, true).await.err(), Some(LogError::Timeout));
    }
}

#[tokio::test]
async fn a_dribble_is_the_same_log() {
    let log: Vec<(i64, String)> = (0..20).map(|n| (n / 2, format!("line {n}"))).collect();
    let frames: Vec<u8> = log.iter().flat_map(|(at, text)| chunk(&frame(BASE + at, &format!("{text}\r\n")))).collect();
    let whole = [STREAM, &frames, b"0\r\n\r\n"].concat();
    let engine = Engine::new(vec![vec![Act::Dribble(whole)]]);
    let expected: Vec<_> = log.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts(&engine.open().await.until_the_end().await), expected);
}

/// Cut at every byte, and opened again from the last line read: each line once.
#[tokio::test]
async fn a_break_at_any_byte_loses_nothing_and_repeats_nothing() {
    let log = [(0, "a"), (0, "b"), (0, "c"), (3, "d"), (3, "e")];
    let Act::Send(body) = lines(&log) else { unreachable!() };
    let whole = vec![head(), Act::Send(body.clone()), end()];
    for cut in 0..body.len() {
        let engine = Engine::new(vec![vec![head(), Act::Send(body[..cut].to_vec())], whole.clone()]);
        let mut first = engine.open().await;
        let (mut all, _) = first.until_the_break().await;
        let from = all.last().map(|read| read.position(&first));
        let mut second = Reader::open(&engine.source(), from.as_ref(), true).await.unwrap();
        all.extend(second.until_the_end().await);
        assert_eq!(texts(&all).concat(), "abcde", "cut at {cut}");
        assert_eq!(second.gaps, 0, "cut at {cut}");
    }
}

#[tokio::test]
async fn what_an_engine_gives_out_twice_is_read_once() {
    let again = [(1, "a"), (2, "b"), (3, "c"), (2, "b"), (3, "c"), (4, "d")];
    let engine = Engine::new(vec![vec![head(), lines(&again), end()]]);
    assert_eq!(texts(&engine.open().await.until_the_end().await), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn every_refusal_has_its_meaning_and_the_engines_words() {
    let words = r#"{"message":"configured logging driver\n does not support reading"}"#;
    let unreadable = |why: &str| LogError::Unreadable { agent: one(), why: why.to_owned() };
    let cannot = unreadable("log driver \"json-file\": configured logging driver does not support reading");
    let cases = [
        (404, r#"{"message":"No such container: box"}"#, LogError::Missing(one())),
        (409, r#"{"message":"can not get logs from container which is dead"}"#, LogError::Missing(one())),
        (501, words, cannot.clone()),
        (500, words, cannot),
        (500, r#"{"message":"disk\non fire"}"#, LogError::Broken("500: disk on fire".to_owned())),
        (403, "nobody may", unreadable("403: nobody may")),
        (200, "", LogError::Missing(AgentName::new("never asked"))),
    ];
    for (status, body, meaning) in cases.into_iter().filter(|case| case.0 != 200) {
        let engine = Engine::new(vec![vec![Act::Send(answer(status, body))]]);
        let error = Reader::open(&engine.source(), None, true).await.unwrap_err();
        assert_eq!(error, meaning, "{status}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let gone = Engine::with_look(vec![Act::Send(answer(404, "{}"))], vec![vec![]]);
    assert_eq!(Reader::open(&gone.source(), None, true).await.err(), Some(LogError::Missing(one())));
    let other = LOOK.replace("/box", "/boxer");
    let other = Engine::with_look(vec![Act::Send(answer(200, &other))], vec![vec![]]);
    assert_eq!(Reader::open(&other.source(), None, true).await.err(), Some(LogError::Missing(one())));
    for look in ["", "{}", "not json", &LOOK.replace("\"c1\"", "\"../c1\"")] {
        let engine = Engine::with_look(vec![Act::Send(answer(200, look))], vec![vec![]]);
        let error = Reader::open(&engine.source(), None, true).await.unwrap_err();
        assert!(matches!(error, LogError::Broken(_)), "{error}");
    }
    for bytes in ["", "SSH-2.0-OpenSSH\r\n\r\n"] {
        let engine = Engine::new(vec![vec![Act::Send(bytes.into())]]);
        let error = Reader::open(&engine.source(), None, true).await.unwrap_err();
        assert!(matches!(error, LogError::Broken(_)), "{error}");
    }
    let absent = source(DockerHost::Unix("/nonexistent/docker.sock".to_owned()));
    let error = Reader::open(&absent, None, true).await.unwrap_err();
    assert!(matches!(&error, LogError::Unreachable(why) if why.contains("/nonexistent/docker.sock")), "{error}");
}

#[tokio::test]
async fn an_engine_behind_a_port_is_followed_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = DockerHost::Http(listener.local_addr().unwrap().to_string());
    let script =
        Script { look: vec![Act::Send(answer(200, LOOK))], logs: vec![vec![head(), lines(&[(1, "a")]), end()]] };
    let served: Served = (Arc::new(script), Arc::default());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, served.clone()));
        }
    });
    let mut stream = Reader::open(&source(host), None, true).await.unwrap();
    assert_eq!(texts(&stream.until_the_end().await), ["a"]);
}

/// A flood is read in small turns, and only as far as somebody asks for it.
#[tokio::test]
async fn a_flood_waits_until_it_is_asked_for() {
    const MEGABYTE: usize = 1 << 20;
    let (sent_in, mut sent) = mpsc::unbounded_channel::<usize>();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sent_in = sent_in.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                if !String::from_utf8_lossy(&request[..length]).contains("/logs?") {
                    return stream.write_all(&answer(200, LOOK)).await.unwrap();
                }
                stream.write_all(STREAM).await.unwrap();
                let flood = chunk(&frame(BASE, &"x".repeat(16 * 1024)));
                while stream.write_all(&flood).await.is_ok() && sent_in.send(flood.len()).is_ok() {}
            });
        }
    });
    let source = source(DockerHost::Unix(path.display().to_string()));
    let mut stream = Reader::open(&source, None, true).await.unwrap();
    let mut total = 0;
    let mut settle = async || {
        // As long as the engine gets rid of something within a while, it is not held back yet.
        while let Ok(Some(length)) = tokio::time::timeout(Duration::from_millis(100), sent.recv()).await {
            total += length;
        }
        total
    };
    let before = settle().await;
    assert!(before < MEGABYTE, "{before} bytes went out to nobody");
    // A line without an end: each turn takes a piece of it and gives the task back.
    for turn in 1..=100 {
        assert_eq!(tokio::time::timeout(PATIENCE, stream.read()).await.unwrap(), Ok(LogRead::Lines));
        assert!(stream.took.is_empty(), "turn {turn}");
    }
    let after = settle().await;
    assert!(after - before <= 100 * (64 + 16) * 1024 + MEGABYTE, "{} bytes for 100 turns", after - before);
    assert!(after - before >= 32 * 100 * 1024, "{} bytes for 100 turns", after - before);
}

#[tokio::test]
async fn of_the_environment_of_a_container_its_time_zone_is_known_and_nothing_else() {
    for (env, expected) in [
        (r#"["PATH=/bin","XTZ=no","TZ=Europe/Rome","TOKEN=TZ=no"]"#, Some("Europe/Rome")),
        (r#"["TZ="]"#, None),
        ("[]", None),
        ("null", None),
    ] {
        let look = LOOK.replace(r#""Tty":false"#, &format!(r#""Tty":false,"Env":{env}"#));
        let engine = Engine::with_look(vec![Act::Send(answer(200, &look))], vec![vec![head(), end()]]);
        assert_eq!(engine.open().await.stream.zone(), expected, "{env}");
    }
    assert_eq!(Engine::new(vec![vec![head(), end()]]).open().await.stream.zone(), None);
}
