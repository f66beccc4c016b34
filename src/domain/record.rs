//! What is written down: the rows that a step of an agent adds or changes, and everything that is read back.
//!
//! A [`Change`] is one row, not a copy of the state. The store writes the changes of a step in one
//! transaction or none of them; the log and the notifications say what the changes say, after the commit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words::words;
use super::{
    AgentName, Answer, Assignment, Cause, Cooldown, CooldownKey, FailureId, FailureKind, Fingerprint, Generation, Halt,
    Instance, IntentId, IntentOutcome, LogPosition, Model, Origin, Outcome, Plan, Reading, Report, ReportId, Reporter,
    SessionRecord, Sign, Stamp, SubscriptionName, Trust, Turn, TurnEnded, TurnId, TurnsRecord, Wall, Window,
};

/// One row to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A failure was reported.
    FailureRecorded(FailureRecord),
    /// Identical reports were counted onto a recorded failure.
    FailureCounted {
        /// The failure.
        id: FailureId,
        /// How many reports it stands for in all.
        count: u64,
    },
    /// A failure whose judgement waited has been judged.
    FailureJudged {
        /// The failure.
        id: FailureId,
        /// What it came to.
        outcome: Outcome,
        /// The generation it was held against in the end.
        generation: Option<Generation>,
        /// What agreed with it, if it was a line of text and something did.
        agreed: Option<Sign>,
        /// The reason in words from now on; `None` leaves it as it is.
        reason: Option<String>,
    },
    /// A subscription is not to be used; replaces the row of the same key.
    CooldownSet(Cooldown),
    /// A cooldown was ended before its time.
    CooldownLifted(CooldownKey),
    /// An intent begins; its generation is taken from now on.
    IntentOpened(Intent),
    /// The credential is delivered; this life of the agent is the one that must end.
    IntentDelivered {
        /// The intent.
        id: IntentId,
        /// When.
        at: Wall,
        /// The life that was seen after the delivery; absent if the agent did not run.
        before: Option<Instance>,
    },
    /// An intent has ended.
    IntentClosed(IntentEnd),
    /// A new assignment is current. Refused by the store unless it follows `replaces`.
    Assigned {
        /// Whose.
        agent: AgentName,
        /// The assignment.
        assignment: Assignment,
        /// The generation that was current before; `Generation::NONE` for the first one.
        replaces: Generation,
    },
    /// The agent's attributes; replaces the whole row.
    AgentSaved(AgentName, Box<Attributes>),
    /// Something to tell people.
    Notified(Notification),
    /// The agent's log has been read up to here.
    LogRead(AgentName, LogPosition),
    /// The credential that a subscription has now.
    CredentialSeen(SubscriptionName, Fingerprint),
    /// What was read of a window; replaces the row of the same window and the same word.
    ReadingTaken(Reading),
    /// Nothing is switched by itself from now on.
    Halted(Halt),
    /// A person has seen it, and automatic switching goes on.
    HaltLifted(Wall),
    /// A turn was granted.
    TurnBegun {
        /// The turn.
        turn: Box<Turn>,
        /// How long its caller had waited.
        waited: Duration,
    },
    /// What is known of a turn has changed; replaces the row.
    TurnChanged(Box<Turn>),
    /// A turn has ended.
    TurnEnded {
        /// The turn, as it was.
        turn: Box<Turn>,
        /// How it ended.
        ended: TurnEnded,
    },
    /// What is to be remembered of a session; replaces the row, which is the newest of the agent from now on.
    SessionSaved(AgentName, SessionRecord),
}

/// A recorded failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    /// Its identity.
    pub id: FailureId,
    /// The reporter's id and the digest of the body, if it gave one.
    pub report: Option<(ReportId, u64)>,
    /// When it was recorded.
    pub at: Wall,
    /// When it happened, if the reporter said so.
    pub observed_at: Option<Wall>,
    /// What it means.
    pub kind: FailureKind,
    /// What became of it.
    pub outcome: Outcome,
    /// The subscription it ran on, if that is known.
    pub subscription: Option<SubscriptionName>,
    /// The generation it ran in, if that is known.
    pub generation: Option<Generation>,
    /// The turn that it names.
    pub turn: Option<TurnId>,
    /// The model it is about.
    pub model: Option<Model>,
    /// The window that is used up.
    pub window: Window,
    /// When the limit is said to end.
    pub reset_at: Option<Wall>,
    /// Whose word it is.
    pub reporter: Reporter,
    /// Who sent it.
    pub sender: String,
    /// The reason in words.
    pub reason: Option<String>,
    /// How many identical reports it stands for.
    pub count: u64,
    /// The first answer, kept for reports with an id.
    pub answer: Option<Box<Answer>>,
}

