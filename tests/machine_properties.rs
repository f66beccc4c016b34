//! Random orders of many things: the same world as in `model.rs`, with far more of everything, and the pool by
//! itself under random evidence.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use switchman::domain::{
    AgentName, Assignment, CauseBy, Change, Cooldown, CooldownKey, CooldownSource, FailureKind, Generation,
    IntentOutcome, Reach, RuntimeState, SubscriptionName, Wall, Window,
};
use switchman::machine::agent::testing::{START, policy, pool, subscription};
use switchman::machine::agent::{AgentState, Phase, transition};
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::pool::{AgentView, PoolState, Wanted, evaluate};

#[path = "simulated/container.rs"]
mod container;
#[path = "simulated/ledger.rs"]
mod ledger;
#[path = "simulated/mutation.rs"]
#[expect(dead_code, reason = "only the model seeds bugs")]
mod mutation;
#[path = "simulated/world.rs"]
mod world;

use mutation::Mutation;
use world::callers::Calls;
use world::{Act, Budget, Fate, Names, World};

const MUCH: Budget = Budget {
    fails: 12,
    repeats: 6,
    losses: 8,
    crashes: 2,
    ticks: 60,
    commands: 6,
    outside: 4,
    names: &[Names::Generation, Names::Subscription, Names::Nothing, Names::Turn],
    calls: Calls::NONE,
};

fn world(agents: usize, left: Budget) -> World {
    world_of(agents, &policy(), left)
}

fn world_of(agents: usize, policy: &Policy, left: Budget) -> World {
    let pool = pool([subscription("a", 8), subscription("b", 1), subscription("c", 8)]);
    let mut world = World::new(agents, policy, pool, left);
    world.mutation = Mutation::None;
    world.trace = Some(Vec::new());
    world
}

/// Lets things happen as the numbers choose, until nothing can happen or the numbers end.
fn walk(world: &mut World, choices: &[u16]) -> Vec<Act> {
    let mut past = Vec::new();
    for choice in choices {
        let acts = world.acts();
        let Some(act) = acts.get(usize::from(*choice) % acts.len().max(1)).cloned() else { break };
        past.push(act.clone());
        world.act(&act);
        assert!(world.wrongs.is_empty(), "{:?} after {past:#?}", world.wrongs);
    }
    past
}

