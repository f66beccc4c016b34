//! S13: the engine goes away in the middle of a switch, at each of its calls, with the call done or not; and the daemon
//! is killed while it is away.

use serde_json::json;

use crate::dock::{Dock, ONE};
use crate::engine_proxy::{Kind, Side};
use crate::outages::degraded;

/// The calls that every switch makes: two looks before the order, the driver's own, the order, and one after it.
const CALLS: usize = 5;

struct Torn {
    dock: Dock,
}

impl Torn {
    /// The engine goes away around this call of the switch.
    async fn away_at(&self, number: usize, side: Side) -> u64 {
        self.dock.site.serving(ONE).await;
        let (from, generation) = self.dock.assignment(ONE).await;
        let to = if from == "a" { "b" } else { "a" };
        let hold = self.dock.proxy.hold(side, self.dock.call_of_switch(number, to));
        self.dock.fail_and_switch(generation).await;
        hold.reached().await;
        self.dock.proxy.go_away().await;
        hold.abandon();
        degraded(&self.dock).await;
        generation + 1
    }

    /// It comes back, and everything is finished.
    async fn back(&self, what: &str, from: &str, generation: u64, starts: usize) {
        self.dock.proxy.come_back().await;
        let done = self.dock.completed(generation).await;
        assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{what}: {done:#}");
        self.dock.started(starts + 1).await;
        self.dock.runs_on(if from == "a" { "b" } else { "a" }).await;
        self.dock.forgive(from).await;
    }
}

async fn torn_at_each_call(side: Side) {
    let mut torn = Torn { dock: Dock::running().await };
    for number in 0..CALLS {
        let ((from, _), starts) = (torn.dock.assignment(ONE).await, torn.dock.starts().await.len());
        let base = torn.dock.proxy.calls().len();
        let generation = torn.away_at(number, side).await;
        torn.back(&format!("{side:?} call {number}"), &from, generation, starts).await;
        let orders = torn.dock.orders(base);
        assert!(orders.len() <= 2, "{side:?} call {number}: {orders:#?}");
        torn.dock.site.event("engine.back", |_| true).await;
        let told = |name| torn.dock.site.log().lines().iter().filter(|line| line["event"] == name).count();
        assert_eq!((told("engine.lost"), told("engine.back")), (1, 1), "{side:?} call {number}");
        // Each outage is the first one that the daemon sees: it grows patient with an engine that comes and goes.
        assert!(torn.dock.site.stop().await.success());
        torn.dock.site.start().await;
    }
}

#[tokio::test]
async fn s13_an_engine_that_goes_away_before_each_call_of_a_switch() {
    torn_at_each_call(Side::Before).await;
}

#[tokio::test]
async fn s13_an_engine_that_goes_away_after_each_call_of_a_switch() {
    torn_at_each_call(Side::After).await;
}

#[tokio::test]
async fn s11_killed_while_the_engine_is_away() {
    let mut torn = Torn { dock: Dock::running().await };
    for side in [Side::Before, Side::After] {
        for number in 0..CALLS {
            let ((from, _), starts) = (torn.dock.assignment(ONE).await, torn.dock.starts().await.len());
            let base = torn.dock.proxy.calls().len();
            let generation = torn.away_at(number, side).await;
            torn.dock.site.kill().await;
            torn.dock.site.start().await;
            torn.dock.site.event("switch.recovered", |event| event["generation"] == generation).await;
            degraded(&torn.dock).await;
            let what = format!("{side:?} call {number}");
            torn.back(&what, &from, generation, starts).await;
            let restarts = torn.dock.proxy.since(base).into_iter().filter(|call| call.kind == Kind::Restart).count();
            assert!((1..=2).contains(&restarts), "{what}: {restarts} restarts were ordered");
        }
    }
    assert_eq!(torn.dock.site.switches(ONE).await.len(), 2 * CALLS);
}
