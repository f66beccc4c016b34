//! The verbs that only look: status, explain, history, cooldown list.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::binary::{Ran, command};
use crate::documents::{agent, agents, changed, explanation, later, subscriptions, switch, versioned};
use crate::script::Script;

fn status() -> Script {
    Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("GET /v1/agents/reviewer", 200, &agent("reviewer"))
        .answers("GET /v1/subscriptions", 200, &subscriptions())
        .answers("GET /readyz", 200, &json!({"status": "ready", "reason": "engine: connection refused", "degraded": ["engine: connection refused"]}))
}

#[test]
fn status_shows_agents_subscriptions_and_what_the_daemon_lacks() {
    assert_snapshot!(status().run("status").shown());
}

#[test]
fn status_as_a_document_has_what_the_api_says() {
    let script = status();
    let document = script.run("status --json").document();
    assert_eq!(document["schema_version"], 1);
    let names = |list: &str| -> Vec<Value> {
        document[list].as_array().unwrap().iter().map(|row| row["name"].clone()).collect()
    };
    assert_eq!(names("agents"), ["coder", "idle", "reviewer", "writer"]);
    assert_eq!(names("subscriptions"), ["max-a", "max-b", "max-c", "max-d", "max-e"]);
    assert_eq!(document["agents"][2]["turns"], json!({"active": [], "queued": 0}));
    assert_eq!(document["daemon"]["degraded"][0], "engine: connection refused");
}

#[test]
fn status_of_one_agent_tells_more_of_it() {
    let script = status();
    let ran = script.run("status reviewer");
    // The calendar time moves with the test; what follows it does not.
    let shown: Vec<_> = ran
        .shown()
        .lines()
        .map(|line| match line.split_once("since ") {
            Some((before, after)) => format!("{before}since … UTC{}", after.split_once(" UTC").unwrap().1),
            None => line.to_owned(),
        })
        .collect();
    assert_snapshot!(shown.join("\n"));
    let document = script.run("status reviewer --json").document();
    assert_eq!(document["agents"].as_array().unwrap().len(), 1);
    assert_eq!(document["subscriptions"].as_array().unwrap().len(), 1);
}

