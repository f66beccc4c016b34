//! Only the holder acts on its turn. A stop is asked for, and has happened when the holder says so; where it never does,
//! the work is ended before anybody else begins.

use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::callers::{Held, done, now, refused, waiting};
use crate::setup::Setup;
use crate::stage::{Ground, Stage};

async fn one(ground: Ground, turns: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\nturns = {{ {turns} }}\n");
    Stage::set(ground, setup).await
}

#[tokio::test]
async fn row4_only_the_holder_acts_on_its_turn() {
    let stage = one(Ground::Children, "").await;
    let site = &stage.site;
    let mine = site.taken("one", &now("chat", "me")).await;
    let theirs = site.taken("one", &now("mail", "them")).await;
    let complete = json!({"result": "ok"});
    let acts = [("heartbeat", None), ("complete", Some(&complete)), ("cancelled", None)];
    for token in [theirs.token.as_str(), "", "x", &mine.token[1..], &mine.token.to_uppercase(), &mine.id] {
        for (what, body) in acts {
            refused(&site.act_as(token, &mine.id, what, body).await, 403, "not_the_holder");
        }
    }
    // Another way to say who one is, or none at all, proves nothing either.
    for headers in [vec![], vec![format!("Authorization: Bearer {}", mine.token)]] {
        for (what, body) in acts {
            let path = format!("/v1/turns/{}/{what}", mine.id);
            let answer = site.try_call_with("POST", &path, &headers, body).await.unwrap();
            refused(&answer, 403, "not_the_holder");
        }
    }
    for held in [&mine, &theirs] {
        site.beat(held).await;
        site.complete(held, "ok").await;
    }
}

#[tokio::test]
async fn row4_a_cancel_is_a_request_that_the_holder_is_told_of() {
    let stage = one(Ground::Children, "").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let id = site.cancel(&held).await;
    assert_eq!(site.cancel(&held).await, id, "asking again is the same request");
    let told = site.beat(&held).await;
    assert_eq!(told["cancel_requested"]["id"], id, "{told:#}");
    assert!(told["cancel_requested"]["by"].is_string(), "{told:#}");
    assert!(waits.still_waits());
    let listed = &site.turns("one").await[0];
    assert_eq!(listed["cancel_requested"]["id"], id, "{listed:#}");
    // The work has stopped.
    done(&site.act(&held, "cancelled", None).await);
    let next = waits.served().await;
    let ended = site.event("turn.completed", |event| event["turn"] == held.id).await;
    assert_eq!(ended["end"], "cancelled", "{ended:#}");
    assert_eq!(site.told("one", "turn.cancel_requested").await.len(), 1);
    site.beat(&next).await;
    // Nobody has asked this one.
    refused(&site.act(&next, "cancelled", None).await, 409, "no_cancel_requested");
    site.complete(&next, "ok").await;
}

/// The holder waits for it, and does not have to ask again and again.
#[tokio::test]
async fn row4_a_waiting_heartbeat_tells_of_a_cancel_when_it_is_asked() {
    let stage = one(Ground::Children, "").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let clock = SystemClock::new();
    let began = clock.now().steady;
    let (path, headers) =
        (format!("/v1/turns/{}/heartbeat?wait=50", held.id), [format!("Authorization: Lease {}", held.token)]);
    let beating = site.try_call_with("POST", &path, &headers, None);
    let (told, id) = futures_util::future::join(beating, site.cancel(&held)).await;
    let told = done(&told.unwrap());
    assert_eq!(told["cancel_requested"]["id"], id, "{told:#}");
    assert!(clock.now().steady.0 - began.0 < 25_000, "long before it would have ended by itself");
    done(&site.act(&held, "cancelled", None).await);
}

#[tokio::test]
async fn row4_completing_counts_as_the_acknowledgement_and_a_late_cancel_is_too_late() {
    let stage = one(Ground::Children, "cancel_ack = \"3s\"").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    site.cancel(&held).await;
    site.complete(&held, "ok").await;
    let late = site.call("POST", &format!("/v1/turns/{}/cancel", held.id), None).await;
    refused(&late, 409, "turn_already_complete");
    refused(&site.act(&held, "cancelled", None).await, 409, "turn_already_complete");
    let next = site.taken("one", &now("chat", "next")).await;
    assert_eq!(site.beat(&next).await["cancel_requested"], Value::Null, "it was not this one's");
    // Whatever would come of the first request has come when this one's time is over.
    site.cancel(&next).await;
    site.event("turn.lost", |event| event["turn"] == next.id).await;
    assert_eq!(site.told("one", "turn.lost").await.len(), 1);
    site.event("fence.completed", |_| true).await;
    stage.site.serving("one").await;
}

