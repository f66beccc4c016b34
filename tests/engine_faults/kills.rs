//! S11: the daemon is killed around every call of the engine that a switch makes, and at every commit of it. Its next
//! life finishes what was begun: one container, one restart, one switch, told of under one id.
//!
//! | killed | the call |
//! |---|---|
//! | `NotSent` | never reaches the engine |
//! | `UnderWay` | reaches the engine when nobody waits for it any more |
//! | `Done` | was carried out; the answer is lost |

use std::collections::{BTreeMap, BTreeSet};

use bollard::query_parameters::ListContainersOptionsBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dock::{Dock, ONE};
use crate::engine_proxy::{Call, Hold, Kind, Side};
use crate::http::Answered;
use crate::program::eventually;

/// What the log tells of a switch, each right after a commit or an effect.
const STEPS: [&str; 4] = ["switch.started", "switch.drained", "switch.applied", "switch.completed"];

/// No switch makes so many calls.
const CALLS_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    NotSent,
    UnderWay,
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Around this call of the switch, counted from 0.
    Call(usize, At),
    /// With its restart on the way, which reaches the engine after the next life of the daemon has looked.
    LateRestart,
    /// As soon as the log tells this.
    Event(&'static str),
}

struct Rounds {
    dock: Dock,
    count: u32,
    /// How often the daemon was killed at a call of each kind.
    killed: BTreeMap<String, u32>,
}

impl Rounds {
    async fn begin() -> Self {
        Self { dock: Dock::running().await, count: 0, killed: BTreeMap::new() }
    }

    /// A switch that is killed at the moment; false if it was over before the moment came.
    async fn round(&mut self, moment: Moment) -> bool {
        self.count += 1;
        self.dock.site.serving(ONE).await;
        let (from, generation) = self.dock.assignment(ONE).await;
        let (to, what) = (if from == "a" { "b" } else { "a" }, format!("round {} ({moment:?})", self.count));
        let known = self.dock.site.switches(ONE).await.len();
        let (starts, container) = (self.dock.starts().await.len(), self.dock.seen().await.id);

        let hold = self.hold(moment, to);
        let base = self.dock.proxy.calls().len();
        let first = self.send(generation);
        let (first, reached) = tokio::join!(first, self.reached(moment, hold.as_ref(), generation + 1));
        let was_killed = reached.is_some();
        let is_lost = matches!(moment, Moment::Call(_, At::NotSent))
            && reached.as_ref().is_some_and(|call| call.as_ref().is_some_and(Call::is_order));
        if let Some(call) = reached {
            self.kill(moment, hold, call, base).await;
            let second = self.send(generation).await.unwrap_or_else(|| panic!("{what}: no answer"));
            answers_hold(&what, first.as_ref(), &second);
        } else {
            self.dock.proxy.calm();
        }
        let now = eventually(&format!("{what}: the switch is over"), async || {
            let now = self.dock.site.serving(ONE).await;
            (now["assignment"]["generation"].as_u64() > Some(generation)).then_some(now)
        })
        .await;
        assert_eq!(now["assignment"]["generation"], generation + 1, "{what}: {now:#}");
        assert_eq!(now["assignment"]["subscription"], to, "{what}: {now:#}");
        let switches = self.dock.site.switches(ONE).await;
        assert_eq!(switches.len(), known + 1, "{what}: {switches:#?}");
        let expected = (&json!("ready"), &json!(to), &json!(1));
        assert_eq!((&switches[0]["outcome"], &switches[0]["to"], &switches[0]["restarts"]), expected, "{what}");
        self.dock.started(starts + 1).await;
        self.dock.runs_on(to).await;
        // What may be under way is waited for; only what never came is ordered again. (A container that stands still
        // in the midst of its restart is told to start, which changes nothing.)
        let restarts = self.dock.proxy.count(Kind::Restart, base);
        assert_eq!(restarts, 1 + usize::from(is_lost), "{what}: {:#?}", self.dock.orders(base));
        assert_eq!(self.dock.delivered(), self.dock.site.folder.credential(to), "{what}");
        assert_eq!(self.containers().await, [container], "{what}");
        self.dock.site.hook.notified("the switch", |told| told["switch"] == switches[0]["id"]).await;
        self.dock.forgive(&from).await;
        was_killed
    }

    fn hold(&self, moment: Moment, to: &str) -> Option<Hold> {
        let proxy = &self.dock.proxy;
        match moment {
            Moment::Call(number, at) => {
                let side = if at == At::Done { Side::After } else { Side::Before };
                Some(proxy.hold(side, self.dock.call_of_switch(number, to)))
            }
            Moment::LateRestart => Some(proxy.hold(Side::Before, |call| call.kind == Kind::Restart)),
            Moment::Event(_) => None,
        }
    }

    /// Resolves when the moment has come, with the call if it is one; or with nothing when the switch is over.
    async fn reached(&self, moment: Moment, hold: Option<&Hold>, generation: u64) -> Option<Option<Call>> {
        match (moment, hold) {
            (Moment::Call(..) | Moment::LateRestart, Some(hold)) => tokio::select! {
                call = hold.reached() => Some(Some(call)),
                () = self.is_over(generation) => None,
            },
            (Moment::Event(name), _) => {
                let is_it = |event: &Value| event["agent"] == ONE && event["generation"] == generation;
                self.dock.site.event(name, is_it).await;
                Some(None)
            }
            (Moment::Call(..) | Moment::LateRestart, None) => unreachable!("a call is held"),
        }
    }

