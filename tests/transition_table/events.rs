//! Every sort of event, as it may come in a situation.

use std::time::Duration;

use switchman::domain::{
    CooldownKey, Disposition, FailureId, FailureKind, Generation, Origin, Reach, Report, Reporter, RuntimeState, Stamp,
    SubscriptionName, Trust, TurnClass, TurnId, Window,
};
use switchman::machine::agent::testing::{Rig, START, background, given, life, patient, report, sighting, wish};
use switchman::machine::agent::{About, Command, EffectOutcome, Event, Obstacle, Pick, Readiness, Ticket};
use switchman::machine::attribution::stamp;
use switchman::machine::turns::{Begin, TurnRequest};

use crate::situations::{nobody, offered};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn obstacle(disposition: Disposition, about: About) -> Obstacle {
    Obstacle { disposition, about, text: "in the way".to_owned() }
}

/// What an agent said of a login.
fn login_of(name: &str) -> CooldownKey {
    CooldownKey {
        reach: Reach::All,
        quota: name.into(),
        credential: Some(name.into()),
        window: Window::Unknown,
        model: None,
    }
}

fn reported(rig: &Rig, report: Report) -> Event {
    let stamp = stamp(&report, &rig.state, &rig.policy, rig.now.wall).unwrap_or(Stamp::Elsewhere("refused".into()));
    Event::Report { ticket: Ticket(900), report: Box::new(report), digest: 0, stamp, count: 1 }
}

pub(crate) fn events(rig: &Rig) -> Vec<(&'static str, Event)> {
    let limit = || report(FailureKind::RateLimit);
    let in_generation = |generation| Report { generation: Some(Generation(generation)), ..limit() };
    let named = |name: &str| Report { subscription: Some(name.into()), ..limit() };
    let soon = Report { reset_at: Some(START.wall.plus(MINUTE)), ..limit() };
    let operator = |command| Event::Operator { ticket: Ticket(901), command };
    let switch =
        |to: Option<&str>, force| operator(Command::Switch { to: to.map(SubscriptionName::from), force, reason: None });
    let picked = |pick| Event::Picked { selection: rig.state.selection, pick };
    let ends = |outcome| Event::Outcome { attempt: rig.state.attempt, outcome };
    let seen = |state, life, has| ends(EffectOutcome::Seen(Ok(sighting(state, life, has))));
    let busy = || obstacle(Disposition::Transient, About::Runtime);
    let doubt = || obstacle(Disposition::InDoubt, About::Agent);
    let refused = |about| obstacle(Disposition::Permanent, about);
    let (running, stopped, missing) = (RuntimeState::Running, RuntimeState::Stopped, RuntimeState::Missing);
    vec![
        ("began", Event::Began),
        ("tick", Event::Tick),
        ("runtime changed", Event::RuntimeChanged),
        ("reconfigured", Event::Reconfigured),
        ("retired", Event::Retired),
        ("report unnamed", reported(rig, limit())),
        ("report about generation 1", reported(rig, in_generation(1))),
        ("report about generation 2", reported(rig, in_generation(2))),
        ("report about a", reported(rig, named("a"))),
        ("report about b", reported(rig, named("b"))),
        ("report about c", reported(rig, named("c"))),
        ("report by the first life", reported(rig, by_life(1))),
        ("report by the second life", reported(rig, by_life(2))),
        ("report of a near reset", reported(rig, soon)),
        ("report of overload", reported(rig, report(FailureKind::Overload))),
        (
            "counted",
            Event::Counted { failure: FailureId { agent: "worker".into(), number: 1 }, count: 5, read_to: None },
        ),
        ("operator: switch", switch(None, false)),
        ("operator: switch to a", switch(Some("a"), false)),
        ("operator: switch to c by force", switch(Some("c"), true)),
        ("operator: cancel", operator(Command::CancelSwitch)),
        ("operator: pause", operator(Command::Pause { until: None })),
        ("operator: resume", operator(Command::Resume)),
        ("operator: pin to a", operator(Command::Pin { to: "a".into() })),
        ("operator: pin to c", operator(Command::Pin { to: "c".into() })),
        ("operator: unpin", operator(Command::Unpin)),
        ("operator: unpark", operator(Command::Unpark)),
        ("pool: keep", picked(Pick::Keep)),
        ("pool: to c", picked(Pick::To("c".into()))),
        ("pool: nobody", picked(nobody())),
        ("pool: shadowed", picked(Pick::Shadowed { rows: vec![login_of("a"), login_of("b")] })),
        ("pool: halted", picked(Pick::Halted { reason: "two accounts were banned".to_owned() })),
        ("pool: no answer", picked(Pick::Unavailable)),
        ("pool: old answer", Event::Picked { selection: rig.state.selection.wrapping_sub(1), pick: Pick::Keep }),
        ("pool changed", Event::PoolChanged { lifted: None }),
        ("pool lifted a", Event::PoolChanged { lifted: Some("a".into()) }),
        ("preflight passed", ends(EffectOutcome::Preflight(Ok(sighting(running, 1, "a"))))),
        ("preflight: no container", ends(EffectOutcome::Preflight(Ok(sighting(missing, 0, "a"))))),
        ("preflight: busy", ends(EffectOutcome::Preflight(Err(busy())))),
        ("preflight: target lost", ends(EffectOutcome::Preflight(Err(refused(About::Target))))),
        ("preflight: agent refuses", ends(EffectOutcome::Preflight(Err(refused(About::Agent))))),
        ("delivered", ends(EffectOutcome::Delivered(Ok(given())))),
        ("delivery in doubt", ends(EffectOutcome::Delivered(Err(doubt())))),
        ("delivery refused", ends(EffectOutcome::Delivered(Err(refused(About::Agent))))),
        ("restarted", ends(EffectOutcome::Restarted(Ok(())))),
        ("restart in doubt", ends(EffectOutcome::Restarted(Err(doubt())))),
        ("restart: busy", ends(EffectOutcome::Restarted(Err(busy())))),
        ("reloaded", ends(EffectOutcome::Reloaded(Ok(())))),
        ("reload refused", ends(EffectOutcome::Reloaded(Err(refused(About::Agent))))),
        ("ready", ends(EffectOutcome::Ready(Ok(Readiness::Ready)))),
        ("not ready", ends(EffectOutcome::Ready(Ok(Readiness::NotReady)))),
        ("not running", ends(EffectOutcome::Ready(Ok(Readiness::NotRunning)))),
        ("ready: busy", ends(EffectOutcome::Ready(Err(busy())))),
        ("seen running a, same life", seen(running, 1, "a")),
        ("seen running b, same life", seen(running, 1, "b")),
        ("seen running b, next life", seen(running, 2, "b")),
        (
            "seen running a, another credential offered",
            ends(EffectOutcome::Seen(Ok(offered(sighting(running, 1, "a"), "other")))),
        ),
        ("seen stopped, same life", seen(stopped, 1, "b")),
        ("seen stopped, next life", seen(stopped, 2, "b")),
        ("seen missing", seen(missing, 0, "b")),
        ("look: busy", ends(EffectOutcome::Seen(Err(busy())))),
        ("look refused", ends(EffectOutcome::Seen(Err(refused(About::Agent))))),
        (
            "old outcome",
            Event::Outcome { attempt: rig.state.attempt.wrapping_sub(1), outcome: EffectOutcome::Restarted(Ok(())) },
        ),
    ]
    .into_iter()
    .chain(about_turns(rig))
    .collect()
}

