//! The verbs that change something: what they send, what they print, how they end.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::binary::run_fed;
use crate::documents::{
    agent, agents, answer, changed, explanation, problem, reading, subscription, switch, versioned,
};
use crate::script::Script;

fn body(asked: &str) -> Value {
    let (_, body) = asked.split_once(" {").unwrap_or_else(|| panic!("no body: {asked}"));
    serde_json::from_str(&format!("{{{body}")).unwrap()
}

const FAILURES: &str = "POST /v1/agents/reviewer/failures";
const SWITCH: &str = "POST /v1/agents/reviewer/switch";

#[test]
fn a_report_sends_what_was_said_and_nothing_else() {
    let script = Script::new().answers(FAILURES, 202, &answer("switching"));
    let ran = script.run("report reviewer --kind rate_limit");
    assert_snapshot!(ran.shown(), @r"
    switching: reviewer moves from max-a to max-b (generation 4, switch reviewer-s3)
    --- stderr
    --- exit 0
    ");
    script.run(
        "report reviewer --kind auth --subscription max-a --generation 3 --reset-at 2026-11-21T15:00:00+01:00 --id h-1 \
         --as-agent",
    );
    let asked = script.asked();
    assert_eq!(body(&asked[0]), json!({"kind": "rate_limit"}));
    let all = json!({
        "kind": "auth", "subscription": "max-a", "generation": 3, "reset_at": "2026-11-21T14:00:00.000Z", "id": "h-1",
        "reporter": "agent"
    });
    assert_eq!(body(&asked[1]), all);
    assert_eq!(script.run("report reviewer --kind auth --json").document(), versioned(&answer("switching")));
}

#[test]
fn a_report_with_evidence_sends_the_text() {
    let script = Script::new().answers(FAILURES, 200, &answer("ignored"));
    let socket = script.socket();
    let report = ["--socket", &socket, "report", "reviewer", "--evidence"];
    assert_eq!(run_fed(&[&report[..], &["limit reached"]].concat(), "").code, Some(0));
    assert_eq!(run_fed(&[&report[..], &["-"]].concat(), "from\nthe pipe").code, Some(0));
    let texts: Vec<_> = script.asked().iter().map(|asked| body(asked)["evidence"]["text"].clone()).collect();
    assert_eq!(texts, ["limit reached", "from\nthe pipe"]);
}

#[test]
fn a_report_waits_as_long_as_it_says() {
    let script = Script::new().answers(&format!("{FAILURES}?wait=120"), 200, &answer("switched")).answers(
        &format!("{FAILURES}?wait=2"),
        200,
        &answer("switch_failed"),
    );
    assert!(
        script.run("report reviewer --kind auth --wait").out.starts_with("switched: reviewer has moved from max-a")
    );
    let ran = script.run("report reviewer --kind auth --wait=1500ms");
    assert_eq!(ran.code, Some(0), "it is recorded: {}", ran.shown());
    assert!(ran.out.starts_with("switch_failed: "), "{}", ran.out);
}

#[test]
fn every_outcome_of_a_recorded_report_is_done() {
    const OUTCOMES: [&str; 10] = [
        "repeat",
        "stale",
        "held",
        "ambiguous",
        "uncorroborated",
        "waiting",
        "recorded",
        "ignored",
        "exhausted",
        "braked",
    ];
    for outcome in OUTCOMES {
        let script = Script::new().answers(FAILURES, 200, &answer(outcome));
        let ran = script.run("report reviewer --kind rate_limit");
        assert!(ran.code == Some(0) && ran.out.starts_with(&format!("{outcome}: ")), "{}", ran.shown());
    }
}

#[test]
fn a_report_that_was_shed_is_refused() {
    let shed = changed(problem(429, "shed", "too many reports wait"), &json!({"outcome": "shed", "retry_after_s": 1}));
    let script = Script::new().answers(FAILURES, 429, &shed);
    let ran = script.run("report reviewer --kind rate_limit");
    assert_snapshot!(ran.shown(), @r"
    --- stderr
    switchman: too many reports wait (shed)
    --- exit 3
    ");
    let ran = script.run("report reviewer --kind rate_limit --json");
    assert_eq!((ran.code, ran.problem(), &*ran.out), (Some(3), shed, ""));
}

#[test]
fn a_switch_begins_and_says_so() {
    let script = Script::new().answers(SWITCH, 202, &switch("under_way"));
    let ran = script.run("switch reviewer --to max-b --force --reason release");
    assert_snapshot!(ran.shown(), @r"
    reviewer moves from max-a to max-b (generation 4, switch reviewer-s3)
    --- stderr
    --- exit 0
    ");
    assert_eq!(body(&script.asked()[0]), json!({"to": "max-b", "force": true, "reason": "release"}));
    assert_eq!(script.run("switch reviewer --json").document(), versioned(&switch("under_way")));
}

#[test]
fn a_switch_that_is_waited_for_ends_as_it_ended() {
    for (outcome, code) in
        [("ready", 0), ("not_ready", 1), ("not_running", 1), ("failed", 1), ("rolled_back", 1), ("cancelled", 1)]
    {
        let script = Script::new().answers(&format!("{SWITCH}?wait=120"), 200, &switch(outcome));
        let ran = script.run("switch reviewer --wait");
        assert_eq!(ran.code, Some(code), "{}", ran.shown());
        let moves = if matches!(outcome, "ready" | "not_ready" | "not_running") { "moved" } else { "was to move" };
        let start =
            format!("{outcome}: reviewer {moves} from max-a to max-b (generation 4, switch reviewer-s3) after 2.3 s");
        assert!(ran.out.starts_with(&start), "{}", ran.out);
        assert_eq!(ran.err.contains("(switch_failed)"), code == 1, "{}", ran.err);
    }
}

#[test]
fn a_switch_that_takes_too_long_goes_on_alone() {
    let script = Script::new().answers(&format!("{SWITCH}?wait=1"), 202, &switch("under_way"));
    let ran = script.run("switch reviewer --wait=1ms");
    assert_snapshot!(ran.shown(), @r"
    reviewer moves from max-a to max-b (generation 4, switch reviewer-s3)
    --- stderr
    switchman: switch reviewer-s3 has not ended within 1ms (wait_expired)
        hint: it goes on: see switchman status
    --- exit 1
    ");
}

#[test]
fn an_agent_that_is_there_already_is_not_moved() {
    let script = Script::new().answers(SWITCH, 200, &agent("reviewer")).answers(
        &format!("{SWITCH}?wait=120"),
        200,
        &agent("reviewer"),
    );
    for line in ["switch reviewer --to max-b", "switch reviewer --to max-b --wait"] {
        assert_eq!(script.run(line).shown(), "reviewer is there already\n--- stderr\n--- exit 0");
    }
}

#[test]
fn a_dry_run_shows_the_ranking() {
    let script = Script::new().answers(SWITCH, 200, &explanation());
    let ran = script.run("switch reviewer --dry-run");
    assert!(ran.code == Some(0) && ran.out.contains("\nwould pick max-b\norder: "), "{}", ran.shown());
    assert_eq!(body(&script.asked()[0]), json!({"dry_run": true}));
    assert_eq!(script.run("switch reviewer --dry-run --json").document(), versioned(&explanation()));
}

#[test]
fn a_switch_is_given_up() {
    let script = Script::new().answers("DELETE /v1/agents/reviewer/switch", 200, &switch("cancelled"));
    assert_eq!(script.run("switch reviewer --cancel").out, "the switch of reviewer is given up\n");
    assert_eq!(script.run("switch reviewer --cancel --json").document(), versioned(&switch("cancelled")));
}

#[test]
fn refusals_end_with_three_and_mistakes_with_one() {
    for (status, code, exit) in [
        (409, "switch_in_progress", 3),
        (409, "pinned", 3),
        (422, "subscription_not_eligible", 3),
        (404, "agent_not_found", 1),
        (404, "subscription_not_found", 1),
        (503, "store_unavailable", 1),
    ] {
        let document = problem(status, code, "it does not go");
        let script = Script::new().answers(SWITCH, status, &document);
        let ran = script.run("switch reviewer --to max-b");
        assert_eq!(ran.shown(), format!("--- stderr\nswitchman: it does not go ({code})\n--- exit {exit}"));
        let ran = script.run("switch reviewer --to max-b --json");
        assert_eq!((ran.code, ran.problem(), &*ran.out), (Some(exit), document, ""));
    }
}

#[test]
fn one_agent_is_paused_for_a_time_and_all_are_without() {
    let paused = changed(agent("reviewer"), &json!({"paused": true}));
    let script = Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("POST /v1/agents/reviewer/pause", 200, &paused)
        .answers("POST /v1/agents/coder/pause", 200, &json!({}))
        .answers("POST /v1/agents/idle/pause", 200, &json!({}))
        .answers("POST /v1/agents/writer/pause", 200, &json!({}));
    assert_eq!(script.run("pause reviewer --for 1h30m").out, "reviewer is paused until somebody resumes it\n");
    assert_eq!(body(&script.asked()[0]), json!({"for": "1h30m"}));
    assert_snapshot!(script.run("pause").shown(), @r"
    coder is paused
    idle is paused
    reviewer is paused until somebody resumes it
    writer is paused
    --- stderr
    --- exit 0
    ");
    assert_eq!(script.run("pause reviewer --json").document(), versioned(&paused));
    assert_eq!(script.run("pause --json").document()["agents"].as_array().unwrap().len(), 4);
}

#[test]
fn a_refusal_of_one_agent_does_not_keep_the_others() {
    let script = Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("POST /v1/agents/coder/pause", 503, &problem(503, "store_unavailable", "the disk is full"))
        .answers("POST /v1/agents/idle/pause", 200, &json!({}))
        .answers("POST /v1/agents/reviewer/pause", 200, &json!({}))
        .answers("POST /v1/agents/writer/pause", 200, &json!({}));
    assert_snapshot!(script.run("pause").shown(), @r"
    idle is paused
    reviewer is paused
    writer is paused
    --- stderr
    switchman: the disk is full (store_unavailable)
    --- exit 1
    ");
}

#[test]
fn one_agent_is_resumed_or_whatever_is_paused() {
    let script = Script::new().answers("POST /v1/agents/writer/resume", 200, &agent("writer")).answers(
        "POST /v1/resume",
        200,
        &agents(),
    );
    assert_eq!(script.run("resume writer").out, "writer is not paused any more\n");
    assert_eq!(script.run("resume").out, "no agent is paused any more, and switching is not halted\n");
    assert_eq!(script.run("resume --all --json").document()["agents"].as_array().unwrap().len(), 4);
}

#[test]
fn only_those_that_are_parked_are_freed() {
    let script = Script::new().answers("GET /v1/agents", 200, &agents()).answers(
        "POST /v1/agents/writer/unpark",
        200,
        &agent("writer"),
    );
    assert_eq!(script.run("unpark --all").out, "writer is free again\n");
    assert_eq!(script.run("unpark writer").out, "writer is free again\n");
    let script = Script::new().answers("GET /v1/agents", 200, &json!({"agents": []}));
    assert_eq!(script.run("unpark --all").shown(), "no agent to do it to\n--- stderr\n--- exit 0");
}

#[test]
fn a_pin_to_another_subscription_moves() {
    let moving = changed(agent("reviewer"), &json!({"pending": {"subscription": "max-c", "generation": 5}}));
    let script = Script::new().answers("PUT /v1/agents/reviewer/pin", 200, &moving).answers(
        "DELETE /v1/agents/reviewer/pin",
        200,
        &agent("reviewer"),
    );
    assert_eq!(script.run("pin reviewer max-c").out, "reviewer is pinned to max-c and moves there (generation 5)\n");
    assert_eq!(script.run("pin reviewer max-b").out, "reviewer is pinned to max-b\n");
    assert_eq!(script.run("unpin reviewer").out, "reviewer is not pinned any more\n");
    assert_eq!(body(&script.asked()[0]), json!({"subscription": "max-c"}));
}

#[test]
fn cooldowns_are_set_and_cleared() {
    let path = "/v1/subscriptions/max-a/cooldown";
    let script = Script::new().answers(&format!("PUT {path}"), 200, &json!({"name": "max-a"})).answers(
        &format!("DELETE {path}"),
        200,
        &json!({"name": "max-a"}),
    );
    assert_eq!(script.run("cooldown set max-a --for 2h").out, "max-a cools for 2 h\n");
    assert_eq!(script.run("cooldown clear max-a").out, "max-a does not cool any more\n");
    assert_eq!(body(&script.asked()[0]), json!({"for": "2h"}));
    assert_eq!(script.run("cooldown clear max-a --json").document(), json!({"name": "max-a", "schema_version": 1}));
}

#[test]
fn a_reading_is_handed_in_and_the_subscription_shown_as_it_stands() {
    let path = "POST /v1/subscriptions/max-a/readings";
    let used = changed(subscription("max-a"), &json!({"nearest_wall": reading(&json!({}))}));
    let script = Script::new().answers(path, 200, &used);
    let ran = script.run("reading max-a --window weekly --used 72.5 --reset-at 2026-11-24T09:00:00+01:00");
    assert_eq!(ran.shown(), "max-a is eligible, used: weekly 72.5 %, 2 h 3 min ago\n--- stderr\n--- exit 0");
    script.run("reading max-a --window model --model opus --refused");
    script.run("reading max-a --window five_hour --used 80%");
    let asked = script.asked();
    let first = json!({"window": "weekly", "utilisation": 72.5, "reset_at": "2026-11-24T08:00:00.000Z"});
    assert_eq!(body(&asked[0]), first);
    assert_eq!(body(&asked[1]), json!({"window": "model", "model": "opus", "serves": false}));
    assert_eq!(body(&asked[2]), json!({"window": "five_hour", "utilisation": 80.0}));
    assert_eq!(script.run("reading max-a --window weekly --json").document(), versioned(&used));
}

#[test]
fn a_reading_of_one_that_is_refused_says_why_and_one_of_nobody_ends_with_one() {
    let refused = json!({
        "eligible": false, "reason": "refused by the provider as last read (window five_hour)",
        "nearest_wall": reading(&json!({"window": "five_hour", "serves": false, "utilisation": null}))
    });
    let path = "POST /v1/subscriptions/max-a/readings";
    let script = Script::new().answers(path, 200, &changed(subscription("max-a"), &refused));
    assert_snapshot!(script.run("reading max-a --window five_hour --refused").shown(), @r"
    max-a is not eligible: refused by the provider as last read (window five_hour), used: five_hour refused, 2 h 3 min ago
    --- stderr
    --- exit 0
    ");
    let script = Script::new().answers(path, 404, &problem(404, "subscription_not_found", "no such subscription"));
    assert_eq!(script.run("reading max-a --window weekly").code, Some(1));
}
