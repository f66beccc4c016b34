//! S8: a container is taken as it is found. What does not run is not started, what is gone is not made, what somebody
//! else has restarted is not restarted again, and what runs at first sight is left to run.

use serde_json::{Value, json};

use crate::dock::{Dock, ONE, Plan};
use crate::engine_proxy::Side;
use crate::program::eventually;

#[tokio::test]
async fn s8_a_stopped_container_is_given_the_credential_and_not_started() {
    let dock = Dock::running().await;
    dock.stop_by_hand().await;
    dock.noticed("stopped").await;
    let stopped = dock.seen().await;
    dock.fail_and_switch(1).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("not_running"), &json!(0)), "{done:#}");
    assert_eq!(dock.seen().await, stopped);
    assert_eq!(dock.orders(0), Vec::<String>::new());
    let now = dock.site.agent(ONE).await;
    assert_eq!(now["assignment"]["subscription"], "b", "whatever starts now reads the new one: {now:#}");

    dock.start_by_hand().await;
    dock.site.serving(ONE).await;
    dock.started(2).await;
    dock.runs_on("b").await;
    dock.only_switch("not_running", 0).await;
}

#[tokio::test]
async fn s8_a_removed_container_is_not_made_again() {
    let mut dock = Dock::running().await;
    dock.engine.remove(&dock.container).await;
    dock.noticed("missing").await;
    dock.fail_and_switch(1).await;
    let failed = dock.site.event("switch.failed", |event| event["agent"] == ONE).await;
    assert_eq!(failed["outcome"], "no_container", "{failed:#}");
    assert_eq!(dock.look_at(&dock.container).await, None);
    assert_eq!(dock.orders(0), Vec::<String>::new());
    let now = dock.site.agent(ONE).await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("a"), &json!(1)));
    assert_eq!(dock.delivered(), dock.site.folder.credential("a"), "nothing was touched");

    // When it comes back, it is moved without a further report: its subscription is still exhausted.
    dock.put_container().await;
    dock.start_by_hand().await;
    let moved = eventually("it is moved when it is back", async || {
        let now = dock.site.agent(ONE).await;
        (now["assignment"]["subscription"] == "b" && now["phase"] == "serving").then_some(now)
    })
    .await;
    assert_eq!(moved["assignment"]["generation"], 3, "a number that was not used is not used again: {moved:#}");
    dock.started(2).await;
    dock.runs_on("b").await;
}

#[tokio::test]
async fn s8_a_container_that_somebody_restarts_in_between_is_not_restarted_again() {
    let dock = Dock::running().await;
    // With the new credential in place there are two looks before the order: the one that names the life which is to
    // end, and the driver's own.
    let base = dock.proxy.calls().len();
    let hold = dock.proxy.hold(Side::Before, dock.call_of_switch(2, "b"));
    dock.fail_and_switch(1).await;
    hold.reached().await;
    assert_eq!(dock.delivered(), dock.site.folder.credential("b"));
    dock.restart_by_hand().await;
    dock.started(2).await;
    let by_hand = dock.seen().await;
    hold.release();
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    assert_eq!(dock.seen().await, by_hand, "their restart is the one");
    assert_eq!(dock.orders(base), Vec::<String>::new());
    dock.started(2).await;
    dock.runs_on("b").await;
}

#[tokio::test]
async fn s8_a_running_container_is_taken_over_without_a_restart() {
    let mut dock = Dock::set(Plan { is_running: false, ..Plan::default() }).await;
    let before = dock.seen().await;
    dock.site.start().await;
    let adopted = dock.site.event("agent.adopted", |event| event["agent"] == ONE).await;
    assert_eq!((&adopted["subscription"], &adopted["generation"]), (&json!("a"), &json!(1)), "{adopted:#}");
    let now = dock.site.serving(ONE).await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("a"), &json!(1)));
    // Nor does the next life of the daemon restart it.
    assert!(dock.site.stop().await.success());
    dock.site.start().await;
    dock.site.serving(ONE).await;
    assert_eq!(dock.seen().await, before);
    assert_eq!(dock.orders(0), Vec::<String>::new());
    assert_eq!(dock.site.switches(ONE).await, Vec::<Value>::new());
}
