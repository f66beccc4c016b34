//! What stands in front of an agent's mailbox: bounded, coalescing, and it outlives the actor.
//!
//! | a report that … | is … |
//! |---|---|
//! | repeats one that was just answered, nothing having changed since | counted, answered at once |
//! | repeats one that is queued | counted onto it, answered with it |
//! | has an id that is queued | answered with it |
//! | finds the queue full | shed |
//! | is anything else | queued |
//!
//! The mailbox gets one wake token on the edge from "nothing to do" to "something to do" and no other: a million
//! repeats cost a counter. [`Admission`] says what became of a report; callers must look. This is a plain data structure
//! without lock, clock or channel of its own, so that every schedule of it can be tried (`tests/intake_schedules.rs`);
//! [`super::seat::Seat`] puts the lock around it and casts the wake token.
//!
//! Invariants: never more than [`REPORTS_MAX`] reports, [`COMMANDS_MAX`] commands and [`TURNS_MAX`] requests queued; something to do implies a
//! token that is posted or an actor that is at work.

mod hints;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use hints::Hints;

use crate::domain::{
    Answer, FailureId, FailureKind, Generation, LogPosition, Model, Report, ReportId, Reporter, SourceId, Stamp,
    Steady, SubscriptionName, Trust, TurnId, Wall, Window,
};
use crate::machine::agent::{Command, LAST_WORDS, Reply, Ticket};
use crate::machine::turns::TurnRequest;

/// Reports that wait for the actor, at most.
pub const REPORTS_MAX: usize = 256;

/// Operators' commands that wait for the actor, at most.
pub const COMMANDS_MAX: usize = 32;

/// Requests about turns that wait for the actor, at most.
pub const TURNS_MAX: usize = 16_384;

/// Requests about turns that the actor takes in one go, at most.
const TURNS_TAKEN: usize = 512;

/// Answers that are kept for repeats, at most.
const SETTLED_MAX: usize = 16;

/// How long an answer serves repeats before the machine is asked again.
const SETTLED_FOR: Duration = Duration::from_secs(30);

/// A line of an agent's text is a repeat of one that was written in the same stretch of so long: whether it was among the
/// last words of its process goes by the time of the first of them, which must not be much older than the last.
const SAID_AT_ONCE: Duration = Duration::from_secs(LAST_WORDS.as_secs() / 2);

/// How soon counted repeats are written down.
pub const FLUSH_AFTER: Duration = Duration::from_millis(800);

/// Ids of reports are remembered this long, and at most so many of them.
pub const IDS_FOR: Duration = Duration::from_secs(24 * 3600);
/// See [`IDS_FOR`].
pub const IDS_MAX: usize = 10_000;

/// The answer to a report, when it has one; `Err` means that it could not be written down, and nothing was done.
pub type Answered = Option<Result<Answer, NotRecorded>>;

/// The store could not take it: nothing was recorded and nothing will be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the report could not be recorded")]
pub struct NotRecorded;

/// What became of a report.
#[must_use]
#[derive(Debug)]
pub enum Admission {
    /// It waits for the actor.
    Queued(watch::Receiver<Answered>),
    /// It was counted onto one that waits, or repeats the id of one that does; `is_duplicate` tells which.
    Coalesced {
        /// The answer of the one that waits.
        answer: watch::Receiver<Answered>,
        /// True if it is the same report, by id.
        is_duplicate: bool,
    },
    /// It was counted onto one that was answered a moment ago.
    Settled(Box<Answer>),
    /// Its id was answered before: the first answer is in the store.
    Known,
    /// The ids of this agent must be loaded first ([`Intake::install_ids`]), then it can be posted again.
    IdsNeeded,
    /// Its id was used for another body.
    IdReused,
    /// The queue is full.
    Shed,
}

/// What makes two reports without id the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: FailureKind,
    subscription: Option<SubscriptionName>,
    generation: Option<Generation>,
    /// A switch waits for no turn that has failed: each has to be heard of.
    turn: Option<TurnId>,
    stamp: Stamp,
    model: Option<Model>,
    window: Window,
    /// To the minute: a relative reset is never twice the same to the millisecond.
    reset_minute: Option<i64>,
    reporter: Reporter,
    /// How far it is believed: a line of text and what bears it out are two things.
    weight: (Trust, bool),
    /// Whether somebody told it, or it was read: what is told in two ways is two signs.
    was_told: bool,
    /// Of text that needs a second sign: when it was written, in stretches of [`SAID_AT_ONCE`].
    stretch: Option<i64>,
    /// Where it was read: a count that is written down takes the place of one part of one source along.
    place: Option<(SourceId, String)>,
}

