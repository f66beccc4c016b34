//! A daemon's actors in this process that follow real containers, beside bare followers of the same logs.
//!
//! ```text
//! began: a line goes to a container ──► its output ──► engine ──┬──► stream of the client library     (yardstick)
//!                                                              └──► reader ──► decision ──► commit    (measured)
//! ```
//!
//! A switch only writes the credential, so the container lives on and its log stays open. Every line is about another
//! generation and is decided anew. The bare followers have a thread of their own.

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use switchman::actor::probes::Probing;
use switchman::actor::{Root, Switchman, Wiring};
use switchman::domain::{
    AgentName, Apply, CredentialRef, Format, Provider, QuotaIdentity, SubscriptionName, SubscriptionType,
};
use switchman::drivers::credentials::Credentials;
use switchman::drivers::delivery::{FileDelivery, FileTarget, Target};
use switchman::drivers::docker::logs::DockerLogs;
use switchman::drivers::docker::{DockerHost, DockerRuntime};
use switchman::drivers::sqlite::{Options, SqliteStore};
use switchman::drivers::system_clock::SystemClock;
use switchman::machine::agent::testing;
use switchman::machine::policy::{Budget, FilePolicy, Policy, PoolSettings, SubscriptionPolicy, Terms};
use switchman::ports::clock::Clock;
use switchman::telemetry::Telemetry;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::containers::{Containers, credential};
use super::voice::Voice;
use super::witness::{Told, Witness};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Whatever takes longer than this has gone wrong.
const WITHIN: Duration = Duration::from_secs(60);

/// Actors and bare followers on the same containers.
pub(crate) struct Followed {
    root: Root,
    told: UnboundedReceiver<Told>,
    bare: UnboundedReceiver<(usize, Instant)>,
    probes: Vec<(String, Voice)>,
}

/// How long one line took, from the write that made the container print it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Until a bare follower had it.
    pub(crate) delivered: Duration,
    /// Until what it means was decided and on disk.
    pub(crate) decided: Duration,
}

impl Sample {
    /// What the decision took on top of the delivery; nothing if it was there first.
    pub(crate) fn on_top(&self) -> Duration {
        self.decided.saturating_sub(self.delivered)
    }
}

