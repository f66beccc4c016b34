//! Text that a container prints: alone it moves nobody; with the end of its process, or another agent's word, it does.

use serde_json::{Value, json};

use crate::harbour::{Harbour, docker};
use crate::lines::{chatter, overload};
use crate::program::{command, eventually};
use crate::setup::Setup;

const LIMIT: &str = "You've hit your limit · resets 3pm (UTC)";

/// What looks like a limit and is none of the tool's sentences, with what may be a secret in it.
const UNKNOWN: &str =
    "Your weekly limit budget is gone for key sk-ant-oat01-CANARYcanaryCANARY0123, quota resets later";

/// The agent's process ends with this code.
async fn exits(harbour: &Harbour, agent: &str, code: u8) {
    assert_eq!(command(&harbour.site.folder.control(agent), &format!("exit {code}")).await, "");
}

async fn prints(harbour: &Harbour, agent: &str, line: &str) {
    harbour.print(agent, &[line.to_owned()]).await;
    harbour.site.event("failure.uncorroborated", |event| event["agent"] == agent).await;
}

#[tokio::test]
async fn a_line_of_an_agent_that_works_on_moves_nobody_and_its_kill_bears_nothing_out() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    for number in 0..3 {
        harbour.print("one", &[LIMIT.to_owned(), chatter(number), LIMIT.to_owned(), UNKNOWN.to_owned()]).await;
    }
    // Everything before it has been read.
    harbour.print("one", &[overload()]).await;
    harbour.all_counted("one", 7).await;
    let told = harbour.site.event("failure.uncorroborated", |event| event["agent"] == "one").await;
    assert_eq!(told["kind"], "rate_limit", "{told:#}");
    let agent = harbour.site.agent("one").await;
    assert_eq!((&agent["phase"], &agent["assignment"]["generation"]), (&json!("serving"), &json!(1)), "{agent:#}");
    assert_eq!(agent["uncorroborated"][0]["kind"], "rate_limit", "{agent:#}");
    let explained = harbour.site.cli(&["explain", "one"]).await;
    assert!(explained.stdout.contains("its text says rate_limit"), "{}", explained.stdout);
    docker(&["kill", "--signal", "TERM", harbour.container("one")]).await;
    let judged = harbour.site.event("failure.judged", |event| event["agent"] == "one").await;
    assert_eq!(judged["outcome"], "ignored", "{judged:#}");
    assert!(judged["reason"].as_str().is_some_and(|why| why.ends_with("killed or told to stop")), "{judged:#}");
    let blamed = harbour.site.subscription("a").await;
    assert_eq!((&blamed["cooling_for"], &blamed["suspect"]), (&json!({}), &json!(false)), "{blamed:#}");
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
    harbour.close().await;
    assert!(harbour.site.events("failure.corroborated").is_empty());
    let unknown: Vec<Value> = harbour.site.events("failure.unclassified");
    assert_eq!(unknown.len(), 1, "once for each wording: {unknown:#?}");
    let text = unknown[0]["text"].as_str().unwrap();
    assert!(text.starts_with("Your weekly limit budget is gone for key …, quota"), "{text}");
    harbour.started("one", 1).await;
}

#[tokio::test]
async fn a_line_and_then_the_end_of_its_process_move_it_once() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    docker(&["update", "--restart", "always", harbour.container("one")]).await;
    prints(&harbour, "one", LIMIT).await;
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
    exits(&harbour, "one", 1).await;
    let told = harbour.site.event("failure.corroborated", |event| event["agent"] == "one").await;
    assert_eq!((&told["kind"], &told["by"]), (&json!("rate_limit"), &json!("exit")), "{told:#}");
    let is_it = |event: &Value| event["agent"] == "one" && event["generation"] == 2;
    let done = harbour.site.event("switch.completed", is_it).await;
    assert_eq!((&done["to"], &done["kind"]), (&json!("b"), &json!("rate_limit")), "{done:#}");
    docker(&["start", harbour.container("one")]).await;
    harbour.runs_on("one", "b").await;
    let switches = harbour.site.switches("one").await;
    assert_eq!(switches.len(), 1, "{switches:#?}");
    assert_eq!(switches[0]["cause"]["failure"], told["failure"], "its cause is the line");
    harbour.close().await;
}

#[tokio::test]
async fn a_line_that_is_read_after_the_end_of_its_process_is_borne_out_as_well() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    // All at once: nobody knows whether the line or the end is heard of first.
    let file = harbour.lay("one", &[LIMIT.to_owned()]);
    harbour.site.tell("one", &format!("print-file {file}")).await;
    exits(&harbour, "one", 0).await;
    let is_it = |event: &Value| event["agent"] == "one" && event["generation"] == 2;
    let done = harbour.site.event("switch.completed", is_it).await;
    assert_eq!((&done["to"], &done["outcome"], &done["restarts"]), (&json!("b"), &json!("not_running"), &json!(0)));
    docker(&["start", harbour.container("one")]).await;
    harbour.runs_on("one", "b").await;
    harbour.close().await;
    assert_eq!(harbour.site.events("switch.started").len(), 1);
}

#[tokio::test]
async fn two_agents_that_print_the_same_are_both_moved_and_one_that_prints_nothing_stays() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one", "three", "two"])).await;
    prints(&harbour, "one", LIMIT).await;
    eventually("it waits", async || {
        let agent = harbour.site.agent("one").await;
        (agent["uncorroborated"].as_array().is_some_and(|waits| waits.len() == 1)).then_some(())
    })
    .await;
    harbour.print("two", &[LIMIT.to_owned()]).await;
    for agent in ["one", "two"] {
        assert_eq!(harbour.moved(agent, 2).await["to"], "b");
    }
    harbour.close().await;
    assert!(harbour.site.events("failure.corroborated").iter().all(|told| told["by"] == "agent"));
    harbour.started("three", 1).await;
}