impl Key {
    fn of(report: &Report, stamp: &Stamp, now: Steady) -> Self {
        let is_claim = report.trust == Trust::Text && report.reporter == Reporter::Agent;
        let at = report.observed_at.map_or_else(|| i64::try_from(now.0).unwrap_or(i64::MAX), |at| at.0);
        let length = i64::try_from(SAID_AT_ONCE.as_millis()).unwrap_or(i64::MAX);
        Self {
            kind: report.kind,
            subscription: report.subscription.clone(),
            generation: report.generation,
            turn: report.turn.clone(),
            stamp: stamp.clone(),
            model: report.model.clone(),
            window: report.window,
            reset_minute: report.reset_at.map(|at| at.0.div_euclid(60_000)),
            reporter: report.reporter,
            weight: (report.trust, report.is_hearsay),
            was_told: report.was_told(),
            stretch: is_claim.then(|| at.div_euclid(length)),
            place: report.read_to.as_ref().map(|at| (at.source().clone(), at.part().to_owned())),
        }
    }
}

/// A report that waits for the actor.
#[derive(Debug)]
pub struct Posted {
    /// Whom to answer.
    pub ticket: Ticket,
    /// What is reported.
    pub report: Box<Report>,
    /// The digest of its body.
    pub digest: u64,
    /// Whose failure it seemed to be when it arrived.
    pub stamp: Stamp,
    /// How many reports it stands for.
    pub count: u64,
    key: Option<Key>,
    answer: watch::Sender<Answered>,
}

/// A command that waits for the actor.
#[derive(Debug)]
pub struct Ordered {
    /// Whom to answer.
    pub ticket: Ticket,
    /// What is wanted.
    pub command: Command,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Option<Reply>>,
}

/// A request about a turn that waits for the actor.
#[derive(Debug)]
pub struct Asked {
    /// Whom to answer.
    pub ticket: Ticket,
    /// What is wanted.
    pub request: TurnRequest,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Option<Reply>>,
}

/// The answer to a request about a turn, when it comes, and the ticket to withdraw it by.
pub type Waited = (Ticket, oneshot::Receiver<Option<Reply>>);

/// What the actor takes away in one go.
#[derive(Debug, Default)]
pub struct Batch {
    /// Commands, served first.
    pub commands: Vec<Ordered>,
    /// Reports, in order of arrival.
    pub reports: Vec<Posted>,
    /// Requests about turns, in order of arrival.
    pub turns: Vec<Asked>,
    /// Callers that have gone.
    pub gone: Vec<Ticket>,
    /// Hints.
    pub hints: Hints,
    /// Whether more waits.
    pub has_more: bool,
}

/// A report without id that was answered, and serves repeats until something changes.
#[derive(Debug)]
struct Settled {
    key: Key,
    answer: Answer,
    at: Steady,
    count: u64,
    is_dirty: bool,
}

/// Ids of reports that were answered and written down.
#[derive(Debug, Default)]
struct Ids {
    newest_last: VecDeque<(u64, Wall)>,
    known: HashMap<u64, u32>,
}

/// The queue in front of one agent.
#[derive(Debug, Default)]
pub struct Intake {
    reports: VecDeque<Posted>,
    commands: VecDeque<Ordered>,
    turns: VecDeque<Asked>,
    gone: Vec<Ticket>,
    hints: Hints,
    settled: Vec<Settled>,
    /// Counts whose answer serves nobody any more and that were not written down yet. As many as reports were handled
    /// since the last flush, at most.
    owed: Vec<(FailureId, u64)>,
    /// How far each source had been read when the last repeat out of it was counted. Written down with the counts: a
    /// line whose count is kept must not be read again.
    counted_to: Vec<LogPosition>,
    waiting_ids: HashMap<ReportId, (u64, watch::Receiver<Answered>)>,
    ids: Option<Box<Ids>>,
    tickets: u64,
    is_wake_posted: bool,
    is_closed: bool,
}

fn hash_of(id: &ReportId) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    id.as_str().hash(&mut hasher);
    hasher.finish()
}

