//! One life of a child: from its start until nothing of its process group is left.
//!
//! It must not decide when a life ends; it is told by when. One task per life, the keeper, owns the child, so an
//! order that is given up half-way leaves nothing half-done.
//!
//! ```text
//!   Running ── the child exits ──► Ended ── its group is empty ──► Gone
//!      └─ told to end: TERM to the group; at the deadline: KILL ───────┘
//! ```
//!
//! Invariant: the child is reaped last. Until then it is at least a zombie, its id and with it the number of its
//! group cannot be given to anybody else, and no signal of ours can reach a stranger.
//!
//! What leaves the process group (`setsid`) leaves our care until the next start of the daemon.
//!
//! Tests: `tests/runtime_conformance.rs` and the folder beside it.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::output::{OutputSink, OutputStream, pass_on};
use super::table::{self, Entry};
use crate::domain::{AgentName, Due, Generation, Instance, Moment};
use crate::ports::clock::Clock;

/// What a child leaves behind in its group when it ends by itself gets so long to end too.
const STRAGGLER_GRACE: Duration = Duration::from_secs(2);
const FIRST_CHECK: Duration = Duration::from_millis(2);
const LONGEST_CHECK: Duration = Duration::from_millis(50);
/// What a shell adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// How far a life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// The child has exited; something else of its group may still run.
    Ended,
    /// Nothing is left.
    Gone,
}

/// A life as seen by those who give orders about it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) instance: Instance,
    /// The assignment it was started for.
    pub(super) generation: Generation,
    pub(super) spawned: Moment,
    main: Arc<Main>,
    end_by: watch::Sender<Option<Due>>,
    stage: watch::Receiver<Stage>,
}

/// What is told of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The child has exited because it was told to end.
    EndedAsTold,
    /// The child has exited by itself, with this code; numbers above 128 are signals.
    EndedByItself(Option<i32>),
    /// Nothing is left.
    Gone,
}

/// Hears of the life of a process id.
pub(super) type Told = Box<dyn Fn(News, Pid) + Send + Sync>;

/// Where a life's news go.
pub(super) struct Ears {
    pub(super) agent: AgentName,
    pub(super) sink: Arc<dyn OutputSink>,
    pub(super) clock: Arc<dyn Clock>,
    /// Called with its process id when the child has exited, and again when nothing is left of it.
    pub(super) told: Told,
}

impl Life {
    /// Starts the command in a process group of its own. Nothing is awaited: either there is a child with a
    /// keeper, or there is none.
    pub(super) fn begin(mut command: Command, generation: Generation, ears: Ears) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Listened to before there is a child, so that no exit can be missed.
        let exits = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let spawned = ears.clock.now();
        let mut body = Body::of(child)?;
        body.pass_on_output(&ears)?;
        let main = body.main.clone();
        let started_at = Entry::of(main.pid).map(|entry| entry.started_at.to_string()).unwrap_or_default();
        let instance = Instance { id: main.pid.as_raw_nonzero().to_string(), started_at };
        let (end_by, told) = watch::channel(None);
        let (stage_out, stage) = watch::channel(Stage::Running);
        tokio::spawn(Keeper { body, exits, told, stage: stage_out, ears }.keep());
        Ok(Self { instance, generation, spawned, main, end_by, stage })
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Asks it to end, and has it killed at the deadline. May be repeated with another deadline.
    pub(super) fn end(&self, kill_at: Due) {
        self.end_by.send_replace(Some(kill_at));
    }

    /// Gives a signal to the child and to nothing else of its group.
    pub(super) fn signal(&self, signal: Signal) -> std::io::Result<()> {
        self.main.signal(signal)
    }

    /// Resolves when the child has exited.
    pub(super) async fn until_ended(&self) {
        let mut stage = self.stage.clone();
        // An error means that the keeper is no more, and it never goes before the child.
        let _keeper_is_gone = stage.wait_for(|stage| *stage != Stage::Running).await.is_err();
    }

    /// Resolves when nothing is left.
    pub(super) async fn until_gone(&self) {
        let mut stage = self.stage.clone();
        let _keeper_is_gone = stage.wait_for(|stage| *stage == Stage::Gone).await.is_err();
    }
}

/// The child's process id, and whether it is still the child's.
#[derive(Debug)]
struct Main {
    pid: Pid,
    /// Held while a signal is sent, so that the child is not reaped meanwhile.
    is_reaped: Mutex<bool>,
}

impl Main {
    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        self.send(|pid| rustix::process::kill_process(pid, signal))
    }

    /// A group that is empty but for the zombie takes the signal and nothing happens.
    fn signal_group(&self, signal: Signal) {
        let _nobody_left = self.send(|pid| rustix::process::kill_process_group(pid, signal)).is_err();
    }

    fn send(&self, send: impl FnOnce(Pid) -> rustix::io::Result<()>) -> std::io::Result<()> {
        let is_reaped = self.is_reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_reaped {
            return Err(std::io::Error::other("the process has ended"));
        }
        Ok(send(self.pid)?)
    }

    fn reap(&self, reap: impl FnOnce() -> bool) {
        let mut is_reaped = self.is_reaped.lock().unwrap_or_else(PoisonError::into_inner);
        *is_reaped = *is_reaped || reap();
    }
}