/// Answers everything that is outstanding and lets no more go wrong, for a while.
fn settle(world: &mut World) {
    world.left = Budget { fails: 0, repeats: 0, losses: 0, crashes: 0, commands: 0, outside: 0, ticks: 10_000, ..MUCH };
    for _ in 0..400 {
        let acts = world.acts();
        let Some(act) = acts.iter().find(|act| **act != Act::Tick).or_else(|| acts.first()).cloned() else { break };
        world.act(&act);
        let is_done = world.acts().iter().all(|act| *act == Act::Tick);
        let is_at_rest = world.agents.iter().all(|agent| {
            let is_up = agent.policy.runtime == RuntimeKind::Container || agent.state.is_up;
            !agent.state.phase.is_switching() && (is_up || matches!(agent.state.phase, Phase::Parked { .. }))
        });
        if is_done && is_at_rest {
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold(agents in 1_usize..=2, choices in prop::collection::vec(any::<u16>(), 0..120)) {
        let mut world = world(agents, MUCH);
        walk(&mut world, &choices);
    }

    #[test]
    fn whatever_happened_every_switch_ends_when_nothing_more_goes_wrong(
        choices in prop::collection::vec(any::<u16>(), 0..80),
    ) {
        let mut world = world(1, MUCH);
        let past = walk(&mut world, &choices);
        settle(&mut world);
        prop_assert!(world.wrongs.is_empty(), "{:?} after {past:#?}", world.wrongs);
        prop_assert!(!world.agents[0].state.phase.is_switching(), "{:#?} after {past:#?}", world.agents[0].state);
    }

    #[test]
    fn a_process_agent_is_brought_up_whatever_goes_wrong(choices in prop::collection::vec(any::<u16>(), 0..80)) {
        let process = Policy { runtime: RuntimeKind::Process, ..policy() };
        let mut world = world_of(1, &process, Budget { outside: 0, ..MUCH });
        let past = walk(&mut world, &choices);
        settle(&mut world);
        prop_assert!(world.wrongs.is_empty(), "{:?} after {past:#?}", world.wrongs);
        let agent = &world.agents[0];
        let last = agent.state.last.as_ref().and_then(|last| last.end.as_ref()).map(|end| end.outcome);
        let is_excused = last == Some(IntentOutcome::NotRunning) || matches!(agent.state.phase, Phase::Parked { .. });
        prop_assert!(
            is_excused || agent.container.state == RuntimeState::Running, "{agent:#?} after {past:#?}"
        );
    }

    #[test]
    fn exhaustion_ends_by_itself(choices in prop::collection::vec(any::<u16>(), 0..60)) {
        let mut world = world(1, Budget { commands: 0, outside: 0, crashes: 1, ..MUCH });
        let past = walk(&mut world, &choices);
        settle(&mut world);
        // Longer than the longest cooldown that these reports cause, and time for a switch after it.
        let end = world.now.wall.plus(Duration::from_secs(4 * 3600));
        while world.now.wall < end {
            let acts = world.acts();
            let Some(act) = acts.iter().find(|act| **act != Act::Tick).or_else(|| acts.first()) else { break };
            world.act(&act.clone());
        }
        settle(&mut world);
        prop_assert!(!matches!(world.agents[0].state.phase, Phase::Exhausted { .. }), "after {past:#?}");
    }

    #[test]
    fn the_same_events_lead_to_the_same_state(choices in prop::collection::vec(any::<u16>(), 0..120)) {
        let mut world = world(1, Budget { crashes: 0, ..MUCH });
        let begun = world.agents[0].state.clone();
        walk(&mut world, &choices);
        let mut again: AgentState = begun;
        for (_, event, at) in world.trace.clone().unwrap_or_default() {
            again = transition(again, event, at, &world.agents[0].policy).state;
        }
        prop_assert_eq!(&again, &world.agents[0].state);
    }

    #[test]
    fn the_same_choices_make_the_same_world(choices in prop::collection::vec(any::<u16>(), 0..120)) {
        let identity = || {
            let (mut world, mut text) = (world(2, MUCH), String::new());
            walk(&mut world, &choices);
            world.identity(&mut text).expect("a string takes everything");
            text
        };
        prop_assert_eq!(identity(), identity());
    }

    #[test]
    fn an_ideal_world_moves_an_agent_once_per_failure_it_really_had(fails in 1_u32..4) {
        let mut world = world(1, Budget { fails, names: &[Names::Generation], ..MUCH });
        for _ in 0..fails {
            if !world.acts().contains(&Act::Fail(0, Names::Generation)) {
                break;
            }
            world.act(&Act::Fail(0, Names::Generation));
            while let Some(act) = world.acts().into_iter().find(is_going_well) {
                world.act(&act);
            }
        }
        prop_assert!(world.wrongs.is_empty(), "{:?}", world.wrongs);
        let expected = u64::from(fails.min(2)) + 1;
        prop_assert_eq!(world.agents[0].state.generation(), Generation(expected), "a, then b, then c, then nobody");
    }
}

fn is_going_well(act: &Act) -> bool {
    match act {
        Act::Arrive { again, .. } => !again,
        Act::End(_, fate) => *fate == Fate::Done,
        Act::Handle(..) | Act::Answer(_) => true,
        Act::Fail(..)
        | Act::Late { .. }
        | Act::Tick
        | Act::Crash(..)
        | Act::Operator(..)
        | Act::Outside(..)
        | Act::Call(..) => false,
    }
}

// ---- the pool by itself ----------------------------------------------------------------------------------------

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What one agent says about one subscription, and for how long.
#[derive(Debug, Clone)]
struct Word {
    by: Option<usize>,
    about: usize,
    minutes: Option<u64>,
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let word = (prop::option::of(0_usize..4), 0_usize..4, prop::option::weighted(0.9, 1_u64..120));
    prop::collection::vec(word.prop_map(|(by, about, minutes)| Word { by, about, minutes }), 0..12)
}

fn agent(number: usize) -> AgentName {
    AgentName::from(format!("w{number}"))
}

fn row(word: &Word) -> Cooldown {
    let about = SubscriptionName::from(NAMES[word.about]);
    let kind = if word.minutes.is_some() { FailureKind::RateLimit } else { FailureKind::Auth };
    Cooldown {
        key: CooldownKey {
            reach: word.by.map_or(Reach::All, |by| Reach::Agent(agent(by))),
            quota: policy().quota(&about),
            credential: word.minutes.is_none().then(|| about.clone()),
            window: Window::Unknown,
            model: None,
        },
        subscription: about,
        kind,
        source: CooldownSource::Agent,
        since: START.wall,
        until: word.minutes.map(|minutes| START.wall.plus(Duration::from_secs(60 * minutes))),
        failure: None,
    }
}

fn view(number: usize, current: Option<usize>, wanted: Wanted) -> AgentView {
    let policy: Policy = policy();
    AgentView {
        agent: agent(number),
        allowed: NAMES.map(SubscriptionName::from).to_vec(),
        models: policy.models,
        current: current.map(|current| SubscriptionName::from(NAMES[current])),
        failing: None,
        exclusions: BTreeMap::new(),
        wanted,
        by: CauseBy::Failure,
    }
}

fn pool_with(words: &[Word], agents_max: u32) -> PoolState {
    let mut pool = pool(NAMES.map(|name| subscription(name, agents_max)));
    for word in words {
        pool.apply(&Change::CooldownSet(row(word)));
    }
    pool
}

fn is_cooling_for(words: &[Word], number: usize, about: &SubscriptionName, now: Wall) -> bool {
    // Of two words about the same thing the one that reaches further holds: no word shortens what is known (E4).
    let mut furthest: BTreeMap<_, (Option<usize>, Cooldown)> = BTreeMap::new();
    for word in words {
        let row = row(word);
        let end = |row: &Cooldown| row.until.map_or(i64::MAX, |until| until.0);
        if furthest.get(&row.key).is_none_or(|(_, known)| end(&row) >= end(known)) {
            furthest.insert(row.key.clone(), (word.by, row));
        }
    }
    let rows = || furthest.values().filter(|(_, row)| &row.subscription == about && row.is_cooling(now));
    let is_own = rows().any(|(by, _)| by.is_none_or(|by| by == number));
    let witnesses = rows().filter(|(by, row)| by.is_some() && !row.is_quarantine()).count();
    is_own || witnesses >= 2
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pick_is_the_first_of_the_ranking_and_never_cooling(
        words in words(), number in 0_usize..4, current in prop::option::of(0_usize..4), later in 0_u64..150,
    ) {
        let now = START.wall.plus(Duration::from_secs(60 * later));
        let mut pool = pool_with(&words, 8);
        let view = view(number, current, Wanted::Another);
        let explained = evaluate(&view, &pool, now);
        prop_assert_eq!(&explained, &evaluate(&view, &pool, now));
        prop_assert_eq!(&explained, &pool.reserve(&view, now));
        for candidate in &explained.candidates {
            let cools = is_cooling_for(&words, number, &candidate.subscription, now);
            let is_current = view.current.as_ref() == Some(&candidate.subscription);
            prop_assert_eq!(candidate.ineligible.is_some(), cools || is_current, "{:?}", candidate);
        }
        if let Some(pick) = explained.first() {
            let best = explained.verdict(pick).expect("a pick has a verdict");
            for other in explained.candidates.iter().filter(|other| other.ineligible.is_none()) {
                prop_assert!((best.is_suspect, best.agents) <= (other.is_suspect, other.agents));
            }
        }
    }

    #[test]
    fn the_word_of_one_agent_alone_makes_suspect_and_never_more(words in words(), later in 0_u64..150) {
        let now = START.wall.plus(Duration::from_secs(60 * later));
        let alone: Vec<Word> = words.into_iter().map(|word| Word { by: Some(0), ..word }).collect();
        let ranking = evaluate(&view(1, None, Wanted::Another), &pool_with(&alone, 8), now);
        for candidate in &ranking.candidates {
            prop_assert_eq!(&candidate.ineligible, &None);
            let is_accused = is_cooling_for(&alone, 0, &candidate.subscription, now);
            prop_assert_eq!(candidate.is_suspect, is_accused);
        }
    }

    #[test]
    fn no_subscription_takes_more_agents_than_it_may(agents_max in 1_u32..3, order in prop::collection::vec(0_usize..16, 0..24)) {
        let mut pool = pool_with(&[], agents_max);
        let mut on: BTreeMap<usize, SubscriptionName> = BTreeMap::new();
        for number in order {
            let mut asks = view(number, None, Wanted::Another);
            asks.current = on.get(&number).cloned();
            if let Some(pick) = pool.reserve(&asks, START.wall).first() {
                let assignment = Assignment {
                    subscription: pick.clone(),
                    generation: Generation(1),
                    since: START.wall,
                };
                on.insert(number, pick.clone());
                // Between the two it counts once: the mark goes when the assignment is there.
                pool.apply(&Change::Assigned { agent: agent(number), assignment, replaces: Generation::NONE });
                pool.release(&agent(number));
            }
            for name in NAMES {
                let there = on.values().filter(|has| has.as_str() == name).count();
                prop_assert!(there <= agents_max as usize, "{there} on {name}");
            }
        }
    }
}
