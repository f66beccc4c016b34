//! The engine ends and comes back: in the middle of our restart or while nothing goes on, asked or killed, with its
//! containers living on or not. What was begun is finished within seconds of its return, with one effective restart.

use std::collections::HashMap;
use std::pin::Pin;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use serde_json::json;

use crate::daemon::LONG;
use crate::dock::{Dock, ONE, Plan};
use crate::outages::degraded;
use crate::private_engine::EngineOptions;
use crate::program::eventually;

/// How the engine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Asked,
    Killed,
}

type Signals = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// The signals that the engine sends to the container from now on.
async fn signals(dock: &Dock) -> Signals {
    let filters = HashMap::from([("event", vec!["kill"]), ("container", vec![dock.container.as_str()])]);
    // From the beginning: what was before is waited for, so that the stream is known to be open.
    let options = EventsOptionsBuilder::default().since("0").filters(&filters).build();
    let mut signals = dock.engine.client.events(Some(options)).boxed();
    dock.engine.client.kill_container(&dock.container, Some(winch())).await.unwrap();
    next(&mut signals).await;
    signals
}

/// A signal that nobody minds.
fn winch() -> bollard::query_parameters::KillContainerOptions {
    bollard::query_parameters::KillContainerOptionsBuilder::default().signal("SIGWINCH").build()
}

async fn next(signals: &mut Signals) -> EventMessage {
    tokio::time::timeout(LONG, signals.next()).await.expect("a signal is sent").unwrap().unwrap()
}

/// The engine ends while our restart waits for the agent to end, and is back when this returns; the daemon does not see
/// it yet.
async fn end_within_our_restart(live_restore: bool, end: End) -> Dock {
    let options = EngineOptions { live_restore, log_driver: "local" };
    let mut dock = Dock::set(Plan { options, stop_grace: Some("4s"), ..Plan::default() }).await;
    dock.site.tell(ONE, "ignore-term").await;
    let mut signals = signals(&dock).await;
    dock.fail_and_switch(1).await;
    let signal = next(&mut signals).await;
    assert_eq!(signal.actor.unwrap().attributes.unwrap()["signal"], "15");
    match end {
        End::Asked => dock.private.stop().await,
        End::Killed => dock.private.kill().await,
    }
    dock.site.event("engine.lost", |_| true).await;
    degraded(&dock).await;
    dock.proxy.go_away().await;
    dock.private.come_up().await;
    dock
}

/// The daemon sees the engine again: the switch is finished, the agent was started once.
async fn finished(dock: &Dock) {
    dock.proxy.come_back().await;
    dock.site.event("engine.back", |_| true).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["to"], &done["restarts"]), (&json!("ready"), &json!("b"), &json!(1)));
    dock.site.serving(ONE).await;
    dock.started(2).await;
    dock.runs_on("b").await;
    dock.only_switch("ready", 1).await;
    assert_eq!(dock.site.events("engine.lost").len(), 1);
    assert_eq!(dock.site.events("engine.back").len(), 1);
}

#[tokio::test]
async fn an_engine_that_stops_within_our_restart_leaves_the_container_standing_and_we_start_it() {
    let dock = end_within_our_restart(false, End::Asked).await;
    let left = dock.seen().await;
    assert!(!left.is_running, "{left:?}");
    if left.exit_code == 137 {
        return finished(&dock).await;
    }
    // A slow engine may still begin the next life while it goes down, and then ends it as well: see `for_a_while.rs`.
    assert_eq!(left.exit_code, 143, "{left:?}");
    dock.started(2).await;
    dock.proxy.come_back().await;
    let done = dock.completed(2).await;
    assert!(done["outcome"] == "ready" || done["outcome"] == "not_running", "{done:#}");
    assert_eq!(dock.site.switches(ONE).await.len(), 1);
    assert!(dock.starts().await.len() <= 3, "{:#?}", dock.starts().await);
}

#[tokio::test]
async fn an_engine_that_stops_within_our_restart_and_leaves_the_container_running_is_told_again() {
    let dock = end_within_our_restart(true, End::Asked).await;
    dock.started(1).await;
    finished(&dock).await;
}

#[tokio::test]
async fn an_engine_that_is_killed_within_our_restart_leaves_the_container_standing_and_we_start_it() {
    let dock = end_within_our_restart(false, End::Killed).await;
    assert!(!dock.seen().await.is_running);
    finished(&dock).await;
}

#[tokio::test]
async fn an_engine_that_is_killed_within_our_restart_and_leaves_the_container_running_is_told_again() {
    let dock = end_within_our_restart(true, End::Killed).await;
    dock.started(1).await;
    finished(&dock).await;
}

#[tokio::test]
async fn a_failure_while_the_engine_is_gone_is_seen_to_when_it_is_back() {
    let options = EngineOptions { live_restore: true, ..EngineOptions::default() };
    let mut dock = Dock::set(Plan { options, through_proxy: false, ..Plan::default() }).await;
    dock.private.stop().await;
    dock.site.event("engine.lost", |_| true).await;
    dock.fail_and_switch(1).await;
    assert_eq!(dock.fail(1).await.body["outcome"], "repeat");
    degraded(&dock).await;
    eventually("it says what it waits for", async || {
        let now = dock.site.agent(ONE).await;
        now["reason"].as_str().filter(|reason| reason.contains("engine")).map(|_| ())
    })
    .await;
    dock.private.come_up().await;
    finished(&dock).await;
}

#[tokio::test]
async fn a_container_that_its_engine_took_along_is_not_started_by_a_switch() {
    let mut dock = Dock::set(Plan { through_proxy: false, ..Plan::default() }).await;
    dock.private.stop().await;
    dock.site.event("engine.lost", |_| true).await;
    dock.fail_and_switch(1).await;
    dock.private.come_up().await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_running"), &json!(0)), "{done:#}");
    assert!(!dock.seen().await.is_running);
    dock.started(1).await;
    assert_eq!(dock.delivered(), dock.site.folder.credential("b"), "the next start reads it");
}
