//! A turn begins on a subscription that can serve: where the assigned one cannot, the switch comes first; where there can
//! be none, the caller is told why, and when it is worth coming again (H9).

use serde_json::{Value, json};

use crate::callers::{Held, now, refused, retry_after, waiting};
use crate::http::Answered;
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage, docker};

const AT_ONCE: &str = "wait_out = \"0s\"\njitter = \"0s\"\n";

/// `a` cools for everyone by what another agent found, while `one` is on it and works.
async fn on_what_others_have_used_up(lines: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b", "c"], &["one", "two"]).switching(AT_ONCE);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\n{lines}");
    let stage = Stage::set(Ground::Containers, setup).await;
    assert_eq!(stage.burst("two", 1, 1).await[0].body["outcome"], "switching");
    stage.site.event("switch.completed", |event| event["agent"] == "two" && event["generation"] == 2).await;
    let one = stage.site.agent("one").await;
    assert_eq!((&one["phase"], &one["assignment"]["subscription"]), (&json!("serving"), &json!("a")), "{one:#}");
    stage
}

#[tokio::test]
async fn h9_docker_the_switch_comes_before_the_turn() {
    let stage = on_what_others_have_used_up("drain = \"60s\"\n").await;
    let site = &stage.site;
    let queued = site.asks("one", &waiting("chat", "queued"));
    let held = queued.served().await;
    let on = held.turn["subscription"].as_str().unwrap();
    assert_ne!(on, "a");
    assert_eq!(held.turn["generation"], 2);
    let history = site.history("one").await;
    assert_eq!(history.len(), 1, "{history:#?}");
    let switch = &history[0];
    let seen = (&switch["cause"]["by"], &switch["from"], &switch["to"], &switch["outcome"], &switch["restarts"]);
    assert_eq!(seen, (&json!("turn"), &json!("a"), &json!(on), &json!("ready"), &json!(1)), "{switch:#}");
    stage.started("one", 2).await;
    stage.runs_on("one", on).await;
    site.beat(&held).await;
    site.complete(&held, "ok").await;
}

/// Who does not wait starts it as well, and is told when to come again. A healthy turn has time to end.
#[tokio::test]
async fn h9_docker_who_does_not_wait_is_told_when_to_come_again() {
    let stage = on_what_others_have_used_up("drain = \"60s\"\n").await;
    let site = &stage.site;
    let refusal = site.begin("one", &now("chat", "hasty")).await;
    refused(&refusal, 409, "agent_switching");
    assert!(retry_after(&refusal).is_some(), "{}", refusal.text);
    site.event("switch.completed", |event| event["agent"] == "one" && event["generation"] == 2).await;
    let held = site.taken("one", &now("chat", "again")).await;
    assert_eq!(held.turn["generation"], 2);
    site.complete(&held, "ok").await;
}

/// Queued or not, whoever asks now is answered so.
async fn nobody_begins(site: &Site, code: &str, status: u16) -> Answered {
    refused(&site.begin("one", &waiting("chat", "patient")).await, status, code);
    let refusal = site.begin("one", &now("chat", "hasty")).await;
    refused(&refusal, status, code);
    assert_eq!(site.turns("one").await, Vec::<Value>::new());
    refusal
}

async fn child(setup: Setup) -> Stage {
    Stage::set(Ground::Children, setup).await
}

