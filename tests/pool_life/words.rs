//! What the stories about a pool are told with.

use std::time::Duration;

use switchman::domain::{
    AgentName, Assignment, Cause, CauseBy, Change, Cooldown, CooldownKey, CooldownSource, FailureId, FailureKind,
    Generation, Intent, IntentEnd, IntentId, IntentMarks, IntentOutcome, Plan, QuotaIdentity, Reach, Reading,
    SubscriptionName, Teller, Utilisation, Wall, Window,
};
use switchman::machine::agent::testing::{START, pool, subscription};
use switchman::machine::policy::{PoolSettings, Strategy, SubscriptionPolicy, Terms};
use switchman::machine::pool::{AgentView, Ineligible, Pick, PoolState, Wanted, evaluate};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const RAMP: Duration = Duration::from_secs(5);

/// A pool and the time.
pub(crate) struct Story {
    pub(crate) pool: PoolState,
    pub(crate) now: Wall,
}

/// A subscription on these terms.
pub(crate) fn on_terms(name: &str, terms: Terms) -> SubscriptionPolicy {
    SubscriptionPolicy { terms, ..subscription(name, 8) }
}

pub(crate) fn by(strategy: Strategy) -> PoolSettings {
    PoolSettings { strategy, ..PoolSettings::default() }
}

impl Story {
    pub(crate) fn of(subscriptions: impl IntoIterator<Item = SubscriptionPolicy>, settings: PoolSettings) -> Self {
        Self { pool: pool(subscriptions).with_settings(settings), now: START.wall }
    }

    /// `a`, `b` and `c` with the defaults.
    pub(crate) fn plain() -> Self {
        Self::of(["a", "b", "c"].map(|name| subscription(name, 50)), PoolSettings::default())
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// The agent runs on this one.
    pub(crate) fn runs(&mut self, agent: &str, on: &str) {
        let assignment = Assignment { subscription: on.into(), generation: Generation(1), since: self.now };
        self.pool.apply(&Change::Assigned { agent: agent.into(), assignment, replaces: Generation::NONE });
    }

    pub(crate) fn cools(&mut self, row: Cooldown) {
        self.pool.apply(&Change::CooldownSet(row));
    }

    /// A five-hour limit of `about`, by the word of one agent or of somebody trusted.
    pub(crate) fn limit(&self, about: &str, by: Option<&str>, lasts: Duration) -> Cooldown {
        Cooldown {
            key: CooldownKey {
                reach: by.map_or(Reach::All, |by| Reach::Agent(by.into())),
                quota: QuotaIdentity::from(about),
                credential: None,
                window: Window::FiveHour,
                model: None,
            },
            subscription: about.into(),
            kind: FailureKind::RateLimit,
            source: if by.is_some() { CooldownSource::Agent } else { CooldownSource::Reporter },
            since: self.now,
            until: Some(self.now.plus(lasts)),
            failure: None,
        }
    }

    /// A refused login, or a ban, of `about` as `agent` met it.
    pub(crate) fn refusal(&self, kind: FailureKind, about: &str, agent: &str, is_trusted: bool) -> Cooldown {
        let row = self.limit(about, (!is_trusted).then_some(agent), HOUR);
        Cooldown {
            key: CooldownKey { credential: Some(about.into()), window: Window::Unknown, ..row.key },
            kind,
            until: None,
            failure: Some(FailureId { agent: agent.into(), number: 1 }),
            ..row
        }
    }

    /// What somebody trusted read of the five-hour window.
    pub(crate) fn reading(&self, of: &str, percent: f64) -> Reading {
        Reading {
            subscription: of.into(),
            window: Window::FiveHour,
            model: None,
            utilisation: Utilisation::from_percent(percent),
            serves: true,
            reset_at: None,
            at: self.now,
            told_by: Teller::Reporter,
        }
    }

    pub(crate) fn reads(&mut self, reading: Reading) {
        self.pool.apply(&Change::ReadingTaken(reading));
    }

    pub(crate) fn order(&self, view: &AgentView) -> Vec<String> {
        let ranking = evaluate(view, &self.pool, self.now);
        let eligible = ranking.candidates.iter().filter(|candidate| candidate.ineligible.is_none());
        eligible.map(|candidate| candidate.subscription.to_string()).collect()
    }

    pub(crate) fn verdict(&self, view: &AgentView, name: &str) -> Option<Ineligible> {
        let ranking = evaluate(view, &self.pool, self.now);
        ranking.verdict(&name.into()).expect("every subscription has a verdict").ineligible.clone()
    }

    pub(crate) fn pick(&mut self, view: &AgentView) -> Pick {
        self.pool.pick(view, self.now)
    }

    /// The agent's switch is opened and, a moment later, done.
    pub(crate) fn arrives(&mut self, agent: &str, on: &str, by: CauseBy) {
        let id = self.opens(agent, on, by);
        self.runs(agent, on);
        self.closes(id, IntentOutcome::Ready);
    }

    pub(crate) fn opens(&mut self, agent: &str, to: &str, by: CauseBy) -> IntentId {
        let id = IntentId { agent: agent.into(), number: 1 };
        self.pool.apply(&Change::IntentOpened(Intent {
            id: id.clone(),
            plan: Plan::Switch,
            generation: Generation(2),
            from: None,
            to: to.into(),
            cause: Cause::of(by),
            observed_at: self.now,
            started_at: self.now,
            turn: None,
        }));
        id
    }

    pub(crate) fn closes(&mut self, id: IntentId, outcome: IntentOutcome) {
        self.pool.apply(&Change::IntentClosed(IntentEnd {
            id,
            outcome,
            finished_at: self.now,
            marks: IntentMarks::default(),
            turns_cut_off: 0,
            restarts: 1,
            reason: None,
        }));
    }
}

/// What an agent sees that runs nowhere and wants any subscription, as one that wakes.
pub(crate) fn wakes(agent: &str) -> AgentView {
    AgentView {
        agent: AgentName::from(agent),
        allowed: ["a", "b", "c"].map(SubscriptionName::from).to_vec(),
        models: Vec::new(),
        current: None,
        failing: None,
        exclusions: [].into(),
        wanted: Wanted::Any,
        by: CauseBy::Wake,
    }
}

/// What an agent sees that has failed on `on` and wants another one.
pub(crate) fn leaves(agent: &str, on: &str) -> AgentView {
    AgentView { current: Some(on.into()), wanted: Wanted::Another, by: CauseBy::Failure, ..wakes(agent) }
}
