//! The situations that an agent can be in: every phase, and within it whatever makes a difference.

use std::time::Duration;

use switchman::domain::{
    Apply, Delivered, Disposition, Facts, FailureKind, Fence, Fingerprint, Origin, ParkReason, Reload, Report,
    Reporter, RuntimeState, Sighting, Trust,
};
use switchman::machine::agent::testing::{
    Rig, START, background, given, life, patient, policy, report, sighting, wish,
};
use switchman::machine::agent::{About, AgentState, Command, EffectOutcome, Event, Phase, Pick, Step};
use switchman::machine::policy::{Policy, RuntimeKind};

use crate::events::obstacle;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn nobody() -> Pick {
    Pick::None {
        earliest: Some(START.wall.plus(60 * MINUTE)),
        is_own_turn: false,
        reason: "all are cooling".to_owned(),
    }
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

/// Its log says that the limit is reached, in a line of text.
fn claiming() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.report(Report {
        trust: Trust::Text,
        reporter: Reporter::Agent,
        sender: "log".to_owned(),
        origin: Origin::Life(life(1)),
        ..report(FailureKind::RateLimit)
    });
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

pub(crate) fn offered(sighting: Sighting, print: &str) -> Sighting {
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

fn untaken() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    rig
}

/// `ann` holds `s` in the background; in front of it wait `bob`, in the background, and `eve`.
fn held() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(background("s", "ann"));
    let _ = rig.beat(1);
    let _ = rig.begin(background("s", "bob"));
    let _ = rig.begin(patient("s", "eve"));
    rig
}

fn shunned() -> Rig {
    let mut rig = Rig::serving("a");
    rig.holds("s", "ann");
    let _ = rig.shunned("a", Some(60 * MINUTE));
    rig
}

/// `ann` is lost and no fence begins by itself; `eve` waits.
fn lost() -> Rig {
    let mut rig = Rig::serving("a");
    rig.policy.turns.fence = Fence::None;
    rig.holds("s", "ann");
    let _ = rig.begin(patient("s", "eve"));
    let _ = rig.tick_after(MINUTE);
    rig
}

fn waiting() -> Rig {
    let mut rig = Rig::serving("a");
    rig.holds("s", "ann");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    rig
}

/// `ann` is lost, `bob` is not: he has time to end.
fn fence_draining() -> Rig {
    let mut rig = Rig::serving("a");
    rig.holds("s", "ann");
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    rig
}

fn fence_restarting() -> Rig {
    let mut rig = Rig::serving("a");
    rig.holds("s", "ann");
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    rig
}

fn fence_reloading() -> Rig {
    let mut rig = Rig::serving("a");
    rig.policy.turns.fence = Fence::Exec(vec!["end".to_owned(), "{session}".to_owned()]);
    rig.holds("s", "ann");
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    rig
}

fn emptying() -> Rig {
    let mut rig = fence_reloading();
    let _ = rig.outcome(EffectOutcome::Reloaded(Err(obstacle(Disposition::Permanent, About::Agent))));
    rig
}

pub(crate) type Begin = fn() -> Rig;

pub(crate) const PHASES: [(&str, Begin); 30] = [
    ("serving", || Rig::serving("a")),
    ("serving, trouble, braked", braked),
    ("serving, with a claim", claiming),
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
    ("a turn that nobody has taken", untaken),
    ("a turn is held, others wait", held),
    ("a turn is held, it cannot serve", shunned),
    ("a turn is lost", lost),
    ("draining, waits for a turn", waiting),
    ("draining, with a fence", fence_draining),
    ("applying: a fence's restart", fence_restarting),
    ("applying: a fence's command", fence_reloading),
    ("applying: emptying", emptying),
];

/// Fails to compile if a phase or step is new: then it needs a row in `PHASES`.
pub(crate) fn phase_kind(state: &AgentState) -> &'static str {
    match &state.phase {
        Phase::Serving => "serving",
        Phase::Selecting(_) => "selecting",
        Phase::Draining(draining) if draining.is_resumed => "draining resumed",
        Phase::Draining(draining) if draining.waits => "draining waits",
        Phase::Draining(_) => "draining",
        Phase::Applying(applying) => match (applying.step, applying.delivered.is_some()) {
            (Step::Delivering, _) => "delivering",
            (Step::Looking, false) => "looking",
            (Step::Looking, true) => "looking delivered",
            (Step::Restarting, _) => "restarting",
            (Step::Reloading, _) => "reloading",
            (Step::Emptying, _) => "emptying",
            (Step::Verifying, _) => "verifying",
        },
        Phase::Exhausted { .. } => "exhausted",
        Phase::Parked { .. } => "parked",
    }
}

pub(crate) const PHASE_KINDS: [&str; 14] = [
    "serving",
    "selecting",
    "draining resumed",
    "draining",
    "draining waits",
    "delivering",
    "looking",
    "looking delivered",
    "restarting",
    "reloading",
    "emptying",
    "verifying",
    "exhausted",
    "parked",
];
