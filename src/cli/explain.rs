//! `explain`: every subscription with its verdict for an agent, and which one would be picked.
//!
//! Tests: `tests/cli.rs`.

use std::fmt::Write as _;

use clap::builder::NonEmptyStringValueParser;

use super::Output;
use super::client::{Call, Daemon, read_all};
use super::moments::{ago, until};
use super::table::{Look, Table, Text, Tone};
use super::views::{joined, reading};
use crate::api::v1::wire::{Candidate, Claim, Explanation, Gates};
use crate::config::Strategy;
use crate::domain::Wall;
use crate::error::Failure;
use crate::telemetry::escape::Escaped;

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
}

/// Asks and shows.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let answer = daemon.call(Call::get(&["v1", "agents", &arguments.agent, "explain"])).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let text = text(&read_all(&answer)?, output.look());
    output.text(&text)
}

/// The explanation for people. Ages are counted from the moment that it speaks of.
pub(super) fn text(explanation: &Explanation, look: Look) -> String {
    let now = explanation.at.0;
    let on = explanation.current.as_deref().map(|current| format!(" on {current}")).unwrap_or_default();
    let mut text = format!("{} is {}{on}\n", explanation.agent, explanation.phase);
    for gate in gates(&explanation.gates, now) {
        let _ = writeln!(text, "  {gate}");
    }
    text.push('\n');
    let header =
        ["", "SUBSCRIPTION", "VERDICT", "WHY", "ENDS", "SOURCE", "KNOWN", "READING", "TERMS", "AGENTS", "CREDENTIAL"];
    let mut table = Table::new(look, &header);
    for candidate in &explanation.subscriptions {
        let is_picked = explanation.would_pick.as_ref() == Some(&candidate.subscription);
        let tone = if candidate.verdict == "eligible" { Tone::Good } else { Tone::Mild };
        table.row([
            if is_picked { "→" } else { " " }.into(),
            candidate.subscription.as_str().into(),
            Text::toned(&*candidate.verdict, tone),
            why(candidate).into(),
            candidate.until.map(|at| until(at.0, now)).into(),
            candidate.source.as_ref().map(ToString::to_string).into(),
            candidate.cooling_since.map(|at| ago(at.0, now)).into(),
            candidate.reading.as_ref().map(|read| reading(read, now)).into(),
            terms(candidate, explanation).into(),
            match candidate.agents_max {
                Some(most) => format!("{} of {most}", candidate.agents).into(),
                None => candidate.agents.to_string().into(),
            },
            candidate.credential_read_at.map_or("not read".to_owned(), |at| format!("read {}", ago(at.0, now))).into(),
        ]);
    }
    text.push_str(&table.into_text());
    text.push('\n');
    let verdict = match (&explanation.would_pick, explanation.earliest_reset) {
        (Some(pick), _) => format!("would pick {pick}"),
        (None, Some(at)) => format!("would pick none; the first comes back {}", until(at.0, now)),
        (None, None) => "would pick none, and none comes back by itself".to_owned(),
    };
    let _ = writeln!(text, "{verdict}");
    if let Some(strategy) = explanation.strategy.as_deref() {
        let _ = writeln!(text, "{}", order(strategy));
    }
    text
}

/// On what terms it is picked, where they are not the usual ones.
fn terms(candidate: &Candidate, explanation: &Explanation) -> Option<String> {
    let mut parts = Vec::new();
    if explanation.strategy.as_deref() == Some(Strategy::Priority.as_str()) {
        parts.extend(candidate.priority.map(|tier| format!("tier {tier}")));
    }
    parts.extend(candidate.metered.then(|| "metered".to_owned()));
    parts.extend(candidate.reserve.then(|| "reserve".to_owned()));
    joined(&parts)
}

/// How the eligible ones came into their order. A strategy of a later version is named without more.
fn order(strategy: &str) -> String {
    let by = match strategy.parse::<Strategy>() {
        Ok(Strategy::LeastAssigned) => "the fewest agents first",
        Ok(Strategy::Priority) => "the lowest tier first, then the fewest agents",
        Ok(Strategy::Headroom) => {
            "the furthest from its nearest limit first, by fresh readings in steps of ten points, then the fewest agents"
        }
        Ok(Strategy::SoonestReset) => "the quota that expires next first, by fresh readings, then the fewest agents",
        Err(_) => return format!("order: strategy {}", Escaped(strategy)),
    };
    format!("order: strategy {strategy}, {by}; then those in reserve, suspect ones, metered ones")
}

fn why(candidate: &Candidate) -> Option<String> {
    let suspect = "suspect: another agent says that it has run out";
    match (&candidate.reason, candidate.suspect) {
        (Some(reason), _) => Some(reason.clone()),
        (None, true) => Some(suspect.to_owned()),
        (None, false) => None,
    }
}

/// What stands between a failure and a switch, a line each.
fn gates(gates: &Gates, now: Wall) -> Vec<String> {
    let mut lines = Vec::new();
    if !gates.switching {
        lines.push("switching is off in the config: failures are recorded, nobody is moved".to_owned());
    }
    let halted = gates.halted.as_ref();
    lines.extend(halted.map(|why| format!("switching is halted until switchman resume --all: {}", Escaped(why))));
    if gates.monitor_only {
        lines.push("monitor-only: failures are recorded, it is never touched".to_owned());
    }
    if gates.paused {
        let end = gates
            .paused_until
            .map_or("until somebody resumes it".to_owned(), |at| format!("ends {}", until(at.0, now)));
        lines.push(format!("paused, {end}"));
    }
    lines.extend(gates.pinned.as_ref().map(|pin| format!("pinned to {pin}")));
    lines.extend(gates.braked_until.map(|at| format!("braked: its switches are used up, ends {}", until(at.0, now))));
    lines.extend(gates.parked.as_ref().map(|why| format!("parked ({why}): waits for switchman unpark")));
    lines.extend(gates.exhausted_since.map(|at| format!("exhausted: nobody to move to, since {}", ago(at.0, now))));
    lines.extend(gates.uncorroborated.iter().map(|claim| claimed(claim, now)));
    let unread = gates.log_trouble.as_ref();
    lines.extend(unread.map(|why| format!("its log is not read, report failures another way: {}", Escaped(why))));
    lines.extend(gates.hindrances.iter().map(|why| format!("in the way: {}", Escaped(why))));
    lines.extend(gates.obstacle.as_ref().map(|why| format!("in the way: {}", Escaped(why))));
    lines
}

/// Text that nothing agrees with yet, in words.
fn claimed(claim: &Claim, now: Wall) -> String {
    let why = claim.reason.as_ref().map(|reason| format!(" ({})", Escaped(reason))).unwrap_or_default();
    format!(
        "its text says {}{why}, since {}; alone that moves nobody, and it waits for a second sign, until {}",
        Escaped(&claim.kind),
        ago(claim.since.0, now),
        until(claim.until.0, now)
    )
}
