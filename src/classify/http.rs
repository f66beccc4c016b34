//! A provider's answer, taken apart: its status, its headers, the type and the words of its error.
//!
//! The words that rules look for here stand in an error body of the provider, or in what the tool says of it, never in
//! free text. Bodies come whole, as a stream of events, as the text of a program that printed its own form of JSON, or cut
//! off in the middle; of the last ones the names are read as far as they go.
//!
//! Tests: `tests.rs`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::context::Context;
use super::evidence::Evidence;
use super::pattern::Pattern;
use super::rule::{Asked, Path};
use super::windows::window_named;
use super::{document, reset_time};
use crate::domain::{Model, Wall, Window};

/// So much of a body is looked at.
const BODY_MAX: usize = 256 * 1024;

/// So much of one that is no whole document, whose members are looked for one by one.
const BROKEN_MAX: usize = 64 * 1024;

/// So much of its words. Every rule is held against them, and what a provider has to say it says at once.
const WORDS_MAX: usize = 16 * 1024;

const UNIFIED: &str = "anthropic-ratelimit-unified-";

/// A provider's answer, taken apart.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    headers: Vec<(String, String)>,
    /// The error object of the body.
    error: Option<Value>,
    /// Type, code and reasons of the error, in lower case.
    names: Vec<String>,
    /// Its words as they are.
    words: String,
    /// The same in lower case, apostrophes straight.
    lower: String,
}

