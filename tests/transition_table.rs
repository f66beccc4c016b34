//! Every phase with every event: where it leads, what is written, asked of the world and answered.
//!
//! The table is the snapshot beside this file. Within a phase, events that lead to the same are one row. It was
//! read row by row against the rules; whoever changes it reads the changed rows again. What a rule says in so many
//! words is in `machine_rules.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use switchman::domain::{
    Apply, Change, Delivered, Disposition, Due, Facts, FailureId, FailureKind, Fingerprint, Generation, Moment, Origin,
    Outcome, ParkReason, Reload, Report, RuntimeState, Sighting, Stamp, SubscriptionName,
};
use switchman::machine::agent::testing::{Rig, START, effect_name, given, life, policy, report, sighting};
use switchman::machine::agent::{
    About, AgentState, Command, Decision, EffectOutcome, Event, Obstacle, Phase, Pick, Readiness, Refusal, Reply, Step,
    Ticket, Verdict,
};
use switchman::machine::attribution::stamp;
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::timer::Timer;

const MINUTE: Duration = Duration::from_secs(60);

// ---- the phases ------------------------------------------------------------------------------------------------

fn nobody() -> Pick {
    Pick::None { earliest: Some(START.wall.plus(60 * MINUTE)), reason: "all are cooling".to_owned() }
}

fn braked() -> Rig {
    let mut rig = Rig::serving("a");
    rig.policy.budget.switches = 0;
    let _ = rig.limit_in(1);
    rig.policy.budget.switches = 6;
    rig
}

fn unassigned() -> Rig {
    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(Sighting { delivered: Delivered::Unrecognised, ..sighting(RuntimeState::Running, 1, "a") });
    rig
}

fn selecting() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    rig
}

fn selecting_for_operator() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    rig
}

fn draining() -> Rig {
    let mut rig = selecting();
    let _ = rig.pick("b");
    rig
}

fn resumed() -> Rig {
    let mut rig = draining();
    if let Phase::Draining(draining) = &mut rig.state.phase {
        draining.is_resumed = true;
    }
    let _ = rig.send(Event::Began);
    rig
}

fn delivering() -> Rig {
    let mut rig = draining();
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    rig
}

fn looking() -> Rig {
    let mut rig = delivering();
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    rig
}

fn restarting() -> Rig {
    let mut rig = looking();
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    rig
}

fn reloading() -> Rig {
    let mut rig = Rig::serving("a");
    if let Some(file) = &mut rig.policy.file {
        file.apply = Apply::Reload(Reload::Signal("HUP".to_owned()));
    }
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    rig
}

fn rolling_over() -> Rig {
    let mut rig = Rig::serving("a");
    rig.state.credential = Some(given());
    let _ = rig.send(Event::RuntimeChanged);
    let _ = rig.seen(offered(sighting(RuntimeState::Running, 1, "a"), "changed"));
    rig
}

fn offered(sighting: Sighting, print: &str) -> Sighting {
    Sighting { facts: Facts { offered: Some(Fingerprint(print.to_owned())), ..Facts::default() }, ..sighting }
}

fn looking_again() -> Rig {
    let mut rig = restarting();
    let _ = rig.outcome(EffectOutcome::Restarted(Err(obstacle(Disposition::Permanent, About::Agent))));
    rig
}

fn in_doubt() -> Rig {
    let mut rig = restarting();
    let _ = rig.outcome(EffectOutcome::Restarted(Err(obstacle(Disposition::InDoubt, About::Agent))));
    rig
}

fn verifying() -> Rig {
    let mut rig = restarting();
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    rig
}

fn exhausted() -> Rig {
    let mut rig = selecting();
    let _ = rig.picked(nobody());
    rig
}

fn parked() -> Rig {
    let mut rig = Rig::serving("a");
    rig.state.phase = Phase::Parked { reason: ParkReason::ApplyFailed, since: START.wall };
    rig
}

fn process() -> Rig {
    let mut rig = Rig::new(Policy { runtime: RuntimeKind::Process, ..policy() });
    let _ = rig.send(Event::Began);
    rig
}

fn process_recovering() -> Rig {
    let mut rig = process();
    let _ = rig.seen(sighting(RuntimeState::Stopped, 0, "x"));
    let _ = rig.pick("a");
    rig
}

