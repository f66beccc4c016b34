//! Questions in order: a double click cannot answer the next one, a session can be finished, and whoever speaks of a turn
//! that is no more is told what became of it, by type.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::callers::{Held, done, now, refused, waiting, with};
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

async fn one() -> Stage {
    Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await
}

fn after(begin: Value, turn: &str) -> Value {
    with(begin, &json!({"after": turn}))
}

/// A whole turn.
async fn answered(site: &Site, begin: &Value) -> Held {
    let held = site.taken("one", begin).await;
    site.complete(&held, "ok").await;
    held
}

#[tokio::test]
async fn row2_questions_are_answered_in_order_under_a_double_click() {
    let stage = one().await;
    let site = &stage.site;
    let q1 = site.taken("one", &now("quiz", "q1")).await;
    // The answer to the first question is not there yet: nothing can come after it.
    let early = refused(&site.begin("one", &after(waiting("quiz", "early"), &q1.id)).await, 409, "out_of_step");
    assert_eq!(early["last_completed"], Value::Null, "{early:#}");
    site.complete(&q1, "ok").await;

    // The second question comes twice at the same time.
    let click = after(now("quiz", "q2"), &q1.id);
    let (one, two) = join(site.begin("one", &click), site.begin("one", &click)).await;
    let (won, lost) = if one.status == 201 { (one, two) } else { (two, one) };
    let q2 = Held::of(&won);
    refused(&lost, 409, "turn_in_progress");
    site.beat(&q2).await;
    site.complete(&q2, "ok").await;

    // The third comes twice as well, and both wait; and the late second click is tried once more.
    let late = refused(&site.begin("one", &after(waiting("quiz", "late"), &q1.id)).await, 409, "out_of_step");
    assert_eq!(late["last_completed"], q2.id, "{late:#}");
    let (one, two) = {
        let holder = site.taken("one", &now("quiz", "in the way")).await;
        let click = after(waiting("quiz", "q3"), &q2.id);
        let one = site.queue("one", &click).await;
        let two = site.queue("one", &click).await;
        // What failed is no answer: the session stands where it stood.
        site.complete(&holder, "failed").await;
        (one, two)
    };
    let q3 = one.served().await;
    assert!(two.still_waits());
    site.beat(&q3).await;
    site.complete(&q3, "ok").await;
    let second_click = refused(&two.answered().await, 409, "out_of_step");
    assert_eq!(second_click["last_completed"], q3.id, "{second_click:#}");

    let begun = site.told("one", "turn.begun").await;
    let holders: Vec<&str> = begun.iter().map(|event| event["holder"].as_str().unwrap()).collect();
    assert_eq!(holders, ["q1", "q2", "in the way", "q3"]);
}

#[tokio::test]
async fn row2_a_question_whose_answer_failed_can_be_asked_again() {
    let stage = one().await;
    let site = &stage.site;
    let q1 = answered(site, &now("quiz", "q1")).await;
    let q2 = site.taken("one", &after(now("quiz", "q2"), &q1.id)).await;
    site.complete(&q2, "failed").await;
    refused(&site.begin("one", &after(now("quiz", "q3"), &q2.id)).await, 409, "out_of_step");
    let again = answered(site, &after(now("quiz", "q2 again"), &q1.id)).await;
    answered(site, &after(now("quiz", "q3"), &again.id)).await;
}

#[tokio::test]
async fn row2_a_finished_session_takes_no_more_turns_and_tells_those_who_wait() {
    let mut stage = one().await;
    let site = &stage.site;
    let last = site.taken("one", &now("quiz", "last")).await;
    let waits = site.queue("one", &waiting("quiz", "too late")).await;
    let elsewhere = site.queue("one", &waiting("quiz", "too late as well")).await;
    let closed = done(&site.call("POST", "/v1/agents/one/sessions/quiz/close", None).await);
    assert_eq!(closed["last_completed"], Value::Null, "{closed:#}");
    for caller in [waits, elsewhere] {
        refused(&caller.answered().await, 409, "session_complete");
    }
    for begin in [now("quiz", "x"), waiting("quiz", "x"), with(now("quiz", "x"), &json!({"key": "k"}))] {
        refused(&site.begin("one", &begin).await, 409, "session_complete");
    }
    // Who was in it goes on to its end, and other sessions are none of its business.
    site.beat(&last).await;
    site.complete(&last, "ok").await;
    answered(site, &now("other", "x")).await;
    answered(site, &now(json!(["quiz", "other"]), "x")).await;
    let again = done(&site.call("POST", "/v1/agents/one/sessions/quiz/close", None).await);
    assert_eq!(again["last_completed"], last.id, "closed is closed: {again:#}");
    assert_eq!(site.told("one", "session.closed").await.len(), 1);

    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let answer = stage.site.begin("one", &now("quiz", "x")).await;
    refused(&answer, 409, "session_complete");
}

