//! Claude Code: its records on standard output and in its transcripts, and the sentences on its screen.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool, Window};

const TOOL: &[Tool] = &[Tool::ClaudeCode];
/// Members of `rate_limit_event` and of `SDKAssistantMessage`.
const SDK: &str = "https://docs.claude.com/en/api/agent-sdk/typescript";
const ISSUES: &str = "https://github.com/anthropics/claude-code/issues";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = events();
    rules.extend(records());
    rules.extend(sentences());
    rules
}

fn events() -> Vec<Rule> {
    let event = |id, members: &[(&str, &str)]| {
        let head = [("type", "rate_limit_event")];
        Rule::record(id, TOOL, &[&head, members].concat()).source(SDK)
    };
    vec![
        event(
            "claude-code.overage",
            &[("rate_limit_info.status", "rejected"), ("rate_limit_info.rateLimitType", "overage")],
        )
        .means(Kind::Entitlement, "the event says that this needs credits, which the plan's own windows do not"),
        event(
            "claude-code.credits_required",
            &[
                ("rate_limit_info.status", "rejected"),
                ("rate_limit_info.rateLimitType", "-"),
                ("rate_limit_info.errorCode", "credits_required"),
            ],
        )
        .means(Kind::Entitlement, "the event says that this needs credits, which the plan's own windows do not"),
        event("claude-code.rate_limit_event", &[("rate_limit_info.status", "rejected")])
            .means(Kind::RateLimit, "the event says that the window is used up")
            .scope(Scope::Member(path("rate_limit_info.rateLimitType")))
            .reset(ResetIn::At(path("rate_limit_info.resetsAt"))),
        event("claude-code.rate_limit_event.allowed", &[])
            .means_nothing("a limit event that rejects nothing says nothing about a failure"),
    ]
}

fn path(dotted: &str) -> crate::classify::rule::Path {
    crate::classify::rule::Path::new(dotted)
}

/// The records that stand in the place of an answer. The model's name in them is one that no model has.
fn records() -> Vec<Rule> {
    let synthetic = |id, members: &[(&str, &str)]| {
        let head = [("type", "assistant"), ("message.model", "<synthetic>")];
        Rule::record(id, TOOL, &[&head, members].concat()).words("message.content").source(SDK)
    };
    let result = |id, members: &[(&str, &str)]| {
        let head = [("type", "result"), ("is_error", "true")];
        Rule::record(id, TOOL, &[&head, members].concat()).words("result").source(SDK)
    };
    let error = |id, error| synthetic(id, &[("error", error)]);
    vec![
        error("claude-code.error.rate_limit", "rate_limit")
            .means(Kind::RateLimit, "the tool records that a limit is reached"),
        error("claude-code.error.authentication", "authentication_failed")
            .means(Kind::Auth, "the tool records that its login is refused"),
        error("claude-code.error.billing", "billing_error")
            .means(Kind::Billing, "the tool records that the account has no credit"),
        error("claude-code.error.organisation", "oauth_org_not_allowed")
            .means(Kind::Banned, "the tool records that the account is disabled"),
        error("claude-code.error.server", "server_error|overloaded|overloaded_error")
            .means(Kind::Overload, "the tool records a provider in trouble"),
        error("claude-code.error.request", "invalid_request|max_output_tokens|model_not_found")
            .means(Kind::Request, "the tool records that this request failed"),
        error("claude-code.error", "*").means(Kind::Unknown, "the tool records an error that is not understood"),
        synthetic("claude-code.api_error", &[("isApiErrorMessage", "true"), ("apiErrorStatus", "429")])
            .means(Kind::Request, "the tool records status 429, which does not say whose limit it is")
            .scope(Scope::Is(Window::Requests)),
        synthetic("claude-code.api_error", &[("isApiErrorMessage", "true")])
            .means(Kind::Unknown, "the tool records an error that is not understood"),
        // Of a plan's limit and of a throttle of the server; only the words tell them apart.
        result("claude-code.result.429", &[("api_error_status", "429")])
            .means(Kind::Request, "the result tells status 429, which does not say whose limit it is")
            .scope(Scope::Is(Window::Requests)),
        result("claude-code.result.401", &[("api_error_status", "401")])
            .means(Kind::Auth, "the result tells that the login was refused with status 401"),
        result("claude-code.result.402", &[("api_error_status", "402")])
            .means(Kind::Billing, "the result tells that the account has no credit"),
        result("claude-code.result.5xx", &[("api_error_status", "500|502|503|504|520|521|522|524|529")])
            .means(Kind::Overload, "the result tells of the provider's own trouble"),
        result("claude-code.result", &[]).means(Kind::Unknown, "the result is an error that is not understood"),
        Rule::record("claude-code.api_retry", TOOL, &[("type", "system"), ("subtype", "api_retry")])
            .means(Kind::Unknown, "the tool is still trying")
            .source(SDK),
    ]
}

