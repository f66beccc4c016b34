//! A daemon's actors on fakes, with a clock that jumps to the next deadline when nothing else is to be done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::actor::handle::SubscriptionStatus;
use switchman::actor::probes::Probing;
use switchman::actor::root::Reconfigurer;
use switchman::actor::{Root, Switchman, Wiring, outbox};
use switchman::domain::{
    AgentName, AgentRecord, Answer, Change, FailureKind, FailureRecord, Generation, IntentId, IntentRecord,
    LogPosition, Message, Notes, NotifyEvent, Origin, ProbePlan, Provider, QuotaIdentity, Report, ReportId, Reporter,
    Severity, SubscriptionName, SubscriptionType, Trust, TurnId, TurnRecord, Wall, Window,
};
use switchman::drivers::fake::clock::TestClock;
use switchman::drivers::fake::logs::FakeLogs;
use switchman::drivers::fake::prober::FakeProber;
use switchman::drivers::fake::runtime::{Call, FakeWorld, Place};
use switchman::drivers::fake::store::FakeStore;
use switchman::drivers::fingerprint::fingerprint;
use switchman::machine::agent::{AgentState, Command, testing};
use switchman::machine::notices::Taste;
use switchman::machine::policy::{Policy, PoolSettings, SubscriptionPolicy, Terms};
use switchman::ports::Pending;
use switchman::ports::clock::Clock;
use switchman::ports::credentials::{Credential, CredentialError, CredentialSource, Login, TakenBack};
use switchman::ports::notifier::{Notifier, NotifyError};
use switchman::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, Store, StoreError, StoredAnswer};
use switchman::telemetry::Telemetry;

pub(crate) const START: Wall = Wall(1_800_000_000_000);

/// What the config has at the start.
const SUBSCRIPTIONS: [&str; 3] = ["a", "b", "c"];

/// A credential for every subscription: `key-of-NAME`, unless the test has changed it or taken it away.
#[derive(Default)]
struct Keys(Mutex<BTreeMap<String, Option<String>>>);

impl CredentialSource for Keys {
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>> {
        let changed = self.0.lock().expect("whole").get(subscription.as_str()).cloned();
        Box::pin(async move {
            // A source that comes with a later config is a slow one: everybody else has their turn first.
            if !SUBSCRIPTIONS.contains(&subscription.as_str()) {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            }
            let secret = changed.unwrap_or_else(|| Some(key(subscription.as_str())));
            let secret = secret.ok_or_else(|| CredentialError::Unreadable {
                subscription: subscription.clone(),
                place: "the test".to_owned(),
                why: "taken away".to_owned(),
            })?;
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

/// The fake store, with one more fault: whoever commits a failure of this agent dies of it.
struct Deadly {
    store: Arc<FakeStore>,
    agent: Mutex<Option<AgentName>>,
}

impl Store for Deadly {
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        let mut deadly = self.agent.lock().expect("whole");
        let is_deadly = changes.iter().any(|change| match change {
            Change::FailureRecorded(record) => Some(&record.id.agent) == deadly.as_ref(),
            _ => false,
        });
        if is_deadly {
            *deadly = None;
            drop(deadly);
            panic!("a fault of the test");
        }
        self.store.commit(changes)
    }
    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        self.store.load_agent(agent)
    }
    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        self.store.load_pool(now)
    }
    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        self.store.log_positions()
    }
    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        self.store.report_ids(agent, since, limit)
    }
    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        self.store.answer(agent, id)
    }
    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        self.store.intents(query)
    }
    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        self.store.intent(id)
    }
    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        self.store.turn(id)
    }
    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        self.store.turns(query)
    }
    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        self.store.failures(query)
    }
    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        self.store.outgoing(target, limit)
    }
    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        self.store.delivered(target, position)
    }
    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        self.store.notes(target)
    }
    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        self.store.noted(target, position, notes)
    }
    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>> {
        self.store.sweep(retention)
    }
}

/// What is set up, and then what runs.
/// Takes every message and keeps it.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<Message>>);

impl Told {
    /// The messages about this, in order.
    pub(crate) fn about(&self, event: &str) -> Vec<Message> {
        self.0.lock().expect("whole").iter().filter(|message| message.event == event).cloned().collect()
    }
}

