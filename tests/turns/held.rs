//! Who holds a session keeps it: a second caller is told so at once or waits in line, and nothing that others do takes a
//! turn away whose holder is alive.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::callers::{Held, in_background, now, refused, waiting, with};
use crate::http::Answered;
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

/// One agent that is a child of the daemon, with these turns.
async fn shared(turns: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].lines = format!("turns = {{ {turns} }}\n");
    Stage::set(Ground::Children, setup).await
}

/// Asserts that a refusal says who holds the session.
fn names_holder(refusal: &Value, held: &Held) {
    for (member, of_turn) in
        [("turn", "id"), ("holder", "holder"), ("class", "class"), ("session", "session"), ("since", "started_at")]
    {
        assert_eq!(refusal[member], held.turn[of_turn], "{member}: {refusal:#}");
    }
    assert!(!refusal.to_string().contains(&held.token), "the proof is the holder's alone");
}

#[tokio::test]
async fn row1_a_second_caller_is_refused_at_once_and_told_who_holds_the_session_since_when() {
    let stage = shared("lease = \"60s\"").await;
    let site = &stage.site;
    let held = site.taken("one", &in_background(now("chat", "first"))).await;
    let refusal = refused(&site.begin("one", &now("chat", "second")).await, 409, "turn_in_progress");
    names_holder(&refusal, &held);
    assert_eq!((&refusal["holder"], &refusal["class"]), (&json!("first"), &json!("background")));
    // Refused is what becomes of a caller that says nothing about waiting.
    let silent = json!({"session": "chat", "holder": "third"});
    names_holder(&refused(&site.begin("one", &silent).await, 409, "turn_in_progress"), &held);
    let told = site.event("turn.refused", |event| event["holder"] == "third").await;
    assert_eq!((&told["agent"], &told["session"]), (&json!("one"), &json!("chat")));
    site.complete(&held, "ok").await;
    assert_eq!(site.told("one", "turn.begun").await.len(), 1);
}

#[tokio::test]
async fn row1_a_second_caller_that_queues_is_served_when_the_first_is_done() {
    let stage = shared("lease = \"60s\"").await;
    let site = &stage.site;
    let first = site.taken("one", &now("chat", "first")).await;
    let second = site.queue("one", &waiting("chat", "second")).await;
    site.beat(&first).await;
    assert!(second.still_waits());
    site.complete(&first, "ok").await;
    let second = second.served().await;
    assert_eq!((second.number(), &second.turn["holder"]), (first.number() + 1, &json!("second")));
    assert_ne!(second.token, first.token);
}

#[tokio::test]
async fn row1_who_waits_as_long_as_it_wanted_to_is_told_what_was_in_the_way() {
    let stage = shared("lease = \"60s\"").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "first")).await;
    let asked = with(waiting("chat", "second"), &json!({"wait_s": 1}));
    let refusal = refused(&site.begin("one", &asked).await, 409, "wait_expired");
    assert!(refusal["detail"].as_str().unwrap().contains("first"), "{refusal:#}");
    assert_eq!(site.agent("one").await["turns"]["queued"], 0);
    assert_eq!(site.turns("one").await[0]["id"], held.id);
    site.complete(&held, "ok").await;
}

/// Everything that somebody else can try, once; each time it is refused or waits.
async fn others_try(site: &Site, held: &Held, round: usize) {
    let forged = Held { token: format!("{}x", held.token), ..held.clone() };
    let none = Held { token: String::new(), ..held.clone() };
    let keyed = with(now("chat", "keyed"), &json!({"key": format!("k-{round}")}));
    let impatient = with(waiting("chat", "impatient"), &json!({"wait_s": 0}));
    let preempting = with(impatient.clone(), &json!({"preempt": true}));
    let begins = [now("chat", "other"), keyed];
    let (begun, waited) = join(
        join_all(begins.iter().map(|begin| site.begin("one", begin))),
        join_all([&impatient, &preempting].map(|begin| site.begin("one", begin))),
    )
    .await;
    for answer in &begun {
        names_holder(&refused(answer, 409, "turn_in_progress"), held);
    }
    for answer in &waited {
        refused(answer, 409, "wait_expired");
    }
    for stranger in [&forged, &none] {
        for (what, body) in [("heartbeat", None), ("complete", Some(json!({"result": "ok"}))), ("cancelled", None)] {
            let answer: Answered = site.act(stranger, what, body.as_ref()).await;
            refused(&answer, 403, "not_the_holder");
        }
    }
    let after = with(now("chat", "out of step"), &json!({"after": held.id}));
    refused(&site.begin("one", &after).await, 409, "out_of_step");
    let turns = site.turns("one").await;
    assert_eq!(turns.len(), 1, "{turns:#?}");
    assert_eq!(turns[0]["id"], held.id);
}

/// Ten heartbeats are more than three leases.
#[tokio::test]
async fn row1_a_slow_turn_with_heartbeats_is_left_alone_whatever_others_try() {
    const BEATS: usize = 10;
    let stage = shared("lease = \"3s\", cancel_ack = \"1s\"").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "slow")).await;
    let waits = site.queue("one", &waiting("chat", "patient")).await;
    let path = format!("/v1/turns/{}/heartbeat?wait=1", held.id);
    let headers = [format!("Authorization: Lease {}", held.token)];
    let beating = async {
        for _ in 0..BEATS {
            let beaten = site.try_call_with("POST", &path, &headers, None).await.expect("an answer");
            assert_eq!((beaten.status, &beaten.body["cancel_requested"]), (200, &Value::Null), "{}", beaten.text);
        }
        site.call("POST", &format!("/v1/agents/one/sessions/{}/close", "other"), None).await
    };
    let trying = async {
        for round in 0.. {
            others_try(site, &held, round).await;
            if site.events("session.closed").iter().any(|event| event["session"] == "other") {
                return round;
            }
        }
        unreachable!()
    };
    let (_, rounds) = join(beating, trying).await;
    assert!(rounds > 0);
    // A session that is closed is closed for those who come, not for who holds it.
    let closed = site.call("POST", "/v1/agents/one/sessions/chat/close", None).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    refused(&waits.answered().await, 409, "session_complete");
    assert_eq!(site.turns("one").await[0]["id"], held.id);
    site.complete(&held, "ok").await;

    assert_eq!(site.told("one", "turn.begun").await.len(), 1, "nobody else was served");
    for event in ["turn.lost", "turn.cut_off", "turn.fenced", "turn.cancel_requested"] {
        assert_eq!(site.told("one", event).await, Vec::<Value>::new());
    }
    stage.started("one", 1).await;
}

#[tokio::test]
async fn row1_so_many_sessions_run_side_by_side_and_no_more() {
    let stage = shared("sessions_max = 2").await;
    let site = &stage.site;
    let one = site.taken("one", &now("chat", "h1")).await;
    let two = site.taken("one", &now("mail", "h2")).await;
    let full = refused(&site.begin("one", &now("cron", "h3")).await, 409, "sessions_full");
    assert!(full["detail"].as_str().unwrap().contains('2'), "{full:#}");
    // A busy session is what is in the way, not the places.
    names_holder(&refused(&site.begin("one", &now("mail", "h4")).await, 409, "turn_in_progress"), &two);
    let waits = site.queue("one", &waiting("cron", "h3")).await;
    site.complete(&one, "ok").await;
    assert_eq!(waits.served().await.turn["session"], "cron");
    assert_eq!(site.turns("one").await.len(), 2);
}