    /// The new life of the agent was seen after the switch was completed.
    async fn is_over(&self, generation: u64) {
        self.dock.completed(generation).await;
        eventually("the last look is answered", async || {
            let (now, seen) = (self.dock.site.agent(ONE).await, self.dock.seen().await);
            (now["runtime"]["started_at"] == seen.started_at.as_str()).then_some(())
        })
        .await;
    }

    /// The daemon is killed, and its next life has begun.
    async fn kill(&mut self, moment: Moment, hold: Option<Hold>, call: Option<Call>, base: usize) {
        self.dock.site.daemon().signal(Signal::KILL);
        self.dock.site.exited().await;
        let kind = call.map_or("commit".to_owned(), |call| format!("{:?}", call.kind));
        *self.killed.entry(kind).or_default() += 1;
        let (at, Some(hold)) = (moment, hold) else { return self.dock.site.start().await };
        match at {
            Moment::Call(_, At::UnderWay) => {
                hold.release();
                self.dock.site.start().await;
            }
            Moment::LateRestart => {
                let killed_at = self.dock.proxy.calls().len();
                assert!(killed_at > base);
                self.dock.site.start().await;
                let has_looked = |call: &Call| call.kind == Kind::Inspect && call.answered == Some(200);
                self.dock.proxy.called("it looks", |calls| calls[killed_at..].iter().any(has_looked)).await;
                hold.release();
            }
            Moment::Call(_, At::NotSent | At::Done) | Moment::Event(_) => {
                hold.abandon();
                self.dock.site.start().await;
            }
        }
    }

    async fn send(&self, generation: u64) -> Option<Answered> {
        let report = json!({"id": format!("round-{}", self.count), "kind": "rate_limit", "generation": generation});
        self.dock.site.try_call("POST", &format!("/v1/agents/{ONE}/failures"), Some(&report)).await
    }

    async fn containers(&self) -> Vec<String> {
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let listed = self.dock.engine.client.list_containers(Some(all)).await.unwrap();
        listed.into_iter().map(|container| container.id.unwrap()).collect()
    }

    /// After all rounds: every switch was told, under one id, and none more than twice.
    async fn end(mut self) {
        let switches = self.dock.site.switches(ONE).await.len();
        assert!(self.dock.site.stop().await.success());
        let told = self.dock.site.hook.ids("switch");
        let distinct: BTreeSet<&String> = told.iter().collect();
        for id in &distinct {
            let times = told.iter().filter(|other| other == id).count();
            assert!(times <= 2, "{id} was told {times} times");
        }
        assert_eq!(distinct.len(), switches, "{told:?}");
    }
}

/// Who was answered before the kill is answered the same after it.
fn answers_hold(what: &str, first: Option<&Answered>, second: &Answered) {
    let outcome = second.body["outcome"].as_str().unwrap_or_default();
    assert!(["switching", "repeat", "stale", "held"].contains(&outcome), "{what}: {}", second.text);
    if let Some(first) = first {
        let mut again = first.body.clone();
        again["duplicate"] = json!(true);
        assert_eq!(second.body, again, "{what}");
    }
}

/// Kills around every call, from the first to the last one of a switch.
async fn killed_around_each_call(at: At) {
    let mut rounds = Rounds::begin().await;
    for _ in 0..2 {
        for number in 0..=CALLS_MAX {
            assert!(number < CALLS_MAX, "a switch makes more and more calls");
            if !rounds.round(Moment::Call(number, at)).await {
                break;
            }
        }
    }
    assert!(rounds.killed.get("Restart") >= Some(&2), "{:?}", rounds.killed);
    assert!(rounds.killed.get("Inspect") >= Some(&8), "{:?}", rounds.killed);
    rounds.end().await;
}

#[tokio::test]
async fn s11_killed_before_each_call_is_sent() {
    killed_around_each_call(At::NotSent).await;
}

#[tokio::test]
async fn s11_killed_while_each_call_is_under_way() {
    killed_around_each_call(At::UnderWay).await;
}

#[tokio::test]
async fn s11_killed_after_each_call_is_done() {
    killed_around_each_call(At::Done).await;
}

#[tokio::test]
async fn s11_killed_with_a_restart_that_reaches_the_engine_late() {
    let mut rounds = Rounds::begin().await;
    for _ in 0..3 {
        assert!(rounds.round(Moment::LateRestart).await);
    }
    assert_eq!(rounds.killed.get("Restart"), Some(&3), "{:?}", rounds.killed);
    rounds.end().await;
}

#[tokio::test]
async fn s11_killed_at_each_commit() {
    let mut rounds = Rounds::begin().await;
    for _ in 0..3 {
        for step in STEPS {
            assert!(rounds.round(Moment::Event(step)).await);
        }
    }
    rounds.end().await;
}
