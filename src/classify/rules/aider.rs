//! aider, which prints what litellm and the providers' own libraries raise: the exception's name leads (`peel.rs`), and the
//! provider's words decide where they know better.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool};

/// The words are those of providers: whatever tool passes them on.
const TOOL: &[Tool] = &[];
const SOURCE: &str = "https://docs.litellm.ai/docs/exception_mapping";

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, pattern: &str| Rule::sentence(id, TOOL, pattern).source(SOURCE);
    vec![
        line("aider.missing_key", r"missing [\w ]{1,30}api key\b.*|the api_key client option must be set.*|(?:[\w ]{1,30} )?api key (?:is missing|not found)\b.*")
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
        line("aider.insufficient", &format!(r"(?:insufficient (?:balance|credits?|funds|quota)(?: or no resource package)?|(?:api key )?credit limit reached|this request requires more credits|not enough credits){TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("aider.quota_openai", r"you exceeded your current quota, please check your plan and billing details\b.*")
            .means(Kind::Billing, "the line says that the account has no credit"),
    ]
}
