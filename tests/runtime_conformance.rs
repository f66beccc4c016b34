//! What every runtime promises, held against the one in memory, the one of child processes and the one of a real
//! Docker Engine. What only one of them can show is in the folder beside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use switchman::domain::{AgentName, Generation, Instance, RuntimeState, SubscriptionName};
use switchman::drivers::docker::DockerRuntime;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::{Call, FakeWorld, Place};
use switchman::drivers::process::{
    CredentialPlace, OutputSink, OutputStream, ProcessRuntime, ProcessSettings, ProcessSpec,
};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::{Readiness, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};

#[path = "rig/engine.rs"]
mod engine;
#[path = "rig/image.rs"]
mod image;
#[path = "rig/program.rs"]
mod program;

#[path = "runtime_conformance/docker_containers.rs"]
mod docker_containers;
#[path = "runtime_conformance/docker_faults.rs"]
mod docker_faults;
#[path = "runtime_conformance/fake_faults.rs"]
mod fake_faults;
#[path = "runtime_conformance/process_children.rs"]
mod process_children;

use self::engine::{Shape, TestEngine, fresh_name};
use self::program::{PATIENCE, agent_program, command, eventually};

const CALL: Duration = Duration::from_secs(20);

/// A runtime with agents "one" and "two", never started, and a hand in what they run in.
trait Rig {
    async fn new() -> Self;
    fn runtime(&self) -> &dyn Runtime;
    /// The agent exits by itself, with status 3.
    async fn exits(&self, agent: &AgentName);
    /// From now on the next order to end this agent takes `grace`, at least.
    async fn ends_slowly(&self, agent: &AgentName);
    /// Whatever held an ending back holds it no more.
    fn let_end(&self);
}

struct Orders {
    subscription: SubscriptionName,
    credential: SecretString,
}

impl Orders {
    fn new() -> Self {
        Self { subscription: SubscriptionName::new("max-b"), credential: SecretString::from("not-a-real-credential") }
    }

    fn about<'a>(&'a self, agent: &'a AgentName, before: Option<&'a Instance>) -> StartOrder<'a> {
        StartOrder {
            agent,
            before,
            grace: Some(Duration::from_secs(2)),
            call_timeout: CALL,
            subscription: &self.subscription,
            generation: Generation(2),
            credential: Some(&self.credential),
        }
    }
}

async fn look(rig: &impl Rig, agent: &AgentName) -> Seen {
    rig.runtime().look(agent).await.unwrap()
}

async fn start(rig: &impl Rig, agent: &AgentName) -> Instance {
    rig.runtime().start(Orders::new().about(agent, None)).await.unwrap();
    let seen = look(rig, agent).await;
    assert_eq!(seen.state, RuntimeState::Running);
    seen.instance.unwrap()
}

fn one() -> AgentName {
    AgentName::new("one")
}

async fn what_was_never_started_is_stopped_and_has_no_instance<R: Rig>() {
    let rig = R::new().await;
    assert_eq!(look(&rig, &one()).await, Seen::of(RuntimeState::Stopped, None));
    assert_eq!(rig.runtime().await_ready(&one(), PATIENCE).await.unwrap(), Readiness::NotRunning);
}

async fn starting_what_runs_is_success_and_changes_nothing<R: Rig>() {
    let rig = R::new().await;
    let first = start(&rig, &one()).await;
    assert_eq!(start(&rig, &one()).await, first);
    assert_eq!(rig.runtime().await_ready(&one(), PATIENCE).await.unwrap(), Readiness::Ready);
    assert_eq!(look(&rig, &one()).await.instance, Some(first));
}

async fn a_restart_makes_a_new_instance_and_the_same_order_again_does_not<R: Rig>() {
    let rig = R::new().await;
    let before = start(&rig, &one()).await;
    let orders = Orders::new();
    rig.runtime().restart(orders.about(&one(), Some(&before))).await.unwrap();
    assert_eq!(rig.runtime().await_ready(&one(), PATIENCE).await.unwrap(), Readiness::Ready);
    let after = look(&rig, &one()).await;
    assert_eq!(after.state, RuntimeState::Running);
    assert_ne!(after.instance.as_ref(), Some(&before));
    rig.runtime().restart(orders.about(&one(), Some(&before))).await.unwrap();
    assert_eq!(look(&rig, &one()).await, after);
}

