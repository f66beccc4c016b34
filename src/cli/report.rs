//! `report`: a failure report, as a hook or a script in front of an agent sends it.
//!
//! It succeeds when the report is recorded, whatever becomes of it: a script that reports has done its part.

use std::io::Read;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::client::{Call, Daemon, read_all};
use super::moments::{self, until};
use super::wait::Wait;
use super::{Output, views};
use crate::api::v1::time::Time;
use crate::api::v1::wire::{Evidence, FailureReport, ReportAnswer, Spelled};
use crate::domain::{FailureKind, Outcome, Reporter, Wall};
use crate::error::{Exit, Failure};
use crate::telemetry::escape::Escaped;

/// The most of standard input that is taken as evidence: its end says what went wrong, and even if every byte of
/// it has to be escaped, it fits into the 256 KiB that the daemon takes.
const EVIDENCE_BYTES_MAX: usize = 32 << 10;

/// Options of `report`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["kind", "evidence"]))]
pub(super) struct Arguments {
    /// The agent that failed.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
    /// What the failure means.
    #[arg(long, value_parser = kinds())]
    kind: Option<FailureKind>,
    /// Output of the tool, to be classified; `-` reads standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    evidence: Option<String>,
    /// The subscription that the failed work ran on.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    subscription: Option<String>,
    /// The generation that the failed work was dispatched in.
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
    /// The turn that failed, which knows its generation.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    turn: Option<String>,
    /// When the limit ends (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = moments::time)]
    reset_at: Option<Time>,
    /// Idempotency key: the same id for the same agent gets the first answer again.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    id: Option<String>,
    /// It is the agent's own word: it cools the subscription for this agent only.
    #[arg(long)]
    as_agent: bool,
    #[command(flatten)]
    wait: Wait,
}

pub(super) fn kinds() -> impl TypedValueParser<Value = FailureKind> {
    PossibleValuesParser::new(FailureKind::ALL.iter().map(|kind| kind.as_str())).try_map(|word| word.parse())
}

/// Sends it and shows what became of it.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let report = FailureReport {
        id: arguments.id.clone(),
        kind: arguments.kind.map(Spelled),
        evidence: arguments.evidence.as_deref().map(seen).transpose()?,
        subscription: arguments.subscription.clone(),
        generation: arguments.generation,
        turn: arguments.turn.clone(),
        reset_at: arguments.reset_at,
        reporter: arguments.as_agent.then_some(Spelled(Reporter::Agent)),
        ..FailureReport::default()
    };
    let mut call = Call::post(&["v1", "agents", &arguments.agent, "failures"], json!(report));
    if let Some(at_most) = arguments.wait.at_most {
        call = call.waiting(at_most);
    }
    let answer = daemon.call(call).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    output.line(&line(&read_all(&answer)?, daemon.clock().now().wall))
}

/// What the tool printed, as evidence.
pub(super) fn seen(text: &str) -> Result<Evidence, Failure> {
    Ok(Evidence { text: Some(evidence(text)?), ..Evidence::default() })
}

fn evidence(text: &str) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let tail = tail(&mut std::io::stdin().lock());
    tail.map_err(|err| Failure::new(Exit::Failed, "input_failed", format!("cannot read the evidence: {err}")))
}

/// The end of what can be read, which may be endless in length but not in time.
fn tail(from: &mut impl Read) -> std::io::Result<String> {
    let mut kept = Vec::new();
    loop {
        let read = from.by_ref().take(EVIDENCE_BYTES_MAX as u64).read_to_end(&mut kept)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        kept.drain(..kept.len().saturating_sub(EVIDENCE_BYTES_MAX));
    }
}