#[tokio::test]
async fn h9_an_exhausted_agent_says_until_when() {
    let stage = child(Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE)).await;
    let site = &stage.site;
    let last = site.taken("one", &now("chat", "last")).await;
    let waits = site.queue("one", &waiting("chat", "waits")).await;
    let cooled = site.cli(&["cooldown", "set", "b", "--for", "2h"]).await;
    assert_eq!(cooled.code, 0, "{cooled:?}");
    let report = json!({"kind": "rate_limit", "turn": last.id, "retry_after_s": 3600});
    let answer = site.report("one", &report).await;
    assert_eq!(answer.body["outcome"], "exhausted", "{}", answer.text);
    // Those in line are told as well: nothing comes of waiting.
    let told = waits.answered().await;
    refused(&told, 503, "agent_exhausted");
    // Its work has failed; nobody else has a use for its place.
    site.complete(&last, "failed").await;
    let refusal = nobody_begins(site, "agent_exhausted", 503).await;
    for refusal in [&told, &refusal] {
        let seconds = retry_after(refusal).expect("it is known");
        assert!((3_000..=3_700).contains(&seconds), "{}", refusal.text);
    }
    let cleared = site.cli(&["cooldown", "clear", "b"]).await;
    assert_eq!(cleared.code, 0, "{cleared:?}");
    site.event("switch.completed", |event| event["generation"] == 2).await;
    let next = Held::of(&site.begin("one", &now("chat", "next")).await);
    assert_eq!(next.turn["subscription"], "b");
}

#[tokio::test]
async fn h9_a_braked_agent_says_until_when() {
    let switching = format!("{AT_ONCE}budget = {{ switches = 1, per = \"1h\" }}\n");
    let stage = child(Setup::new(&["a", "b", "c"], &["one"]).switching(&switching)).await;
    let site = &stage.site;
    stage.burst("one", 1, 1).await;
    site.event("switch.completed", |event| event["generation"] == 2).await;
    let answer = stage.burst("one", 1, 2).await.remove(0);
    assert_eq!(answer.body["outcome"], "braked", "{}", answer.text);
    let refusal = nobody_begins(site, "agent_braked", 503).await;
    let seconds = retry_after(&refusal).expect("it is known");
    assert!((3_000..=3_600).contains(&seconds), "{}", refusal.text);
}

#[tokio::test]
async fn h9_a_paused_agent_serves_what_it_can_and_says_what_it_cannot() {
    let stage = child(Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE)).await;
    let site = &stage.site;
    let paused = site.cli(&["pause", "one", "--for", "1h"]).await;
    assert_eq!(paused.code, 0, "{paused:?}");
    // Nobody has to be moved for it.
    let held = site.taken("one", &now("chat", "fine")).await;
    let answer = site.report("one", &json!({"kind": "rate_limit", "turn": held.id, "retry_after_s": 7200})).await;
    assert_eq!(answer.body["outcome"], "recorded", "{}", answer.text);
    site.complete(&held, "failed").await;
    let refusal = nobody_begins(site, "agent_paused", 503).await;
    let seconds = retry_after(&refusal).expect("the pause ends by itself");
    assert!((3_000..=3_600).contains(&seconds), "{}", refusal.text);
    let resumed = site.cli(&["resume", "one"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let next = site.asks("one", &waiting("chat", "next")).served().await;
    assert_eq!((&next.turn["subscription"], &next.turn["generation"]), (&json!("b"), &json!(2)));
}

/// Told to stay where it is for good: nobody knows until when.
#[tokio::test]
async fn h9_an_agent_that_is_paused_without_an_end_promises_nothing() {
    let stage = child(Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE)).await;
    let site = &stage.site;
    let paused = site.cli(&["pause", "one"]).await;
    assert_eq!(paused.code, 0, "{paused:?}");
    stage.burst("one", 1, 1).await;
    let refusal = nobody_begins(site, "agent_paused", 503).await;
    assert_eq!(retry_after(&refusal), None, "{}", refusal.text);
}

/// It must stay where it is, and there it cannot be served.
#[tokio::test]
async fn h9_a_pinned_agent_serves_only_where_it_is() {
    let stage = child(Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE)).await;
    let site = &stage.site;
    let pinned = site.cli(&["pin", "one", "a"]).await;
    assert_eq!(pinned.code, 0, "{pinned:?}");
    let held = site.taken("one", &now("chat", "fine")).await;
    site.report("one", &json!({"kind": "rate_limit", "turn": held.id, "retry_after_s": 3600})).await;
    site.complete(&held, "failed").await;
    let refusal = nobody_begins(site, "agent_exhausted", 503).await;
    assert!(refusal.body["detail"].as_str().unwrap().contains("pinned"), "{}", refusal.text);
    assert!(retry_after(&refusal).is_some_and(|seconds| (3_000..=3_600).contains(&seconds)), "{}", refusal.text);
    let freed = site.cli(&["unpin", "one"]).await;
    assert_eq!(freed.code, 0, "{freed:?}");
    assert_eq!(site.asks("one", &waiting("chat", "next")).served().await.turn["subscription"], "b");
}

