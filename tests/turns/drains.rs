//! A switch and the turns that run: nobody new is let in, who runs has time to end, who has failed is not waited for, and
//! who is cut off is told.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::callers::{Held, done, now, refused, retry_after, waiting};
use crate::http::Answered;
use crate::setup::Setup;
use crate::stage::{Ground, Stage};

async fn one(ground: Ground, drain: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\ndrain = {drain:?}\n");
    Stage::set(ground, setup).await
}

/// A failure of the turn, and that it starts the switch.
async fn fails(stage: &Stage, held: &Held) -> Answered {
    stage.site.report("one", &json!({"kind": "rate_limit", "turn": held.id})).await
}

async fn switched(stage: &Stage) -> Value {
    let done = stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&done["outcome"], &done["to"], &done["restarts"]), (&json!("ready"), &json!("b"), &json!(1)));
    done
}

async fn nobody_waits_for_turns_that_have_failed(ground: Ground) {
    let mut stage = one(ground, "30s").await;
    let site = &stage.site;
    let sessions = ["chat", "mail", "cron"];
    let turns = join_all(sessions.map(|session| {
        let begin = now(session, session);
        async move { site.taken("one", &begin).await }
    }))
    .await;
    let answers = join_all(turns.iter().map(|held| fails(&stage, held))).await;
    let of = |outcome: &str| answers.iter().filter(|answer| answer.body["outcome"] == outcome).count();
    assert_eq!((of("switching"), of("repeat")), (1, 2), "{answers:#?}");
    for answer in &answers {
        assert_eq!(answer.body["generation"], 1, "that of the turn: {}", answer.text);
    }
    let switch = switched(&stage).await;
    assert!(switch["total_ms"].as_u64().unwrap() < 15_000, "nothing was waited for: {switch:#}");
    for held in &turns {
        let told = refused(&site.act(held, "heartbeat", None).await, 409, "turn_cut_off");
        assert_eq!(told["switch"], switch["switch"], "{told:#}");
    }
    let history = site.history("one").await;
    assert_eq!((history.len(), &history[0]["turns_cut_off"]), (1, &json!(3)), "{history:#?}");
    for failure in site.failures("one").await {
        assert!(turns.iter().any(|held| failure["turn"] == held.id), "{failure:#}");
    }
    assert!(stage.site.stop().await.success());
    stage.started("one", 2).await;
}

#[tokio::test]
async fn s16_three_turns_fail_together_and_nobody_waits_for_them() {
    nobody_waits_for_turns_that_have_failed(Ground::Children).await;
}

#[tokio::test]
async fn s16_docker_three_turns_fail_together_and_nobody_waits_for_them() {
    nobody_waits_for_turns_that_have_failed(Ground::Containers).await;
}

/// Somebody begins a turn every 100 ms while a healthy one holds the switch up until its deadline.
async fn a_dispatcher_does_not_hold_up_a_drain(ground: Ground) {
    let mut stage = one(ground, "2s").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("slow", "healthy")).await;
    let failing = site.taken("one", &now("chat", "failing")).await;
    let answer = fails(&stage, &failing).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    let queued = site.queue("one", &waiting("queued", "queued")).await;
    let clock = SystemClock::new();
    let dispatching = async {
        let mut tried: Vec<Answered> = Vec::new();
        loop {
            let answer = site.begin("one", &now("new", &format!("{}", tried.len()))).await;
            let is_over = answer.status == 201;
            tried.push(answer);
            if is_over {
                return tried;
            }
            clock.sleep(Duration::from_millis(100)).await;
        }
    };
    let (tried, switch) = join(dispatching, switched(&stage)).await;
    let (last, before) = tried.split_last().unwrap();
    assert!(before.len() > 3, "they came while it drained: {}", before.len());
    for answer in before {
        refused(answer, 409, "agent_switching");
        assert!(retry_after(answer).is_some_and(|seconds| (1..=60).contains(&seconds)), "{}", answer.text);
    }
    let history = site.history("one").await;
    let drained = history[0]["drain_ms"].as_u64().unwrap();
    assert!((1_500..10_000).contains(&drained), "it ends by its deadline: {history:#?}");
    assert_eq!(history[0]["turns_cut_off"], 2, "the one that failed, and the one that did not end");

    // What begins now begins on the new subscription, in the new generation.
    for held in [Held::of(last), queued.served().await] {
        assert_eq!((&held.turn["subscription"], &held.turn["generation"]), (&json!("b"), &json!(2)));
        site.beat(&held).await;
        site.complete(&held, "ok").await;
    }
    let told = refused(&site.act(&healthy, "complete", Some(&json!({"result": "ok"}))).await, 409, "turn_cut_off");
    assert_eq!(told["switch"], switch["switch"], "{told:#}");
    let mut cut_off: Vec<Value> =
        site.told("one", "turn.cut_off").await.iter().map(|event| event["turn"].clone()).collect();
    cut_off.sort_by_key(ToString::to_string);
    assert_eq!(cut_off, [json!(healthy.id), json!(failing.id)]);
    assert!(stage.site.stop().await.success());
    stage.started("one", 2).await;
}

