//! What is explained is what is done (D1): one predicate, asked in both directions over random pools.

use std::time::Duration;

use proptest::prelude::*;
use switchman::domain::{
    CauseBy, Change, FailureKind, IntentOutcome, Model, Reading, SubscriptionName, Teller, Utilisation, Window,
};
use switchman::machine::agent::testing::subscription;
use switchman::machine::policy::{Budget, PoolSettings, Strategy as Preference, SubscriptionPolicy, Terms};
use switchman::machine::pool::{AgentView, Pick, Wanted, evaluate};

use crate::words::{HOUR, MINUTE, Story, wakes};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const AGENTS: [&str; 4] = ["w", "x", "y", "z"];

/// Something that happens to a pool.
#[derive(Debug, Clone)]
enum Happening {
    Passes(u32),
    Cools { name: usize, by: Option<usize>, minutes: u32 },
    Refuses { name: usize, agent: usize, is_ban: bool },
    Reads { name: usize, by: Option<usize>, percent: u16, serves: bool },
    Runs { agent: usize, name: usize },
    Asks { agent: usize, has: Option<usize>, wanted: usize, by: usize },
    Ends { agent: usize, is_delivered: bool },
    Halts,
    GoesOn,
}

fn happening() -> impl Strategy<Value = Happening> {
    let (name, agent) = (0..NAMES.len(), 0..AGENTS.len());
    prop_oneof![
        (0..400_u32).prop_map(Happening::Passes),
        (name.clone(), prop::option::of(agent.clone()), 1..300_u32).prop_map(|(name, by, minutes)| Happening::Cools {
            name,
            by,
            minutes
        }),
        (name.clone(), agent.clone(), any::<bool>()).prop_map(|(name, agent, is_ban)| Happening::Refuses {
            name,
            agent,
            is_ban
        }),
        (name.clone(), prop::option::of(agent.clone()), 0..1100_u16, any::<bool>())
            .prop_map(|(name, by, percent, serves)| Happening::Reads { name, by, percent, serves }),
        (agent.clone(), name.clone()).prop_map(|(agent, name)| Happening::Runs { agent, name }),
        (agent.clone(), prop::option::of(name), 0..5_usize, 0..CauseBy::ALL.len())
            .prop_map(|(agent, has, wanted, by)| Happening::Asks { agent, has, wanted, by }),
        (agent, any::<bool>()).prop_map(|(agent, is_delivered)| Happening::Ends { agent, is_delivered }),
        Just(Happening::Halts),
        Just(Happening::GoesOn),
    ]
}

fn settings() -> impl Strategy<Value = PoolSettings> {
    (0..Preference::ALL.len(), prop::option::of(1..3_u32), 0..20_u64).prop_map(|(strategy, metered, ramp)| {
        PoolSettings {
            strategy: Preference::ALL[strategy],
            metered: metered.map(|switches| Budget { switches, per: HOUR }),
            ramp: Duration::from_secs(ramp),
            ..PoolSettings::default()
        }
    })
}

/// Priority, metered, reserve, ceiling, whether it is kept for models; most agents; whether it shares a quota.
type Drawn = ((u32, bool, bool, Option<u16>, bool), u32, bool);

fn policies() -> impl Strategy<Value = Vec<SubscriptionPolicy>> {
    let terms = (0..3_u32, any::<bool>(), any::<bool>(), prop::option::of(500..1000_u16), any::<bool>());
    let one = (terms, 1..4_u32, any::<bool>());
    prop::collection::vec(one, NAMES.len())
        .prop_map(|drawn| NAMES.iter().zip(drawn).map(|(name, drawn)| policy(name, drawn)).collect())
}

fn policy(name: &str, drawn: Drawn) -> SubscriptionPolicy {
    let ((priority, is_metered, is_reserve, ceiling, has_models), most, shares) = drawn;
    let terms = Terms {
        priority,
        is_metered,
        is_reserve,
        ceilings: ceiling.map(|most| (Window::FiveHour, Utilisation(most))).into_iter().collect(),
        models: if has_models { vec![Model::from("opus")] } else { Vec::new() },
    };
    let plain = subscription(name, most);
    SubscriptionPolicy { quota: if shares { "org".into() } else { plain.quota.clone() }, terms, ..plain }
}

fn view(agent: usize, has: Option<usize>, wanted: usize, by: usize) -> AgentView {
    let wanted = match wanted {
        0 => Wanted::Another,
        1 => Wanted::Any,
        2 => Wanted::Preferred,
        3 => Wanted::Roomier,
        _ => Wanted::This { to: NAMES[agent % NAMES.len()].into(), force: false },
    };
    AgentView {
        allowed: NAMES.map(SubscriptionName::from).to_vec(),
        models: vec![Model::from("opus")],
        current: has.map(|has| NAMES[has].into()),
        wanted,
        by: CauseBy::ALL[by],
        ..wakes(AGENTS[agent])
    }
}

