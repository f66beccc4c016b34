//! Reads the logs of the agents' containers and reports what they tell.
//!
//! One task per container. It waits for the answer to a report before it reads on: that is the back-pressure, down to the
//! engine. How far it has read is written down together with each failure that it found, and every few seconds besides; so
//! after a crash no failure is lost and none is reported twice.
//!
//! ```text
//!   open ──► read ──► lines: a failure? report it, wait for the answer ──┐
//!    ▲        ▲ └──────────────────────────────────────────────────────◄─┘
//!    │        └── silent for long: open again
//!    └── wait ◄── ended, broken, missing, unreadable: the agent looks for itself what that means (A9)
//! ```
//!
//! It must not decide anything about an agent: an end of a stream is a hint to look, no more.
//!
//! Tests: `tests/shell/logs.rs`, and the black-box suites with containers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::handle::{ReportError, Switchman};
use super::intake::Hints;
use super::seat::Seat;
use super::shapes::{self, Shapes};
use crate::classify::{Context, Shape, Verdict};
use crate::domain::duration::backoff;
use crate::domain::{Change, Due, FailureKind, Instance, LogPosition, Origin, Report, Reporter, Wall};
use crate::ports::logs::{LogBatch, LogError, LogLine, LogRead, LogSource};
use crate::telemetry::events;

/// A stream that says nothing for so long is opened again: it may be dead without anybody knowing.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// How often a position is written down that no failure has written down.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// How soon a log is opened again that ended or broke, at first and at most.
const OPEN_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How soon a log is tried again that cannot be read.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(60);

/// How soon a report is tried again that was not taken, at first and at most.
const REPORT_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The most that the first look at an agent holds up its log.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A limit that was over for so long when its line was read is nobody's concern any more.
const OVER_SINCE: Duration = Duration::from_secs(5 * 60);

/// The reader of one log.
pub(super) struct Reader {
    pub(super) switchman: Switchman,
    pub(super) seat: Arc<Seat>,
    pub(super) source: Arc<dyn LogSource>,
    /// How far it was read before; `None` if it never was.
    pub(super) read_to: Option<LogPosition>,
    /// Whether that is written down.
    pub(super) is_written: bool,
    /// When the log was first asked for.
    pub(super) asked_at: Wall,
    /// Wordings that were told.
    pub(super) shapes: Shapes,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why reading has paused.
enum Pause {
    /// The stream ended, after so many lines.
    Ended { had_lines: bool },
    /// Nothing came for long.
    Silent,
    /// It cannot be read.
    Failed(LogError),
    /// The daemon stops.
    Stopped,
}

impl Reader {
    /// Reads until the daemon stops.
    pub(super) async fn run(mut self) {
        // How its agent is comes first, for all of them.
        if self.wait_for_the_first_look().await {
            return;
        }
        let mut tries = 0_u32;
        loop {
            let wait = match self.follow().await {
                Pause::Stopped => return,
                Pause::Silent => continue,
                Pause::Ended { had_lines } => {
                    self.look();
                    tries = if had_lines { 1 } else { tries.saturating_add(1) };
                    backoff(tries, OPEN_AGAIN)
                }
                Pause::Failed(error) => {
                    tries = tries.saturating_add(1);
                    self.failed(&error, tries)
                }
            };
            if self.wait(wait).await {
                return;
            }
        }
    }

