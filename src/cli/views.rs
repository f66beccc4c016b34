//! How agents, subscriptions and switches look to people. Pure: an answer and the present in, text out.
//!
//! Tests: `tests/cli.rs`, what the binary prints for the documents of a scripted daemon.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::moments::{ago, calendar, length, millis, until};
use super::table::{Look, Table, Text, Tone};
use crate::api::v1::wire::{
    Agent, AnswerSwitch, Claim, ContainerProblem, Cooldown, Reading, Session, Subscription, Switch, Turn, Turns,
};
use crate::domain::{ReadingSource, Wall};
use crate::telemetry::escape::Escaped;

/// The agents, one line each.
pub(super) fn agents(agents: &[Agent], look: Look, now: Wall) -> String {
    if agents.is_empty() {
        return "no agents\n".to_owned();
    }
    let mut table =
        Table::new(look, &["AGENT", "PHASE", "SUBSCRIPTION", "GENERATION", "RUNTIME", "LAST SWITCH", "NOTE"]);
    for agent in agents {
        table.row([
            agent.name.as_str().into(),
            Text::toned(&*agent.phase, phase_tone(&agent.phase)),
            place(agent).into(),
            agent.assignment.as_ref().map(|current| current.generation.to_string()).into(),
            format!("{} {}", agent.runtime.kind, agent.runtime.state).into(),
            agent.last_switch.as_ref().map(|switch| last_switch(switch, now)).into(),
            joined(&[work(&agent.turns).into_iter().collect(), agent_notes(agent, now)].concat()).into(),
        ]);
    }
    table.into_text()
}

/// One agent with everything that is known of it.
pub(super) fn agent(agent: &Agent, look: Look, now: Wall) -> String {
    let mut table = Table::new(look, &["AGENT", &agent.name]);
    let mut row = |name: &str, text: Text| table.row([name.into(), text]);
    row("tool", (&*agent.tool).into());
    row("phase", Text::toned(&*agent.phase, phase_tone(&agent.phase)));
    let since = |since: Wall| format!("since {} UTC ({})", calendar(since), ago(since, now));
    let current = agent.assignment.as_ref();
    let current = current.map(|on| format!("{}, generation {}, {}", on.subscription, on.generation, since(on.since.0)));
    row("runs on", current.into());
    if let Some(pending) = &agent.pending {
        row("moves to", format!("{}, generation {}", pending.subscription, pending.generation).into());
    }
    let runtime = &agent.runtime;
    let mut parts = vec![runtime.kind.to_string(), runtime.state.to_string()];
    parts.extend(runtime.id.clone());
    parts.extend(runtime.started_at.as_ref().map(|at| format!("started {at}")));
    row("runtime", parts.join(", ").into());
    for turn in &agent.turns.active {
        row("turn", turn_of(turn, now).into());
    }
    if agent.turns.queued > 0 {
        row("waiting", format!("{} for a turn", callers(agent.turns.queued)).into());
    }
    let budget = &agent.budget;
    let mut used = format!("{} of {} switches used", budget.used, budget.of);
    if let Some(refills) = budget.refills_at {
        used = format!("{used}, the next one {}", until(refills.0, now));
    }
    row("budget", used.into());
    row("last switch", agent.last_switch.as_ref().map(|switch| last_switch(switch, now)).into());
    row("note", joined(&agent_notes(agent, now)).into());
    table.into_text()
}

/// The subscriptions, one line each.
pub(super) fn subscriptions(subscriptions: &[Subscription], look: Look, now: Wall) -> String {
    if subscriptions.is_empty() {
        return "no subscriptions\n".to_owned();
    }
    let mut table = Table::new(look, &["SUBSCRIPTION", "STATE", "AGENTS", "USED", "COOLDOWN", "NOTE"]);
    for subscription in subscriptions {
        let (state, tone) = state(subscription);
        let cooldown = subscription.quarantined.as_ref().or(subscription.cooldown.as_ref());
        table.row([
            subscription.name.as_str().into(),
            Text::toned(state, tone),
            format!("{} of {}", subscription.agents.len(), subscription.agents_max).into(),
            subscription.nearest_wall.as_ref().map(|wall| reading(wall, now)).into(),
            cooldown.map(|row| cooling(row, now)).into(),
            joined(&subscription_notes(subscription, now)).into(),
        ]);
    }
    table.into_text()
}

