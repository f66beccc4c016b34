//! What providers answer: by status, by the type or code of the error, by its words, by headers.
//!
//! A status alone is no verdict: 429, 401 and 403 each have many causes. The rules with `bare` in their name are those that
//! rest on a status alone, so that anything more telling goes before them.

use std::ops::RangeInclusive;

use crate::classify::pattern::Pattern;
use crate::classify::rule::{Asked, ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Window};

const ANTHROPIC: &str = "https://docs.claude.com/en/api/errors";
const UNIFIED: &str = "https://github.com/router-for-me/CLIProxyAPI/issues/5915";
const OPENAI: &str = "https://platform.openai.com/docs/guides/error-codes";
const CODEX: &str = "https://github.com/openai/codex/blob/main/codex-rs/protocol/src/error.rs";
const GOOGLE: &str = "https://ai.google.dev/gemini-api/docs/troubleshooting";
const HTTP: &str = "https://www.rfc-editor.org/rfc/rfc9110#section-15";
const OAUTH: &str = "https://www.rfc-editor.org/rfc/rfc6749#section-5.2";

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Asks for a name or for words of an answer that is not served.
fn says(names: &[&str], words: &[&str]) -> Asked {
    Asked { names: owned(names), words: owned(words), ..Asked::default() }
}

fn status(status: &[RangeInclusive<u16>]) -> Asked {
    Asked { status: status.to_vec(), ..Asked::default() }
}

fn unified(status: &[&str], of: Asked) -> Asked {
    Asked { header: Some(("anthropic-ratelimit-unified-status".to_owned(), owned(status))), ..of }
}

