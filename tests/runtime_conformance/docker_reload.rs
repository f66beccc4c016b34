//! Telling a container to read its credential again: in a real engine, and in one that fails to order.

use std::time::Duration;

use switchman::domain::{Instance, Reload, RuntimeState};
use switchman::ports::runtime::{ReloadOrder, Runtime, RuntimeError};

use super::docker_containers::Container;
use super::engine::{Shape, fresh_name};
use super::scripted_engine::{Engine, RUNS, Reply, STANDS, before, outcome};
use super::{one, tell};

/// Says `up`, then `told` each time it gets a HUP.
const LISTENS: &str = "trap 'echo told' HUP; echo up; while :; do sleep 0.02; done";

fn signal(name: &str) -> Reload {
    Reload::Signal(name.to_owned())
}

fn exec(command: &[&str]) -> Reload {
    Reload::Exec(command.iter().map(|part| (*part).to_owned()).collect())
}

async fn listening() -> (Container, Instance) {
    let container = Container::new(&Shape { script: Some(LISTENS), ..Shape::default() }).await;
    let life = container.started().await;
    container.prints("up").await;
    (container, life)
}

async fn reload(container: &Container, life: &Instance, by: &Reload) -> Result<(), RuntimeError> {
    container.docker.reload(tell(&one(), life, by)).await
}

#[tokio::test]
async fn a_signal_reaches_the_main_process_and_its_life_goes_on() {
    let (container, life) = listening().await;
    reload(&container, &life, &signal("HUP")).await.unwrap();
    container.prints("told").await;
    let seen = container.look().await;
    assert_eq!((seen.state, seen.instance), (RuntimeState::Running, Some(life)));
}

#[tokio::test]
async fn a_signal_that_is_none_is_refused() {
    let (container, life) = listening().await;
    let error = reload(&container, &life, &signal("NONSENSE")).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.contains("NONSENSE")), "{error}");
}

#[tokio::test]
async fn a_command_is_run_in_the_container_and_its_code_is_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape { script: Some(LISTENS), binds: vec![(folder.path().to_owned(), "/facts")], ..Shape::default() };
    let container = Container::new(&shape).await;
    let life = container.started().await;
    reload(&container, &life, &exec(&["/bin/sh", "-c", "sleep 0.1; echo done > /facts/done"])).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("done")).unwrap(), "done\n", "its end was waited for");
    let fails = exec(&["/bin/sh", "-c", "echo hush; echo hush >&2; exit 4"]);
    let error = reload(&container, &life, &fails).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.ends_with("exit code 4")), "{error}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    assert_eq!(container.look().await.instance, Some(life));
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_refused() {
    let (container, life) = listening().await;
    for command in [&["/nonexistent/program"][..], &["nonexistent"], &[]] {
        let error = reload(&container, &life, &exec(command)).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Refused { .. }), "{command:?}: {error}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_end_in_its_time_is_in_doubt() {
    let (container, life) = listening().await;
    let (agent, by, call_timeout) = (one(), exec(&["/bin/sleep", "1000"]), Duration::from_secs(1));
    let order = ReloadOrder { agent: &agent, life: &life, by: &by, call_timeout };
    let error = container.docker.reload(order).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { call: "reload", after } if after == call_timeout), "{error}");
    assert_eq!(container.look().await.state, RuntimeState::Running);
}

#[tokio::test]
async fn a_paused_container_is_told_nothing() {
    let (container, life) = listening().await;
    container.engine.pause(&container.name).await;
    for by in [signal("HUP"), exec(&["/bin/sleep", "0"])] {
        let error = reload(&container, &life, &by).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.contains("paused")), "{error}");
    }
}

#[tokio::test]
async fn another_container_under_the_name_is_told_nothing_and_a_removed_one_is_missing() {
    let (mut container, life) = listening().await;
    let aside = fresh_name("aside");
    container.engine.rename(&container.name, &aside).await;
    let error = reload(&container, &life, &signal("HUP")).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Missing(_)), "{error}");
    let name = container.name.clone();
    container.engine.create(&name, &Shape { script: Some(LISTENS), ..Shape::default() }).await;
    container.started().await;
    let error = reload(&container, &life, &signal("HUP")).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Foreign { .. }), "{error}");
}

