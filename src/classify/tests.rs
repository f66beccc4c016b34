//! Answers, records and real lines, each with what they must be taken for.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{FailureKind, Model, Tool, Trust, Wall, Window};

fn classify(evidence: &Evidence, tool: Option<Tool>, at: Wall) -> Verdict {
    static BUILT_IN: LazyLock<Classifier> = LazyLock::new(Classifier::default);
    BUILT_IN.evidence(evidence, &Context::new(tool, at))
}

/// 2026-11-20 12:00:00 UTC.
const NOW: Wall = Wall(1_795_176_000_000);
const NOW_S: i64 = 1_795_176_000;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Verdict {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = (!body.is_empty()).then(|| body.to_owned());
    classify(&Evidence { status: Some(status), headers, body, ..Evidence::default() }, None, NOW)
}

fn output(lines: &[Value]) -> Verdict {
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    text(&lines.join("\n"))
}

fn text(text: &str) -> Verdict {
    classify(&Evidence { text: Some(text.to_owned()), ..Evidence::default() }, None, NOW)
}

#[test]
fn of_a_long_text_the_last_telling_lines_are_judged() {
    let limit = "You've hit your limit · resets 3pm (UTC)";
    let credit = "Credit balance is too low\n";
    let kind = |after: &str| text(&format!("{limit}\n{after}")).kind;
    assert_eq!(kind(&credit.repeat(10)), FailureKind::RateLimit);
    assert_eq!(kind(&credit.repeat(100)), FailureKind::Billing);
    // Lines that can tell nothing are not counted.
    assert_eq!(kind(&"Running 12 tests\n".repeat(10_000)), FailureKind::RateLimit);
}

fn in_secs(verdict: &Verdict) -> Option<i64> {
    verdict.reset_at.map(|at| (at.0 - NOW.0) / 1_000)
}

