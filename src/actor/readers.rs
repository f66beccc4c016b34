//! Reads the sources of the agents' lines and reports what they tell: logs of containers, session files, journals of
//! units, standard input.
//!
//! One task per agent and source. It waits for the answer to a report before it reads on: that is the back-pressure, down
//! to the engine. How far it has read is written down together with each failure that it found, and every few seconds besides; so
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
//! A line of a source that knows no lives is held against the time that it states itself, if it does: what was written
//! before the last switch is about what was before, and what is older than a day is history.
//!
//! Tests: `tests/shell/logs.rs`, `tests/sources.rs`, and the black-box suites with containers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub(super) mod progress;

use self::progress::Progress;
use super::handle::{ReportError, Switchman};
use super::intake::Hints;
use super::seat::Seat;
use super::shapes::{self, Noted};
use crate::classify::{Context, Shape, Verdict, stated_time};
use crate::domain::duration::backoff;
use crate::domain::{
    Change, ContainerPosition, Due, FailureKind, Instance, LogPosition, Origin, Report, Reporter, SourceId, Wall,
};
use crate::ports::logs::{LineMark, LogBatch, LogError, LogLine, LogRead, LogSource, LogStream};
use crate::telemetry::events;

/// A stream that says nothing for so long is opened again: it may be dead without anybody knowing.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The same for a source of which nothing is known that could be dead: opening it again is a fresh look at it.
const SILENCE_OF_OTHERS: Duration = Duration::from_secs(3600);

/// Positions that are written down in one transaction.
const SAVED_AT_ONCE: usize = 500;

/// A line that says that it was written so long before it was read is history.
const HISTORY: Duration = Duration::from_secs(24 * 3600);

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

/// The reader of one source of an agent.
pub(super) struct Reader {
    pub(super) switchman: Switchman,
    pub(super) seat: Arc<Seat>,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) source: SourceId,
    /// How far it was read before.
    pub(super) progress: Progress,
    /// When the log was first asked for.
    pub(super) asked_at: Wall,
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
    /// Nothing will ever come again.
    Over,
    /// The daemon stops, or the source is none any more.
    Stopped,
}

impl Reader {
    /// Reads until the daemon stops, or there is nothing more to read.
    pub(super) async fn run(mut self) {
        self.read_on().await;
        self.seat.source_is_read(&self.source, None);
    }

