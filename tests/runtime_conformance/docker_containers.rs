//! What only a real engine can show: other containers under the name, health checks, pauses, stop timeouts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchman::domain::{AgentName, Instance, RuntimeState};
use switchman::drivers::docker::DockerRuntime;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::{Readiness, Runtime, RuntimeError, RuntimeEvent, Seen};

use super::engine::{Shape, TestEngine, fresh_name, host};
use super::program::{PATIENCE, command, eventually};
use super::{CALL, Orders, one};

pub(crate) struct Container {
    pub(crate) engine: TestEngine,
    pub(crate) name: String,
    pub(crate) docker: DockerRuntime,
}

impl Container {
    pub(crate) async fn new(shape: &Shape) -> Self {
        let mut engine = TestEngine::new().await;
        let name = fresh_name("one");
        engine.create(&name, shape).await;
        let names = BTreeMap::from([(one(), name.clone())]);
        let docker = DockerRuntime::new(host(), names, CALL, Arc::new(SystemClock::new()));
        Self { engine, name, docker }
    }

    pub(crate) async fn started(&self) -> Instance {
        self.docker.start(Orders::new().about(&one(), None)).await.unwrap();
        self.look().await.instance.unwrap()
    }

    /// For what may have ended before it can be looked at.
    pub(crate) async fn started_and_perhaps_ended(&self) {
        self.docker.start(Orders::new().about(&one(), None)).await.unwrap();
    }

    pub(crate) async fn look(&self) -> Seen {
        self.docker.look(&one()).await.unwrap()
    }

    /// Resolves when it has printed this line.
    pub(crate) async fn prints(&self, line: &str) {
        let is_printed = async || self.engine.printed(&self.name).await.lines().any(|said| said == line).then_some(());
        eventually("the container prints it", is_printed).await;
    }

    async fn restart(&self, before: &Instance) -> Result<(), RuntimeError> {
        self.docker.restart(Orders::new().about(&one(), Some(before))).await
    }
}

#[tokio::test]
async fn a_removed_container_is_missing_and_no_order_makes_one() {
    let container = Container::new(&Shape::default()).await;
    let before = container.started().await;
    container.engine.remove(&container.name).await;
    assert_eq!(container.look().await, Seen::of(RuntimeState::Missing, None));
    assert!(matches!(container.restart(&before).await, Err(RuntimeError::Missing(_))));
    let start = container.docker.start(Orders::new().about(&one(), Some(&before))).await;
    assert!(matches!(start, Err(RuntimeError::Missing(_))));
    assert_eq!(container.docker.await_ready(&one(), PATIENCE).await.unwrap(), Readiness::Missing);
}

#[tokio::test]
async fn another_container_under_the_name_is_left_alone() {
    let mut container = Container::new(&Shape::default()).await;
    let before = container.started().await;
    let aside = fresh_name("aside");
    container.engine.rename(&container.name, &aside).await;
    assert_eq!(container.look().await.state, RuntimeState::Missing);
    container.engine.create(&container.name.clone(), &Shape::default()).await;
    let other = container.look().await;
    assert_eq!((other.state, other.instance.clone()), (RuntimeState::Stopped, None));
    for result in
        [container.restart(&before).await, container.docker.start(Orders::new().about(&one(), Some(&before))).await]
    {
        let error = result.unwrap_err();
        assert!(matches!(error, RuntimeError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(&before.id[..12]), "{error}");
    }
    assert_eq!(container.look().await, other);
}

#[tokio::test]
async fn the_beginning_of_an_id_is_not_taken_for_a_name() {
    let container = Container::new(&Shape::default()).await;
    let id = container.started().await.id;
    let names = BTreeMap::from([(one(), id[..12].to_owned())]);
    let docker = DockerRuntime::new(host(), names, CALL, Arc::new(SystemClock::new()));
    assert_eq!(docker.look(&one()).await.unwrap().state, RuntimeState::Missing);
}

#[tokio::test]
async fn a_restart_by_somebody_else_fulfils_the_order() {
    let container = Container::new(&Shape::default()).await;
    let before = container.started().await;
    container.engine.restart(&container.name).await;
    let theirs = container.look().await;
    assert_ne!(theirs.instance.as_ref(), Some(&before));
    container.restart(&before).await.unwrap();
    assert_eq!(container.look().await, theirs);
}

#[tokio::test]
async fn with_a_health_check_ready_means_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        binds: vec![(folder.path().to_owned(), "/facts")],
        healthy_if: Some("/facts/healthy"),
        ..Shape::default()
    };
    let container = Container::new(&shape).await;
    container.started().await;
    let soon = Duration::from_millis(600);
    assert_eq!(container.docker.await_ready(&one(), soon).await.unwrap(), Readiness::NotReady);
    std::fs::write(folder.path().join("healthy"), "").unwrap();
    assert_eq!(container.docker.await_ready(&one(), PATIENCE).await.unwrap(), Readiness::Ready);
}

