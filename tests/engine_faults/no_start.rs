//! S10 with a delivered file: the agent does not come up again. It is never left without its container, no order is
//! repeated without end, and the outcome says what is true.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::dock::{Dock, ONE, Plan};
use crate::engine_proxy::{Call, Deed, Kind, Side};
use crate::program::eventually;

/// As many orders to restart as one switch may give, and as many to start.
const ORDERS_MAX: usize = 4;
const STARTS_MAX: usize = 8;

#[tokio::test]
async fn s10_a_start_that_always_fails_ends_as_not_running() {
    let dock = Dock::running().await;
    let base = dock.proxy.calls().len();
    let restart = dock.proxy.hold(Side::Before, |call| call.kind == Kind::Restart);
    dock.proxy.disturb(Kind::Start, Deed::Answer(500));
    dock.fail_and_switch(1).await;
    restart.reached().await;
    // As if the engine had ended the old life and then failed to start the next.
    dock.stop_by_hand().await;
    let stopped = dock.seen().await;
    restart.abandon();
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_running"), &json!(0)), "{done:#}");
    assert!(done["reason"].as_str().is_some_and(|reason| reason.contains("start")), "{done:#}");
    assert_eq!(dock.seen().await, stopped, "its container is there");
    let starts = dock.proxy.count(Kind::Start, base);
    assert_eq!(starts, STARTS_MAX);
    assert_eq!(dock.proxy.count(Kind::Restart, base), 1);

    // A person starts it, and it is on the new credential.
    dock.start_by_hand().await;
    dock.site.serving(ONE).await;
    dock.started(2).await;
    dock.runs_on("b").await;
}

#[tokio::test]
async fn s10_a_restart_that_always_fails_ends_as_not_ready_and_waits_for_a_person() {
    let dock = Dock::running().await;
    let (base, before) = (dock.proxy.calls().len(), dock.seen().await);
    dock.proxy.disturb(Kind::Restart, Deed::Answer(500));
    dock.fail_and_switch(1).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_ready"), &json!(0)), "{done:#}");
    dock.site.event("agent.parked", |event| event["agent"] == ONE).await;
    assert_eq!(dock.orders(base).len(), ORDERS_MAX, "{:?}", dock.orders(base));
    assert_eq!(dock.seen().await, before, "it runs on as it did");
    dock.started(1).await;
    assert_eq!(dock.delivered(), dock.site.folder.credential("b"));
}

#[tokio::test]
async fn s10_a_restart_that_is_done_but_answered_with_500_is_one_restart() {
    let dock = Dock::running().await;
    let base = dock.proxy.calls().len();
    dock.proxy.disturb(Kind::Restart, Deed::DoneButAnswer(500));
    dock.fail_and_switch(1).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    assert_eq!(dock.orders(base).len(), 1, "{:?}", dock.orders(base));
    dock.started(2).await;
    dock.runs_on("b").await;
}

#[tokio::test]
async fn s10_a_health_check_that_never_passes_ends_as_not_ready() {
    // The sick one is told apart by a file of its own folder: the check passes until the restart takes it away.
    let healthy_if = Some("/agent-home/well");
    let plan = Plan { healthy_if, switching: "ready_timeout = \"2s\"\n", is_running: false, ..Plan::default() };
    let mut dock = Dock::set(plan).await;
    let well = dock.site.folder.home(ONE).join("well");
    std::fs::write(&well, "").unwrap();
    dock.site.start().await;
    dock.site.serving(ONE).await;
    let before = dock.seen().await;
    std::fs::remove_file(&well).unwrap();
    dock.fail_and_switch(1).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_ready"), &json!(1)), "{done:#}");
    let after = dock.seen().await;
    assert_eq!((&after.id, after.is_running), (&before.id, true), "it runs, sick as it is");
    dock.started(2).await;
    dock.runs_on("b").await;

    // The next switch finds it well again.
    std::fs::write(&well, "").unwrap();
    dock.forgive("a").await;
    dock.fail_and_switch(2).await;
    assert_eq!(dock.completed(3).await["outcome"], "ready");
    dock.started(3).await;
}

#[tokio::test]
async fn s10_an_agent_that_ignores_the_signal_to_end_is_restarted_once() {
    let dock = Dock::running().await;
    let base = dock.proxy.calls().len();
    dock.site.tell(ONE, "ignore-term").await;
    dock.fail_and_switch(1).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    assert_eq!(dock.orders(base).len(), 1, "{:?}", dock.orders(base));
    dock.started(2).await;
    dock.runs_on("b").await;
}

#[tokio::test]
async fn s10_an_agent_that_ends_right_after_its_start_ends_as_not_running() {
    let dock = Dock::running().await;
    let (base, before) = (dock.proxy.calls().len(), dock.seen().await);
    // It cannot begin: where its control should be, there is a folder.
    let control = dock.site.folder.control(ONE);
    std::fs::remove_file(&control).unwrap();
    std::fs::create_dir(&control).unwrap();
    // The look that would find it ready is held until it has ended.
    let is_ordered = AtomicBool::new(false);
    let first_look =
        move |call: &Call| is_ordered.fetch_or(call.is_order(), Ordering::SeqCst) && call.kind == Kind::Inspect;
    let look = dock.proxy.hold(Side::Before, first_look);
    dock.fail_and_switch(1).await;
    look.reached().await;
    let after = eventually("it has ended", async || {
        let now = dock.seen().await;
        (!now.is_running).then_some(now)
    })
    .await;
    look.release();
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_running"), &json!(1)), "{done:#}");
    assert_eq!((&after.id, after.exit_code), (&before.id, 1), "{after:?}");
    assert_ne!(after.started_at, before.started_at);
    assert_eq!(dock.orders(base).len(), 1, "what ended by itself is not started again: {:?}", dock.orders(base));
    assert_eq!(dock.seen().await, after);
}
