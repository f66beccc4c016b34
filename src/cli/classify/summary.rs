//! Many lines in short: how many say what, by which rule, and what nobody understands.
//!
//! Its memory has a bound, whatever is read: only so many shapes of lines are told apart.
//!
//! Tests: below, `tests/cli/classify.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::judging::Judged;
use crate::cli::table::{Look, Table};
use crate::domain::{FailureKind, Window};

/// Shapes that are told apart, at most; the rest is counted together.
const SHAPES_MAX: usize = 1_000;

/// Rules that are told apart, at most; there are as many as the config has and the program brings.
const FOUND_MAX: usize = 10_000;

/// What lines have in common that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    kind: FailureKind,
    window: Window,
    trust: &'static str,
    rule: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    lines: u64,
    switches: u64,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Summary {
    files: u64,
    lines: u64,
    failures: u64,
    switches: u64,
    unclassified: u64,
    found: BTreeMap<Found, Count>,
    shapes: BTreeMap<String, u64>,
}

impl Summary {
    pub(super) fn begin_file(&mut self) {
        self.files += 1;
    }

    /// Counts lines that say nothing.
    pub(super) fn skip(&mut self, lines: u64) {
        self.lines += lines;
    }

    pub(super) fn count(&mut self, judged: &Judged) {
        self.lines += 1;
        if let Some(verdict) = &judged.failure {
            self.failures += 1;
            self.switches += u64::from(judged.switches);
            let found = Found {
                kind: verdict.kind,
                window: verdict.window,
                trust: verdict.trust.as_str(),
                rule: verdict.rule.to_string(),
            };
            if self.found.len() < FOUND_MAX || self.found.contains_key(&found) {
                let count = self.found.entry(found).or_default();
                count.lines += 1;
                count.switches += u64::from(judged.switches);
            }
        }
        if let Some(shape) = &judged.unclassified {
            self.unclassified += 1;
            if self.shapes.len() < SHAPES_MAX || self.shapes.contains_key(&shape.0) {
                *self.shapes.entry(shape.0.clone()).or_default() += 1;
            }
        }
    }

    /// Whether any line was worth showing.
    pub(super) fn says_something(&self, only_failures: bool) -> bool {
        self.failures > 0 || (self.unclassified > 0 && !only_failures)
    }

    /// As members of a document.
    pub(super) fn document(&self) -> Map<String, Value> {
        let mut kinds: BTreeMap<&str, Count> = BTreeMap::new();
        for (found, count) in &self.found {
            let kind = kinds.entry(found.kind.as_str()).or_default();
            kind.lines += count.lines;
            kind.switches += count.switches;
        }
        let kinds: Map<_, _> = kinds
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), json!({ "lines": count.lines, "switches": count.switches })))
            .collect();
        let rules = self.found.iter().map(|(found, count)| {
            json!({
                "rule": found.rule, "kind": found.kind.as_str(), "scope": found.window.as_str(),
                "trust": found.trust, "lines": count.lines, "switches": count.switches,
            })
        });
        let shapes = self.shapes().into_iter().map(|(shape, lines)| json!({ "shape": shape, "lines": lines }));
        Map::from_iter([
            ("files".to_owned(), json!(self.files)),
            ("lines".to_owned(), json!(self.lines)),
            ("failures".to_owned(), json!(self.failures)),
            ("switches".to_owned(), json!(self.switches)),
            ("unclassified".to_owned(), json!(self.unclassified)),
            ("kinds".to_owned(), Value::Object(kinds)),
            ("rules".to_owned(), rules.collect()),
            ("shapes".to_owned(), shapes.collect()),
        ])
    }

    /// As text for people.
    pub(super) fn text(&self, look: Look) -> String {
        let lines = |count: u64| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        let of = if self.files > 1 { format!(" of {} files", self.files) } else { String::new() };
        let mut text = format!(
            "{}{of}, {} of them about a failure, {} that would move an agent",
            lines(self.lines),
            self.failures,
            self.switches
        );
        if self.unclassified > 0 {
            let _ = write!(text, ", {} like a limit that no rule knows", self.unclassified);
        }
        text.push('\n');
        if !self.found.is_empty() {
            let mut table = Table::new(look, &["KIND", "SCOPE", "LINES", "SWITCH", "TRUST", "RULE"]);
            for (found, count) in &self.found {
                table.row([
                    found.kind.as_str().into(),
                    scope(found.window).into(),
                    count.lines.to_string().into(),
                    count.switches.to_string().into(),
                    found.trust.into(),
                    found.rule.as_str().into(),
                ]);
            }
            text.push('\n');
            text.push_str(&table.into_text());
        }
        if !self.shapes.is_empty() {
            let mut table = Table::new(look, &["LINES", "UNCLASSIFIED"]);
            for (shape, count) in self.shapes() {
                table.row([count.to_string().into(), shape.into()]);
            }
            text.push('\n');
            text.push_str(&table.into_text());
        }
        text
    }

    /// The most frequent first.
    fn shapes(&self) -> Vec<(&str, u64)> {
        let mut shapes: Vec<_> = self.shapes.iter().map(|(shape, lines)| (shape.as_str(), *lines)).collect();
        shapes.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        shapes
    }
}

/// The window for people: a dash where none is stated.
pub(super) fn scope(window: Window) -> &'static str {
    if window == Window::Unknown { "-" } else { window.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Shape;
    use crate::domain::Wall;

    #[test]
    fn however_many_shapes_there_are_the_summary_stays_small_and_counts_them_all() {
        let mut summary = Summary::default();
        for number in 0..SHAPES_MAX + 10 {
            let unclassified = Some(Shape(format!("shape {number}")));
            summary.count(&Judged { at: Wall(0), has_own_time: false, failure: None, switches: false, unclassified });
        }
        summary.skip(5);
        let document = summary.document();
        assert_eq!(document["shapes"].as_array().unwrap().len(), SHAPES_MAX);
        assert_eq!((&document["unclassified"], &document["lines"]), (&json!(SHAPES_MAX + 10), &json!(SHAPES_MAX + 15)));
    }
}
