//! S1 and S2, told by the log alone: many lines about one limit are one switch, one restart, one notification, and
//! nobody else is blamed.

use std::time::Duration;

use serde_json::json;

use crate::harbour::Harbour;
use crate::lines::{burst, chatter};
use crate::setup::Setup;

const SUBSCRIPTIONS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// What must be true when so many lines have been printed, at least `certain` of them for good.
async fn it_was_one_move(harbour: &mut Harbour, certain: usize) {
    let done = harbour.moved("one", 2).await;
    assert_eq!(done["to"], "b");
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    harbour.started("one", 2).await;
    harbour.runs_on("one", "b").await;
    harbour.site.hook.notified("the switch", |told| told["event"] == "switch").await;
    harbour.all_counted("one", certain).await;
    let failures = harbour.site.failures("one").await;
    let of = |outcome: &str| failures.iter().filter(|failure| failure["outcome"] == outcome).count();
    assert_eq!((of("switching"), of("repeat") + of("stale")), (1, failures.len() - 1), "{failures:#?}");
    for failure in &failures {
        assert_eq!((&failure["generation"], &failure["reporter"]), (&json!(1), &json!("agent")), "{failure:#}");
    }
    harbour.only_blamed("a").await;
    harbour.close().await;
    assert_eq!(harbour.site.hook.ids("switch").len(), 1);
    assert_eq!(harbour.site.events("switch.completed").len(), 1);
    assert_eq!(harbour.site.events("log.gap").len(), 0);
    harbour.started("one", 2).await;
}

async fn a_burst_is_one_switch(lines: usize) {
    let mut harbour = Harbour::open(Setup::new(&["a", "b", "c"], &["one"])).await;
    // Its stop takes the whole grace.
    harbour.site.tell("one", "ignore-term").await;
    harbour.print("one", &burst(lines)).await;
    it_was_one_move(&mut harbour, lines).await;
}

#[tokio::test]
async fn s1_two_lines_are_one_switch() {
    a_burst_is_one_switch(2).await;
}

#[tokio::test]
async fn s1_twenty_lines_are_one_switch() {
    a_burst_is_one_switch(20).await;
}

#[tokio::test]
async fn s1_a_hundred_lines_are_one_switch() {
    a_burst_is_one_switch(100).await;
}

/// The last words of the old life are about what it ran on, however late they are read.
#[tokio::test]
async fn s1_what_the_old_life_prints_while_it_is_stopped_is_stale() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b", "c"], &["one"])).await;
    let last_words: Vec<String> = (0..5_000).map(chatter).chain(burst(50)).collect();
    let file = harbour.lay("one", &last_words);
    harbour.site.tell("one", &format!("at-term {file}")).await;
    harbour.print("one", &burst(1)).await;
    it_was_one_move(&mut harbour, 51).await;
}

/// Lines one after the other, until the life that prints them is ended by force.
async fn a_trickle_is_one_switch(subscriptions: usize, grace: &str) {
    const LINES: usize = 26;
    let mut setup = Setup::new(&SUBSCRIPTIONS[..subscriptions], &["one"]);
    setup.agents[0].lines = format!("stop_grace = {grace:?}\n");
    let mut harbour = Harbour::open(setup).await;
    harbour.site.tell("one", "ignore-term").await;
    let file = harbour.lay("one", &burst(LINES));
    let every = Duration::from_secs(5) / (u32::try_from(LINES).unwrap() - 1);
    harbour.site.tell("one", &format!("print-file {file} {}", every.as_millis())).await;
    harbour.moved("one", 2).await;
    // The old life was ended somewhere in it: what it has printed counts, and no more.
    let printed = harbour.engine.printed(harbour.container("one")).await;
    let lines = printed.lines().filter(|line| line.contains("rejected") || line.contains("hit your limit")).count();
    assert!(lines > 5, "{printed}");
    it_was_one_move(&mut harbour, lines).await;
}

#[tokio::test]
async fn s2_slowly_with_three_subscriptions() {
    a_trickle_is_one_switch(3, "3s").await;
}

#[tokio::test]
async fn s2_slowly_with_ten_subscriptions() {
    a_trickle_is_one_switch(10, "2s").await;
}

/// All of them are printed before the old life goes.
#[tokio::test]
async fn s2_to_the_end_with_three_subscriptions() {
    a_trickle_is_one_switch(3, "7s").await;
}

#[tokio::test]
async fn s2_at_once_with_ten_subscriptions() {
    let mut harbour = Harbour::open(Setup::new(&SUBSCRIPTIONS, &["one"])).await;
    harbour.print("one", &burst(26)).await;
    it_was_one_move(&mut harbour, 26).await;
}
