//! `demo`: the whole job on this machine, without Docker and without an account.
//!
//! The real daemon runs as a child, on a state directory of its own, with two child-process agents and three
//! subscriptions whose provider is a folder. One subscription hits its limit while a front end has many turns out; they
//! fail over several seconds, before, during and after the switch. What the daemon logs is shown as it comes; at
//! the end everything is counted, from the daemon's own history, and held against what it should be.

mod agent;
mod stage;
mod story;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{Call, Daemon};
use super::{Environment, Output};
use crate::error::{Exit, Failure};
use stage::Stage;

pub(super) use agent::work;

/// The agent whose subscription runs out.
const AGENT: &str = "writer";
/// The whole show; more is a fault.
const SHOW_MAX: Duration = Duration::from_secs(60);
/// When the turns that were out fail, in milliseconds after the limit was hit: the burst, and the stragglers.
const FAILURES_MS: [u64; 20] = [0, 0, 0, 0, 0, 0, 10, 20, 30, 40, 60, 100, 150, 250, 400, 800, 1200, 1700, 2300, 3000];

fn failed(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, "demo_failed", why)
}

/// Shows one burst, one switch, one restart.
///
/// # Errors
/// If the daemon of the demo does not do its job.
pub fn demo(environment: &Environment, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| failed(format!("cannot begin: {why}")))?;
    runtime.block_on(async {
        tokio::time::timeout(SHOW_MAX, show(environment, output))
            .await
            .unwrap_or_else(|_| Err(failed(format!("it took longer than {} s", SHOW_MAX.as_secs()))))
    })
}

async fn show(environment: &Environment, output: &mut Output) -> Result<(), Failure> {
    let mut stage = Stage::set(environment).map_err(|why| failed(format!("cannot set the stage: {why}")))?;
    if !output.is_json() {
        output.text(&format!("Three subscriptions, two agents, one daemon ({}).\n\n", stage.config().display()))?;
    }
    let outcome = play(environment, output, &mut stage).await;
    stage.strike().await;
    let outcome = outcome?;
    if output.is_json() {
        output.document(&outcome.document())?;
    } else {
        output.text(&outcome.summary())?;
    }
    outcome.verdict()
}

async fn play(environment: &Environment, output: &mut Output, stage: &mut Stage) -> Result<Counts, Failure> {
    let daemon = Daemon::new(stage.socket(), "the demo".to_owned(), environment.clock.clone(), false);
    let is_up = |document: &Map<String, Value>| {
        let agents = document.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
        agents.len() == 2 && agents.iter().all(|agent| agent["phase"] == "serving" && agent["assignment"].is_object())
    };
    let mut story = story::Story::begin(&*environment.clock, output.is_json());
    story.follow(stage, output, &daemon, is_up).await?;
    let before = agent(&daemon).await?;
    let (on, generation) = (before["assignment"]["subscription"].clone(), before["assignment"]["generation"].clone());
    let on = on.as_str().ok_or_else(|| failed("the agent has no subscription"))?.to_owned();
    if !output.is_json() {
        output.text(&format!(
            "\n{on} hits its limit while {AGENT} has {} turns out; they fail over 3 s:\n\n",
            FAILURES_MS.len()
        ))?;
    }
    stage.hit_limit(&on).map_err(|why| failed(format!("cannot set the limit: {why}")))?;
    let outcomes = fail_turns(environment, &daemon, &on, &generation, output, stage, &mut story).await?;
    let now = agent(&daemon).await?;
    let switches = daemon.call(Call::get(&["v1", "switches"]).with("limit", "100")).await?;
    let agents = daemon.call(Call::get(&["v1", "agents"])).await?;
    Ok(Counts::of(outcomes, &switches, &agents, &now, &on))
}

async fn agent(daemon: &Daemon) -> Result<Map<String, Value>, Failure> {
    daemon.call(Call::get(&["v1", "agents", AGENT])).await
}

/// The front end: each turn that was out reports its failure, with the generation it was dispatched in.
async fn fail_turns(
    environment: &Environment,
    daemon: &Daemon,
    on: &str,
    generation: &Value,
    output: &mut Output,
    stage: &mut Stage,
    story: &mut story::Story<'_>,
) -> Result<BTreeMap<String, u64>, Failure> {
    let report = |number: usize, after: u64| async move {
        environment.clock.sleep(Duration::from_millis(after)).await;
        let body = json!({
            "id": format!("turn-{number}"), "kind": "rate_limit", "scope": "five_hour",
            "subscription": on, "generation": generation,
        });
        daemon.call(Call::post(&["v1", "agents", AGENT, "failures"], body)).await
    };
    let turns = FAILURES_MS.iter().enumerate().map(|(number, after)| report(number, *after));
    let all = futures_util::future::try_join_all(turns);
    let mut outcomes = BTreeMap::new();
    let answers = story.meanwhile(stage, output, all).await??;
    for answer in answers {
        let outcome = answer.get("outcome").and_then(Value::as_str).unwrap_or("none");
        *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
    }
    Ok(outcomes)
}

/// What happened, from the daemon's own history.
struct Counts {
    outcomes: BTreeMap<String, u64>,
    switches: u64,
    restarts: u64,
    from: String,
    to: String,
    others_moved: bool,
    took_ms: u64,
}

impl Counts {
    fn of(
        outcomes: BTreeMap<String, u64>,
        switches: &Map<String, Value>,
        agents: &Map<String, Value>,
        now: &Map<String, Value>,
        from: &str,
    ) -> Self {
        let rows = switches.get("switches").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "switch").collect();
        let sum = |member: &str| ours.iter().filter_map(|row| row[member].as_u64()).sum();
        let agents = agents.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
        Self {
            outcomes,
            switches: ours.len() as u64,
            restarts: sum("restarts"),
            from: from.to_owned(),
            to: now["assignment"]["subscription"].as_str().unwrap_or("nothing").to_owned(),
            others_moved: agents.iter().any(|agent| agent["name"] != AGENT && agent["assignment"]["generation"] != 1),
            took_ms: sum("drain_ms") + sum("apply_ms") + sum("ready_ms"),
        }
    }

    fn count(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }

    fn reports(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        document.insert("reports".to_owned(), json!(self.reports()));
        document.insert("outcomes".to_owned(), json!(self.outcomes));
        document.insert("switches".to_owned(), json!(self.switches));
        document.insert("restarts".to_owned(), json!(self.restarts));
        document.insert("from".to_owned(), json!(self.from));
        document.insert("to".to_owned(), json!(self.to));
        document
    }

    fn summary(&self) -> String {
        format!(
            "\n  reports   {:>3}   one burst about {}\n  \
             switching {:>3}   started the switch\n  \
             repeat    {:>3}   while it was under way\n  \
             stale     {:>3}   about the generation before it: dropped\n  \
             switches  {:>3}   {} → {}, in {} ms\n  \
             restarts  {:>3}\n\n\
             One burst, one switch, one restart; the rest were stale or repeats.\n",
            self.reports(),
            self.from,
            self.count("switching"),
            self.count("repeat"),
            self.count("stale"),
            self.switches,
            self.from,
            self.to,
            self.took_ms,
            self.restarts,
        )
    }

    /// The demo is a check as well: anything but one switch and one restart is a failure.
    fn verdict(&self) -> Result<(), Failure> {
        let dropped = self.count("repeat") + self.count("stale");
        let is_right = self.switches == 1
            && self.restarts == 1
            && self.count("switching") == 1
            && dropped + 1 == self.reports()
            && self.to != self.from
            && !self.others_moved;
        if is_right { Ok(()) } else { Err(failed("this is not what should have happened")) }
    }
}
