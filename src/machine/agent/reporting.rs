//! Failure reports: recorded always, answered always, acted on only if they are about the present and believed.

use std::time::Duration;

use super::anywhere::{Inner, inner};
use super::deciding::Deciding;
use super::event::{IgnoreReason, Reply};
use super::phase::{Phase, Ticket, Waiting};
use super::{corroborating, turning};
use crate::domain::{
    AgentRecord, Answer, AnswerSwitch, Change, Cooldown, Deferred, FailureId, FailureKind, FailureRecord, Generation,
    IntentOutcome, Notification, NotifyEvent, Outcome, ParkReason, Report, Sign, Stamp, SubscriptionName, Trouble,
    Wall,
};
use crate::machine::attribution::{Attribution, judge};
use crate::machine::cooldown;
use crate::machine::timer::Timer;

/// How soon ambiguous reports are looked at again whose time came during a switch.
const JUDGE_AGAIN: Duration = Duration::from_secs(5);

/// A cooldown that would end so little later than the known one says nothing new.
const ECHO_WITHIN: Duration = Duration::from_secs(60);

/// A failure of the present assignment: its cooldown is noted, what to do about it is up to the phase.
pub(super) struct Failing {
    /// Whom to answer; absent when a deferred report is judged, which was answered long ago.
    pub(super) waiting: Waited,
    /// What has failed; absent for an agent without an assignment.
    pub(super) subscription: Option<SubscriptionName>,
    /// The cooldown it causes.
    pub(super) cooldown: Option<Cooldown>,
}

/// Who waits for what comes of a failure.
pub(super) enum Waited {
    /// A reporter.
    Reporter(Box<Waiting>),
    /// Nobody: the record of a deferred report is brought up to date.
    Record {
        /// The record.
        failure: FailureId,
        /// The generation it is held against.
        generation: Option<Generation>,
        /// What agreed with it, if it was a line of text.
        agreed: Option<Sign>,
        /// What its record says from now on, if that is something else.
        reason: Option<String>,
    },
}

pub(super) fn handle(d: &mut Deciding<'_>, ticket: Ticket, report: Report, digest: u64, stamp: &Stamp, count: u64) {
    let attribution = judge(stamp, &d.state);
    let id = d.state.next_failure();
    d.save();
    if let Some(position) = report.read_to.clone() {
        // In the same commit: whatever happens next, this line is not read again and not lost.
        d.change(Change::LogRead(d.state.name.clone(), position));
    }
    let (subscription, generation) = whose(d, &attribution, &report);
    let record = FailureRecord {
        id: id.clone(),
        report: report.id.clone().map(|report| (report, digest)),
        at: d.wall(),
        observed_at: report.observed_at,
        kind: report.kind,
        outcome: Outcome::Recorded,
        subscription: subscription.clone(),
        generation,
        turn: report.turn.clone(),
        model: report.model.clone(),
        window: report.window,
        reset_at: report.reset_at,
        reporter: report.reporter,
        sender: report.sender.clone(),
        reason: report.reason.clone(),
        count,
        answer: None,
    };
    let waiting = Box::new(Waiting { ticket, record, stamp: stamp.clone() });
    if let Some(turn) = report.turn.as_ref().filter(|_| report.kind.moves()) {
        turning::has_failed(d, turn);
    }
    if !report.kind.moves() {
        settle(d, Waited::Reporter(waiting), Finding::of(Outcome::Ignored));
        return corroborating::heard(d, &report);
    }
    if let Some(why) = corroborating::silences(d, &report) {
        let mut silent = waiting;
        silent.record.reason = Some(why);
        return settle(d, Waited::Reporter(silent), Finding::of(Outcome::Ignored));
    }
    let is_claim = !corroborating::is_believed(d, &report);
    match attribution {
        Attribution::Stale { .. } => settle(d, Waited::Reporter(waiting), Finding::of(Outcome::Stale)),
        Attribution::Held | Attribution::Ambiguous | Attribution::Current if is_claim => {
            corroborating::claim(d, waiting, report, &attribution);
        }
        // Nobody is moved by it, whatever becomes of the question that is with the pool.
        Attribution::Repeat if is_claim => settle(d, Waited::Reporter(waiting), Finding::of(Outcome::Repeat)),
        Attribution::Held => defer(d, waiting, report, Outcome::Held),
        Attribution::Ambiguous => defer(d, waiting, report, Outcome::Ambiguous),
        Attribution::Repeat if matches!(d.state.phase, Phase::Selecting(_)) => {
            let failing = Failing { waiting: Waited::Reporter(waiting), subscription: None, cooldown: None };
            inner(d, Inner::Failing(Box::new(failing)));
        }
        Attribution::Repeat => settle(d, Waited::Reporter(waiting), Finding::of(Outcome::Repeat)),
        Attribution::Current => {
            let failing = blame(d, &report, id, subscription, Waited::Reporter(waiting));
            inner(d, Inner::Failing(Box::new(failing)));
            corroborating::was_said(d, report.kind);
        }
    }
}