async fn what_exited_is_stopped_keeps_its_instance_and_a_restart_starts_it<R: Rig>() {
    let rig = R::new().await;
    let first = start(&rig, &one()).await;
    rig.exits(&one()).await;
    let stopped = Seen::of(RuntimeState::Stopped, Some(first.clone()));
    eventually("it is seen stopped", async || (look(&rig, &one()).await == stopped).then_some(())).await;
    assert_eq!(rig.runtime().await_ready(&one(), PATIENCE).await.unwrap(), Readiness::NotRunning);
    rig.runtime().restart(Orders::new().about(&one(), Some(&first))).await.unwrap();
    let seen = look(&rig, &one()).await;
    assert_eq!(seen.state, RuntimeState::Running);
    assert_ne!(seen.instance, Some(first));
}

async fn what_exited_can_be_started<R: Rig>() {
    let rig = R::new().await;
    let first = start(&rig, &one()).await;
    rig.exits(&one()).await;
    let is_stopped = async || (look(&rig, &one()).await.state == RuntimeState::Stopped).then_some(());
    eventually("it is seen stopped", is_stopped).await;
    assert_ne!(start(&rig, &one()).await, first);
}

async fn an_agent_that_nobody_configured_is_missing_in_every_call<R: Rig>() {
    let rig = R::new().await;
    let (nobody, orders) = (AgentName::new("nobody"), Orders::new());
    let is_missing =
        |result: Result<(), RuntimeError>| matches!(result, Err(RuntimeError::Missing(name)) if name == nobody);
    assert!(is_missing(rig.runtime().look(&nobody).await.map(|_| ())));
    assert!(is_missing(rig.runtime().start(orders.about(&nobody, None)).await));
    assert!(is_missing(rig.runtime().restart(orders.about(&nobody, None)).await));
}

async fn a_slow_ending_holds_up_no_other_agent<R: Rig>() {
    let rig = R::new().await;
    let (one, two) = (one(), AgentName::new("two"));
    let (first, second) = (start(&rig, &one).await, start(&rig, &two).await);
    rig.ends_slowly(&one).await;
    let orders = Orders::new();
    let mut slow = rig.runtime().restart(orders.about(&one, Some(&first)));
    let quick = rig.runtime().restart(orders.about(&two, Some(&second)));
    tokio::select! {
        biased;
        _ = &mut slow => panic!("the slow one was not slow"),
        done = quick => done.unwrap(),
    }
    rig.let_end();
    slow.await.unwrap();
    for (agent, before) in [(&one, first), (&two, second)] {
        let seen = look(&rig, agent).await;
        assert_eq!(seen.state, RuntimeState::Running, "{agent}");
        assert_ne!(seen.instance, Some(before), "{agent}");
    }
}

async fn what_does_not_end_in_its_grace_is_killed<R: Rig>() {
    let rig = R::new().await;
    let before = start(&rig, &one()).await;
    rig.ends_slowly(&one()).await;
    rig.let_end();
    rig.runtime().restart(Orders::new().about(&one(), Some(&before))).await.unwrap();
    let seen = look(&rig, &one()).await;
    assert_eq!(seen.state, RuntimeState::Running);
    assert_ne!(seen.instance, Some(before));
}

async fn changes_are_told<R: Rig>() {
    let rig = R::new().await;
    let told = async |rig: &R| {
        let telling = async { while rig.runtime().next_event().await != RuntimeEvent::Changed(one()) {} };
        tokio::time::timeout(PATIENCE, telling).await.expect("a change is told");
    };
    let follow = async {
        told(&rig).await;
        rig.exits(&one()).await;
        // What was told before the exit may be told late, so go on until the exit is to be seen.
        while look(&rig, &one()).await.state != RuntimeState::Stopped {
            told(&rig).await;
        }
    };
    let (agent, orders) = (one(), Orders::new());
    // Not looked at: it may have been told, and have exited, before its start is answered.
    let ((), started) = tokio::join!(follow, rig.runtime().start(orders.about(&agent, None)));
    started.unwrap();
}