/// Nobody acknowledges: the work is ended, then the next one begins, in the same generation.
async fn an_unacknowledged_cancel_is_fenced_first(ground: Ground) {
    let mut stage = one(ground, "cancel_ack = \"1s\", lease = \"60s\"").await;
    let site = &stage.site;
    let deaf = site.taken("one", &now("chat", "deaf")).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    site.cancel(&deaf).await;
    let lost = site.event("turn.lost", |event| event["turn"] == deaf.id).await;
    assert_eq!((&lost["reason"], &lost["holder"]), (&json!("unacknowledged"), &json!("deaf")));
    let next = waits.served().await;
    it_began_clean(&stage, &deaf, &next).await;
    stage.site.complete(&next, "ok").await;
    assert!(stage.site.stop().await.success());
}

/// One restart, by one fence and no switch, and the next turn began after it.
pub(crate) async fn it_began_clean(stage: &Stage, lost: &Held, next: &Held) {
    let site = &stage.site;
    site.beat(next).await;
    assert_eq!((&next.turn["generation"], &next.turn["subscription"]), (&json!(1), &json!("a")));
    let starts = stage.started("one", 2).await;
    let history = site.history("one").await;
    assert_eq!(history.len(), 1, "{history:#?}");
    let fence = &history[0];
    let told = (&fence["kind"], &fence["outcome"], &fence["restarts"], &fence["turns_cut_off"], &fence["generation"]);
    assert_eq!(told, (&json!("fence"), &json!("ready"), &json!(1), &json!(1), &json!(1)), "{fence:#}");
    assert_eq!((&fence["from"], &fence["to"]), (&json!("a"), &json!("a")));
    let cut_off = site.told("one", "turn.cut_off").await;
    assert_eq!(cut_off.len(), 1, "{cut_off:#?}");
    let told = (&cut_off[0]["turn"], &cut_off[0]["switch"], &cut_off[0]["session"]);
    assert_eq!(told, (&json!(lost.id), &fence["id"], &lost.turn["session"]));
    let late = refused(&site.act(lost, "heartbeat", None).await, 409, "turn_cut_off");
    assert_eq!(late["switch"], fence["id"], "{late:#}");
    // Order: the work has ended, the agent has begun anew, the next one was let in.
    site.all_is_told("one").await;
    let log = site.log().lines();
    let at = |is: &dyn Fn(&Value) -> bool| log.iter().position(is).unwrap_or_else(|| panic!("{log:#?}"));
    // What an earlier life of the daemon told is in the log of that one, and a kill between the commit and the telling
    // leaves it untold; the history has it in any case.
    let told_at = |name: &str| log.iter().position(|event| event["event"] == name);
    let (ended, fenced) = (told_at("turn.cut_off"), told_at("fence.completed"));
    let began = at(&|event| event["event"] == "turn.begun" && event["turn"] == next.id);
    assert!(ended.is_none_or(|ended| ended < began), "{ended:?} {began}");
    assert!(fenced.is_none_or(|fenced| fenced < began), "{fenced:?} {began}");
    let instant = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(instant(&fence["finished_at"]) <= instant(&next.turn["started_at"]), "{fence:#} {:#}", next.turn);
    assert_eq!(site.agent("one").await["assignment"]["generation"], 1);
    assert_eq!(starts[0]["credential_fingerprint"], starts[1]["credential_fingerprint"]);
    site.hook.notified("the fence", |told| told["event"] == "fenced").await;
    assert_eq!(site.hook.ids("switch").len(), 0);
}

#[tokio::test]
async fn row4_an_unacknowledged_cancel_is_fenced_before_the_next_one_begins() {
    an_unacknowledged_cancel_is_fenced_first(Ground::Children).await;
}

#[tokio::test]
async fn row4_docker_an_unacknowledged_cancel_is_fenced_before_the_next_one_begins() {
    an_unacknowledged_cancel_is_fenced_first(Ground::Containers).await;
}
