//! Whether disabled accounts have one reason (E6).
//!
//! One disabled account is an accident. A second one within an hour may be the provider's answer to the way they are
//! used, and every further switch would feed it another account: then all automatic switching halts. A container can
//! print what it likes, so two words of one agent alone are not believed; a trusted reporter is, and so are two agents.
//!
//! Tests: `tests/pool_life/troubles.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{AgentName, Cooldown, FailureKind, Halt, QuotaIdentity, Reach, SubscriptionName, Wall};

/// Two bans so close to each other have one reason.
const WITHIN: Duration = Duration::from_secs(3600);

/// More of them are not needed to know.
const BANS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Ban {
    quota: QuotaIdentity,
    subscription: SubscriptionName,
    at: Wall,
    /// The agent whose own word it is; `None` for a trusted one.
    told_by: Option<AgentName>,
}

/// The newest bans, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bans {
    known: Vec<Ban>,
    /// A person has seen what was known until then.
    seen_until: Option<Wall>,
    /// Whose ban that was: who finds it out later says nothing new.
    seen: BTreeSet<QuotaIdentity>,
}

impl Bans {
    /// Takes note of a ban; other cooldowns are none of its business.
    pub(super) fn note(&mut self, row: &Cooldown) {
        let Some(ban) = ban_of(row).filter(|ban| !self.seen.contains(&ban.quota)) else { return };
        if self.seen_until.is_some_and(|seen| ban.at <= seen) {
            self.seen.insert(ban.quota);
        } else {
            // One word for each account and teller, the newest: nobody can push others' words out.
            self.known.retain(|known| (&known.quota, &known.told_by) != (&ban.quota, &ban.told_by));
            self.known.push(ban);
            let over = self.known.len().saturating_sub(BANS_MAX);
            self.known.drain(..over);
        }
    }

    /// A person lets switching go on: what is known so far halts nothing any more.
    pub(super) fn have_been_seen(&mut self, at: Wall) {
        self.seen.extend(self.known.iter().filter(|ban| ban.at <= at).map(|ban| ban.quota.clone()));
        self.known.retain(|ban| ban.at > at && !self.seen.contains(&ban.quota));
        self.seen_until = Some(at);
    }

    /// What was held against an account was taken back: if it is disabled again, that is news.
    pub(super) fn lift(&mut self, quota: &QuotaIdentity) {
        self.seen.remove(quota);
        self.known.retain(|ban| ban.quota != *quota);
    }

    /// Why switching has to halt, if it has to; `row` is one that is not committed yet.
    pub(super) fn halt(&self, row: Option<&Cooldown>, now: Wall) -> Option<Halt> {
        let new = row.and_then(ban_of).filter(|ban| !self.seen.contains(&ban.quota));
        let lately: Vec<&Ban> = self.known.iter().chain(&new).filter(|ban| ban.at.plus(WITHIN) > now).collect();
        let goes_with = |one: &Ban, other: &Ban| {
            let is_believed = one.told_by.is_none() || other.told_by.is_none() || one.told_by != other.told_by;
            one.quota != other.quota && is_believed
        };
        let mut subscriptions: Vec<SubscriptionName> = lately
            .iter()
            .filter(|one| lately.iter().any(|other| goes_with(one, other)))
            .map(|ban| ban.subscription.clone())
            .collect();
        subscriptions.sort();
        subscriptions.dedup();
        (!subscriptions.is_empty()).then_some(Halt { since: now, subscriptions })
    }
}

fn ban_of(row: &Cooldown) -> Option<Ban> {
    let told_by = match &row.key.reach {
        Reach::All => None,
        Reach::Agent(agent) => Some(agent.clone()),
    };
    let ban = Ban { quota: row.key.quota.clone(), subscription: row.subscription.clone(), at: row.since, told_by };
    (row.kind == FailureKind::Banned).then_some(ban)
}