fn about_turns(rig: &Rig) -> Vec<(&'static str, Event)> {
    let asks = |request| Event::Turn { ticket: Ticket(902), request };
    let begin = |begin| asks(TurnRequest::Begin(Box::new(begin)));
    let goes = |callers: Option<&Vec<Ticket>>| {
        let ticket = callers.and_then(|callers| callers.first()).copied().unwrap_or(Ticket(1_000));
        Event::Withdrawn { ticket }
    };
    let shunned = |subscription: &str, until| Event::Shunned { subscription: subscription.into(), until };
    let of_turn = |number| Report { turn: Some(number), ..report(FailureKind::RateLimit) };
    vec![
        ("turn in s or not at all", begin(wish("s", "zoe"))),
        ("turn in s", begin(patient("s", "zoe"))),
        ("turn in t or not at all", begin(wish("t", "zoe"))),
        ("turn in t", begin(patient("t", "zoe"))),
        ("turn in t in the background", begin(background("t", "zoe"))),
        ("turn in s at the cost of the background", begin(Begin { preempt: true, ..wish("s", "zoe") })),
        (
            "background turn in s at the cost of others",
            begin(Begin { preempt: true, class: TurnClass::Background, ..wish("s", "zoe") }),
        ),
        ("heartbeat of 1", asks(TurnRequest::Beat { turn: 1 })),
        ("heartbeat of 99", asks(TurnRequest::Beat { turn: 99 })),
        ("1 is complete", asks(TurnRequest::Complete { turn: 1, is_ok: true })),
        ("1 has failed", asks(TurnRequest::Complete { turn: 1, is_ok: false })),
        ("2 is complete", asks(TurnRequest::Complete { turn: 2, is_ok: true })),
        ("1 is asked to stop", asks(TurnRequest::Cancel { turn: 1, by: "zoe".to_owned() })),
        ("1 has stopped", asks(TurnRequest::Cancelled { turn: 1 })),
        ("operator: fence 1", asks(TurnRequest::Fence { turn: 1 })),
        ("s is closed", asks(TurnRequest::Close { session: "s".into() })),
        ("caller of the first turn goes", goes(rig.state.turns.active().next().map(|active| &active.callers))),
        ("caller in line goes", goes(rig.state.turns.waiters().next().map(|waiter| &waiter.callers))),
        ("a cannot serve", shunned("a", Some(START.wall.plus(60 * MINUTE)))),
        ("a can serve", shunned("a", None)),
        ("b cannot serve", shunned("b", Some(START.wall.plus(60 * MINUTE)))),
        ("text", reported(rig, text(report(FailureKind::RateLimit)))),
        (
            "text of generation 1",
            reported(rig, Report { generation: Some(Generation(1)), ..text(report(FailureKind::RateLimit)) }),
        ),
        ("text about turn 1", reported(rig, text(of_turn(TurnId { agent: "worker".into(), number: 1 })))),
        ("text that is repeated", reported(rig, Report { is_hearsay: true, ..text(report(FailureKind::RateLimit)) })),
        (
            "not understood, about turn 1",
            reported(
                rig,
                Report { kind: FailureKind::Unknown, ..of_turn(TurnId { agent: "worker".into(), number: 1 }) },
            ),
        ),
        ("ends by itself", Event::Ended { at: rig.now.wall, was_killed: false }),
        ("is killed", Event::Ended { at: rig.now.wall, was_killed: true }),
        ("another says the same of a", agreed("a", FailureKind::RateLimit)),
        ("another says something else of a", agreed("a", FailureKind::Auth)),
        ("another says the same of b", agreed("b", FailureKind::RateLimit)),
        ("report about turn 1", reported(rig, of_turn(TurnId { agent: "worker".into(), number: 1 }))),
    ]
}

