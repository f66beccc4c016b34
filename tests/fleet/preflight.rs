//! What would keep an agent from its credential is said before anything is stopped (G1), and costs nothing.

use serde_json::{Value, json};

use crate::engine::Shape;
use crate::harbour::Harbour;
use crate::lines::burst;
use crate::setup::{CONTAINER_FOLDER, Setup};

/// The agent is left as it is, and everybody is told why in these words.
async fn it_is_refused(mut setup: Setup, delivery: &str, reshape: impl Fn(&str, &mut Shape), words: &[&str]) {
    delivery.clone_into(&mut setup.agents[0].delivery);
    let mut harbour = Harbour::prepare(setup, reshape).await;
    harbour.start_all().await;
    let (life, content) = (harbour.life("one").await, harbour.delivered("one"));
    let file = harbour.site.folder.home("one").join("credential");
    let changed = |path| std::fs::metadata(path).unwrap().modified().unwrap();
    let written_at = changed(&file);
    harbour.site.start().await;
    harbour.site.serving("one").await;

    // Before it is needed.
    let explained = harbour.site.cli(&["explain", "one"]).await;
    assert!(words.iter().all(|words| explained.stdout.contains(words)), "{explained:?}");

    let answer = harbour.site.call("POST", "/v1/agents/one/switch?wait=30", Some(&json!({}))).await;
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("failed")), "{}", answer.text);
    let reason = answer.body["reason"].as_str().unwrap();
    assert!(words.iter().all(|words| reason.contains(words)), "{reason}");
    assert_eq!(answer.body["restarts"], 0, "{}", answer.text);
    let failed = harbour.site.event("switch.failed", |event| event["agent"] == "one").await;
    assert_eq!(failed["reason"], reason);
    let explained = harbour.site.cli(&["explain", "one"]).await;
    assert!(words.iter().all(|words| explained.stdout.contains(words)), "{explained:?}");

    assert_eq!((harbour.life("one").await, harbour.delivered("one")), (life, content));
    assert_eq!(changed(&file), written_at);
    let assignment = &harbour.site.agent("one").await["assignment"];
    assert_eq!((&assignment["subscription"], &assignment["generation"]), (&json!("a"), &json!(1)));
    harbour.close().await;
    harbour.started("one", 1).await;
}

fn setup() -> Setup {
    Setup::new(&["a", "b"], &["one"])
}

#[tokio::test]
async fn a_folder_that_is_not_mounted_is_named() {
    let reshape = |_: &str, shape: &mut Shape| {
        let inner = shape.binds[0].0.join("inner");
        shape.binds = vec![(inner, CONTAINER_FOLDER)];
    };
    it_is_refused(setup(), "", reshape, &["/homes/one/credential", "not mounted", "mount the folder"]).await;
}

#[tokio::test]
async fn a_file_that_is_mounted_by_itself_cannot_be_changed_without_a_restart() {
    let reshape = |_: &str, shape: &mut Shape| {
        let file = shape.binds[0].0.join("credential");
        shape.binds = vec![(file, "/agent-home/credential")];
    };
    it_is_refused(setup(), ", apply = \"written\"", reshape, &["mounted as a single file", "mount its folder"]).await;
}

#[tokio::test]
async fn a_variable_that_wins_over_the_file_is_named() {
    let reshape = |_: &str, shape: &mut Shape| shape.variables = vec!["ANTHROPIC_API_KEY=of-somebody".to_owned()];
    it_is_refused(setup(), "", reshape, &["ANTHROPIC_API_KEY", "wins over"]).await;
}

#[tokio::test]
async fn the_file_of_another_daemon_is_left_to_it() {
    let reshape = |_: &str, shape: &mut Shape| {
        let sidecar = json!({
            "schema_version": 1, "agent": "one", "subscription": "a", "generation": 4, "owner": "another-daemon",
            "written_at": "2026-01-01T00:00:00Z",
        });
        std::fs::write(shape.binds[0].0.join("credential.switchman.json"), sidecar.to_string()).unwrap();
    };
    it_is_refused(setup(), "", reshape, &["another-daemon"]).await;
}

/// The same, asked for by a line of the log instead of a person.
#[tokio::test]
async fn a_failure_of_one_that_cannot_be_moved_leaves_it_running() {
    let reshape = |_: &str, shape: &mut Shape| shape.variables = vec!["ANTHROPIC_API_KEY=of-somebody".to_owned()];
    let mut harbour = Harbour::prepare(setup(), reshape).await;
    harbour.start_all().await;
    let life = harbour.life("one").await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    harbour.print("one", &burst(20)).await;
    let failed = harbour.site.event("switch.failed", |event| event["agent"] == "one").await;
    assert!(failed["reason"].as_str().is_some_and(|why| why.contains("ANTHROPIC_API_KEY")), "{failed:#}");
    harbour.all_counted("one", 20).await;
    let delivered = harbour.delivered("one");
    assert_eq!((harbour.life("one").await, delivered), (life, harbour.site.folder.credential("a")));
    assert_eq!(harbour.site.events("switch.completed"), Vec::<Value>::new());
    harbour.close().await;
    harbour.started("one", 1).await;
}

/// A single file is no hindrance where a restart follows: the new life sees the new content.
#[tokio::test]
async fn a_file_that_is_mounted_by_itself_is_enough_for_a_restart() {
    let reshape = |_: &str, shape: &mut Shape| {
        let file = shape.binds[0].0.join("credential");
        shape.binds = vec![(file, "/seen/credential")];
        shape.arguments[1] = "/seen/credential".to_owned();
        shape.tmpfs = Some(CONTAINER_FOLDER);
    };
    let mut harbour = Harbour::prepare(setup(), reshape).await;
    harbour.start_all().await;
    harbour.site.start().await;
    harbour.site.serving("one").await;
    let answer = harbour.site.call("POST", "/v1/agents/one/switch?wait=30", Some(&json!({}))).await;
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("ready")), "{}", answer.text);
    harbour.runs_on("one", "b").await;
    harbour.close().await;
    harbour.started("one", 2).await;
}
