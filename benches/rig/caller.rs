//! Somebody who wants turns, over a connection that stays: requests as bytes, answers read no further than needed, so
//! that the caller takes little of the machine it shares with the service. It is the same for every service.

use std::path::Path;
use std::time::Duration;

use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// As long as a queue may be: nobody in a benchmark waits in vain.
const WAIT_S: u32 = 900;

/// A connection.
pub(crate) struct Caller {
    stream: UnixStream,
    answer: Vec<u8>,
}

/// A turn, as its holder knows it.
pub(crate) struct Held {
    id: String,
    token: String,
}

/// What to do where somebody else has the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBusy {
    /// It is not expected.
    Fail,
    /// Wait in line.
    Queue,
}

impl Caller {
    /// Connects, as soon as the service accepts as fast as others connect.
    pub(crate) async fn open(socket: &Path) -> Self {
        let clock = SystemClock::new();
        loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => return Self { stream, answer: Vec::with_capacity(1024) },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    clock.sleep(Duration::from_millis(1)).await;
                }
                Err(error) => panic!("{}: {error}", socket.display()),
            }
        }
    }

    /// Asks for a turn; [`Self::begun`] reads the answer.
    pub(crate) async fn ask(&mut self, agent: &str, session: &str, on_busy: OnBusy) {
        let body = match on_busy {
            OnBusy::Fail => format!(r#"{{"session":"{session}","holder":"a caller"}}"#),
            OnBusy::Queue => {
                format!(r#"{{"session":"{session}","holder":"a caller","on_busy":"queue","wait_s":{WAIT_S}}}"#)
            }
        };
        self.send(&format!("POST /v1/agents/{agent}/turns"), "", &body).await;
    }

    /// The turn that was asked for.
    pub(crate) async fn begun(&mut self) -> Held {
        self.read(201).await;
        self.held()
    }

    /// A turn from its beginning to its end.
    pub(crate) async fn pair(&mut self, agent: &str, session: &str, on_busy: OnBusy) {
        self.ask(agent, session, on_busy).await;
        let held = self.begun().await;
        self.end(&held).await;
        self.ended().await;
    }

    /// The holder is done; [`Self::ended`] reads the answer.
    pub(crate) async fn end(&mut self, held: &Held) {
        self.speak(held, "complete", r#"{"result":"ok"}"#).await;
    }

    /// The turn has ended.
    pub(crate) async fn ended(&mut self) {
        self.read(200).await;
    }

    /// The holder is alive.
    pub(crate) async fn beat(&mut self, held: &Held) {
        self.speak(held, "heartbeat", "").await;
        self.read(200).await;
    }

    /// Asks whether the service is well.
    pub(crate) async fn health(&mut self) {
        self.send("GET /healthz", "", "").await;
        self.read(200).await;
    }

    /// How many callers wait for this agent.
    pub(crate) async fn queued(&mut self, agent: &str) -> usize {
        self.send(&format!("GET /v1/agents/{agent}"), "", "").await;
        self.read(200).await;
        let start = self.answer.iter().position(|byte| *byte == b'{').expect("a document");
        let document: serde_json::Value = serde_json::from_slice(&self.answer[start..]).expect("a document");
        let queued = document["turns"]["queued"].as_u64().expect("a number");
        usize::try_from(queued).expect("a small number")
    }

    /// Whether a turn can be begun and completed there already.
    pub(crate) async fn try_pair(&mut self, agent: &str) -> bool {
        self.ask(agent, "first", OnBusy::Fail).await;
        let is_begun = self.receive().await == 201;
        if is_begun {
            let held = self.held();
            self.end(&held).await;
            self.ended().await;
        }
        is_begun
    }

    async fn speak(&mut self, held: &Held, verb: &str, body: &str) {
        let proof = format!("authorization: Lease {}\r\n", held.token);
        self.send(&format!("POST /v1/turns/{}/{verb}", held.id), &proof, body).await;
    }

    async fn send(&mut self, line: &str, headers: &str, body: &str) {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n\
             {body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.expect("the service takes it");
    }

    /// What the answer to a beginning says. It is not parsed: the members stand for themselves in every service.
    fn held(&self) -> Held {
        let text = String::from_utf8_lossy(&self.answer);
        let member = |name: &str| {
            let start = text.find(name).expect("the member") + name.len();
            text[start..].split('"').nth(1).expect("a text").to_owned()
        };
        Held { id: member("\"id\""), token: member("\"lease_token\"") }
    }

    async fn read(&mut self, expected: u16) {
        let status = self.receive().await;
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(&self.answer));
    }

    /// Reads one answer, head and body; its status.
    async fn receive(&mut self) -> u16 {
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.expect("an answer");
            assert!(read > 0, "the service closed the connection instead of answering");
            if let Some((status, length)) = parse(&self.answer)
                && self.answer.len() >= length
            {
                return status;
            }
        }
    }
}

/// The status and the whole length of an answer, once its head is there.
fn parse(answer: &[u8]) -> Option<(u16, usize)> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).expect("a head");
    let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    let mut headers = text.lines().filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).expect("a length").1;
    Some((status, head + 4 + length.trim().parse::<usize>().expect("a length")))
}
