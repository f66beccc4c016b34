//! Which subscription an agent would get, and why the others not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent::Claim;
use super::{Reading, Word};
use crate::actor::handle::{AgentStatus, SubscriptionStatus};
use crate::api::v1::time::Time;
use crate::domain::{Reach, Rest, Wall};
use crate::machine::agent::Phase;
use crate::machine::pool::{self, Ineligible, Ranking};

/// `GET /v1/agents/{agent}/explain`, and the answer to a switch that is a dry run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The agent.
    pub agent: String,
    /// Where it stands.
    pub phase: Word,
    /// What it runs on.
    pub current: Option<String>,
    /// What a switch would pick now; `null` if there is none.
    pub would_pick: Option<String>,
    /// When the first one that is left out for a time comes back.
    pub earliest_reset: Option<Time>,
    /// How the eligible ones are put in order: `least_assigned`, `priority`, `headroom`, `soonest_reset`.
    #[serde(default)]
    pub strategy: Option<Word>,
    /// What stands between a failure and a switch.
    pub gates: Gates,
    /// Every subscription with its verdict: the eligible ones first, the best at the head.
    pub subscriptions: Vec<Candidate>,
    /// When all this was so.
    pub at: Time,
}

/// What stands between a failure and a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gates {
    /// False: the config says to record and report, never to act.
    pub switching: bool,
    /// The agent is observed and never touched.
    #[serde(default)]
    pub monitor_only: bool,
    /// Whether an operator has paused the agent.
    pub paused: bool,
    /// When the pause ends by itself.
    pub paused_until: Option<Time>,
    /// The subscription that an operator pinned it to.
    pub pinned: Option<String>,
    /// The switch budget is used up until then.
    pub braked_until: Option<Time>,
    /// Why it waits for a person.
    pub parked: Option<Word>,
    /// Since when it has nobody to move to.
    pub exhausted_since: Option<Time>,
    /// Why nothing is switched by itself, for anybody.
    #[serde(default)]
    pub halted: Option<String>,
    /// What stands in the way of looking at it or of a switch.
    pub obstacle: Option<String>,
    /// Why its log cannot be read: what it says of itself there moves nobody.
    #[serde(default)]
    pub log_trouble: Option<String>,
    /// Text of its own that would move it, if something agreed with it.
    #[serde(default)]
    pub uncorroborated: Vec<Claim>,
    /// What would keep it from using a credential that is delivered to it: a switch is refused for it.
    #[serde(default)]
    pub hindrances: Vec<String>,
}

/// One subscription for one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Which.
    pub subscription: String,
    /// `eligible`, or why not in a word.
    pub verdict: Word,
    /// Why not, in words.
    pub reason: Option<String>,
    /// When that ends by itself.
    pub until: Option<Time>,
    /// Who said so: `agent`, `reporter`, `operator`.
    pub source: Option<Word>,
    /// Whether another agent alone says that it has run out: picked last.
    pub suspect: bool,
    /// Agents on it or on their way to it, this one not counted.
    pub agents: u32,
    /// The most that may be.
    pub agents_max: Option<u32>,
    /// When its credential was last looked at.
    pub credential_read_at: Option<Time>,
    /// Since when a cooldown holds for this agent, the longest of several.
    pub cooling_since: Option<Time>,
    /// Of its windows the one that is used up the furthest, as freshly read.
    #[serde(default)]
    pub reading: Option<Reading>,
    /// Its tier: lower ones first under the strategy `priority`.
    #[serde(default)]
    pub priority: Option<u32>,
    /// Its use costs money: picked last, and unasked only within the budget for that.
    #[serde(default)]
    pub metered: bool,
    /// Picked only where none that is not in reserve can be.
    #[serde(default)]
    pub reserve: bool,
}

