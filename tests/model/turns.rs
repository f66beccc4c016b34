//! Every order of what callers of a session do beside each other, to a holder that dies, and while the daemon is killed;
//! and bugs that have to be found.

use switchman::domain::TurnClass;

use crate::mutation::Mutation;
use crate::world::callers::{Calls, HANDED_OVER, LEASES, ORDER, REVIVED, Wish};
use crate::world::{Budget, Names};
use crate::{NOTHING_LEFT, Search};

const fn wish(session: &'static str, class: TurnClass) -> Wish {
    Wish { session, class, wait: Some(100), preempt: false }
}

const WEB: Wish = wish("s", TurnClass::Interactive);
const CRON: Wish = wish("s", TurnClass::Background);
const HURRIED: Wish = Wish { wait: None, preempt: true, ..WEB };

const fn calls(wishes: &'static [Wish]) -> Calls {
    Calls { wishes, begins: if wishes.len() < 3 { 2 } else { 4 }, ..Calls::NONE }
}

fn search(left: Budget) -> Search {
    Search::of(&["a", "b"], left)
}

#[test]
fn a_daemon_that_is_killed_at_any_point_loses_no_lease_and_frees_none() {
    let calls = Calls { beats: 1, ..calls(&[WEB, CRON]) };
    search(Budget { crashes: 1, ticks: 3, calls, ..NOTHING_LEFT }).holds();
}

#[test]
fn a_switch_in_the_middle_waits_for_turns_and_no_longer_than_it_may() {
    let calls = Calls { beats: 1, ..calls(&[WEB, CRON]) };
    let names = &[Names::Turn, Names::Generation];
    search(Budget { fails: 1, ticks: 1, names, calls, ..NOTHING_LEFT }).holds();
}

fn seeded(mutation: Mutation, left: Budget) -> Search {
    search(left).with(mutation)
}

#[test]
fn the_search_finds_a_lease_that_frees_its_session_without_a_fence() {
    let left = Budget { ticks: 2, calls: calls(&[WEB, CRON]), ..NOTHING_LEFT };
    seeded(Mutation::Unfenced, left).finds(HANDED_OVER);
}

#[test]
fn the_search_finds_a_background_caller_that_is_served_first() {
    let left = Budget { ticks: 1, calls: calls(&[WEB, CRON, HURRIED, WEB]), ..NOTHING_LEFT };
    seeded(Mutation::BackgroundFirst, left).finds(ORDER);
}

#[test]
fn the_search_finds_a_holder_that_comes_back_while_its_work_is_being_ended() {
    let calls = Calls { beats: 1, ..calls(&[WEB, CRON]) };
    seeded(Mutation::Revived, Budget { ticks: 2, calls, ..NOTHING_LEFT }).finds(REVIVED);
}

#[test]
fn the_search_finds_a_lease_that_a_restart_of_the_daemon_forgets() {
    let left = Budget { crashes: 1, ticks: 1, calls: calls(&[WEB, CRON]), ..NOTHING_LEFT };
    seeded(Mutation::LeaseForgotten, left).finds(LEASES);
}
