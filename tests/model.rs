//! Every order in which a few things can happen, searched exhaustively with the production machine: reports that
//! are late, repeated and out of order, answers that get lost, a crash at every point, timers.
//!
//! What must hold is found wrong by the world itself (`simulated/world.rs`) while it runs, so that every property
//! is an `always`. The seeded bugs of `simulated/mutation.rs` show that the search would find one.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use stateright::{Checker, HasDiscoveries, Model, Property};
use switchman::machine::agent::testing::{policy, pool, subscription};
use switchman::machine::policy::{Policy, SubscriptionPolicy};

#[path = "simulated/container.rs"]
mod container;
#[path = "simulated/ledger.rs"]
mod ledger;
#[path = "simulated/mutation.rs"]
mod mutation;
#[path = "model/turns.rs"]
mod turns;
#[path = "simulated/world.rs"]
mod world;

use mutation::Mutation;
use world::books::{COOLING, CREDENTIAL, DRAINS, ENDS, FORGOTTEN, ONE_RESTART, STALE};
use world::callers::{ANSWERED, Calls, HANDED_OVER, LEASES, ORDER, REVIVED};
use world::{Act, Budget, Names, World};

const NOTHING_LEFT: Budget = Budget {
    fails: 0,
    repeats: 0,
    losses: 0,
    crashes: 0,
    ticks: 0,
    commands: 0,
    outside: 0,
    names: &[Names::Generation],
    calls: Calls::NONE,
};

const ANY_NAMES: &[Names] = &[Names::Generation, Names::Subscription, Names::Nothing];

/// The search: what the world begins with, and which bug is in it.
struct Search {
    agents: usize,
    policy: Policy,
    subscriptions: Vec<SubscriptionPolicy>,
    left: Budget,
    mutation: Mutation,
}

impl Search {
    /// One agent with room on every subscription it may use.
    fn of(subscriptions: &[&str], left: Budget) -> Self {
        let policy = Policy { subscriptions: subscriptions.iter().map(|name| (*name).into()).collect(), ..policy() };
        let subscriptions = subscriptions.iter().map(|name| subscription(name, 8)).collect();
        Self { agents: 1, policy, subscriptions, left, mutation: Mutation::None }
    }

    fn with(self, mutation: Mutation) -> Self {
        Self { mutation, ..self }
    }

    /// Runs the search to its end.
    fn holds(self) {
        let checker = self.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let unique = checker.unique_state_count();
        if let Some((property, path)) = checker.discoveries().into_iter().next() {
            let World { wrongs, objection, .. } = path.last_state().0.clone();
            panic!("\"{property}\" does not hold: {wrongs:?} {objection:?}\n{:#?}", path.into_actions());
        }
        assert!(unique > 1_000, "a search of {unique} states shows nothing");
    }

    /// Runs the search until it finds that this does not hold.
    fn finds(self, property: &'static str) {
        let sought = HasDiscoveries::AnyOf([property].into());
        let checker = self.checker().threads(2).finish_when(sought).spawn_bfs().join();
        assert!(
            checker.discovery(property).is_some(),
            "the seeded bug was not found: {:?}",
            checker.discoveries().keys()
        );
    }
}

/// A world as the search compares it.
#[derive(Debug, Clone, PartialEq)]
struct State(World);

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        struct Into<'a, H>(&'a mut H);
        impl<H: Hasher> Write for Into<'_, H> {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        self.0.identity(&mut Into(hasher)).expect("a hasher takes everything");
    }
}

impl Model for Search {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let mut world = World::new(self.agents, &self.policy, pool(self.subscriptions.clone()), self.left);
        world.mutation = self.mutation;
        vec![State(world)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        actions.extend(state.0.acts());
    }

    fn next_state(&self, last: &State, action: Act) -> Option<State> {
        let mut next = last.clone();
        next.0.act(&action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($wrong:expr) => {
                Property::always($wrong, |_, state: &State| !state.0.wrongs.contains($wrong))
            };
        }
        vec![
            never!(ONE_RESTART),
            never!(STALE),
            never!(COOLING),
            never!(FORGOTTEN),
            never!(ENDS),
            never!(CREDENTIAL),
            never!(HANDED_OVER),
            never!(ORDER),
            never!(REVIVED),
            never!(LEASES),
            never!(ANSWERED),
            never!(DRAINS),
            Property::always("nothing else is wrong", |_, state: &State| {
                let of_switches = [ONE_RESTART, STALE, COOLING, FORGOTTEN, ENDS, CREDENTIAL];
                let of_turns = [HANDED_OVER, ORDER, REVIVED, LEASES, ANSWERED, DRAINS];
                let named = of_switches.into_iter().chain(of_turns).collect::<Vec<_>>();
                state.0.wrongs.iter().all(|wrong| named.contains(wrong))
            }),
        ]
    }
}

#[test]
fn a_burst_of_delayed_and_repeated_reports_moves_an_agent_once() {
    Search::of(&["a", "b", "c"], Budget { fails: 2, repeats: 1, ticks: 2, names: ANY_NAMES, ..NOTHING_LEFT }).holds();
}

#[test]
fn lost_answers_and_a_crash_at_any_point_restart_once() {
    Search::of(&["a", "b"], Budget { fails: 1, losses: 2, crashes: 1, ticks: 3, ..NOTHING_LEFT }).holds();
}

#[test]
fn what_others_do_to_the_container_does_not_confuse_a_switch() {
    Search::of(&["a", "b"], Budget { fails: 1, losses: 1, ticks: 2, outside: 2, ..NOTHING_LEFT }).holds();
}

#[test]
fn an_operator_may_speak_at_any_point() {
    Search::of(&["a", "b"], Budget { fails: 1, crashes: 1, ticks: 3, commands: 1, ..NOTHING_LEFT }).holds();
}

#[test]
fn two_agents_share_the_places_and_the_evidence() {
    let mut search = Search::of(&["a", "b", "c"], Budget { fails: 2, ..NOTHING_LEFT });
    search.agents = 2;
    search.subscriptions = vec![subscription("a", 8), subscription("b", 1), subscription("c", 8)];
    search.holds();
}

#[test]
fn the_search_finds_a_second_restart() {
    let left = Budget { fails: 1, ..NOTHING_LEFT };
    Search::of(&["a", "b"], left).with(Mutation::SecondRestart).finds(ONE_RESTART);
}

#[test]
fn the_search_finds_a_pick_of_a_cooling_subscription() {
    let left = Budget { fails: 2, ..NOTHING_LEFT };
    Search::of(&["a", "b"], left).with(Mutation::PickOfCooling).finds(COOLING);
}

#[test]
fn the_search_finds_a_stale_report_that_is_acted_on() {
    let left = Budget { fails: 2, ..NOTHING_LEFT };
    Search::of(&["a", "b", "c"], left).with(Mutation::StaleActedOn).finds(STALE);
}

#[test]
fn the_search_finds_an_agent_that_is_forgotten() {
    let left = Budget { fails: 2, ..NOTHING_LEFT };
    Search::of(&["a", "b"], left).with(Mutation::Forgotten).finds(FORGOTTEN);
}