impl Ids {
    fn insert(&mut self, id: &ReportId, at: Wall) {
        let hash = hash_of(id);
        self.newest_last.push_back((hash, at));
        *self.known.entry(hash).or_default() += 1;
        while self.newest_last.len() > IDS_MAX
            || self.newest_last.front().is_some_and(|(_, oldest)| oldest.plus(IDS_FOR) < at)
        {
            let Some((oldest, _)) = self.newest_last.pop_front() else { break };
            if let Some(times) = self.known.get_mut(&oldest) {
                *times -= 1;
                if *times == 0 {
                    self.known.remove(&oldest);
                }
            }
        }
    }

    fn forget(&mut self, id: &ReportId) {
        let hash = hash_of(id);
        self.known.remove(&hash);
        self.newest_last.retain(|(known, _)| *known != hash);
    }
}

impl Intake {
    /// Takes a report in. The flag says whether a wake token is to be cast.
    pub fn post(&mut self, report: Report, digest: u64, stamp: Stamp, now: Steady) -> (Admission, bool) {
        if self.is_closed {
            return (Admission::Shed, false);
        }
        let key = match &report.id {
            Some(id) => {
                if let Some((first, answer)) = self.waiting_ids.get(id) {
                    return if *first == digest {
                        (Admission::Coalesced { answer: answer.clone(), is_duplicate: true }, false)
                    } else {
                        (Admission::IdReused, false)
                    };
                }
                match &self.ids {
                    None => return (Admission::IdsNeeded, false),
                    Some(ids) if ids.known.contains_key(&hash_of(id)) => return (Admission::Known, false),
                    Some(_) => None,
                }
            }
            None => Some(Key::of(&report, &stamp, now)),
        };
        if let Some(key) = &key {
            if let Some(index) = self.settled.iter().position(|settled| &settled.key == key)
                && Duration::from_millis(now.0.saturating_sub(self.settled[index].at.0)) < SETTLED_FOR
            {
                if let Some(position) = report.read_to {
                    self.counted_to.retain(|counted| !position.replaces(counted));
                    self.counted_to.push(position);
                }
                return self.count_settled(index, now);
            }
            if let Some(queued) = self.reports.iter_mut().find(|posted| posted.key.as_ref() == Some(key)) {
                queued.count += 1;
                queued.report.read_to = report.read_to.or(queued.report.read_to.take());
                let admission = Admission::Coalesced { answer: queued.answer.subscribe(), is_duplicate: false };
                return (admission, false);
            }
        }
        if self.reports.len() >= REPORTS_MAX {
            return (Admission::Shed, false);
        }
        if let Some(position) = &report.read_to {
            // Written down with this report, and further on than what was counted before it.
            self.counted_to.retain(|counted| !position.replaces(counted));
        }
        let (sender, receiver) = watch::channel(None);
        if let Some(id) = &report.id {
            self.waiting_ids.insert(id.clone(), (digest, receiver.clone()));
        }
        let ticket = self.ticket();
        let report = Box::new(report);
        self.reports.push_back(Posted { ticket, report, digest, stamp, count: 1, key, answer: sender });
        (Admission::Queued(receiver), self.wake())
    }

    fn count_settled(&mut self, index: usize, now: Steady) -> (Admission, bool) {
        let settled = &mut self.settled[index];
        settled.count += 1;
        let passed = Duration::from_millis(now.0.saturating_sub(settled.at.0));
        let mut answer = settled.answer.clone();
        answer.outcome = answer.outcome.for_repeat();
        answer.retry_after = answer.retry_after.map(|after| after.saturating_sub(passed));
        let is_first = !std::mem::replace(&mut settled.is_dirty, true);
        (Admission::Settled(Box::new(answer)), is_first && self.wake())
    }

    /// Takes a command in; gives it back if too many wait. The flag says whether a wake token is to be cast.
    pub fn order(&mut self, command: Command) -> (Option<oneshot::Receiver<Option<Reply>>>, bool) {
        if self.is_closed || self.commands.len() >= COMMANDS_MAX {
            return (None, false);
        }
        let (reply, receiver) = oneshot::channel();
        let ticket = self.ticket();
        self.commands.push_back(Ordered { ticket, command, reply });
        (Some(receiver), self.wake())
    }

    /// Takes a request about a turn in; `None` if too many wait. The flag says whether a wake token is to be cast.
    pub fn ask(&mut self, request: TurnRequest) -> (Option<Waited>, bool) {
        if self.is_closed || self.turns.len() >= TURNS_MAX {
            return (None, false);
        }
        let (reply, receiver) = oneshot::channel();
        let ticket = self.ticket();
        self.turns.push_back(Asked { ticket, request, reply });
        (Some((ticket, receiver)), self.wake())
    }