/// The child itself. Dropped before it is gone, it is killed with its group.
struct Body {
    child: Child,
    main: Arc<Main>,
}

impl Body {
    fn of(child: Child) -> std::io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::other("the child has an impossible process id"))?;
        Ok(Self { child, main: Arc::new(Main { pid, is_reaped: Mutex::new(false) }) })
    }

    fn pass_on_output(&mut self, ears: &Ears) -> std::io::Result<()> {
        if let Some(out) = self.child.stdout.take() {
            let reader = tokio::io::BufReader::new(pipe::Receiver::from_owned_fd(out.into())?);
            tokio::spawn(pass_on(reader, ears.agent.clone(), OutputStream::Stdout, ears.sink.clone()));
        }
        if let Some(err) = self.child.stderr.take() {
            let reader = tokio::io::BufReader::new(pipe::Receiver::from_owned_fd(err.into())?);
            tokio::spawn(pass_on(reader, ears.agent.clone(), OutputStream::Stderr, ears.sink.clone()));
        }
        Ok(())
    }

    /// How it ended, without reaping it; `None` if it has not.
    fn outcome(&self) -> Option<Outcome> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::Pid(self.main.pid), options).ok()??;
        let pid = self.main.pid.as_raw_nonzero();
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Outcome { in_words: format!("pid {pid}: exit status {code}"), code: Some(code) },
            (None, Some(signal)) => {
                Outcome { in_words: format!("pid {pid}: signal {signal}"), code: Some(BY_SIGNAL + signal) }
            }
            (None, None) => Outcome { in_words: format!("pid {pid}: ended"), code: None },
        })
    }

    fn reap(&mut self) {
        let child = &mut self.child;
        // It has exited, so this does not wait; an error means that it is reaped already.
        self.main.reap(|| {
            let _already = child.wait().is_err();
            true
        });
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.main.signal_group(Signal::KILL);
        let child = &mut self.child;
        self.main.reap(|| !matches!(child.try_wait(), Ok(None)));
    }
}

/// How a child ended.
struct Outcome {
    in_words: String,
    code: Option<i32>,
}

struct Keeper {
    body: Body,
    /// Some child of ours has exited, perhaps this one.
    exits: tokio::signal::unix::Signal,
    told: watch::Receiver<Option<Due>>,
    stage: watch::Sender<Stage>,
    ears: Ears,
}

impl Keeper {
    async fn keep(mut self) {
        let mut kill_at: Option<Due> = None;
        let mut is_running = true;
        let mut check = FIRST_CHECK;
        loop {
            if !is_running && self.is_empty().await {
                break;
            }
            let pause = match (kill_at, is_running) {
                (None, true) => None,
                (None, false) => Some(check),
                (Some(due), true) => Some(due.remaining(self.ears.clock.now())),
                (Some(due), false) => Some(check.min(due.remaining(self.ears.clock.now()).max(FIRST_CHECK))),
            };
            tokio::select! {
                how = exit_of(&self.body, &mut self.exits), if is_running => {
                    is_running = false;
                    // What it was told last may not have been heard here yet.
                    let is_as_told = kill_at.is_some() || self.told.has_changed().unwrap_or(true);
                    self.ears.sink.ended(&self.ears.agent, &how.in_words);
                    let news = if is_as_told { News::EndedAsTold } else { News::EndedByItself(how.code) };
                    self.tell(Stage::Ended, news);
                    if kill_at.is_none() && !self.is_empty().await {
                        kill_at = Some(self.ears.clock.now().due_after(STRAGGLER_GRACE));
                        self.body.main.signal_group(Signal::TERM);
                    }
                }
                changed = self.told.changed() => {
                    if changed.is_err() {
                        // Whoever could give orders is gone, and a child lives no longer than that.
                        return;
                    }
                    let is_first = kill_at.is_none();
                    kill_at = *self.told.borrow_and_update();
                    if is_first {
                        self.body.main.signal_group(Signal::TERM);
                    }
                }
                () = rest(&*self.ears.clock, pause), if pause.is_some() => {
                    check = (check * 2).min(LONGEST_CHECK);
                    if kill_at.is_some_and(|due| due.is_past(self.ears.clock.now())) {
                        self.body.main.signal_group(Signal::KILL);
                        if is_running {
                            // It cannot but exit now, unless the kernel holds it: do not signal in a circle.
                            rest(&*self.ears.clock, Some(check)).await;
                        }
                    }
                }
            }
        }
        self.body.reap();
        self.tell(Stage::Gone, News::Gone);
    }

    async fn is_empty(&self) -> bool {
        let group = self.body.main.pid;
        let look = tokio::task::spawn_blocking(move || table::group_is_alive(group));
        matches!(look.await, Ok(false))
    }

    fn tell(&self, stage: Stage, news: News) {
        self.stage.send_replace(stage);
        (self.ears.told)(news, self.body.main.pid);
    }
}

/// Resolves when the child has exited, with how; looks first, so that it may be dropped and called again.
async fn exit_of(body: &Body, exits: &mut tokio::signal::unix::Signal) -> Outcome {
    loop {
        if let Some(how) = body.outcome() {
            return how;
        }
        exits.recv().await;
    }
}

async fn rest(clock: &dyn Clock, pause: Option<Duration>) {
    if let Some(pause) = pause {
        clock.sleep(pause).await;
    }
}
