//! What tests, models and benchmarks of the machine begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Apply, Delivered, Facts, FailureKind, Fingerprint, Format, Instance, Moment, Origin, Provider, QuotaIdentity,
    Report, Reporter, RuntimeState, Sighting, Steady, SubscriptionName, SubscriptionType, Tool, Trust, Wall, Window,
};
use crate::machine::policy::{
    Budget, CooldownMax, FilePolicy, Policy, RuntimeKind, SubscriptionPolicy, Terms, TextPolicy, TurnPolicy,
    VoluntaryMoves,
};
use crate::machine::pool::{CredentialFact, PoolState};

pub use callers::{background, patient, turn_word, wish};
pub use record_fold::RecordFold;
pub use rig::{Rig, effect_name};

mod callers;
mod record_fold;
mod rig;

/// The documented defaults, for a container agent that may use subscriptions `a`, `b` and `c`.
#[must_use]
pub fn policy() -> Policy {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    Policy {
        runtime: RuntimeKind::Container,
        tool: Tool::ClaudeCode,
        file: Some(FilePolicy { path: "/srv/worker/credential".into(), format: Format::Raw, apply: Apply::Restart }),
        kinds: BTreeMap::new(),
        subscriptions: ["a", "b", "c"].map(SubscriptionName::from).to_vec(),
        quotas: BTreeMap::new(),
        models: Vec::new(),
        switching: true,
        text: TextPolicy::Corroborated,
        is_monitor_only: false,
        cooldown: hours(2),
        cooldown_max: CooldownMax {
            five_hour: Duration::from_secs(5 * 3600 + 1800),
            weekly: hours(7 * 24 + 12),
            other: hours(24),
        },
        wait_out: Duration::from_secs(120),
        settle: Duration::from_secs(60),
        budget: Budget { switches: 6, per: hours(1) },
        jitter: Duration::from_secs(30),
        drain: Duration::from_secs(30),
        stop_grace: None,
        ready_timeout: Duration::from_secs(60),
        call_timeout: Duration::from_secs(30),
        turns: TurnPolicy::default(),
        voluntary: VoluntaryMoves::default(),
    }
}

/// The moment at which every test begins.
pub const START: Moment = Moment { wall: Wall(1_800_000_000_000), steady: Steady(1_000_000) };

/// A trusted report of this kind that names nothing.
#[must_use]
pub fn report(kind: FailureKind) -> Report {
    Report {
        id: None,
        kind,
        subscription: None,
        generation: None,
        turn: None,
        model: None,
        window: Window::Unknown,
        reset_at: None,
        trust: Trust::Structured,
        is_hearsay: false,
        observed_at: None,
        origin: Origin::Untold,
        read_to: None,
        reporter: Reporter::Trusted,
        sender: "test".to_owned(),
        reason: None,
    }
}

/// The n-th life of the one container of the tests.
#[must_use]
pub fn life(number: u32) -> Instance {
    Instance { id: "box".to_owned(), started_at: number.to_string() }
}

/// What every delivered credential of the tests is known by.
#[must_use]
pub fn given() -> Fingerprint {
    Fingerprint("given".to_owned())
}

/// A look at an agent in its n-th life that has been given this subscription's credential.
#[must_use]
pub fn sighting(state: RuntimeState, number: u32, has: &str) -> Sighting {
    Sighting {
        state,
        instance: (number > 0).then(|| life(number)),
        delivered: Delivered::Subscription(SubscriptionName::from(has)),
        facts: Facts::default(),
    }
}

/// A subscription with a quota of its own and room for so many agents.
#[must_use]
pub fn subscription(name: &str, agents_max: u32) -> SubscriptionPolicy {
    SubscriptionPolicy {
        name: SubscriptionName::from(name),
        provider: Provider::from("anthropic"),
        kind: SubscriptionType::SetupToken,
        quota: QuotaIdentity::from(name),
        agents_max,
        terms: Terms::default(),
    }
}

/// A pool of these subscriptions, every credential readable.
#[must_use]
pub fn pool(subscriptions: impl IntoIterator<Item = SubscriptionPolicy>) -> PoolState {
    let subscriptions: Vec<SubscriptionPolicy> = subscriptions.into_iter().collect();
    let names: Vec<SubscriptionName> = subscriptions.iter().map(|policy| policy.name.clone()).collect();
    let mut pool = PoolState::new(subscriptions);
    for name in names {
        let fingerprint = Fingerprint(format!("print-of-{name}"));
        pool.note_credential(name, CredentialFact { state: Ok(fingerprint), at: START.wall });
    }
    pool
}