#[tokio::test]
async fn a_paused_container_runs_and_is_not_ready() {
    let container = Container::new(&Shape::default()).await;
    container.started().await;
    container.engine.pause(&container.name).await;
    assert_eq!(container.look().await.state, RuntimeState::Running);
    let soon = Duration::from_millis(300);
    assert_eq!(container.docker.await_ready(&one(), soon).await.unwrap(), Readiness::NotReady);
}

#[tokio::test]
async fn without_a_grace_in_the_order_the_containers_own_stop_timeout_counts() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        arguments: ["--control", "/control/socket"].map(str::to_owned).to_vec(),
        binds: vec![(folder.path().to_owned(), "/control")],
        stop_timeout_s: Some(1),
        ..Shape::default()
    };
    let container = Container::new(&shape).await;
    let before = container.started().await;
    assert_eq!(command(&folder.path().join("socket"), "ignore-term").await, "ok");
    let orders = Orders::new();
    let agent = one();
    let mut order = orders.about(&agent, Some(&before));
    order.grace = None;
    // The engine's own default is 10 s: with it this would not end in time.
    order.call_timeout = CALL;
    tokio::time::timeout(Duration::from_secs(8), container.docker.restart(order)).await.unwrap().unwrap();
    assert_ne!(container.look().await.instance, Some(before));
}

#[tokio::test]
async fn an_order_that_outlives_its_time_is_in_doubt_and_goes_on_in_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        arguments: ["--control", "/control/socket"].map(str::to_owned).to_vec(),
        binds: vec![(folder.path().to_owned(), "/control")],
        ..Shape::default()
    };
    let container = Container::new(&shape).await;
    let before = container.started().await;
    assert_eq!(command(&folder.path().join("socket"), "ignore-term").await, "ok");
    let orders = Orders::new();
    let agent = one();
    let mut order = orders.about(&agent, Some(&before));
    order.grace = Some(Duration::from_secs(1));
    order.call_timeout = CALL;
    let given_up = tokio::time::timeout(Duration::from_millis(300), container.docker.restart(order)).await;
    assert!(given_up.is_err());
    let is_another = async || (container.look().await.instance.as_ref() != Some(&before)).then_some(());
    eventually("the engine restarts it all the same", is_another).await;
}

#[tokio::test]
async fn a_removal_while_a_restart_waits_leaves_nothing_and_nothing_is_made_again() {
    let script = "trap 'echo asked' TERM; echo up; while :; do sleep 0.02; done";
    let container = Container::new(&Shape { script: Some(script), ..Shape::default() }).await;
    let before = container.started().await;
    container.prints("up").await;
    let (orders, agent) = (Orders::new(), one());
    let mut order = orders.about(&agent, Some(&before));
    order.grace = Some(Duration::from_secs(60));
    let removal = async {
        container.prints("asked").await;
        container.engine.remove(&container.name).await;
    };
    let (restarted, ()) = tokio::join!(container.docker.restart(order), removal);
    let error = restarted.unwrap_err();
    assert!(matches!(error, RuntimeError::Unknown { .. } | RuntimeError::Missing(_)), "{error}");
    assert_eq!(container.look().await, Seen::of(RuntimeState::Missing, None));
    assert!(matches!(container.restart(&before).await, Err(RuntimeError::Missing(_))));
}

#[tokio::test]
async fn removal_is_told_too() {
    let container = Container::new(&Shape::default()).await;
    let agent = AgentName::new("one");
    assert_eq!(container.docker.next_event().await, RuntimeEvent::EngineBack);
    container.engine.remove(&container.name).await;
    let told = async { while container.docker.next_event().await != RuntimeEvent::Changed(agent.clone()) {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}
