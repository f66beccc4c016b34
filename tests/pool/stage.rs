//! Agents on subscriptions `a`, `b`, …, and a calendar.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::calendar::Calendar;
use crate::setup::Setup;
use crate::site::Site;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// Later than a time by what rounding and a request take.
pub(crate) const BIT: Duration = Duration::from_secs(1);

/// Begins in the middle of a day on which no clock is changed anywhere.
pub(crate) const NOON: &str = "2027-01-13T12:00:00Z";

pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) calendar: Calendar,
}

impl Stage {
    /// Every agent runs; with more than one, which of them on what is told by `on`.
    pub(crate) async fn begin(subscriptions: &[&str], agents: &[&str], begin: &str, zone: &str) -> Self {
        Self::set(Setup::new(subscriptions, agents), begin, zone).await
    }

    /// The same with a setup.
    pub(crate) async fn set(setup: Setup, begin: &str, zone: &str) -> Self {
        let agents: Vec<String> = setup.agents.iter().map(|agent| agent.name.clone()).collect();
        let mut site = Site::new(setup.switching("jitter = \"0s\"\n"));
        let calendar = Calendar::at(&site.folder.config(), begin, zone);
        site.start().await;
        for agent in &agents {
            site.serving(agent).await;
        }
        Self { site, calendar }
    }

    /// One agent on `a`, and `b` to go to.
    pub(crate) async fn pair() -> Self {
        let stage = Self::begin(&["a", "b"], &["one"], NOON, "UTC").await;
        assert_eq!(stage.on("one").await, "a");
        stage
    }

    /// What the agent runs on.
    pub(crate) async fn on(&self, agent: &str) -> String {
        self.site.serving(agent).await["assignment"]["subscription"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn generation(&self, agent: &str) -> u64 {
        self.site.agent(agent).await["assignment"]["generation"].as_u64().unwrap()
    }

    /// A five-hour limit of what the agent runs on, which ends after so long; without that, nobody says when. The outcome.
    pub(crate) async fn limit(&self, agent: &str, resets_in: Option<Duration>) -> String {
        let mut report =
            json!({"kind": "rate_limit", "scope": "five_hour", "generation": self.generation(agent).await});
        if let Some(resets_in) = resets_in {
            report["reset_at"] = json!((self.calendar.now() + resets_in).to_string());
        }
        let answer = self.site.call("POST", &format!("/v1/agents/{agent}/failures?wait=60"), Some(&report)).await;
        answer.body["outcome"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
    }

    /// `a` fails and then `b`, each until so long after now: nobody is left.
    pub(crate) async fn both_fail(&self, a: Duration, b: Duration) {
        assert_eq!(self.limit("one", Some(a)).await, "switched");
        assert_eq!(self.limit("one", Some(b)).await, "exhausted");
    }

    /// When the subscription is said to come back.
    pub(crate) async fn until(&self, subscription: &str) -> Option<Timestamp> {
        let until = &self.site.subscription(subscription).await["cooldown"]["until"];
        until.as_str().map(|until| until.parse().unwrap())
    }

    pub(crate) async fn is_eligible(&self, subscription: &str) -> bool {
        self.site.subscription(subscription).await["eligible"] == true
    }

    /// It waits, and nothing was done to it since it was moved so often.
    pub(crate) async fn waits(&self, agent: &str, moves: usize) {
        let now = self.site.agent(agent).await;
        assert_eq!(now["phase"], "exhausted", "{now:#}");
        assert_eq!(self.site.switches(agent).await.len(), moves);
        assert_eq!(self.site.events("agent.woken"), Vec::<Value>::new());
    }

    /// Waits until the agent was moved to this subscription in this generation; that takes the 30 s until it looks.
    pub(crate) async fn moved(&self, agent: &str, to: &str, generation: u64) {
        let is_it = |event: &Value| event["agent"] == agent && event["generation"] == generation;
        let done = self.site.event("switch.completed", is_it).await;
        assert_eq!((&done["to"], &done["outcome"]), (&json!(to), &json!("ready")), "{done:#}");
    }

    /// Waits until the agent goes on where it is.
    pub(crate) async fn woken(&self, agent: &str) {
        self.site.event("agent.woken", |event| event["agent"] == agent).await;
    }
}
