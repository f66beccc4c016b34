//! Gemini CLI. It puts the same words before quota, network and missing pages; what follows them decides.
//!
//! Its "exceeded your current quota … billing details" means a limit, where the same sentence of another provider means no credit.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool, Window};

const TOOL: &[Tool] = &[Tool::GeminiCli];
const SOURCE: &str = "https://github.com/google-gemini/gemini-cli/blob/main/packages/core/src/utils/googleErrors.ts";
const OUTPUT: &str = "https://github.com/google-gemini/gemini-cli/blob/main/docs/cli/headless.md";

pub(super) fn rules() -> Vec<Rule> {
    let line = |id, pattern: &str| Rule::sentence(id, TOOL, pattern).source(SOURCE);
    let model = |rule: Rule| rule.scope(Scope::Is(Window::Model)).reset(ResetIn::Words);
    vec![
        Rule::record("gemini-cli.result_error", TOOL, &[("type", "result"), ("status", "error"), ("error.message", "*")])
            .means(Kind::Unknown, "the result is an error that is not understood")
            .words("error.message")
            .source(OUTPUT),
        line("gemini-cli.no_capacity", r"no capacity available for model.*|the model is overloaded.*|.*model_capacity_exhausted.*")
            .means(Kind::Overload, "the line says that the provider has no capacity"),
        model(
            line(
                "gemini-cli.quota",
                r"you have (?:reached|exhausted|exceeded|used) your (?:daily |hourly |weekly |monthly |capacity |current )*(?:[\w.\-]+ )?(?:quota(?: limit)?|capacity|limit)\b.*",
            )
            .means(Kind::RateLimit, "the line says that the quota of a model is used up"),
        ),
        model(
            line("gemini-cli.switched_model", r"automatically switching from [\w.\-]+ to [\w.\-]+ for the remainder .{0,80}")
                .means(Kind::RateLimit, "the tool goes on with a lesser model, because the quota of its own is used up"),
        ),
        line("gemini-cli.current_quota", r"you exceeded your current quota\b.*ai\.google\.dev.*")
            .means(Kind::RateLimit, "the line says that the quota is used up")
            .reset(ResetIn::Words),
        line("gemini-cli.quota_metric", r"(?:quota exceeded for (?:quota )?metric|resource (?:has been )?exhausted)\b.*")
            .means(Kind::RateLimit, "the line says that the quota is used up")
            .scope(Scope::Words)
            .reset(ResetIn::Words),
        line("gemini-cli.disabled", r"this service has been disabled in this account\b.*")
            .means(Kind::Banned, "the line says that the account is disabled"),
        line("gemini-cli.api_key", &format!(r"(?:api key (?:not valid|expired|not found)|api_key_invalid)(?:\. please pass a valid api key)?(?:\. \(status: \w+\))?{TAIL}"))
            .means(Kind::Auth, "the line says that the key is not valid"),
        line(
            "gemini-cli.not_authenticated",
            r"(?:the authentication did not complete successfully|request had invalid authentication credentials|login (?:failed|required)|please set an auth method|failed to (?:login|log in|sign in)|invalid_grant)\b.*",
        )
        .means(Kind::Auth, "the line says that the login is refused"),
    ]
}
