//! Whatever the moment at which the daemon dies: each line of a log counts, none counts twice, and one limit is one
//! switch.

use serde_json::{Value, json};

use crate::harbour::Harbour;
use crate::lines::{burst, chatter, limit, overload};
use crate::program::eventually;
use crate::setup::Setup;

/// How many failures of this kind have been counted.
async fn counted(harbour: &Harbour, kind: &str) -> u64 {
    let failures = harbour.site.failures("one").await;
    let counts = failures.iter().filter(|failure| failure["kind"] == kind).map(|failure| failure["count"].as_u64());
    counts.map(Option::unwrap).sum()
}

/// Everything that was printed before has been read, whatever came of it.
async fn all_is_read(harbour: &Harbour) {
    harbour.print("one", &[overload()]).await;
    eventually("the last line is read", async || (counted(harbour, "overload").await > 0).then_some(())).await;
}

async fn killed(harbour: &mut Harbour) {
    harbour.site.kill().await;
    harbour.site.start().await;
}

/// One switch to `b`, one restart besides those by hand, one notification.
async fn it_was_one_switch(harbour: &mut Harbour, starts: usize) {
    eventually("it serves on b", async || {
        let now = harbour.site.serving("one").await;
        (now["assignment"]["generation"] == 2).then_some(())
    })
    .await;
    harbour.runs_on("one", "b").await;
    all_is_read(harbour).await;
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    let switches = harbour.site.switches("one").await;
    assert_eq!(switches.len(), 1, "{switches:#?}");
    assert_eq!((&switches[0]["outcome"], &switches[0]["to"]), (&json!("ready"), &json!("b")));
    for failure in harbour.site.failures("one").await.iter().filter(|failure| failure["kind"] == "rate_limit") {
        assert_eq!((&failure["subscription"], &failure["generation"]), (&json!("a"), &json!(1)), "{failure:#}");
    }
    harbour.site.hook.notified("the switch", |told| told["event"] == "switch").await;
    harbour.close().await;
    harbour.started("one", starts).await;
    let mut told = harbour.site.hook.ids("switch");
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

async fn opened() -> Harbour {
    Harbour::open(Setup::new(&["a", "b", "c"], &["one"])).await
}

#[tokio::test]
async fn what_is_printed_while_the_daemon_is_down_is_found_afterwards() {
    let mut harbour = opened().await;
    harbour.site.kill().await;
    let lines: Vec<String> = (0..500).map(chatter).chain(burst(6)).chain((0..500).map(chatter)).collect();
    harbour.print("one", &lines).await;
    harbour.site.start().await;
    harbour.moved("one", 2).await;
    eventually("all are counted", async || (counted(&harbour, "rate_limit").await >= 6).then_some(())).await;
    assert_eq!(counted(&harbour, "rate_limit").await, 6);
    it_was_one_switch(&mut harbour, 2).await;
}

/// The life that printed them has gone, and it ran on the same.
#[tokio::test]
async fn what_is_printed_before_a_restart_by_hand_is_found_afterwards() {
    let mut harbour = opened().await;
    harbour.site.kill().await;
    harbour.print("one", &burst(6)).await;
    harbour.engine.restart(harbour.container("one")).await;
    harbour.started("one", 2).await;
    harbour.site.start().await;
    harbour.moved("one", 2).await;
    it_was_one_switch(&mut harbour, 3).await;
}

/// A restart by hand with the daemon alive: the old life's lines are about what both lives run on.
#[tokio::test]
async fn a_restart_by_hand_between_two_lines_changes_nothing() {
    let mut harbour = opened().await;
    harbour.print("one", &(0..100).map(chatter).collect::<Vec<_>>()).await;
    harbour.engine.restart(harbour.container("one")).await;
    harbour.started("one", 2).await;
    harbour.print("one", &burst(6)).await;
    harbour.moved("one", 2).await;
    it_was_one_switch(&mut harbour, 3).await;
}

/// Lines come one after the other, and the daemon dies as soon as its log tells this event.
async fn killed_at(event: &str) {
    let mut harbour = opened().await;
    harbour.site.tell("one", "ignore-term").await;
    let file = harbour.lay("one", &burst(30));
    harbour.site.tell("one", &format!("print-file {file} 20")).await;
    harbour.site.event(event, |event| event["agent"] == "one").await;
    killed(&mut harbour).await;
    it_was_one_switch(&mut harbour, 2).await;
    let printed = harbour.engine.printed(harbour.container("one")).await;
    let lines = printed.lines().filter(|line| line.contains("rejected") || line.contains("hit your limit")).count();
    harbour.site.start().await;
    let counted = counted(&harbour, "rate_limit").await;
    assert!((1..=lines as u64).contains(&counted), "{counted} of {lines}");
}

#[tokio::test]
async fn killed_when_the_first_line_is_recorded() {
    killed_at("failure.recorded").await;
}

#[tokio::test]
async fn killed_when_the_switch_is_decided() {
    killed_at("switch.started").await;
}

#[tokio::test]
async fn killed_when_nothing_holds_the_switch_up_any_more() {
    killed_at("switch.drained").await;
}

#[tokio::test]
async fn killed_when_the_new_life_has_begun() {
    killed_at("switch.applied").await;
}

#[tokio::test]
async fn killed_when_the_switch_is_over() {
    killed_at("switch.completed").await;
}

/// Repeats are only counted, and their count is written down; so is how far was read, and no line is counted again.
#[tokio::test]
async fn what_was_counted_before_a_kill_is_not_counted_again() {
    const LINES: usize = 20;
    let setup = Setup::new(&["a", "b"], &["one"]).switching("enabled = false\n");
    let mut harbour = Harbour::open(setup).await;
    for round in 1..=3 {
        harbour.print("one", &vec![limit(3600); LINES]).await;
        let expected = (round * LINES) as u64;
        eventually("all are written down", async || (counted(&harbour, "rate_limit").await >= expected).then_some(()))
            .await;
        killed(&mut harbour).await;
        harbour.site.serving("one").await;
    }
    all_is_read(&harbour).await;
    assert_eq!(counted(&harbour, "rate_limit").await, 3 * LINES as u64);
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
}
