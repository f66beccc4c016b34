//! aider, which prints what litellm and the providers' own libraries raise: the exception's name leads (`peel.rs`), and the
//! provider's words decide where they know better.

use super::TAIL;
use crate::classify::rule::{Exception, ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool};

/// The words are those of providers: whatever tool passes them on.
const TOOL: &[Tool] = &[];
const SOURCE: &str = "https://docs.litellm.ai/docs/exception_mapping";

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, pattern: &str| Rule::sentence(id, TOOL, pattern).source(SOURCE);
    let exception =
        |id, exception, kind, reason: &str| Rule::exception(id, exception).means(kind, reason).source(SOURCE);
    vec![
        exception("exception.rate_limit", Exception::RateLimit, Kind::RateLimit, "the exception is one of a rate limit")
            .scope(Scope::Words)
            .reset(ResetIn::Words),
        exception("exception.authentication", Exception::Authentication, Kind::Auth, "the exception is one of a refused login"),
        exception("exception.permission", Exception::PermissionDenied, Kind::Request, "the exception is about this request"),
        exception("exception.request", Exception::BadRequest, Kind::Request, "the exception is about this request"),
        exception("exception.connection", Exception::Connection, Kind::Network, "the exception is about the connection"),
        exception("exception.server", Exception::Server, Kind::Overload, "the exception is the provider's own trouble"),
        line(
            "aider.missing_key",
            r"missing (?:anthropic|openai|gemini|google|openrouter|deepseek|mistral|groq|xai|azure openai|vertex(?: ai)?|cohere) api key\b.*|(?:anthropic|openai|gemini|google generative ai|openrouter|deepseek|mistral|groq|xai|azure openai|cohere) api key (?:is missing|not found)\b.*|the api_key client option must be set.*",
        )
            .means(Kind::Auth, "the line says that there is no key"),
        line("aider.explained.rate_limit", r"the api provider has rate limited you\..*")
            .means(Kind::RateLimit, "the line says that the provider limits the rate")
            .reset(ResetIn::Words),
        line("aider.explained.authentication", r"the api provider is not able to authenticate you\..*")
            .means(Kind::Auth, "the line says that the login is refused"),
        line("aider.explained.overloaded", r"the api provider'?s? servers are down or overloaded.*")
            .means(Kind::Overload, "the line says that the provider is busy"),
        line("aider.too_large", r"request too large for .*")
            .means(Kind::Request, "the line says that this request is too large"),
        line("aider.rate_limit", r"rate limit reached for [\w.\-]+ .{0,120}\bon (?:tokens|requests|input|output)[\w ]* per (?:min|day|hour)\b.*")
            .means(Kind::RateLimit, "the line names a limit of tokens or requests")
            .scope(Scope::Words)
            .reset(ResetIn::Words),
        line("aider.exceeds", r"(?:this request would exceed|number of (?:[\w ]{1,20})?tokens has exceeded) (?:the|your)\b.{0,60}\brate limit\b.*")
            .means(Kind::RateLimit, "the line names a limit of tokens or requests")
            .scope(Scope::Words)
            .reset(ResetIn::Words),
        line("aider.insufficient", &format!(r"(?:insufficient (?:balance or no resource package|credits|quota)|api key credit limit reached|this request requires more credits){TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("aider.quota_openai", r"you exceeded your current quota, please check your plan and billing details\b.*")
            .means(Kind::Billing, "the line says that the account has no credit"),
    ]
}
