//! Files of sessions: those that a path or a pattern names, followed as they come, grow, are renamed, cut and removed.
//!
//! ```text
//!   hint or time ──► look at the tree ──► files that have grown, in line ──► one turn: 64 KiB of one file ──► lines
//!                    (off the runtime)                                       (off the runtime)
//! ```
//!
//! A position is the file itself (device and inode, which another file may have later) and a number of bytes, kept under its path. A file that is found for
//! the first time is read from its end if it was there before the source was known, else from its beginning. It must not
//! write anything, nor follow a link.
//!
//! Tests: `tests/source_conformance/files.rs`; the tree and the tails in their files.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

mod kept;
mod tails;
mod tree;
mod watch;

use self::tails::{Tails, Turn};
use self::watch::{Mailbox, Watch};
use crate::domain::{AgentName, Instance, LogPosition, SourceId, Steady};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::{LogBatch, LogError, LogLine, LogRead, LogSource, LogStream};

/// The tree is looked at so often although nothing was heard of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The same where not all of it can be watched.
const LOOK_OFTEN: Duration = Duration::from_secs(2);

/// Two looks are at least so far apart: whoever makes files all the time is looked at no more often.
const LOOK_APART: Duration = Duration::from_millis(250);

/// So many files are held open, of all agents: what was renamed away or removed can be read to its end then.
const OPEN_MAX: usize = 256;

/// The files of all agents.
pub struct FileSources {
    clock: Arc<dyn Clock>,
    /// Made when the first file is wanted: there is a runtime then.
    watch: Mutex<Option<Arc<Watch>>>,
    places: Arc<Semaphore>,
}

impl FileSources {
    /// Nothing is looked at yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, watch: Mutex::default(), places: Arc::new(Semaphore::new(OPEN_MAX)) }
    }

    fn watch(&self) -> Arc<Watch> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(watch.get_or_insert_with(|| Arc::new(Watch::new())))
    }

    async fn follow(&self, agent: &AgentName, pattern: &str, from: &[LogPosition]) -> Result<FileStream, LogError> {
        let unreadable = |why: String| LogError::Unreadable { agent: agent.clone(), why };
        let now = self.clock.now();
        let tails = Tails::new(pattern, from, now.wall, Arc::clone(&self.places));
        let tails = tails.ok_or_else(|| unreadable(format!("{pattern} is no pattern")))?;
        let watch = self.watch();
        let (follower, mailbox) = watch.follower();
        let mut stream = FileStream {
            agent: agent.clone(),
            clock: Arc::clone(&self.clock),
            watch,
            follower,
            mailbox,
            tails: Some(tails),
            work: None,
            looked_at: now.steady,
            is_watched: true,
            wants_look: false,
            owes_turn: false,
        };
        stream.look().await.map_err(unreadable)?;
        Ok(stream)
    }
}

impl LogSource for FileSources {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        from: &'a [LogPosition],
        _whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        Box::pin(async move {
            match source {
                SourceId::Files(pattern) => {
                    Ok(Box::new(self.follow(agent, pattern, from).await?) as Box<dyn LogStream>)
                }
                SourceId::Container | SourceId::Journal(_) | SourceId::Stdin => Err(LogError::Missing(agent.clone())),
            }
        })
    }
}

/// What is done off the runtime, and given back.
enum Done {
    Looked { why_not: Option<String>, is_watched: bool },
    Turned(Turn),
}

struct FileStream {
    agent: AgentName,
    clock: Arc<dyn Clock>,
    watch: Arc<Watch>,
    follower: u64,
    mailbox: Arc<Mailbox>,
    /// Away while something is done with it.
    tails: Option<Tails>,
    /// Kept here, so that nothing is lost if nobody waits any more.
    work: Option<JoinHandle<(Tails, Done)>>,
    /// When the last look ended: however long one takes, there is time between two.
    looked_at: Steady,
    is_watched: bool,
    wants_look: bool,
    /// Nothing has been read since the last look: whatever is in line goes before the next one.
    owes_turn: bool,
}

impl FileStream {
    /// Looks at the tree.
    async fn look(&mut self) -> Result<(), String> {
        self.begin_look();
        match self.done().await {
            Some(Done::Looked { why_not: Some(why), .. }) => Err(why),
            _ => Ok(()),
        }
    }

