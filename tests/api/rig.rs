//! A daemon on fakes, behind a real socket, in real time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use switchman::actor::probes::Probing;
use switchman::actor::{Root, Switchman, Wiring};
use switchman::api::{self, ApiServer, Door, Limits};
use switchman::domain::{AgentName, Instance, RuntimeState, SubscriptionName, SubscriptionType};
use switchman::drivers::fake::fault::Gate;
use switchman::drivers::fake::runtime::{FakeWorld, Place};
use switchman::drivers::fake::store::FakeStore;
use switchman::drivers::fingerprint::fingerprint;
use switchman::drivers::system_clock::SystemClock;
use switchman::machine::agent::{AgentState, testing};
use switchman::machine::policy::{Policy, PoolSettings, RuntimeKind};
use switchman::ports::Pending;
use switchman::ports::credentials::{Credential, CredentialError, CredentialSource, Login, TakenBack};
use switchman::ports::runtime::{Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};
use switchman::telemetry::Telemetry;
use tokio::sync::watch;

use super::client::{Reply, call, send};
use super::conformity;

/// Nothing in a test may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A credential for every subscription: `key-of-NAME`.
struct Keys;

impl CredentialSource for Keys {
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>> {
        Box::pin(async move {
            let secret = key(subscription.as_str());
            Ok(Credential::of_static(
                secret.clone().into(),
                fingerprint(secret.as_bytes()),
                SubscriptionType::SetupToken,
            ))
        })
    }

    fn take_back<'a>(
        &'a self,
        _: &'a SubscriptionName,
        _: &'a Login,
    ) -> Pending<'a, Result<TakenBack, CredentialError>> {
        Box::pin(std::future::ready(Ok(TakenBack::NotNewer)))
    }
}

fn key(subscription: &str) -> String {
    format!("key-of-{subscription}")
}

/// The fake world, where one agent is the process group that the test runs in.
struct OwnGroup {
    world: Arc<FakeWorld>,
    agent: Option<AgentName>,
}

impl Runtime for OwnGroup {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        if Some(agent) != self.agent.as_ref() {
            return self.world.look(agent);
        }
        let group = rustix::process::getpgrp().as_raw_nonzero().to_string();
        let instance = Some(Instance { id: group, started_at: "1".to_owned() });
        Box::pin(async move { Ok(Seen::of(RuntimeState::Running, instance)) })
    }
    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        self.world.restart(order)
    }
    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        self.world.start(order)
    }
    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        self.world.reload(order)
    }
    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>> {
        self.world.await_ready(agent, timeout)
    }
    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        self.world.next_event()
    }
    fn shut_down(&self, grace: Duration) -> Pending<'_, ()> {
        self.world.shut_down(grace)
    }
}

