//! What every runtime promises, held against the one in memory, the one of child processes and the one of a real
//! Docker Engine. What only one of them can show is in the folder beside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use switchman::domain::{AgentName, Generation, Instance, Reload, RuntimeState, SubscriptionName};
use switchman::drivers::docker::DockerRuntime;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::{Call, FakeWorld, Place};
use switchman::drivers::process::{
    CredentialPlace, OutputSink, OutputStream, ProcessRuntime, ProcessSettings, ProcessSpec,
};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::{Ended, Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};

#[path = "rig/engine.rs"]
mod engine;
#[path = "rig/image.rs"]
mod image;
#[path = "rig/program.rs"]
mod program;

#[path = "runtime_conformance/docker_containers.rs"]
mod docker_containers;
#[path = "runtime_conformance/docker_events.rs"]
mod docker_events;
#[path = "runtime_conformance/docker_faults.rs"]
mod docker_faults;
#[path = "runtime_conformance/docker_reload.rs"]
mod docker_reload;
#[path = "runtime_conformance/fake_faults.rs"]
mod fake_faults;
#[path = "runtime_conformance/process_children.rs"]
mod process_children;
#[path = "runtime_conformance/process_reload.rs"]
mod process_reload;
#[path = "runtime_conformance/reload_posts.rs"]
mod reload_posts;
#[path = "runtime_conformance/scripted_engine.rs"]
mod scripted_engine;

use self::engine::{Shape, TestEngine, fresh_name};
use self::program::{PATIENCE, agent_program, command, eventually};

const CALL: Duration = Duration::from_secs(20);

/// A runtime with agents "one" and "two", never started, and a hand in what they run in.
trait Rig {
    async fn new() -> Self;
    fn runtime(&self) -> &dyn Runtime;
    /// The agent exits by itself, with status 3.
    async fn exits(&self, agent: &AgentName);
    /// Resolves when the agent has begun its work, and with it to listen for signals.
    async fn is_up(&self, agent: &AgentName);
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

fn tell<'a>(agent: &'a AgentName, life: &'a Instance, by: &'a Reload) -> ReloadOrder<'a> {
    ReloadOrder { agent, life, by, call_timeout: CALL }
}

/// Without what surrounds it: that differs between the runtimes.
async fn look(rig: &impl Rig, agent: &AgentName) -> Seen {
    let seen = rig.runtime().look(agent).await.unwrap();
    Seen::of(seen.state, seen.instance)
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
    let life = Instance { id: "1".to_owned(), started_at: "1".to_owned() };
    let by = Reload::Signal("HUP".to_owned());
    assert!(is_missing(rig.runtime().reload(tell(&nobody, &life, &by)).await));
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
        let is_about_one = |event| match event {
            RuntimeEvent::Changed(agent) | RuntimeEvent::Ended(Ended { agent, .. }) => agent == one(),
            RuntimeEvent::Health { .. } | RuntimeEvent::EngineBack | RuntimeEvent::EngineLost(_) => false,
        };
        let telling = async { while !is_about_one(rig.runtime().next_event().await) {} };
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

async fn an_end_by_itself_is_told_with_its_code_and_whose_it_was<R: Rig>() {
    let rig = R::new().await;
    let first = start(&rig, &one()).await;
    rig.exits(&one()).await;
    let ended = async {
        loop {
            if let RuntimeEvent::Ended(ended) = rig.runtime().next_event().await {
                return ended;
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the end is told");
    assert_eq!((ended.agent, ended.id), (one(), first.id));
    assert_eq!((ended.exit_code, ended.was_oom), (Some(3), false));
}

async fn a_reload_tells_the_life_it_names_and_ends_none<R: Rig>() {
    let rig = R::new().await;
    let by = Reload::Signal("USR1".to_owned());
    let first = start(&rig, &one()).await;
    rig.is_up(&one()).await;
    rig.runtime().reload(tell(&one(), &first, &by)).await.unwrap();
    assert_eq!(look(&rig, &one()).await, Seen::of(RuntimeState::Running, Some(first.clone())));
    rig.runtime().restart(Orders::new().about(&one(), Some(&first))).await.unwrap();
    let second = look(&rig, &one()).await;
    rig.is_up(&one()).await;
    let deadly = Reload::Signal("KILL".to_owned());
    rig.runtime().reload(tell(&one(), &first, &deadly)).await.expect("another life has read it at its start");
    rig.is_up(&one()).await;
    assert_eq!(look(&rig, &one()).await, second);
}

async fn a_reload_of_what_does_not_run_is_refused<R: Rig>() {
    let rig = R::new().await;
    let life = start(&rig, &one()).await;
    rig.exits(&one()).await;
    let is_stopped = async || (look(&rig, &one()).await.state == RuntimeState::Stopped).then_some(());
    eventually("it is seen stopped", is_stopped).await;
    for by in [Reload::Signal("HUP".to_owned()), Reload::Exec(vec!["/agent".to_owned()])] {
        let error = rig.runtime().reload(tell(&one(), &life, &by)).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.contains("not running")), "{by:?}: {error}");
    }
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
                an_end_by_itself_is_told_with_its_code_and_whose_it_was,
                a_reload_tells_the_life_it_names_and_ends_none,
                a_reload_of_what_does_not_run_is_refused,
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
        self.world.end_by_itself(agent, 3, false);
    }

    async fn is_up(&self, _: &AgentName) {}

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

    async fn is_up(&self, agent: &AgentName) {
        assert_eq!(command(&self.control(agent), "works").await, "ok");
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

    async fn is_up(&self, agent: &AgentName) {
        let control = self.folder.path().join(agent.as_str()).join("socket");
        assert_eq!(command(&control, "works").await, "ok");
    }

    async fn ends_slowly(&self, agent: &AgentName) {
        let control = self.folder.path().join(agent.as_str()).join("socket");
        assert_eq!(command(&control, "ignore-term").await, "ok");
    }

    fn let_end(&self) {}
}
