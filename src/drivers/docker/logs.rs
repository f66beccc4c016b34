//! What agents in containers print: the log port through a Docker Engine.
//!
//! One connection per followed log, read only while somebody asks for lines, and in small pieces. It must not
//! open a stream again, and takes no end for a stop of the container: that is for whoever reads.
//!
//! ```text
//! open:  inspect ──► ask for the log from a second before the position ──► inspect again ──► stream
//!        (which container,                                                 (which life: looked at after the log
//!         terminal or not)                                                  was opened, so that its life cannot
//!                                                                           be older than the one it belongs to)
//!
//! next:  socket ─► body.rs ─► frames.rs ─► lines.rs ─► repeats.rs ─► cursor.rs ─► batch
//!                  chunks     messages     parts        given twice?   read before?
//! ```
//!
//! | the engine | we say |
//! |---|---|
//! | refuses the connection | `Unreachable` |
//! | does not begin to answer in time | `Timeout` |
//! | 404; 409, for a container that is being removed | `Missing` |
//! | says that the log driver cannot be read, 501, or any other refusal | `Unreadable` |
//! | 5xx | `Broken`, with its words |
//! | ends the stream in good order | `Ended` |
//! | ends it inside a chunk or a message, resets it, sends what is no log | `Broken` |
//!
//! Tests: `tests/log_conformance.rs` on a real engine, `tests/log_conformance/scripted.rs` on one that fails to
//! order; the parts in their files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

mod body;
mod cursor;
mod frames;
mod http;
mod inspect;
mod lines;
mod repeats;
mod time;

use self::body::Body;
use self::cursor::{Cursor, OVERLAP_NS, Verdict};
use self::frames::Framer;
use self::http::Socket;
use self::inspect::Subject;
use self::lines::{Apart, Line, TakesLines};
use self::repeats::Recent;
use super::{Containers, DockerHost};
use crate::domain::{AgentName, Instance, LogPosition, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::{LogBatch, LogError, LogLine, LogMark, LogRead, LogSource, LogStream};

/// One call of `next` takes in about so much, however much there is.
const TURN_LEN: usize = 64 * 1024;

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

/// Logs of the containers of one engine.
pub struct DockerLogs {
    host: DockerHost,
    containers: Mutex<Containers>,
    call_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl DockerLogs {
    /// The containers of these agents, by name, on the engine at `host`. The engine need not be there yet.
    /// `call_timeout` is for opening a stream, all of it; a stream itself has no end and no deadline.
    #[must_use]
    pub fn new(
        host: DockerHost,
        containers: BTreeMap<AgentName, String>,
        call_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { host, containers: Mutex::new(Arc::new(containers)), call_timeout, clock }
    }

    /// From now on this is the agent's container; with `None` it has none here. A log that is being followed goes on.
    pub fn place(&self, agent: &AgentName, container: Option<String>) {
        super::place(&mut self.lock(), agent, container);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Containers> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the log of an agent's container holds by now, all of it or from a time on. The stream ends where the log does.
    ///
    /// # Errors
    /// As opening one that is followed.
    pub async fn recorded(&self, agent: &AgentName, from: Option<Wall>) -> Result<Box<dyn LogStream>, LogError> {
        let opening = async {
            let subject = self.subject(agent).await?;
            let path = path(
                &subject.id,
                "follow=0",
                &from.map(|from| since(from.0.saturating_mul(NS_PER_MS).max(0))).unwrap_or_default(),
            );
            self.stream(agent, &subject, &path, None).await
        };
        let opened = tokio::time::timeout(self.call_timeout, opening).await.map_err(|_| LogError::Timeout)?;
        opened.map(|follow| Box::new(follow) as Box<dyn LogStream>)
    }

    async fn follow(&self, agent: &AgentName, from: Option<&LogPosition>, whole: bool) -> Result<Follow, LogError> {
        let subject = self.subject(agent).await?;
        let from = from.filter(|position| position.container == subject.id);
        let mark = from.map(|position| LogMark { at_ns: position.at_ns, seen: position.seen });
        let path = path(&subject.id, "follow=1", &part(mark, whole));
        // From the journal an engine gives out the last line as well when it is asked for none.
        let is_from_now = mark.is_none() && !whole && subject.log_driver == "journald";
        let after = if is_from_now { Some(LogMark { at_ns: now_ns(&*self.clock), seen: 0 }) } else { mark };
        self.stream(agent, &subject, &path, after).await
    }

    async fn subject(&self, agent: &AgentName) -> Result<Subject, LogError> {
        let name = self.lock().get(agent).cloned().ok_or_else(|| LogError::Missing(agent.clone()))?;
        Subject::named(&self.host, agent, &name).await
    }

    /// The answer to this call, without the lines up to `after`.
    async fn stream(
        &self,
        agent: &AgentName,
        subject: &Subject,
        path: &str,
        after: Option<LogMark>,
    ) -> Result<Follow, LogError> {
        let answer = http::get(&self.host, path).await?;
        if answer.status != 200 {
            return Err(inspect::refusal(agent, answer, &subject.log_driver).await);
        }
        let subject = Subject::with_id(&self.host, agent, &subject.id).await?;
        Ok(Follow {
            socket: answer.socket,
            early: answer.early,
            reader: Reader {
                body: answer.body,
                framer: Framer::new(subject.has_terminal),
                recent: Recent::default(),
                cursor: Cursor::new(after),
                life_begins: subject.life_begins,
                clock: Arc::clone(&self.clock),
                is_after_gap: false,
                end: None,
            },
            instance: subject.instance,
        })
    }
}

/// The calendar's time, in nanoseconds since the epoch.
fn now_ns(clock: &dyn Clock) -> i64 {
    clock.now().wall.0.saturating_mul(NS_PER_MS)
}

/// What to ask the engine for.
fn path(id: &str, how: &str, part: &str) -> String {
    format!("/containers/{id}/logs?{how}&stdout=1&stderr=1&timestamps=1{part}")
}

/// Which part of a log that is followed.
fn part(from: Option<LogMark>, whole: bool) -> String {
    match from {
        Some(mark) => since(mark.at_ns.saturating_sub(OVERLAP_NS).max(0)),
        None if whole => String::new(),
        None => "&tail=0".to_owned(),
    }
}

fn since(at_ns: i64) -> String {
    format!("&since={}.{:09}", at_ns / NS_PER_S, at_ns % NS_PER_S)
}

impl LogSource for DockerLogs {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        from: Option<&'a LogPosition>,
        whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        Box::pin(async move {
            let opening = tokio::time::timeout(self.call_timeout, self.follow(agent, from, whole)).await;
            opening.map_err(|_| LogError::Timeout)?.map(|follow| Box::new(follow) as Box<dyn LogStream>)
        })
    }
}

/// A log that is followed.
struct Follow {
    instance: Instance,
    socket: Socket,
    /// What came with the answer's head.
    early: Vec<u8>,
    reader: Reader,
}

/// From bytes to lines.
struct Reader {
    body: Body,
    framer: Framer,
    recent: Recent,
    cursor: Cursor,
    life_begins: i64,
    clock: Arc<dyn Clock>,
    /// Whether a gap was found and not told yet.
    is_after_gap: bool,
    /// How it ended; told after the last lines, and from then on.
    end: Option<Result<LogRead, LogError>>,
}

/// Where whole lines go.
struct Intake<'a> {
    recent: &'a mut Recent,
    cursor: &'a mut Cursor,
    batch: &'a mut LogBatch,
    life_begins: i64,
    is_after_gap: &'a mut bool,
}

impl TakesLines for Intake<'_> {
    fn take(&mut self, line: Line<'_>) {
        if self.recent.is_repeated(&line) {
            return;
        }
        let position = match self.cursor.pass(line.at_ns) {
            Verdict::Old => return,
            Verdict::New(mark) => mark,
            Verdict::AfterGap(mark) => {
                *self.is_after_gap = true;
                mark
            }
        };
        let known = LogLine {
            at: Wall(line.at_ns.div_euclid(NS_PER_MS)),
            position,
            is_of_this_life: line.at_ns >= self.life_begins,
            is_cut: line.is_cut,
            stream: line.stream,
        };
        self.batch.push(line.text, known);
    }
}

