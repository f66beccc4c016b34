//! What is read of windows, line by line and header by header, and what must not be read.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::classifier::Classifier;
use super::context::Context;
use super::readings::{of_headers, of_record};
use super::said::WindowReading;
use crate::domain::{Model, Tool, Utilisation, Wall, Window};

/// 2026-09-23 12:00:00 UTC.
const AT: Wall = Wall(1_790_164_800_000);
const AT_S: i64 = AT.0 / 1000;

fn context(tool: Tool) -> Context {
    Context::new(Some(tool), AT)
}

/// As one line: window, model, thousandths, whether it serves, seconds until it begins anew.
type Short = (Window, Option<&'static str>, Option<u16>, bool, Option<i64>);

fn assert_reads(readings: &[WindowReading], expected: &[Short]) {
    let expected: Vec<WindowReading> = expected
        .iter()
        .map(|(window, model, used, serves, reset)| WindowReading {
            window: *window,
            model: model.map(Model::new),
            utilisation: used.map(Utilisation),
            serves: *serves,
            reset_at: reset.map(|seconds| Wall(AT.0 + seconds * 1000)),
        })
        .collect();
    assert_eq!(readings, expected);
}

fn claude(info: &Value) -> Vec<WindowReading> {
    let record = json!({"type": "rate_limit_event", "rate_limit_info": info, "uuid": "u", "session_id": "s"});
    let of_record = of_record(&record, &context(Tool::ClaudeCode));
    let said = Classifier::default().line(record.to_string().as_bytes(), &context(Tool::ClaudeCode));
    assert_eq!(said.readings, of_record);
    of_record
}

fn codex(limits: &Value) -> Vec<WindowReading> {
    let record = json!({"type": "event_msg", "payload": {"type": "token_count", "info": {}, "rate_limits": limits}});
    of_record(&record, &context(Tool::Codex))
}

fn headers(headers: &[(&str, &str)]) -> Vec<WindowReading> {
    of_headers(headers.iter().copied(), &context(Tool::ClaudeCode))
}

#[test]
fn a_heartbeat_tells_every_window_that_it_names() {
    let readings = claude(&json!({
        "status": "allowed", "resetsAt": AT_S + 600, "rateLimitType": "five_hour", "isUsingOverage": false,
        "unifiedWindows": {
            "five_hour": {"utilization": 0.05, "resetsAt": AT_S + 600},
            "seven_day": {"utilization": 0.775, "resetsAt": AT_S + 86_400},
            "seven_day_opus": {"utilization": 1, "resetsAt": AT_S + 86_400},
        },
    }));
    assert_reads(
        &readings,
        &[
            (Window::FiveHour, None, Some(50), true, Some(600)),
            (Window::Weekly, None, Some(775), true, Some(86_400)),
            (Window::Model, Some("opus"), Some(1000), true, Some(86_400)),
        ],
    );
}

#[test]
fn an_older_event_tells_the_one_window_that_it_is_about() {
    let heartbeat = json!({"status": "allowed", "resetsAt": AT_S + 600, "rateLimitType": "five_hour"});
    assert_reads(&claude(&heartbeat), &[(Window::FiveHour, None, None, true, Some(600))]);
    let warning = json!({"status": "allowed_warning", "resetsAt": AT_S + 60, "rateLimitType": "seven_day",
                         "utilization": 0.91, "surpassedThreshold": 0.9});
    assert_reads(&claude(&warning), &[(Window::Weekly, None, Some(910), true, Some(60))]);
    let refused = json!({"status": "rejected", "rateLimitType": "seven_day_opus"});
    assert_reads(&claude(&refused), &[(Window::Model, Some("opus"), None, false, None)]);
}

#[test]
fn where_the_plan_refuses_no_other_window_is_said_to_serve() {
    let event = |about: &str, five: f64, week: f64| {
        claude(&json!({
            "status": "rejected", "resetsAt": AT_S + 86_400, "rateLimitType": about,
            "unifiedWindows": {"five_hour": {"utilization": five, "resetsAt": AT_S + 600},
                               "seven_day": {"utilization": week, "resetsAt": AT_S + 86_400}},
        }))
    };
    assert_reads(&event("seven_day", 0.2, 1.0), &[(Window::Weekly, None, Some(1000), false, Some(86_400))]);
    assert_reads(
        &event("five_hour", 1.0, 1.0),
        &[
            (Window::FiveHour, None, Some(1000), false, Some(600)),
            (Window::Weekly, None, Some(1000), false, Some(86_400)),
        ],
    );
}

#[test]
fn a_refused_model_without_a_name_is_left_out_and_the_plan_is_read() {
    let readings = claude(&json!({
        "status": "rejected", "resetsAt": AT_S + 86_400, "rateLimitType": "seven_day_overage_included",
        "unifiedWindows": {
            "five_hour": {"utilization": 0.05, "resetsAt": AT_S + 600},
            "seven_day": {"utilization": 0.77, "resetsAt": AT_S + 86_400},
            "seven_day_overage_included": {"utilization": 1, "resetsAt": AT_S + 86_400},
        },
    }));
    assert_reads(
        &readings,
        &[(Window::FiveHour, None, Some(50), true, Some(600)), (Window::Weekly, None, Some(770), true, Some(86_400))],
    );
}

#[test]
fn what_money_beside_the_plan_has_paid_for_does_not_prove_that_the_plan_serves() {
    let readings = claude(&json!({
        "status": "allowed", "rateLimitType": "overage", "isUsingOverage": true,
        "unifiedWindows": {"five_hour": {"utilization": 1.0, "resetsAt": AT_S + 600},
                           "seven_day": {"utilization": 0.4, "resetsAt": AT_S + 86_400}},
    }));
    assert_reads(&readings, &[(Window::Weekly, None, Some(400), true, Some(86_400))]);
    let credits = json!({"status": "rejected", "errorCode": "credits_required", "resetsAt": AT_S + 5,
                         "unifiedWindows": {"five_hour": {"utilization": 0.1}}});
    assert_reads(&claude(&credits), &[]);
}

#[test]
fn absent_is_not_zero_and_what_is_over_is_void() {
    let of = |window: Value| claude(&json!({"status": "allowed", "unifiedWindows": {"five_hour": window}}));
    assert_reads(&of(json!({"resetsAt": AT_S + 5})), &[]);
    assert_reads(&of(json!({"utilization": null})), &[]);
    assert_reads(&of(json!({"utilization": "0.5"})), &[]);
    assert_reads(&of(json!({"utilization": -1})), &[]);
    assert_reads(&of(json!({"utilization": 0.9, "resetsAt": AT_S - 1})), &[]);
    assert_reads(&of(json!({"utilization": 0.9, "resetsAt": AT_S})), &[]);
    assert_reads(&of(json!({"utilization": 0.9, "resetsAt": AT_S + 41 * 86_400})), &[]);
    assert_reads(&of(json!({"utilization": 0})), &[(Window::FiveHour, None, Some(0), true, None)]);
    assert_reads(&of(json!({"utilization": 1})), &[(Window::FiveHour, None, Some(1000), true, None)]);
    assert_reads(
        &of(json!({"utilization": 1.07, "resetsAt": null})),
        &[(Window::FiveHour, None, Some(1070), true, None)],
    );
}

#[test]
fn windows_of_codex_are_told_by_their_length_and_never_by_their_slot() {
    let readings = codex(&json!({
        "primary": {"used_percent": 42.04, "window_minutes": 10_079, "resets_at": AT_S + 90},
        "secondary": {"used_percent": 7, "window_minutes": 300, "resets_in_seconds": 3600},
    }));
    assert_reads(
        &readings,
        &[(Window::Weekly, None, Some(420), true, Some(90)), (Window::FiveHour, None, Some(70), true, Some(3600))],
    );
}

#[test]
fn a_window_without_a_name_speaks_only_when_it_is_full() {
    let month = |used: f64| json!({"used_percent": used, "window_minutes": 43_200, "resets_at": AT_S + 90});
    assert_reads(&codex(&json!({"limit_id": "codex", "primary": month(24.0), "secondary": null})), &[]);
    let full = codex(&json!({"primary": month(100.0), "secondary": {"used_percent": 3, "window_minutes": 300}}));
    assert_reads(&full, &[(Window::Unknown, None, None, false, Some(90))]);
    assert_reads(&codex(&json!({"primary": {"used_percent": 12.0}})), &[]);
}

#[test]
fn limits_of_codex_beside_the_plan_and_old_ones_are_left_out() {
    let five = |more: Value| {
        let mut window = json!({"used_percent": 100, "window_minutes": 300});
        window.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        window
    };
    assert_reads(&codex(&json!({"limit_id": "codex_spark", "limit_name": "Spark", "primary": five(json!({}))})), &[]);
    assert_reads(&codex(&json!({"primary": five(json!({"resets_at": AT_S - 30}))})), &[]);
    assert_reads(&codex(&json!({"primary": five(json!({}))})), &[(Window::FiveHour, None, Some(1000), false, None)]);
    // Written an hour ago by its own time: so much of what was left then is over.
    let written = |seconds: u64| {
        json!({"timestamp": "2026-09-23T11:00:00.000Z", "type": "event_msg", "payload": {"type": "token_count",
               "rate_limits": {"primary": {"used_percent": 5, "window_minutes": 300, "resets_in_seconds": seconds}}}})
    };
    let read = |seconds| of_record(&written(seconds), &context(Tool::Codex));
    assert_reads(&read(7200), &[(Window::FiveHour, None, Some(50), true, Some(3600))]);
    assert_reads(&read(1800), &[]);
}

#[test]
fn every_wrapping_of_codex_is_read() {
    let limits = json!({"primary": {"used_percent": 5, "window_minutes": 300}});
    for record in [
        json!({"type": "token_count", "rate_limits": limits}),
        json!({"id": "1", "msg": {"type": "token_count", "rate_limits": limits}}),
        json!({"type": "event_msg", "payload": {"type": "token_count", "rate_limits": limits}}),
    ] {
        let readings = of_record(&record, &context(Tool::Codex));
        assert_reads(&readings, &[(Window::FiveHour, None, Some(50), true, None)]);
        assert_eq!(of_record(&record, &context(Tool::ClaudeCode)), [], "another tool's record");
    }
}

#[test]
fn a_copy_in_what_an_agent_talks_about_says_nothing() {
    let claude = json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour",
                        "unifiedWindows": {"five_hour": {"utilization": 1}}}});
    let codex = json!({"type": "event_msg", "payload": {"type": "token_count",
                       "rate_limits": {"primary": {"used_percent": 100, "window_minutes": 300}}}});
    for (tool, inner) in [(Tool::ClaudeCode, &claude), (Tool::Codex, &codex), (Tool::Custom, &claude)] {
        assert!(!of_record(inner, &context(tool)).is_empty());
        let text = inner.to_string();
        for nested in [
            json!({"type": "user", "message": {"content": [inner]}}),
            json!({"type": "user", "message": {"content": text}}),
            json!({"type": "assistant", "rate_limit_info": inner["rate_limit_info"], "payload": inner["payload"]}),
            json!({"type": "response_item", "payload": {"type": "function_call_output", "output": text}}),
            json!({"type": "event_msg", "payload": {"type": "agent_message", "message": text}}),
            json!({"type": "event_msg", "payload": {"type": "exec_command_end", "payload": inner["payload"]}}),
            json!({"tool_result": inner}),
            json!([inner]),
        ] {
            assert_eq!(of_record(&nested, &context(tool)), [], "{nested}");
            let line = nested.to_string();
            assert_eq!(Classifier::default().line(line.as_bytes(), &context(tool)).readings, [], "{line}");
        }
        for line in [format!("agent: {text}"), format!("{text} // seen"), format!("\"{}\"", text.replace('"', "\\\""))]
        {
            assert_eq!(Classifier::default().line(line.as_bytes(), &context(tool)).readings, [], "{line}");
        }
    }
}