impl Answer {
    /// The answer in the evidence.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let body = evidence.body.as_deref().unwrap_or_default();
        let headers: Vec<_> =
            evidence.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut status = evidence.status;
        // An error that comes in the middle of an answer that began well.
        let streamed = status.is_none_or(|status| (200..=299).contains(&status)).then(|| in_stream(body)).flatten();
        let answer = match streamed {
            Some(error) => {
                status = None;
                Self::of_document(None, &error)
            }
            None => Self::new(status, body),
        };
        Self { status, headers, ..answer }
    }

    /// An answer that a tool tells of: a status and what it printed of the body.
    pub(super) fn new(status: Option<u16>, body: &str) -> Self {
        let body = cut(body.trim(), BODY_MAX);
        match document::parse(body).filter(|document| document.is_object() || document.is_array()) {
            Some(document) => Self::of_document(status, &document),
            None => Self::of_text(status, body),
        }
    }

    pub(super) fn of_document(status: Option<u16>, document: &Value) -> Self {
        let first = match document {
            // Google's streams answer with a list.
            Value::Array(items) => items.first().unwrap_or(document),
            _ => document,
        };
        let error = match first.get("error") {
            Some(inner @ Value::Object(_)) => inner,
            _ => first,
        };
        let mut answer = Self { status, error: Some(error.clone()), ..Self::default() };
        answer.take_names(error);
        let words = ["message", "error_description", "error_msg", "detail", "msg"];
        let nested = error.get("data").and_then(|data| data.get("message"));
        let told = words.iter().find_map(|name| error.get(*name)).or(nested).or_else(|| first.get("error"));
        let told = told.and_then(Value::as_str).unwrap_or_default();
        // A gateway's words are often the body of the answer that it got.
        match document::parse(told.trim()).filter(Value::is_object) {
            Some(inner) => {
                let inner = Self::of_document(None, &inner);
                answer.names.extend(inner.names);
                answer.say(&inner.words);
                answer.error = inner.error.or(answer.error);
            }
            None => answer.say(told),
        }
        if answer.status.is_none() {
            let number =
                ["status", "statusCode", "code", "status_code"].iter().find_map(|name| error.get(*name)?.as_u64());
            answer.status =
                number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..=599).contains(status));
        }
        answer
    }

    /// What stands in the body, from its top or from its error down.
    pub(super) fn at(&self, path: &Path) -> Option<&Value> {
        let error = self.error.as_ref()?;
        path.below("error").and_then(|path| path.of(error)).or_else(|| path.of(error))
    }

    fn of_text(status: Option<u16>, body: &str) -> Self {
        /// Members of a document that is no whole JSON: a program's own form of it, or cut off.
        static MEMBERS: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(
                r#"\\?["'](?P<name>type|code|status|reason|error|error_code|message|error_msg|error_description|quotaId)\\?["']\s*:\s*(?:\\?"(?P<double>(?:[^"\\]|\\[^"])*)|\\?'(?P<single>(?:[^'\\]|\\.)*)|b?(?P<number>\d{3}\b))"#,
            )
            .expect("a pattern of our own")
        });
        let body = cut(body, BROKEN_MAX);
        let mut answer = Self { status, ..Self::default() };
        let mut words = None;
        for found in MEMBERS.captures_iter(body).take(64) {
            let text = found.name("double").or_else(|| found.name("single")).or_else(|| found.name("number"));
            let text = text.map(|text| text.as_str()).unwrap_or_default();
            match &found["name"] {
                // A document inside a document: the innermost words are the provider's.
                "message" | "error_msg" | "error_description" => {
                    words = words.filter(|words: &&str| !words.starts_with('{')).or(Some(text));
                }
                "code" | "status" if answer.status.is_none() && found.name("number").is_some() => {
                    answer.status = text.parse().ok().filter(|status| (400..=599).contains(status));
                }
                _ => answer.names.push(text.to_lowercase()),
            }
        }
        answer.say(words.unwrap_or(body));
        answer
    }

    fn take_names(&mut self, error: &Value) {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.to_lowercase()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        // `error` itself is the code in answers of token endpoints.
        let members = ["type", "code", "status", "error", "reason", "error_code", "last_upstream_error"];
        self.names.extend(members.iter().filter_map(|name| error.get(*name).and_then(text)));
        let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
        for detail in details.take(32) {
            self.names.extend(detail.get("reason").and_then(text));
            let violations = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
            self.names.extend(violations.take(32).filter_map(|violation| violation.get("quotaId").and_then(text)));
        }
    }

    fn say(&mut self, words: &str) {
        let words = cut(words, WORDS_MAX);
        words.clone_into(&mut self.words);
        self.lower = words.to_lowercase().replace('’', "'");
    }

    pub(super) fn words(&self) -> &str {
        &self.words
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.error.as_ref()?.get(name)
    }

    /// Whether there was an answer at all.
    pub(super) fn is_there(&self) -> bool {
        self.status.is_some() || self.error.is_some() || self.header("anthropic-ratelimit-unified-status").is_some()
    }

    /// Whether it has what a rule asks for.
    pub(super) fn has(&self, asked: &Asked) -> bool {
        let Asked { status, or_no_status, header, names, words, says } = asked;
        let status_fits = match self.status {
            _ if status.is_empty() => true,
            Some(told) => status.iter().any(|range| range.contains(&told)),
            None => *or_no_status,
        };
        let header_fits = header.as_ref().is_none_or(|(name, values)| {
            self.header(name).is_some_and(|told| values.iter().any(|value| value == told))
        });
        let is_named = self.names.iter().any(|name| names.contains(name));
        let is_said = words.iter().any(|phrase| self.lower.contains(phrase.as_str()));
        let body_fits = (names.is_empty() && words.is_empty()) || is_named || is_said;
        // Matched as they stand, so that a pattern may be about more than letters.
        status_fits && header_fits && body_fits && says.as_ref().is_none_or(|says| says.is_match(&self.words))
    }

    /// Which window the headers show as used up.
    pub(super) fn window(&self) -> (Window, Option<Model>) {
        let rejected = self.rejected_windows().next();
        let claim = self.header("anthropic-ratelimit-unified-representative-claim").and_then(window_named);
        rejected.map(|(_, window, model)| (window, model)).or(claim).unwrap_or((self.full_window(), None))
    }

    /// The windows that are rejected, the one first that binds: one that is about all models before one that is not, then
    /// the one that ends last.
    fn rejected_windows(&self) -> impl Iterator<Item = (Option<i64>, Window, Option<Model>)> {
        let reset_of = |name: &str| self.header(&format!("{UNIFIED}{name}-reset"))?.parse::<i64>().ok();
        let mut rejected: Vec<_> = self
            .headers()
            .filter(|(_, value)| *value == "rejected")
            .filter_map(|(name, _)| name.strip_prefix(UNIFIED)?.strip_suffix("-status"))
            .filter_map(|name| window_named(name).map(|(window, model)| (reset_of(name), window, model)))
            .collect();
        rejected.sort_by_key(|(reset, window, _)| {
            std::cmp::Reverse((*window != Window::Model, *reset, *window == Window::Weekly))
        });
        rejected.into_iter()
    }

    /// The window that Codex' headers show as full. Its length names it; which slot it stands in does not.
    fn full_window(&self) -> Window {
        let number = |slot: &str, name: &str| self.header(&format!("x-codex-{slot}-{name}"))?.parse::<f64>().ok();
        let full: Vec<_> = ["primary", "secondary"]
            .into_iter()
            .filter(|slot| number(slot, "used-percent").is_some_and(|used| used >= 100.0))
            .filter_map(|slot| number(slot, "window-minutes"))
            .collect();
        let has = |minutes: f64| full.iter().any(|length| (length - minutes).abs() < 1.0);
        if has(10_080.0) {
            Window::Weekly
        } else if has(300.0) {
            Window::FiveHour
        } else {
            Window::Unknown
        }
    }

    /// When it ends, by whatever of it says so.
    pub(super) fn reset(&self, window: Window, context: &Context) -> Option<Wall> {
        let now = context.at;
        let seconds = |name: &str| reset_time::seconds(self.member(name)?.as_f64()?, now);
        let header_at = |name: &str| reset_time::stated(self.header(name)?, now);
        let rejected = || self.rejected_windows().next()?.0.and_then(|at| reset_time::epoch(at, now));
        let delay = || {
            let details = self.member("details")?.as_array()?;
            details.iter().find_map(|detail| reset_time::delay(detail.get("retryDelay")?.as_str()?, now))
        };
        rejected()
            .or_else(|| header_at("anthropic-ratelimit-unified-reset"))
            .or_else(|| reset_time::member(self.member("resets_at")?, now))
            .or_else(|| seconds("resets_in_seconds"))
            .or_else(|| seconds("reset_seconds"))
            .or_else(|| reset_time::retry_after(self.header("retry-after")?, now))
            .or_else(delay)
            .or_else(|| reset_time::in_words(&self.words, window, context).map(|reset| reset.at))
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The error in a stream of events, if one ended in it.
fn in_stream(body: &str) -> Option<Value> {
    let mut events =
        cut(body, BODY_MAX).lines().rev().filter_map(|line| document::parse(line.strip_prefix("data:")?.trim()));
    events.find_map(|event| match event.get("type").and_then(Value::as_str) {
        Some("error") => Some(event),
        Some("response.failed") => event.get("response").cloned(),
        Some(_) => None,
        None => event.get("error").is_some_and(Value::is_object).then_some(event),
    })
}

/// A piece of a document that a tool printed over several lines, or a line of a dump of headers: what it names.
pub(super) fn fragment(line: &str) -> Option<Answer> {
    static MEMBER: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours(r#"\\?"?(?:type|code|status|reason|error)\\?"?\s*[:=]\s*\\?"([a-z0-9_.]+)\\?",?"#)
    });
    static HEADER: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours(r"[<\s]*(anthropic-ratelimit-unified-(?:[a-z0-9_]+-)?status)\s*[:=]\s*(rejected)")
    });
    static QUOTA: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours(r#"(?:\\?"quotaId\\?"\s*:\s*)?\\?"([a-z]+PerDayPerProjectPerModel[a-z\-]*)\\?",?(?:\\n.*)?"#)
    });
    let line = line.trim();
    if let Some(found) = HEADER.captures(line) {
        let headers = vec![
            (found[1].to_lowercase(), found[2].to_lowercase()),
            ("anthropic-ratelimit-unified-status".to_owned(), "rejected".to_owned()),
        ];
        return Some(Answer { headers, ..Answer::default() });
    }
    let names = if let Some(found) = QUOTA.captures(line) {
        vec!["resource_exhausted".to_owned(), found[1].to_lowercase()]
    } else {
        vec![MEMBER.captures(line)?[1].to_lowercase()]
    };
    let words = names.join(" ");
    Some(Answer { names, lower: words.clone(), words, ..Answer::default() })
}
