//! What a provider's answer means: its status, its headers, the type and the words of its error.
//!
//! The words that are looked for here stand in an error body of the provider or in the tool's own error
//! record, never in free text. A status alone is no verdict: 429, 401 and 403 each have many causes.

use serde_json::Value;

use super::evidence::{Evidence, Verdict};
use super::{claude_code, codex, reset_time};
use crate::domain::{FailureKind, Wall, Window};

/// A provider's answer, taken apart.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    headers: Vec<(String, String)>,
    /// The error object of the body.
    error: Option<Value>,
    /// Type and code of the error, in lower case.
    names: Vec<String>,
    /// Its words, in lower case, apostrophes straight.
    words: String,
}

impl Answer {
    /// The answer in the evidence.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let body = evidence.body.as_deref().unwrap_or_default();
        let headers = evidence.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        Self { headers, ..Self::new(evidence.status, body) }
    }

    /// An answer that a tool tells of: a status and what it printed of the body.
    pub(super) fn new(status: Option<u16>, body: &str) -> Self {
        let document = serde_json::from_str::<Value>(body.trim()).ok();
        let error = document.map(|document| match document.get("error") {
            Some(inner @ Value::Object(_)) => inner.clone(),
            _ => document,
        });
        let text = |key: &str| error.as_ref()?.get(key)?.as_str().map(str::to_lowercase);
        // `error` itself is the code in answers of token endpoints.
        let names = ["type", "code", "status", "error"].iter().filter_map(|key| text(key)).collect();
        let words = match &error {
            Some(Value::Object(_)) => text("message").or_else(|| text("error_description")).unwrap_or_default(),
            _ => body.to_lowercase(),
        };
        Self { status, headers: Vec::new(), names, words: words.replace('’', "'"), error }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.trim())
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.trim()))
    }

    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.error.as_ref()?.get(name)
    }

    pub(super) fn is_named(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&name.as_str()))
    }

    pub(super) fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.words.contains(phrase))
    }

    pub(super) fn retry_after(&self, now: Wall) -> Option<Wall> {
        reset_time::retry_after(self.header("retry-after")?, now)
    }
}

const BUSY: &[&str] = &[
    "not your usage limit",
    "overloaded",
    "at capacity",
    "no capacity",
    "high demand",
    "server is temporarily limiting",
    "too many requests at the moment",
];
const BUSY_NAMES: &[&str] =
    &["overloaded_error", "server_overloaded", "model_capacity_exhausted", "server_is_overloaded"];
const CREDIT: &[&str] =
    &["credit balance is too low", "credit limit reached", "out of credits", "insufficient credits"];
const CREDIT_NAMES: &[&str] =
    &["insufficient_quota", "billing_error", "billing_hard_limit_reached", "payment_required", "quota_exceeded"];
const BANNED: &[&str] = &[
    "organization has been disabled",
    "organization has disabled",
    "account has been disabled",
    "account has been suspended",
    "not allowed for this organization",
];
const BANNED_NAMES: &[&str] = &["oauth_org_not_allowed", "account_deactivated", "organization_disabled"];
const REFUSED: &[&str] = &["has been revoked", "token revoked", "token has expired", "invalid bearer token"];
const REFUSED_NAMES: &[&str] = &[
    "authentication_error",
    "invalid_api_key",
    "invalid_grant",
    "refresh_token_reused",
    "token_revoked",
    "token_expired",
];
const NOT_INCLUDED: &[&str] = &["usage_not_included", "credits_required", "model_not_available_for_plan"];
const PER_MINUTE: &[&str] = &["per minute", "per-minute", "per second", "(tpm)", "(rpm)"];
const TOO_LARGE: &[&str] = &["request too large", "prompt is too long", "input or output tokens must be reduced"];

/// What the answer means; `None` if there was none.
pub(super) fn classify(answer: &Answer, now: Wall) -> Option<Verdict> {
    let is_there = answer.status.is_some() || answer.error.is_some() || claude_code::unified_status(answer).is_some();
    if is_there { judge(answer, now) } else { None }
}

/// Whether a verdict rests on a bare status, so that anything more telling goes before it.
pub(super) fn is_weak(verdict: &Verdict) -> bool {
    matches!(verdict.rule.as_str(), "http.served" | "http.429.bare" | "http.403" | "http.4xx")
}