#[tokio::test]
async fn s17_a_dispatcher_does_not_hold_up_a_drain() {
    a_dispatcher_does_not_hold_up_a_drain(Ground::Children).await;
}

#[tokio::test]
async fn s17_docker_a_dispatcher_does_not_hold_up_a_drain() {
    a_dispatcher_does_not_hold_up_a_drain(Ground::Containers).await;
}

/// It ends when the last turn has, not before and not at the deadline.
#[tokio::test]
async fn g2_docker_a_drain_waits_for_a_healthy_turn_and_no_longer() {
    let stage = one(Ground::Containers, "10m").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("slow", "healthy")).await;
    let failing = site.taken("one", &now("chat", "failing")).await;
    fails(&stage, &failing).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    for _ in 0..20 {
        assert_eq!(site.beat(&healthy).await["cancel_requested"], Value::Null);
    }
    assert_eq!(site.agent("one").await["phase"], "draining");
    assert!(site.told("one", "switch.drained").await.iter().all(|event| event["generation"] != 2));
    let ended = done(&site.act(&healthy, "complete", Some(&json!({"result": "ok"}))).await);
    assert_eq!(ended["turn"]["state"], "complete", "{ended:#}");
    let switch = switched(&stage).await;
    assert_eq!(switch["turns_cut_off"], 1, "the one that has failed: {switch:#}");
    let next = waits.served().await;
    assert_eq!((&next.turn["subscription"], &next.turn["generation"]), (&json!("b"), &json!(2)));
    stage.started("one", 2).await;
}

/// Called off before anything was done: those who run have not noticed, and those who wait are served where they are.
async fn what_is_called_off_lets_everybody_go_on(calls_off: &[&str]) {
    let stage = one(Ground::Children, "10m").await;
    let site = &stage.site;
    let running = site.taken("one", &now("slow", "running")).await;
    let ordered = site.cli(&["switch", "one", "--to", "b"]).await;
    assert_eq!(ordered.code, 0, "{ordered:?}");
    let waits = site.queue("one", &waiting("chat", "waits")).await;
    refused(&site.begin("one", &now("mail", "hasty")).await, 409, "agent_switching");
    let called_off = site.cli(calls_off).await;
    assert_eq!(called_off.code, 0, "{called_off:?}");
    let next = waits.served().await;
    assert_eq!((&next.turn["subscription"], &next.turn["generation"]), (&json!("a"), &json!(1)));
    for held in [&running, &next] {
        site.beat(held).await;
        site.complete(held, "ok").await;
    }
    let history = site.history("one").await;
    let seen = (history.len(), &history[0]["outcome"], &history[0]["turns_cut_off"], &history[0]["restarts"]);
    assert_eq!(seen, (1, &json!("cancelled"), &json!(0), &json!(0)), "{history:#?}");
    stage.started("one", 1).await;
}

#[tokio::test]
async fn g2_a_switch_that_is_called_off_while_it_drains_lets_everybody_go_on() {
    what_is_called_off_lets_everybody_go_on(&["switch", "one", "--cancel"]).await;
}

#[tokio::test]
async fn g2_a_pause_while_it_drains_lets_everybody_go_on() {
    what_is_called_off_lets_everybody_go_on(&["pause", "one"]).await;
}

/// With nothing to wait for it ends at once.
#[tokio::test]
async fn g2_a_drain_without_turns_ends_at_once() {
    let stage = one(Ground::Children, "10m").await;
    stage.burst("one", 1, 1).await;
    let switch = switched(&stage).await;
    assert_eq!(switch["turns_cut_off"], 0, "{switch:#}");
}

/// A lost holder is not busy: the switch ends its work as well.
#[tokio::test]
async fn h6_a_drain_does_not_wait_for_a_lost_holder() {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.agents[0].lines =
        "stop_grace = \"1s\"\ndrain = \"10m\"\nturns = { lease = \"1s\", fence = \"none\" }\n".to_owned();
    let stage = Stage::set(Ground::Children, setup).await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    stage.burst("one", 1, 1).await;
    let switch = switched(&stage).await;
    assert_eq!(switch["turns_cut_off"], 1, "{switch:#}");
    refused(&site.act(&dead, "heartbeat", None).await, 409, "turn_cut_off");
    assert_eq!(site.told("one", "turn.fenced").await, Vec::<Value>::new());
}

