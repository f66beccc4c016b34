//! Turns outlive the daemon: whoever held one holds it when the daemon is back, and nobody else has got it meanwhile (H10).
//! The agents are containers, which live on.

use serde_json::{Value, json};

use crate::callers::{Held, done, now, refused, retry_after, waiting, with};
use crate::cancels::it_began_clean;
use crate::program::eventually;
use crate::setup::Setup;
use crate::stage::{Ground, Stage};

async fn one(lines: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\n{lines}");
    Stage::set(Ground::Containers, setup).await
}

async fn killed(stage: &mut Stage) {
    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
}

#[tokio::test]
async fn h10_docker_who_holds_a_turn_holds_it_after_a_kill() {
    let mut stage = one("turns = { lease = \"60s\" }\n").await;
    let begin = with(now("chat", "holder"), &json!({"key": "k-1"}));
    let held = stage.site.taken("one", &begin).await;
    let other = stage.site.taken("one", &now(json!(["x", "y"]), "other")).await;
    stage.site.complete(&other, "ok").await;
    let waits = stage.site.queue("one", &waiting("chat", "waits")).await;
    killed(&mut stage).await;
    // Those who waited have gone with their connections.
    drop(waits);
    let site = &stage.site;
    assert_eq!(site.agent("one").await["turns"]["queued"], 0);
    let turns = site.turns("one").await;
    assert_eq!(turns.len(), 1, "{turns:#?}");
    for member in ["id", "session", "class", "holder", "generation", "started_at"] {
        assert_eq!(turns[0][member], held.turn[member], "{turns:#?}");
    }
    refused(&site.begin("one", &now("chat", "thief")).await, 409, "turn_in_progress");
    refused(&site.act_as(&other.token, &held.id, "heartbeat", None).await, 403, "not_the_holder");
    // The same key is the same turn, also now.
    let again = Held::of(&site.begin("one", &begin).await);
    assert_eq!((&again.id, &again.token), (&held.id, &held.token));
    let after = with(now(json!(["y", "x"]), "next"), &json!({"after": other.id}));
    let next = site.taken("one", &after).await;
    assert_eq!(next.number(), other.number() + 1, "no number is given out twice");
    site.beat(&held).await;
    for held in [&held, &next] {
        site.complete(held, "ok").await;
    }
    assert_eq!((site.told("one", "turn.cut_off").await.len(), site.told("one", "turn.fenced").await.len()), (0, 0));
    assert!(stage.site.stop().await.success());
    stage.started("one", 1).await;
}

/// The daemon stops in order: whoever waits for something is told so, and does not hold it up.
#[tokio::test]
async fn h10_docker_an_orderly_stop_tells_those_who_wait() {
    let mut stage = one("turns = { lease = \"60s\" }\n").await;
    let held = stage.site.taken("one", &now("chat", "holder")).await;
    let waits = stage.site.queue("one", &waiting("chat", "waits")).await;
    let (socket, path) = (stage.site.folder.socket(), format!("/v1/turns/{}/heartbeat?wait=30", held.id));
    let headers = [format!("Authorization: Lease {}", held.token)];
    let before = stage.site.turns("one").await[0]["expires_at"].clone();
    let beating = tokio::spawn(async move { crate::http::call(&socket, "POST", &path, &headers, None).await });
    eventually("the heartbeat is there, and waits", async || {
        (stage.site.turns("one").await[0]["expires_at"] != before).then_some(())
    })
    .await;
    assert!(stage.site.stop().await.success());
    let told = waits.answered().await;
    refused(&told, 503, "stopping");
    assert!(retry_after(&told).is_some(), "{}", told.text);
    assert_eq!(beating.await.unwrap().expect("an answer").status, 200);
    stage.site.start().await;
    stage.site.serving("one").await;
    stage.site.beat(&held).await;
    stage.site.complete(&held, "ok").await;
}