#[test]
fn answers_are_judged_by_what_they_say_and_not_by_their_status_alone() {
    use FailureKind as K;
    let anthropic =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
    let openai = |code: &str, message: &str| json!({"error": {"code": code, "message": message}}).to_string();
    let cases: Vec<(u16, String, K)> = vec![
        (429, String::new(), K::Request),
        (429, "Too Many Requests".into(), K::Request),
        (429, anthropic("rate_limit_error", "This request would exceed your account's rate limit."), K::RateLimit),
        (
            429,
            anthropic("rate_limit_error", "Server is temporarily limiting requests (not your usage limit)"),
            K::Overload,
        ),
        (429, json!({"error": {"type": "usage_limit_reached", "resets_in_seconds": 60}}).to_string(), K::RateLimit),
        (429, openai("insufficient_quota", "You exceeded your current quota"), K::Billing),
        (429, openai("rate_limit_exceeded", "Rate limit reached on requests per min (RPM)"), K::RateLimit),
        (429, openai("rate_limit_exceeded", "Request too large for gpt on tokens per min (TPM)"), K::Request),
        (
            429,
            json!({"error": {"status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded"}}).to_string(),
            K::RateLimit,
        ),
        (
            429,
            json!({"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"reason": "MODEL_CAPACITY_EXHAUSTED"}]}})
                .to_string(),
            K::Overload,
        ),
        (429, json!({"error": {"type": "usage_not_included"}}).to_string(), K::Entitlement),
        (529, anthropic("overloaded_error", "Overloaded"), K::Overload),
        (500, anthropic("api_error", "Internal server error"), K::Overload),
        (503, String::new(), K::Overload),
        (503, anthropic("authentication_error", "unauthorized"), K::Overload),
        (401, String::new(), K::Auth),
        (401, anthropic("authentication_error", "Invalid bearer token"), K::Auth),
        (401, openai("invalid_request", "API key credit limit reached"), K::Billing),
        (403, String::new(), K::Unknown),
        (403, anthropic("permission_error", "OAuth token has been revoked."), K::Auth),
        (
            403,
            anthropic("permission_error", "OAuth authentication is currently not allowed for this organization."),
            K::Banned,
        ),
        (403, anthropic("permission_error", "OAuth token does not meet scope requirement user:profile"), K::Request),
        (402, String::new(), K::Billing),
        (400, anthropic("invalid_request_error", "Your credit balance is too low to access the API."), K::Billing),
        (400, anthropic("invalid_request_error", "This organization has been disabled."), K::Banned),
        (400, anthropic("invalid_request_error", "Output blocked by content filtering policy"), K::Request),
        (400, json!({"error": "invalid_grant", "error_description": "Refresh token not found"}).to_string(), K::Auth),
        (413, String::new(), K::Request),
        (404, anthropic("not_found_error", "model: nope"), K::Request),
        (200, String::new(), K::Unknown),
    ];
    for (status, body, kind) in cases {
        let verdict = answer(status, &[], &body);
        assert_eq!(verdict.kind, kind, "{status} {body}: {verdict:?}");
    }
}

#[test]
fn unified_headers_name_window_model_and_reset() {
    let header = |name: &str| format!("Anthropic-RateLimit-Unified-{name}");
    let judge = |headers: &[(&str, String)]| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (header(name), value.as_str())).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        answer(429, &headers, "")
    };
    let rejected = || "rejected".to_owned();
    let soon = (NOW_S + 600).to_string();
    let late = (NOW_S + 86_400).to_string();

    let verdict = judge(&[("status", rejected()), ("5h-status", rejected()), ("5h-reset", soon.clone())]);
    assert_eq!(
        (verdict.kind, verdict.window, in_secs(&verdict)),
        (FailureKind::RateLimit, Window::FiveHour, Some(600))
    );

    let both = [
        ("status", rejected()),
        ("5h-status", rejected()),
        ("5h-reset", soon.clone()),
        ("7d-status", rejected()),
        ("7d-reset", late.clone()),
    ];
    let verdict = judge(&both);
    assert_eq!((verdict.window, in_secs(&verdict)), (Window::Weekly, Some(86_400)));

    let verdict = judge(&[("status", rejected()), ("7d_opus-status", rejected()), ("7d_opus-reset", late.clone())]);
    assert_eq!((verdict.window, verdict.model), (Window::Model, Some(Model::new("opus"))));

    let five_hours_too = [
        ("status", rejected()),
        ("5h-status", rejected()),
        ("5h-reset", soon.clone()),
        ("7d_opus-status", rejected()),
        ("7d_opus-reset", late),
    ];
    assert_eq!(judge(&five_hours_too).window, Window::FiveHour);

    let claimed = [("status", rejected()), ("representative-claim", "seven_day".to_owned()), ("reset", soon)];
    let verdict = judge(&claimed);
    assert_eq!((verdict.window, in_secs(&verdict)), (Window::Weekly, Some(600)));

    for status in ["allowed", "allowed_warning"] {
        let verdict = judge(&[("status", status.to_owned())]);
        assert_eq!(verdict.kind, FailureKind::Request, "{status}");
        let refused = answer(401, &[("anthropic-ratelimit-unified-status", status)], "");
        assert_eq!(refused.kind, FailureKind::Auth);
    }
    let alone = Evidence {
        headers: vec![("anthropic-ratelimit-unified-status".into(), "allowed".into())],
        ..Evidence::default()
    };
    assert_eq!(classify(&alone, None, NOW).kind, FailureKind::Unknown);
}