/// Judges the reports that were held until the switch ended.
pub(super) fn judge_held(d: &mut Deciding<'_>) {
    judge_deferred(d, Outcome::Held);
    corroborating::drop_past(d);
}

/// Judges the reports that named nothing and came soon after a switch: now they are the present's (A5).
pub(super) fn judge_ambiguous(d: &mut Deciding<'_>) {
    if d.state.phase.is_moving() {
        // If the switch completes they are about the past; if it does not, they wait for this.
        if d.state.deferred.iter().any(|deferred| deferred.outcome == Outcome::Ambiguous) {
            d.state.timers.set(Timer::Settle, d.now.due_after(JUDGE_AGAIN));
        }
        return d.ignore(IgnoreReason::NotNow);
    }
    let current = d.state.assignment.as_ref().map(|assignment| assignment.generation);
    for deferred in d.state.deferred.iter_mut().filter(|deferred| deferred.outcome == Outcome::Ambiguous) {
        if let Some(generation) = current {
            deferred.stamp = Stamp::Generation(generation);
        }
    }
    judge_deferred(d, Outcome::Ambiguous);
}

/// A switch has completed: what was ambiguous before it is about the past, whichever part of it.
pub(super) fn drop_ambiguous(d: &mut Deciding<'_>) {
    let is_past = |deferred: &Deferred| match deferred.outcome {
        Outcome::Uncorroborated => deferred.stamp == Stamp::Unsettled,
        outcome => outcome == Outcome::Ambiguous,
    };
    let (past, rest): (Vec<Deferred>, Vec<Deferred>) =
        std::mem::take(&mut d.state.deferred).into_iter().partition(is_past);
    d.state.deferred = rest;
    for deferred in past {
        settle(d, Waited::record(deferred.failure, None), Finding::of(Outcome::Stale));
    }
}

impl Waited {
    /// Nobody waits for what comes of this record.
    pub(super) fn record(failure: FailureId, generation: Option<Generation>) -> Self {
        Self::Record { failure, generation, agreed: None, reason: None }
    }
}

fn judge_deferred(d: &mut Deciding<'_>, which: Outcome) {
    let (due, rest): (Vec<Deferred>, Vec<Deferred>) =
        std::mem::take(&mut d.state.deferred).into_iter().partition(|deferred| deferred.outcome == which);
    d.state.deferred = rest;
    for deferred in due {
        let attribution = judge(&deferred.stamp, &d.state);
        let (subscription, generation) = whose(d, &attribution, &deferred.report);
        let waiting = Waited::record(deferred.failure.clone(), generation);
        match attribution {
            Attribution::Current => fail_now(d, &deferred, subscription, waiting),
            Attribution::Held | Attribution::Repeat => settle(d, waiting, Finding::of(Outcome::Repeat)),
            Attribution::Stale { .. } | Attribution::Ambiguous => settle(d, waiting, Finding::of(Outcome::Stale)),
        }
    }
}

/// Acts on a deferred report as on one that has just come in about the present.
pub(super) fn fail_now(
    d: &mut Deciding<'_>,
    deferred: &Deferred,
    subscription: Option<SubscriptionName>,
    waiting: Waited,
) {
    let failing = blame(d, &deferred.report, deferred.failure.clone(), subscription, waiting);
    inner(d, Inner::Failing(Box::new(failing)));
}