    /// Opens the log and reads it until something is the matter.
    async fn follow(&mut self) -> Pause {
        let clock = self.switchman.clock();
        let is_known = self.read_to.is_some();
        let opened = tokio::select! {
            opened = self.source.open(&self.seat.agent, self.read_to.as_ref(), is_known) => opened,
            () = stopped(&mut self.stop) => return Pause::Stopped,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return Pause::Failed(error),
        };
        self.seat.log_is_read(None);
        let life = stream.instance().clone();
        if !is_known {
            // What is read first begins here; a stream that breaks before its first line begins here again.
            self.read_to = Some(LogPosition {
                container: life.id.clone(),
                at_ns: self.asked_at.0.saturating_mul(1_000_000),
                seen: 0,
            });
            // The stream begins now; what was written since the log was first asked for is in it by its time.
            return Pause::Silent;
        }
        let (mut batch, mut had_lines) = (LogBatch::default(), false);
        // A position that was never written down is written at once.
        let mut is_saved = self.is_written;
        let mut save_at: Option<Due> = (!is_saved).then(|| clock.now().due_after(Duration::ZERO));
        loop {
            let now = clock.now();
            let saving = save_at.map_or(SILENCE_MAX, |due| due.remaining(now).min(SILENCE_MAX));
            let read = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => {
                    if !is_saved {
                        self.save().await;
                    }
                    return Pause::Stopped;
                }
                read = stream.next(&mut batch) => read,
                () = clock.sleep(saving) => {
                    if save_at.take().is_none() {
                        return Pause::Silent;
                    }
                    is_saved = self.save().await;
                    save_at = (!is_saved).then(|| clock.now().due_after(SAVE_EVERY));
                    continue;
                }
            };
            match read {
                Ok(LogRead::Lines) => {}
                Ok(LogRead::Gap) => self.has_gap(),
                Ok(LogRead::Ended) | Err(_) => {
                    if !is_saved {
                        self.save().await;
                    }
                    return read.map_or_else(Pause::Failed, |_| Pause::Ended { had_lines });
                }
            }
            if !batch.is_empty() {
                (had_lines, is_saved) = (true, false);
                if !self.digest(&batch, &life).await {
                    return Pause::Stopped;
                }
                save_at = save_at.or_else(|| Some(clock.now().due_after(SAVE_EVERY)));
                // A log in flood never lets the timer below have its turn.
                if save_at.is_some_and(|due| due.is_past(clock.now())) {
                    is_saved = self.save().await;
                    save_at = None;
                }
                // A log in flood lets the others have their turn between two reads.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reports what the lines tell. The position moves on line by line, and with each report. False if the daemon stops
    /// before a line was recorded: it is read again.
    async fn digest(&mut self, batch: &LogBatch, life: &Instance) -> bool {
        self.switchman.telemetry().metrics().log_lines_read("container", batch.len());
        let classifier = self.switchman.classifier();
        let mut context = Context::new(Some(self.seat.tool()), Wall(0));
        for (text, line) in batch.iter() {
            let position = line.position.of(&life.id);
            context.at = line.at;
            let said = classifier.line(text, &context);
            if let Some(shape) = &said.unclassified {
                self.unclassified(text, shape);
            }
            self.switchman.overhear(&self.seat, &said.readings, line.at, origin(line, life));
            if let Some(verdict) = said.failure
                && !self.report(verdict, line, life, position.clone()).await
            {
                return false;
            }
            self.read_to = Some(position);
        }
        true
    }

    async fn report(&mut self, verdict: Verdict, line: &LogLine, of: &Instance, position: LogPosition) -> bool {
        if self.is_over(&verdict, line.at) {
            return true;
        }
        let report = report_of(verdict, line, of, position);
        let mut tries = 0_u32;
        loop {
            let answered = self.switchman.report(self.seat.agent.as_str(), report.clone(), 0).await;
            match answered {
                Ok(_) => return true,
                // Nothing was recorded, so the line counts as unread: it is tried until it is.
                Err(ReportError::NotRecorded | ReportError::Shed | ReportError::Store(_)) => {
                    tries = tries.saturating_add(1);
                    if self.wait_for(backoff(tries, REPORT_AGAIN)).await {
                        return false;
                    }
                }
                // None of ours any more: should it come back, the line is still to be read.
                Err(ReportError::NoSuchAgent(_)) => return false,
                Err(error @ (ReportError::Stamp(_) | ReportError::TurnMismatch { .. } | ReportError::IdReused(_))) => {
                    tracing::debug!(agent = %self.seat.agent, %error, "a line of a log that is about nothing");
                    return true;
                }
            }
        }
    }

    /// A wording that looks like a limit and that no rule knows is told once.
    fn unclassified(&mut self, text: &[u8], shape: &Shape) {
        if !self.shapes.note(shape) {
            return;
        }
        let state = self.seat.state();
        self.switchman.telemetry().emit(events::FailureUnclassified {
            agent: &self.seat.agent,
            failure: None,
            kind: FailureKind::Unknown,
            subscription: state.subscription(),
            generation: state.assignment.as_ref().map(|current| current.generation),
            sender: "log",
            count: 1,
            reason: Some("it looks like a limit, and no rule knows its wording"),
            text: Some(&shapes::shown(text)),
        });
    }

    /// Whether a limit had ended long before its line was read: the daemon was down, or the log was out of reach.
    fn is_over(&self, verdict: &Verdict, at: Wall) -> bool {
        let ends = verdict.reset_at.unwrap_or_else(|| at.plus(self.seat.policy().cooldown));
        verdict.kind == FailureKind::RateLimit && ends.plus(OVER_SINCE) <= self.switchman.now().wall
    }

    /// Writes the position down; says whether it is on disk.
    async fn save(&mut self) -> bool {
        let Some(position) = self.read_to.clone() else { return true };
        let change = Change::LogRead(self.seat.agent.clone(), position);
        match self.switchman.store().commit(vec![change]).await {
            Ok(()) => {
                self.is_written = true;
                true
            }
            Err(error) => {
                tracing::debug!(agent = %self.seat.agent, %error, "the position in a log is not written down");
                false
            }
        }
    }

    fn has_gap(&self) {
        let from = self.read_to.as_ref().map(|position| Wall(position.at_ns / 1_000_000));
        self.switchman.telemetry().emit(events::LogGap { agent: &self.seat.agent, since: from });
        // What the lost lines would have told may show in the agent itself.
        self.look();
    }

    fn look(&self) {
        self.seat.hint(Hints { runtime_changed: true, ..Hints::default() });
    }

    /// How long to wait before the next try.
    fn failed(&self, error: &LogError, tries: u32) -> Duration {
        match error {
            LogError::Unreadable { why, .. } => {
                if self.seat.log_is_read(Some(why.clone())) {
                    self.switchman.telemetry().emit(events::LogUnreadable { agent: &self.seat.agent, reason: why });
                }
                UNREADABLE_AGAIN
            }
            LogError::Missing(_) => {
                self.look();
                OPEN_AGAIN.1
            }
            LogError::Unreachable(_) | LogError::Broken(_) | LogError::Timeout => {
                tracing::debug!(agent = %self.seat.agent, %error, tries, "the log is not followed");
                self.look();
                backoff(tries, OPEN_AGAIN)
            }
        }
    }

    async fn wait_for_the_first_look(&mut self) -> bool {
        let (mut states, clock) = (self.seat.watch(), self.switchman.clock());
        tokio::select! {
            _ = states.wait_for(|state| state.sighting.is_some()) => false,
            () = clock.sleep(FIRST_LOOK) => false,
            () = stopped(&mut self.stop) => true,
        }
    }

    /// Waits, until the agent is seen in another life or state at most; true if the daemon stops.
    async fn wait(&mut self, time: Duration) -> bool {
        let mut states = self.seat.watch();
        let seen = |state: &crate::machine::agent::AgentState| {
            state.sighting.as_ref().map(|seen| (seen.state, seen.instance.clone()))
        };
        let was = seen(&states.borrow());
        let clock = self.switchman.clock();
        tokio::select! {
            _ = states.wait_for(|state| seen(state) != was) => false,
            () = clock.sleep(time) => false,
            () = stopped(&mut self.stop) => true,
        }
    }

    async fn wait_for(&mut self, time: Duration) -> bool {
        let clock = self.switchman.clock();
        tokio::select! {
            () = clock.sleep(time) => false,
            () = stopped(&mut self.stop) => true,
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could say so is gone: then the daemon stops as well.
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// The life that wrote a line.
fn origin(line: &LogLine, of: &Instance) -> Origin {
    if line.is_of_this_life { Origin::Life(of.clone()) } else { Origin::EarlierLife }
}

fn report_of(verdict: Verdict, line: &LogLine, of: &Instance, position: LogPosition) -> Report {
    Report {
        id: None,
        kind: verdict.kind,
        subscription: None,
        generation: None,
        turn: None,
        model: verdict.model,
        window: verdict.window,
        reset_at: verdict.reset_at,
        trust: verdict.trust,
        is_hearsay: verdict.is_hearsay,
        observed_at: Some(line.at),
        origin: origin(line, of),
        read_to: Some(position),
        reporter: Reporter::Agent,
        sender: "log".to_owned(),
        reason: Some(format!("{}: {}", verdict.rule, verdict.reason)),
    }
}
