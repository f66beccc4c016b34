//! Text needs a second sign: anything in an agent can print a line that looks like a limit.
//!
//! A report that is only text, and would move the agent, is a *claim*. It is recorded and answered `uncorroborated`, and
//! waits among the deferred reports, on disk, for at most [`WINDOW`]:
//!
//! | what happens | what becomes of the claim |
//! |---|---|
//! | the life that wrote it ends by itself within [`LAST_WORDS`], with whatever code | judged: its last words were true |
//! | that life is killed, or told to stop | dropped: whatever its last words were (C3) |
//! | a turn fails in which it was written, and nobody says that something else is to blame | judged |
//! | the same kind is reported in another way: by the API, or as a record of the tool's | judged |
//! | another agent says the same of the same subscription | judged |
//! | a turn ends well that began after it, or that alone ran when it was written | dropped: the subscription serves |
//! | the agent comes to another generation | dropped: it is about the past |
//! | nothing, for [`WINDOW`] | dropped |
//! | the config says `text = "trusted"`, or `"off"` | judged, or dropped |
//!
//! Judged is what a deferred report is: held against the state as it is then. One about the generation being applied is
//! held from then on, and judged once more when that is there (A7). Of several kinds of claims the end of a life or turn
//! is about the newest: last words count. Repeats of a line are one sign.
//!
//! It must not believe kills: they never agree with anything.
//!
//! Tests: `tests/trust_rules.rs`, `tests/transition_table.rs`.

use std::time::Duration;

use super::deciding::Deciding;
use super::event::IgnoreReason;
use super::phase::Waiting;
use super::reporting::{self, Finding, Waited};
use super::signs::{Ran, Signs};
use super::state::AgentState;
use crate::domain::{
    Deferred, Due, FailureKind, Moment, Outcome, Report, Reporter, Sign, Stamp, SubscriptionName, Trust, Turn, Wall,
};
use crate::machine::attribution::{Attribution, judge};
use crate::machine::policy::TextPolicy;
use crate::machine::timer::Timer;

/// How far two signs of one failure may lie apart.
pub const WINDOW: Duration = Duration::from_secs(120);

/// How long before its process ended by itself an agent may have said something that counts as its last words; both by
/// their own times, whichever is heard of first. What was said earlier was survived, so the end says nothing about it.
pub const LAST_WORDS: Duration = Duration::from_secs(10);

/// Claims that wait at the same time, at most: the oldest goes.
const CLAIMS_MAX: usize = 16;

/// What the reporter of a claim is told.
const WAITS: &str = "it is text, and moves the agent only if a second sign agrees within 2 min: its process ends by \
                     itself within 10 s, a turn fails, it is reported in another way, or another agent on the subscription says the same";

/// Why a report says nothing, whatever it is about; with what was known of it before.
pub(super) fn silences(d: &Deciding<'_>, report: &Report) -> Option<String> {
    let is_off = report.trust == Trust::Text && !is_trusted(report) && d.policy.text == TextPolicy::Off;
    let why =
        if report.is_hearsay { Some("it is only repeated there, and moves nobody") } else { is_off.then_some(OFF) };
    why.map(|why| with(report, why))
}

/// A trusted reporter that passes on text has seen the failure: that is the second sign.
fn is_trusted(report: &Report) -> bool {
    report.reporter == Reporter::Trusted
}

/// Whether a report is acted on at once.
pub(super) fn is_believed(d: &Deciding<'_>, report: &Report) -> bool {
    // Whoever names a turn says that it has failed.
    let has_second_sign = is_trusted(report) || report.turn.is_some();
    report.trust == Trust::Structured || d.policy.text == TextPolicy::Trusted || has_second_sign
}