fn process_starting() -> Rig {
    let mut rig = process_recovering();
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Stopped, 0, "x"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Stopped, 0, "a"));
    rig
}

type Begin = fn() -> Rig;

const PHASES: [(&str, Begin); 20] = [
    ("serving", || Rig::serving("a")),
    ("serving, trouble, braked", braked),
    ("serving, no assignment", unassigned),
    ("selecting after a failure", selecting),
    ("selecting for an operator", selecting_for_operator),
    ("draining", draining),
    ("draining, with a changed credential", rolling_over),
    ("draining, resumed after a crash", resumed),
    ("applying: delivering", delivering),
    ("applying: looking, not known to be delivered", looking),
    ("applying: restarting", restarting),
    ("applying: looking after a refused order", looking_again),
    ("applying: looking after a lost answer", in_doubt),
    ("applying: reloading", reloading),
    ("applying: verifying", verifying),
    ("exhausted", exhausted),
    ("parked", parked),
    ("process: not started", process),
    ("process: recovering", process_recovering),
    ("process: starting", process_starting),
];

/// Fails to compile if a phase or step is new: then it needs a row in `PHASES`.
fn phase_kind(state: &AgentState) -> &'static str {
    match &state.phase {
        Phase::Serving => "serving",
        Phase::Selecting(_) => "selecting",
        Phase::Draining(draining) if draining.is_resumed => "draining resumed",
        Phase::Draining(_) => "draining",
        Phase::Applying(applying) => match (applying.step, applying.delivered.is_some()) {
            (Step::Delivering, _) => "delivering",
            (Step::Looking, false) => "looking",
            (Step::Looking, true) => "looking delivered",
            (Step::Restarting, _) => "restarting",
            (Step::Reloading, _) => "reloading",
            (Step::Verifying, _) => "verifying",
        },
        Phase::Exhausted { .. } => "exhausted",
        Phase::Parked { .. } => "parked",
    }
}

const PHASE_KINDS: [&str; 12] = [
    "serving",
    "selecting",
    "draining resumed",
    "draining",
    "delivering",
    "looking",
    "looking delivered",
    "restarting",
    "reloading",
    "verifying",
    "exhausted",
    "parked",
];

// ---- the events ------------------------------------------------------------------------------------------------

fn obstacle(disposition: Disposition, about: About) -> Obstacle {
    Obstacle { disposition, about, text: "in the way".to_owned() }
}

fn reported(rig: &Rig, report: Report) -> Event {
    let stamp = stamp(&report, &rig.state, &rig.policy, rig.now.wall).unwrap_or(Stamp::Elsewhere("refused".into()));
    Event::Report { ticket: Ticket(900), report: Box::new(report), digest: 0, stamp, count: 1 }
}

fn events(rig: &Rig) -> Vec<(&'static str, Event)> {
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
}

fn by_life(number: u32) -> Report {
    Report { origin: Origin::Life(life(number)), ..report(FailureKind::RateLimit) }
}

/// Fails to compile if an event is new: then it needs rows in `events`.
fn event_kind(event: &Event) -> &'static str {
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
        Event::Tick => "tick",
    }
}

const EVENT_KINDS: [&str; 23] = [
    "began",
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
    "tick",
];

// ---- the table -------------------------------------------------------------------------------------------------

/// What a step comes to, in one line.
fn render(decision: &Decision, now: Moment) -> String {
    let mut line = format!("{:18}", phase_kind(&decision.state));
    match decision.verdict {
        Verdict::Accepted => {}
        Verdict::Ignored(reason) => write!(line, " · ignored {}", reason.as_str()).expect("a string takes everything"),
    }
    let mut part = |title: &str, words: Vec<String>| {
        if !words.is_empty() {
            write!(line, " · {title} {}", words.join(" ")).expect("a string takes everything");
        }
    };
    part("writes", decision.changes.iter().map(change).collect());
    part("asks", decision.effects.iter().map(|effect| effect_name(effect).to_owned()).collect());
    part("answers", decision.replies.iter().map(|(_, reply)| answer(reply)).collect());
    let armed = Timer::ALL.into_iter().filter_map(|timer| {
        let due = decision.state.timers.get(timer)?;
        Some(format!("{timer:?} {}s", due.remaining(now).as_secs()).to_lowercase())
    });
    part("waits", armed.collect());
    line
}