    async fn read_on(&mut self) {
        // How its agent is comes first, for all of them.
        if self.wait_for_the_first_look().await {
            return;
        }
        let mut tries = 0_u32;
        loop {
            let wait = match self.follow().await {
                Pause::Stopped | Pause::Over => return,
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
        let (is_known, from) = (self.progress.is_known(), self.progress.all());
        let opened = tokio::select! {
            opened = self.logs.open(&self.seat.agent, &self.source, &from, is_known) => opened,
            () = stopped(&mut self.stop) => return Pause::Stopped,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return Pause::Failed(error),
        };
        drop(from);
        self.seat.source_is_read(&self.source, None);
        let life = stream.instance().cloned();
        if self.source == SourceId::Container {
            self.seat.keeps_zone(stream.zone());
        }
        if let Some(life) = life.as_ref().filter(|_| !is_known) {
            // What is read first begins here; a stream that breaks before its first line begins here again.
            self.progress.note(LogPosition::Container(ContainerPosition {
                container: life.id.clone(),
                at_ns: self.asked_at.0.saturating_mul(1_000_000),
                seen: 0,
            }));
            // The stream begins now; what was written since the log was first asked for is in it by its time.
            return Pause::Silent;
        }
        let (mut batch, mut had_lines) = (LogBatch::default(), false);
        let silence = if life.is_some() { SILENCE_MAX } else { SILENCE_OF_OTHERS };
        stream.moved().into_iter().for_each(|position| self.progress.note(position));
        // A position that was never written down is written at once.
        let mut save_at: Option<Due> = (!self.progress.are_written()).then(|| clock.now().due_after(Duration::ZERO));
        loop {
            let now = clock.now();
            let saving = save_at.map_or(silence, |due| due.remaining(now).min(silence));
            let read = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => {
                    self.save().await;
                    return Pause::Stopped;
                }
                read = stream.next(&mut batch) => read,
                () = clock.sleep(saving) => {
                    if save_at.take().is_none() {
                        return Pause::Silent;
                    }
                    save_at = (!self.save().await).then(|| clock.now().due_after(SAVE_EVERY));
                    continue;
                }
            };
            match read {
                Ok(LogRead::Lines) => {}
                Ok(LogRead::Gap) => self.has_gap(),
                Ok(LogRead::Over) => {
                    self.save().await;
                    return Pause::Over;
                }
                Ok(LogRead::Ended) | Err(_) => {
                    self.save().await;
                    return read.map_or_else(Pause::Failed, |_| Pause::Ended { had_lines });
                }
            }
            if !batch.is_empty() {
                had_lines = true;
                if !self.digest(&batch, &*stream).await {
                    return Pause::Stopped;
                }
            }
            stream.moved().into_iter().for_each(|position| self.progress.note(position));
            if !self.progress.are_written() {
                save_at = save_at.or_else(|| Some(clock.now().due_after(SAVE_EVERY)));
            }
            // A log in flood never lets the timer above have its turn.
            if save_at.is_some_and(|due| due.is_past(clock.now())) {
                save_at = (!self.save().await).then(|| clock.now().due_after(SAVE_EVERY));
            }
            // A log in flood lets the others have their turn between two reads.
            tokio::task::yield_now().await;
        }
    }

    /// Reports what the lines tell. The position moves on with each report, and behind the last line. False if the daemon
    /// stops before a line was recorded: it is read again.
    async fn digest(&mut self, batch: &LogBatch, stream: &dyn LogStream) -> bool {
        let (metrics, sort) = (self.switchman.telemetry().metrics(), self.source.sort());
        metrics.log_lines_read(sort, batch.len());
        let (classifier, mut cut) = (self.switchman.classifier(), 0);
        let mut context = Context { zone: self.seat.zone(), ..Context::new(Some(self.seat.tool()), Wall(0)) };
        let mut last: Option<&LogLine> = None;
        let mut is_stopped = false;
        let now = self.switchman.clock().now().wall;
        for (text, line) in batch.iter() {
            cut += usize::from(line.is_cut);
            context.at = line.at;
            // A file's lines are dated by the file, which may have been written to long before.
            let is_of_file = matches!(line.position, LineMark::Byte { .. });
            let read_at = if is_of_file { now } else { line.at };
            let mut said = classifier.line(text, &context);
            // Almost no line gets here, so almost none is parsed for its time.
            let tells = said.failure.is_some() || !said.readings.is_empty();
            if tells && stream.instance().is_none() {
                context.at = time_of(text, line, read_at);
                if context.at != line.at {
                    said = classifier.line(text, &context);
                }
            }
            let is_history = context.at.plus(HISTORY) < read_at;
            if let Some(shape) = said.unclassified.as_ref().filter(|_| !is_history) {
                self.unclassified(text, shape);
            }
            if !said.readings.is_empty() && !is_history {
                self.switchman.overhear(&self.seat, &said.readings, context.at, origin(line, stream.instance()));
            }
            if let Some(verdict) = said.failure.filter(|_| !is_history)
                && !self.report(verdict, context.at, line, stream).await
            {
                is_stopped = true;
                break;
            }
            last = Some(line);
        }
        // A batch has lines of one part only.
        if let Some(position) = last.and_then(|line| stream.position(line)) {
            self.progress.note(position);
        }
        if cut > 0 {
            self.switchman.telemetry().metrics().log_lines_cut(sort, cut);
        }
        !is_stopped
    }

    async fn report(&mut self, verdict: Verdict, at: Wall, line: &LogLine, stream: &dyn LogStream) -> bool {
        if self.is_over(&verdict, at) {
            return true;
        }
        let report = Report {
            observed_at: Some(at),
            read_to: stream.position(line),
            sender: self.sender(),
            ..report_of(verdict, line, stream.instance())
        };
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

    /// Whose word it is that stands in this source.
    fn sender(&self) -> String {
        match &self.source {
            SourceId::Container => "log".to_owned(),
            source @ (SourceId::Files(_) | SourceId::Journal(_) | SourceId::Stdin) => source.to_string(),
        }
    }

    /// A wording that looks like a limit and that no rule knows is told once, or at least counted.
    fn unclassified(&self, text: &[u8], shape: &Shape) {
        match self.seat.notes_shape(shape, self.switchman.now().steady) {
            Noted::Tell => {}
            Noted::Count => return self.switchman.telemetry().metrics().unclassified_line(),
            Noted::Known => return,
        }
        let state = self.seat.state();
        self.switchman.telemetry().emit(events::FailureUnclassified {
            agent: &self.seat.agent,
            failure: None,
            kind: FailureKind::Unknown,
            subscription: state.subscription(),
            generation: state.assignment.as_ref().map(|current| current.generation),
            sender: &self.sender(),
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

    /// Writes the positions down that are not; says whether all are on disk.
    async fn save(&mut self) -> bool {
        while !self.progress.are_written() {
            let positions = self.progress.take_unwritten(SAVED_AT_ONCE);
            let change = |position: &LogPosition| Change::LogRead(self.seat.agent.clone(), position.clone());
            let changes = positions.iter().map(change).collect();
            if let Err(error) = self.switchman.store().commit(changes).await {
                tracing::debug!(agent = %self.seat.agent, source = %self.source, %error, "a position is not written down");
                self.progress.put_back(positions);
                return false;
            }
        }
        true
    }

    fn has_gap(&self) {
        let from = self.progress.whole().and_then(LogPosition::of_container).map(|at| Wall(at.at_ns / 1_000_000));
        let (agent, source) = (&self.seat.agent, self.source.to_string());
        self.switchman.telemetry().emit(events::LogGap { agent, source: &source, since: from });
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
                if self.seat.source_is_read(&self.source, Some(why.clone())) {
                    let (agent, source) = (&self.seat.agent, self.source.to_string());
                    self.switchman.telemetry().emit(events::LogUnreadable { agent, source: &source, reason: why });
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

/// Which life wrote a line, as far as that can be told.
fn origin(line: &LogLine, of: Option<&Instance>) -> Origin {
    match of {
        None => Origin::Dated,
        Some(instance) if line.is_of_this_life => Origin::Life(instance.clone()),
        Some(_) => Origin::EarlierLife,
    }
}

/// When a line was written that nobody else has dated. A time that has not come yet is none.
fn time_of(text: &[u8], line: &LogLine, read_at: Wall) -> Wall {
    stated_time(text).filter(|stated| *stated <= read_at).unwrap_or(line.at)
}

fn report_of(verdict: Verdict, line: &LogLine, of: Option<&Instance>) -> Report {
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
        read_to: None,
        reporter: Reporter::Agent,
        sender: "log".to_owned(),
        reason: Some(format!("{}: {}", verdict.rule, verdict.reason)),
    }
}