fn sentences() -> Vec<Rule> {
    let line = |id, pattern: &str| Rule::sentence(id, TOOL, pattern).source(ISSUES);
    vec![
        line(
            "claude-code.server_throttle",
            r"(?:server is temporarily limiting requests|.*\(?not your usage limit\)?|request rejected \(429\).*\bcapacity\b).*",
        )
        .means(Kind::Overload, "the line says that the server limits requests, not the plan"),
        line("claude-code.usage_limit_epoch", r"claude ai usage limit reached ?\|.*")
            .means(Kind::RateLimit, "the line says that the limit is reached")
            .reset(ResetIn::Words),
        line("claude-code.credit_balance", &format!(r"(?:your )?credit balance (?:is )?too low(?: to access the \w+ api)?{TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("claude-code.request_rejected", r"request rejected \(429\).*")
            .means(Kind::RateLimit, "the line says that a request was rejected for a rate")
            .scope(Scope::Is(Window::Requests))
            .reset(ResetIn::Words),
        line(
            "claude-code.org_disabled",
            r"(?:your |this )?organi[sz]ation (?:has been disabled|has disabled (?:claude|api|subscription)\b.*|is disabled.*|does not (?:have|allow) access to claude.*)[.!]?(?: ·.*| please .*| contact .*)?",
        )
        .means(Kind::Banned, "the line says that the organisation is disabled or lets nobody in"),
        line("claude-code.oauth_not_allowed", r"(?:oauth authentication is currently not (?:allowed|supported)|oauth_org_not_allowed).*")
            .means(Kind::Banned, "the line says that the organisation does not let this login in"),
        line("claude-code.account_disabled", r"your account (?:has been|was|is) (?:disabled|suspended|banned|deactivated).*")
            .means(Kind::Banned, "the line says that the account is disabled"),
        line(
            "claude-code.oauth",
            &format!(
                r"(?:claude )?(?:oauth|login|auth(?:entication)?|access|bearer) (?:token|session|access token|credentials?)s? (?:has |have |is |was )?(?:been )?(?:revoked|expired|invalid|not valid|no longer valid|missing)(?: (?:and|or) (?:could not|cannot|can't) be refreshed)?(?:[ .·\-]*(?:please )?(?:obtain a new token|re-?authenticate))?{TAIL}"
            ),
        )
        .means(Kind::Auth, "the line says that the login is no longer valid"),
        line(
            "claude-code.login_required",
            r"(?:(?:invalid (?:api key|bearer token|authentication credentials|x-api-key)|missing api key|login (?:expired|required))\b(?:[ ·.,\-]*(?:please run .*|run .*|fix external api key.*|please .*|/login.*))?|(?:not logged in|session expired|your session has expired)[ ·.,\-]+(?:please )?run (?:/login|'?claude\b).*|(?:please )?run /login)[.!]?",
        )
        .means(Kind::Auth, "the line says that the login is no longer valid"),
        line("claude-code.extra_usage_required", r"extra usage is required for\b.*")
            .means(Kind::Entitlement, "the line says that this needs credits, which the plan's own windows do not"),
        line("claude-code.no_access", r"your (?:account|plan|subscription) does not (?:have access to|include) claude.*")
            .means(Kind::Entitlement, "the line says that the plan does not include this"),
        line("claude-code.content_filter", r"output blocked by content filtering policy.*")
            .means(Kind::Request, "the line says that this answer was blocked"),
    ]
}