impl Reader {
    /// Takes in what came; nothing means that the connection ended.
    fn take(&mut self, bytes: &[u8], batch: &mut LogBatch) {
        let Self { recent, cursor, is_after_gap, life_begins, clock, .. } = self;
        let mut intake = Intake { recent, cursor, batch, life_begins: *life_begins, is_after_gap };
        let mut out = Apart {
            inner: &mut intake,
            life_begins: *life_begins,
            latest: now_ns(&**clock).saturating_add(OVERLAP_NS),
        };
        let done = if bytes.is_empty() {
            if self.body.may_end_here() { Ok(true) } else { Err("the connection ended inside the log".to_owned()) }
        } else {
            feed(&mut self.body, &mut self.framer, bytes, &mut out)
        };
        let done = done.and_then(|is_over| {
            if is_over { self.framer.end(&mut out).map_err(|bad| bad.0).map(|()| true) } else { Ok(false) }
        });
        self.end = match done {
            Ok(false) => None,
            Ok(true) => Some(Ok(LogRead::Ended)),
            Err(why) => Some(Err(LogError::Broken(why))),
        };
    }
}

/// Takes bytes off the wire through to lines; whether the body is over.
fn feed(body: &mut Body, framer: &mut Framer, bytes: &[u8], out: &mut impl TakesLines) -> Result<bool, String> {
    let mut input = bytes;
    while let Some(piece) = body.next(&mut input).map_err(|bad| bad.0.to_owned())? {
        framer.feed(piece, out).map_err(|bad| bad.0)?;
    }
    Ok(*body == Body::Done)
}

impl Follow {
    /// One turn. What it takes off the socket is in the batch or in `self` when it returns, and it is ready as
    /// soon as anything is in the batch: so whoever drops the future while it waits loses nothing.
    fn turn(&mut self, cx: &mut Context<'_>, batch: &mut LogBatch) -> Poll<Result<LogRead, LogError>> {
        batch.clear();
        let Self { socket, early, reader, .. } = self;
        let mut taken = early.len();
        if taken > 0 {
            reader.take(&std::mem::take(early), batch);
        }
        let mut is_waiting = false;
        while reader.end.is_none() && taken < TURN_LEN && !is_waiting {
            let read = socket.poll_read(cx, |bytes| {
                taken += bytes.len();
                reader.take(bytes, batch);
            });
            match read {
                Poll::Pending => is_waiting = true,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => reader.end = Some(Err(error)),
            }
        }
        if std::mem::take(&mut reader.is_after_gap) {
            return Poll::Ready(Ok(LogRead::Gap));
        }
        match &reader.end {
            _ if !batch.is_empty() => Poll::Ready(Ok(LogRead::Lines)),
            Some(end) => Poll::Ready(end.clone()),
            None if is_waiting => Poll::Pending,
            None => Poll::Ready(Ok(LogRead::Lines)),
        }
    }
}

impl LogStream for Follow {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>> {
        Box::pin(std::future::poll_fn(move |cx| self.turn(cx, into)))
    }
}