#[test]
fn resets_are_taken_from_wherever_the_answer_states_them() {
    let codex = |members: Value| answer(429, &[], &json!({ "error": members }).to_string());
    let verdict = codex(json!({"type": "usage_limit_reached", "resets_at": NOW_S + 300, "resets_in_seconds": 9}));
    assert_eq!(in_secs(&verdict), Some(300));
    assert_eq!(in_secs(&codex(json!({"type": "usage_limit_reached", "resets_in_seconds": 9}))), Some(9));
    assert_eq!(in_secs(&codex(json!({"type": "usage_limit_reached", "resets_at": NOW_S - 5}))), Some(-5));
    assert_eq!(in_secs(&codex(json!({"type": "usage_limit_reached", "resets_at": NOW_S - 400}))), None);
    let full = [
        ("X-Codex-Primary-Used-Percent", "100"),
        ("X-Codex-Primary-Window-Minutes", "10080"),
        ("X-Codex-Secondary-Used-Percent", "12.5"),
        ("X-Codex-Secondary-Window-Minutes", "300"),
        ("Retry-After", "120"),
    ];
    let verdict = answer(429, &full, &json!({"error": {"type": "usage_limit_reached"}}).to_string());
    assert_eq!((verdict.window, in_secs(&verdict)), (Window::Weekly, Some(120)));
    let per_minute = json!({"error": {"type": "rate_limit_error", "message": "40,000 input tokens per minute"}});
    let verdict = answer(429, &[], &per_minute.to_string());
    assert_eq!((verdict.window, in_secs(&verdict)), (Window::Requests, None));
    let google = json!({"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"x": 1}, {"retryDelay": "15.5s"}]}});
    assert_eq!(in_secs(&answer(429, &[], &google.to_string())), Some(15));
}

fn event(info: &Value) -> Value {
    json!({"type": "rate_limit_event", "rate_limit_info": info})
}

fn synthetic(error: &str, words: &str) -> Value {
    let content = json!([{"type": "text", "text": words}]);
    json!({"type": "assistant", "error": error, "message": {"model": "<synthetic>", "content": content}})
}

#[test]
fn limit_events_are_read_by_their_type() {
    let rejected =
        |kind: &str| output(&[event(&json!({"status": "rejected", "resetsAt": NOW_S + 60, "rateLimitType": kind}))]);
    let cases = [
        ("five_hour", Window::FiveHour, None),
        ("seven_day", Window::Weekly, None),
        ("seven_day_opus", Window::Model, Some("opus")),
        ("seven_day_sonnet", Window::Model, Some("sonnet")),
        ("seven_day_overage_included", Window::Model, None),
        ("brand_new", Window::Unknown, None),
    ];
    for (kind, window, model) in cases {
        let verdict = rejected(kind);
        assert_eq!(
            (verdict.kind, verdict.window, in_secs(&verdict)),
            (FailureKind::RateLimit, window, Some(60)),
            "{kind}"
        );
        assert_eq!(verdict.model, model.map(Model::new));
    }
    for status in ["allowed", "allowed_warning"] {
        let event = event(&json!({"status": status, "resetsAt": NOW_S + 60, "rateLimitType": "five_hour"}));
        assert_eq!(output(&[event]).kind, FailureKind::Unknown);
    }
    let credits =
        output(&[event(&json!({"status": "rejected", "resetsAt": NOW_S + 60, "errorCode": "credits_required"}))]);
    assert_eq!((credits.kind, credits.reset_at), (FailureKind::Entitlement, None));
    assert_eq!(rejected("overage").kind, FailureKind::Entitlement);
}

#[test]
fn the_tools_own_records_count_and_what_a_model_writes_does_not() {
    use FailureKind as K;
    let result = |status: u16, words: &str| {
        output(&[
            json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": status, "result": words}),
        ])
    };
    assert_eq!(output(&[synthetic("rate_limit", "You've hit your limit · resets 3pm")]).kind, K::RateLimit);
    let busy = "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited";
    assert_eq!(output(&[synthetic("rate_limit", busy)]).kind, K::Overload);
    assert_eq!(output(&[synthetic("authentication_failed", "Please run /login")]).kind, K::Auth);
    let connection = "API Error: Unable to connect to API (ECONNRESET)";
    assert_eq!(output(&[synthetic("authentication_failed", connection)]).kind, K::Network);
    assert_eq!(output(&[synthetic("unknown", "API Error: 529 Overloaded.")]).kind, K::Overload);
    let refused = "API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\"}}";
    assert_eq!(output(&[synthetic("unknown", refused)]).kind, K::Auth);
    assert_eq!(output(&[synthetic("unknown", "Something else")]).kind, K::Unknown);
    assert_eq!(result(429, busy).kind, K::Overload);
    assert_eq!(result(429, "You’ve hit your limit · resets 3pm").kind, K::RateLimit);
    assert_eq!(result(429, "API Error: 429").kind, K::Request);
    assert_eq!(result(401, "Failed to authenticate").kind, K::Auth);
    assert_eq!(result(529, "Overloaded").kind, K::Overload);
    assert_eq!(result(400, "Credit balance is too low").kind, K::Billing);

    // The same words where a model or a tool of the agent put them.
    let by_model = json!({"type": "assistant", "error": "rate_limit", "message": {"model": "claude-opus-4-5"}});
    let quoted = event(&json!({"status": "rejected", "rateLimitType": "five_hour"})).to_string();
    let in_result = json!({"type": "user", "message": {"content": [{"type": "tool_result", "content": quoted}]}});
    let nested =
        json!({"type": "user", "record": synthetic("rate_limit", "limit"), "rate_limit_info": {"status": "rejected"}});
    let success = json!({"type": "result", "is_error": false, "api_error_status": 429, "result": "hit your limit"});
    let retry = json!({"type": "system", "subtype": "api_retry", "error": "rate_limit"});
    for record in [by_model, in_result, nested, success, retry] {
        assert_eq!(output(std::slice::from_ref(&record)).kind, K::Unknown, "{record}");
    }
    assert_eq!(text(&format!("the tool printed {quoted}")).kind, K::Unknown);
}

#[test]
fn of_several_records_the_one_that_says_most_is_taken() {
    let limit = event(&json!({"status": "rejected", "resetsAt": NOW_S + 60, "rateLimitType": "seven_day_opus"}));
    let heartbeat = event(&json!({"status": "allowed", "resetsAt": NOW_S + 99, "rateLimitType": "five_hour"}));
    let result = json!({"type": "result", "is_error": true, "api_error_status": 429, "result": "API Error"});
    let records = [limit.clone(), synthetic("rate_limit", "You've hit your limit"), result, heartbeat];
    let verdict = output(&records);
    assert_eq!((verdict.kind, verdict.window), (FailureKind::RateLimit, Window::Model));
    // A bare status beside it is less.
    let evidence = Evidence { status: Some(429), text: Some(limit.to_string()), ..Evidence::default() };
    assert_eq!(classify(&evidence, Some(Tool::ClaudeCode), NOW).window, Window::Model);
    // Another tool's record proves nothing.
    assert_eq!(classify(&evidence, Some(Tool::Codex), NOW).kind, FailureKind::Request);
}

#[test]
fn codex_counts_only_a_turn_that_failed() {
    use FailureKind as K;
    let failed = |message: &str| output(&[json!({"type": "turn.failed", "error": {"message": message}})]).kind;
    let cases = [
        ("You've hit your usage limit. Upgrade to Pro or try again at 12:16 PM.", K::RateLimit),
        ("You’ve hit your usage limit.", K::RateLimit),
        ("exceeded retry limit, last status: 429 Too Many Requests", K::Request),
        ("exceeded retry limit, last status: 401 Unauthorized", K::Auth),
        ("unexpected status 503 Service Unavailable: upstream", K::Overload),
        ("unexpected status 429 Too Many Requests: {\"error\":{\"type\":\"usage_limit_reached\"}}", K::RateLimit),
        ("Your access token could not be refreshed because your refresh token was already used.", K::Auth),
        ("Quota exceeded. Check your plan and billing details.", K::Billing),
        ("Selected model is at capacity. Please try a different model.", K::Overload),
        ("stream disconnected before completion: An error occurred while processing your request.", K::Overload),
        ("stream disconnected before completion: error sending request for url (https://x)", K::Network),
        ("Codex ran out of room in the model's context window.", K::Request),
        ("something new", K::Unknown),
    ];
    for (message, kind) in cases {
        assert_eq!(failed(message), kind, "{message}");
    }
    assert_eq!(output(&[json!({"type": "error", "message": "You've hit your usage limit."})]).kind, K::Unknown);
    let body = output(&[json!({"error": {"type": "usage_limit_reached", "resets_in_seconds": 30}})]);
    assert_eq!((body.kind, in_secs(&body)), (K::RateLimit, Some(30)));
}

#[test]
fn words_of_free_text_are_never_more_than_text() {
    for words in ["401 unauthorized", "API Error: 429", "npm error 429 Too Many Requests - PUT https://x", ""] {
        assert!(!text(words).kind.moves(), "{words}");
    }
    for words in ["rate limit reached|1795176060", "You've hit your limit"] {
        let verdict = text(words);
        assert_eq!((verdict.kind, verdict.trust), (FailureKind::RateLimit, Trust::Text), "{words}");
    }
    assert_eq!(text("fetch failed").kind, FailureKind::Network);
    assert_eq!(text("FATAL ERROR: JavaScript heap out of memory").kind, FailureKind::Killed);
    assert_eq!(classify(&Evidence::default(), None, NOW).rule.as_str(), "unknown");
}

proptest! {
    #[test]
    fn nothing_panics_and_free_text_is_never_more_than_text(
        words in "[^{}]{0,60}",
        status in proptest::option::of(any::<u16>()),
        body in "\\PC{0,40}",
        code in proptest::option::of(any::<i32>()),
    ) {
        let verdict = text(&words);
        prop_assert!(!verdict.moves() || verdict.trust == Trust::Text);
        let evidence = Evidence {
            status, exit_code: code, body: Some(body), text: Some(format!("{{{words}}}")), ..Evidence::default()
        };
        let _ = classify(&evidence, None, NOW);
    }

    #[test]
    fn a_kill_beats_every_status(status in any::<u16>(), headers in proptest::collection::vec(("\\PC{0,9}", "\\PC{0,9}"), 0..3)) {
        let evidence = Evidence { status: Some(status), headers, exit_code: Some(137), ..Evidence::default() };
        prop_assert_eq!(classify(&evidence, None, NOW).kind, FailureKind::Killed);
    }
}
