//! S13: the whole engine is away, or answers nothing but nonsense, or nothing at all. It is told once that it is lost
//! and once that it is back, the daemon stays up and says what is missing, and what was begun meanwhile is finished.

use serde_json::{Value, json};

use crate::dock::{Dock, ONE, Plan};
use crate::engine_proxy::{Deed, Kind};
use crate::program::eventually;

const ALL: [Kind; 5] = [Kind::Ping, Kind::Events, Kind::Inspect, Kind::Restart, Kind::Start];

/// As many tries as an outage is watched for.
const TRIES: usize = 4;

enum Outage {
    Refuses,
    Does(Deed),
}

/// Lives, does its work, and says what is missing.
pub(crate) async fn degraded(dock: &Dock) {
    assert_eq!(dock.site.call("GET", "/healthz", None).await.status, 200);
    eventually("it says that the engine is missing", async || {
        let ready = dock.site.call("GET", "/readyz", None).await;
        assert_eq!(ready.status, 200, "{}", ready.text);
        ready.body["degraded"][0].as_str().filter(|what| what.contains("engine")).map(|_| ())
    })
    .await;
}

async fn well(dock: &Dock) {
    eventually("nothing is degraded any more", async || {
        let ready = dock.site.call("GET", "/readyz", None).await;
        (ready.status == 200 && ready.body["degraded"] == json!([])).then_some(())
    })
    .await;
}

async fn outage(outage: Outage) {
    let dock = Dock::set(Plan { has_other: true, ..Plan::default() }).await;
    match outage {
        Outage::Refuses => dock.proxy.go_away().await,
        Outage::Does(deed) => {
            for kind in ALL {
                dock.proxy.disturb(kind, deed);
            }
            // The next ping is a moment away, not ten seconds.
            dock.proxy.cut().await;
        }
    }
    dock.site.event("engine.lost", |_| true).await;
    degraded(&dock).await;
    let base = dock.proxy.calls().len();
    dock.fail_and_switch(1).await;
    assert_eq!(dock.fail(1).await.body["outcome"], "repeat");
    crate::calls_fail::other_is_unaffected(&dock).await;
    if let Outage::Does(_) = outage {
        let has_tried = |kind| {
            move |calls: &[crate::engine_proxy::Call]| {
                calls[base..].iter().filter(|call| call.kind == kind).count() >= TRIES
            }
        };
        dock.proxy.called("it looks again", has_tried(Kind::Inspect)).await;
        // Pings grow rare as well: two tries of one do not go with a hundred of the other.
        let pings = dock.proxy.count(Kind::Ping, base);
        assert!((1..=4 * TRIES).contains(&pings), "{pings} pings");
        assert_eq!(dock.orders(base), Vec::<String>::new(), "nothing is ordered blindly");
    }
    degraded(&dock).await;
    dock.started(1).await;
    dock.proxy.calm();
    dock.proxy.come_back().await;
    dock.site.event("engine.back", |_| true).await;
    let done = dock.completed(2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    well(&dock).await;
    dock.started(2).await;
    dock.runs_on("b").await;
    dock.only_switch("ready", 1).await;
    assert_eq!(dock.site.events("engine.lost").len(), 1);
    assert_eq!(dock.site.events("engine.back").len(), 1);
}

#[tokio::test]
async fn s13_an_engine_that_refuses_connections() {
    outage(Outage::Refuses).await;
}

#[tokio::test]
async fn s13_an_engine_that_answers_500_to_everything() {
    outage(Outage::Does(Deed::Answer(500))).await;
}

#[tokio::test]
async fn s13_an_engine_that_answers_409_to_everything() {
    outage(Outage::Does(Deed::Answer(409))).await;
}

#[tokio::test]
async fn s13_an_engine_that_never_answers() {
    outage(Outage::Does(Deed::Hang)).await;
}

#[tokio::test]
async fn s13_an_engine_that_closes_every_connection() {
    outage(Outage::Does(Deed::Close)).await;
}

#[tokio::test]
async fn s13_an_outage_that_changes_its_face_is_one_outage() {
    let dock = Dock::running().await;
    dock.proxy.go_away().await;
    dock.site.event("engine.lost", |_| true).await;
    for deed in [Deed::Answer(500), Deed::Hang, Deed::Close] {
        dock.proxy.calm();
        dock.proxy.disturb(Kind::Ping, deed);
        dock.proxy.come_back().await;
        let base = dock.proxy.calls().len();
        dock.proxy.called("a ping", |calls| calls[base..].iter().any(|call| call.kind == Kind::Ping)).await;
        dock.proxy.go_away().await;
    }
    dock.proxy.calm();
    dock.proxy.come_back().await;
    dock.site.event("engine.back", |_| true).await;
    well(&dock).await;
    // And a second one is a second one.
    dock.proxy.go_away().await;
    eventually("it is lost again", async || (dock.site.events("engine.lost").len() == 2).then_some(())).await;
    dock.proxy.come_back().await;
    eventually("it is back again", async || (dock.site.events("engine.back").len() == 2).then_some(())).await;
    assert_eq!(dock.site.events("engine.lost").len(), 2);
}

#[tokio::test]
async fn s13_pings_that_fail_while_all_else_works_do_not_hold_up_a_switch() {
    let dock = Dock::running().await;
    dock.proxy.disturb(Kind::Ping, Deed::Answer(500));
    dock.site.event("engine.lost", |_| true).await;
    dock.fail_and_switch(1).await;
    assert_eq!(dock.completed(2).await["outcome"], "ready");
    dock.started(2).await;
    dock.proxy.calm();
    dock.site.event("engine.back", |_| true).await;
    assert_eq!((dock.site.events("engine.lost").len(), dock.site.events("engine.back").len()), (1, 1));
}

/// The daemon notices a restart by hand, which only an event can tell it of.
pub(crate) async fn hears_events(dock: &Dock) {
    for when in ["before", "after"] {
        eventually(&format!("the life {when} a restart by hand is seen"), async || {
            let (now, seen) = (dock.site.agent(ONE).await, dock.seen().await);
            (now["runtime"]["started_at"] == seen.started_at.as_str() && now["runtime"]["state"] == "running")
                .then_some(())
        })
        .await;
        if when == "before" {
            dock.restart_by_hand().await;
        }
    }
}

async fn events_fail(deed: Deed) {
    let dock = Dock::running().await;
    hears_events(&dock).await;
    dock.proxy.disturb(Kind::Events, deed);
    let base = dock.proxy.calls().len();
    dock.proxy.cut().await;
    let count =
        |calls: &[crate::engine_proxy::Call]| calls[base..].iter().filter(|call| call.kind == Kind::Events).count();
    dock.proxy.called("it asks again", |calls| count(calls) >= TRIES).await;
    // A switch needs no events.
    dock.fail_and_switch(1).await;
    assert_eq!(dock.completed(2).await["outcome"], "ready");
    dock.proxy.calm();
    let base = dock.proxy.calls().len();
    dock.proxy
        .called("it follows again", |calls| {
            calls[base..].iter().any(|call| call.kind == Kind::Events && call.answered == Some(200))
        })
        .await;
    hears_events(&dock).await;
    assert_eq!(dock.site.events("engine.lost"), Vec::<Value>::new(), "it answered its pings");
    dock.only_switch("ready", 1).await;
}

#[tokio::test]
async fn s13_an_engine_that_refuses_to_tell_events() {
    events_fail(Deed::Answer(500)).await;
}

#[tokio::test]
async fn s13_an_engine_that_ends_the_stream_of_events_at_once() {
    events_fail(Deed::Close).await;
}
