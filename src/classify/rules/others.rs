//! Other agents, proxies and wrappers whose lines stand in agents' logs.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Window};

const COPILOT: &str = "https://github.com/github/copilot-cli/issues";
const PROXY: &str = "https://github.com/router-for-me/CLIProxyAPI/issues";
const WRAPPER: &str = "https://github.com/steipete/CodexBar/issues";

/// Asked before all others: limits of services and machines that no subscription is about.
pub(super) fn foreign() -> Vec<Rule> {
    vec![
        Rule::sentence(
            "other.foreign_service",
            &[],
            r".{0,120}(?:api rate limit exceeded|secondary rate limit|pull rate limit|toomanyrequests|abuse detection|npm err|\bgithub\b|docker ?hub|\bregistry\b|pypi|crates\.io|rubygems|maven|slack api|discord api|geocoding|\bstripe\b).*|.{0,80}\b(?:size|files?|disk|storage|memory|characters?|upload|download|lines?|percent|head|speed|words?|bandwidth|recursion|depth|stack|inodes?|cpu|heap|descriptors?|swap|recipients?|attachments?|rows?|columns?) (?:[0-9a-z\-]+ ){0,2}(?:limit|quota)\b.*",
        )
        .means_nothing("the line is about another service")
        .source("https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"),
    ]
}

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, source: &str, pattern: &str| Rule::sentence(id, &[], pattern).source(source);
    vec![
        line("other.key_limit", "https://openrouter.ai/docs/api-reference/limits", &format!(r"(?:api )?key limit exceeded(?: \([\w ]+\))?{TAIL}"))
            .means(Kind::Billing, "the line says that the key's credit is used up"),
        line("other.no_payment_method", "https://opencode.ai/docs/zen", r"no payment method\b.*")
            .means(Kind::Billing, "the line says that the account is not paid"),
        line("other.no_quota", COPILOT, &format!(r"you have no (?:remaining )?quota(?: left)?{TAIL}"))
            .means(Kind::Billing, "the line says that the account has no quota of its own"),
        line("other.token_usage", COPILOT, &format!(r"(?:sorry, )?you(?:'ve| have) exceeded your (?:\w+ )?token usage{TAIL}"))
            .means(Kind::RateLimit, "the line says that the quota is used up")
            .reset(ResetIn::Words),
        line("other.claude_openai_balance", PROXY, &format!(r"(?:insufficient balance or no resource package|余额不足.*){TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("other.proxy_auth", PROXY, r"authentication error with [\w\-]+'s api: .*(?:invalid_grant|token refresh failed|401|expired|revoked).*")
            .means(Kind::Auth, "the line says that the login could not be refreshed"),
        line("other.token_expired", WRAPPER, r"(?:codex |claude )?token 已过期.*|(?:令牌|登录)已(?:过期|失效).*")
            .means(Kind::Auth, "the line says that the login is no longer valid"),
        line("other.token_expired_en", WRAPPER, r"(?:claude|codex|gemini|chatgpt|openai|anthropic)(?: code)?(?: cli)? (?:oauth |access |refresh |auth )?(?:token|login|session) (?:has |is )?(?:expired|revoked|invalid)\b.*")
            .means(Kind::Auth, "the line says that the login is no longer valid"),
        line("other.cooling_down", PROXY, r"all (?:credentials|accounts) (?:for model [\w.\-]+ )?are cooling down\b.*")
            .means(Kind::RateLimit, "a proxy says that all its accounts for a model are used up")
            .scope(Scope::Is(Window::Model))
            .reset(ResetIn::Words),
        line("other.proxy_429", PROXY, r"(?:claude|anthropic|openai|codex|gemini)(?: api)? returned error status: 429\b.*|non_sse_response: http/[\d.]+ 429\b.*")
            .means(Kind::RateLimit, "a proxy repeats a status 429")
            .reset(ResetIn::Nowhere),
    ]
}
