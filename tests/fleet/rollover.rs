//! A static credential that changes is rolled out once to each agent on it, and to nobody else.

use serde_json::{Value, json};

use crate::engine::Shape;
use crate::harbour::Harbour;
use crate::program::eventually;
use crate::setup::{Setup, write_secret};

const AGENTS: [&str; 3] = ["one", "two", "other"];

/// Two agents on `a`, one on `b`.
async fn opened() -> Harbour {
    let harbour = Harbour::prepare(Setup::new(&["a", "b", "c"], &AGENTS), |_, _: &mut Shape| {}).await;
    let of_b = harbour.site.folder.credential("b");
    write_secret(&harbour.site.folder.home("other").join("credential"), &of_b);
    harbour.start_all().await;
    let mut harbour = harbour;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    harbour
}

/// Waits until all sources have been read once more.
async fn sources_are_read_again(harbour: &Harbour) {
    let read_at = async || {
        let seen = harbour.site.subscription("a").await;
        seen["credential"]["at"].as_str().unwrap().to_owned()
    };
    let before = read_at().await;
    eventually("the sources are read", async || (read_at().await != before).then_some(())).await;
}

/// Both agents on `a` run on what its source has now, each after one restart; the other one never noticed.
async fn rolled_out_once(harbour: &mut Harbour, fresh: &str, others_life: &str) {
    for agent in ["one", "two"] {
        harbour.runs_on_text(agent, fresh).await;
        let now = eventually("it serves again", async || {
            let now = harbour.site.serving(agent).await;
            (now["assignment"]["generation"] == 2).then_some(now)
        })
        .await;
        assert_eq!(now["assignment"]["subscription"], "a", "{now:#}");
        assert_eq!(harbour.delivered(agent).trim_end(), fresh);
    }
    sources_are_read_again(harbour).await;
    harbour.site.kill().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    let now = harbour.site.serving("other").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(1)));
    harbour.close().await;
    for agent in ["one", "two"] {
        harbour.started(agent, 2).await;
    }
    harbour.started("other", 1).await;
    assert_eq!(harbour.life("other").await, others_life);
}

#[tokio::test]
async fn a_changed_credential_restarts_each_agent_on_it_once_and_no_other() {
    let mut harbour = opened().await;
    let others_life = harbour.life("other").await;
    let fresh = "the-fresh-credential-of-a-which-is-long-enough";
    write_secret(&harbour.site.folder.credential_file("a"), fresh);
    for agent in ["one", "two"] {
        let is_it = |event: &Value| event["agent"] == agent && event["generation"] == 2;
        let done = harbour.site.event("switch.completed", is_it).await;
        assert_eq!((&done["outcome"], &done["restarts"], &done["to"]), (&json!("ready"), &json!(1), &json!("a")));
    }
    rolled_out_once(&mut harbour, fresh, &others_life).await;
}

#[tokio::test]
async fn what_changed_while_the_daemon_was_down_is_rolled_out_once_after_its_start() {
    let mut harbour = opened().await;
    let others_life = harbour.life("other").await;
    harbour.close().await;
    let fresh = "the-fresh-credential-of-a-which-is-long-enough";
    write_secret(&harbour.site.folder.credential_file("a"), fresh);
    harbour.site.start().await;
    rolled_out_once(&mut harbour, fresh, &others_life).await;
}

#[tokio::test]
async fn a_source_that_is_only_touched_restarts_nobody() {
    let mut harbour = opened().await;
    let (a, c) = (harbour.site.folder.credential("a"), "the-fresh-credential-of-c-that-nobody-runs-on");
    // The same with another end of line, and one that nobody runs on.
    write_secret(&harbour.site.folder.credential_file("a"), &format!("{a}\n"));
    write_secret(&harbour.site.folder.credential_file("c"), c);
    sources_are_read_again(&harbour).await;
    harbour.close().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    harbour.close().await;
    assert_eq!(harbour.site.events("switch.started"), Vec::<Value>::new());
    for agent in AGENTS {
        harbour.started(agent, 1).await;
    }
}