#[test]
fn headers_of_a_served_answer_tell_every_window() {
    let reset = (AT_S + 600).to_string();
    let readings = headers(&[
        ("content-type", "application/json"),
        ("Anthropic-RateLimit-Unified-Status", "allowed"),
        ("anthropic-ratelimit-unified-reset", &reset),
        ("anthropic-ratelimit-unified-5h-utilization", "0.124"),
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-reset", &reset),
        ("anthropic-ratelimit-unified-7d-utilization", "1"),
        ("anthropic-ratelimit-unified-7d-status", "allowed_warning"),
        ("anthropic-ratelimit-unified-7d_opus-utilization", "0.5"),
        ("anthropic-ratelimit-unified-7d_oi-status", "rejected"),
        ("anthropic-ratelimit-unified-overage-status", "rejected"),
        ("anthropic-ratelimit-unified-fallback-percentage", "0.5"),
    ]);
    assert_reads(
        &readings,
        &[
            (Window::FiveHour, None, Some(124), true, Some(600)),
            (Window::Weekly, None, Some(1000), true, None),
            (Window::Model, Some("opus"), Some(500), true, None),
        ],
    );
}

#[test]
fn headers_of_a_refusal_tell_what_refused_and_until_when() {
    let (soon, late) = ((AT_S + 600).to_string(), (AT_S + 86_400).to_string());
    let rejected = [
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-representative-claim", "seven_day"),
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.3"),
        ("anthropic-ratelimit-unified-5h-reset", &soon),
        ("anthropic-ratelimit-unified-7d-status", "rejected"),
        ("anthropic-ratelimit-unified-7d-utilization", "1.0"),
        ("anthropic-ratelimit-unified-7d-reset", &late),
    ];
    assert_reads(&headers(&rejected), &[(Window::Weekly, None, Some(1000), false, Some(86_400))]);
    // No window of its own: the claim names it, and without a claim it is the whole.
    let short = [rejected[0], rejected[1], ("anthropic-ratelimit-unified-reset", &late)];
    assert_reads(&headers(&short), &[(Window::Weekly, None, None, false, Some(86_400))]);
    let whole = [rejected[0], ("anthropic-ratelimit-unified-reset", &late)];
    assert_reads(&headers(&whole), &[(Window::Unknown, None, None, false, Some(86_400))]);
    for claim in ["overage", "seven_day_overage_included", "something_new!"] {
        let beside = [rejected[0], ("anthropic-ratelimit-unified-representative-claim", claim)];
        assert_reads(&headers(&beside), &[]);
    }
    assert_reads(&headers(&[rejected[0], ("anthropic-ratelimit-unified-reset", "1")]), &[]);
}