async fn reload_by(engine: &Engine, by: &Reload) -> Result<(), RuntimeError> {
    let (agent, life) = (one(), before());
    let order = ReloadOrder { agent: &agent, life: &life, by, call_timeout: Duration::from_millis(300) };
    engine.runtime().reload(order).await
}

#[tokio::test]
async fn a_signal_costs_one_look_and_one_call_and_every_answer_has_its_meaning() {
    let said = |status| Reply::Answer(status, r#"{"message":"said the engine"}"#);
    for (reply, expected) in [
        (said(204), "ok"),
        (said(404), "missing"),
        (said(409), "unknown"),
        (said(500), "unknown"),
        (said(400), "refused"),
        (Reply::Drop, "unknown"),
        (Reply::Hang, "timeout"),
    ] {
        let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("kill", reply.clone())]);
        assert_eq!(outcome(reload_by(&engine, &signal("HUP")).await), expected, "{reply:?}");
        assert_eq!(engine.requests(), ["GET /containers/box/json", "POST /containers/c1/kill?signal=SIGHUP"]);
    }
}

#[tokio::test]
async fn what_is_not_meant_or_reads_nothing_costs_a_look_and_no_call() {
    const SECOND: &str =
        r#"{"Id":"c1","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:07Z"},"Config":{}}"#;
    const BETWEEN: &str = r#"{"Id":"c1","Name":"/box","Config":{},
        "State":{"Running":true,"Restarting":true,"StartedAt":"2026-11-01T10:00:00.1Z"}}"#;
    for (look, expected) in [(SECOND, "ok"), (STANDS, "refused"), (BETWEEN, "refused")] {
        for by in [signal("HUP"), exec(&["/bin/reload"])] {
            let engine = Engine::new(&[("json", Reply::Answer(200, look))]);
            assert_eq!(outcome(reload_by(&engine, &by).await), expected, "{look}");
            assert_eq!(engine.requests(), ["GET /containers/box/json"]);
        }
    }
}

#[tokio::test]
async fn every_answer_about_a_command_has_its_meaning() {
    const MADE: Reply = Reply::Answer(201, r#"{"Id":"e1"}"#);
    const BEGUN: Reply = Reply::Answer(200, "");
    const ENDED: Reply = Reply::Answer(200, r#"{"Running":false,"ExitCode":0}"#);
    const RUNS_ON: Reply = Reply::Answer(200, r#"{"Running":true,"ExitCode":null}"#);
    let said = |status| Reply::Answer(status, r#"{"message":"said the engine"}"#);
    for (made, begun, looked, expected) in [
        (MADE, BEGUN, ENDED, "ok"),
        (MADE, BEGUN, Reply::Answer(200, r#"{"Running":false,"ExitCode":137}"#), "refused"),
        (MADE, BEGUN, RUNS_ON, "timeout"),
        (MADE, BEGUN, Reply::Hang, "timeout"),
        (MADE, BEGUN, said(404), "unknown"),
        (MADE, BEGUN, said(500), "unknown"),
        (MADE, said(404), ENDED, "unknown"),
        (MADE, said(409), ENDED, "unknown"),
        (MADE, said(400), ENDED, "refused"),
        (MADE, Reply::Drop, ENDED, "unknown"),
        (said(404), BEGUN, ENDED, "missing"),
        (said(409), BEGUN, ENDED, "unknown"),
        (said(403), BEGUN, ENDED, "refused"),
    ] {
        let engine = Engine::new(&[
            ("/containers/box/json", Reply::Answer(200, RUNS)),
            ("exec", made.clone()),
            ("/exec/e1/start", begun.clone()),
            ("/exec/e1/json", looked.clone()),
        ]);
        let result = reload_by(&engine, &exec(&["/bin/reload"])).await;
        assert_eq!(outcome(result), expected, "{made:?} {begun:?} {looked:?}");
        assert_eq!(engine.requests()[1], "POST /containers/c1/exec");
    }
}

#[tokio::test]
async fn one_call_timeout_is_for_all_calls_of_a_reload() {
    let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("exec", Reply::Hang)]);
    let error = reload_by(&engine, &exec(&["/bin/reload"])).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { after, .. } if after <= Duration::from_millis(300)), "{error}");
}