    fn begin_look(&mut self) {
        let Some(mut tails) = self.tails.take() else { return };
        let (watch, follower, mailbox) = (Arc::clone(&self.watch), self.follower, Arc::clone(&self.mailbox));
        let now = self.clock.now();
        (self.wants_look, self.owes_turn) = (false, true);
        self.work = Some(tokio::task::spawn_blocking(move || {
            let mut is_watched = true;
            let looked = tails.look(now.wall, &mut |folder| is_watched &= watch.add(folder, follower, &mailbox));
            (tails, Done::Looked { why_not: looked.err(), is_watched })
        }));
    }

    fn begin_turn(&mut self) {
        let Some(mut tails) = self.tails.take() else { return };
        let now = self.clock.now().wall;
        self.owes_turn = false;
        self.work = Some(tokio::task::spawn_blocking(move || {
            let turn = tails.turn(now);
            (tails, Done::Turned(turn))
        }));
    }

    /// Waits for what is being done; `None` if it broke off.
    async fn done(&mut self) -> Option<Done> {
        let work = self.work.as_mut()?;
        let done = work.await;
        self.work = None;
        let (tails, done) = done.ok()?;
        self.tails = Some(tails);
        if let Done::Looked { is_watched, .. } = &done {
            self.is_watched = *is_watched;
            self.looked_at = self.clock.now().steady;
        }
        Some(done)
    }

    /// How long until the tree is to be looked at.
    fn until_look(&self) -> Duration {
        let apart = match (self.wants_look, self.is_watched) {
            (true, _) => LOOK_APART,
            (false, true) => LOOK_EVERY,
            (false, false) => LOOK_OFTEN,
        };
        let passed = self.clock.now().steady.0.saturating_sub(self.looked_at.0);
        apart.saturating_sub(Duration::from_millis(passed))
    }

    /// Takes in what was heard of.
    fn hear(&mut self) {
        let changed = self.mailbox.take();
        let Some(tails) = &mut self.tails else { return };
        self.wants_look |= changed.is_otherwise;
        for path in changed.written {
            // One that is not known yet is found by a look.
            self.wants_look |= !tails.has_grown(&path);
        }
    }

    async fn read(&mut self, into: &mut LogBatch) -> Result<LogRead, LogError> {
        into.clear();
        let broken = || LogError::Broken("reading the files was broken off".to_owned());
        loop {
            if self.work.is_some() {
                match self.done().await.ok_or_else(broken)? {
                    Done::Looked { why_not: Some(why), .. } => {
                        return Err(LogError::Unreadable { agent: self.agent.clone(), why });
                    }
                    Done::Looked { .. } => {}
                    Done::Turned(Turn { lines, has_gap, wants_look }) => {
                        self.wants_look |= wants_look;
                        *into = lines;
                        if has_gap {
                            return Ok(LogRead::Gap);
                        }
                        if !into.is_empty() {
                            return Ok(LogRead::Lines);
                        }
                    }
                }
                // A file that is gone, or was cut, is told of without a line.
                if self.tails.as_ref().is_some_and(Tails::has_moved) {
                    return Ok(LogRead::Lines);
                }
            }
            self.hear();
            let until_look = self.until_look();
            let has_work = self.tails.as_ref().ok_or_else(broken)?.has_work();
            if until_look.is_zero() && !(has_work && self.owes_turn) {
                self.begin_look();
            } else if has_work {
                self.begin_turn();
            } else {
                let (mailbox, clock) = (Arc::clone(&self.mailbox), Arc::clone(&self.clock));
                tokio::select! {
                    () = mailbox.news() => {}
                    () = clock.sleep(until_look) => {}
                }
            }
        }
    }
}

impl LogStream for FileStream {
    fn instance(&self) -> Option<&Instance> {
        None
    }

    fn position(&self, line: &LogLine) -> Option<LogPosition> {
        self.tails.as_ref()?.position(line)
    }

    fn moved(&mut self) -> Vec<LogPosition> {
        self.tails.as_mut().map(Tails::moved).unwrap_or_default()
    }

    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>> {
        Box::pin(self.read(into))
    }
}

impl Drop for FileStream {
    fn drop(&mut self) {
        self.watch.forget(self.follower);
    }
}
