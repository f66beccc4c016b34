//! What happened in the demo, from the daemon's own history, and whether it is what should have happened.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{AGENT, failed};
use crate::error::Failure;

/// How many reports had which outcome.
pub(super) type Outcomes = BTreeMap<String, u64>;

/// The outcomes of recorded failures. A row that stands for more than one report stands for repeats of the first.
pub(super) fn outcomes(failures: &Map<String, Value>) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for row in failures.get("failures").and_then(Value::as_array).into_iter().flatten() {
        let outcome = row["outcome"].as_str().unwrap_or("none");
        *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
        let more = row["count"].as_u64().unwrap_or(1).saturating_sub(1);
        if more > 0 {
            let outcome = if outcome == "switching" { "repeat" } else { outcome };
            *outcomes.entry(outcome.to_owned()).or_insert(0) += more;
        }
    }
    outcomes
}

/// What happened, from the daemon's own history.
pub(super) struct Counts {
    outcomes: Outcomes,
    switches: u64,
    restarts: u64,
    from: String,
    to: String,
    others_moved: bool,
    took_ms: u64,
}

impl Counts {
    pub(super) fn of(
        outcomes: Outcomes,
        switches: &Map<String, Value>,
        agents: &Map<String, Value>,
        now: &Map<String, Value>,
        from: &str,
    ) -> Self {
        let rows = switches.get("switches").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "switch").collect();
        let sum = |member: &str| ours.iter().filter_map(|row| row[member].as_u64()).sum();
        let agents = agents.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
        Self {
            outcomes,
            switches: ours.len() as u64,
            restarts: sum("restarts"),
            from: from.to_owned(),
            to: now["assignment"]["subscription"].as_str().unwrap_or("nothing").to_owned(),
            others_moved: agents.iter().any(|agent| agent["name"] != AGENT && agent["assignment"]["generation"] != 1),
            took_ms: sum("drain_ms") + sum("apply_ms") + sum("ready_ms"),
        }
    }

    fn count(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }

    fn reports(&self) -> u64 {
        self.outcomes.values().sum()
    }

    pub(super) fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        document.insert("reports".to_owned(), json!(self.reports()));
        document.insert("outcomes".to_owned(), json!(self.outcomes));
        document.insert("switches".to_owned(), json!(self.switches));
        document.insert("restarts".to_owned(), json!(self.restarts));
        document.insert("from".to_owned(), json!(self.from));
        document.insert("to".to_owned(), json!(self.to));
        document
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "\n  reports   {:>3}   one burst about {}\n  \
             switching {:>3}   started the switch\n  \
             repeat    {:>3}   while it was under way\n  \
             stale     {:>3}   about the generation before it: dropped\n  \
             switches  {:>3}   {} → {}, in {} ms\n  \
             restarts  {:>3}\n\n\
             One burst, one switch, one restart; the rest were stale or repeats.\n",
            self.reports(),
            self.from,
            self.count("switching"),
            self.count("repeat"),
            self.count("stale"),
            self.switches,
            self.from,
            self.to,
            self.took_ms,
            self.restarts,
        )
    }

    /// The demo is a check as well: anything but one switch and one restart is a failure.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let dropped = self.count("repeat") + self.count("stale");
        let is_right = self.switches == 1
            && self.restarts == 1
            && self.count("switching") == 1
            && dropped + 1 == self.reports()
            && self.to != self.from
            && !self.others_moved;
        if is_right { Ok(()) } else { Err(failed("this is not what should have happened")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_as_often_as_it_stands_for() {
        let rows = json!({"failures": [
            {"outcome": "stale", "count": 2}, {"outcome": "switching", "count": 18}, {"outcome": "stale", "count": 1},
        ]});
        let counted = outcomes(rows.as_object().unwrap());
        let expected = [("switching", 1), ("repeat", 17), ("stale", 3)];
        assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }
}