impl FailureRecord {
    /// What waits for a judgement, read back from its record alone. A held one is about the generation that it is booked
    /// on; the life it was seen in is forgotten. Text waits as a claim and in no other way, so the outcome says what it is.
    #[must_use]
    pub fn deferred(self) -> Deferred {
        let is_claim = self.outcome == Outcome::Uncorroborated;
        let stamp = match (self.outcome, self.generation) {
            (Outcome::Held | Outcome::Uncorroborated, Some(generation)) => Stamp::Generation(generation),
            _ => Stamp::Unsettled,
        };
        let report = Report {
            id: self.report.map(|(id, _)| id),
            kind: self.kind,
            subscription: self.subscription,
            generation: self.generation,
            turn: self.turn,
            model: self.model,
            window: self.window,
            reset_at: self.reset_at,
            trust: if is_claim { Trust::Text } else { Trust::Structured },
            is_hearsay: false,
            observed_at: self.observed_at,
            origin: Origin::Untold,
            read_to: None,
            reporter: self.reporter,
            sender: self.sender,
            reason: self.reason,
        };
        Deferred { failure: self.id, at: self.at, report, stamp, outcome: self.outcome }
    }
}

/// A decision to do something to an agent, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its identity; also the attempt id that drivers see.
    pub id: IntentId,
    /// What it is for.
    pub plan: Plan,
    /// The generation it brings about.
    pub generation: Generation,
    /// Where the agent was.
    pub from: Option<SubscriptionName>,
    /// Where it goes.
    pub to: SubscriptionName,
    /// Why.
    pub cause: Cause,
    /// When the failure behind it was observed, or the intent asked for.
    pub observed_at: Wall,
    /// When it was opened.
    pub started_at: Wall,
    /// The turn whose work it ends, if it is a fence.
    pub turn: Option<TurnId>,
}

/// How an intent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentEnd {
    /// Which one.
    pub id: IntentId,
    /// How.
    pub outcome: IntentOutcome,
    /// When.
    pub finished_at: Wall,
    /// When its steps ended.
    pub marks: IntentMarks,
    /// Turns that were cut off.
    pub turns_cut_off: u32,
    /// Effective restarts: 0 or 1.
    pub restarts: u32,
    /// Why it ended so, where the outcome does not say it all.
    pub reason: Option<String>,
}

/// When the steps of an intent ended, as far as they were reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntentMarks {
    /// Nothing holds it up any more: turns have ended, the preflight has passed.
    pub drained_at: Option<Wall>,
    /// The credential is in place.
    pub delivered_at: Option<Wall>,
    /// The agent was started again.
    pub applied_at: Option<Wall>,
}

/// An intent as the history shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentRecord {
    /// What was decided.
    pub intent: Intent,
    /// How it ended; `None` while it is under way.
    pub end: Option<IntentEnd>,
}

words! {
    /// Why an agent waits for a person.
    pub enum ParkReason ("park reason") {
        /// Three switches in a row could not be applied.
        ApplyFailed = "apply_failed",
        /// The agent's own actor failed too often.
        Crashed = "crashed",
        /// Two logins in a row were refused that nobody else finds refused: a key in the agent's own environment or
        /// files seems to win over what it is given.
        CredentialShadowed = "credential_shadowed",
    }
}

/// Where an agent rests while no intent is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It works, or waits to be moved.
    Serving,
    /// Nobody to move to, since then.
    Exhausted {
        /// Since when.
        since: Wall,
        /// When the first subscription comes back, if that is known.
        earliest: Option<Wall>,
    },
    /// It waits for a person.
    Parked {
        /// Why.
        reason: ParkReason,
        /// Since when.
        since: Wall,
    },
}

/// "Observe and record, but do not act."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself; `None` until someone resumes.
    pub until: Option<Wall>,
}

/// What the agent knows of the trouble with the subscription it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong.
    pub kind: FailureKind,
    /// The failure that said so; absent if an operator did.
    pub failure: Option<FailureId>,
    /// When it was observed.
    pub observed_at: Wall,
    /// When it ends; `None` if it ends only by a change from outside.
    pub until: Option<Wall>,
}

/// The small facts about an agent that are written as one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Where it rests.
    pub rest: Rest,
    /// The trouble with its present subscription.
    pub trouble: Option<Trouble>,
    /// When it wakes by itself.
    pub wake_at: Option<Wall>,
    /// The pause, if it is paused.
    pub pause: Option<Pause>,
    /// The subscription it is pinned to.
    pub pin: Option<SubscriptionName>,
    /// The highest generation ever issued.
    pub issued: Generation,
    /// How many failures were recorded.
    pub failures: u64,
    /// How many intents were opened.
    pub intents: u64,
    /// Switches in a row that could not be applied.
    pub apply_failures: u32,
    /// Targets that are not to be picked for this agent, and until when.
    pub exclusions: BTreeMap<SubscriptionName, Wall>,
    /// When the last switch of the agent completed.
    pub switched_at: Option<Wall>,
    /// What the credential is known by that it was given with its assignment.
    pub credential: Option<Fingerprint>,
    /// The life that ran on the assignment before, as it was last seen.
    pub replaced: Option<Instance>,
}

