//! A daemon's actors in this process, on a world in which every agent runs and every call succeeds at once.
//!
//! The world keeps a few bytes per agent that was moved and nothing for the others, so that what is measured is not
//! the fake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use switchman::actor::probes::Probing;
use switchman::actor::{Root, Switchman, Wiring};
use switchman::domain::{
    AgentName, Fingerprint, Instance, Mount, Mounted, Provider, QuotaIdentity, RuntimeState, SubscriptionName,
    SubscriptionType,
};
use switchman::drivers::fingerprint::fingerprint;
use switchman::drivers::system_clock::SystemClock;
use switchman::machine::agent::testing;
use switchman::machine::policy::{Policy, PoolSettings, SubscriptionPolicy, Terms, TurnPolicy};
use switchman::ports::Pending;
use switchman::ports::clock::Clock;
use switchman::ports::credentials::{Credential, CredentialError, CredentialSource, Login, TakenBack};
use switchman::ports::delivery::{Consignment, Delivery, DeliveryError, Found, FoundCredential};
use switchman::ports::runtime::{Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};
use switchman::ports::store::Store;
use switchman::telemetry::Telemetry;

const SUBSCRIPTIONS: [&str; 3] = ["a", "b", "c"];

/// How long the agents may take to be adopted.
const ADOPTED_WITHIN: Duration = Duration::from_secs(120);

/// Every agent runs on subscription `a` until it is moved.
struct QuietWorld {
    do_switches_end: bool,
    first: Fingerprint,
    moved: Mutex<HashMap<AgentName, Moved>>,
}

#[derive(Clone, Default)]
struct Moved {
    restarts: u32,
    delivered: Option<Fingerprint>,
}

impl QuietWorld {
    fn of(&self, agent: &AgentName) -> Moved {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(agent).cloned().unwrap_or_default()
    }

    fn change(&self, agent: &AgentName, change: impl FnOnce(&mut Moved)) {
        change(self.moved.lock().unwrap_or_else(PoisonError::into_inner).entry(agent.clone()).or_default());
    }

    fn begin_life(&self, order: &StartOrder<'_>) -> Pending<'_, Result<(), RuntimeError>> {
        self.change(order.agent, |moved| moved.restarts += 1);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Runtime for QuietWorld {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        // As long as what an engine says.
        let instance = Instance {
            id: "4c01db0b339c7c2f1a0f6c1f8d6f0b0d1c9a2f1e5d7b8a6c3e2f1d0c9b8a7f6e".to_owned(),
            started_at: format!("2026-11-21T10:58:00.{:09}Z", self.of(agent).restarts),
        };
        Box::pin(std::future::ready(Ok(Seen::of(RuntimeState::Running, Some(instance)))))
    }

    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        self.begin_life(&order)
    }

    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        self.begin_life(&order)
    }

    fn reload<'a>(&'a self, _: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn await_ready<'a>(&'a self, _: &'a AgentName, _: Duration) -> Pending<'a, Result<Readiness, RuntimeError>> {
        Box::pin(std::future::ready(Ok(Readiness::Ready)))
    }

    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        Box::pin(std::future::pending())
    }

    fn shut_down(&self, _: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Delivery for QuietWorld {
    fn preflight<'a>(&'a self, _: &'a AgentName) -> Pending<'a, Result<(), DeliveryError>> {
        if self.do_switches_end { Box::pin(std::future::ready(Ok(()))) } else { Box::pin(std::future::pending()) }
    }

    fn deliver<'a>(&'a self, consignment: Consignment<'a>) -> Pending<'a, Result<(), DeliveryError>> {
        let fingerprint = consignment.credential.fingerprint.clone();
        self.change(consignment.agent, |moved| moved.delivered = Some(fingerprint));
        Box::pin(std::future::ready(Ok(())))
    }

    fn mounted<'a>(&'a self, agent: &'a AgentName, mounts: &'a [Mount]) -> Pending<'a, Result<Mounted, DeliveryError>> {
        let _ = (agent, mounts);
        Box::pin(std::future::ready(Ok(Mounted::Unknown)))
    }

    fn login<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<Login>, DeliveryError>> {
        let _ = agent;
        Box::pin(std::future::ready(Ok(None)))
    }

    fn found<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Found, DeliveryError>> {
        let found = self.of(agent).delivered.unwrap_or_else(|| self.first.clone());
        Box::pin(std::future::ready(Ok(Found::Credential(FoundCredential::of_static(found)))))
    }
}

/// A credential for every subscription.
struct Keys;

fn key(subscription: &str) -> String {
    format!("key-of-{subscription}")
}

impl CredentialSource for Keys {
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>> {
        let secret = key(subscription.as_str());
        let credential =
            Credential::of_static(secret.clone().into(), fingerprint(secret.as_bytes()), SubscriptionType::SetupToken);
        Box::pin(std::future::ready(Ok(credential)))
    }

    fn take_back<'a>(
        &'a self,
        _: &'a SubscriptionName,
        _: &'a Login,
    ) -> Pending<'a, Result<TakenBack, CredentialError>> {
        Box::pin(std::future::ready(Ok(TakenBack::NotNewer)))
    }
}

/// The name of the n-th agent.
pub(crate) fn agent(number: usize) -> String {
    format!("agent-{number:05}")
}

/// Starts so many agents, each with a policy of its own as the config makes it, and waits until every one is known
/// to run on subscription `a`. A switch is either carried out at once, or stays before its first step.
pub(crate) async fn start(agents: usize, store: Arc<dyn Store>, do_switches_end: bool) -> Root {
    let world =
        Arc::new(QuietWorld { do_switches_end, first: fingerprint(key("a").as_bytes()), moved: Mutex::default() });
    let names = SUBSCRIPTIONS.map(SubscriptionName::from);
    let subscription = |name: &SubscriptionName| SubscriptionPolicy {
        name: name.clone(),
        provider: Provider::from("anthropic"),
        kind: SubscriptionType::SetupToken,
        quota: QuotaIdentity::from(name.as_str()),
        agents_max: u32::MAX,
        terms: Terms::default(),
    };
    let turns = TurnPolicy { sessions_max: 10, ..TurnPolicy::default() };
    let policy = || Arc::new(Policy { subscriptions: names.to_vec(), turns: turns.clone(), ..testing::policy() });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let root = Root::start(Wiring {
        logs: None,
        agents: (0..agents).map(|number| (AgentName::from(agent(number)), policy())).collect(),
        subscriptions: names.iter().map(subscription).collect(),
        runtime: Arc::clone(&world) as _,
        delivery: world,
        credentials: Arc::new(Keys),
        store,
        clock: Arc::clone(&clock),
        telemetry: Telemetry::new(),
        classifier: Arc::default(),
        lease_key: secrecy::SecretBox::new(Box::new([7; 32])),
        probing: Probing::default(),
        notifiers: Vec::new(),
        restarts_in_parallel: 8,
        splay: Duration::ZERO,
        pool: PoolSettings::default(),
        keep: Duration::from_secs(30 * 86_400),
        keep_bytes: 1 << 30,
    });
    let root = root.await.expect("the actors start");
    let give_up = clock.now().steady.plus(ADOPTED_WITHIN);
    while !are_adopted(&root.switchman()) {
        assert!(clock.now().steady < give_up, "the agents were not adopted in time");
        clock.sleep(Duration::from_millis(10)).await;
    }
    root
}

fn are_adopted(switchman: &Switchman) -> bool {
    switchman.agents().iter().all(|agent| agent.state.assignment.is_some() && agent.state.sighting.is_some())
}