macro_rules! promises {
    ($rig:ty: $($promise:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            super::$promise::<$rig>().await;
        })+
    };
    ($module:ident, $rig:ty) => {
        mod $module {
            use super::*;
            promises!($rig:
                what_was_never_started_is_stopped_and_has_no_instance,
                starting_what_runs_is_success_and_changes_nothing,
                a_restart_makes_a_new_instance_and_the_same_order_again_does_not,
                what_exited_is_stopped_keeps_its_instance_and_a_restart_starts_it,
                what_exited_can_be_started,
                an_agent_that_nobody_configured_is_missing_in_every_call,
                a_slow_ending_holds_up_no_other_agent,
                what_does_not_end_in_its_grace_is_killed,
                changes_are_told,
            );
        }
    };
}

promises!(fake, FakeRig);
promises!(process, ProcessRig);
promises!(docker, DockerRig);

struct FakeRig {
    world: FakeWorld,
    gate: Gate,
}

impl Rig for FakeRig {
    async fn new() -> Self {
        let world = FakeWorld::new();
        world.add(&one(), Place::File);
        world.add(&AgentName::new("two"), Place::Environment);
        Self { world, gate: Gate::closed() }
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.world
    }

    async fn exits(&self, agent: &AgentName) {
        self.world.stop_by_hand(agent);
    }

    async fn ends_slowly(&self, agent: &AgentName) {
        self.world.on_runtime(agent, Call::Restart, Fault::Held(self.gate.clone()));
    }

    fn let_end(&self) {
        self.gate.open();
    }
}

struct Silent;

impl OutputSink for Silent {
    fn line(&self, _: &AgentName, _: OutputStream, _: &str, _: u64) {}
    fn ended(&self, _: &AgentName, _: &str) {}
}

struct ProcessRig {
    folder: tempfile::TempDir,
    runtime: ProcessRuntime,
}

impl ProcessRig {
    fn control(&self, agent: &AgentName) -> PathBuf {
        self.folder.path().join(agent.as_str())
    }
}

impl Rig for ProcessRig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = |name: &str| ProcessSpec {
            command: [
                agent_program().to_str().unwrap(),
                "--credential-env",
                "CLAUDE_CODE_OAUTH_TOKEN",
                "--control",
                folder.path().join(name).to_str().unwrap(),
            ]
            .map(str::to_owned)
            .to_vec(),
            dir: None,
            env: BTreeMap::new(),
            credential: CredentialPlace::Variable("CLAUDE_CODE_OAUTH_TOKEN".to_owned()),
        };
        let agents = ["one", "two"].map(|name| (AgentName::new(name), spec(name))).into();
        let settings = ProcessSettings {
            owner: folder.path().display().to_string(),
            state_dir: folder.path().to_owned(),
            socket: None,
            environment: BTreeMap::new(),
        };
        let runtime = ProcessRuntime::new(agents, settings, Arc::new(Silent), Arc::new(SystemClock::new()));
        Self { folder, runtime }
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    async fn exits(&self, agent: &AgentName) {
        assert_eq!(command(&self.control(agent), "exit 3").await, "");
    }

    async fn ends_slowly(&self, agent: &AgentName) {
        assert_eq!(command(&self.control(agent), "ignore-term").await, "ok");
    }

    fn let_end(&self) {}
}

struct DockerRig {
    folder: tempfile::TempDir,
    runtime: DockerRuntime,
    _containers: TestEngine,
}

impl Rig for DockerRig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut containers = TestEngine::new().await;
        let mut names = BTreeMap::new();
        for agent in ["one", "two"] {
            let name = fresh_name(agent);
            let control = folder.path().join(agent);
            std::fs::create_dir(&control).unwrap();
            let shape = Shape {
                arguments: ["--control", "/control/socket"].map(str::to_owned).to_vec(),
                binds: vec![(control, "/control")],
                ..Shape::default()
            };
            containers.create(&name, &shape).await;
            names.insert(AgentName::new(agent), name);
        }
        let runtime = DockerRuntime::new(engine::host(), names, CALL, Arc::new(SystemClock::new()));
        Self { folder, runtime, _containers: containers }
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    async fn exits(&self, agent: &AgentName) {
        let control = self.folder.path().join(agent.as_str()).join("socket");
        assert_eq!(command(&control, "exit 3").await, "");
    }

    async fn ends_slowly(&self, agent: &AgentName) {
        let control = self.folder.path().join(agent.as_str()).join("socket");
        assert_eq!(command(&control, "ignore-term").await, "ok");
    }

    fn let_end(&self) {}
}
