//! From a rule that holds to a verdict: which window, which model, until when.

use serde_json::Value;

use super::context::Context;
use super::evidence::Verdict;
use super::http::Answer;
use super::reset_time;
use super::rule::{Path, ResetIn, Rule, Says, Scope, When};
use super::windows::{window_in, window_named};
use crate::domain::{FailureKind, Wall, Window};

/// What a rule that holds says of what it holds for.
pub(super) fn ruling(
    rule: &Rule,
    kind: FailureKind,
    words: &str,
    answer: Option<&Answer>,
    record: Option<&Value>,
    context: &Context,
) -> Verdict {
    let Says { scope, reset, model, trust, reason, .. } = &rule.says;
    let (window, told) = match scope {
        Scope::Is(window @ Window::Model) => (*window, window_in(words).1),
        Scope::Is(window) => (*window, None),
        Scope::Member(path) => {
            record.and_then(|record| window_named(path.of(record)?.as_str()?)).unwrap_or((Window::Unknown, None))
        }
        Scope::Headers => answer.map_or((Window::Unknown, None), Answer::window),
        Scope::Words => window_in(words),
    };
    let group = |name: &str| match &rule.when {
        When::Sentence(pattern) => Some(pattern.captures(words)?.name(name)?.as_str()),
        When::Record(_) | When::Answer(_) | When::Exception(_) => None,
    };
    let member = |path: &Path| match (record, answer) {
        (Some(record), _) => path.of(record),
        (None, Some(answer)) => answer.at(path),
        (None, None) => None,
    };
    let reset_at = match reset {
        ResetIn::Nowhere => None,
        ResetIn::At(path) => member(path).and_then(|value| reset_time::member(value, context.at)),
        ResetIn::After(path) => member(path).and_then(|value| reset_time::seconds(value.as_f64()?, context.at)),
        ResetIn::Headers => answer.and_then(|answer| answer.reset(window, context)),
        ResetIn::Words => reset_time::in_words(words, window, context).map(|reset| reset.at),
        ResetIn::Group(name) => group(name).and_then(|text| stated_in(text, window, context)),
    };
    Verdict {
        kind,
        window,
        model: model.clone().or(told),
        reset_at,
        trust: *trust,
        is_hearsay: false,
        rule: rule.id.clone(),
        reason: reason.clone(),
    }
}

/// A reset that a user's pattern has found: nothing else stands there.
fn stated_in(text: &str, window: Window, context: &Context) -> Option<Wall> {
    let plain = reset_time::stated(text, context.at);
    plain.or_else(|| Some(reset_time::in_words(&format!("resets {text}"), window, context)?.at))
}
