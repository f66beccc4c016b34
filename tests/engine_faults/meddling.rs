//! Somebody else removes, replaces, renames or restarts the container, right before or right after each call of a
//! switch. The outcome is what is true then; at most one order is given, and none to a container that came after the
//! life which is to end was written down.
//!
//! ```text
//!   preflight   rename   before     driver's look   restart   verify   completed   last look
//!   ────┼─────────┼────────┼──────────────┼────────────┼────────┼──────────┼───────────┼────
//!   no_container    │ a new life is restarted   │ a new life is the one     │ ready
//! ```

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::dock::{Dock, ONE};
use crate::engine::fresh_name;
use crate::engine_proxy::{Call, Kind, Side};
use crate::program::eventually;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Remove,
    Replace,
    Rename,
    Restart,
}

/// The calls of a switch, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Preflight,
    BeforeLook,
    DriverLook,
    Order,
    Verify,
    LastLook,
}

const STEPS: [Step; 6] =
    [Step::Preflight, Step::BeforeLook, Step::DriverLook, Step::Order, Step::Verify, Step::LastLook];

/// What must come of it.
#[derive(Debug)]
struct Expected {
    outcomes: &'static [&'static str],
    /// Orders that name the container that was there first, and the one that came later.
    orders: (usize, usize),
    /// Starts of the container under the name, if there is one, theirs included.
    starts: usize,
}

/// `done` is the last call that the engine had answered when somebody meddled.
fn expected(act: Act, done: Option<Step>) -> Expected {
    let is_ordered = usize::from(done >= Some(Step::DriverLook));
    let is_named = done >= Some(Step::BeforeLook);
    match act {
        Act::Remove | Act::Rename => Expected {
            outcomes: match done {
                None => &["no_container"],
                // A look from before the report may have been taken for the preflight.
                Some(Step::Preflight) => &["not_running", "no_container"],
                Some(Step::BeforeLook | Step::DriverLook | Step::Order) => &["not_running"],
                Some(Step::Verify | Step::LastLook) => &["ready"],
            },
            orders: (is_ordered, 0),
            starts: 0,
        },
        Act::Replace if is_named => Expected { outcomes: &["ready"], orders: (is_ordered, 0), starts: 1 },
        Act::Replace => Expected { outcomes: &["ready"], orders: (0, 1), starts: 2 },
        Act::Restart => {
            let orders = usize::from(done != Some(Step::BeforeLook));
            Expected { outcomes: &["ready"], orders: (orders, 0), starts: 1 + orders }
        }
    }
}

struct Meddler {
    dock: Dock,
    act: Act,
}