fn at(event: &Value) -> i64 {
    let stamp: jiff::Timestamp = event["ts"].as_str().unwrap().parse().unwrap();
    stamp.as_millisecond()
}

/// Nobody could give a heartbeat while there was no daemon: every holder has a lease from its start. Who stays silent for
/// that long is lost.
#[tokio::test]
async fn h10_docker_every_holder_has_a_lease_from_the_start_and_is_lost_after_it() {
    let mut stage = one("turns = { lease = \"3s\" }\n").await;
    let dead = stage.site.taken("one", &now("chat", "dead")).await;
    let alive = stage.site.taken("one", &now("mail", "alive")).await;
    killed(&mut stage).await;
    let site = &stage.site;
    let ready = site.event("daemon.ready", |_| true).await;
    site.complete(&alive, "ok").await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let lost = site.event("turn.lost", |event| event["turn"] == dead.id).await;
    // The ledger was restored before the daemon said that it is ready.
    assert!(at(&lost) - at(&ready) > 1_500, "{ready:#} {lost:#}");
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
}

#[tokio::test]
async fn h10_docker_a_cancel_that_was_asked_is_told_after_a_kill() {
    let mut stage = one("turns = { cancel_ack = \"60s\" }\n").await;
    let held = stage.site.taken("one", &now("chat", "holder")).await;
    let id = stage.site.cancel(&held).await;
    killed(&mut stage).await;
    let site = &stage.site;
    assert_eq!(site.beat(&held).await["cancel_requested"]["id"], id);
    assert_eq!(site.cancel(&held).await, id);
    done(&site.act(&held, "cancelled", None).await);
    assert_eq!(site.told("one", "turn.cancel_requested").await.len(), 1);
}

/// The deadline of a drain goes on, whatever becomes of the daemon; and who is cut off by it is told.
#[tokio::test]
async fn h10_docker_a_drain_ends_by_its_deadline_after_a_kill() {
    let mut stage = one("drain = \"6s\"\nturns = { lease = \"60s\" }\n").await;
    let healthy = stage.site.taken("one", &now("slow", "healthy")).await;
    let failing = stage.site.taken("one", &now("chat", "failing")).await;
    let answer = stage.site.report("one", &json!({"kind": "rate_limit", "turn": failing.id})).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    stage.site.kill().await;
    stage.site.start().await;
    let site = &stage.site;
    site.beat(&healthy).await;
    let switch = site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&switch["outcome"], &switch["restarts"]), (&json!("ready"), &json!(1)), "{switch:#}");
    let history = site.history("one").await;
    assert_eq!((history.len(), &history[0]["turns_cut_off"]), (1, &json!(2)), "{history:#?}");
    let drained = history[0]["drain_ms"].as_u64().unwrap();
    assert!((5_500..20_000).contains(&drained), "{history:#?}");
    for held in [&healthy, &failing] {
        let told = refused(&site.act(held, "heartbeat", None).await, 409, "turn_cut_off");
        assert_eq!(told["switch"], switch["switch"], "{told:#}");
    }
    assert!(stage.site.stop().await.success());
    stage.started("one", 2).await;
}

/// Killed when a fence is decided, and when its restart is done: it is finished, once, and then the next one is served.
async fn killed_in_a_fence(event: &str) {
    let mut stage = one("turns = { lease = \"1s\" }\n").await;
    let dead = stage.site.taken("one", &now("chat", "dead")).await;
    stage.site.event(event, |event| event["agent"] == "one" && event["generation"] == 1).await;
    stage.site.kill().await;
    stage.site.start().await;
    let next = stage.site.asks("one", &waiting("chat", "next")).served().await;
    it_began_clean(&stage, &dead, &next).await;
}

#[tokio::test]
async fn h10_docker_killed_when_a_fence_is_decided() {
    killed_in_a_fence("turn.fenced").await;
}

#[tokio::test]
async fn h10_docker_killed_when_the_work_has_ended() {
    killed_in_a_fence("turn.cut_off").await;
}