fn change(change: &Change) -> String {
    match change {
        Change::FailureRecorded(record) => format!("failure:{}", record.outcome),
        Change::FailureCounted { .. } => "count".to_owned(),
        Change::FailureJudged { outcome, .. } => format!("judged:{outcome}"),
        Change::CooldownSet(row) => format!("cooldown({})", row.subscription),
        Change::CooldownLifted(_) => "lifted".to_owned(),
        Change::IntentOpened(intent) => format!("opened({} {}→{})", intent.plan, from(intent.from.as_ref()), intent.to),
        Change::IntentDelivered { before, .. } => {
            format!("before({})", before.as_ref().map_or("none", |before| before.started_at.as_str()))
        }
        Change::IntentClosed(end) => format!("closed:{}", end.outcome),
        Change::Assigned { assignment, .. } => {
            format!("assigned({} {})", assignment.generation, assignment.subscription)
        }
        Change::AgentSaved(..) => "saved".to_owned(),
        Change::Notified(notification) => format!("tells:{}", notification.event),
        Change::CredentialSeen(..) => "credential".to_owned(),
        Change::LogRead(..) => "read".to_owned(),
    }
}

fn from(from: Option<&SubscriptionName>) -> &str {
    from.map_or("nothing", SubscriptionName::as_str)
}

fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Report(answer) => answer.outcome.to_string(),
        Reply::Done => "done".to_owned(),
        Reply::Switching(_) => "switching".to_owned(),
        Reply::Refused(refusal) => {
            let word = match refusal {
                Refusal::SwitchInProgress => "in_progress",
                Refusal::NoSwitch => "no_switch",
                Refusal::TooLate => "too_late",
                Refusal::Pinned(_) => "pinned",
                Refusal::NotEligible { .. } => "not_eligible",
                Refusal::NotParked => "not_parked",
                Refusal::Unavailable => "unavailable",
            };
            format!("refused:{word}")
        }
    }
}

/// Every event and every timer in one phase: what they lead to, and which of them.
fn check(begin: Begin) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, event) in events(&begin()) {
        let mut rig = begin();
        let decision = rig.send(event);
        rows.entry(render(&decision, rig.now)).or_default().push(name.to_owned());
    }
    for timer in Timer::ALL {
        let mut rig = begin();
        rig.state.timers.set(timer, Due::At(rig.now.wall));
        let decision = rig.send(Event::Tick);
        rows.entry(render(&decision, rig.now)).or_default().push(format!("{timer:?} is due").to_lowercase());
    }
    rows
}

#[test]
fn the_table() {
    let mut table = String::new();
    for (name, begin) in PHASES {
        writeln!(table, "== {name}").expect("a string takes everything");
        for (leads_to, events) in check(begin) {
            writeln!(table, "{leads_to}\n    {}", events.join(" | ")).expect("a string takes everything");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_phase_and_every_event_has_rows() {
    let phases: BTreeSet<&str> = PHASES.iter().map(|(_, begin)| phase_kind(&begin().state)).collect();
    assert_eq!(phases, PHASE_KINDS.into());
    let kinds: BTreeSet<&str> = events(&Rig::serving("a")).iter().map(|(_, event)| event_kind(event)).collect();
    assert_eq!(kinds, EVENT_KINDS.into());
}

#[test]
fn nobody_is_answered_twice_or_left_without_an_answer() {
    for (name, begin) in PHASES {
        for (event_name, event) in events(&begin()) {
            let is_asked = matches!(event, Event::Report { .. } | Event::Operator { .. });
            let mut rig = begin();
            let decision = rig.send(event);
            let answers = decision.replies.iter().filter(|(ticket, _)| ticket.0 >= 900).count();
            let waits = usize::from(matches!(rig.state.phase, Phase::Selecting(_)) && is_asked);
            assert!(answers + waits >= usize::from(is_asked), "{event_name} in {name} is not answered");
            assert!(answers <= usize::from(is_asked), "{event_name} in {name} is answered twice");
        }
    }
}

#[test]
fn a_report_is_recorded_whatever_the_phase() {
    for (name, begin) in PHASES {
        let mut rig = begin();
        let decision = rig.report(report(FailureKind::Overload));
        assert_eq!(decision.answers(), [Outcome::Ignored], "{name}");
        assert!(decision.changes.iter().any(|change| matches!(change, Change::FailureRecorded(_))), "{name}");
    }
}
