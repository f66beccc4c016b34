//! Troubles that last a while and pass.

use serde_json::json;

use crate::calls_fail::other_is_unaffected;
use crate::dock::{Dock, ONE, Plan};
use crate::engine_proxy::{Deed, Kind, Side};
use crate::outages::hears_events;

/// The engine fails to start a container for as long as another agent's switch takes.
#[tokio::test]
async fn s13_starts_that_fail_for_a_moment_are_given_again_when_it_has_passed() {
    let dock = Dock::set(Plan { has_other: true, ..Plan::default() }).await;
    let restart = dock.proxy.hold(Side::Before, |call| call.kind == Kind::Restart);
    dock.proxy.disturb(Kind::Start, Deed::Answer(500));
    dock.fail_and_switch(1).await;
    restart.reached().await;
    dock.stop_by_hand().await;
    restart.abandon();
    dock.proxy.called("a start", |calls| calls.iter().any(|call| call.kind == Kind::Start)).await;
    other_is_unaffected(&dock).await;
    dock.proxy.calm();
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    dock.started(2).await;
    dock.runs_on("b").await;
}

/// A request for events that nobody answers, beside pings that are.
#[tokio::test]
async fn s13_a_stream_of_events_that_never_begins_is_asked_for_again() {
    let dock = Dock::running().await;
    dock.proxy.disturb_next(1, Kind::Events, Deed::Hang);
    let base = dock.proxy.calls().len();
    dock.proxy.cut().await;
    dock.proxy.called("it asks", |calls| calls[base..].iter().any(|call| call.kind == Kind::Events)).await;
    dock.fail_and_switch(1).await;
    assert_eq!(dock.completed(2).await["outcome"], "ready");
    dock.site.serving(ONE).await;
    hears_events(&dock).await;
}

/// The container's own stop timeout is longer than a call may take, and the daemon is killed while it runs: the order
/// is still being carried out when the next life of the daemon looks.
#[tokio::test]
async fn s11_killed_within_a_restart_that_waits_for_the_containers_own_stop_timeout() {
    let plan = Plan { stop_grace: None, stop_timeout_s: Some(6), ..Plan::default() };
    let mut dock = Dock::set(plan).await;
    dock.site.tell(ONE, "ignore-term").await;
    let restart = dock.proxy.hold(Side::Before, |call| call.kind == Kind::Restart);
    dock.fail_and_switch(1).await;
    restart.reached().await;
    dock.site.kill().await;
    restart.release();
    dock.site.start().await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    dock.started(2).await;
    assert_eq!(dock.orders(0).len(), 1, "the one under way is waited for: {:?}", dock.orders(0));
    dock.only_switch("ready", 1).await;
}

/// An engine that goes down finishes our restart, ends the new life as well, and its answer is lost: the start of what
/// stands still is ours as long as ours was not confirmed.
#[tokio::test]
async fn a_life_that_its_engine_took_along_before_we_had_seen_it_is_started_again() {
    let dock = Dock::running().await;
    let restart = dock.proxy.hold(Side::After, |call| call.kind == Kind::Restart);
    dock.fail_and_switch(1).await;
    restart.reached().await;
    dock.stop_by_hand().await;
    restart.abandon();
    let done = dock.completed(2).await;
    assert_eq!(done["outcome"], "ready", "{done:#}");
    dock.started(3).await;
    dock.runs_on("b").await;
}
