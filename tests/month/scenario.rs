//! One month, as the seed has it: who wants to work when, what goes wrong outside. The same for every policy.

use crate::chance::Chance;
use crate::provider::{DAY, HOUR, MINUTE, Ms, Size};

pub(crate) const AGENTS: usize = 50;
pub(crate) const DAYS: u64 = 30;
pub(crate) const END: Ms = DAYS * DAY;

/// The subscriptions by name. Two are seats of one team and count against the same quota.
pub(crate) const SUBSCRIPTIONS: [&str; 8] =
    ["amber", "birch", "coral", "delta", "ember", "flint", "grove-1", "grove-2"];

/// The quota behind each subscription.
pub(crate) const QUOTAS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 6];

/// The most agents on one subscription.
pub(crate) const AGENTS_MAX: u32 = 16;

const SMALL: Size = Size { five_hour: 14 * HOUR, weekly: 190 * HOUR };
const LARGE: Size = Size { five_hour: 30 * HOUR, weekly: 420 * HOUR };
pub(crate) const SIZES: [Size; 7] = [SMALL, SMALL, SMALL, LARGE, LARGE, LARGE, LARGE];

/// How the failures of an agent are learned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A dispatcher that is trusted names the generation.
    Dispatcher,
    /// The agent's log is followed.
    Log,
    /// The agent says so itself, and names the subscription.
    Itself,
}

/// What is peculiar to one agent.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// The subscriptions it may use, as bits.
    pub(crate) allowed: u32,
    pub(crate) told: Told,
    /// It asks again every quarter of an hour, whatever it was told.
    pub(crate) is_stubborn: bool,
    /// When it wants to work: from, until.
    pub(crate) wants: Vec<(Ms, Ms)>,
}

/// What happens outside, at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incident {
    /// Everything is answered with 5xx.
    Down(bool),
    /// The provider disables an account.
    Banned(usize),
    /// An operator has a new account for it.
    Replaced(usize),
    /// A dead key in the agent's own environment wins over whatever is delivered.
    Shadowed(usize),
    /// An operator has removed it.
    Mended(usize),
}

/// The month.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// When it is over.
    pub(crate) until: Ms,
    pub(crate) workers: Vec<Worker>,
    pub(crate) incidents: Vec<(Ms, Incident)>,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let workers = (0..AGENTS as u64).map(|number| worker(seed, number)).collect();
        let mut incidents = outages(seed);
        incidents.extend(bans(seed));
        incidents.extend(dead_keys(seed));
        incidents.sort_by_key(|(at, _)| *at);
        Self { seed, until: END, workers, incidents }
    }
}

fn worker(seed: u64, number: u64) -> Worker {
    let mut chance = Chance::of(seed, "worker", &[number]);
    // One in five may use only half of the subscriptions.
    let allowed = if chance.percent(20) { if chance.percent(50) { 0b1010_1101 } else { 0b0111_0110 } } else { 0xff };
    let told = [Told::Dispatcher, Told::Log, Told::Itself][usize::try_from(number % 3).unwrap()];
    let wants = (0..DAYS).flat_map(|day| shift(seed, number, day)).collect();
    Worker { allowed, told, is_stubborn: number % 5 == 4, wants }
}

/// What an agent wants to do on one day: stretches of work with breaks between them.
fn shift(seed: u64, number: u64, day: u64) -> Vec<(Ms, Ms)> {
    let mut chance = Chance::of(seed, "shift", &[number, day]);
    let is_weekend = day % 7 >= 5;
    if chance.percent(if is_weekend { 70 } else { 8 }) {
        return Vec::new();
    }
    // Most work by day, some in the evening, and a few through the night.
    let (begins, hours) = match number % 10 {
        0..7 => (8 * HOUR, 10 * HOUR),
        7 | 8 => (15 * HOUR, 8 * HOUR),
        _ => (20 * HOUR, 12 * HOUR),
    };
    let begins = day * DAY + begins + chance.between(0, 2 * HOUR);
    let (mut at, ends) = (begins, (begins + hours).min(END - HOUR));
    let mut wants = Vec::new();
    while at < ends {
        let until = at + chance.between(30 * MINUTE, 150 * MINUTE);
        wants.push((at, until.min(ends)));
        at = until + chance.between(5 * MINUTE, 50 * MINUTE);
    }
    wants
}

fn outages(seed: u64) -> Vec<(Ms, Incident)> {
    let outage = |week: u64| {
        let mut chance = Chance::of(seed, "outage", &[week]);
        let at = week * 7 * DAY + chance.between(0, 4) * DAY + chance.between(9 * HOUR, 16 * HOUR);
        [(at, Incident::Down(true)), (at + chance.between(10 * MINUTE, 100 * MINUTE), Incident::Down(false))]
    };
    (0..4).flat_map(outage).collect()
}

/// One ban alone, and two within an hour.
fn bans(seed: u64) -> Vec<(Ms, Incident)> {
    let mut chance = Chance::of(seed, "bans", &[]);
    let alone = 8 * DAY + chance.between(9 * HOUR, 15 * HOUR);
    let (lonely, first) = (chance.between(0, 7), chance.between(0, 5));
    let [lonely, first, second] = [lonely, first, first + 1].map(|number| usize::try_from(number).unwrap());
    let both = 21 * DAY + chance.between(9 * HOUR, 15 * HOUR);
    let after = both + chance.between(5 * MINUTE, 30 * MINUTE);
    vec![
        (alone, Incident::Banned(lonely)),
        (alone + chance.between(12 * HOUR, 30 * HOUR), Incident::Replaced(lonely)),
        (both, Incident::Banned(first)),
        (after, Incident::Banned(second)),
        (both + chance.between(6 * HOUR, 24 * HOUR), Incident::Replaced(first)),
        (both + chance.between(6 * HOUR, 24 * HOUR), Incident::Replaced(second)),
    ]
}

/// Three agents in the month get a dead key into their own environment.
fn dead_keys(seed: u64) -> Vec<(Ms, Incident)> {
    let key = |nth: u64| {
        let mut chance = Chance::of(seed, "dead key", &[nth]);
        let agent = usize::try_from(nth * 16 + chance.between(0, 15)).unwrap();
        let at = (3 + nth * 8) * DAY + chance.between(9 * HOUR, 14 * HOUR);
        [(at, Incident::Shadowed(agent)), (at + chance.between(3 * HOUR, 26 * HOUR), Incident::Mended(agent))]
    };
    (0..3).flat_map(key).collect()
}
