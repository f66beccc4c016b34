//! Logs in memory: what agents print, as a test tells them to, with ends, breaks, gaps and refusals on demand.
//!
//! It keeps the promises of the real source, which `tests/log_conformance.rs` checks with the same suite. A
//! stream gives out what was printed before it was broken or ended, and waits for a print, not for a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{AgentName, Instance, LogPosition, SourceId, Wall};
use crate::ports::Pending;
use crate::ports::logs::{LineMark, LogBatch, LogError, LogLine, LogMark, LogRead, LogSource, LogStream, OutputOf};

/// The most lines of one read.
const READ_MAX: usize = 100;
/// The time of the first line printed without one, and the time between two.
const FIRST_NS: i64 = 1_800_000_000_000_000_000;
const STEP_NS: i64 = 1_000_000;

/// Logs in memory; a clone is the same one.
#[derive(Clone, Default)]
pub struct FakeLogs {
    state: Arc<Mutex<State>>,
    news: Arc<watch::Sender<()>>,
}

#[derive(Default)]
struct State {
    containers: BTreeMap<AgentName, Container>,
    open_faults: BTreeMap<AgentName, VecDeque<LogError>>,
    opened: Vec<(AgentName, Option<LogPosition>)>,
    /// Streams that an agent has open.
    open: BTreeMap<AgentName, usize>,
    /// The zones that containers keep.
    zones: BTreeMap<AgentName, String>,
}

struct Container {
    instance: Instance,
    life: u64,
    is_running: bool,
    lines: Vec<Printed>,
    /// So many of the first lines cannot be read any more.
    lost: usize,
    /// How often its streams were cut off, and how the last time.
    cuts: u64,
    cut: Result<LogRead, LogError>,
}

struct Printed {
    text: Vec<u8>,
    at_ns: i64,
    mark: LogMark,
    life: u64,
    is_cut: bool,
}

impl Container {
    /// The place of the first line to be read after the position.
    fn after(&self, mark: LogMark) -> usize {
        self.lines.partition_point(|line| (line.mark.at_ns, line.mark.seen) <= (mark.at_ns, mark.seen))
    }
}

/// What tests do to the logs, and what they learn.
impl FakeLogs {
    /// Without any container.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, agent: &AgentName, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.state().containers.get_mut(agent) {
            change(container);
        }
        self.news.send_replace(());
    }

    /// A life begins. The same id goes on with the log of that container; another one is a new container.
    pub fn start(&self, agent: &AgentName, instance: &Instance) {
        let new = || Container {
            instance: instance.clone(),
            life: 0,
            is_running: true,
            lines: Vec::new(),
            lost: 0,
            cuts: 0,
            cut: Ok(LogRead::Ended),
        };
        {
            let mut state = self.state();
            let container = state.containers.entry(agent.clone()).or_insert_with(new);
            if container.instance.id != instance.id {
                *container = new();
            }
            container.instance = instance.clone();
            container.life += 1;
            container.is_running = true;
        }
        self.news.send_replace(());
    }

    /// The life ends; its log stays.
    pub fn stop(&self, agent: &AgentName) {
        self.change(agent, |container| container.is_running = false);
    }

    /// The container is gone, and its log.
    pub fn remove(&self, agent: &AgentName) {
        self.state().containers.remove(agent);
        self.news.send_replace(());
    }

    /// The agent prints a line, a millisecond after the one before.
    pub fn print(&self, agent: &AgentName, text: impl AsRef<[u8]>) {
        self.change(agent, |container| {
            let at_ns = container.lines.last().map_or(FIRST_NS, |line| line.mark.at_ns + STEP_NS);
            container.print(at_ns, text.as_ref(), false);
        });
    }

    /// The agent prints a line at this time of the engine, which may be that of the line before or an earlier one.
    pub fn print_at(&self, agent: &AgentName, at_ns: i64, text: impl AsRef<[u8]>) {
        self.change(agent, |container| container.print(at_ns, text.as_ref(), false));
    }

    /// The agent prints a line that is too long; this is what is kept of it.
    pub fn print_cut(&self, agent: &AgentName, text: impl AsRef<[u8]>) {
        self.change(agent, |container| {
            let at_ns = container.lines.last().map_or(FIRST_NS, |line| line.mark.at_ns + STEP_NS);
            container.print(at_ns, text.as_ref(), true);
        });
    }

    /// The oldest lines are rotated away, so many of all that were ever printed.
    pub fn lose_first(&self, agent: &AgentName, count: usize) {
        self.change(agent, |container| container.lost = container.lost.max(count.min(container.lines.len())));
    }

    /// Streams that are open now end, although nothing happens to the container.
    pub fn end_streams(&self, agent: &AgentName) {
        self.cut(agent, Ok(LogRead::Ended));
    }

    /// Streams that are open now break.
    pub fn break_streams(&self, agent: &AgentName, error: LogError) {
        self.cut(agent, Err(error));
    }

    fn cut(&self, agent: &AgentName, how: Result<LogRead, LogError>) {
        self.change(agent, |container| {
            container.cuts += 1;
            container.cut = how;
        });
    }

    /// The next attempt to open the agent's log fails so; several are taken in the order given.
    pub fn fail_open(&self, agent: &AgentName, error: LogError) {
        self.state().open_faults.entry(agent.clone()).or_default().push_back(error);
    }

    /// The container of the agent keeps this time zone, as a stream that is opened from now on says.
    pub fn keep_zone(&self, agent: &AgentName, zone: &str) {
        self.state().zones.insert(agent.clone(), zone.to_owned());
    }

    /// From where the agent's log was asked for, every time, failed attempts included.
    #[must_use]
    pub fn opened(&self, agent: &AgentName) -> Vec<Option<LogPosition>> {
        self.state().opened.iter().filter(|(name, _)| name == agent).map(|(_, from)| from.clone()).collect()
    }

    /// How many streams of the agent's log are open now.
    #[must_use]
    pub fn open_now(&self, agent: &AgentName) -> usize {
        self.state().open.get(agent).copied().unwrap_or(0)
    }

    /// Resolves when a stream of the agent's log is open.
    pub async fn until_open(&self, agent: &AgentName) {
        let mut news = self.news.subscribe();
        // We hold a sender ourselves, so the channel cannot close.
        let _never_closed = news.wait_for(|()| self.open_now(agent) > 0).await.is_ok();
    }
}