/// What status, names and words mean, whatever of them there is; `None` if they mean nothing.
pub(super) fn judge(answer: &Answer, now: Wall) -> Option<Verdict> {
    let verdict = |kind, rule, reason: &str| Some(Verdict::of(kind, rule, reason));
    let status = answer.status.unwrap_or(0);
    if (500..=599).contains(&status) {
        return verdict(FailureKind::Overload, "http.5xx", &format!("status {status} is the provider's own trouble"));
    }
    if (100..=399).contains(&status) {
        return verdict(FailureKind::Unknown, "http.served", &format!("status {status} says nothing about a failure"));
    }
    if answer.is_named(BUSY_NAMES) || answer.says(BUSY) || lacks_capacity(answer) {
        return verdict(FailureKind::Overload, "http.busy", "the answer says that the provider is busy");
    }
    if answer.says(TOO_LARGE) {
        return verdict(FailureKind::Request, "http.too_large", "the answer says that this request is too large");
    }
    if status == 402 || answer.is_named(CREDIT_NAMES) || answer.says(CREDIT) {
        return verdict(FailureKind::Billing, "http.credit", "the answer says that the account has no credit");
    }
    if answer.is_named(BANNED_NAMES) || answer.says(BANNED) {
        return verdict(FailureKind::Banned, "http.disabled", "the answer says that the account is disabled");
    }
    if answer.is_named(NOT_INCLUDED) {
        let reason = "the answer says that the plan does not include this";
        return verdict(FailureKind::Entitlement, "http.not_included", reason);
    }
    if let Some(limit) = codex::limit(answer, now).or_else(|| claude_code::limit(answer, now)) {
        return Some(limit);
    }
    match status {
        401 => verdict(FailureKind::Auth, "http.401", "the login was refused with status 401"),
        403 if answer.is_named(REFUSED_NAMES) || answer.says(REFUSED) => {
            verdict(FailureKind::Auth, "http.403.refused", "the answer says that the token is no longer valid")
        }
        403 if answer.says(&["scope requirement"]) => {
            let reason = "the token lacks a scope for this call, which says nothing about serving";
            verdict(FailureKind::Request, "http.403.scope", reason)
        }
        403 => verdict(FailureKind::Unknown, "http.403", "status 403 has many causes and the answer names none"),
        429 => Some(throttled(answer, now)),
        _ if answer.is_named(REFUSED_NAMES) => {
            verdict(FailureKind::Auth, "http.refused", "the answer says that the login is refused")
        }
        400..=499 => {
            let reason = format!("status {status} is about this request");
            verdict(FailureKind::Request, "http.4xx", &reason)
        }
        _ => None,
    }
}

/// A 429 that no provider's own form explains.
fn throttled(answer: &Answer, now: Wall) -> Verdict {
    let stated = answer.retry_after(now).or_else(|| retry_delay(answer, now));
    // OpenAI's and Google's words for a limit of requests or tokens in a short time.
    if answer.is_named(&["rate_limit_exceeded", "rate_limited", "resource_exhausted"]) {
        let is_short = answer.says(PER_MINUTE) || answer.is_named(&["tokens", "requests"]);
        let window = if is_short { Window::Requests } else { Window::Unknown };
        let reset_at = stated.or_else(|| is_short.then(|| minute_later(now)));
        return Verdict::limit(window, reset_at, "http.429.named", "the answer names a rate limit");
    }
    let reason = "status 429 alone does not say whose limit it is";
    Verdict { window: Window::Requests, reset_at: stated, ..Verdict::of(FailureKind::Request, "http.429.bare", reason) }
}

/// Whether it is a limit of requests or tokens per minute.
pub(super) fn is_per_minute(answer: &Answer) -> bool {
    answer.says(PER_MINUTE)
}

/// A limit per minute that states no end has one all the same.
pub(super) fn minute_later(now: Wall) -> Wall {
    now.plus(std::time::Duration::from_secs(60))
}

/// Google's word for a provider without capacity, which it answers with the status of a limit.
fn lacks_capacity(answer: &Answer) -> bool {
    let details = answer.member("details").and_then(Value::as_array);
    details.is_some_and(|details| details.iter().any(|detail| detail["reason"] == "MODEL_CAPACITY_EXHAUSTED"))
}

/// Google's `RetryInfo`.
fn retry_delay(answer: &Answer, now: Wall) -> Option<Wall> {
    let details = answer.member("details")?.as_array()?;
    details.iter().find_map(|detail| reset_time::delay(detail.get("retryDelay")?.as_str()?, now))
}
