//! What was read of the windows of subscriptions, and how far from its nearest limit each of them is.
//!
//! A reading counts as long as it is fresh. A trusted one, and an agent's own, can keep that agent off a subscription;
//! what another agent read only ranks it, for a container can print any number it likes (E7).
//!
//! Invariant: of one window at most one reading per teller is kept, the newest. Tests: `tests/pool_life/strategies.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AgentView;
use crate::domain::{AgentName, Model, QuotaIdentity, Reading, Utilisation, Wall, Window};

/// One window of one quota, told by one agent or by somebody trusted.
type Place = (QuotaIdentity, Window, Option<Model>, Option<AgentName>);

/// The newest readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Readings {
    rows: BTreeMap<Place, Reading>,
}

impl Readings {
    /// Takes note of a reading, unless a newer one is known.
    pub(super) fn take(&mut self, quota: QuotaIdentity, reading: Reading) {
        let place = (quota, reading.window, reading.model.clone(), reading.told_by.agent().cloned());
        if self.rows.get(&place).is_none_or(|known| known.at <= reading.at) {
            self.rows.insert(place, reading);
        }
    }

    /// Everything that is known of a quota, fresh or not.
    pub(super) fn of(&self, quota: &QuotaIdentity) -> impl Iterator<Item = &Reading> {
        let first = (quota.clone(), Window::ALL[0], None, None);
        self.rows.range(first..).take_while(move |((of, ..), _)| of == quota).map(|(_, reading)| reading)
    }

    /// Of each window that matters to the agent the newest fresh reading. `by_anybody` takes in what other agents read.
    pub(super) fn for_agent<'a>(
        &'a self,
        view: &AgentView,
        quota: &QuotaIdentity,
        now: Wall,
        age_max: Duration,
        by_anybody: bool,
    ) -> Vec<&'a Reading> {
        newest(self.of(quota).filter(|reading| {
            let is_heard = by_anybody || reading.told_by.agent().is_none_or(|teller| *teller == view.agent);
            let is_needed =
                reading.model.as_ref().is_none_or(|model| view.models.is_empty() || view.models.contains(model));
            is_heard && is_needed && reading.is_fresh(now, age_max)
        }))
    }
}

/// Of each window the newest of these.
pub(super) fn newest<'a>(readings: impl Iterator<Item = &'a Reading>) -> Vec<&'a Reading> {
    let mut newest: BTreeMap<(Window, &Option<Model>), &Reading> = BTreeMap::new();
    for reading in readings {
        let place = newest.entry((reading.window, &reading.model)).or_insert(reading);
        if place.at < reading.at {
            *place = reading;
        }
    }
    newest.into_values().collect()
}

/// How far it is used up; a window that refuses is full, whatever the number says.
pub(super) fn used(reading: &Reading) -> Option<Utilisation> {
    reading.used()
}

/// Of these readings the one whose window is used up the furthest.
pub(super) fn nearest_wall<'a>(readings: &[&'a Reading]) -> Option<&'a Reading> {
    readings.iter().copied().filter(|reading| used(reading).is_some()).max_by_key(|reading| used(reading))
}

/// When the quota expires that would be lost: of the longest window that is known.
pub(super) fn expires_at(readings: &[&Reading]) -> Option<Wall> {
    let of = |window| readings.iter().filter(move |reading| reading.window == window).filter_map(|one| one.reset_at);
    of(Window::Weekly).max().or_else(|| of(Window::FiveHour).max())
}