/// Takes a claim in. What agrees with it, or speaks against it, may have happened before it was read.
pub(super) fn claim(d: &mut Deciding<'_>, waiting: Box<Waiting>, report: Report, attribution: &Attribution) {
    let stamp = match (waiting.record.generation, attribution) {
        (Some(generation), _) => Stamp::Generation(generation),
        (None, Attribution::Ambiguous) => Stamp::Unsettled,
        (None, _) => Stamp::Unassigned,
    };
    let (failure, at, kind, was_told) = (waiting.record.id.clone(), d.wall(), report.kind, report.was_told());
    reporting::settle(d, Waited::Reporter(waiting), Finding::of(Outcome::Uncorroborated).because(WAITS));
    if d.state.claims().count() >= CLAIMS_MAX {
        let oldest = d.state.claims().next().map(|claim| claim.failure.clone());
        drop_those(d, "too many others wait", |claim| Some(&claim.failure) == oldest.as_ref());
    }
    reporting::make_room(d);
    let claim = Deferred { failure: failure.clone(), at, report, stamp, outcome: Outcome::Uncorroborated };
    let written = written(&claim);
    d.state.deferred.push(claim);
    arm(d);
    let is_it = |claim: &Deferred| claim.failure == failure;
    if d.state.signs.is_disproved(written, &running(d)) {
        return drop_those(d, "a turn has ended well since", is_it);
    }
    match end_of(&d.state.signs, written) {
        Some(true) => return drop_those(d, KILLED, is_it),
        Some(false) => return agree(d, Sign::Exit, is_it),
        None => {}
    }
    if d.state.signs.has_failed_around(written, WINDOW) {
        return agree(d, Sign::Turn, is_it);
    }
    // Said by the agent's output and by somebody besides: two ways.
    if d.state.claims().any(|other| other.report.kind == kind && other.report.was_told() != was_told) {
        agree(d, Sign::Report, |claim| claim.report.kind == kind);
    }
}

const OFF: &str = "text of this agent says nothing (`text = \"off\"`)";
const KILLED: &str = "the agent was killed or told to stop";

/// When a claim was written, as far as is known.
fn written(claim: &Deferred) -> Wall {
    claim.report.observed_at.map_or(claim.at, |observed| observed.min(claim.at))
}

/// How the life ended that wrote something at this time: whether it was killed. `None` if that says nothing about it.
fn end_of(signs: &Signs, written: Wall) -> Option<bool> {
    let (at, was_killed) = signs.end_after(written)?;
    let within = if was_killed { WINDOW } else { LAST_WORDS };
    (at <= written.plus(within)).then_some(was_killed)
}

/// When the turns began in which work is done now.
fn running(d: &Deciding<'_>) -> Vec<Wall> {
    d.state.turns.turns().filter(|turn| turn.is_taken).map(|turn| turn.begun_at).collect()
}

/// A life of the agent has ended.
pub(super) fn ended(d: &mut Deciding<'_>, at: Wall, was_killed: bool) {
    d.state.signs.note_end(at, was_killed);
    // Each claim is about the first end after it.
    let signs = d.state.signs.clone();
    let is_killed = |claim: &Deferred| end_of(&signs, written(claim)) == Some(true);
    drop_those(d, KILLED, is_killed);
    let ended = |claim: &Deferred| end_of(&signs, written(claim)) == Some(false);
    agree_with_newest(d, Sign::Exit, ended);
}

/// A turn of the agent has failed.
pub(super) fn failed(d: &mut Deciding<'_>, turn: &Turn) {
    if d.state.signs.is_explained(turn.id.number) {
        return;
    }
    let now = d.wall();
    d.state.signs.note_failed(turn.begun_at, now);
    let begun = turn.begun_at;
    agree_with_newest(d, Sign::Turn, |claim| written(claim) >= begun);
}

/// A turn of the agent has ended, for whatever reason: what was written in it is not of another one.
pub(super) fn ran(d: &mut Deciding<'_>, turn: &Turn) {
    if turn.is_taken {
        let ran = ran_until_now(d, turn);
        d.state.signs.note_ran(ran);
    }
}

/// A turn of the agent has ended well: the subscription serves it. Others that ran beside it may have failed all the same.
pub(super) fn succeeded(d: &mut Deciding<'_>, turn: &Turn) {
    let ran = ran_until_now(d, turn);
    d.state.signs.note_success(ran);
    let (signs, running) = (d.state.signs.clone(), running(d));
    drop_those(d, "a turn has ended well since", |claim| signs.disproves(&ran, written(claim), &running));
}

