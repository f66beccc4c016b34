//! Finds the tool's own records in its output: whole lines that are one JSON object each.

use serde_json::Value;

use super::evidence::Verdict;
use super::{claude_code, codex};
use crate::domain::{FailureKind, Tool, Wall};

/// Records are looked for in so much of the text; the rest is not a report but a log.
const BYTES_MAX: usize = 1 << 20;

/// What the records in a text mean; `None` if none is about a failure.
///
/// A failure often leaves several: an event that names window and reset, a record that only says "limit", a
/// result that only says "429". The one that says most is taken, the later one of equals.
pub(super) fn classify(text: &str, tool: Option<Tool>, now: Wall) -> Option<Verdict> {
    let text = text.get(..BYTES_MAX).unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('{') && line.ends_with('}'));
    let records = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter_map(|record| one(&record, tool, now)).max_by_key(weight)
}

/// A tool's records count only where that tool runs; where nothing is known, all do.
pub(super) fn one(record: &Value, tool: Option<Tool>, now: Wall) -> Option<Verdict> {
    let claude_code = || claude_code::record(record, now);
    let codex = || codex::record(record, now);
    match tool {
        Some(Tool::ClaudeCode) => claude_code(),
        Some(Tool::Codex) => codex(),
        Some(Tool::Custom) | None => claude_code().or_else(codex),
        Some(Tool::GeminiCli | Tool::Opencode | Tool::Aider) => None,
    }
}

fn weight(verdict: &Verdict) -> (u8, Option<Wall>) {
    let rank = match verdict.kind {
        FailureKind::Unknown => 0,
        FailureKind::Overload | FailureKind::Network | FailureKind::Killed | FailureKind::Request => 1,
        _ if matches!(verdict.rule.as_str(), "claude-code.rate_limit_event" | "claude-code.credits_required") => 3,
        _ => 2,
    };
    (rank, verdict.reset_at)
}