/// The subscription and generation that a report is booked on: never another one than it ran on (A3).
pub(super) fn whose(
    d: &Deciding<'_>,
    attribution: &Attribution,
    report: &Report,
) -> (Option<SubscriptionName>, Option<Generation>) {
    match attribution {
        Attribution::Stale { generation, subscription } => {
            (subscription.clone().or_else(|| report.subscription.clone()), *generation)
        }
        Attribution::Held => match d.state.phase.intent() {
            Some(intent) => (Some(intent.to.clone()), Some(intent.generation)),
            None => (report.subscription.clone(), report.generation),
        },
        Attribution::Current if d.state.assignment.is_some() => {
            (d.state.subscription().cloned(), Some(d.state.generation()))
        }
        Attribution::Current | Attribution::Repeat | Attribution::Ambiguous => {
            (report.subscription.clone(), report.generation)
        }
    }
}

/// Notes the cooldown that a failure of the present assignment causes.
fn blame(
    d: &mut Deciding<'_>,
    report: &Report,
    failure: FailureId,
    subscription: Option<SubscriptionName>,
    waiting: Waited,
) -> Failing {
    if report.kind == FailureKind::Auth && is_shadowed(d) {
        // The same trouble once more: what was taken back is not said again.
        return Failing { waiting, subscription, cooldown: None };
    }
    let now = d.wall();
    let known = d.state.trouble.clone();
    // A tool tells of one limit in several records, and not every one of them states the reset: what was stated for this
    // kind of trouble is better than a guess.
    let stated = known.as_ref().filter(|known| known.kind == report.kind).and_then(|known| known.until);
    let report = &Report { reset_at: report.reset_at.or(stated), ..report.clone() };
    let cooldown = subscription
        .as_ref()
        .map(|subscription| cooldown::from_report(&d.state.name, subscription, report, failure.clone(), now, d.policy));
    let until = cooldown.as_ref().map_or_else(
        || cooldown::until(report.kind, report.window, report.reset_at, now, d.policy),
        |cooldown| cooldown.until,
    );
    // Two statements about one subscription: the longer one tells when it is worth coming back.
    let longer = known.as_ref().is_none_or(|known| match (known.until, until) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(known), Some(until)) => until > known.plus(ECHO_WITHIN),
    });
    if longer {
        let observed_at = report.observed_at.unwrap_or(now).min(now);
        d.state.trouble = Some(Trouble { kind: report.kind, failure: Some(failure), observed_at, until });
        d.save();
    }
    let cooldown = cooldown.filter(|cooldown| !is_echo(d, cooldown, known.as_ref()));
    if let (Some(cooldown), FailureKind::Banned) = (&cooldown, report.kind) {
        notify_of_ban(d, cooldown);
    }
    if let Some(cooldown) = &cooldown {
        d.state.noted = Some(cooldown.key.clone());
        d.change(Change::CooldownSet(cooldown.clone()));
    }
    Failing { waiting, subscription, cooldown }
}

/// Whether the agent waits for a person because a key of its own wins over what it is given (E5).
fn is_shadowed(d: &Deciding<'_>) -> bool {
    matches!(d.state.phase, Phase::Parked { reason: ParkReason::CredentialShadowed, .. })
}

/// The account behind a subscription was disabled: only a person can do something about that.
fn notify_of_ban(d: &mut Deciding<'_>, row: &Cooldown) {
    let (now, name) = (d.wall(), &row.subscription);
    let text = format!("the provider has disabled the account of subscription {name}, as {} found", d.state.name);
    let id =
        row.failure.as_ref().map_or_else(|| format!("banned-{name}-{}", now.0), |failure| format!("banned-{failure}"));
    let notification = Notification {
        agent: Some(d.state.name.clone()),
        subscription: Some(name.clone()),
        action: Some(format!(
            "settle it with the provider, then clear the quarantine with `switchman cooldown clear {name}`"
        )),
        ..Notification::new(NotifyEvent::Banned, id, now, text)
    };
    d.change(Change::Notified(notification));
}

