//! Re-admission after a cooldown (F3, F4): half open. One agent first; the others after its first success, or `ramp`
//! apart from each other.
//!
//! The end of a cooldown is a guess until somebody has had success. An agent is let in by a pick; when its switch has
//! ended, `ramp` later the next one is. Whoever is refused gets a place in a line and is told when it is its turn, so
//! that a fleet that wakes at one reset comes in one by one.
//!
//! ```text
//! cooldown ends ──► half open ──success, or nothing wrong for a while──► open
//!                    │      ▲
//!                    └──────┴── it fails again: cools again
//! ```
//!
//! It lives in memory: after a restart of the daemon the cooldowns that ended lately begin it anew.
//! Tests: `tests/pool_life/reopening.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AgentView;
use crate::domain::{AgentName, Model, QuotaIdentity, Wall};

/// A subscription that has served for so long since its first agent came back, without a failure, is open.
const PROVED_AFTER: Duration = Duration::from_secs(10 * 60);

/// A switch that takes longer than this is waited for no more.
const UNDER_WAY_MAX: Duration = Duration::from_secs(5 * 60);

/// How far an agent has come that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admitted {
    /// It is on its way since then.
    UnderWay(Wall),
    /// It is there since then.
    There(Wall),
}

/// One quota, or one model of it, that is half open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HalfOpen {
    since: Wall,
    admitted: BTreeMap<AgentName, Admitted>,
    /// When the newest one was let in or arrived.
    last: Option<Wall>,
    /// Who was refused, in that order.
    line: Vec<AgentName>,
}

/// Everything that is half open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reopenings {
    rows: BTreeMap<(QuotaIdentity, Option<Model>), HalfOpen>,
}

impl Reopenings {
    /// What is later than now comes from before a clock was set back: it is taken for now, or everybody would wait until
    /// then.
    pub(super) fn keep_within(&mut self, now: Wall) {
        for row in self.rows.values_mut() {
            row.since = row.since.min(now);
            row.last = row.last.map(|last| last.min(now));
            for how in row.admitted.values_mut() {
                let (Admitted::UnderWay(at) | Admitted::There(at)) = how;
                *at = (*at).min(now);
            }
        }
    }

    /// A cooldown has ended.
    pub(super) fn begin(&mut self, quota: QuotaIdentity, model: Option<Model>, since: Wall) {
        let half_open = HalfOpen { since, admitted: BTreeMap::new(), last: None, line: Vec::new() };
        self.rows.insert((quota, model), half_open);
    }

    /// It cools again, or somebody says that it serves: nothing is half about it.
    pub(super) fn end(&mut self, quota: &QuotaIdentity, model: Option<&Model>) {
        self.rows.retain(|(of, only), _| of != quota || (model.is_some() && only.as_ref() != model));
    }

    /// Somebody has had success since then, on whatever model. Says whether that opened anything.
    pub(super) fn succeeded(&mut self, quota: &QuotaIdentity, since: Wall) -> bool {
        let before = self.rows.len();
        self.rows.retain(|(of, _), row| of != quota || row.since > since);
        before != self.rows.len()
    }

    /// When the agent may come in; `None` is now.
    pub(super) fn opens_for(&self, view: &AgentView, quota: &QuotaIdentity, now: Wall, ramp: Duration) -> Option<Wall> {
        self.concerning(view, quota).filter_map(|row| row.opens_for(&view.agent, now, ramp)).max()
    }

    /// The agent has been picked for it. One that stays where it is has arrived.
    pub(super) fn admit(&mut self, view: &AgentView, quota: &QuotaIdentity, is_there: bool, now: Wall) {
        for row in self.concerning_mut(view, quota) {
            row.line.retain(|waiting| waiting != &view.agent);
            let how = if is_there { Admitted::There(now) } else { Admitted::UnderWay(now) };
            row.admitted.insert(view.agent.clone(), how);
            row.last = Some(now);
        }
    }

    /// The agent has been refused for it.
    pub(super) fn put_in_line(&mut self, view: &AgentView, quota: &QuotaIdentity) {
        for row in self.concerning_mut(view, quota) {
            if !row.line.contains(&view.agent) {
                row.line.push(view.agent.clone());
            }
        }
    }

    /// The agent has arrived where it was let in.
    pub(super) fn arrived(&mut self, agent: &AgentName, at: Wall) {
        for row in self.rows.values_mut() {
            if let Some(how @ Admitted::UnderWay(_)) = row.admitted.get_mut(agent) {
                *how = Admitted::There(at);
                row.last = Some(at);
            }
        }
    }

    /// The agent will not come, or has found that it does not serve.
    pub(super) fn left(&mut self, agent: &AgentName, quota: Option<&QuotaIdentity>) {
        for ((of, _), row) in &mut self.rows {
            let is_meant = quota.is_none_or(|quota| quota == of);
            // Without a quota it is about a way that was not gone to its end.
            let has_left = row.admitted.get(agent).is_some_and(|how| quota.is_some() || is_under_way(how));
            if is_meant && has_left {
                row.admitted.remove(agent);
            }
        }
    }

    /// Forgets the agent: it waits for nothing any more.
    pub(super) fn forget(&mut self, agent: &AgentName) {
        for row in self.rows.values_mut() {
            row.line.retain(|waiting| waiting != agent);
            row.admitted.remove(agent);
        }
    }

    fn concerning(&self, view: &AgentView, quota: &QuotaIdentity) -> impl Iterator<Item = &HalfOpen> {
        self.rows.iter().filter(move |((of, model), _)| of == quota && needs(view, model.as_ref())).map(|(_, row)| row)
    }

    fn concerning_mut(&mut self, view: &AgentView, quota: &QuotaIdentity) -> impl Iterator<Item = &mut HalfOpen> {
        let rows = self.rows.iter_mut();
        rows.filter(move |((of, model), _)| of == quota && needs(view, model.as_ref())).map(|(_, row)| row)
    }
}

impl HalfOpen {
    fn opens_for(&self, agent: &AgentName, now: Wall, ramp: Duration) -> Option<Wall> {
        if self.admitted.contains_key(agent) || self.is_proved(now) {
            return None;
        }
        let is_on_its_way = |how: &Admitted| matches!(how, Admitted::UnderWay(at) if at.plus(UNDER_WAY_MAX) > now);
        let next = if self.admitted.values().any(is_on_its_way) {
            now.plus(ramp)
        } else {
            // A clock that was set back must not make anybody wait for longer than a step.
            self.last?.plus(ramp).min(now.plus(ramp))
        };
        if next <= now {
            return None;
        }
        let before = self.line.iter().position(|waiting| waiting == agent).unwrap_or(self.line.len());
        Some(next.plus(ramp.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX))))
    }

    fn is_proved(&self, now: Wall) -> bool {
        self.admitted.values().any(|how| matches!(how, Admitted::There(at) if at.plus(PROVED_AFTER) <= now))
    }
}

const fn is_under_way(how: &Admitted) -> bool {
    match how {
        Admitted::UnderWay(_) => true,
        Admitted::There(_) => false,
    }
}

/// Whether the agent needs the model; one that names none may need any.
fn needs(view: &AgentView, model: Option<&Model>) -> bool {
    model.is_none_or(|model| view.models.is_empty() || view.models.contains(model))
}
