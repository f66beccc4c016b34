//! The forms in which a line is told: one JSON object, or a few lines for people.
//!
//! Nothing of what a log holds can steer a terminal: it is escaped, and cut.
//!
//! Tests: `tests/cli/classify.rs`.

use std::fmt::Write as _;

use serde::Serialize;

use super::judging::Judged;
use super::summary::scope;
use crate::api::v1::time::Time;
use crate::classify::Verdict;
use crate::cli::moments::calendar;
use crate::domain::Trust;
use crate::telemetry::escape::Escaped;

/// So much of a line is shown to people, in bytes.
const SHOWN_MAX: usize = 200;

/// One object per line, as the docs promise it.
#[derive(Serialize)]
struct LineObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    kind: Option<&'static str>,
    scope: Option<&'static str>,
    reset_at: Option<Time>,
    trust: Option<&'static str>,
    rule: Option<&'a str>,
    switches: bool,
}

/// What a line says as a JSON object, with its line end. `file` is named where there are several.
pub(super) fn object(out: &mut String, file: Option<&str>, line: u64, judged: &Judged) {
    let failure = judged.failure.as_ref();
    let object = LineObject {
        file,
        line,
        kind: failure.map(|verdict| verdict.kind.as_str()),
        scope: failure.map(|verdict| verdict.window.as_str()),
        reset_at: failure.and_then(|verdict| verdict.reset_at).map(Time),
        trust: failure.map(|verdict| verdict.trust.as_str()),
        rule: failure.map(|verdict| verdict.rule.as_str()),
        switches: judged.switches,
    };
    if let Ok(text) = serde_json::to_string(&object) {
        out.push_str(&text);
    }
    out.push('\n');
}

/// What a line says for people; nothing if it says nothing.
pub(super) fn text(out: &mut String, file: Option<&str>, line: u64, text: &[u8], judged: &Judged) {
    let place = file.map_or_else(|| line.to_string(), |file| format!("{}:{line}", Escaped(file)));
    // A string takes whatever is written into it.
    if let Some(verdict) = &judged.failure {
        let _ = writeln!(out, "{place}: {}: {}", what(verdict), coming(verdict, judged.switches));
        let why = Escaped(&verdict.reason);
        let _ = writeln!(out, "    {} ({}): {why}", Escaped(verdict.rule.as_str()), verdict.trust);
    } else if let Some(shape) = &judged.unclassified {
        let _ = writeln!(out, "{place}: unclassified: looks like a limit, and no rule knows it");
        let _ = writeln!(out, "    shape: {}", Escaped(&shape.0));
    } else {
        return;
    }
    let _ = writeln!(out, "    | {}", shown(text));
}

/// The kind, the window and when it ends.
pub(super) fn what(verdict: &Verdict) -> String {
    let mut text = verdict.kind.to_string();
    if scope(verdict.window) != "-" {
        let _ = write!(text, ", {}", verdict.window);
    }
    if let Some(model) = &verdict.model {
        let _ = write!(text, ", model {}", Escaped(model.as_str()));
    }
    if let Some(reset) = verdict.reset_at {
        let _ = write!(text, ", until {} UTC", calendar(reset));
    }
    text
}

/// What comes of it, in words.
fn coming(verdict: &Verdict, switches: bool) -> &'static str {
    if switches && verdict.trust == Trust::Text {
        "would move the agent, once something else agrees"
    } else if switches {
        "would move the agent"
    } else if verdict.is_hearsay {
        "moves nobody: the line only repeats it"
    } else if verdict.moves() {
        "moves nobody: so near a reset is waited for"
    } else {
        "moves nobody"
    }
}

/// The beginning of a line, safe to print.
pub(super) fn shown(text: &[u8]) -> String {
    let head = String::from_utf8_lossy(&text[..text.len().min(SHOWN_MAX)]);
    let mut shown = Escaped(head.trim_end_matches('\u{fffd}').trim()).to_string();
    if text.len() > SHOWN_MAX {
        let _ = write!(shown, "… [{} bytes more]", text.len() - SHOWN_MAX);
    }
    shown
}
