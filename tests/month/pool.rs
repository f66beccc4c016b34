//! The production pool with what its actor does around it: everything that touches `PoolState` is here.
//!
//! It answers at once, folds what agents have committed, wakes who found nobody when something becomes free, and tells
//! who runs on a subscription that others have found used up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchman::domain::{
    AgentName, Change, Cooldown, CooldownKey, FailureKind, Halt, Model, QuotaIdentity, Reading, SubscriptionName, Wall,
};
use switchman::machine::agent::testing::{pool, subscription};
use switchman::machine::agent::{Event, Pick};
use switchman::machine::policy::{PoolSettings, Strategy};
use switchman::machine::pool::{AgentView, Ineligible, PoolState, Ranking, evaluate};

use crate::scenario::{AGENTS_MAX, QUOTAS, SUBSCRIPTIONS};

/// Many agents that say the same within moments are one piece of news.
const NEWS_AFTER: Duration = Duration::from_secs(60);

/// What an agent is told.
pub(crate) type Notice = (AgentName, Event);

/// What is broken on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// What cools is not remembered.
    ForgetsCooldowns,
    /// Of all that can be picked the worst is.
    PicksTheLast,
    /// Agents sleep ten minutes too long, and nobody wakes them.
    Oversleeps,
}

pub(crate) struct Pool {
    fault: Fault,
    state: PoolState,
    /// Agents whose last question found nobody.
    waiting: BTreeSet<AgentName>,
    told: BTreeMap<AgentName, (SubscriptionName, Option<Wall>)>,
    told_of: BTreeMap<SubscriptionName, Option<Wall>>,
}

/// What a subscription counts against.
pub(crate) fn quota(number: usize) -> QuotaIdentity {
    QuotaIdentity::from(format!("account-{}", QUOTAS[number]))
}

impl Pool {
    pub(crate) fn new(fault: Fault, strategy: Strategy) -> Self {
        let policy = |(number, name): (usize, &&str)| {
            let mut policy = subscription(name, AGENTS_MAX);
            policy.quota = quota(number);
            policy
        };
        Self {
            fault,
            state: pool(SUBSCRIPTIONS.iter().enumerate().map(policy))
                .with_settings(PoolSettings { strategy, ..PoolSettings::default() }),
            waiting: BTreeSet::new(),
            told: BTreeMap::new(),
            told_of: BTreeMap::new(),
        }
    }

    /// Answers an agent; the verdicts that it rests on are those of that moment.
    pub(crate) fn pick(&mut self, view: &AgentView, now: Wall) -> (Pick, Ranking) {
        let row = view.failing.as_ref().and_then(|(_, row)| row.as_ref());
        if let Some(halt) = self.state.must_halt(row, now) {
            self.state.apply(&Change::Halted(halt));
        }
        self.state.expire(now);
        let mut ranking = evaluate(view, &self.state, now);
        let mut pick = self.state.pick(view, now);
        let last = ranking.candidates.iter().rposition(|one| one.ineligible.is_none());
        if let (Fault::PicksTheLast, Some(last), Pick::To(to)) = (self.fault, last, &mut pick) {
            ranking.candidates.swap(0, last);
            *to = ranking.candidates[0].subscription.clone();
            self.state.promise(view.agent.clone(), to.clone());
        }
        if matches!(pick, Pick::None { .. } | Pick::Halted { .. }) {
            self.waiting.insert(view.agent.clone());
        }
        (pick, ranking)
    }

    pub(crate) fn release(&mut self, agent: &AgentName) {
        self.state.release(agent);
    }

    pub(crate) fn confirm(&self, view: &AgentView, now: Wall) -> Option<Ineligible> {
        self.state.confirm(view, now)
    }

    /// What would be picked, without a mark.
    pub(crate) fn explain(&self, view: &AgentView, now: Wall) -> Ranking {
        evaluate(view, &self.state, now)
    }

    /// What holds for everyone.
    pub(crate) fn cooling_for_all<'a>(&'a self, name: &'a SubscriptionName, now: Wall) -> Option<&'a Cooldown> {
        self.state.cooling_for_all(name, now)
    }

    pub(crate) fn rows(&self, now: Wall) -> Vec<Cooldown> {
        let names = SUBSCRIPTIONS.map(SubscriptionName::from);
        let rows: BTreeMap<CooldownKey, Cooldown> = names
            .iter()
            .flat_map(|name| self.state.rows_about(name, now).cloned().collect::<Vec<_>>())
            .map(|row| (row.key.clone(), row))
            .collect();
        rows.into_values().collect()
    }

    /// Folds in what an agent committed, and says whom to tell what.
    pub(crate) fn fold(&mut self, changes: &[Change], now: Wall) -> Vec<Notice> {
        let (mut frees, mut notices) = (false, Vec::new());
        for change in changes {
            let is_taken_back = |key: &CooldownKey| {
                changes.iter().any(|other| matches!(other, Change::CooldownLifted(lifted) if lifted == key))
            };
            if matches!(change, Change::CooldownSet(row) if is_taken_back(&row.key)) {
                continue;
            }
            if self.fault != Fault::ForgetsCooldowns || !matches!(change, Change::CooldownSet(_)) {
                self.state.apply(change);
            }
            match change {
                Change::CooldownSet(cooldown) => self.tell_news_of(&cooldown.subscription, now, &mut notices),
                Change::Assigned { agent, assignment, .. } => {
                    self.tell(agent, &assignment.subscription, now, &mut notices);
                    frees = true;
                }
                Change::CooldownLifted(key) => {
                    if let Some(name) = &key.credential {
                        self.tell_on(name, now, &mut notices);
                    }
                    frees = true;
                }
                Change::IntentClosed(_) => frees = true,
                _ => {}
            }
        }
        let halt = self.state.must_halt(None, now);
        if let Some(halt) = halt {
            self.state.apply(&Change::Halted(halt));
        }
        if self.state.take_opened() || frees {
            self.wake_waiting(None, &mut notices);
        }
        notices
    }

