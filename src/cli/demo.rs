//! `demo`: the whole job on this machine, without an account; with `--docker` in containers, else without Docker too.
//!
//! The real daemon runs as a child, on a state directory of its own, with two agents and three subscriptions whose
//! provider is a folder. One subscription hits its limit while a front end has many turns out; they fail over several
//! seconds, before, during and after the switch. What the daemon logs is shown as it comes; at the end everything is
//! counted, from the daemon's own history, and held against what it should be.
//!
//! However it ends, by its end, a fault, a panic or a signal, nothing of it is left. What a killed one left is
//! removed by the next one.
//!
//! Tests: below and in the files of `demo/`; `tests/demo.rs` plays it.

mod agent;
mod containers;
mod counts;
mod folder;
mod interrupt;
mod stage;
mod story;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use futures_util::FutureExt;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Map, Value, json};

use super::client::{Call, Daemon};
use super::{Environment, Output};
use crate::error::{Exit, Failure};
use counts::{Counts, Outcomes};
use interrupt::Interrupt;
use stage::Stage;
use story::Story;

pub(super) use agent::{Work, work};

/// The agent whose subscription runs out.
const AGENT: &str = "writer";
/// The whole show; more is a fault.
const SHOW_MAX: Duration = Duration::from_secs(60);
/// When the turns that were out fail, in milliseconds after the limit was hit: the burst, and the stragglers.
const FAILURES_MS: [u64; 20] = [0, 0, 0, 0, 0, 0, 10, 20, 30, 40, 60, 100, 150, 250, 400, 800, 1200, 1700, 2300, 3000];

/// How it is played.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Play it with containers; they and their image are removed at the end.
    #[arg(long)]
    docker: bool,
}

fn failed(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, "demo_failed", why)
}

/// Shows one burst, one switch, one restart.
///
/// # Errors
/// If the daemon of the demo does not do its job.
pub fn demo(arguments: &Arguments, environment: &Environment, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| failed(format!("cannot begin: {why}")))?;
    runtime.block_on(show(arguments, environment, output))
}

/// The daemon, for as long as the demo lives.
///
/// # Errors
/// As those of [`super::run::run`].
pub(super) fn daemon(config: &Path, environment: &Environment) -> Result<(), Failure> {
    // A demo that is killed cannot end it.
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|why| failed(format!("cannot begin: {why}")))?;
    super::run::run(config, environment)
}

async fn show(arguments: &Arguments, environment: &Environment, output: &mut Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::take().map_err(|why| failed(format!("cannot take over the signals: {why}")))?;
    let stage = Stage::open(environment, arguments.docker).await?;
    let outcome = Box::pin(on(stage, async |stage: &mut Stage| {
        if stage.has_containers() && !output.is_json() {
            output.text("An image of this program, two containers of it.\n")?;
        }
        interrupt.after(stage.set()).await?;
        if !output.is_json() {
            let config = stage.config();
            output.text(&format!("Three subscriptions, two agents, one daemon ({}).\n\n", config.display()))?;
        }
        let play = async {
            tokio::time::timeout(SHOW_MAX, play(environment, output, stage))
                .await
                .unwrap_or_else(|_| Err(failed(format!("it took longer than {} s", SHOW_MAX.as_secs()))))
        };
        interrupt.or(play).await
    }))
    .await?;
    if output.is_json() {
        output.document(&outcome.document())?;
    } else {
        output.text(&outcome.summary())?;
    }
    outcome.verdict()
}

/// Plays on the stage, and strikes it whatever happens.
async fn on<T>(mut stage: Stage, play: impl AsyncFnOnce(&mut Stage) -> Result<T, Failure>) -> Result<T, Failure> {
    let outcome = AssertUnwindSafe(play(&mut stage)).catch_unwind().await;
    let struck = stage.strike().await;
    let outcome = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
    struck.map(|()| outcome)
}

async fn play(environment: &Environment, output: &mut Output, stage: &mut Stage) -> Result<Counts, Failure> {
    let daemon = Daemon::new(stage.socket(), "the demo".to_owned(), environment.clock.clone(), false);
    let is_up = |document: &Map<String, Value>| {
        let agents = document.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
        agents.len() == 2 && agents.iter().all(|agent| agent["phase"] == "serving" && agent["assignment"].is_object())
    };
    let mut story = Story::begin(&*environment.clock, output.is_json());
    story.follow(stage, output, &daemon, is_up).await?;
    let before = agent(&daemon).await?;
    let (on, generation) = (before["assignment"]["subscription"].clone(), before["assignment"]["generation"].clone());
    let on = on.as_str().ok_or_else(|| failed("the agent has no subscription"))?.to_owned();
    // What a container prints is in its log, and nobody else need tell of it.
    let is_reported = !stage.has_containers();
    if !output.is_json() {
        let how = if is_reported { "they fail over 3 s" } else { "its container's log says so" };
        let turns = FAILURES_MS.len();
        output.text(&format!("\n{on} hits its limit while {AGENT} has {turns} turns out; {how}:\n\n"))?;
    }
    stage.hit_limit(&on).map_err(|why| failed(format!("cannot set the limit: {why}")))?;
    let outcomes = if is_reported {
        fail_turns(environment, &daemon, &on, &generation, output, stage, &mut story).await?
    } else {
        story.meanwhile(stage, output, found_in_the_log(environment, &daemon, &generation)).await??
    };
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
    story: &mut Story<'_>,
) -> Result<Outcomes, Failure> {
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
    let mut outcomes = Outcomes::new();
    let answers = story.meanwhile(stage, output, all).await??;
    for answer in answers {
        let outcome = answer.get("outcome").and_then(Value::as_str).unwrap_or("none");
        *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
    }
    Ok(outcomes)
}

/// The daemon finds the failures in the container's log: waits until it knows of all of them and the agent has moved.
async fn found_in_the_log(environment: &Environment, daemon: &Daemon, before: &Value) -> Result<Outcomes, Failure> {
    loop {
        let known = daemon.call(Call::get(&["v1", "failures"]).with("agent", AGENT).with("limit", "500")).await?;
        let outcomes = counts::outcomes(&known);
        let now = agent(daemon).await?;
        let has_moved = now["phase"] == "serving" && now["assignment"]["generation"] != *before;
        if has_moved && outcomes.values().sum::<u64>() >= FAILURES_MS.len() as u64 {
            return Ok(outcomes);
        }
        environment.clock.sleep(story::ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stage(under: &Path) -> Stage {
        let under = under.display().to_string();
        let variables = move |name: &str| (name == "TMPDIR").then(|| under.clone());
        let environment = Environment { variables: std::sync::Arc::new(variables), ..Environment::of_process() };
        Stage::open(&environment, false).await.unwrap()
    }

    #[tokio::test]
    async fn the_stage_is_struck_after_a_panic_and_after_a_failure() {
        let under = tempfile::tempdir().unwrap();
        let is_empty = || std::fs::read_dir(under.path()).unwrap().next().is_none();
        let stage_of_panic = stage(under.path()).await;
        assert!(!is_empty());
        let play = on(stage_of_panic, async |_: &mut Stage| -> Result<(), Failure> { panic!("on purpose") });
        let panicked = AssertUnwindSafe(play).catch_unwind().await;
        assert!(panicked.is_err() && is_empty(), "the panic goes on when nothing is left");
        let failure = on(stage(under.path()).await, async |_: &mut Stage| -> Result<(), Failure> { Err(failed("x")) });
        assert!(failure.await.is_err_and(|why| why.detail() == "x") && is_empty());
    }
}
