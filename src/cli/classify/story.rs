//! The forms in which a replay is told: a table for people, or one document.
//!
//! Tests: `tests/cli/replay.rs`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::replaying::Reading;
use super::telling::what;
use crate::api::v1::time::Time;
use crate::cli::moments::calendar;
use crate::cli::table::{Look, Table};
use crate::domain::{Outcome, SubscriptionName, Wall};
use crate::replay::{Entry, RESTART_TAKES, Replay, Rest, What};

/// What was replayed.
pub(super) struct Story<'a> {
    pub(super) agent: &'a str,
    pub(super) on: &'a SubscriptionName,
    pub(super) reading: &'a Reading,
    pub(super) replay: &'a Replay,
    pub(super) rest: &'a Rest,
}

impl Story<'_> {
    pub(super) fn text(&self, look: Look) -> String {
        let Self { agent, on, reading, replay, rest } = self;
        let mut text = format!(
            "{agent}, taken as running on {on} at first: {} lines, {} of them about a failure\n",
            reading.lines, reading.failures
        );
        if !replay.timeline().is_empty() {
            let mut table = Table::new(look, &["TIME (UTC)", "LINE", "WHAT"]);
            for entry in replay.timeline() {
                let [line, what] = self.row(entry);
                table.row([calendar(entry.at).into(), line.into(), what.into()]);
            }
            text.push('\n');
            text.push_str(&table.into_text());
        }
        let subscription = rest.subscription.as_ref().map_or("nothing", SubscriptionName::as_str);
        let wakes = rest.wake_at.map(|at| format!(", and look again at {} UTC", calendar(at))).unwrap_or_default();
        let _ = write!(
            text,
            "\nswitches = {}, restarts = {}\n{agent} would be {} on {subscription}, generation {}{wakes}\n",
            replay.switches(),
            replay.restarts(),
            rest.phase,
            rest.generation.0
        );
        if replay.restarts() > 0 {
            let _ = writeln!(
                text,
                "A restart is taken to last {} s; a line after it is taken for the restarted agent's, unless it names the reset of a \
                 limit that was left.",
                RESTART_TAKES.as_secs()
            );
        }
        text
    }

    /// The lines that an entry is about, and what it says.
    fn row(&self, Entry { what: happened, .. }: &Entry) -> [String; 2] {
        match happened {
            What::Reported { line, last_line, lines, verdict, outcome, is_known, reason, .. } => {
                let place = if lines > &1 {
                    format!("{} … {} ({lines})", self.place(*line), self.reading.place(*last_line).1)
                } else {
                    self.place(*line)
                };
                let outcome = outcome.map_or("not reported, for the line only repeats it", |outcome| outcome.as_str());
                let known = if *is_known { " (the limit that was left)" } else { "" };
                let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                [place, format!("{}: {outcome}{known}{reason} [{}]", what(verdict), verdict.rule)]
            }
            What::Judged { line, outcome } => [self.place(*line), format!("judged at last: {outcome}")],
            What::Began { from, to, generation, cause } => {
                let from = from.as_ref().map_or("nothing", SubscriptionName::as_str);
                [String::new(), format!("switch {from} → {to}, generation {}, cause {cause}", generation.0)]
            }
            What::Ended { outcome } => [String::new(), format!("switch ended: {outcome}")],
            What::Said { event, text } => [String::new(), format!("{event}: {text}")],
        }
    }

    fn place(&self, line: u64) -> String {
        match self.reading.place(line) {
            (Some(file), line) => format!("{file}:{line}"),
            (None, line) => line.to_string(),
        }
    }

    pub(super) fn document(&self) -> Map<String, Value> {
        let Self { agent, on, reading, replay, rest } = self;
        let time = |at: Wall| json!(Time(at));
        Map::from_iter([
            ("agent".to_owned(), json!(agent)),
            ("on".to_owned(), json!(on.as_str())),
            ("lines".to_owned(), json!(reading.lines)),
            ("failures".to_owned(), json!(reading.failures)),
            ("timeline".to_owned(), replay.timeline().iter().map(|entry| self.object(entry)).collect()),
            ("switches".to_owned(), json!(replay.switches())),
            ("restarts".to_owned(), json!(replay.restarts())),
            ("phase".to_owned(), json!(rest.phase)),
            ("subscription".to_owned(), json!(rest.subscription.as_ref().map(SubscriptionName::as_str))),
            ("generation".to_owned(), json!(rest.generation.0)),
            ("wake_at".to_owned(), rest.wake_at.map_or(Value::Null, time)),
        ])
    }

    fn object(&self, Entry { at, what }: &Entry) -> Value {
        let at = Time(*at);
        let mut object = match what {
            What::Reported { last_line, lines, verdict, outcome, subscription, is_known, reason, .. } => json!({
                "at": at, "event": "reported", "last_line": self.reading.place(*last_line).1, "lines": lines,
                "kind": verdict.kind.as_str(), "scope": verdict.window.as_str(),
                "reset_at": verdict.reset_at.map(Time), "trust": verdict.trust.as_str(), "rule": verdict.rule.as_str(),
                "outcome": outcome.map(Outcome::as_str),
                "subscription": subscription.as_ref().map(SubscriptionName::as_str),
                "is_known": is_known, "reason": reason,
            }),
            What::Judged { outcome, .. } => json!({ "at": at, "event": "judged", "outcome": outcome.as_str() }),
            What::Began { from, to, generation, cause } => json!({
                "at": at, "event": "switch_began", "from": from.as_ref().map(SubscriptionName::as_str),
                "to": to.as_str(), "generation": generation.0, "cause": cause.as_str(),
            }),
            What::Ended { outcome } => json!({ "at": at, "event": "switch_ended", "outcome": outcome.as_str() }),
            What::Said { event, text } => json!({ "at": at, "event": event.as_str(), "text": text }),
        };
        if let What::Reported { line, .. } | What::Judged { line, .. } = what {
            let (file, line) = self.reading.place(*line);
            object["line"] = json!(line);
            if let Some(file) = file {
                object["file"] = json!(file);
            }
        }
        object
    }
}