/// Three switches in a row could not be made: the file is another daemon's.
#[tokio::test]
async fn h9_a_parked_agent_waits_for_a_person() {
    let setup = Setup::new(&["a", "b", "c", "d"], &["one"]).switching(AT_ONCE);
    let stage = Stage::set(Ground::ChildrenWithFiles, setup).await;
    let site = &stage.site;
    let sidecar = site.folder.home("one").join("credential.switchman.json");
    let own = std::fs::read_to_string(&sidecar).unwrap();
    let mut foreign: Value = serde_json::from_str(&own).unwrap();
    foreign["owner"] = json!("/somewhere/else");
    std::fs::write(&sidecar, foreign.to_string()).unwrap();
    stage.burst("one", 1, 1).await;
    let patient = site.asks("one", &waiting("chat", "patient"));
    site.event("agent.parked", |event| event["agent"] == "one").await;
    let refusal = nobody_begins(site, "agent_parked", 503).await;
    assert_eq!(retry_after(&refusal), None, "{}", refusal.text);
    // It is worth waiting for: a person frees it.
    assert!(patient.still_waits());
    std::fs::write(&sidecar, own).unwrap();
    let freed = site.cli(&["unpark", "one"]).await;
    assert_eq!(freed.code, 0, "{freed:?}");
    let next = patient.served().await;
    assert_eq!(next.turn["generation"].as_u64(), site.agent("one").await["assignment"]["generation"].as_u64());
    assert_ne!(next.turn["subscription"], "a");
}

/// A switch that fails is tried again: who waits goes on waiting, and is served then.
#[tokio::test]
async fn h9_the_queue_outlives_a_switch_that_fails() {
    let setup = Setup::new(&["a", "b", "c", "d"], &["one"]).switching(AT_ONCE);
    let stage = Stage::set(Ground::ChildrenWithFiles, setup).await;
    let site = &stage.site;
    let home = site.folder.home("one");
    std::fs::rename(&home, home.with_extension("away")).unwrap();
    stage.burst("one", 1, 1).await;
    let queued = site.asks("one", &waiting("chat", "patient"));
    site.event("switch.failed", |event| event["agent"] == "one").await;
    site.are_queued("one", 1).await;
    std::fs::rename(home.with_extension("away"), &home).unwrap();
    let held = queued.served().await;
    assert_ne!(held.turn["subscription"], "a");
    assert_eq!(held.turn["generation"].as_u64(), site.agent("one").await["assignment"]["generation"].as_u64());
    assert_eq!(site.told("one", "agent.parked").await, Vec::<Value>::new());
}

/// A container that stands still: no turn can begin in it, and nothing starts it unasked.
#[tokio::test]
async fn h9_docker_an_agent_that_does_not_run_takes_no_turns() {
    let stage = Stage::set(Ground::Containers, Setup::new(&["a", "b"], &["one"])).await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let waits = site.queue("one", &waiting("chat", "waits")).await;
    docker(&["stop", stage.container("one").unwrap()]).await;
    let cut_off = site.event("turn.cut_off", |event| event["turn"] == held.id).await;
    assert_eq!(cut_off["switch"], Value::Null, "{cut_off:#}");
    nobody_begins(site, "agent_not_running", 503).await;
    assert_eq!(site.told("one", "turn.begun").await.len(), 1);
    // It is worth waiting for: somebody starts it again.
    assert!(waits.still_waits());
    docker(&["start", stage.container("one").unwrap()]).await;
    let next = waits.served().await;
    site.beat(&next).await;
    site.complete(&next, "ok").await;
    stage.started("one", 2).await;
    assert_eq!(site.history("one").await, Vec::<Value>::new());
}
