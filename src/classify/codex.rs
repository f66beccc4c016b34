//! What Codex and the API behind it say: error bodies and the final record of `codex exec --json`.
//!
//! An `error` record looks the same whether it is the last word or not, so only `turn.failed` counts.

use serde_json::Value;

use super::evidence::Verdict;
use super::http::{self, Answer};
use super::reset_time;
use crate::domain::{FailureKind, Wall, Window};

/// The limit that body and headers state, if they do.
pub(super) fn limit(answer: &Answer, now: Wall) -> Option<Verdict> {
    if !answer.is_named(&["usage_limit_reached"]) {
        return None;
    }
    let at = answer.member("resets_at").and_then(|value| reset_time::member(value, now));
    let relative = || reset_time::seconds(answer.member("resets_in_seconds")?.as_f64()?, now);
    let reset_at = at.or_else(relative).or_else(|| answer.retry_after(now));
    let reason = "the answer's error is usage_limit_reached";
    Some(Verdict::limit(full_window(answer), reset_at, "codex.usage_limit_reached", reason))
}

/// The window that the headers show as full. Its length names it; which slot it stands in does not.
fn full_window(answer: &Answer) -> Window {
    let number = |slot: &str, name: &str| answer.header(&format!("x-codex-{slot}-{name}"))?.parse::<f64>().ok();
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

/// What one record of the tool's output means; `None` if it is not about a failure at all.
pub(super) fn record(record: &Value, now: Wall) -> Option<Verdict> {
    match record.get("type").and_then(Value::as_str) {
        Some("turn.failed") => Some(failed(record.get("error")?, now)),
        Some("error") => {
            let reason = "an error record may not be the tool's last word";
            Some(Verdict::of(FailureKind::Unknown, "codex.error", reason))
        }
        Some(_) => None,
        // The body of an answer, as it is.
        None => {
            let answer = Answer::new(None, &record.to_string());
            record.get("error")?.as_object()?;
            limit(&answer, now)
        }
    }
}

fn failed(error: &Value, now: Wall) -> Verdict {
    const RULE: &str = "codex.turn_failed";
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default().replace('’', "'");
    // An error with a type of its own, or an answer's body passed on as the message.
    for body in [error.to_string(), message.clone()] {
        let typed = Answer::new(None, &body);
        if let Some(verdict) = http::classify(&typed, now) {
            return verdict;
        }
    }
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let verdict = |kind, reason: &str| Verdict::of(kind, RULE, reason);
    if message.starts_with("You've hit your usage limit") {
        return Verdict::limit(Window::Unknown, None, RULE, "the turn failed at the usage limit");
    }
    if let Some((_, status)) = message.split_once("last status: ").or_else(|| message.split_once("unexpected status "))
    {
        return retried(status, now);
    }
    if has(&["access token could not be refreshed", "refresh token"]) {
        return verdict(FailureKind::Auth, "the turn failed because the login could not be refreshed");
    }
    if has(&["Quota exceeded. Check your plan and billing details", "out of credits"]) {
        return verdict(FailureKind::Billing, "the turn failed because the account has no credit");
    }
    if has(&["error occurred while processing your request", "at capacity", "high demand", "server_overloaded"]) {
        return verdict(FailureKind::Overload, "the turn failed because the provider is in trouble");
    }
    if has(&["stream disconnected", "error sending request", "timed out", "onnection"]) {
        return verdict(FailureKind::Network, "the turn failed because the connection did");
    }
    if has(&["context window"]) {
        return verdict(FailureKind::Request, "the turn failed because the request is too large");
    }
    verdict(FailureKind::Unknown, "the turn failed for a reason that is not understood")
}

/// The tool gave up after an answer of this status: `429 Too Many Requests: {…}`.
fn retried(status: &str, now: Wall) -> Verdict {
    let digits = status.find(|char: char| !char.is_ascii_digit()).unwrap_or(status.len());
    let body = status.split_once(": ").map_or("", |(_, body)| body);
    let answer = Answer::new(status[..digits].parse().ok(), body);
    http::classify(&answer, now)
        .unwrap_or_else(|| Verdict::of(FailureKind::Unknown, "codex.turn_failed", "the tool gave up on an answer"))
}