/// What is wrong with containers that would be agents, a line each, with how to mend it.
pub(super) fn containers(problems: &[ContainerProblem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let state = if problem.left_out { "left out" } else { "labels ignored" };
        let label = problem.label.as_ref().map(|label| format!(", label {}", Escaped(label))).unwrap_or_default();
        let _ =
            writeln!(text, "container {}{label}: {} ({state})", Escaped(&problem.container), Escaped(&problem.reason));
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "    hint: {}", Escaped(hint));
        }
    }
    text
}

/// How one stands, in a line: what an operator is told after a word on it.
pub(super) fn standing(subscription: &Subscription, now: Wall) -> String {
    let (state, _) = state(subscription);
    let wall = subscription.nearest_wall.as_ref().map(|wall| format!(", used: {}", reading(wall, now)));
    let why = subscription.reason.as_ref().map(|why| format!(": {}", Escaped(why)));
    format!("{} is {state}{}{}", subscription.name, why.unwrap_or_default(), wall.unwrap_or_default())
}

/// `weekly 42 %, 5 min ago`, or `five_hour refused, 5 min ago`.
pub(super) fn reading(reading: &Reading, now: Wall) -> String {
    let model = reading.model.as_ref().map(|model| format!(" of {model}")).unwrap_or_default();
    let used = match (reading.serves, reading.utilisation) {
        (false, _) => " refused".to_owned(),
        (true, Some(percent)) => format!(" {percent} %"),
        (true, None) => " serves".to_owned(),
    };
    let teller = match &reading.agent {
        Some(agent) => format!(", says {agent}"),
        None if reading.source == ReadingSource::Probe.as_str() => ", says the provider".to_owned(),
        None => String::new(),
    };
    format!("{}{model}{used}, {}{teller}", reading.window, ago(reading.at.0, now))
}

/// What the daemon says about itself that needs a look; empty if all is well.
pub(super) fn trouble(health: Option<&Map<String, Value>>) -> String {
    let mut text = String::new();
    let degraded = health.and_then(|health| health.get("degraded")).and_then(Value::as_array);
    for why in degraded.into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(text, "degraded: {}", Escaped(why));
    }
    // Of a daemon that is ready it sums up what was just told.
    let unready = health.filter(|health| health.get("status").and_then(Value::as_str) != Some("ready"));
    let reason = unready.and_then(|health| health.get("reason").or_else(|| health.get("detail")));
    if let Some(why) = reason.and_then(Value::as_str) {
        let _ = writeln!(text, "not ready: {}", Escaped(why));
    }
    text
}

/// Cooldowns: the subscription, whom it cools for (everybody if `None`), and the row.
pub(super) fn cooldowns(rows: &[(&str, Option<&str>, &Cooldown)], look: Look, now: Wall) -> String {
    if rows.is_empty() {
        return "nothing is cooling\n".to_owned();
    }
    let mut table = Table::new(look, &["SUBSCRIPTION", "FOR", "KIND", "SCOPE", "SOURCE", "SINCE", "ENDS"]);
    for (subscription, agent, row) in rows {
        table.row([
            (*subscription).into(),
            agent.unwrap_or("all").into(),
            (&*row.kind).into(),
            scope(row).into(),
            (&*row.source).into(),
            ago(row.since.0, now).into(),
            ends(row, now).into(),
        ]);
    }
    table.into_text()
}

