//! The rules in force, and the two ways to ask them.

use super::context::Context;
use super::evidence::{Evidence, Verdict};
use super::said::Said;
use super::{exit, http, line, readings, record};
use crate::domain::FailureKind;

/// Recognises failures: by the rules that are built in, and by those of the user.
#[derive(Debug, Default)]
pub struct Classifier {}

impl Classifier {
    /// What the evidence of one failure says.
    #[must_use]
    pub fn evidence(&self, evidence: &Evidence, context: &Context) -> Verdict {
        if let Some(verdict) = exit::killed(evidence) {
            return verdict;
        }
        let answer = http::Answer::of(evidence);
        let answered = http::classify(&answer, context.at);
        if let Some(verdict) = &answered
            && !http::is_weak(verdict)
        {
            return verdict.clone();
        }
        let text = evidence.text.as_deref().unwrap_or_default();
        // A bare status is less than what the tool made of it, and more than words that anybody may have written.
        let told = record::classify(text, context.tool, context.at)
            .filter(|told| answered.is_none() || told.kind != FailureKind::Unknown);
        if let Some(verdict) = told.or(answered).or_else(|| exit::harmless_words(text)) {
            return verdict;
        }
        Verdict::of(FailureKind::Unknown, "unknown", "nothing in the evidence is understood")
    }

    /// What one line of an agent's output says.
    #[must_use]
    pub fn line(&self, text: &[u8], context: &Context) -> Said {
        Said {
            failure: line::classify_line(text, context.tool, context.at),
            readings: readings::of_line(text, context),
            ..Said::default()
        }
    }
}