#[test]
fn a_window_that_is_paid_for_beside_the_plan_says_nothing() {
    let readings = headers(&[
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-utilization", "1.0"),
        ("anthropic-ratelimit-unified-7d-status", "allowed"),
        ("anthropic-ratelimit-unified-7d-utilization", "0.6"),
    ]);
    assert_reads(&readings, &[(Window::Weekly, None, Some(600), true, None)]);
}

#[test]
fn headers_of_codex_are_told_by_their_length() {
    let at = (AT_S + 60).to_string();
    let readings = headers(&[
        ("X-Codex-Primary-Used-Percent", "12.5"),
        ("X-Codex-Primary-Window-Minutes", "10080"),
        ("X-Codex-Primary-Reset-At", &at),
        ("x-codex-secondary-used-percent", "80"),
        ("x-codex-secondary-window-minutes", "300"),
        ("x-codex-secondary-reset-after-seconds", "120"),
    ]);
    assert_reads(
        &readings,
        &[(Window::Weekly, None, Some(125), true, Some(60)), (Window::FiveHour, None, Some(800), true, Some(120))],
    );
    let month = [("x-codex-primary-used-percent", "24"), ("x-codex-primary-window-minutes", "43200")];
    assert_reads(&headers(&month), &[]);
}

#[test]
fn limits_per_minute_are_no_windows() {
    let per_minute =
        [("x-ratelimit-remaining-tokens", "0"), ("anthropic-ratelimit-requests-remaining", "0"), ("retry-after", "9")];
    assert_reads(&headers(&per_minute), &[]);
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_0-9.]{0,12}".prop_map(Value::from),
        Just(json!("rejected")),
        Just(json!("allowed")),
    ]
}

