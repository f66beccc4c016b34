//! Logs that lose lines or cannot be read, and ends that are nobody's fault.

use serde_json::{Value, json};

use crate::engine::Shape;
use crate::harbour::{Harbour, docker};
use crate::lines::{burst, chatter, overload};
use crate::program::eventually;
use crate::setup::Setup;

fn setup() -> Setup {
    Setup::new(&["a", "b"], &["one"])
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_told_once_and_holds_nothing_up() {
    let mut harbour = Harbour::prepare(setup(), |_, shape: &mut Shape| shape.log = Some(("none", &[]))).await;
    docker(&["start", harbour.container("one")]).await;
    let life = harbour.life("one").await;
    harbour.site.start().await;
    let told = harbour.site.event("log.unreadable", |event| event["agent"] == "one").await;
    assert!(told["reason"].as_str().is_some_and(|why| why.contains("none")), "{told:#}");
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("a"), &json!(1)));
    assert_eq!(harbour.life("one").await, life);
    // It is moved by whoever can tell.
    let answer = harbour.site.report("one", &json!({"kind": "rate_limit"})).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    harbour.close().await;
    assert_eq!(harbour.site.events("log.unreadable").len(), 1);
}

/// What is rotated away while the daemon is down is a gap, and what is left is read.
#[tokio::test]
async fn lines_that_were_rotated_away_are_told_as_a_gap() {
    let small = |_: &str, shape: &mut Shape| {
        shape.log = Some(("json-file", &[("max-size", "20k"), ("max-file", "2")]));
    };
    let mut harbour = Harbour::prepare(setup(), small).await;
    harbour.start_all().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    harbour.print("one", &[overload()]).await;
    harbour.all_counted("one", 1).await;
    harbour.site.kill().await;
    let lines: Vec<String> = (0..2_000).map(chatter).chain(burst(3)).collect();
    harbour.print("one", &lines).await;
    harbour.site.start().await;
    let gap = harbour.site.event("log.gap", |event| event["agent"] == "one").await;
    assert!(gap["since"].is_string(), "{gap:#}");
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    harbour.close().await;
    assert_eq!(harbour.site.events("log.gap").len(), 1);
}

/// Killed for want of memory or by somebody: its last words do not count.
#[tokio::test]
async fn a_kill_is_recorded_and_moves_nobody() {
    let mut harbour = Harbour::open(setup()).await;
    docker(&["kill", harbour.container("one")]).await;
    let ended = harbour.site.event("agent.ended", |event| event["agent"] == "one").await;
    assert_eq!((&ended["exit_code"], &ended["was_oom"]), (&json!(137), &json!(false)), "{ended:#}");
    harbour.all_counted("one", 1).await;
    let failures = harbour.site.failures("one").await;
    let seen = (&failures[0]["kind"], &failures[0]["outcome"], &failures[0]["sender"]);
    assert_eq!(seen, (&json!("killed"), &json!("ignored"), &json!("runtime")), "{failures:#?}");
    eventually("it is seen standing", async || {
        (harbour.site.agent("one").await["runtime"]["state"] == "stopped").then_some(())
    })
    .await;
    let now = harbour.site.agent("one").await;
    assert_eq!((&now["phase"], &now["assignment"]["generation"]), (&json!("serving"), &json!(1)));
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
    let blamed = harbour.site.subscription("a").await;
    assert_eq!((&blamed["cooling_for"], &blamed["suspect"]), (&json!({}), &json!(false)), "{blamed:#}");
    harbour.close().await;
    harbour.started("one", 1).await;
}
