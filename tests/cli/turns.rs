//! The verbs about turns: what they send, where the token comes from, what they print, how they end.

use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::binary::{Ran, command, run_fed};
use crate::documents::{agent, answer, changed, earlier, problem, subscriptions, turn, versioned};
use crate::script::Script;

const BEGIN: &str = "POST /v1/agents/reviewer/turns";
const BEAT: &str = "POST /v1/turns/reviewer-t7/heartbeat";
const COMPLETE: &str = "POST /v1/turns/reviewer-t7/complete";

fn body(asked: &str) -> Value {
    asked.split_once(" {").map_or(Value::Null, |(_, body)| serde_json::from_str(&format!("{{{body}")).unwrap())
}

fn begun() -> Value {
    json!({"turn": turn("granted"), "lease_token": "the-token"})
}

fn held(cancel: &Value) -> Value {
    json!({"cancel_requested": cancel, "lease_s": 60})
}

/// Runs the binary with a token in its environment.
fn holding(script: &Script, line: &str) -> Ran {
    let socket = script.socket();
    let words: Vec<_> = ["--socket", &socket].into_iter().chain(line.split_whitespace()).collect();
    Ran::of(&command(&words).env("SWITCHMAN_LEASE", "the-token").output().expect("the binary runs"))
}

#[test]
fn a_beginning_sends_what_was_said_and_prints_two_words() {
    let document = begun();
    let script = Script::new().answers(BEGIN, 201, &document);
    assert_snapshot!(script.run("turn begin reviewer --session chat").shown(), @r"
    reviewer-t7 the-token
    --- stderr
    --- exit 0
    ");
    script
        .run("turn begin reviewer --session x --session y --class background --holder me --after reviewer-t6 --key k");
    script.run("turn begin reviewer --session x,y --queue --wait 1500ms --preempt");
    let asked: Vec<_> = script.asked().iter().map(|asked| body(asked)).collect();
    assert_eq!(asked[0], json!({"session": "chat"}));
    let all = json!({"session": ["x", "y"], "class": "background", "holder": "me", "after": "reviewer-t6", "key": "k"});
    assert_eq!(asked[1], all);
    assert_eq!(asked[2], json!({"session": ["x", "y"], "on_busy": "queue", "wait_s": 1.5, "preempt": true}));
    assert_eq!(script.run("turn begin reviewer --session chat --json").document(), versioned(&document));
    let three = script.run("turn begin reviewer --session x --session y --session z");
    assert_eq!((three.code, &*three.out), (Some(2), ""), "{}", three.shown());
}

#[test]
fn who_is_in_the_way_is_told_and_ends_with_three() {
    let detail = "the session has a turn: reviewer-t6 of worker, since 2026-11-21T10:00:00.000Z";
    let busy = changed(problem(409, "turn_in_progress", detail), &json!({"turn": "reviewer-t6", "holder": "worker"}));
    let script = Script::new().answers(BEGIN, 409, &busy);
    assert_snapshot!(script.run("turn begin reviewer --session chat").shown(), @r"
    --- stderr
    switchman: the session has a turn: reviewer-t6 of worker, since 2026-11-21T10:00:00.000Z (turn_in_progress)
    --- exit 3
    ");
    let ran = script.run("turn begin reviewer --session chat --json");
    assert_eq!((ran.code, ran.problem(), &*ran.out), (Some(3), busy, ""));
}

#[test]
fn what_is_refused_to_a_caller_of_turns_ends_with_three() {
    for (status, code) in [
        (409, "wait_expired"),
        (409, "out_of_step"),
        (409, "session_complete"),
        (409, "sessions_full"),
        (409, "agent_switching"),
        (429, "queue_full"),
        (503, "agent_exhausted"),
        (503, "agent_parked"),
        (503, "agent_paused"),
        (503, "agent_braked"),
        (503, "agent_not_running"),
        (503, "agent_unassigned"),
        (503, "stopping"),
    ] {
        let script = Script::new().answers(BEGIN, status, &problem(status, code, "no"));
        assert_eq!(script.run("turn begin reviewer --session chat").code, Some(3), "{code}");
    }
    for (status, code) in
        [(404, "turn_not_found"), (409, "turn_already_complete"), (409, "turn_cut_off"), (403, "not_the_holder")]
    {
        let script = Script::new().answers(BEAT, status, &problem(status, code, "no"));
        let ran = holding(&script, "turn heartbeat reviewer-t7");
        assert_eq!((ran.code, &*ran.err), (Some(3), &*format!("switchman: no ({code})\n")));
    }
    for (status, code) in [(422, "key_reused"), (422, "invalid_body"), (404, "agent_not_found")] {
        let script = Script::new().answers(BEGIN, status, &problem(status, code, "no"));
        assert_eq!(script.run("turn begin reviewer --session chat").code, Some(1), "{code}");
    }
}

#[test]
fn the_token_comes_from_the_environment_a_file_or_the_pipe_and_is_shown_nowhere() {
    let script = Script::new().answers(BEAT, 200, &held(&Value::Null));
    let socket = script.socket();
    let words = ["--socket", &socket, "-vv", "turn", "heartbeat", "reviewer-t7"];
    let ran = holding(&script, "-vv turn heartbeat reviewer-t7");
    assert!(
        ran.code == Some(0) && ran.err.contains("heartbeat") && !ran.shown().contains("the-token"),
        "{}",
        ran.shown()
    );
    let folder = tempfile::tempdir().unwrap();
    for text in ["the-token", "reviewer-t7 the-token\n"] {
        let file = folder.path().join("lease");
        std::fs::write(&file, text).unwrap();
        let ran = run_fed(&[&words[..], &["--lease-file", file.to_str().unwrap()]].concat(), "");
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert_eq!(run_fed(&[&words[..], &["--lease-file", "-"]].concat(), text).code, Some(0));
    }
    assert_eq!(script.proofs(), vec![Some("Lease the-token".to_owned()); 5]);

    let none = script.run("turn heartbeat reviewer-t7");
    assert_snapshot!(none.shown(), @r"
    --- stderr
    switchman: there is no token of a lease (no_lease)
        hint: put what `switchman turn begin` printed into SWITCHMAN_LEASE, or name its file with --lease-file
    --- exit 2
    ");
    let gone = script.run("turn complete reviewer-t7 --lease-file /nonexistent");
    assert!(gone.code == Some(1) && gone.err.contains("(input_failed)"), "{}", gone.shown());
    let broken = run_fed(&[&words[..], &["--lease-file", "-"]].concat(), "to\u{7}ken");
    assert!(broken.code == Some(2) && !broken.shown().contains("ken\n"), "{}", broken.shown());
    assert_eq!(script.asked().len(), 5, "nothing was asked without one");
}

#[test]
fn a_heartbeat_goes_on_until_somebody_asks_to_stop_or_its_time_is_over() {
    let cancel = json!({"id": "reviewer-t7-c1", "by": "the boss"});
    let script = Script::new()
        .answers(&format!("{BEAT}?wait=600"), 200, &held(&Value::Null))
        .answers(&format!("{BEAT}?wait=600"), 200, &held(&Value::Null))
        .answers(&format!("{BEAT}?wait=600"), 200, &held(&cancel));
    assert_snapshot!(holding(&script, "turn heartbeat reviewer-t7 --wait 2h").shown(), @r"
    cancel: the boss asks to stop (reviewer-t7-c1)
    --- stderr
    --- exit 0
    ");
    assert_eq!(script.asked().len(), 3);
    let script = Script::new().answers(BEAT, 200, &held(&Value::Null));
    assert_snapshot!(holding(&script, "turn heartbeat reviewer-t7").shown(), @r"
    held: the next heartbeat is due within 1 min
    --- stderr
    --- exit 0
    ");
    let document = holding(&script, "turn heartbeat reviewer-t7 --json").document();
    assert_eq!(document, versioned(&held(&Value::Null)));
    let script = Script::new().answers(&format!("{BEAT}?wait=1"), 200, &held(&Value::Null));
    assert!(holding(&script, "turn heartbeat reviewer-t7 --wait 10ms").out.starts_with("held: "));
}

#[test]
fn a_turn_ends_with_what_failed_in_it() {
    let ended = |state: &str, failure: &Value| json!({"turn": turn(state), "failure": failure});
    let script = Script::new().answers(COMPLETE, 200, &ended("complete", &Value::Null));
    assert_eq!(holding(&script, "turn complete reviewer-t7").out, "complete: reviewer-t7\n");
    let script = Script::new().answers(COMPLETE, 200, &ended("failed", &answer("switching")));
    let ran = holding(&script, "turn complete reviewer-t7 --kind rate_limit --reset-at 2026-11-21T15:00:00Z");
    assert_snapshot!(ran.shown(), @r"
    failed: reviewer-t7
    switching: reviewer moves from max-a to max-b (generation 4, switch reviewer-s3)
    --- stderr
    --- exit 0
    ");
    holding(&script, "turn complete reviewer-t7 --evidence text");
    holding(&script, "turn complete reviewer-t7 --failed");
    let asked: Vec<_> = script.asked().iter().map(|asked| body(asked)).collect();
    let report = json!({"kind": "rate_limit", "reset_at": "2026-11-21T15:00:00.000Z"});
    assert_eq!(asked[0], json!({"result": "failed", "failure": report}));
    assert_eq!(asked[1]["failure"]["evidence"]["text"], "text");
    assert_eq!(asked[2], json!({"result": "failed"}));
}

#[test]
fn others_ask_and_are_told_what_comes_of_it() {
    let cancelling = changed(turn("cancelling"), &json!({"cancel_requested": {"id": "reviewer-t7-c1", "by": "me"}}));
    let script = Script::new()
        .answers("POST /v1/turns/reviewer-t7/cancel", 202, &json!({"turn": cancelling}))
        .answers("POST /v1/turns/reviewer-t7/cancelled", 200, &json!({"turn": turn("cancelled")}))
        .answers("POST /v1/turns/reviewer-t7/fence", 202, &json!({"turn": turn("lost")}))
        .answers(
            "POST /v1/agents/reviewer/sessions/x%2Cy/close",
            200,
            &json!({"agent": "reviewer", "session": ["x", "y"], "last_completed": "reviewer-t6"}),
        );
    let asked = script.run("turn cancel reviewer-t7 --by me --reason lunch");
    assert_eq!(asked.out, "front end is asked to stop reviewer-t7 (reviewer-t7-c1)\n", "{}", asked.err);
    assert_eq!(body(&script.asked()[0]), json!({"by": "me", "reason": "lunch"}));
    assert_eq!(holding(&script, "turn cancelled reviewer-t7").out, "cancelled: reviewer-t7\n");
    let fenced = script.run("turn fence reviewer-t7");
    assert_eq!(fenced.out, "the work of reviewer-t7 will be ended, which front end holds\n", "{}", fenced.err);
    let closed = script.run("turn close reviewer x,y");
    assert_eq!(
        closed.out, "session x,y of reviewer is closed; the last turn that came off is reviewer-t6\n",
        "{}",
        closed.err
    );
    assert_eq!(script.proofs().iter().flatten().count(), 1, "only a holder proves something");
}

#[test]
fn turns_are_listed_with_who_waits_and_how_they_ended() {
    let waiting =
        json!({"agent": "reviewer", "session": "chat", "class": "background", "holder": "w", "since": earlier()});
    let cancelling = changed(
        turn("cancelling"),
        &json!({"cancel_requested": {"id": "reviewer-t7-c1", "by": "me"}, "failure_reported": true}),
    );
    let lost = changed(
        turn("lost"),
        &json!({"id": "reviewer-t8", "session": "chat", "expires_at": null, "reason": "no heartbeat came for a lease"}),
    );
    let listed = json!({"turns": [cancelling, lost], "waiting": [waiting], "next": null});
    let script = Script::new().answers("GET /v1/turns?agent=reviewer", 200, &listed);
    assert_snapshot!(script.run("turn list reviewer").shown());
    assert_eq!(script.run("turn list reviewer --json").document(), versioned(&listed));
    let none = Script::new().answers("GET /v1/turns", 200, &json!({"turns": [], "waiting": [], "next": null}));
    assert_eq!(none.run("turn list").out, "no turns\n");

    let ended = |id: &str| {
        let cut_off = json!({
            "id": id, "started_at": "2026-11-21T10:00:00.000Z", "ended_at": "2026-11-21T10:00:02.300Z", "lease_s": null,
            "expires_at": null, "switch": "reviewer-s3", "reason": "the agent was restarted"
        });
        changed(turn("cut_off"), &cut_off)
    };
    let page = |turns: &[Value], next: Value| json!({"turns": turns, "waiting": [], "next": next});
    let script = Script::new()
        .answers("GET /v1/turns?limit=20&ended=true", 200, &page(&[ended("reviewer-t7")], json!(5)))
        .answers("GET /v1/turns?limit=19&ended=true&before=5", 200, &page(&[ended("reviewer-t6")], Value::Null));
    assert_snapshot!(script.run("turn list --ended").shown());
    assert_eq!(script.run("turn list --ended --json").document()["turns"].as_array().unwrap().len(), 2);
}

#[test]
fn status_tells_of_turns() {
    let busy = changed(agent("reviewer"), &json!({"turns": {"active": [turn("taken")], "queued": 2}}));
    let script = Script::new()
        .answers("GET /v1/agents", 200, &json!({"agents": [busy]}))
        .answers("GET /v1/agents/reviewer", 200, &busy)
        .answers("GET /v1/subscriptions", 200, &subscriptions())
        .answers("GET /readyz", 200, &json!({"status": "ready", "reason": null, "degraded": []}));
    let all = script.run("status").out;
    assert!(all.lines().nth(1).unwrap().ends_with("1 turn, 2 wait"), "{all}");
    let one = script.run("status reviewer").out;
    let shown = "reviewer-t7, session x,y, interactive, front end, taken, begun 2 h 3 min ago";
    assert!(one.lines().any(|line| line.starts_with("turn ") && line.ends_with(shown)), "{one}");
    assert!(one.lines().any(|line| line.starts_with("waiting ") && line.ends_with("2 callers for a turn")), "{one}");
}

#[test]
fn a_report_names_the_turn() {
    let script = Script::new().answers("POST /v1/agents/reviewer/failures", 200, &answer("stale"));
    script.run("report reviewer --kind rate_limit --turn reviewer-t7");
    assert_eq!(body(&script.asked()[0]), json!({"kind": "rate_limit", "turn": "reviewer-t7"}));
}

/// Long waits are waited out: the command line gives up later than the daemon.
#[test]
fn a_caller_that_is_interrupted_is_gone() {
    let listener_folder = tempfile::tempdir().unwrap();
    let socket = listener_folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let words = [
        "--socket",
        socket.to_str().unwrap(),
        "turn",
        "begin",
        "reviewer",
        "--session",
        "s",
        "--queue",
        "--wait",
        "1h",
    ];
    let mut child = command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut start = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut start).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = Vec::new();
    let end = std::io::Read::read_to_end(&mut stream, &mut rest);
    assert!(end.is_ok(), "its end of the connection is closed: {end:?}");
}