impl Container {
    fn print(&mut self, at_ns: i64, text: &[u8], is_cut: bool) {
        let before = self.lines.last().map(|line| line.mark);
        let mark = match before {
            Some(before) if at_ns <= before.at_ns => LogMark { seen: before.seen + 1, ..before },
            _ => LogMark { at_ns, seen: 1 },
        };
        self.lines.push(Printed { text: text.to_owned(), at_ns, mark, life: self.life, is_cut });
    }
}

impl LogSource for FakeLogs {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        from: &'a [LogPosition],
        whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        Box::pin(async move {
            let stream = {
                let mut state = self.state();
                if *source != SourceId::Container {
                    return Err(LogError::Missing(agent.clone()));
                }
                state.opened.push((agent.clone(), from.first().cloned()));
                if let Some(error) = state.open_faults.get_mut(agent).and_then(VecDeque::pop_front) {
                    return Err(error);
                }
                let Some(container) = state.containers.get(agent) else { return Err(LogError::Missing(agent.clone())) };
                let after = from
                    .iter()
                    .find_map(LogPosition::of_container)
                    .filter(|position| position.container == container.instance.id)
                    .map(|position| LogMark { at_ns: position.at_ns, seen: position.seen });
                let next = match after {
                    Some(mark) => container.after(mark),
                    None if whole => container.lost,
                    None => container.lines.len(),
                };
                let stream = FakeStream {
                    logs: self.clone(),
                    agent: agent.clone(),
                    instance: container.instance.clone(),
                    zone: state.zones.get(agent).cloned(),
                    life: container.life,
                    cuts: container.cuts,
                    after,
                    next,
                    news: self.news.subscribe(),
                };
                *state.open.entry(agent.clone()).or_default() += 1;
                stream
            };
            self.news.send_replace(());
            Ok(Box::new(stream) as Box<dyn LogStream>)
        })
    }
}

struct FakeStream {
    logs: FakeLogs,
    agent: AgentName,
    instance: Instance,
    zone: Option<String>,
    life: u64,
    cuts: u64,
    /// The position that was opened from, until a line after it has been given out.
    after: Option<LogMark>,
    next: usize,
    news: watch::Receiver<()>,
}

impl FakeStream {
    /// What can be read now, if anything.
    fn read(&mut self, into: &mut LogBatch) -> Option<Result<LogRead, LogError>> {
        let state = self.logs.state();
        let container = state.containers.get(&self.agent).filter(|found| found.instance.id == self.instance.id);
        let Some(container) = container else { return Some(Ok(LogRead::Ended)) };
        // A stream goes on to the end of its life, and no further.
        let end = container.lines.partition_point(|line| line.life <= self.life);
        let begin = self.next.max(container.lost).min(end);
        for line in container.lines[begin..end].iter().take(READ_MAX) {
            let known = LogLine {
                at: Wall(line.at_ns.div_euclid(1_000_000)),
                position: LineMark::Time(line.mark),
                is_of_this_life: line.life == self.life,
                is_cut: line.is_cut,
                stream: OutputOf::Stdout,
            };
            into.push(&line.text, known);
        }
        self.next = begin + into.len();
        if !into.is_empty() {
            // The line of the position itself tells that nothing is missing.
            let has_lost = |mark: LogMark| {
                mark.seen > 0 && !container.lines[container.lost..].iter().any(|line| line.mark.at_ns == mark.at_ns)
            };
            let is_after_gap = self.after.take().is_some_and(has_lost);
            return Some(Ok(if is_after_gap { LogRead::Gap } else { LogRead::Lines }));
        }
        if container.cuts != self.cuts {
            return Some(container.cut.clone());
        }
        let has_ended = container.life != self.life || !container.is_running;
        has_ended.then_some(Ok(LogRead::Ended))
    }
}

impl LogStream for FakeStream {
    fn instance(&self) -> Option<&Instance> {
        Some(&self.instance)
    }

    fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    fn position(&self, line: &LogLine) -> Option<LogPosition> {
        match line.position {
            LineMark::Time(mark) => Some(mark.of(&self.instance.id)),
            LineMark::Byte { .. } | LineMark::Entry(_) | LineMark::Nowhere => None,
        }
    }

    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>> {
        into.clear();
        Box::pin(async move {
            loop {
                self.news.mark_unchanged();
                if let Some(read) = self.read(into) {
                    return read;
                }
                // The stream holds a sender, so the channel cannot close.
                let _never_closed = self.news.changed().await.is_ok();
            }
        })
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        if let Some(open) = self.logs.state().open.get_mut(&self.agent) {
            *open -= 1;
        }
    }
}