/// What became of a report, in one line.
pub(super) fn line(answer: &ReportAnswer, now: Wall) -> String {
    let agent = &answer.agent;
    let switch = answer.switch.as_ref().map(views::answered_move);
    let generation = answer.generation.map(|generation| format!(" {generation}")).unwrap_or_default();
    let later = match (answer.earliest_reset, answer.retry_after_s) {
        (Some(at), _) => format!("; the first subscription comes back {}", until(at.0, now)),
        (None, Some(seconds)) => format!("; try again in {}", moments::length(Duration::from_secs(seconds))),
        (None, None) => String::new(),
    };
    let moves = |verb: &str| match &switch {
        Some(switch) => format!("{agent} {verb} {switch}"),
        None => format!("{agent} {verb} to another subscription"),
    };
    let says = match answer.outcome.parse() {
        Ok(Outcome::Switching) => moves("moves"),
        Ok(Outcome::Switched) => moves("has moved"),
        Ok(Outcome::SwitchFailed) => {
            let how = answer.switch.as_ref().map(|switch| format!(", ended {}", switch.outcome));
            format!("{}{}", moves("was to move"), how.unwrap_or_default())
        }
        Ok(Outcome::Repeat) => match &switch {
            Some(switch) => format!("{agent} is moving already {switch}"),
            None => format!("generation{generation} of {agent} was dealt with already"),
        },
        Ok(Outcome::Stale) => format!("about generation{generation} of {agent}, which is over"),
        Ok(Outcome::Held) => {
            format!("about generation{generation}, which {agent} is moving to; judged when it is there")
        }
        Ok(Outcome::Ambiguous) => format!("{agent} has just moved and no generation is named; judged later"),
        Ok(Outcome::Waiting) => format!("{agent} stays: the limit ends soon{later}"),
        Ok(Outcome::Recorded) => format!("{agent} stays"),
        Ok(Outcome::Uncorroborated) => format!("{agent} stays unless something agrees with it"),
        Ok(Outcome::Ignored) if answer.kind.parse().is_ok_and(|kind: FailureKind| kind.moves()) => {
            format!("{agent} stays")
        }
        Ok(Outcome::Ignored) => format!("{agent} stays: {} never moves an agent", answer.kind),
        Ok(Outcome::Exhausted) => format!("{agent} stays: nobody to move to{later}"),
        Ok(Outcome::Braked) => format!("{agent} stays: its switches are used up{later}"),
        Ok(Outcome::Shed) => format!("nothing was recorded for {agent}: too many reports wait{later}"),
        Err(_) => format!("{agent}{later}"),
    };
    let reason = answer.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let again = if answer.duplicate { ", as answered before to this id" } else { "" };
    Escaped(&format!("{}: {says}{reason}{again}", answer.outcome)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outcome: &'static str) -> ReportAnswer {
        ReportAnswer {
            outcome: outcome.into(),
            duplicate: false,
            failure: Some("web-f1".to_owned()),
            kind: "rate_limit".into(),
            agent: "web".to_owned(),
            subscription: Some("a".to_owned()),
            generation: Some(3),
            switch: None,
            retry_after_s: None,
            earliest_reset: None,
            reason: None,
        }
    }

    #[test]
    fn every_outcome_has_a_line() {
        let now = Wall(0);
        let lines: Vec<_> = Outcome::ALL.iter().map(|outcome| line(&answer(outcome.as_str()), now)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_known_besides_is_told_and_cannot_steer_the_terminal() {
        let mut exhausted = answer("exhausted");
        exhausted.earliest_reset = Some(Time(Wall(3_600_000)));
        exhausted.duplicate = true;
        exhausted.reason = Some("\u{1b}[2J".to_owned());
        assert_eq!(
            line(&exhausted, Wall(0)),
            "exhausted: web stays: nobody to move to; the first subscription comes back in 1 h (\\u{1b}[2J), as \
             answered before to this id"
        );
        assert_eq!(line(&answer("something new"), Wall(0)), "something new: web");
    }

    #[test]
    fn of_a_long_output_the_end_is_evidence() {
        let long = format!("{}the end", "x".repeat(3 * EVIDENCE_BYTES_MAX));
        let tail = tail(&mut long.as_bytes()).unwrap();
        assert!(tail.len() == EVIDENCE_BYTES_MAX && tail.ends_with("xthe end"));
        assert_eq!(super::tail(&mut &b"short"[..]).unwrap(), "short");
    }
}