impl Attributes {
    /// Those of an agent of which no more is known than the highest numbers that were given out.
    #[must_use]
    pub fn fresh(issued: Generation, failures: u64, intents: u64) -> Self {
        Self {
            rest: Rest::Serving,
            trouble: None,
            wake_at: None,
            pause: None,
            pin: None,
            issued,
            failures,
            intents,
            apply_failures: 0,
            exclusions: BTreeMap::new(),
            switched_at: None,
            credential: None,
            replaced: None,
        }
    }
}

/// A generation that was issued and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The number.
    pub generation: Generation,
    /// The subscription it was issued for.
    pub subscription: SubscriptionName,
    /// Whether it ever became current.
    pub is_used: bool,
}

/// A failure whose judgement waits for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// Its record.
    pub failure: FailureId,
    /// When it was recorded.
    pub at: Wall,
    /// What was reported.
    pub report: Report,
    /// How it was stamped.
    pub stamp: Stamp,
    /// `Held`, `Ambiguous` or `Uncorroborated`.
    pub outcome: Outcome,
}

/// An intent that has not ended, as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// What was decided.
    pub intent: Intent,
    /// Present once the credential was delivered: when, and the life that had to end.
    pub delivered: Option<(Wall, Option<Instance>)>,
    /// Turns that it has cut off so far.
    pub cut_off: u32,
}

/// Everything durable about an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// The attributes.
    pub attributes: Attributes,
    /// The current assignment.
    pub assignment: Option<Assignment>,
    /// The newest generations, oldest first, at most [`AgentRecord::ISSUED_MAX`].
    pub issued: Vec<Issued>,
    /// The intent that is open.
    pub open: Option<OpenIntent>,
    /// When the newest switches began that nobody asked for, oldest first, at most
    /// [`AgentRecord::BUDGET_MAX`].
    pub budget: Vec<Wall>,
    /// Failures whose judgement waits, oldest first.
    pub deferred: Vec<Deferred>,
    /// The newest intent that has ended.
    pub last: Option<IntentRecord>,
    /// Its turns.
    pub turns: TurnsRecord,
}

impl AgentRecord {
    /// Older generations are stale beyond doubt; their subscription is looked up in the history.
    pub const ISSUED_MAX: usize = 64;
    /// More switches than this within one budget span are never allowed.
    pub const BUDGET_MAX: usize = 100;
    /// More reports than this are not kept waiting for a judgement.
    pub const DEFERRED_MAX: usize = 64;
}

words! {
    /// What a notification is about.
    pub enum NotifyEvent ("event") {
        /// An agent was moved.
        Switch = "switch",
        /// An agent has nobody to move to.
        Exhausted = "exhausted",
        /// An agent waits for a person.
        Parked = "parked",
        /// A trouble that was told is over.
        Recovered = "recovered",
        /// An agent has used up its switches, or its fences.
        Braked = "braked",
        /// A provider has disabled an account.
        Banned = "banned",
        /// The engine is lost, or back.
        Engine = "engine",
        /// An agent that was exhausted goes on.
        Woken = "woken",
        /// The login of a subscription ends soon.
        LoginExpiring = "login_expiring",
        /// Automatic switching was halted.
        Halted = "halted",
        /// Automatic switching goes on.
        Resumed = "resumed",
        /// A turn was begun.
        TurnBegun = "turn_begun",
        /// The work of a turn had to be ended.
        Fenced = "fenced",
    }
}

/// Something to tell people, exactly as often as it happens: the id is the event's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Stable: the same event has the same id, however often it is sent.
    pub id: String,
    /// What it is about.
    pub event: NotifyEvent,
    /// When it happened.
    pub at: Wall,
    /// Whom it is about; `None` if it is about no single agent.
    pub agent: Option<AgentName>,
    /// Where the agent is now or was last; without an agent, the subscription it is about.
    pub subscription: Option<SubscriptionName>,
    /// Its generation.
    pub generation: Option<Generation>,
    /// The intent behind it.
    pub intent: Option<IntentId>,
    /// What happened and what was done about it, in a sentence or two for people.
    pub text: String,
    /// What a person should do; `None` if nothing.
    pub action: Option<String>,
    /// Whether it says that the trouble it names is over. Events that can say nothing else need not say so.
    pub is_over: bool,
}

impl Notification {
    /// One about nothing in particular yet: who it is about, and what a person should do, are filled in by whoever knows.
    #[must_use]
    pub fn new(event: NotifyEvent, id: String, at: Wall, text: String) -> Self {
        Self {
            id,
            event,
            at,
            agent: None,
            subscription: None,
            generation: None,
            intent: None,
            text,
            action: None,
            is_over: false,
        }
    }
}
