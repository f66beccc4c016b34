//! Which window is meant: by the names that records and headers have for it, and by the words that people read.

use std::sync::LazyLock;

use super::pattern::Pattern;
use crate::domain::{Model, Window};

/// A window by the name that records, claims and headers have for it.
pub(super) fn window_named(name: &str) -> Option<(Window, Option<Model>)> {
    match name {
        "five_hour" | "5h" => Some((Window::FiveHour, None)),
        "seven_day" | "7d" => Some((Window::Weekly, None)),
        // A weekly window of models that it does not name.
        "seven_day_overage_included" | "7d_oi" => Some((Window::Model, None)),
        _ => {
            let model = name.strip_prefix("seven_day_").or_else(|| name.strip_prefix("7d_"))?;
            let is_name = !model.is_empty() && model.len() <= 32 && model.bytes().all(|b| b.is_ascii_alphanumeric());
            is_name.then(|| (Window::Model, Some(Model::new(model))))
        }
    }
}

/// The window that words speak of.
pub(super) fn window_in(words: &str) -> (Window, Option<Model>) {
    static REQUESTS: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours_within(
            r"\bper[\- ](?:min(?:ute)?|second|hour)\b|/ ?min\b|\((?:tpm|rpm)\)|\b[tr]pm\b|too many requests|wait a moment|(?:retry|try again) shortly|few (?:seconds|minutes)",
        )
    });
    static MODEL: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours_within(
            r"\b(?P<family>opus|sonnet|haiku)\b|\b(?:for|of|with|on) (?:model )?(?P<name>(?:gemini|gpt|claude|o\d|codex|kimi|glm|grok)[\w.\-]*\d[\w.\-]*)|\b(?P<this>(?:on|for) this model|per ?model|permodel)|\bdaily (?P<daily>gemini[\w.\-]+)|\b(?P<spaced>gemini \d[\d.]* \w+)|permodel",
        )
    });
    static FIVE: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours_within(r"\bsession\b|\b(?:5|five)[\- ]?h(?:ou)?r?s?\b|5小时|5 ?小时|\bhourly\b")
    });
    static WEEK: LazyLock<Pattern> =
        LazyLock::new(|| Pattern::of_ours_within(r"\bweek(?:ly)?\b|\b(?:7|seven)[\- ]days?\b|每周|本周"));
    if REQUESTS.is_match(words) {
        return (Window::Requests, None);
    }
    if let Some(found) = MODEL.captures(words) {
        let name = found
            .name("family")
            .or_else(|| found.name("name"))
            .or_else(|| found.name("daily"))
            .or_else(|| found.name("spaced"));
        return (Window::Model, name.map(|name| Model::new(name.as_str().to_lowercase().replace(' ', "-"))));
    }
    let window = if FIVE.is_match(words) {
        Window::FiveHour
    } else if WEEK.is_match(words) {
        Window::Weekly
    } else {
        Window::Unknown
    };
    (window, None)
}