fn happen(story: &mut Story, happening: &Happening) {
    match happening {
        Happening::Passes(minutes) => story.pass(MINUTE * *minutes),
        Happening::Cools { name, by, minutes } => {
            story.cools(story.limit(NAMES[*name], by.map(|by| AGENTS[by]), MINUTE * *minutes));
        }
        Happening::Refuses { name, agent, is_ban } => {
            let kind = if *is_ban { FailureKind::Banned } else { FailureKind::Auth };
            story.cools(story.refusal(kind, NAMES[*name], AGENTS[*agent], false));
        }
        Happening::Reads { name, by, percent, serves } => {
            let told_by = by.map_or(Teller::Reporter, |by| Teller::Agent(AGENTS[by].into()));
            let utilisation = Some(Utilisation(*percent));
            let reading = Reading { told_by, utilisation, serves: *serves, ..story.reading(NAMES[*name], 0.0) };
            for key in story.pool.ended_by(&reading) {
                story.pool.apply(&Change::CooldownLifted(key));
            }
            story.reads(reading);
        }
        Happening::Runs { agent, name } => story.runs(AGENTS[*agent], NAMES[*name]),
        Happening::Asks { agent, has, wanted, by } => {
            let _ = story.pick(&view(*agent, *has, *wanted, *by));
        }
        Happening::Ends { agent, is_delivered } => {
            let id = switchman::domain::IntentId { agent: AGENTS[*agent].into(), number: 1 };
            story.closes(id, if *is_delivered { IntentOutcome::Ready } else { IntentOutcome::Cancelled });
        }
        Happening::Halts => {
            if let Some(halt) = story.pool.must_halt(None, story.now) {
                story.pool.apply(&Change::Halted(halt));
            }
        }
        Happening::GoesOn => story.pool.apply(&Change::HaltLifted(story.now)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever has happened: what `explain` shows is what a reservation does, and the answer to an agent follows from
    /// it.
    #[test]
    fn explaining_and_deciding_never_disagree(
        policies in policies(),
        settings in settings(),
        before in prop::collection::vec(happening(), 0..40),
        agent in 0..AGENTS.len(),
        has in prop::option::of(0..NAMES.len()),
        wanted in 0..5_usize,
        by in 0..CauseBy::ALL.len(),
    ) {
        let mut story = Story::of(policies, settings);
        for happening in &before {
            happen(&mut story, happening);
        }
        let view = view(agent, has, wanted, by);
        let explained = evaluate(&view, &story.pool, story.now);
        prop_assert_eq!(&explained, &evaluate(&view, &story.pool, story.now), "same inputs, same answer");
        let reserved = story.pool.clone().reserve(&view, story.now);
        prop_assert_eq!(&explained, &reserved);
        let first = explained.first().cloned();
        match story.pool.clone().pick(&view, story.now) {
            Pick::To(picked) => prop_assert_eq!(Some(picked), first),
            Pick::Keep => prop_assert!(first.is_none() && view.wanted.is_voluntary() || first == view.current),
            Pick::None { earliest, .. } => {
                prop_assert_eq!(first, None);
                prop_assert_eq!(earliest, explained.earliest);
            }
            Pick::Halted { .. } => prop_assert!(explained.halt.is_some() && first.is_none()),
            Pick::Shadowed { rows } => prop_assert!(rows.len() >= 2 && view.by.is_automatic()),
            Pick::Unavailable => prop_assert!(false, "the pool itself always answers"),
        }
    }

    /// Every cooldown ends: by its time, or because it is a quarantine that a person can lift.
    #[test]
    fn every_cooldown_ends(policies in policies(), before in prop::collection::vec(happening(), 0..40)) {
        let mut story = Story::of(policies, PoolSettings::default());
        for happening in &before {
            happen(&mut story, happening);
        }
        story.pass(HOUR * 24 * 40);
        story.pool.expire(story.now);
        for name in NAMES.map(SubscriptionName::from) {
            let rows: Vec<_> = story.pool.rows_about(&name, story.now).cloned().collect();
            prop_assert!(rows.iter().all(switchman::domain::Cooldown::is_quarantine), "{rows:?}");
            for row in rows {
                story.pool.apply(&Change::CooldownLifted(row.key));
            }
            prop_assert!(story.pool.rows_about(&name, story.now).next().is_none());
        }
    }
}
