//! An engine that fails to order: what each answer, and none, means to us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchman::domain::{Disposition, RuntimeState};
use switchman::drivers::docker::{DockerHost, DockerRuntime};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::{Readiness, Runtime, RuntimeError, RuntimeEvent};

use super::program::PATIENCE;
use super::scripted_engine::{CALL, Engine, RUNS, Reply, STANDS, before, outcome, sort};
use super::{Orders, one};

#[tokio::test]
async fn every_answer_to_an_order_has_its_meaning() {
    let said = |status| Reply::Answer(status, r#"{"message":"said the engine"}"#);
    let table = [
        (said(204), "ok"),
        (said(304), "ok"),
        (said(404), "missing"),
        (said(409), "unknown"),
        (said(500), "unknown"),
        (said(502), "unknown"),
        (said(400), "refused"),
        (said(403), "refused"),
        (Reply::Drop, "unknown"),
        (Reply::Hang, "timeout"),
    ];
    for (reply, expected) in table {
        let engine = Engine::new(&[("json", Reply::Answer(200, STANDS)), ("start", reply.clone())]);
        let orders = Orders::new();
        let (agent, before) = (one(), before());
        let mut order = orders.about(&agent, Some(&before));
        order.call_timeout = CALL;
        let result = engine.runtime().start(order).await;
        assert_eq!(outcome(result), expected, "start: {reply:?}");

        let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", reply.clone())]);
        let mut order = orders.about(&agent, Some(&before));
        (order.grace, order.call_timeout) = (Some(Duration::ZERO), CALL);
        let result = engine.runtime().restart(order).await;
        assert_eq!(outcome(result), expected, "restart: {reply:?}");
    }
}

#[tokio::test]
async fn every_answer_to_a_look_has_its_meaning() {
    let table = [
        (Reply::Answer(200, RUNS), "ok"),
        (Reply::Answer(404, r#"{"message":"no such container"}"#), "ok"),
        (Reply::Answer(500, "not even json"), "unknown"),
        (Reply::Answer(200, "not json"), "unknown"),
        (Reply::Answer(200, "{}"), "missing"),
        (Reply::Answer(403, ""), "refused"),
        (Reply::Drop, "unknown"),
        (Reply::Hang, "timeout"),
        (Reply::HalfABody, "timeout"),
    ];
    for (reply, expected) in table {
        let engine = Engine::new(&[("json", reply.clone())]);
        let looked = engine.runtime().look(&one()).await;
        if expected == "missing" {
            // The answer is about no container of this name.
            assert_eq!(looked.unwrap().state, RuntimeState::Missing, "{reply:?}");
        } else {
            assert_eq!(outcome(looked), expected, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn an_absent_engine_is_not_reachable_in_any_call_and_nothing_is_in_doubt() {
    let engine = Engine::absent();
    let (runtime, orders) = (engine.runtime(), Orders::new());
    let deaf = Engine::absent();
    drop(std::os::unix::net::UnixListener::bind(deaf.socket()).unwrap());
    let refusing = deaf.runtime();
    for runtime in [&runtime, &refusing] {
        for error in [
            runtime.look(&one()).await.map(|_| ()).unwrap_err(),
            runtime.start(orders.about(&one(), None)).await.unwrap_err(),
            runtime.restart(orders.about(&one(), Some(&before()))).await.unwrap_err(),
            runtime.await_ready(&one(), Duration::from_millis(150)).await.map(|_| ()).unwrap_err(),
        ] {
            assert_eq!((sort(&error), error.disposition()), ("unreachable", Disposition::Transient), "{error}");
        }
    }
}

#[tokio::test]
async fn a_restart_costs_one_look_and_one_call_and_goes_to_the_id() {
    let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", Reply::Answer(204, ""))]);
    let orders = Orders::new();
    engine.runtime().restart(orders.about(&one(), Some(&before()))).await.unwrap();
    assert_eq!(engine.requests(), ["GET /containers/box/json", "POST /containers/c1/restart?t=2"]);
}

#[tokio::test]
async fn a_container_that_stands_is_started_and_not_restarted() {
    let engine = Engine::new(&[("json", Reply::Answer(200, STANDS)), ("start", Reply::Answer(204, ""))]);
    let orders = Orders::new();
    engine.runtime().restart(orders.about(&one(), Some(&before()))).await.unwrap();
    assert_eq!(engine.requests(), ["GET /containers/box/json", "POST /containers/c1/start"]);
}

#[tokio::test]
async fn a_deadline_is_counted_on_top_of_the_grace() {
    let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", Reply::Hang)]);
    let orders = Orders::new();
    let (agent, before) = (one(), before());
    let mut order = orders.about(&agent, Some(&before));
    (order.grace, order.call_timeout) = (Some(Duration::from_secs(1)), CALL);
    let error = engine.runtime().restart(order).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::Timeout { call: "restart", after } if after == CALL + Duration::from_secs(1)),
        "{error}"
    );
}

#[tokio::test]
async fn an_engine_that_comes_goes_and_comes_is_told_each_time_once() {
    let mut engine = Engine::absent();
    let runtime = engine.runtime();
    let next = async || tokio::time::timeout(PATIENCE, runtime.next_event()).await.unwrap();
    assert!(matches!(next().await, RuntimeEvent::EngineLost(why) if why.contains("docker.sock")));
    let event =
        concat!(r#"{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"box"}}}"#, "\n");
    engine.answers("_ping", Reply::Answer(200, "OK"));
    engine.answers("events", Reply::Stream(event));
    engine.come_up();
    assert_eq!(next().await, RuntimeEvent::EngineBack);
    assert_eq!(next().await, RuntimeEvent::Changed(one()));
    engine.go_down().await;
    assert!(matches!(next().await, RuntimeEvent::EngineLost(_)));
    engine.come_up();
    assert_eq!(next().await, RuntimeEvent::EngineBack);
    assert_eq!(next().await, RuntimeEvent::Changed(one()));
}

#[tokio::test]
async fn a_stream_that_ends_while_the_engine_answers_means_look_again() {
    let script = [("_ping", Reply::Answer(200, "OK")), ("events", Reply::Answer(200, ""))];
    let engine = Engine::new(&script);
    let runtime = engine.runtime();
    for _ in 0..2 {
        let event = tokio::time::timeout(PATIENCE, runtime.next_event()).await.unwrap();
        assert_eq!(event, RuntimeEvent::EngineBack);
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_no_event() {
    let event =
        concat!(r#"{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"box"}}}"#, "\n");
    let engine = Engine::new(&[("_ping", Reply::Answer(200, "OK")), ("events", Reply::Stream(event))]);
    let runtime = engine.runtime();
    let mut told = Vec::new();
    let collect = async {
        while told.len() < 2 {
            tokio::select! {
                biased;
                event = runtime.next_event() => told.push(event),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, collect).await.unwrap();
    assert_eq!(told, [RuntimeEvent::EngineBack, RuntimeEvent::Changed(one())]);
}

#[tokio::test]
async fn a_name_that_is_none_reaches_no_engine() {
    let engine = Engine::new(&[]);
    let names = BTreeMap::from([(one(), "../images/json".to_owned())]);
    let host = DockerHost::Unix(engine.socket().display().to_string());
    let runtime = DockerRuntime::new(host, names, CALL, Arc::new(SystemClock::new()));
    assert_eq!(outcome(runtime.look(&one()).await), "refused");
    assert_eq!(engine.requests(), [""; 0]);
}

#[tokio::test]
async fn what_was_seen_running_is_not_ready_even_if_the_last_look_fails() {
    const STARTING: &str = r#"{"Id":"c1","Name":"/box","Config":{},"State":{"Running":true,
        "StartedAt":"2026-11-01T10:00:00.1Z","Health":{"Status":"starting"}}}"#;
    let engine = Engine::new(&[("json", Reply::Answer(200, STARTING))]);
    let (runtime, agent) = (engine.runtime(), one());
    let waiting = runtime.await_ready(&agent, Duration::from_millis(700));
    let failing = async {
        super::program::eventually("it was asked", async || (!engine.requests().is_empty()).then_some(())).await;
        engine.answers("json", Reply::Answer(500, ""));
    };
    let (ready, ()) = tokio::join!(waiting, failing);
    assert_eq!(ready.unwrap(), Readiness::NotReady);
}

#[tokio::test]
async fn readiness_outwaits_an_engine_that_fails_for_a_while() {
    let engine = Engine::new(&[("json", Reply::Answer(500, ""))]);
    let runtime = engine.runtime();
    let agent = one();
    let waiting = runtime.await_ready(&agent, PATIENCE);
    let mending = async {
        super::program::eventually("it was asked twice", async || (engine.requests().len() >= 2).then_some(())).await;
        engine.answers("json", Reply::Answer(200, RUNS));
    };
    let (ready, ()) = tokio::join!(waiting, mending);
    assert_eq!(ready.unwrap(), Readiness::Ready);
    let seen = runtime.look(&one()).await.unwrap();
    assert_eq!((seen.state, seen.instance), (RuntimeState::Running, Some(before())));
}

#[tokio::test]
async fn a_restart_that_races_a_removal_is_in_doubt_and_a_look_ends_the_doubt() {
    for status in [409, 500] {
        let said = Reply::Answer(status, r#"{"message":"removal of container c1 is already in progress"}"#);
        let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", said)]);
        let runtime = engine.runtime();
        let orders = Orders::new();
        let error = runtime.restart(orders.about(&one(), Some(&before()))).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::InDoubt, "{error}");
        engine.answers("json", Reply::Answer(404, r#"{"message":"no such container"}"#));
        assert_eq!(runtime.look(&one()).await.unwrap().state, RuntimeState::Missing);
        let again = runtime.restart(orders.about(&one(), Some(&before()))).await;
        assert_eq!(outcome(again), "missing");
        let restarts = engine.requests().iter().filter(|request| request.contains("/restart")).count();
        assert_eq!(restarts, 1);
    }
}

/// The life that follows `before`.
const RUNS_AGAIN: &str =
    r#"{"Id":"c1","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:20Z"},"Config":{}}"#;

#[tokio::test]
async fn an_engine_that_ends_in_a_restart_leaves_the_container_standing_and_the_same_order_starts_it_once() {
    let mut engine =
        Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", Reply::Answer(500, r#"{"message":"ends"}"#))]);
    let (runtime, orders, agent, before) = (engine.runtime(), Orders::new(), one(), before());
    assert_eq!(outcome(runtime.restart(orders.about(&agent, Some(&before))).await), "unknown");
    engine.go_down().await;
    assert_eq!(outcome(runtime.restart(orders.about(&agent, Some(&before))).await), "unreachable");
    engine.answers("json", Reply::Answer(200, STANDS));
    engine.answers("start", Reply::Answer(204, ""));
    engine.come_up();
    runtime.restart(orders.about(&agent, Some(&before))).await.unwrap();
    engine.answers("json", Reply::Answer(200, RUNS_AGAIN));
    runtime.restart(orders.about(&agent, Some(&before))).await.unwrap();
    let changes: Vec<_> = engine.requests().into_iter().filter(|request| request.starts_with("POST")).collect();
    assert_eq!(changes, ["POST /containers/c1/restart?t=2", "POST /containers/c1/start"]);
}

#[tokio::test]
async fn an_engine_that_goes_without_an_answer_and_did_nothing_gets_the_order_again() {
    let engine = Engine::new(&[("json", Reply::Answer(200, RUNS)), ("restart", Reply::Drop)]);
    let (runtime, orders, agent, before) = (engine.runtime(), Orders::new(), one(), before());
    assert_eq!(outcome(runtime.restart(orders.about(&agent, Some(&before))).await), "unknown");
    engine.answers("restart", Reply::Answer(204, ""));
    runtime.restart(orders.about(&agent, Some(&before))).await.unwrap();
    engine.answers("json", Reply::Answer(200, RUNS_AGAIN));
    runtime.restart(orders.about(&agent, Some(&before))).await.unwrap();
    let restarts = engine.requests().iter().filter(|request| request.contains("/restart")).count();
    assert_eq!(restarts, 2, "one without an answer, one that counts");
}

#[tokio::test]
async fn a_deadline_is_counted_on_top_of_the_containers_own_stop_timeout() {
    const PATIENT: &str = r#"{"Id":"c1","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:00.1Z"},
        "Config":{"StopTimeout":1}}"#;
    let engine = Engine::new(&[("json", Reply::Answer(200, PATIENT)), ("restart", Reply::Hang)]);
    let orders = Orders::new();
    let (agent, before) = (one(), before());
    let mut order = orders.about(&agent, Some(&before));
    (order.grace, order.call_timeout) = (None, CALL);
    let error = engine.runtime().restart(order).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::Timeout { call: "restart", after } if after == CALL + Duration::from_secs(1)),
        "{error}"
    );
    assert!(!engine.requests()[1].contains("t="), "the engine knows the container's own");
}