proptest! {
    #[test]
    fn whatever_stands_in_a_record_nothing_is_read_that_cannot_be(
        status in leaf(), kind in leaf(), reset in leaf(), used in leaf(), percent in leaf(), minutes in leaf(),
    ) {
        let claude = json!({"type": "rate_limit_event", "rate_limit_info": {"status": status, "rateLimitType": kind,
            "resetsAt": reset, "unifiedWindows": {"five_hour": {"utilization": used, "resetsAt": reset}}}});
        let codex = json!({"type": "token_count", "rate_limits": {"primary": {"used_percent": percent,
            "window_minutes": minutes, "resets_at": reset, "resets_in_seconds": used}}});
        for record in [claude, codex] {
            for reading in of_record(&record, &context(Tool::Custom)) {
                prop_assert!(reading.reset_at.is_none_or(|at| at > AT && at <= AT.plus(Duration::from_secs(40 * 86_400))));
                prop_assert!(reading.utilisation.is_none_or(|used| used.0 <= 10_000));
                prop_assert!(reading.window != Window::Unknown || !reading.serves);
                prop_assert!(reading.window != Window::Model || reading.model.is_some());
            }
        }
    }

    #[test]
    fn whatever_a_header_holds_nothing_panics(values in prop::collection::vec("[ -~]{0,24}", 6)) {
        let names = ["status", "reset", "5h-utilization", "5h-status", "7d_opus-reset", "representative-claim"];
        let names: Vec<String> = names.iter().map(|name| format!("anthropic-ratelimit-unified-{name}")).collect();
        let headers = names.iter().map(String::as_str).zip(values.iter().map(String::as_str));
        let _ = of_headers(headers, &context(Tool::Custom));
    }
}
