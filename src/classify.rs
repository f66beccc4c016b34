//! From evidence to a verdict: what went wrong, how far it reaches, when it ends.
//!
//! Pure: no clock, no environment, no I/O. It must not decide what is done about a failure, nor believe text
//! that could be anybody's: only a status, headers, a body, how the process ended, and the tool's own
//! top-level JSON records make a kind that may move an agent. Everything else is `unknown`.
//!
//! The order is the rule (C2–C5):
//!
//! ```text
//! killed?  ──► status, headers, body ──► records of the tool in the text ──► harmless words ──► unknown
//! signal,      529, 5xx, busy: overload   top-level keys only; of several     network, killed:
//! 137, OOM     429, 401, 403, 402 by      the one that says most              never a mover
//!              what the body says
//! ```
//!
//! Invariants: kill evidence beats everything · no free text gives a kind that moves · a reset outside
//! yesterday … 40 days is not one.
//!
//! Tests: in each file; rows of real output in `classify/tests.rs`.

mod claude_code;
mod codex;
mod evidence;
mod exit;
mod http;
mod line;
mod record;
mod reset_time;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, Verdict};
pub use line::classify_line;

use crate::domain::{FailureKind, Tool, Wall};

/// What the evidence says. `tool` is what runs in the agent, if that is known; `now` is when the evidence
/// was seen, which relative times are counted from.
#[must_use]
pub fn classify(evidence: &Evidence, tool: Option<Tool>, now: Wall) -> Verdict {
    if let Some(verdict) = exit::killed(evidence) {
        return verdict;
    }
    let answer = http::Answer::of(evidence);
    let answered = http::classify(&answer, now);
    if let Some(verdict) = &answered
        && !http::is_weak(verdict)
    {
        return verdict.clone();
    }
    let text = evidence.text.as_deref().unwrap_or_default();
    // A bare status is less than what the tool made of it, and more than words that anybody may have written.
    let told = record::classify(text, tool, now).filter(|told| answered.is_none() || told.kind != FailureKind::Unknown);
    if let Some(verdict) = told.or(answered).or_else(|| exit::harmless_words(text)) {
        return verdict;
    }
    Verdict::of(FailureKind::Unknown, "unknown", "nothing in the evidence is understood")
}