    /// Whoever has this ticket has gone. The flag says whether a wake token is to be cast.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        self.gone.push(ticket);
        self.wake()
    }

    /// Takes a hint in. The flag says whether a wake token is to be cast.
    pub fn hint(&mut self, hint: Hints) -> bool {
        self.hints.merge(hint);
        self.wake()
    }

    /// Gives the actor what waits, at most `most` reports; the wake token counts as used up.
    pub fn take(&mut self, most: usize) -> Batch {
        self.is_wake_posted = false;
        let take = most.min(self.reports.len());
        let asked = TURNS_TAKEN.min(self.turns.len());
        // Those who have gone are told of after what they asked for, which may still be in line.
        let gone = if asked == self.turns.len() { std::mem::take(&mut self.gone) } else { Vec::new() };
        Batch {
            commands: self.commands.drain(..).collect(),
            reports: self.reports.drain(..take).collect(),
            turns: self.turns.drain(..asked).collect(),
            gone,
            hints: std::mem::take(&mut self.hints),
            has_more: !self.reports.is_empty() || !self.turns.is_empty(),
        }
    }

    /// Asks for a wake token if none is under way; used by an actor that left something behind.
    pub fn wake(&mut self) -> bool {
        !std::mem::replace(&mut self.is_wake_posted, true)
    }

    /// A new incarnation of the actor begins: the token of the dead one is gone with its mailbox, so it always
    /// gets one of its own.
    pub fn attach(&mut self) {
        self.is_wake_posted = true;
    }

    /// Whether the ids of this agent's reports are known here.
    pub fn has_ids(&self) -> bool {
        self.ids.is_some()
    }

    /// An id whose answer is no longer kept is a new one.
    pub fn forget_id(&mut self, id: &ReportId) {
        if let Some(ids) = &mut self.ids {
            ids.forget(id);
        }
    }

    /// Takes over the ids that the store remembers, oldest first.
    pub fn install_ids(&mut self, ids: &[ReportId], now: Wall) {
        if self.ids.is_none() {
            let mut known = Ids::default();
            for id in ids {
                known.insert(id, now);
            }
            self.ids = Some(Box::new(known));
        }
    }

    /// Hands out the answer to a report that the actor took, after the commit.
    pub fn answer(&mut self, posted: Posted, result: Result<Answer, NotRecorded>, now: Steady, at: Wall) {
        if let Some(id) = &posted.report.id {
            self.waiting_ids.remove(id);
            if let (Ok(_), Some(ids)) = (&result, &mut self.ids) {
                ids.insert(id, at);
            }
        }
        if let (Ok(answer), Some(key)) = (&result, posted.key) {
            if let Some(index) = self.settled.iter().position(|settled| settled.key == key) {
                self.retire(index);
            }
            if self.settled.len() >= SETTLED_MAX {
                self.retire(0);
            }
            let answer = answer.clone();
            self.settled.push(Settled { key, answer, at: now, count: posted.count, is_dirty: false });
        }
        posted.answer.send_replace(Some(result));
    }

    /// An answer makes room; what it has counted is still to be written down.
    fn retire(&mut self, index: usize) {
        let settled = self.settled.remove(index);
        self.owed.extend(settled.answer.failure.filter(|_| settled.is_dirty).map(|failure| (failure, settled.count)));
    }

    /// Something has changed: what was answered before serves no repeat any more. Returns the counts that were not
    /// written down yet.
    pub fn unsettle(&mut self) -> Vec<(FailureId, u64)> {
        let counts = self.counts();
        self.settled.clear();
        counts
    }

    /// The counts that were not written down yet.
    pub fn counts(&mut self) -> Vec<(FailureId, u64)> {
        let dirty = self.settled.iter_mut().filter_map(|settled| {
            let is_dirty = std::mem::replace(&mut settled.is_dirty, false);
            settled.answer.failure.clone().filter(|_| is_dirty).map(|failure| (failure, settled.count))
        });
        std::mem::take(&mut self.owed).into_iter().chain(dirty).collect()
    }

    /// How far sources were read for these counts; to be written down with them, or before any of them.
    pub fn counted_to(&mut self) -> Vec<LogPosition> {
        std::mem::take(&mut self.counted_to)
    }

    /// Whether there are counts that were not written down yet.
    pub fn has_counts(&self) -> bool {
        !self.owed.is_empty() || self.settled.iter().any(|settled| settled.is_dirty)
    }

    /// Takes nothing in any more; what waits is still served.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}