/// The history, one line each.
pub(super) fn switches(switches: &[Switch], look: Look) -> String {
    if switches.is_empty() {
        return "no switches\n".to_owned();
    }
    let header = ["STARTED (UTC)", "AGENT", "SWITCH", "CAUSE", "FROM", "TO", "GENERATION", "OUTCOME", "TOOK", "NOTE"];
    let mut table = Table::new(look, &header);
    for switch in switches {
        let took = switch.finished_at.map(|end| end.0.since(switch.started_at.0).as_millis());
        let kind = (&*switch.kind != "switch").then(|| switch.kind.to_string());
        let notes: Vec<_> = [kind, switch.cause.reason.clone(), switch.reason.clone()].into_iter().flatten().collect();
        table.row([
            calendar(switch.started_at.0).into(),
            switch.agent.as_str().into(),
            switch.id.as_str().into(),
            cause(switch).into(),
            switch.from.clone().into(),
            switch.to.as_str().into(),
            switch.generation.to_string().into(),
            Text::toned(&*switch.outcome, outcome_tone(&switch.outcome)),
            took.map(|ms| millis(u64::try_from(ms).unwrap_or(u64::MAX))).into(),
            joined(&notes).into(),
        ]);
    }
    table.into_text()
}

/// `from max-a to max-b (generation 4, switch reviewer-s3)`.
pub(super) fn move_of(from: Option<&str>, to: &str, generation: u64, id: &str) -> String {
    let from = from.map(|from| format!("from {from} ")).unwrap_or_default();
    format!("{from}to {to} (generation {generation}, switch {id})")
}

/// As [`move_of`], of the switch in the answer to a report.
pub(super) fn answered_move(switch: &AnswerSwitch) -> String {
    move_of(switch.from.as_deref(), &switch.to, switch.generation, &switch.id)
}