/// Whether a cooldown says only what the last one said a moment ago: a burst must not push its end ahead of itself.
fn is_echo(d: &Deciding<'_>, cooldown: &Cooldown, known: Option<&Trouble>) -> bool {
    let is_same = d.state.noted.as_ref() == Some(&cooldown.key);
    let Some(known) = known.filter(|known| is_same && known.kind == cooldown.kind) else { return false };
    match (known.until, cooldown.until) {
        (None, None) => true,
        (Some(known), Some(until)) => until <= known.plus(ECHO_WITHIN),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Keeps a report until it can be judged; beyond the bound the oldest one is answered for good.
fn defer(d: &mut Deciding<'_>, waiting: Box<Waiting>, report: Report, outcome: Outcome) {
    make_room(d);
    let (failure, at, stamp) = (waiting.record.id.clone(), d.wall(), waiting.stamp.clone());
    d.state.deferred.push(Deferred { failure, at, report, stamp, outcome });
    // It may have been handled so late that `settle` is over: then it is judged next.
    if outcome == Outcome::Ambiguous && d.state.timers.get(Timer::Settle).is_none() {
        d.state.timers.set(Timer::Settle, d.now.due_after(Duration::ZERO));
    }
    settle(d, Waited::Reporter(waiting), Finding::of(outcome));
}

/// Before one more is kept, the oldest one goes if there are too many: a line of text first.
pub(super) fn make_room(d: &mut Deciding<'_>) {
    if d.state.deferred.len() >= AgentRecord::DEFERRED_MAX {
        let oldest = d.state.deferred.iter().position(|one| one.outcome == Outcome::Uncorroborated).unwrap_or(0);
        let oldest = d.state.deferred.remove(oldest);
        settle(d, Waited::record(oldest.failure, None), Finding::of(Outcome::Stale));
    }
}

/// What a report came to, with what the reporter needs to know.
pub(super) struct Finding {
    outcome: Outcome,
    retry_after: Option<Duration>,
    earliest_reset: Option<Wall>,
    reason: Option<String>,
}

impl Finding {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, retry_after: None, earliest_reset: None, reason: None }
    }

    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(super) fn until(mut self, at: Option<Wall>, now: Wall) -> Self {
        self.retry_after = at.map(|at| at.since(now));
        self
    }

    pub(super) fn earliest(mut self, at: Option<Wall>) -> Self {
        self.earliest_reset = at;
        self
    }
}

/// Records what a report came to, and answers.
pub(super) fn settle(d: &mut Deciding<'_>, waited: Waited, verdict: Finding) {
    let waiting = match waited {
        Waited::Reporter(waiting) => waiting,
        Waited::Record { failure: id, generation, agreed, reason } => {
            let outcome = verdict.outcome;
            return d.change(Change::FailureJudged { id, outcome, generation, agreed, reason });
        }
    };
    let mut record = waiting.record;
    record.outcome = verdict.outcome;
    let names_switch = matches!(verdict.outcome, Outcome::Switching | Outcome::Repeat | Outcome::Held);
    let switch = d.state.phase.intent().filter(|_| names_switch).map(|intent| AnswerSwitch {
        id: intent.id.clone(),
        from: intent.from.clone(),
        to: intent.to.clone(),
        generation: intent.generation,
        outcome: IntentOutcome::UnderWay,
    });
    let reason = verdict.reason.or_else(|| reason_for(record.kind, record.reason.as_deref()));
    let answer = Answer {
        outcome: verdict.outcome,
        duplicate: false,
        failure: Some(record.id.clone()),
        kind: record.kind,
        agent: d.state.name.clone(),
        subscription: record.subscription.clone(),
        generation: record.generation,
        switch,
        retry_after: verdict.retry_after,
        earliest_reset: verdict.earliest_reset,
        reason,
    };
    record.answer = record.report.is_some().then(|| Box::new(answer.clone()));
    d.change(Change::FailureRecorded(record));
    d.reply(waiting.ticket, Reply::Report(Box::new(answer)));
}

fn reason_for(kind: FailureKind, classified: Option<&str>) -> Option<String> {
    match (kind.moves(), classified) {
        (_, Some(classified)) => Some(classified.to_owned()),
        (false, None) => Some(format!("{kind} never moves an agent")),
        (true, None) => None,
    }
}
