//! What Claude Code and the API behind it say: unified headers, error bodies, stream-json records.
//!
//! Of a record only top-level members count: a tool result may contain the same JSON as text, and the model
//! can write any text it likes, but it cannot set these.

use serde_json::Value;

use super::evidence::Verdict;
use super::http::{self, Answer};
use super::reset_time;
use crate::domain::{FailureKind, Model, Wall, Window};

const UNIFIED: &str = "anthropic-ratelimit-unified-";

/// The state of the subscription as the headers tell it.
pub(super) fn unified_status(answer: &Answer) -> Option<&str> {
    answer.header("anthropic-ratelimit-unified-status")
}

/// A window by the name that records, claims and headers have for it.
pub(super) fn window(name: &str) -> Option<(Window, Option<Model>)> {
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

/// The limit that headers and body state, if they do.
pub(super) fn limit(answer: &Answer, now: Wall) -> Option<Verdict> {
    // Every answer carries the headers; only a 429 is about them.
    if answer.status.is_some_and(|status| status != 429) {
        return None;
    }
    match unified_status(answer) {
        Some("rejected") => return Some(rejected_by_headers(answer, now)),
        // The plan still serves, so whatever was refused was not refused for the plan.
        Some("allowed" | "allowed_warning") if answer.status.is_none() => {
            let reason = "the headers say that the plan still serves";
            return Some(Verdict::of(FailureKind::Unknown, "http.served", reason));
        }
        Some("allowed" | "allowed_warning") => {
            let reason = "the headers say that the plan still serves";
            return Some(Verdict {
                window: Window::Requests,
                reset_at: answer.retry_after(now),
                ..Verdict::of(FailureKind::Request, "http.unified.allowed", reason)
            });
        }
        Some(_) | None => {}
    }
    if !answer.is_named(&["rate_limit_error"]) {
        return None;
    }
    let is_short = http::is_per_minute(answer);
    let window = if is_short { Window::Requests } else { Window::Unknown };
    let reset_at = answer.retry_after(now).or_else(|| is_short.then(|| http::minute_later(now)));
    Some(Verdict::limit(window, reset_at, "http.rate_limit_error", "the answer's error is rate_limit_error"))
}

fn rejected_by_headers(answer: &Answer, now: Wall) -> Verdict {
    let reset_of = |name: &str| reset_time::stated(answer.header(&format!("{UNIFIED}{name}-reset"))?, now);
    // Several may be rejected: one that is about all models binds before one that is not, then the one that
    // ends last.
    let rejected = answer
        .headers()
        .filter(|(_, value)| *value == "rejected")
        .filter_map(|(name, _)| name.strip_prefix(UNIFIED)?.strip_suffix("-status"))
        .filter_map(|name| window(name).map(|(window, model)| (reset_of(name), window, model)))
        .max_by_key(|(reset_at, window, _)| (*window != Window::Model, *reset_at, *window == Window::Weekly));
    let claim = answer.header("anthropic-ratelimit-unified-representative-claim");
    let claimed = || claim.and_then(window).map(|(window, model)| (None, window, model));
    let (reset_at, window, model) = rejected.or_else(claimed).unwrap_or((None, Window::Unknown, None));
    let stated = || reset_time::stated(answer.header("anthropic-ratelimit-unified-reset")?, now);
    let reset_at = reset_at.or_else(stated).or_else(|| answer.retry_after(now));
    let reason = "the headers say that the plan is used up";
    Verdict { model, ..Verdict::limit(window, reset_at, "http.unified.rejected", reason) }
}

/// What one record of the tool's output means; `None` if it is not about a failure at all.
pub(super) fn record(record: &Value, now: Wall) -> Option<Verdict> {
    match record.get("type")?.as_str()? {
        "rate_limit_event" => event(record.get("rate_limit_info")?, now),
        "assistant" => assistant(record, now),
        "result" => result(record, now),
        "system" if record.get("subtype")?.as_str()? == "api_retry" => {
            let reason = "the tool is still trying";
            Some(Verdict::of(FailureKind::Unknown, "claude-code.api_retry", reason))
        }
        _ => None,
    }
}

fn event(info: &Value, now: Wall) -> Option<Verdict> {
    const RULE: &str = "claude-code.rate_limit_event";
    let text = |key: &str| info.get(key).and_then(Value::as_str);
    let status = text("status")?;
    if status != "rejected" {
        let reason = "a limit event that rejects nothing says nothing about a failure";
        return Some(Verdict::of(FailureKind::Unknown, RULE, reason));
    }
    let kind = text("rateLimitType");
    if kind == Some("overage") || (kind.is_none() && text("errorCode") == Some("credits_required")) {
        let reason = "the event says that this needs credits, which the plan's own windows do not";
        return Some(Verdict::of(FailureKind::Entitlement, "claude-code.credits_required", reason));
    }
    let (window, model) = kind.and_then(window).unwrap_or((Window::Unknown, None));
    let reset_at = info.get("resetsAt").and_then(|value| reset_time::member(value, now));
    Some(Verdict { model, ..Verdict::limit(window, reset_at, RULE, "the event says that the window is used up") })
}

/// The record that the tool itself puts in the place of the model's answer.
fn assistant(record: &Value, now: Wall) -> Option<Verdict> {
    const RULE: &str = "claude-code.error_record";
    let message = record.get("message")?;
    if message.get("model")?.as_str()? != "<synthetic>" {
        return None;
    }
    let status = record.get("apiErrorStatus").and_then(status);
    let error = record.get("error").and_then(Value::as_str);
    let is_error = error.is_some() || record.get("isApiErrorMessage").and_then(Value::as_bool) == Some(true);
    if !is_error {
        return None;
    }
    let words = message.get("content").map(words).unwrap_or_default();
    // What the tool says of the answer is nearer to the fact than its name for it.
    if let Some(verdict) = told(status, &words, now) {
        return Some(verdict);
    }
    let verdict = |kind, reason: &str| Some(Verdict::of(kind, RULE, reason));
    match error {
        Some("rate_limit") => verdict(FailureKind::RateLimit, "the tool records that a limit is reached"),
        Some("authentication_failed") => verdict(FailureKind::Auth, "the tool records that its login is refused"),
        Some("billing_error") => verdict(FailureKind::Billing, "the tool records that the account has no credit"),
        Some("oauth_org_not_allowed") => verdict(FailureKind::Banned, "the tool records that the account is disabled"),
        Some("server_error" | "overloaded") => verdict(FailureKind::Overload, "the tool records a provider in trouble"),
        Some("invalid_request" | "max_output_tokens") => {
            verdict(FailureKind::Request, "the tool records that this request failed")
        }
        Some(_) | None => verdict(FailureKind::Unknown, "the tool records an error that is not understood"),
    }
}

fn result(record: &Value, now: Wall) -> Option<Verdict> {
    const RULE: &str = "claude-code.result";
    if record.get("is_error").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let words = record.get("result").and_then(Value::as_str).unwrap_or_default();
    // The form of versions that did not tell the status.
    if let Some(reset) = words.strip_prefix("Claude AI usage limit reached|") {
        let reset_at = reset_time::stated(reset, now);
        return Some(Verdict::limit(Window::Unknown, reset_at, RULE, "the result says that the limit is reached"));
    }
    let status = record.get("api_error_status").and_then(status)?;
    if let Some(verdict) = told(Some(status), words, now) {
        return Some(verdict);
    }
    // Both the plan's limit and a throttle of the provider end here; only the tool's words tell them apart.
    let lower = words.to_lowercase().replace('’', "'");
    if status == 429 && ["hit your limit", "usage limit", "limit reached"].iter().any(|words| lower.contains(words)) {
        return Some(Verdict::limit(Window::Unknown, None, RULE, "the result says that the limit is reached"));
    }
    http::classify(&Answer::new(Some(status), words), now)
}

/// A verdict where the tool's own words about the answer leave no doubt.
fn told(status: Option<u16>, words: &str, now: Wall) -> Option<Verdict> {
    if let Some(verdict) = super::exit::harmless_words(words) {
        return Some(verdict);
    }
    // `API Error: 401 {"type":"error",…}`
    let (head, body) = words.find('{').map_or((words, None), |at| (&words[..at], Some(&words[at..])));
    let told = head.split_once("API Error").and_then(|(_, tail)| {
        let number = tail.split(|char: char| !char.is_ascii_digit()).find(|word| !word.is_empty())?;
        number.parse::<u16>().ok().filter(|status| (400..=599).contains(status))
    });
    let verdict = http::judge(&Answer::new(status.or(told), body.unwrap_or(words)), now)?;
    // A bare number is less than the tool's own name for the error.
    (!http::is_weak(&verdict)).then_some(verdict)
}

fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (100..=599).contains(status))
}

/// The text of a message, whose content is a string or a list of blocks.
fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<_> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}
