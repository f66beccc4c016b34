//! What agents' output says of windows, on its way to the pool.
//!
//! A busy agent says the same again and again. So of each window the newest word is kept, and what is new goes to the pool
//! a few seconds later; the same once more only when half a minute has passed, so that it stays fresh.
//!
//! ```text
//!   line ──► whose? ──► pending: newest per subscription, window, model ──every 10 s──► pool (the agent's own word)
//!              └─► the past's, or not sure: dropped
//! ```
//!
//! It must not book on one subscription what was read on another: a line counts only if the life that wrote it runs on the
//! present assignment, and no switch is under way. Nor may an agent that makes up windows fill memory or store.
//!
//! Tests: `tests/shell/overheard.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::handle::Switchman;
use super::seat::Seat;
use crate::classify::WindowReading;
use crate::domain::{
    AgentName, FailureKind, Model, Origin, Reading, Report, Reporter, Steady, SubscriptionName, Teller, Trust, Wall,
    Window,
};
use crate::machine::attribution::{self, Attribution};

/// How long what is new is gathered.
const GATHER_FOR: Duration = Duration::from_secs(10);

/// The same word is told again after this time, so that it does not grow old while it is still said.
const SAME_AGAIN: Duration = Duration::from_secs(30);

/// Models of which an agent is believed that they have windows of their own.
const MODELS_MAX: usize = 8;

/// One window of one subscription, as one agent tells it.
type Place = (AgentName, SubscriptionName, Window, Option<Model>);

/// What was overheard and not told yet.
#[derive(Debug, Default)]
pub(super) struct Overheard {
    kept: Mutex<Kept>,
    /// Something is to be told.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    pending: BTreeMap<Place, Reading>,
    /// What was told last, and when.
    told: BTreeMap<Place, (Reading, Steady)>,
    models: BTreeMap<AgentName, BTreeSet<Model>>,
}

impl Overheard {
    /// Takes note of what a line said.
    fn note(&self, agent: &AgentName, on: &SubscriptionName, windows: &[WindowReading], at: Wall) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { pending, models, .. } = &mut *kept;
        for window in windows {
            let WindowReading { window, model, utilisation, serves, reset_at } = window.clone();
            if let Some(model) = &model {
                let known = models.entry(agent.clone()).or_default();
                if known.len() >= MODELS_MAX && !known.contains(model) {
                    continue;
                }
                known.insert(model.clone());
            }
            let place = (agent.clone(), on.clone(), window, model.clone());
            let told_by = Teller::Agent(agent.clone());
            let reading =
                Reading { subscription: on.clone(), window, model, utilisation, serves, reset_at, at, told_by };
            if pending.get(&place).is_none_or(|known| known.at <= reading.at) {
                pending.insert(place, reading);
            }
        }
        let has_news = !pending.is_empty();
        drop(kept);
        if has_news {
            self.filled.notify_one();
        }
    }

    /// What is to be told now. What was said the same a moment ago stays.
    fn take_due(&self, now: Steady) -> Vec<Reading> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { pending, told, .. } = &mut *kept;
        let is_due = |place: &Place, reading: &Reading| {
            told.get(place).is_none_or(|(told, at)| !says_the_same(told, reading) || at.plus(SAME_AGAIN) <= now)
        };
        let due: Vec<Place> =
            pending.iter().filter(|(place, reading)| is_due(place, reading)).map(|(place, _)| place.clone()).collect();
        let due = due.into_iter().filter_map(|place| pending.remove(&place).map(|reading| (place, reading)));
        due.map(|(place, reading)| {
            told.insert(place, (reading.clone(), now));
            reading
        })
        .collect()
    }

    /// Forgets what is said of those that are there no more: neither agents nor subscriptions may pile up.
    fn keep(&self, agents: &BTreeSet<AgentName>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pending.retain(|(agent, ..), _| agents.contains(agent));
        kept.told.retain(|(agent, ..), _| agents.contains(agent));
        kept.models.retain(|agent, _| agents.contains(agent));
    }

    fn is_empty(&self) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pending.is_empty()
    }
}

fn says_the_same(one: &Reading, other: &Reading) -> bool {
    (one.utilisation, one.serves, one.reset_at) == (other.utilisation, other.serves, other.reset_at)
}

impl Switchman {
    /// Takes in what a line of an agent's output says of windows; `origin` is the life that wrote it at `at`. Never
    /// waits, and drops what it is not sure of.
    pub(super) fn overhear(&self, seat: &Seat, windows: &[WindowReading], at: Wall, origin: Origin) {
        if windows.is_empty() {
            return;
        }
        let now = self.now().wall;
        if let Some(subscription) = ran_on(seat, at, origin, now) {
            self.0.overheard.note(&seat.agent, &subscription, windows, at.min(now));
        }
    }
}

/// The subscription that whoever wrote this runs on, if that is certain.
fn ran_on(seat: &Seat, at: Wall, origin: Origin, now: Wall) -> Option<SubscriptionName> {
    let (state, policy) = (seat.state(), seat.policy());
    // Until the switch is over it is not said twice what the agent runs on; and what one line says served must not undo
    // what another has just found out.
    if state.phase.is_switching() {
        return None;
    }
    let stamp = attribution::stamp(&word(at, origin), &state, &policy, now).ok()?;
    match attribution::judge(&stamp, &state) {
        Attribution::Current => state.subscription().cloned(),
        Attribution::Stale { .. } | Attribution::Held | Attribution::Repeat | Attribution::Ambiguous => None,
    }
}

/// A word about nothing but the life that wrote it, for the rules that say whose a report is.
fn word(at: Wall, origin: Origin) -> Report {
    Report {
        id: None,
        kind: FailureKind::Unknown,
        subscription: None,
        generation: None,
        turn: None,
        model: None,
        window: Window::Unknown,
        reset_at: None,
        trust: Trust::Structured,
        is_hearsay: false,
        observed_at: Some(at),
        origin,
        read_to: None,
        reporter: Reporter::Agent,
        sender: String::new(),
        reason: None,
    }
}

/// Tells the pool what was overheard, until the daemon stops.
pub(super) async fn run(switchman: Switchman) {
    let clock = switchman.clock();
    loop {
        if switchman.0.overheard.is_empty() {
            switchman.0.overheard.filled.notified().await;
        }
        clock.sleep(GATHER_FOR).await;
        let agents = switchman.0.seats().all.keys().cloned().collect();
        switchman.0.overheard.keep(&agents);
        for reading in switchman.0.overheard.take_due(switchman.now().steady) {
            // The next word comes soon; this one is not worth another try.
            if let Err(error) = switchman.read(reading).await {
                tracing::debug!(%error, "what an agent said of a window is not taken");
            }
        }
    }
}
