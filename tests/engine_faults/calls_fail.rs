//! S13: an engine call goes wrong, once or for a while: it is tried again, boundedly; nobody else waits; the switch
//! ends well and with one restart.

use serde_json::json;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::dock::{Dock, ONE, OTHER, Plan};
use crate::engine_proxy::{Deed, Kind, Side};

/// A switch of an agent that has nothing to do with the engine takes no longer.
const OTHER_MS: u64 = 2_000;

/// Ways in which a call goes wrong, and whether the engine has done it nevertheless.
const DEEDS: [(Deed, bool); 7] = [
    (Deed::Answer(500), false),
    (Deed::Answer(409), false),
    (Deed::Close, false),
    (Deed::Hang, false),
    (Deed::DoneButAnswer(500), true),
    (Deed::DoneButAnswer(409), true),
    (Deed::DoneButClose, true),
];

/// The other agent switches now, in time.
pub(crate) async fn other_is_unaffected(dock: &Dock) {
    let (subscription, generation) = dock.assignment(OTHER).await;
    let clock = SystemClock::new();
    let asked_at = clock.now().steady;
    let answer = dock.fail_as(OTHER, generation).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    let is_it = |event: &serde_json::Value| event["agent"] == OTHER && event["generation"] == generation + 1;
    let done = dock.site.event("switch.completed", is_it).await;
    let took = clock.now().steady.0 - asked_at.0;
    assert_eq!(done["outcome"], "ready", "{done:#}");
    assert!(took < OTHER_MS, "the other agent's switch took {took} ms");
    dock.forgive(&subscription).await;
}

/// One switch whose calls of a kind go wrong so many times.
async fn switch_with(dock: &Dock, kind: Kind, (deed, is_done): (Deed, bool), times: usize) {
    let what = format!("{times} x {kind:?} {deed:?}");
    let (subscription, generation) = dock.assignment(ONE).await;
    let (base, starts) = (dock.proxy.calls().len(), dock.starts().await.len());
    let restart = (kind == Kind::Start).then(|| dock.proxy.hold(Side::Before, |call| call.kind == Kind::Restart));
    dock.proxy.disturb_next(times, kind, deed);
    dock.fail_and_switch(generation).await;
    if let Some(restart) = restart {
        // A start is ordered only where a restart was left half done.
        restart.reached().await;
        dock.stop_by_hand().await;
        restart.abandon();
    }
    dock.proxy.called(&what, |calls| calls[base..].iter().any(|call| call.kind == kind)).await;
    other_is_unaffected(dock).await;
    assert_eq!(dock.site.call("GET", "/healthz", None).await.status, 200, "{what}");
    let done = dock.completed(generation + 1).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{what}: {done:#}");
    dock.started(starts + 1).await;
    dock.runs_on(if subscription == "a" { "b" } else { "a" }).await;
    let expected = match kind {
        _ if is_done => 1,
        Kind::Restart | Kind::Start => times + 1,
        Kind::Ping | Kind::Events | Kind::Inspect | Kind::Other => 1,
    };
    let orders = dock.orders(base).len() - usize::from(kind == Kind::Start);
    assert_eq!(orders, expected, "{what}: {:#?}", dock.orders(base));
    // A switch that nobody disturbs takes six looks, and the end of a log may cause two more; each failure costs a few
    // more, not a storm of them.
    let looks = dock.proxy.count(Kind::Inspect, base);
    assert!(looks <= 10 + 4 * times, "{what}: {looks} looks");
    dock.proxy.calm();
    dock.site.serving(ONE).await;
    dock.forgive(&subscription).await;
}

async fn every_deed_to(kind: Kind, while_times: usize) {
    let dock = Dock::set(Plan { has_other: true, ..Plan::default() }).await;
    for deed in DEEDS {
        switch_with(&dock, kind, deed, 1).await;
        switch_with(&dock, kind, deed, while_times).await;
    }
    assert_eq!(dock.site.events("engine.lost"), Vec::<serde_json::Value>::new(), "it answered its pings");
    assert_eq!(dock.site.switches(ONE).await.len(), 2 * DEEDS.len());
}

#[tokio::test]
async fn s13_a_look_that_fails_is_taken_again() {
    every_deed_to(Kind::Inspect, 3).await;
}

#[tokio::test]
async fn s13_a_restart_whose_answer_is_bad_or_lost_is_one_restart() {
    every_deed_to(Kind::Restart, 2).await;
}

#[tokio::test]
async fn s13_a_start_whose_answer_is_bad_or_lost_is_one_start() {
    every_deed_to(Kind::Start, 2).await;
}

#[tokio::test]
async fn s13_an_engine_that_is_slow_but_in_time_costs_nothing_but_time() {
    let dock = Dock::running().await;
    let base = dock.proxy.calls().len();
    for kind in [Kind::Inspect, Kind::Restart] {
        dock.proxy.disturb(kind, Deed::Delay(std::time::Duration::from_millis(300)));
    }
    dock.fail_and_switch(1).await;
    assert_eq!(dock.completed(2).await["outcome"], "ready");
    assert_eq!(dock.orders(base).len(), 1, "{:?}", dock.orders(base));
    dock.started(2).await;
    dock.only_switch("ready", 1).await;
}