pub(super) fn rules() -> Vec<Rule> {
    let limit = |rule: Rule, reason: &str| rule.means(Kind::RateLimit, reason).reset(ResetIn::Headers);
    let throttled = Asked { or_no_status: true, ..status(&[429..=429]) };
    vec![
        Rule::answer("http.5xx", status(&[500..=599]))
            .means(Kind::Overload, "a status from 500 on is the provider's own trouble")
            .source(HTTP),
        Rule::answer("http.bare.served", status(&[100..=399]))
            .means(Kind::Unknown, "the status says nothing about a failure")
            .source(HTTP),
        Rule::answer(
            "http.busy",
            says(
                &[
                    "overloaded_error",
                    "overloaded",
                    "server_overloaded",
                    "server_is_overloaded",
                    "slow_down",
                    "model_capacity_exhausted",
                    "unavailable",
                    "api_error",
                    "server_error",
                    "internal_server_error",
                ],
                &[
                    "not your usage limit",
                    "overloaded",
                    "at capacity",
                    "no capacity",
                    "high demand",
                    "server is temporarily limiting",
                    "too many requests at the moment",
                    "server is busy",
                    "currently unavailable",
                    "temporarily unavailable",
                    "internal server error",
                    "server-side issue",
                ],
            ),
        )
        .means(Kind::Overload, "the answer says that the provider is busy")
        .source(ANTHROPIC),
        Rule::answer(
            "http.too_large",
            says(
                &["request_too_large", "context_length_exceeded", "string_above_max_length"],
                &[
                    "request too large",
                    "prompt is too long",
                    "input or output tokens must be reduced",
                    "maximum context length",
                    "exceeds the context window",
                ],
            ),
        )
        .means(Kind::Request, "the answer says that this request is too large")
        .source(OPENAI),
        Rule::answer(
            "google.current_quota",
            Asked {
                says: Some(Pattern::of_ours_within(r"exceeded your current quota.*ai\.google\.dev")),
                ..Asked::default()
            },
        )
        .means(Kind::RateLimit, "the answer says that the quota is used up")
        .scope(Scope::Words)
        .reset(ResetIn::Headers)
        .source(GOOGLE),
        Rule::answer("google.resource_exhausted", says(&["resource_exhausted"], &[]))
            .means(Kind::RateLimit, "the answer says that the quota is used up")
            .scope(Scope::Words)
            .reset(ResetIn::Headers)
            .source(GOOGLE),
        Rule::answer("http.402", status(&[402..=402]))
            .means(Kind::Billing, "status 402 says that the account has no credit")
            .source(HTTP),
        Rule::answer(
            "http.credit",
            says(
                &[
                    "insufficient_quota",
                    "billing_error",
                    "billing_hard_limit_reached",
                    "payment_required",
                    "quota_exceeded",
                    "insufficient_credits",
                    "insufficient_balance",
                    "credit_balance_too_low",
                ],
                &[
                    "credit balance is too low",
                    "credit limit reached",
                    "out of credits",
                    "insufficient credits",
                    "insufficient balance",
                    "insufficient funds",
                    "not enough credits",
                    "requires more credits",
                    "exceeded your current quota, please check your plan and billing",
                    "spend cap",
                    "spending limit",
                    "you have no quota",
                ],
            ),
        )
        .means(Kind::Billing, "the answer says that the account has no credit")
        .source(OPENAI),
        Rule::answer(
            "http.disabled",
            says(
                &[
                    "oauth_org_not_allowed",
                    "account_deactivated",
                    "organization_disabled",
                    "account_disabled",
                    "account_suspended",
                ],
                &[
                    "organization has been disabled",
                    "organization has disabled",
                    "account has been disabled",
                    "account has been suspended",
                    "account has been deactivated",
                    "has been disabled in this account",
                    "not allowed for this organization",
                ],
            ),
        )
        .means(Kind::Banned, "the answer says that the account is disabled")
        .source(ANTHROPIC),
        Rule::answer(
            "http.not_included",
            says(
                &["usage_not_included", "credits_required", "model_not_available_for_plan"],
                &["extra usage is required"],
            ),
        )
        .means(Kind::Entitlement, "the answer says that the plan does not include this")
        .source(CODEX),
        limit(
            Rule::answer("codex.usage_limit_reached", says(&["usage_limit_reached", "usage_limit_exceeded"], &[])),
            "the answer says that the limit is reached",
        )
        .scope(Scope::Headers)
        .source(CODEX),
        limit(
            Rule::answer("http.unified.rejected", unified(&["rejected"], throttled.clone())),
            "the headers say that the plan is used up",
        )
        .scope(Scope::Headers)
        .source(UNIFIED),
        // The plan still serves, so whatever was refused was not refused for the plan.
        Rule::answer("http.unified.allowed", unified(&["allowed", "allowed_warning"], status(&[429..=429])))
            .means(Kind::Request, "the headers say that the plan still serves")
            .scope(Scope::Is(Window::Requests))
            .reset(ResetIn::Headers)
            .source(UNIFIED),
        Rule::answer(
            "http.bare.allowed",
            unified(
                &["allowed", "allowed_warning"],
                Asked { status: vec![0..=0], or_no_status: true, ..Asked::default() },
            ),
        )
        .means(Kind::Unknown, "the headers say that the plan still serves")
        .source(UNIFIED),
        limit(
            Rule::answer("http.model_cooldown", says(&["model_cooldown"], &[])),
            "a proxy says that all its accounts for a model are used up",
        )
        .scope(Scope::Is(Window::Model))
        .source("https://github.com/router-for-me/CLIProxyAPI/issues"),
        limit(
            Rule::answer(
                "http.rate_limited",
                says(
                    &[
                        "rate_limit_error",
                        "rate_limit_exceeded",
                        "rate_limited",
                        "user_rate_limited",
                        "user_weekly_rate_limited",
                        "rate_limit_reached",
                        "resource_exhausted",
                        "tokens",
                        "terminalquotaerror",
                        "1308",
                        "1302",
                    ],
                    &["specified api usage limits"],
                ),
            ),
            "the answer names a rate limit",
        )
        .scope(Scope::Words)
        .source(ANTHROPIC),
        Rule::answer("http.401", status(&[401..=401]))
            .means(Kind::Auth, "the login was refused with status 401")
            .source(HTTP),
        // Answers of the usage endpoint to a token that was made for serving only.
        Rule::answer("http.403.scope", says(&[], &["scope requirement"]))
            .means(Kind::Request, "the token lacks a scope for this call, which says nothing about serving")
            .source("https://github.com/Abilityai/trinity/issues/855"),
        Rule::answer(
            "http.refused",
            says(
                &[
                    "authentication_error",
                    "invalid_api_key",
                    "invalid_grant",
                    "refresh_token_reused",
                    "refresh_token_expired",
                    "refresh_token_invalidated",
                    "token_revoked",
                    "token_expired",
                    "token_invalidated",
                    "unauthenticated",
                    "api_key_invalid",
                    "invalid_token",
                    "fatalauthenticationerror",
                ],
                &[
                    "has been revoked",
                    "token revoked",
                    "token has expired",
                    "token expired",
                    "invalid bearer token",
                    "invalid authentication credentials",
                    "api key not valid",
                    "incorrect api key provided",
                    "invalid api key",
                    "invalid x-api-key",
                ],
            ),
        )
        .means(Kind::Auth, "the answer says that the login is refused")
        .source(OAUTH),
        Rule::answer("http.bare.403", status(&[403..=403]))
            .means(Kind::Unknown, "status 403 has many causes and the answer names none")
            .source(HTTP),
        Rule::answer("http.bare.429", status(&[429..=429]))
            .means(Kind::Request, "status 429 alone does not say whose limit it is")
            .scope(Scope::Is(Window::Requests))
            .reset(ResetIn::Headers)
            .source(HTTP),
        Rule::answer("http.bare.4xx", status(&[400..=499]))
            .means(Kind::Request, "the status is about this request")
            .source(HTTP),
    ]
}