impl Gates {
    /// Those of an agent as it stands.
    #[must_use]
    pub fn of(agent: &AgentStatus) -> Self {
        let (state, now) = (&agent.state, agent.now.wall);
        let rest = state.phase.rest();
        Self {
            switching: agent.policy.switching || agent.policy.is_monitor_only,
            monitor_only: agent.policy.is_monitor_only,
            paused: state.pause.is_some(),
            paused_until: state.pause.and_then(|pause| pause.until).map(Time),
            pinned: state.pin.as_ref().map(|pin| pin.as_str().to_owned()),
            braked_until: state.braked_until.filter(|until| *until > now).map(Time),
            parked: match rest {
                Rest::Parked { reason, .. } => Some(reason.as_str().into()),
                Rest::Serving | Rest::Exhausted { .. } => None,
            },
            exhausted_since: match state.phase {
                Phase::Exhausted { since, .. } => Some(since.into()),
                Phase::Serving
                | Phase::Selecting(_)
                | Phase::Draining(_)
                | Phase::Applying(_)
                | Phase::Parked { .. } => None,
            },
            halted: agent.halt.as_ref().map(ToString::to_string),
            obstacle: state.obstacle.clone(),
            log_trouble: agent.log_trouble.clone(),
            uncorroborated: Claim::all(state),
            hindrances: state.hindrances.clone(),
        }
    }
}

impl Explanation {
    /// What the pool says to an agent, with the age of each fact.
    #[must_use]
    pub fn new(agent: &AgentStatus, ranking: &Ranking, subscriptions: &[SubscriptionStatus]) -> Self {
        let candidate = |verdict: &pool::Candidate| {
            let status = subscriptions.iter().find(|status| status.policy.name == verdict.subscription);
            Candidate::new(agent, verdict, status)
        };
        Self {
            agent: agent.state.name.as_str().to_owned(),
            phase: agent.state.phase.as_str().into(),
            current: agent.state.subscription().map(|name| name.as_str().to_owned()),
            would_pick: ranking.first().map(|name| name.as_str().to_owned()),
            earliest_reset: ranking.earliest.map(Time),
            strategy: Some(ranking.strategy.as_str().into()),
            gates: Gates::of(agent),
            subscriptions: ranking.candidates.iter().map(candidate).collect(),
            at: agent.now.wall.into(),
        }
    }
}

impl Candidate {
    fn new(agent: &AgentStatus, verdict: &pool::Candidate, status: Option<&SubscriptionStatus>) -> Self {
        let ineligible = verdict.ineligible.as_ref();
        let concerns = |reach: &Reach| match reach {
            Reach::All => true,
            Reach::Agent(name) => name == &agent.state.name,
        };
        let rows = status.map_or(&[][..], |status| &status.rows);
        let shared = status.and_then(|status| status.cooldown.as_ref());
        let own = rows.iter().filter(|row| concerns(&row.key.reach)).chain(shared);
        let longest = own.max_by_key(|row| row.until.unwrap_or(Wall(i64::MAX)));
        let source = match ineligible {
            Some(Ineligible::Cooling { source, .. } | Ineligible::Quarantined { source, .. }) => Some(*source),
            _ => None,
        };
        Self {
            subscription: verdict.subscription.as_str().to_owned(),
            verdict: ineligible.map_or("eligible", Ineligible::as_str).into(),
            reason: ineligible.map(ToString::to_string),
            until: ineligible.and_then(Ineligible::ends_at).map(Time),
            source: source.map(|source| source.as_str().into()),
            suspect: verdict.is_suspect,
            agents: verdict.agents,
            agents_max: status.map(|status| status.policy.agents_max),
            credential_read_at: status.and_then(|status| status.credential.as_ref()).map(|fact| fact.at.into()),
            cooling_since: longest.map(|row| row.since.into()),
            reading: verdict.reading.as_ref().map(Into::into),
            priority: status.map(|status| status.policy.terms.priority),
            metered: status.is_some_and(|status| status.policy.terms.is_metered),
            reserve: status.is_some_and(|status| status.policy.terms.is_reserve),
        }
    }
}
