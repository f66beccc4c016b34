//! Text that nothing agrees with yet, of all agents: two that say the same of one subscription bear each other out.
//!
//! Another agent's word is one that was acted on, and cools for that agent now, or its own text of the last minutes. In memory
//! alone: what is lost with the daemon moves nobody. Bounded by time and number.
//!
//! Tests: `tests/pool_life/claims.rs`.

use std::collections::BTreeMap;

use super::PoolState;
use crate::domain::{AgentName, Cooldown, FailureId, FailureKind, FailureRecord, Outcome, SubscriptionName, Wall};
use crate::machine::agent::WINDOW;

/// Claims that are known at the same time, at most.
const CLAIMS_MAX: usize = 4_096;

/// What an agent's text says of a subscription, and another agent says as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Whose text.
    pub agent: AgentName,
    /// Of which subscription.
    pub subscription: SubscriptionName,
    /// What it says.
    pub kind: FailureKind,
}

/// Who claims what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    open: BTreeMap<FailureId, (SubscriptionName, FailureKind, Wall)>,
    agreed: Vec<Agreed>,
}

impl Claims {
    /// It has been judged, or is waited for no more.
    pub(super) fn forget(&mut self, id: &FailureId) {
        self.open.remove(id);
    }

    /// What one agent said is believed: it bears out what others only claim.
    pub(super) fn cooled(&mut self, row: &Cooldown) {
        let Some(teller) = row.failure.as_ref().map(|failure| &failure.agent) else { return };
        self.agree(&row.subscription, row.kind, |agent| agent != teller);
    }

    fn agree(&mut self, about: &SubscriptionName, what: FailureKind, who: impl Fn(&AgentName) -> bool) {
        for (id, (subscription, kind, _)) in &self.open {
            if subscription == about && *kind == what && who(&id.agent) {
                let agreed = Agreed { agent: id.agent.clone(), subscription: about.clone(), kind: what };
                if !self.agreed.contains(&agreed) {
                    self.agreed.push(agreed);
                }
            }
        }
    }

    fn note(&mut self, id: &FailureId, about: &SubscriptionName, kind: FailureKind, at: Wall) {
        self.open.retain(|_, (_, _, since)| since.plus(WINDOW) > at);
        while self.open.len() >= CLAIMS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, _, since))| *since).map(|(id, _)| id.clone());
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        self.open.insert(id.clone(), (about.clone(), kind, at));
        let says_so = |(other, claim): (&FailureId, &(SubscriptionName, FailureKind, Wall))| {
            other.agent != id.agent && &claim.0 == about && claim.1 == kind
        };
        if self.open.iter().any(says_so) {
            self.agree(about, kind, |_| true);
        }
    }
}

impl PoolState {
    /// Takes note of a recorded failure, if it is only text.
    pub(super) fn note_claim(&mut self, record: &FailureRecord) {
        let Some(about) = record.subscription.as_ref().filter(|_| record.outcome == Outcome::Uncorroborated) else {
            return;
        };
        self.claims.note(&record.id, about, record.kind, record.at);
        let own = &record.id.agent;
        let is_said = self.rows_about(about, record.at).any(|row| {
            let is_anothers = row.failure.as_ref().is_some_and(|failure| &failure.agent != own);
            is_anothers && row.kind == record.kind && &row.subscription == about
        });
        if is_said {
            self.claims.agree(about, record.kind, |agent| agent == own);
        }
    }

    /// Who is borne out by another agent since this was last asked.
    pub fn take_agreed(&mut self) -> Vec<Agreed> {
        std::mem::take(&mut self.claims.agreed)
    }
}