fn ran_until_now(d: &Deciding<'_>, turn: &Turn) -> Ran {
    Ran { number: turn.id.number, begun: turn.begun_at, ended: d.wall() }
}

/// A report that moves nobody may say that a turn has failed, and why: only if nobody knows why, it is a sign.
pub(super) fn heard(d: &mut Deciding<'_>, report: &Report) {
    let Some(turn) = &report.turn else { return };
    match report.kind {
        FailureKind::Unknown => {
            let begun = d.state.turns.turn(turn.number).map(|turn| turn.begun_at);
            agree_with_newest(d, Sign::Turn, |claim| begun.is_some_and(|begun| written(claim) >= begun));
        }
        FailureKind::Overload | FailureKind::Network | FailureKind::Killed | FailureKind::Request => {
            d.state.signs.note_explained(turn.number);
        }
        FailureKind::RateLimit
        | FailureKind::Auth
        | FailureKind::Billing
        | FailureKind::Entitlement
        | FailureKind::Banned => {}
    }
}

/// The same was said in a way that is believed, and has been acted on: claims of this kind say what they know as well.
pub(super) fn was_said(d: &mut Deciding<'_>, kind: FailureKind) {
    agree(d, Sign::Report, |claim| claim.report.kind == kind);
}

/// Another agent says the same.
pub(super) fn agreed(d: &mut Deciding<'_>, subscription: &SubscriptionName, kind: FailureKind) {
    let is_it = d.state.subscription() == Some(subscription);
    if !is_it || !d.state.claims().any(|claim| claim.report.kind == kind) {
        return d.ignore(IgnoreReason::NothingNew);
    }
    let generation = d.state.generation();
    agree(d, Sign::Agent, |claim| claim.report.kind == kind && claim.stamp == Stamp::Generation(generation));
}

/// The config may say something else of text now.
pub(super) fn reconfigured(d: &mut Deciding<'_>) {
    match d.policy.text {
        TextPolicy::Corroborated => {}
        TextPolicy::Trusted => agree(d, Sign::Config, |_| true),
        TextPolicy::Off => drop_those(d, OFF, |_| true),
    }
}

/// Claims that have waited long enough go.
pub(super) fn expire(d: &mut Deciding<'_>) {
    let now = d.wall();
    drop_those(d, "nothing agreed with it within 2 min", |claim| claim.at.plus(WINDOW) <= now);
    arm(d);
}

/// What is about another generation than the present one, or the one being applied, is about the past.
pub(super) fn drop_past(d: &mut Deciding<'_>) {
    let is_past = |claim: &Deferred, state: &AgentState| match judge(&claim.stamp, state) {
        Attribution::Stale { .. } => true,
        Attribution::Current | Attribution::Held | Attribution::Repeat | Attribution::Ambiguous => false,
    };
    for claim in take(d, |claim, state| is_past(claim, state)) {
        let generation = match judge(&claim.stamp, &d.state) {
            Attribution::Stale { generation, .. } => generation,
            Attribution::Current | Attribution::Held | Attribution::Repeat | Attribution::Ambiguous => None,
        };
        reporting::settle(d, Waited::record(claim.failure, generation), Finding::of(Outcome::Stale));
    }
}

/// After a restart of the daemon claims wait for what is left of their time.
pub(super) fn restore(state: &mut AgentState, now: Moment) {
    let is_unassigned = state.assignment.is_none();
    for claim in state.deferred.iter_mut().filter(|claim| is_claim(claim)) {
        if is_unassigned && claim.stamp == Stamp::Unsettled {
            claim.stamp = Stamp::Unassigned;
        }
    }
    if let Some(due) = next_due(state, now) {
        state.timers.set(Timer::Claims, due);
    }
}

fn is_claim(deferred: &Deferred) -> bool {
    deferred.outcome == Outcome::Uncorroborated
}

fn next_due(state: &AgentState, now: Moment) -> Option<Due> {
    let ends = state.claims().map(|claim| claim.at.plus(WINDOW)).min()?;
    Some(now.due_after(ends.since(now.wall).min(WINDOW)))
}