/// Agents that read a new credential as they run go on with their turns (G12).
async fn a_reload_cuts_nobody_off(apply: &str) {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    "drain = \"10m\"\n".clone_into(&mut setup.agents[0].lines);
    setup.agents[0].delivery = format!(", apply = {apply}");
    let stage = Stage::set(Ground::Containers, setup).await;
    let site = &stage.site;
    let running = site.taken("one", &now("slow", "running")).await;
    stage.burst("one", 1, 1).await;
    let switch = site.event("switch.completed", |event| event["generation"] == 2).await;
    let seen = (&switch["outcome"], &switch["restarts"], &switch["turns_cut_off"]);
    assert_eq!(seen, (&json!("ready"), &json!(0), &json!(0)), "{switch:#}");
    // It has its lease and its generation; what begins now has the new one.
    site.beat(&running).await;
    let listed = site.turns("one").await;
    assert_eq!((&listed[0]["id"], &listed[0]["generation"]), (&json!(running.id), &json!(1)), "{listed:#?}");
    let new = site.taken("one", &now("chat", "new")).await;
    assert_eq!((&new.turn["subscription"], &new.turn["generation"]), (&json!("b"), &json!(2)));
    // Its failure is about what it was dispatched on: the past.
    let late = fails(&stage, &running).await;
    assert_eq!((&late.body["outcome"], &late.body["generation"]), (&json!("stale"), &json!(1)), "{}", late.text);
    for held in [&running, &new] {
        site.complete(held, "ok").await;
    }
    assert_eq!(site.told("one", "turn.cut_off").await, Vec::<Value>::new());
    stage.started("one", 1).await;
}

#[tokio::test]
async fn g12_docker_what_notices_by_itself_cuts_nobody_off() {
    a_reload_cuts_nobody_off("\"written\"").await;
}

#[tokio::test]
async fn g12_docker_what_is_told_by_a_signal_cuts_nobody_off() {
    a_reload_cuts_nobody_off("{ signal = \"HUP\" }").await;
}

/// The holder ends its turn and says why it failed, in one: the failure counts, and the turn holds nothing up.
#[tokio::test]
async fn a_turn_that_ends_with_a_failure_is_answered_what_came_of_it_and_when_to_try_again() {
    let stage = one(Ground::Children, "10m").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let failure = json!({"kind": "rate_limit", "retry_after_s": 3600, "id": "f-1"});
    let ended = done(&site.act(&held, "complete", Some(&json!({"result": "failed", "failure": failure}))).await);
    assert_eq!(ended["turn"]["state"], "failed", "{ended:#}");
    let answer = &ended["failure"];
    let seen = (&answer["outcome"], &answer["generation"], &answer["subscription"], &answer["kind"]);
    assert_eq!(seen, (&json!("switching"), &json!(1), &json!("a"), &json!("rate_limit")), "{ended:#}");
    let switch = switched(&stage).await;
    assert_eq!((&switch["turns_cut_off"], &answer["switch"]["id"]), (&json!(0), &switch["switch"]), "{switch:#}");

    // With nobody left the answer says when.
    let cooled = site.cli(&["cooldown", "set", "c", "--for", "3h"]).await;
    assert_eq!(cooled.code, 0, "{cooled:?}");
    site.serving("one").await;
    let held = site.taken("one", &now("chat", "holder")).await;
    assert_eq!(held.turn["generation"], 2);
    let failure = json!({"kind": "rate_limit", "retry_after_s": 7200});
    let ended = done(&site.act(&held, "complete", Some(&json!({"result": "failed", "failure": failure}))).await);
    let answer = &ended["failure"];
    assert_eq!(answer["outcome"], "exhausted", "{ended:#}");
    assert!(answer["earliest_reset"].is_string(), "{ended:#}");
    assert_eq!(site.failures("one").await.iter().filter(|failure| failure["turn"] == held.id).count(), 1);
}

/// A report that is not taken leaves the turn as it is.
#[tokio::test]
async fn a_turn_whose_failure_is_not_understood_goes_on() {
    let stage = one(Ground::Children, "10m").await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let other = site.taken("one", &now("mail", "other")).await;
    let end = |failure: Value| json!({"result": "failed", "failure": failure});
    let cases = [
        (json!({"kind": "rate_limit", "generation": 7}), 422, "generation_mismatch"),
        (json!({"kind": "tired"}), 422, "invalid_body"),
        (json!({"kind": "rate_limit", "turn": other.id}), 422, "invalid_body"),
        (json!({"kind": "rate_limit", "generation": 1, "subscription": "b"}), 422, "generation_mismatch"),
        (json!({}), 422, "invalid_body"),
        (json!([]), 422, "invalid_body"),
    ];
    for (failure, status, code) in cases {
        let answer = site.act(&held, "complete", Some(&end(failure))).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{}", answer.text);
        site.beat(&held).await;
    }
    assert_eq!(site.failures("one").await, Vec::<Value>::new());
    // A kind that never moves anybody is recorded with the turn that it is about.
    let ended = done(&site.act(&held, "complete", Some(&end(json!({"kind": "overload"})))).await);
    assert_eq!(ended["failure"]["outcome"], "ignored", "{ended:#}");
    assert_eq!(site.failures("one").await[0]["turn"], held.id);
    assert_eq!(site.agent("one").await["assignment"]["generation"], 1);
}