fn text(report: Report) -> Report {
    Report { trust: Trust::Text, reporter: Reporter::Agent, sender: "log".to_owned(), ..report }
}

fn agreed(subscription: &str, kind: FailureKind) -> Event {
    Event::Agreed { subscription: subscription.into(), kind }
}

fn by_life(number: u32) -> Report {
    Report { origin: Origin::Life(life(number)), ..report(FailureKind::RateLimit) }
}

/// Fails to compile if an event is new: then it needs rows in `events`.
pub(crate) fn event_kind(event: &Event) -> &'static str {
    match event {
        Event::Began => "began",
        Event::Report { .. } => "report",
        Event::Counted { .. } => "counted",
        Event::Operator { command, .. } => match command {
            Command::Switch { .. } => "switch",
            Command::CancelSwitch => "cancel",
            Command::Pause { .. } => "pause",
            Command::Resume => "resume",
            Command::Pin { .. } => "pin",
            Command::Unpin => "unpin",
            Command::Unpark => "unpark",
        },
        Event::Picked { pick, .. } => match pick {
            Pick::Keep => "keep",
            Pick::To(_) => "to",
            Pick::None { .. } => "none",
            Pick::Shadowed { .. } => "shadowed",
            Pick::Halted { .. } => "halted",
            Pick::Unavailable => "unavailable",
        },
        Event::PoolChanged { .. } => "pool changed",
        Event::Outcome { outcome, .. } => match outcome {
            EffectOutcome::Preflight(_) => "preflight",
            EffectOutcome::Delivered(_) => "delivered",
            EffectOutcome::Restarted(_) => "restarted",
            EffectOutcome::Reloaded(_) => "reloaded",
            EffectOutcome::Ready(_) => "ready",
            EffectOutcome::Seen(_) => "seen",
        },
        Event::RuntimeChanged => "runtime changed",
        Event::Reconfigured => "reconfigured",
        Event::Retired => "retired",
        Event::Tick => "tick",
        Event::Turn { request, .. } => match request {
            TurnRequest::Begin(_) => "begin",
            TurnRequest::Beat { .. } => "beat",
            TurnRequest::Complete { .. } => "complete",
            TurnRequest::Cancel { .. } => "cancel turn",
            TurnRequest::Cancelled { .. } => "cancelled",
            TurnRequest::Fence { .. } => "fence",
            TurnRequest::Close { .. } => "close",
        },
        Event::Withdrawn { .. } => "withdrawn",
        Event::Shunned { .. } => "shunned",
        Event::Ended { .. } => "ended",
        Event::Agreed { .. } => "agreed",
    }
}

pub(crate) const EVENT_KINDS: [&str; 38] = [
    "began",
    "shadowed",
    "halted",
    "report",
    "counted",
    "switch",
    "cancel",
    "pause",
    "resume",
    "pin",
    "unpin",
    "unpark",
    "keep",
    "to",
    "none",
    "unavailable",
    "pool changed",
    "preflight",
    "reloaded",
    "delivered",
    "restarted",
    "ready",
    "seen",
    "runtime changed",
    "reconfigured",
    "retired",
    "tick",
    "begin",
    "beat",
    "complete",
    "cancel turn",
    "cancelled",
    "fence",
    "close",
    "withdrawn",
    "shunned",
    "ended",
    "agreed",
];
