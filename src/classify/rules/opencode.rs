//! opencode, which passes on what its providers say under names of its own.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool, Window};

const TOOL: &[Tool] = &[Tool::Opencode];
const SOURCE: &str = "https://github.com/sst/opencode/blob/dev/packages/opencode/src/session/message-v2.ts";
const SDK: &str = "https://ai-sdk.dev/docs/reference/ai-sdk-errors";

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, source: &str, pattern: &str| Rule::sentence(id, TOOL, pattern).source(source);
    // `opencode run --format json`: the error object of the session.
    let record = |id, members: &[(&str, &str)]| {
        Rule::record(id, TOOL, &[&[("type", "error")], members].concat()).words("error.data.message").source(SOURCE)
    };
    vec![
        record("opencode.auth_error", &[("error.name", "ProviderAuthError")])
            .means(Kind::Auth, "the tool records that the provider refused its login"),
        record("opencode.api_error.401", &[("error.name", "APIError"), ("error.data.statusCode", "401")])
            .means(Kind::Auth, "the tool records that the login was refused with status 401"),
        record("opencode.api_error.402", &[("error.name", "APIError"), ("error.data.statusCode", "402")])
            .means(Kind::Billing, "the tool records that the account has no credit"),
        record("opencode.api_error.5xx", &[("error.name", "APIError"), ("error.data.statusCode", "500|502|503|504|529")])
            .means(Kind::Overload, "the tool records the provider's own trouble"),
        record("opencode.error", &[("error.name", "*")])
            .means(Kind::Unknown, "the tool records an error that is not understood"),
        line("opencode.free_usage", SOURCE, &format!(r"free usage exceeded{TAIL}"))
            .means(Kind::Billing, "the line says that the free allowance is used up"),
        line(
            "opencode.token_refresh",
            SOURCE,
            r"token refresh failed\b.*(?:invalid_grant|invalid_client|unauthorized_client|refresh token (?:not found|expired|revoked|invalid)|\b401\b).*",
        )
        .means(Kind::Auth, "the line says that the login could not be refreshed"),
        line("opencode.retry_error", SDK, r"ai_retryerror: failed after \d+ attempts?\. last error: too many requests\.?")
            .means(Kind::RateLimit, "the tool gave up because of a rate limit")
            .scope(Scope::Is(Window::Requests)),
        line("opencode.too_many", SDK, r".{0,80}too many requests, the rate limit is \d+ tokens per minute.*")
            .means(Kind::RateLimit, "the line names a limit of tokens per minute")
            .scope(Scope::Is(Window::Requests))
            .reset(ResetIn::Words),
        line("opencode.overloaded", SOURCE, r"provider is overloaded.*")
            .means(Kind::Overload, "the line says that the provider is busy"),
    ]
}