impl Notifier for Told {
    fn target(&self) -> &'static str {
        "told"
    }
    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>> {
        self.0.lock().expect("whole").push(message.clone());
        Box::pin(async { Ok("taken".to_owned()) })
    }
}

fn target(told: &Arc<Told>) -> outbox::Target {
    let taste = Taste { events: NotifyEvent::ALL.iter().copied().collect(), severity: Severity::Info, per_hour: 1000 };
    outbox::Target { notifier: Arc::clone(told) as _, taste }
}

pub(crate) struct Rig {
    deadly: Arc<Deadly>,
    agents: BTreeMap<AgentName, Arc<Policy>>,
    pub(crate) world: Arc<FakeWorld>,
    pub(crate) store: Arc<FakeStore>,
    clock: Arc<TestClock>,
    keys: Arc<Keys>,
    logs: Option<Arc<FakeLogs>>,
    told: Option<Arc<Told>>,
    probing: Probing,
    /// Restarts at once, and how far apart.
    pace: (usize, Duration),
    root: Option<Root>,
}

impl Rig {
    /// Container agents that may use `a`, `b` and `c`.
    pub(crate) fn new(agents: &[&str]) -> Self {
        let policy = Arc::new(testing::policy());
        let agents = agents.iter().map(|name| (AgentName::from(*name), Arc::clone(&policy))).collect();
        let store = Arc::new(FakeStore::new());
        Self {
            agents,
            world: Arc::new(FakeWorld::new()),
            deadly: Arc::new(Deadly { store: Arc::clone(&store), agent: Mutex::default() }),
            store,
            clock: Arc::new(TestClock::new(START)),
            keys: Arc::default(),
            logs: None,
            told: None,
            probing: Probing::default(),
            pace: (8, Duration::ZERO),
            root: None,
        }
    }

    /// The agent's container runs already, on this subscription's credential.
    pub(crate) fn runs(self, agent: &str, subscription: &str) -> Self {
        let agent = AgentName::from(agent);
        self.world.add(&agent, Place::File);
        self.world.put_file(&agent, &key(subscription));
        self.world.start_by_hand(&agent);
        self
    }

    /// The logs of the containers are these.
    pub(crate) fn with_logs(mut self, logs: &Arc<FakeLogs>) -> Self {
        self.logs = Some(Arc::clone(logs));
        self
    }

    /// So many restarts at once, and so far apart from each other.
    pub(crate) fn paced(mut self, places: usize, splay: Duration) -> Self {
        self.pace = (places, splay);
        self
    }

    /// This one asks, by these plans.
    pub(crate) fn probing(mut self, prober: &Arc<FakeProber>, plans: &[ProbePlan]) -> Self {
        self.probing = Probing { plans: plans.to_vec(), prober: Some(Arc::clone(prober) as _) };
        self
    }

    /// What is known of a subscription.
    pub(crate) async fn subscription(&self, name: &str) -> SubscriptionStatus {
        let all = self.switchman().subscriptions().await.expect("the pool answers");
        all.into_iter().find(|status| status.policy.name.as_str() == name).expect("known")
    }

    /// Everything is told to this one.
    pub(crate) fn telling(mut self, told: &Arc<Told>) -> Self {
        self.told = Some(Arc::clone(told));
        self
    }

    /// How often the agent's container was looked at.
    pub(crate) fn looks(&self, agent: &str) -> usize {
        self.world.calls(&agent.into(), Call::Look)
    }

    pub(crate) async fn metrics(&self) -> String {
        let switchman = self.switchman();
        let snapshot = switchman.snapshot().await.expect("the pool answers");
        switchman.telemetry().metrics().render(&snapshot)
    }

    /// How the actors are given another config.
    pub(crate) fn reconfigurer(&self) -> Reconfigurer {
        self.root.as_ref().expect("started").reconfigurer()
    }