impl Followed {
    /// Follows all containers; so many of them, from the second on (the only one if there is one), are probes and
    /// have a bare follower too.
    pub(crate) async fn start(containers: &Containers, probes: usize) -> Self {
        let (tell, mut told) = unbounded_channel();
        let store = SqliteStore::open(&containers.work().join("switchman.db"), &Options::default()).expect("a store");
        let store = Arc::new(Witness { store: Arc::new(store), told: tell });
        let root = Root::start(wiring(containers, store)).await.expect("the actors start");
        let mut waiting: BTreeSet<&str> = containers.names.iter().map(String::as_str).collect();
        while !waiting.is_empty() {
            match timeout(WITHIN, told.recv()).await.expect("every log is followed in time") {
                Some(Told::Followed(agent)) => drop(waiting.remove(agent.as_str())),
                other => panic!("{other:?}"),
            }
        }
        let switchman = root.switchman();
        let began = Instant::now();
        while !switchman.agents().iter().all(|agent| agent.state.assignment.is_some()) {
            assert!(began.elapsed() < WITHIN, "the agents are not adopted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let first = usize::from(containers.names.len() > probes);
        let names: Vec<String> = containers.names[first..first + probes].to_vec();
        let bare = follow(names.clone());
        let probes = names.into_iter().map(|name| (name.clone(), Voice::of(containers, &name))).collect();
        let mut followed = Self { root, told, bare, probes };
        followed.await_bare().await;
        followed
    }

    pub(crate) fn switchman(&self) -> Switchman {
        self.root.switchman()
    }

    /// A stream of the library does not say when it is open: lines are printed until each has told one.
    async fn await_bare(&mut self) {
        let mut waiting: Vec<usize> = (0..self.probes.len()).collect();
        let began = Instant::now();
        while !waiting.is_empty() {
            assert!(began.elapsed() < WITHIN, "the bare followers are not ready");
            for number in &waiting {
                self.probes[*number].1.say(&format!("print {BARE}"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            while let Ok((number, _)) = self.bare.try_recv() {
                waiting.retain(|waits| *waits != number);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        while self.bare.try_recv().is_ok() {}
    }

    /// Lets the n-th probe say that its limit is reached.
    pub(crate) async fn sample(&mut self, number: usize) -> Sample {
        let number = number % self.probes.len();
        let switchman = self.switchman();
        let (name, voice) = &mut self.probes[number];
        let was = subscription(&switchman, name);
        let resets_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a calendar").as_secs() + 3600;
        let line = format!(
            r#"print {{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{resets_at},"rateLimitType":"five_hour"}}}}"#
        );
        let began = Instant::now();
        voice.say(&line);
        let decided = loop {
            match timeout(WITHIN, self.told.recv()).await.expect("a decision in time") {
                Some(Told::Decided(agent, at)) => {
                    assert_eq!(agent.as_str(), name, "the decision is about another agent");
                    break at;
                }
                Some(Told::Followed(_)) => {}
                None => panic!("the store is gone"),
            }
        };
        let delivered = timeout(WITHIN, self.bare.recv()).await.expect("a delivery in time").expect("a follower");
        assert_eq!(delivered.0, number, "another container has printed something");
        // What follows from the decision must have ended before the next one.
        let name = name.clone();
        while subscription(&switchman, &name) == was
            || switchman.agent(&name).is_some_and(|agent| agent.state.phase.is_switching())
        {
            assert!(began.elapsed() < WITHIN, "the switch does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if let Some(was) = was {
            switchman.clear_cooldown(was).await.expect("it may be used again");
        }
        Sample { delivered: delivered.1.duration_since(began), decided: decided.duration_since(began) }
    }

    /// Ends the actors; the bare followers end with their containers.
    pub(crate) async fn stop(self) {
        self.root.stop(Duration::from_secs(5)).await;
    }
}

fn subscription(switchman: &Switchman, name: &str) -> Option<SubscriptionName> {
    switchman.agent(name)?.state.assignment.as_ref().map(|assignment| assignment.subscription.clone())
}

/// What a bare follower looks for.
const BARE: &str = "rejected";

/// Follows these in a thread of their own; tells every line that says what is looked for.
fn follow(names: Vec<String>) -> UnboundedReceiver<(usize, Instant)> {
    let (tell, told) = unbounded_channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Docker::connect_with_defaults().expect("an engine's address");
            let following = names.iter().enumerate().map(|(number, name)| follow_one(&client, number, name, &tell));
            futures_util::future::join_all(following).await;
        });
    });
    told
}

async fn follow_one(client: &Docker, number: usize, name: &str, tell: &UnboundedSender<(usize, Instant)>) {
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true).tail("0");
    let mut lines = client.logs(name, Some(options.build()));
    while let Some(Ok(line)) = lines.next().await {
        if line.to_string().contains(BARE) && tell.send((number, Instant::now())).is_err() {
            return;
        }
    }
}

fn wiring(containers: &Containers, store: Arc<Witness>) -> Wiring {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let subscriptions = ["a", "b"].map(SubscriptionName::from);
    let sources = subscriptions.clone().map(|name| {
        let path = containers.work().join(name.as_str());
        super::containers::secret(&path, &credential(name.as_str()));
        (name, CredentialRef::File(path), SubscriptionType::SetupToken)
    });
    let named: BTreeMap<AgentName, String> =
        containers.names.iter().map(|name| (AgentName::from(name.clone()), name.clone())).collect();
    let token = |name: &String| containers.work().join(name).join("token");
    let policy = |name: &String| Policy {
        file: Some(FilePolicy { path: token(name), format: Format::Raw, apply: Apply::Written }),
        subscriptions: subscriptions.to_vec(),
        settle: Duration::ZERO,
        wait_out: Duration::ZERO,
        budget: Budget { switches: 1000, per: Duration::from_secs(1) },
        ..testing::policy()
    };
    let target = |name: &String| (AgentName::from(name.clone()), Target::File(FileTarget::raw(token(name))));
    let host = || {
        let given = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        DockerHost::parse(&given).expect("an engine's address")
    };
    Wiring {
        agents: containers.names.iter().map(|name| (AgentName::from(name.clone()), Arc::new(policy(name)))).collect(),
        subscriptions: subscriptions
            .iter()
            .map(|name| SubscriptionPolicy {
                name: name.clone(),
                provider: Provider::from("anthropic"),
                kind: SubscriptionType::SetupToken,
                quota: QuotaIdentity::from(name.as_str()),
                agents_max: u32::MAX,
                terms: Terms::default(),
            })
            .collect(),
        logs: Some(Arc::new(DockerLogs::new(host(), named.clone(), CALL_TIMEOUT, Arc::clone(&clock)))),
        runtime: Arc::new(DockerRuntime::new(host(), named, CALL_TIMEOUT, Arc::clone(&clock))),
        delivery: Arc::new(FileDelivery::new(
            containers.names.iter().map(target).collect(),
            "bench".to_owned(),
            Arc::clone(&clock),
        )),
        credentials: Arc::new(Credentials::new(sources, Arc::new(|_: &str| None), None, Arc::clone(&clock))),
        store,
        clock,
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
    }
}
