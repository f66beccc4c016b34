//! First sight of a container (A10): what runs is taken as it is, what stands still is not started.

use serde_json::{Value, json};

use crate::engine::Shape;
use crate::harbour::{Harbour, docker};
use crate::lines::burst;
use crate::program::eventually;
use crate::setup::{Setup, write_secret};

async fn prepared() -> Harbour {
    Harbour::prepare(Setup::new(&["a", "b"], &["one"]), |_, _: &mut Shape| {}).await
}

#[tokio::test]
async fn what_runs_on_a_known_credential_is_adopted_and_not_restarted() {
    let mut harbour = prepared().await;
    let credential = harbour.site.folder.credential("b");
    write_secret(&harbour.site.folder.home("one").join("credential"), &credential);
    harbour.start_all().await;
    let life = harbour.life("one").await;
    harbour.site.start().await;
    let adopted = harbour.site.event("agent.adopted", |event| event["agent"] == "one").await;
    assert_eq!((&adopted["subscription"], &adopted["generation"]), (&json!("b"), &json!(1)));
    let assignment = &harbour.site.serving("one").await["assignment"];
    assert_eq!((&assignment["subscription"], &assignment["generation"]), (&json!("b"), &json!(1)));

    // Nor is it by later lives of the daemon, whichever way the earlier one ended.
    harbour.site.kill().await;
    harbour.site.start().await;
    harbour.site.serving("one").await;
    harbour.close().await;
    harbour.site.start().await;
    assert_eq!(harbour.site.serving("one").await["assignment"]["generation"], 1);
    assert_eq!(harbour.site.events("agent.adopted").len(), 1);
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
    assert_eq!(harbour.life("one").await, life);
    assert_eq!(harbour.delivered("one"), credential);
}

#[tokio::test]
async fn what_runs_on_an_unknown_credential_is_left_alone_until_its_first_failure() {
    let harbour = prepared().await;
    write_secret(&harbour.site.folder.home("one").join("credential"), "a-stranger's-credential-of-its-own");
    harbour.start_all().await;
    let life = harbour.life("one").await;
    let mut harbour = harbour;
    harbour.site.start().await;
    harbour.followed("one").await;
    let left = harbour.site.event("agent.unassigned", |event| event["agent"] == "one").await;
    assert_eq!(left["reason"], "unknown_credential");
    let now = harbour.site.agent("one").await;
    assert_eq!((&now["assignment"], &now["reason"]), (&Value::Null, &json!("unknown_credential")));
    let status = harbour.site.cli(&["status"]).await;
    assert!(status.code == 0 && status.stdout.contains("unknown_credential"), "{status:?}");
    assert_eq!(harbour.life("one").await, life);
    assert_eq!(harbour.delivered("one"), "a-stranger's-credential-of-its-own");

    harbour.print("one", &burst(9)).await;
    let done = harbour.moved("one", 1).await;
    assert_eq!((&done["from"], &done["to"]), (&Value::Null, &json!("a")));
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["generation"], &now["reason"]), (&json!(1), &Value::Null));
    harbour.runs_on("one", "a").await;
    // Nobody knows whose limit it was, so nobody is out of use.
    for name in ["a", "b"] {
        let seen = harbour.site.subscription(name).await;
        assert_eq!((&seen["cooling_for"], &seen["suspect"]), (&json!({}), &json!(false)), "{seen:#}");
    }
    harbour.close().await;
    harbour.started("one", 2).await;
}

#[tokio::test]
async fn what_does_not_run_and_has_nothing_is_given_a_credential_and_not_started() {
    let mut harbour = prepared().await;
    std::fs::remove_file(harbour.site.folder.home("one").join("credential")).unwrap();
    harbour.site.start().await;
    let given = eventually("it is assigned", async || {
        let now = harbour.site.agent("one").await;
        (!now["assignment"].is_null() && now["phase"] == "serving").then_some(now)
    })
    .await;
    assert_eq!((&given["assignment"]["subscription"], &given["assignment"]["generation"]), (&json!("a"), &json!(1)));
    assert_eq!(given["runtime"]["state"], "stopped");
    assert_eq!(harbour.delivered("one").trim_end(), harbour.site.folder.credential("a"));
    let state = docker(&["inspect", "--format", "{{.State.Status}}", harbour.container("one")]).await;
    assert_eq!(state, "created");

    // Whoever starts it finds it assigned already.
    harbour.start_all().await;
    harbour.runs_on("one", "a").await;
    assert_eq!(harbour.site.serving("one").await["assignment"]["generation"], 1);
    harbour.followed("one").await;
    harbour.print("one", &burst(3)).await;
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    harbour.close().await;
    harbour.started("one", 2).await;
}