#[test]
fn status_of_a_daemon_without_health_is_shown_all_the_same() {
    let script = Script::new()
        .answers("GET /v1/agents", 200, &json!({"agents": []}))
        .answers("GET /v1/subscriptions", 200, &json!({"subscriptions": []}))
        .answers("GET /readyz", 503, &json!({"status": "stopping", "reason": "the daemon stops", "degraded": []}));
    assert_snapshot!(script.run("status").shown(), @r"
    no agents

    no subscriptions

    not ready: the daemon stops
    --- stderr
    --- exit 0
    ");
}

#[test]
fn watch_draws_again_until_interrupted() {
    let script = status();
    let mut command = command(&["--socket", &script.socket(), "status", "--watch"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let headers = lines.by_ref().filter(|line| line.as_ref().unwrap().starts_with("AGENT"));
    assert_eq!(headers.take(2).count(), 2);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The rest of the drawing has to go somewhere.
    let rest = lines.map_while(Result::ok).count();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{rest} more lines");
}

#[test]
fn explain_marks_what_would_be_picked() {
    let script = Script::new().answers("GET /v1/agents/reviewer/explain", 200, &explanation());
    assert_snapshot!(script.run("explain reviewer").shown());
    assert_eq!(script.run("explain reviewer --json").document(), versioned(&explanation()));
}

#[test]
fn explain_says_that_nobody_is_left() {
    let gates = json!({
        "switching": false, "paused": false, "paused_until": null, "pinned": null, "braked_until": null,
        "parked": "apply_failed", "exhausted_since": "2026-11-21T09:59:18.000Z", "obstacle": "no\u{1b}[2J engine"
    });
    let members = json!({
        "would_pick": null, "earliest_reset": "2026-11-21T12:00:00.000Z", "current": null, "subscriptions": [],
        "gates": gates
    });
    let none = changed(explanation(), &members);
    let script = Script::new().answers("GET /v1/agents/reviewer/explain", 200, &none);
    assert_snapshot!(script.run("explain reviewer").shown());
}

#[test]
fn explain_says_by_which_strategy_the_order_came_about() {
    for (strategy, order) in [
        ("least_assigned", "order: strategy least_assigned, the fewest agents first; then"),
        ("priority", "order: strategy priority, the lowest tier first, then the fewest agents; then"),
        ("headroom", "order: strategy headroom, the furthest from its nearest limit first, by fresh readings"),
        ("soonest_reset", "order: strategy soonest_reset, the quota that expires next first, by fresh readings"),
        // Of a later version.
        ("round_robin", "order: strategy round_robin\n"),
    ] {
        let shown = changed(explanation(), &json!({"strategy": strategy}));
        let script = Script::new().answers("GET /v1/agents/reviewer/explain", 200, &shown);
        let out = script.run("explain reviewer").out;
        assert!(out.contains(order), "{out}");
        // Tiers matter to this one only.
        assert_eq!(out.contains("tier 1"), strategy == "priority", "{out}");
    }
}

#[test]
fn a_halt_is_told_by_explain_and_by_status() {
    let mut halted = explanation();
    halted["gates"]["halted"] = json!("the provider has disabled several accounts within an hour: max-a, max-b");
    let script = Script::new().answers("GET /v1/agents/reviewer/explain", 200, &halted);
    let line = "  switching is halted until switchman resume --all: the provider has disabled several accounts within an \
                hour: max-a, max-b\n";
    assert!(script.run("explain reviewer").out.contains(line));
    let why = "switching is halted: the provider has disabled several accounts within an hour: max-a, max-b";
    let script = Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("GET /v1/subscriptions", 200, &subscriptions())
        .answers("GET /readyz", 200, &json!({"status": "ready", "reason": why, "degraded": [why]}));
    assert!(script.run("status").out.ends_with(&format!("\ndegraded: {why}\n")));
}

#[test]
fn an_older_daemon_that_knows_of_no_readings_is_read_all_the_same() {
    let mut old = subscriptions();
    for row in old["subscriptions"].as_array_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        row.insert("priority".to_owned(), Value::Null);
        row.retain(|name, _| !["metered", "reserve", "nearest_wall"].contains(&name.as_str()));
    }
    let script = Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("GET /v1/subscriptions", 200, &old)
        .answers("GET /readyz", 200, &json!({"status": "ready", "reason": null, "degraded": []}));
    let ran = script.run("status");
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert!(ran.out.contains("max-e"), "{}", ran.out);
}

#[test]
fn history_is_a_table_or_the_pages_in_one() {
    let recover = json!({
        "kind": "recover", "cause": {"by": "recovery", "kind": null, "failure": null, "reason": null}, "from": null,
        "generation": 1, "id": "reviewer-s1"
    });
    let (newer, older) = (json!([switch("under_way"), switch("failed")]), json!([changed(switch("ready"), &recover)]));
    let script = Script::new()
        .answers("GET /v1/switches?limit=20", 200, &json!({"switches": newer, "next": 7}))
        .answers("GET /v1/switches?limit=18&before=7", 200, &json!({"switches": older, "next": null}));
    assert_snapshot!(script.run("history").shown());
    let document = script.run("history --json").document();
    assert_eq!(document["switches"].as_array().unwrap().len(), 3);
    assert_eq!((&document["next"], &document["schema_version"]), (&Value::Null, &json!(1)));
}

#[test]
fn history_asks_for_what_was_asked_for() {
    let empty = json!({"switches": [], "next": null});
    let asked = "GET /v1/switches?limit=3&agent=reviewer&since=2026-11-21T14%3A00%3A00.000Z";
    let script = Script::new().answers(asked, 200, &empty);
    let ran = script.run("history reviewer --limit 3 --since 2026-11-21T15:00:00+01:00");
    assert_eq!(ran.shown(), "no switches\n--- stderr\n--- exit 0");
    let ran = script.run("history --since 2h");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let since = script.asked()[1].split_once("since=").unwrap().1.replace("%3A", ":");
    let ago: jiff::Timestamp = since.parse().unwrap();
    let expected: jiff::Timestamp = crate::documents::at(-7_200).parse().unwrap();
    assert!((expected - ago).total(jiff::Unit::Second).unwrap().abs() < 30.0, "{ago} {expected}");
}

#[test]
fn cooldowns_are_listed_by_whom_they_hold_for() {
    let script = Script::new().answers("GET /v1/subscriptions", 200, &subscriptions());
    assert_snapshot!(script.run("cooldown list").shown());
    let document = script.run("cooldown list --json").document();
    let rows = document["cooldowns"].as_array().unwrap();
    let whom: Vec<_> = rows.iter().map(|row| (row["subscription"].clone(), row["agent"].clone())).collect();
    let expected = [("max-a", Value::Null), ("max-b", json!("idle")), ("max-c", Value::Null)];
    assert_eq!(whom, expected.map(|(subscription, agent)| (json!(subscription), agent)));
    assert!(rows[0]["until"].as_str().unwrap() <= &*later());
}