fn arm(d: &mut Deciding<'_>) {
    match next_due(&d.state, d.now) {
        Some(due) => d.state.timers.set(Timer::Claims, due),
        None => d.state.timers.stop(Timer::Claims),
    }
}

fn take(d: &mut Deciding<'_>, which: impl Fn(&Deferred, &AgentState) -> bool) -> Vec<Deferred> {
    let is_taken: Vec<bool> = d.state.deferred.iter().map(|one| is_claim(one) && which(one, &d.state)).collect();
    let mut taken = Vec::new();
    let mut rest = Vec::new();
    for (deferred, is_taken) in std::mem::take(&mut d.state.deferred).into_iter().zip(is_taken) {
        if is_taken { taken.push(deferred) } else { rest.push(deferred) }
    }
    d.state.deferred = rest;
    if !taken.is_empty() {
        arm(d);
    }
    taken
}

/// These claims come to nothing.
fn drop_those(d: &mut Deciding<'_>, why: &str, which: impl Fn(&Deferred) -> bool) {
    for claim in take(d, |claim, _| which(claim)) {
        let (attribution, reason) = (judge(&claim.stamp, &d.state), with(&claim.report, why));
        let (_, generation) = reporting::whose(d, &attribution, &claim.report);
        let waited = Waited::Record { failure: claim.failure, generation, agreed: None, reason: Some(reason) };
        reporting::settle(d, waited, Finding::of(Outcome::Ignored));
    }
}

/// Of these claims those of the kind of the newest one are believed.
fn agree_with_newest(d: &mut Deciding<'_>, sign: Sign, which: impl Fn(&Deferred) -> bool) {
    let newest =
        d.state.claims().filter(|claim| which(claim)).max_by_key(|claim| (written(claim), claim.failure.number));
    if let Some(kind) = newest.map(|claim| claim.report.kind) {
        agree(d, sign, |claim| claim.report.kind == kind && which(claim));
    }
}

/// These claims are believed: each is judged as a deferred report is.
fn agree(d: &mut Deciding<'_>, sign: Sign, which: impl Fn(&Deferred) -> bool) {
    for mut claim in take(d, |claim, _| which(claim)) {
        let reason = with(&claim.report, &format!("corroborated: {}", words(sign)));
        claim.report.trust = Trust::Structured;
        claim.report.reason = Some(reason.clone());
        let attribution = judge(&claim.stamp, &d.state);
        let (subscription, generation) = reporting::whose(d, &attribution, &claim.report);
        let waited =
            Waited::Record { failure: claim.failure.clone(), generation, agreed: Some(sign), reason: Some(reason) };
        match attribution {
            Attribution::Current => reporting::fail_now(d, &claim, subscription, waited),
            Attribution::Held => wait_on(d, claim, waited, Outcome::Held),
            Attribution::Ambiguous => {
                if d.state.timers.get(Timer::Settle).is_none() {
                    d.state.timers.set(Timer::Settle, d.now.due_after(Duration::ZERO));
                }
                wait_on(d, claim, waited, Outcome::Ambiguous);
            }
            Attribution::Repeat => reporting::settle(d, waited, Finding::of(Outcome::Repeat)),
            Attribution::Stale { .. } => reporting::settle(d, waited, Finding::of(Outcome::Stale)),
        }
    }
}

/// It is believed, and waits for a switch, or for its settling, as any report does.
fn wait_on(d: &mut Deciding<'_>, claim: Deferred, waited: Waited, outcome: Outcome) {
    let at = d.state.deferred.partition_point(|other| other.failure.number < claim.failure.number);
    d.state.deferred.insert(at, Deferred { outcome, ..claim });
    reporting::settle(d, waited, Finding::of(outcome));
}

fn with(report: &Report, why: &str) -> String {
    report.reason.as_deref().map_or_else(|| why.to_owned(), |reason| format!("{reason}; {why}"))
}

const fn words(sign: Sign) -> &'static str {
    match sign {
        Sign::Exit => "the agent's process ended by itself",
        Sign::Turn => "a turn failed",
        Sign::Report => "it was reported in another way as well",
        Sign::Agent => "another agent says the same of the subscription",
        Sign::Config => "the config trusts the agent's text",
    }
}