/// What is set up, and then what runs.
pub(crate) struct Rig {
    agents: BTreeMap<AgentName, Arc<Policy>>,
    limits: Limits,
    own_group: Option<AgentName>,
    dir: tempfile::TempDir,
    pub(crate) world: Arc<FakeWorld>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) telemetry: Telemetry,
    stop: watch::Sender<bool>,
    running: Option<(Root, ApiServer)>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            agents: BTreeMap::new(),
            limits: Limits::default(),
            own_group: None,
            dir: tempfile::tempdir().unwrap(),
            world: Arc::new(FakeWorld::new()),
            store: Arc::new(FakeStore::new()),
            telemetry: Telemetry::new(),
            stop: watch::Sender::new(false),
            running: None,
        }
    }

    /// One agent that runs on `a`, served.
    pub(crate) async fn one() -> Self {
        Self::new().agent("one", |_| {}).start().await
    }

    /// A container agent that runs on `a` and may use `a`, `b` and `c`.
    pub(crate) fn agent(mut self, name: &str, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = testing::policy();
        change(&mut policy);
        let name = AgentName::from(name);
        self.world.add(&name, Place::File);
        self.world.put_file(&name, &key("a"));
        self.world.start_by_hand(&name);
        self.agents.insert(name, Arc::new(policy));
        self
    }

    /// A process agent whose process group is the one that the test itself runs in.
    pub(crate) fn ourselves(mut self, name: &str) -> Self {
        self = self.agent(name, |policy| policy.runtime = RuntimeKind::Process);
        self.own_group = Some(name.into());
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    pub(crate) fn door(&self) -> Door {
        Door {
            socket: self.socket(),
            socket_mode: 0o660,
            agent_sockets: BTreeMap::new(),
            subscriptions: ["a", "b", "c"].map(SubscriptionName::from).into(),
            limits: self.limits.clone(),
        }
    }

    pub(crate) async fn start(self) -> Self {
        let rig = self.start_without_assignments().await;
        for name in rig.agents.keys() {
            rig.until(name.as_str(), |state| state.assignment.is_some() && !state.phase.is_switching()).await;
        }
        rig
    }

    /// Starts, and leaves it to the test to wait for what it needs.
    pub(crate) async fn start_without_assignments(mut self) -> Self {
        let runtime = OwnGroup { world: Arc::clone(&self.world), agent: self.own_group.clone() };
        let root = Root::start(Wiring {
            logs: None,
            agents: self.agents.iter().map(|(name, policy)| (name.clone(), Arc::clone(policy))).collect(),
            subscriptions: ["a", "b", "c"].map(|name| testing::subscription(name, 8)).to_vec(),
            runtime: Arc::new(runtime),
            delivery: Arc::clone(&self.world) as _,
            credentials: Arc::new(Keys),
            store: Arc::clone(&self.store) as _,
            clock: Arc::new(SystemClock::new()),
            telemetry: self.telemetry.clone(),
            classifier: Arc::default(),
            lease_key: secrecy::SecretBox::new(Box::new([7; 32])),
            probing: Probing::default(),
            notifiers: Vec::new(),
            restarts_in_parallel: 8,
            splay: Duration::ZERO,
            pool: PoolSettings::default(),
            keep: Duration::from_secs(86_400),
            keep_bytes: 1 << 30,
        });
        let root = root.await.expect("the actors start");
        let server = api::serve(root.switchman(), self.door(), self.stop.subscribe()).expect("a socket");
        self.running = Some((root, server));
        self
    }

    pub(crate) fn switchman(&self) -> Switchman {
        self.running.as_ref().expect("started").0.switchman()
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Asks the door to close, and waits until it has.
    pub(crate) async fn close(&mut self) {
        self.stop.send_replace(true);
        let (root, server) = self.running.take().expect("started");
        tokio::time::timeout(PATIENCE, server.stopped()).await.expect("the door closes");
        root.stop(Duration::from_secs(5)).await;
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn state(&self, agent: &str) -> Arc<AgentState> {
        self.switchman().agent(agent).expect("known").state
    }

    pub(crate) async fn until(&self, agent: &str, is: impl Fn(&AgentState) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is(&self.state(agent)) {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{agent} never came to that: {:#?}", self.state(agent));
    }

    /// The agent runs on this generation and nothing is under way.
    pub(crate) async fn settled(&self, agent: &str, generation: u64) {
        self.until(agent, |state| state.generation().0 == generation && !state.phase.is_switching()).await;
    }

    /// A POST of the holder of a turn.
    pub(crate) async fn held(&self, path: &str, token: &str, body: &str) -> Reply {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Lease {token}\r\n");
        let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let reply = send(&self.socket(), text.as_bytes()).await;
        described("POST", path, body, &reply);
        reply
    }

    /// Begins a turn of agent `one`; its id and its token.
    pub(crate) async fn begin(&self, body: &str) -> (String, String) {
        let begun = self.post("/v1/agents/one/turns", body).await;
        assert_eq!(begun.status, 201, "{begun:?}");
        let document = begun.json();
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        (text(&document["turn"]["id"]), text(&document["lease_token"]))
    }

    /// The same, taken with a first heartbeat.
    pub(crate) async fn take(&self, body: &str) -> (String, String) {
        let (id, token) = self.begin(body).await;
        assert_eq!(self.held(&format!("/v1/turns/{id}/heartbeat"), &token, "").await.status, 200);
        (id, token)
    }

    /// Asks, and holds the answer against the document that describes the API.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        let reply = call(&self.socket(), method, path, body).await;
        described(method, path, body, &reply);
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Reply {
        self.ask("PUT", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path, "").await
    }

    /// Reports a failure of agent `one`.
    pub(crate) async fn report(&self, body: &str) -> Reply {
        self.post("/v1/agents/one/failures", body).await
    }
}

/// Holds an answer against the document that describes the API.
fn described(method: &str, path: &str, body: &str, reply: &Reply) {
    let complaints = conformity::complaints(conformity::committed(), method, path, body, reply);
    assert!(complaints.is_empty(), "{complaints:#?}\n{reply:?}");
}

/// Waits at a gate, but not for ever.
pub(crate) async fn reached(gate: &Gate) {
    tokio::time::timeout(PATIENCE, gate.until_reached()).await.expect("the call is made");
}
