//! S5, told by the log alone: with nobody left an agent waits, untouched, and goes on when a cooldown is cleared.

use serde_json::json;

use crate::harbour::Harbour;
use crate::lines::{burst, limit, overload};
use crate::program::eventually;
use crate::setup::Setup;

#[tokio::test]
async fn s5_with_nobody_left_nothing_is_done_until_a_cooldown_is_cleared() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    harbour.print("one", &burst(3)).await;
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    harbour.runs_on("one", "b").await;
    let life = harbour.life("one").await;

    harbour.print("one", &[limit(1800)]).await;
    harbour.site.event("agent.exhausted", |event| event["agent"] == "one").await;
    harbour.site.hook.notified("nobody left", |told| told["event"] == "exhausted").await;
    harbour.print("one", &burst(10)).await;
    harbour.print("one", &[overload()]).await;
    harbour.all_counted("one", 15).await;
    let now = harbour.site.agent("one").await;
    assert_eq!((&now["phase"], &now["assignment"]["subscription"]), (&json!("exhausted"), &json!("b")));
    assert!(now["earliest_reset"].is_string(), "{now:#}");
    assert_eq!(harbour.life("one").await, life);
    assert_eq!(harbour.delivered("one").trim_end(), harbour.site.folder.credential("b"));
    assert_eq!(harbour.site.switches("one").await.len(), 1);

    let cleared = harbour.site.call("DELETE", "/v1/subscriptions/a/cooldown", None).await;
    assert_eq!(cleared.status, 200, "{}", cleared.text);
    assert_eq!(harbour.moved("one", 3).await["to"], "a");
    harbour.runs_on("one", "a").await;
    harbour.site.hook.notified("it goes on", |told| told["event"] == "switch" && told["generation"] == 3).await;
    harbour.close().await;
    assert_eq!((harbour.site.hook.ids("exhausted").len(), harbour.site.hook.ids("switch").len()), (1, 2));
    harbour.started("one", 3).await;
}

/// Its own subscription comes back: nothing needs to be restarted.
#[tokio::test]
async fn s5_its_own_reset_lets_it_go_on_without_a_restart() {
    let setup = Setup::new(&["a", "b"], &["one"]).switching("wait_out = \"0s\"\njitter = \"0s\"\n");
    let mut harbour = Harbour::open(setup).await;
    harbour.print("one", &[limit(3600)]).await;
    harbour.moved("one", 2).await;
    harbour.runs_on("one", "b").await;
    let life = harbour.life("one").await;
    harbour.print("one", &[limit(5)]).await;
    harbour.site.event("agent.exhausted", |event| event["agent"] == "one").await;
    harbour.site.event("agent.woken", |event| event["agent"] == "one").await;
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    harbour.site.hook.notified("it goes on", |told| told["event"] == "woken").await;
    eventually("nothing keeps it", async || harbour.site.agent("one").await["reason"].is_null().then_some(())).await;
    assert_eq!(harbour.life("one").await, life);
    harbour.close().await;
    harbour.started("one", 2).await;
}
