//! The world of a replay: a pool, and a container in which everything succeeds.

use crate::domain::{
    AgentName, Change, Delivered, Disposition, Facts, Fingerprint, Instance, RuntimeState, Sighting, SubscriptionName,
    Wall,
};
use crate::machine::agent::{About, Action, EffectOutcome, Event, Obstacle, Pick, Readiness};
use crate::machine::policy::{PoolSettings, SubscriptionPolicy};
use crate::machine::pool::{AgentView, CredentialFact, PoolState};

/// An effect that is under way.
#[derive(Debug)]
struct UnderWay {
    attempt: u32,
    action: Action,
    ends_at: Wall,
}

#[derive(Debug)]
pub(super) struct World {
    pool: PoolState,
    /// The agent's last question to the pool found nobody.
    waits: bool,
    /// Whose credential lies in its file.
    has: SubscriptionName,
    lives: u32,
    restarts: u32,
    under_way: Option<UnderWay>,
}

/// What the credential of a subscription is known by here.
fn fingerprint(of: &SubscriptionName) -> Fingerprint {
    Fingerprint(format!("replay-{of}"))
}

impl World {
    pub(super) fn new(
        subscriptions: Vec<SubscriptionPolicy>,
        settings: PoolSettings,
        on: SubscriptionName,
        at: Wall,
    ) -> Self {
        let names: Vec<_> = subscriptions.iter().map(|policy| policy.name.clone()).collect();
        let mut pool = PoolState::new(subscriptions).with_settings(settings);
        for name in names {
            let state = Ok(fingerprint(&name));
            pool.note_credential(name, CredentialFact { state, at });
        }
        Self { pool, waits: false, has: on, lives: 1, restarts: 0, under_way: None }
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The life that writes now.
    pub(super) fn life(&self) -> Instance {
        Instance { id: "replay".to_owned(), started_at: self.lives.to_string() }
    }

    /// When the effect under way ends.
    pub(super) fn due(&self) -> Option<Wall> {
        self.under_way.as_ref().map(|effect| effect.ends_at)
    }

    pub(super) fn begin(&mut self, attempt: u32, action: Action, ends_at: Wall) {
        self.under_way = Some(UnderWay { attempt, action, ends_at });
    }

    /// How the effect under way has ended, if it has by now.
    pub(super) fn outcome(&mut self, now: Wall) -> Option<Event> {
        let UnderWay { attempt, action, .. } = self.under_way.take_if(|effect| effect.ends_at <= now)?;
        let outcome = match action {
            Action::Look { .. } => EffectOutcome::Seen(Ok(self.look())),
            Action::Preflight { view, .. } => EffectOutcome::Preflight(match self.pool.confirm(&view, now) {
                None => Ok(self.look()),
                Some(lost) => Err(lost_target(lost.to_string())),
            }),
            Action::Deliver { to, .. } => {
                let given = fingerprint(&to);
                self.has = to;
                EffectOutcome::Delivered(Ok(given))
            }
            Action::Reload { .. } => EffectOutcome::Reloaded(Ok(())),
            Action::Restart(_) | Action::Start(_) => {
                self.lives += 1;
                self.restarts += 1;
                EffectOutcome::Restarted(Ok(()))
            }
            Action::AwaitReady { .. } => EffectOutcome::Ready(Ok(Readiness::Ready)),
        };
        Some(Event::Outcome { attempt, outcome })
    }

    fn look(&self) -> Sighting {
        Sighting {
            state: RuntimeState::Running,
            instance: Some(self.life()),
            delivered: Delivered::Subscription(self.has.clone()),
            facts: Facts { offered: Some(fingerprint(&self.has)), ..Facts::default() },
        }
    }

    /// Answers the agent's question.
    pub(super) fn pick(&mut self, view: &AgentView, now: Wall) -> Pick {
        let row = view.failing.as_ref().and_then(|(_, row)| row.as_ref());
        if let Some(halt) = self.pool.must_halt(row, now) {
            self.pool.apply(&Change::Halted(halt));
        }
        self.expire(now);
        let pick = self.pool.pick(view, now);
        self.waits |= matches!(pick, Pick::None { .. } | Pick::Halted { .. });
        pick
    }

    pub(super) fn release(&mut self, agent: &AgentName) {
        self.pool.release(agent);
    }

    pub(super) fn expire(&mut self, now: Wall) {
        self.pool.expire(now);
        let _told_by_nobody = self.pool.take_ended();
    }

    /// Folds in what was written; what the agent has to be told of it.
    pub(super) fn fold(&mut self, changes: &[Change], now: Wall) -> Option<Event> {
        let mut frees = false;
        for change in changes {
            // Said and taken back in one breath: nobody hears of it.
            if let Change::CooldownSet(cooldown) = change
                && changes.iter().any(|other| matches!(other, Change::CooldownLifted(key) if *key == cooldown.key))
            {
                continue;
            }
            self.pool.apply(change);
            frees |= matches!(change, Change::Assigned { .. } | Change::CooldownLifted(_) | Change::IntentClosed(_));
        }
        if let Some(halt) = self.pool.must_halt(None, now) {
            self.pool.apply(&Change::Halted(halt));
        }
        let is_news = self.pool.take_opened() || frees;
        (is_news && std::mem::take(&mut self.waits)).then_some(Event::PoolChanged { lifted: None })
    }
}

fn lost_target(text: String) -> Obstacle {
    Obstacle { disposition: Disposition::Permanent, about: About::Target, text }
}