impl Meddler {
    /// The call of the step, whatever else the daemon asks the engine.
    fn is_it(&self, step: Step, to: &str) -> impl Fn(&Call) -> bool + Send + 'static {
        let (file, new) = (self.dock.site.folder.home(ONE).join("credential"), self.dock.site.folder.credential(to));
        let (looks, is_ordered) = (AtomicUsize::new(0), AtomicBool::new(false));
        move |call: &Call| {
            let is_delivered = std::fs::read_to_string(&file).is_ok_and(|content| content.trim_end() == new);
            if call.is_order() && !is_ordered.swap(true, Ordering::SeqCst) {
                looks.store(0, Ordering::SeqCst);
                return step == Step::Order;
            }
            if call.kind != Kind::Inspect {
                return false;
            }
            if !is_delivered {
                return step == Step::Preflight;
            }
            let so_far = looks.fetch_add(1, Ordering::SeqCst);
            let is = match (is_ordered.load(Ordering::SeqCst), so_far) {
                (false, 0) => Step::BeforeLook,
                (false, _) => Step::DriverLook,
                (true, 0) => Step::Verify,
                (true, _) => Step::LastLook,
            };
            is == step
        }
    }

    async fn meddle(&mut self) {
        let name = self.dock.container.clone();
        match self.act {
            Act::Remove => self.dock.engine.remove(&name).await,
            Act::Replace => {
                self.dock.engine.remove(&name).await;
                self.dock.put_container().await;
                self.dock.start_by_hand().await;
            }
            Act::Rename => self.dock.engine.rename(&name, &fresh_name("aside")).await,
            Act::Restart => self.dock.restart_by_hand().await,
        }
    }

    async fn round(&mut self, step: Step, side: Side) {
        let what = format!("{:?} {side:?} {step:?}", self.act);
        self.dock.site.serving(ONE).await;
        let (from, generation) = self.dock.assignment(ONE).await;
        let to = if from == "a" { "b" } else { "a" };
        let (first, starts) = (self.dock.seen().await.id, self.dock.starts().await.len());
        let known: BTreeSet<String> = ids(&self.dock.site.switches(ONE).await);
        let base = self.dock.proxy.calls().len();

        let hold = self.dock.proxy.hold(side, self.is_it(step, to));
        self.dock.fail_and_switch(generation).await;
        hold.reached().await;
        self.meddle().await;
        hold.release();
        let switch = eventually(&format!("{what}: the switch is over"), async || {
            let switches = self.dock.site.switches(ONE).await;
            let new = switches.into_iter().find(|switch| !known.contains(switch["id"].as_str().unwrap()))?;
            (new["outcome"] != "under_way").then_some(new)
        })
        .await;

        let done = match side {
            Side::After => Some(step),
            Side::Before => STEPS.into_iter().rfind(|earlier| *earlier < step),
        };
        let expected = expected(self.act, done);
        let outcome = switch["outcome"].as_str().unwrap();
        assert!(expected.outcomes.contains(&outcome), "{what}: {expected:?}: {switch:#}");
        let orders = self.dock.orders(base);
        let to_first = orders.iter().filter(|line| line.contains(&first)).count();
        assert_eq!((to_first, orders.len() - to_first), expected.orders, "{what}: {expected:?}: {orders:#?}");
        let is_delivered = outcome != "no_container";
        let now = if is_delivered { to } else { &from };
        // A number that was not used is not used again.
        let newest = switch["generation"].as_u64().unwrap();
        assert!(newest > generation, "{what}: {switch:#}");
        let current = if is_delivered { newest } else { generation };
        assert_eq!(self.dock.assignment(ONE).await, (now.to_owned(), current), "{what}");
        assert_eq!(self.dock.delivered(), self.dock.site.folder.credential(now), "{what}");
        match self.act {
            Act::Remove | Act::Rename => assert_eq!(self.dock.look_at(&self.dock.container).await, None, "{what}"),
            Act::Replace => self.started(&what, expected.starts).await,
            Act::Restart => self.started(&what, starts + expected.starts).await,
        }
        self.mend(&from).await;
    }

    async fn started(&self, what: &str, times: usize) {
        let starts = eventually(&format!("{what}: it was started {times} times"), async || {
            let starts = self.dock.starts().await;
            (starts.len() >= times).then_some(starts)
        })
        .await;
        assert_eq!(starts.len(), times, "{what}: {starts:#?}");
    }

    /// The agent is well again, in a container of its name.
    async fn mend(&mut self, from: &str) {
        self.dock.forgive(from).await;
        if self.dock.look_at(&self.dock.container).await.is_none() {
            self.dock.put_container().await;
            self.dock.start_by_hand().await;
        }
        self.dock.site.serving(ONE).await;
    }
}

fn ids(switches: &[Value]) -> BTreeSet<String> {
    switches.iter().map(|switch| switch["id"].as_str().unwrap().to_owned()).collect()
}

async fn meddled_at_each_call(act: Act) {
    let mut meddler = Meddler { dock: Dock::running().await, act };
    for step in STEPS {
        for side in [Side::Before, Side::After] {
            meddler.round(step, side).await;
        }
    }
    assert_eq!(meddler.dock.site.switches(ONE).await.len(), 2 * STEPS.len());
    assert_eq!(meddler.dock.site.agent(ONE).await["phase"], json!("serving"));
}

#[tokio::test]
async fn a_container_that_is_removed_at_any_moment_of_a_switch() {
    meddled_at_each_call(Act::Remove).await;
}

#[tokio::test]
async fn a_container_that_is_replaced_at_any_moment_of_a_switch() {
    meddled_at_each_call(Act::Replace).await;
}

#[tokio::test]
async fn a_container_that_is_renamed_at_any_moment_of_a_switch() {
    meddled_at_each_call(Act::Rename).await;
}

#[tokio::test]
async fn a_container_that_is_restarted_by_hand_at_any_moment_of_a_switch() {
    meddled_at_each_call(Act::Restart).await;
}