#[tokio::test]
async fn row2_whoever_speaks_of_a_turn_that_is_no_more_is_told_what_became_of_it() {
    let stage = one().await;
    let site = &stage.site;
    let complete = json!({"result": "ok"});
    let acts = [("heartbeat", None), ("complete", Some(&complete)), ("cancelled", None), ("cancel", None)];

    for id in ["one-t99", "nobody-t1", "one-t0", "no-turn", "one-t18446744073709551615"] {
        for (what, body) in acts {
            refused(&site.act_as("x", id, what, body).await, 404, "turn_not_found");
        }
    }
    for (result, end) in [("ok", "complete"), ("failed", "failed")] {
        let held = site.taken("one", &now("quiz", result)).await;
        site.complete(&held, result).await;
        for (what, body) in acts {
            let refusal = refused(&site.act(&held, what, body).await, 409, "turn_already_complete");
            assert_eq!(refusal["state"], end, "{refusal:#}");
            assert!(refusal["ended_at"].is_string(), "{refusal:#}");
        }
    }
    let held = site.taken("one", &now("quiz", "cancelled")).await;
    site.cancel(&held).await;
    done(&site.act(&held, "cancelled", None).await);
    let refusal = refused(&site.act(&held, "heartbeat", None).await, 409, "turn_already_complete");
    assert_eq!(refusal["state"], "cancelled", "{refusal:#}");

    // A switch in the middle of a turn that does not end: its holder is told by which.
    let held = site.taken("one", &now("quiz", "cut off")).await;
    let dead = site.report("one", &json!({"kind": "rate_limit", "turn": held.id})).await;
    assert_eq!(dead.body["outcome"], "switching", "{}", dead.text);
    site.event("switch.completed", |event| event["generation"] == 2).await;
    for (what, body) in acts {
        let refusal = refused(&site.act(&held, what, body).await, 409, "turn_cut_off");
        assert_eq!(refusal["switch"], dead.body["switch"]["id"], "{refusal:#}");
    }
    // What is said of it now is about the past that it ran in.
    let late = site.report("one", &json!({"kind": "rate_limit", "turn": held.id})).await;
    assert_eq!((&late.body["outcome"], &late.body["subscription"]), (&json!("stale"), &json!("a")), "{}", late.text);
    let torn = site.report("one", &json!({"kind": "rate_limit", "turn": held.id, "generation": 2})).await;
    refused(&torn, 422, "generation_mismatch");
    refused(&site.report("one", &json!({"kind": "rate_limit", "turn": "one-t99"})).await, 404, "turn_not_found");
}

#[tokio::test]
async fn row2_a_pair_is_finished_whatever_its_order_and_its_halves_are_not() {
    let stage = one().await;
    let site = &stage.site;
    let first = answered(site, &now(json!(["x", "y"]), "q1")).await;
    let closed = done(&site.call("POST", "/v1/agents/one/sessions/y%2Cx/close", None).await);
    assert_eq!((&closed["session"], &closed["last_completed"]), (&json!(["x", "y"]), &json!(first.id)), "{closed:#}");
    for order in [json!(["x", "y"]), json!(["y", "x"])] {
        refused(&site.begin("one", &now(order, "q2")).await, 409, "session_complete");
    }
    for session in [json!("x"), json!("y"), json!(["x", "z"])] {
        answered(site, &now(session, "q2")).await;
    }
}

/// Ids of turns and what has become of them are kept over a restart of the daemon.
#[tokio::test]
async fn row2_what_became_of_a_turn_is_known_after_a_restart_of_the_daemon() {
    let mut stage = one().await;
    let held = answered(&stage.site, &now("quiz", "q1")).await;
    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let site = &stage.site;
    refused(&site.act(&held, "heartbeat", None).await, 409, "turn_already_complete");
    refused(&site.begin("one", &after(now("quiz", "q2"), "one-t7")).await, 409, "out_of_step");
    let next = site.taken("one", &after(now("quiz", "q2"), &held.id)).await;
    assert_eq!(next.number(), held.number() + 1);
}
