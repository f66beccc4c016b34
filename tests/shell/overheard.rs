//! What an agent's log says of windows: whose word it is, what it is booked on, and how often it is written down.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use switchman::domain::{AgentName, Change, Generation, Instance, Reading, Teller, Window};
use switchman::drivers::fake::logs::FakeLogs;
use switchman::machine::agent::Phase;

use crate::rig::{Rig, START};

fn one() -> AgentName {
    "one".into()
}

fn life(rig: &Rig) -> Instance {
    rig.state("one").sighting.clone().and_then(|seen| seen.instance).expect("it was seen")
}

/// Agent `one` runs on `a` and its log is followed; `two` is on `b`.
async fn followed() -> (Rig, Arc<FakeLogs>) {
    let logs = Arc::new(FakeLogs::new());
    let rig = Rig::new(&["one", "two"]).runs("one", "a").runs("two", "b").with_logs(&logs).start().await;
    for agent in ["one", "two"] {
        rig.until(agent, |state| state.assignment.is_some()).await;
    }
    logs.start(&one(), &life(&rig));
    logs.until_open(&one()).await;
    (rig, logs)
}

/// A heartbeat: the share of five hours, and of the week.
fn heartbeat(five: f64, week: f64) -> String {
    let reset = START.0 / 1000 + 4 * 3600;
    let windows = json!({"five_hour": {"utilization": five, "resetsAt": reset}, "seven_day": {"utilization": week}});
    let info = json!({"status": "allowed", "rateLimitType": "five_hour", "resetsAt": reset, "unifiedWindows": windows});
    json!({"type": "rate_limit_event", "rate_limit_info": info}).to_string()
}

fn rejected(window: &str) -> String {
    json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": window}}).to_string()
}

fn written(rig: &Rig) -> Vec<Reading> {
    let changes = rig.store.commits().into_iter().flatten();
    changes.filter_map(|change| if let Change::ReadingTaken(reading) = change { Some(reading) } else { None }).collect()
}

async fn readings(rig: &Rig, name: &str) -> Vec<(Window, Option<u16>, Teller)> {
    let status = rig.subscription(name).await;
    status.readings.into_iter().map(|one| (one.window, one.used().map(|used| used.0), one.told_by)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_the_agents_own_word_of_the_subscription_that_it_runs_on() {
    let (rig, logs) = followed().await;
    logs.print(&one(), heartbeat(0.25, 0.5));
    rig.sleep(Duration::from_secs(15)).await;
    let own = Teller::Agent(one());
    let expected = vec![(Window::FiveHour, Some(250), own.clone()), (Window::Weekly, Some(500), own)];
    assert_eq!(readings(&rig, "a").await, expected);
    assert_eq!(readings(&rig, "b").await, []);
    assert_eq!(rig.state("one").generation(), Generation(1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_says_is_refused_to_it_keeps_nobody_else_off() {
    let (rig, logs) = followed().await;
    // A refusal that is only read: the failure in the same line is what moves this agent.
    logs.print(&one(), rejected("seven_day_opus"));
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    rig.sleep(Duration::from_secs(30)).await;
    let status = rig.subscription("a").await;
    assert_eq!((status.refused, status.cooldown), (None, None), "for all others it can be picked");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chatty_agent_is_written_down_every_few_seconds_at_most() {
    let (rig, logs) = followed().await;
    for second in 0..60 {
        for part in 0..20 {
            logs.print(&one(), heartbeat(f64::from(second * 20 + part) / 2000.0, 0.5));
        }
        rig.sleep(Duration::from_secs(1)).await;
    }
    rig.sleep(Duration::from_secs(60)).await;
    let written = written(&rig);
    let of = |window| written.iter().filter(|reading| reading.window == window).count();
    assert!((5..=8).contains(&of(Window::FiveHour)), "{}", of(Window::FiveHour));
    assert!((2..=4).contains(&of(Window::Weekly)), "the same is told again now and then: {}", of(Window::Weekly));
    let last = readings(&rig, "a").await;
    assert_eq!(last[0].1, Some(600), "the newest is what is known: {last:?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_old_lifes_lines_are_not_booked_on_what_the_agent_runs_on_now() {
    let (rig, logs) = followed().await;
    logs.print(&one(), rejected("five_hour"));
    rig.until("one", |state| state.generation() == Generation(2) && matches!(state.phase, Phase::Serving)).await;
    let now_on = rig.state("one").subscription().cloned().expect("assigned").to_string();
    let before = written(&rig).len();
    // The stream of the old life is still open, and it was served once more before it ended.
    logs.print(&one(), heartbeat(0.99, 0.99));
    rig.sleep(Duration::from_secs(60)).await;
    assert!(readings(&rig, &now_on).await.iter().all(|(_, used, _)| *used != Some(990)));
    let late: Vec<Reading> = written(&rig).split_off(before).into_iter().filter(|reading| reading.serves).collect();
    assert_eq!(late, [], "nor does it undo what was found out");
    assert!(rig.switchman().subscriptions().await.expect("answers").iter().any(|status| !status.rows.is_empty()));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_makes_up_models_fills_nothing() {
    let (rig, logs) = followed().await;
    for number in 0..500 {
        let window = format!("seven_day_model{number}");
        let mut windows = serde_json::Map::new();
        windows.insert(window, json!({"utilization": 0.5}));
        let info = json!({"status": "allowed", "unifiedWindows": windows});
        logs.print(&one(), json!({"type": "rate_limit_event", "rate_limit_info": info}).to_string());
    }
    rig.sleep(Duration::from_secs(60)).await;
    assert_eq!(readings(&rig, "a").await.len(), 8);
    assert_eq!(written(&rig).len(), 8);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_what_the_agent_talks_about_is_not_overheard() {
    let (rig, logs) = followed().await;
    let inner = heartbeat(0.5, 0.5);
    for line in [
        json!({"type": "assistant", "message": {"content": [{"type": "text", "text": inner}]}}).to_string(),
        json!({"type": "user", "message": {"content": [{"type": "tool_result", "content": inner}]}}).to_string(),
        format!("+ {inner}"),
    ] {
        logs.print(&one(), line);
    }
    rig.sleep(Duration::from_secs(60)).await;
    assert_eq!(readings(&rig, "a").await, []);
    rig.stop().await;
}
