//! What tools really said: 252 lines from public reports, each with what it must be taken for.
//!
//! `tests/data/signals.jsonl`, a line each: `class` as its reporter saw it, `kind` as the rules name it where that is finer,
//! `scope`, `at` and `zone` (when it was written and what the container's clock was set to), and `reset_at`, the exact
//! instant of what it states, worked out apart from this code. `ambiguous` rows are of no use for a verdict.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

use std::sync::LazyLock;

use serde_json::Value;
use switchman::classify::{Classifier, Context, Said, Verdict, Zone};
use switchman::domain::{FailureKind, Tool, Trust, Wall};

static BUILT_IN: LazyLock<Classifier> = LazyLock::new(Classifier::default);

struct Row(Value);

impl Row {
    fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    fn line(&self) -> &str {
        self.text("line").unwrap()
    }

    fn at(&self) -> Wall {
        wall(self.text("at").unwrap())
    }

    /// With the rules of every tool, or with those of its own.
    fn said(&self, tool: Option<Tool>) -> Said {
        let zone = Zone::named(self.text("zone").unwrap()).unwrap();
        BUILT_IN.line(self.line().as_bytes(), &Context { zone, ..Context::new(tool, self.at()) })
    }

    fn tool(&self) -> Option<Tool> {
        self.text("producer").unwrap().parse().ok()
    }
}

fn wall(text: &str) -> Wall {
    Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Those that are of use.
fn rows() -> Vec<Row> {
    let rows = include_str!("data/signals.jsonl").lines().map(|row| Row(serde_json::from_str(row).unwrap()));
    let rows: Vec<_> = rows.filter(|row| row.0["ambiguous"] != true).collect();
    assert_eq!(rows.len(), 238);
    rows
}

fn kind(said: &Said) -> Option<FailureKind> {
    said.failure.as_ref().map(|failure| failure.kind)
}

fn moves(said: &Said) -> bool {
    said.failure.as_ref().is_some_and(Verdict::moves)
}

#[test]
fn what_is_no_failure_of_a_subscription_moves_nobody() {
    let others: Vec<Row> = rows().into_iter().filter(|row| row.text("kind").is_none()).collect();
    assert_eq!(others.len(), 113);
    for row in others {
        for tool in Tool::ALL.iter().copied().map(Some).chain([None]) {
            let said = row.said(tool);
            assert!(!moves(&said), "{tool:?} {}: {said:?}", row.line());
        }
    }
}

#[test]
fn failures_are_of_the_right_kind_and_reach_as_far_as_they_say() {
    let positives: Vec<Row> = rows().into_iter().filter(|row| row.text("kind").is_some()).collect();
    assert_eq!(positives.len(), 125);
    let (mut wrong, mut elsewhere) = (Vec::new(), Vec::new());
    for row in &positives {
        let said = row.said(None);
        let expected = row.text("kind").map(|kind| kind.parse::<FailureKind>().unwrap());
        if kind(&said) != expected {
            wrong.push(format!("{} {:?}: {}", row.0["id"], kind(&said), row.line()));
        }
        let window = said.failure.as_ref().map(|failure| failure.window.as_str());
        if row.text("scope").is_some_and(|scope| Some(scope) != window) {
            elsewhere.push(format!("{} {window:?}: {}", row.0["id"], row.line()));
        }
    }
    // Each that is missed is in docs/signals.md, with the reason.
    assert_eq!(wrong, Vec::<String>::new());
    assert!(elsewhere.len() <= 4, "{elsewhere:#?}");
}

#[test]
fn a_tools_lines_are_known_where_that_tool_runs() {
    let mut missed = Vec::new();
    for row in rows().iter().filter(|row| row.text("kind").is_some() && row.tool().is_some()) {
        if !kind(&row.said(row.tool())).is_some_and(FailureKind::moves) {
            missed.push(row.line().to_owned());
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn stated_resets_are_read_to_the_minute() {
    let (mut stated, mut missed) = (0, Vec::new());
    for row in rows() {
        let Some(expected) = row.text("reset_at").map(wall) else { continue };
        stated += 1;
        let found = row.said(None).failure.and_then(|failure| failure.reset_at);
        if found.is_none_or(|found| found.0.abs_diff(expected.0) >= 60_000) {
            missed.push(format!(
                "{} {:?}: {}",
                row.0["id"],
                found.map(|at| jiff::Timestamp::from_millisecond(at.0)),
                row.line()
            ));
        }
    }
    assert_eq!((stated, missed), (55, Vec::<String>::new()));
}

#[test]
fn only_records_of_a_tools_own_are_more_than_text() {
    for row in rows() {
        let Some(failure) = row.said(None).failure else { continue };
        let is_record = row.line().trim().starts_with(r#"{"type":""#) && !row.line().contains("overloaded_error");
        assert_eq!(failure.trust == Trust::Structured, is_record, "{}: {failure:?}", row.line());
    }
}