    pub(crate) async fn start(mut self) -> Self {
        let root = Root::start(Wiring {
            logs: self.logs.clone().map(|logs| logs as _),
            agents: self.agents.iter().map(|(name, policy)| (name.clone(), Arc::clone(policy))).collect(),
            subscriptions: SUBSCRIPTIONS.map(subscription).to_vec(),
            runtime: Arc::clone(&self.world) as _,
            delivery: Arc::clone(&self.world) as _,
            credentials: Arc::clone(&self.keys) as _,
            store: Arc::clone(&self.deadly) as _,
            clock: Arc::clone(&self.clock) as _,
            telemetry: Telemetry::new(),
            classifier: Arc::default(),
            lease_key: secrecy::SecretBox::new(Box::new([7; 32])),
            notifiers: self.told.iter().map(target).collect(),
            probing: self.probing.clone(),
            restarts_in_parallel: self.pace.0,
            splay: self.pace.1,
            pool: PoolSettings::default(),
            keep: Duration::from_secs(86_400),
            keep_bytes: 1 << 30,
        });
        self.root = Some(root.await.expect("the actors start"));
        self
    }

    pub(crate) fn switchman(&self) -> Switchman {
        self.root.as_ref().expect("started").switchman()
    }

    pub(crate) fn state(&self, agent: &str) -> Arc<AgentState> {
        self.switchman().agent(agent).expect("known").state
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().wall.since(START)
    }

    /// Waits until the agent is as asked; three hours of its time at most.
    pub(crate) async fn until(&self, agent: &str, is: impl Fn(&AgentState) -> bool) {
        for _ in 0..200_000 {
            if is(&self.state(agent)) {
                return;
            }
            self.sleep(Duration::from_millis(50)).await;
        }
        panic!("{agent} never came to that: {:#?}", self.state(agent));
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    pub(crate) async fn report(&self, agent: &str, report: Report) -> Answer {
        self.switchman().report(agent, report, 0).await.expect("taken")
    }

    pub(crate) async fn command(&self, agent: &str, command: Command) {
        self.switchman().command(agent, command).await.expect("done");
    }

    pub(crate) fn notifications(&self, event: NotifyEvent) -> usize {
        let changes = self.store.commits().into_iter().flatten();
        changes.filter(|change| matches!(change, Change::Notified(notified) if notified.event == event)).count()
    }

    pub(crate) async fn failures(&self, agent: &str) -> Vec<FailureRecord> {
        let query = HistoryQuery { agent: Some(agent.into()), limit: 1000, ..HistoryQuery::default() };
        self.store.failures(query).await.expect("readable").rows
    }

    /// The next commit of a failure of this agent kills whoever makes it.
    pub(crate) fn die_on_commit_of(&self, agent: &str) {
        *self.deadly.agent.lock().expect("whole") = Some(agent.into());
    }

    pub(crate) fn live_again(&self) {
        *self.deadly.agent.lock().expect("whole") = None;
    }

    /// The source of this subscription's credential gives another one, or none any more.
    pub(crate) fn set_key(&self, subscription: &str, key: Option<&str>) {
        let key = key.map(ToOwned::to_owned);
        self.keys.0.lock().expect("whole").insert(subscription.to_owned(), key);
    }

    /// The daemon ends in good order and starts again.
    pub(crate) async fn restart(mut self) -> Self {
        let root = self.root.take().expect("started");
        root.stop(Duration::from_secs(10)).await;
        self.start().await
    }

    pub(crate) async fn stop(mut self) {
        let root = self.root.take().expect("started");
        root.stop(Duration::from_secs(10)).await;
    }
}

/// A subscription with room for eight.
pub(crate) fn subscription(name: &str) -> SubscriptionPolicy {
    SubscriptionPolicy {
        name: SubscriptionName::from(name),
        provider: Provider::from("anthropic"),
        kind: SubscriptionType::SetupToken,
        quota: QuotaIdentity::from(name),
        agents_max: 8,
        terms: Terms::default(),
    }
}

/// A five-hour limit that states no reset.
pub(crate) fn limit(subscription: Option<&str>, generation: Option<u64>) -> Report {
    Report {
        id: None,
        kind: FailureKind::RateLimit,
        subscription: subscription.map(SubscriptionName::from),
        generation: generation.map(Generation),
        turn: None,
        model: None,
        window: Window::FiveHour,
        reset_at: None,
        trust: Trust::Structured,
        is_hearsay: false,
        observed_at: None,
        origin: Origin::Untold,
        read_to: None,
        reporter: Reporter::Trusted,
        sender: "test".to_owned(),
        reason: None,
    }
}