/// The parts as one text; `None` if there are none.
pub(super) fn joined(parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `rate_limit (five_hour), ends in 1 h 59 min`.
fn cooling(row: &Cooldown, now: Wall) -> String {
    let scope = if &*row.scope == "unknown" { String::new() } else { format!(" ({})", scope(row)) };
    format!("{}{scope}, ends {}", row.kind, ends(row, now))
}

fn scope(row: &Cooldown) -> String {
    match &row.model {
        Some(model) => format!("{} of {model}", row.scope),
        None => row.scope.to_string(),
    }
}

fn ends(row: &Cooldown, now: Wall) -> String {
    match row.until {
        Some(at) => until(at.0, now),
        None if &*row.kind == "auth" => "when its credential changes, or somebody clears it".to_owned(),
        None => "when somebody clears it".to_owned(),
    }
}

fn place(agent: &Agent) -> String {
    let current = agent.assignment.as_ref().map_or("-", |current| &*current.subscription);
    match &agent.pending {
        Some(pending) => format!("{current} → {}", pending.subscription),
        None => current.to_owned(),
    }
}

fn last_switch(switch: &Switch, now: Wall) -> String {
    let when = switch.finished_at.unwrap_or(switch.started_at);
    let from = switch.from.as_deref().unwrap_or("-");
    format!("{from} → {}, {}, {} ({})", switch.to, switch.outcome, ago(when.0, now), cause(switch))
}

fn cause(switch: &Switch) -> String {
    match &switch.cause.kind {
        Some(kind) => format!("{} {kind}", switch.cause.by),
        None => switch.cause.by.to_string(),
    }
}

/// A session in one word: a pair has a comma between.
pub(super) fn session(session: &Session) -> String {
    match session {
        Session::One(name) => name.clone(),
        Session::Pair(one, other) => format!("{one},{other}"),
    }
}

fn turn_of(turn: &Turn, now: Wall) -> String {
    let begun = ago(turn.started_at.0, now);
    format!(
        "{}, session {}, {}, {}, {}, begun {begun}",
        turn.id,
        session(&turn.session),
        turn.class,
        turn.holder,
        turn.state
    )
}

fn callers(count: u64) -> String {
    if count == 1 { "1 caller".to_owned() } else { format!("{count} callers") }
}

/// `2 turns, 1 waits`.
fn work(turns: &Turns) -> Option<String> {
    let active = turns.active.len();
    let held = (active > 0).then(|| if active == 1 { "1 turn".to_owned() } else { format!("{active} turns") });
    let waits = if turns.queued == 1 { "1 waits".to_owned() } else { format!("{} wait", turns.queued) };
    let parts: Vec<_> = [held, (turns.queued > 0).then_some(waits)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn agent_notes(agent: &Agent, now: Wall) -> Vec<String> {
    let mut notes = Vec::new();
    // Said in more words below, or by the phase.
    let is_said = |reason: &str| ["paused", "pinned", "monitor_only", &*agent.phase].contains(&reason);
    notes.extend(agent.reason.clone().filter(|reason| !is_said(reason)));
    let unheard = |claim: &Claim| format!("its text says {}, and nothing agrees with it yet", Escaped(&claim.kind));
    notes.extend(agent.uncorroborated.last().map(unheard));
    if agent.monitor_only {
        notes.push("monitor only".to_owned());
    }
    if agent.paused {
        let end = agent.paused_until.map(|at| format!(", ends {}", until(at.0, now)));
        notes.push(format!("paused{}", end.unwrap_or_default()));
    }
    notes.extend(agent.pinned.as_ref().map(|pin| format!("pinned to {pin}")));
    notes.extend(agent.earliest_reset.map(|at| format!("first reset {}", until(at.0, now))));
    notes.extend(agent.wake_at.map(|at| format!("wakes {}", until(at.0, now))));
    notes
}

fn state(subscription: &Subscription) -> (&'static str, Tone) {
    if subscription.quarantined.is_some() {
        ("quarantined", Tone::Bad)
    } else if subscription.cooldown.is_some() {
        ("cooling", Tone::Mild)
    } else if subscription.credential.readable == Some(false) {
        ("unreadable", Tone::Bad)
    } else if !subscription.eligible {
        ("not eligible", Tone::Mild)
    } else if subscription.suspect {
        ("suspect", Tone::Mild)
    } else {
        ("eligible", Tone::Good)
    }
}

fn subscription_notes(subscription: &Subscription, now: Wall) -> Vec<String> {
    let mut notes = Vec::new();
    if subscription.cooldown.is_none() && subscription.quarantined.is_none() {
        notes.extend(subscription.reason.clone());
    } else {
        let row = subscription.quarantined.as_ref().or(subscription.cooldown.as_ref());
        notes.extend(row.map(|row| format!("says {}, {}", row.source, ago(row.since.0, now))));
    }
    let own = subscription.cooling_for.iter();
    notes.extend(own.map(|(agent, row)| format!("cooling for {agent}: {}", cooling(row, now))));
    notes.extend(subscription.metered.then(|| "metered".to_owned()));
    notes.extend(subscription.reserve.then(|| "in reserve".to_owned()));
    if subscription.quota_identity != subscription.name {
        notes.push(format!("shares the quota {}", subscription.quota_identity));
    }
    notes
}

fn phase_tone(phase: &str) -> Tone {
    match phase {
        "serving" => Tone::Good,
        "parked" => Tone::Bad,
        _ => Tone::Mild,
    }
}

fn outcome_tone(outcome: &str) -> Tone {
    match outcome {
        "ready" => Tone::Good,
        "under_way" | "not_running" | "cancelled" => Tone::Mild,
        _ => Tone::Bad,
    }
}

/// `paused`, with its end: what an operator is told about an agent after a command.
pub(super) fn pause_end(agent: &Agent, now: Wall) -> String {
    match agent.paused_until {
        Some(at) => format!("until {} UTC ({})", calendar(at.0), length(at.0.since(now))),
        None => "until somebody resumes it".to_owned(),
    }
}
