//! The readers of logs: what a line does, from where they go on, and what they say when there is nothing to read.

use std::sync::Arc;
use std::time::Duration;

use switchman::classify::Zone;
use switchman::domain::{AgentName, FailureKind, Generation, Instance, Outcome};
use switchman::drivers::fake::logs::FakeLogs;
use switchman::machine::agent::Phase;
use switchman::ports::logs::LogError;
use switchman::ports::store::{Store, StoreError};

use crate::rig::Rig;

const LIMIT: &str =
    r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour"}}"#;

fn one() -> AgentName {
    "one".into()
}

/// The life of the agent's container, as the runtime shows it.
fn life(rig: &Rig) -> Instance {
    rig.state("one").sighting.clone().and_then(|seen| seen.instance).expect("it was seen")
}

/// An agent that runs on `a` and whose log is followed.
async fn followed() -> (Rig, Arc<FakeLogs>) {
    let logs = Arc::new(FakeLogs::new());
    let rig = Rig::new(&["one"]).runs("one", "a").with_logs(&logs).start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    logs.start(&one(), &life(&rig));
    logs.until_open(&one()).await;
    (rig, logs)
}

fn serves_in(generation: u64) -> impl Fn(&switchman::machine::agent::AgentState) -> bool {
    move |state| state.generation() == Generation(generation) && matches!(state.phase, Phase::Serving)
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_lines_moves_the_agent_once_and_the_old_lifes_lines_are_the_pasts() {
    let (rig, logs) = followed().await;
    for _ in 0..50 {
        logs.print(&one(), "chatter about rate_limit_event");
        logs.print(&one(), LIMIT);
    }
    rig.until("one", serves_in(2)).await;
    // The stream of the old life is still open, and has more to say.
    logs.print(&one(), LIMIT);
    rig.sleep(Duration::from_secs(90)).await;
    assert_eq!(rig.state("one").generation(), Generation(2));
    assert_eq!(rig.world.starts_ordered(&one()), 1);
    let failures = rig.failures("one").await;
    assert!(failures.iter().all(|failure| failure.generation == Some(Generation(1))), "{failures:#?}");
    assert_eq!(failures.iter().map(|failure| failure.count).sum::<u64>(), 51);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_daemon_reading_goes_on_where_it_was() {
    let (rig, logs) = followed().await;
    logs.print(&one(), LIMIT);
    rig.until("one", serves_in(2)).await;
    let known = rig.store.log_positions().await.expect("readable");
    assert_eq!(known.len(), 1, "it is written with the failure: {known:?}");
    let rig = rig.restart().await;
    rig.until("one", |state| state.sighting.is_some()).await;
    logs.until_open(&one()).await;
    assert_eq!(logs.opened(&one()).last().cloned().flatten(), Some(known[0].1.clone()));
    rig.sleep(Duration::from_secs(90)).await;
    assert_eq!(rig.failures("one").await.iter().map(|failure| failure.count).sum::<u64>(), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_or_breaks_is_opened_again_without_loss() {
    let (rig, logs) = followed().await;
    logs.print(&one(), "first");
    logs.end_streams(&one());
    logs.print(&one(), "second");
    rig.sleep(Duration::from_secs(40)).await;
    logs.break_streams(&one(), LogError::Broken("cut".to_owned()));
    logs.print(&one(), LIMIT);
    rig.until("one", serves_in(2)).await;
    assert_eq!(rig.failures("one").await.len(), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_opened_again() {
    let (rig, logs) = followed().await;
    let opened = logs.opened(&one()).len();
    rig.sleep(Duration::from_secs(250)).await;
    assert!(logs.opened(&one()).len() >= opened + 2, "{:?}", logs.opened(&one()));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_said_so_and_tried_again() {
    let logs = Arc::new(FakeLogs::new());
    let why = "the log driver none keeps nothing".to_owned();
    logs.fail_open(&one(), LogError::Unreadable { agent: one(), why: why.clone() });
    let rig = Rig::new(&["one"]).runs("one", "a").with_logs(&logs).start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    let trouble = || rig.switchman().agent("one").expect("known").log_trouble;
    assert_eq!(trouble(), Some(why));
    logs.start(&one(), &life(&rig));
    rig.sleep(Duration::from_secs(70)).await;
    assert_eq!(trouble(), None);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_log_could_be_opened_for_the_first_time_is_read() {
    let logs = Arc::new(FakeLogs::new());
    for _ in 0..3 {
        logs.fail_open(&one(), LogError::Unreachable("no engine".to_owned()));
    }
    let rig = Rig::new(&["one"]).runs("one", "a").with_logs(&logs).start().await;
    rig.until("one", |state| state.assignment.is_some()).await;
    logs.start(&one(), &life(&rig));
    logs.print_at(&one(), (crate::rig::START.0 + 500) * 1_000_000, LIMIT);
    rig.sleep(Duration::from_secs(2)).await;
    rig.until("one", serves_in(2)).await;
    assert!(rig.elapsed() < Duration::from_secs(60), "{:?}: it is not found by chance, later", rig.elapsed());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_makes_the_agent_be_looked_at() {
    let (rig, logs) = followed().await;
    for number in 0..10 {
        logs.print(&one(), format!("line {number}"));
    }
    rig.sleep(Duration::from_secs(10)).await;
    let looks = rig.looks("one");
    logs.end_streams(&one());
    rig.sleep(Duration::from_millis(10)).await;
    logs.print(&one(), "more");
    logs.lose_first(&one(), 10);
    rig.sleep(Duration::from_secs(40)).await;
    assert!(rig.looks("one") > looks);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("switchman_log_gaps_total 1"), "{metrics}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_over_long_before_its_line_was_read_moves_nobody() {
    let (rig, logs) = followed().await;
    rig.sleep(Duration::from_secs(3 * 3600)).await;
    let began = crate::rig::START.0 / 1_000;
    let stated = LIMIT.replace("\"rateLimitType\"", &format!("\"resetsAt\":{},\"rateLimitType\"", began + 600));
    for over in [stated.as_str(), LIMIT] {
        logs.print_at(&one(), (began + 60) * 1_000_000_000, over);
    }
    rig.sleep(Duration::from_secs(10)).await;
    assert_eq!((rig.state("one").generation(), rig.failures("one").await.len()), (Generation(1), 0));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_could_not_be_recorded_is_recorded_when_the_store_takes_it_again() {
    let (rig, logs) = followed().await;
    rig.store.fail_commits(3, &StoreError::Unavailable("no space".to_owned()));
    logs.print(&one(), LIMIT);
    rig.until("one", serves_in(2)).await;
    let failures = rig.failures("one").await;
    assert_eq!(
        failures.iter().map(|failure| (failure.kind, failure.outcome)).collect::<Vec<_>>(),
        [(FailureKind::RateLimit, Outcome::Switching)]
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_zone_that_a_container_keeps_is_that_of_its_agent() {
    let (rig, logs) = followed().await;
    let zone = || rig.switchman().agent("one").expect("known").zone;
    assert_eq!(zone(), Zone::UTC);
    for (kept, expected) in [("Europe/Rome", Zone::named("Europe/Rome")), ("Nowhere/At all", Some(Zone::UTC))] {
        logs.keep_zone(&one(), kept);
        let opened = logs.opened(&one()).len();
        logs.end_streams(&one());
        while logs.opened(&one()).len() == opened {
            rig.sleep(Duration::from_millis(100)).await;
        }
        rig.sleep(Duration::from_millis(1)).await;
        assert_eq!(Some(zone()), expected, "{kept}");
    }
    rig.stop().await;
}
