//! Codex: the last record of `codex exec --json`, its session files, and the sentences on its screen.
//!
//! An `error` record looks the same whether it is the last word or not, so only `turn.failed` counts.

use super::TAIL;
use crate::classify::rule::{ResetIn, Rule, Scope};
use crate::domain::{FailureKind as Kind, Tool, Window};

const TOOL: &[Tool] = &[Tool::Codex];
const SOURCE: &str = "https://github.com/openai/codex/blob/main/codex-rs/protocol/src/error.rs";
const EXEC: &str = "https://github.com/openai/codex/blob/main/codex-rs/exec/src/exec_events.rs";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = records();
    rules.extend(sentences());
    rules
}

fn records() -> Vec<Rule> {
    let failed = |id, members: &[(&str, &str)]| {
        Rule::record(id, TOOL, &[&[("type", "turn.failed")], members].concat()).words("error.message").source(EXEC)
    };
    // A line of a session file.
    let rollout = |id, code| {
        let members =
            [("type", "event_msg"), ("payload.type", "error|stream_error"), ("payload.codex_error_info", code)];
        Rule::record(id, TOOL, &members).words("payload.message").source(EXEC)
    };
    vec![
        failed("codex.turn_failed", &[("error.message", "*")])
            .means(Kind::Unknown, "the turn failed for a reason that is not understood"),
        Rule::record("codex.error", TOOL, &[("type", "error"), ("message", "*")])
            .means(Kind::Unknown, "an error record may not be the tool's last word")
            .source(EXEC),
        rollout("codex.rollout.usage_limit", "usage_limit_exceeded|usage_limit_reached")
            .means(Kind::RateLimit, "the session records that the limit is reached"),
        rollout("codex.rollout.unauthorized", "unauthorized")
            .means(Kind::Auth, "the session records that the login is refused"),
        rollout("codex.rollout.overloaded", "server_overloaded|internal_server_error")
            .means(Kind::Overload, "the session records a provider in trouble"),
        rollout("codex.rollout.request", "context_window_exceeded|bad_request")
            .means(Kind::Request, "the session records that this request failed"),
    ]
}

fn sentences() -> Vec<Rule> {
    let line = |id, pattern: &str| Rule::sentence(id, TOOL, pattern).source(SOURCE);
    vec![
        line("codex.spend_cap", &format!(r"you(?:'ve)? hit your spend cap(?: set .{{1,60}})?{TAIL}"))
            .means(Kind::Billing, "the line says that the spend cap is reached"),
        line("codex.quota", &format!(r"quota exceeded\. check your plan and billing details{TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("codex.out_of_credits", &format!(r"(?:you(?:'re| are) |your workspace is |workspace is )?out of credits{TAIL}"))
            .means(Kind::Billing, "the line says that the account has no credit"),
        line("codex.usage_not_included", r"to use codex with your chatgpt plan, upgrade to .*")
            .means(Kind::Billing, "the line says that the plan does not include this"),
        line(
            "codex.refresh_failed",
            r"(?:your )?(?:(?:access|auth(?:entication)?|refresh|id)[ _])?tokens? could not be refreshed\b.*|failed to refresh (?:the )?(?:access )?tokens?\b.*|your refresh token (?:has already been used|was revoked|has been revoked|has expired|is invalid|was already used).*|(?:invalid 'refresh_token'|refresh token (?:not found|expired|revoked|reused|was|has been)).*",
        )
        .means(Kind::Auth, "the line says that the login could not be refreshed"),
        line(
            "codex.sign_in_again",
            r"(?:your (?:chatgpt |codex )?(?:session|login|authentication(?: session| token)?|authorization session|access token)|the (?:login|access token)|provided authentication token|your authorization session was not initialized or) (?:has |is |was )?(?:been )?(?:expired|ended|invalid|revoked|invalidated|no longer valid).{0,60}|encountered invalidated oauth token\b.*",
        )
        .means(Kind::Auth, "the line says that the login is no longer valid"),
        line("codex.route_error", r#"(?:route error \(400 invalid session\).*|"?your authorization session was not initialized or has expired"?)"#)
            .means(Kind::Auth, "the line says that the login is no longer valid"),
        line("codex.processing_error", r"an error occurred while processing your request\b.*")
            .means(Kind::Overload, "the line says that the provider is in trouble"),
        line("codex.at_capacity", r"(?:selected )?model is at capacity.*|we're currently experiencing high demand.*|codex_error_info: ?server_overloaded")
            .means(Kind::Overload, "the line says that the provider is in trouble"),
        line("codex.context_window", r"codex ran out of room in the model's context window.*")
            .means(Kind::Request, "the line says that the request is too large"),
        line("codex.usage_limit", &format!(r"you(?:'ve| have)? (?:hit|reached) your (?:\w+ )?usage limit(?: for [\w.\- ]{{1,40}})?{TAIL}"))
            .means(Kind::RateLimit, "the line says that the limit is reached")
            .scope(Scope::Words)
            .reset(ResetIn::Words),
        line("codex.retry_limit_429", r"exceeded retry limit, last status: 429\b.*")
            .means(Kind::Request, "the tool gave up on status 429, which does not say whose limit it is")
            .scope(Scope::Is(Window::Requests)),
        line("codex.retry_limit_401", r"exceeded retry limit, last status: 401\b.*")
            .means(Kind::Auth, "the tool gave up because its login is refused"),
    ]
}