    /// Removes what has ended and returns it.
    pub(crate) fn expire(&mut self, now: Wall) -> Vec<Cooldown> {
        self.state.expire(now);
        self.state.take_ended()
    }

    /// Somebody has read that a window serves. Says what that has ended, and whom to tell.
    pub(crate) fn read(&mut self, reading: Reading, now: Wall) -> (Vec<Cooldown>, Vec<Notice>) {
        let (keys, name) = (self.state.ended_by(&reading), reading.subscription.clone());
        let rows = if keys.is_empty() { Vec::new() } else { self.rows(now) };
        let ended: Vec<Cooldown> = rows.into_iter().filter(|row| keys.contains(&row.key)).collect();
        for key in keys {
            self.state.apply(&Change::CooldownLifted(key));
        }
        self.state.apply(&Change::ReadingTaken(reading));
        let mut notices = Vec::new();
        if !ended.is_empty() {
            self.tell_on(&name, now, &mut notices);
            self.wake_waiting(Some(&name), &mut notices);
        } else if self.state.take_opened() {
            self.wake_waiting(None, &mut notices);
        }
        (ended, notices)
    }

    /// A person lets switching go on.
    pub(crate) fn resume(&mut self, now: Wall) -> Vec<Notice> {
        self.state.apply(&Change::HaltLifted(now));
        let mut notices = Vec::new();
        self.wake_waiting(None, &mut notices);
        notices
    }

    /// Why nothing is switched by itself.
    pub(crate) fn halt(&self) -> Option<&Halt> {
        self.state.halt()
    }

    pub(crate) fn next_expiry(&self) -> Option<Wall> {
        self.state.next_expiry()
    }

    /// An operator lifts every cooldown of a subscription.
    pub(crate) fn clear(&mut self, name: &SubscriptionName, now: Wall) -> (Vec<Cooldown>, Vec<Notice>) {
        let rows: Vec<Cooldown> = self.state.rows_about(name, now).cloned().collect();
        for row in &rows {
            self.state.apply(&Change::CooldownLifted(row.key.clone()));
        }
        let mut notices = Vec::new();
        self.tell_on(name, now, &mut notices);
        self.wake_waiting(Some(name), &mut notices);
        (rows, notices)
    }

    /// The subscriptions that are quarantined because this agent's login was refused.
    pub(crate) fn refused_logins(&self, agent: &AgentName, now: Wall) -> Vec<SubscriptionName> {
        let is_its = |row: &Cooldown| {
            row.kind == FailureKind::Auth && row.failure.as_ref().is_some_and(|failure| failure.agent == *agent)
        };
        self.rows(now).into_iter().filter(is_its).map(|row| row.subscription).collect()
    }

    fn wake_waiting(&mut self, lifted: Option<&SubscriptionName>, notices: &mut Vec<Notice>) {
        if self.fault == Fault::Oversleeps {
            return;
        }
        let mut woken = std::mem::take(&mut self.waiting);
        woken.extend(lifted.map(|name| self.state.agents_on(name)).unwrap_or_default());
        notices.extend(woken.into_iter().map(|agent| (agent, Event::PoolChanged { lifted: lifted.cloned() })));
    }

    fn tell_news_of(&mut self, name: &SubscriptionName, now: Wall, notices: &mut Vec<Notice>) {
        let until = self.state.shuns(&[], name, now);
        let is_news = match (self.told_of.get(name).copied().flatten(), until) {
            (None, None) => false,
            (Some(told), Some(until)) => until < told || until > told.plus(NEWS_AFTER),
            (None, Some(_)) | (Some(_), None) => true,
        };
        if is_news {
            self.tell_on(name, now, notices);
        }
    }

    fn tell_on(&mut self, name: &SubscriptionName, now: Wall, notices: &mut Vec<Notice>) {
        let number = SUBSCRIPTIONS.iter().position(|known| *known == name.as_str()).expect("it is known");
        for (_, same) in SUBSCRIPTIONS.iter().enumerate().filter(|(other, _)| QUOTAS[*other] == QUOTAS[number]) {
            let same = SubscriptionName::from(*same);
            self.told_of.insert(same.clone(), self.state.shuns(&[], &same, now));
            for agent in self.state.agents_on(&same) {
                self.tell(&agent, &same, now, notices);
            }
        }
    }

    fn tell(&mut self, agent: &AgentName, on: &SubscriptionName, now: Wall, notices: &mut Vec<Notice>) {
        const NO_MODELS: &[Model] = &[];
        let until = self.state.shuns(NO_MODELS, on, now);
        let news = (on.clone(), until);
        if self.told.get(agent) != Some(&news) {
            notices.push((agent.clone(), Event::Shunned { subscription: on.clone(), until }));
            self.told.insert(agent.clone(), news);
        }
    }
}
