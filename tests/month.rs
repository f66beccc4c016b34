//! A month of fifty agents on eight subscriptions: what switchman makes of it, held against two naive policies that live
//! through the same month, and against rules that must hold whatever happens.
//!
//! `MONTH_SEED=7,8 cargo test --test month` tries other months; each failure names its seed. `UPDATE_DOCS=1 cargo test --test
//! month` writes `docs/month.md` and `docs/month.svg`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the code of a test, also outside of its functions")]

use std::path::Path;

#[path = "month/chance.rs"]
mod chance;
#[path = "simulated/container.rs"]
#[expect(dead_code, reason = "no process agents here")]
mod container;
#[path = "month/measures.rs"]
mod measures;
#[path = "month/naive.rs"]
mod naive;
#[path = "month/ours.rs"]
mod ours;
#[path = "month/plot.rs"]
mod plot;
#[path = "month/pool.rs"]
mod pool;
#[path = "month/provider.rs"]
mod provider;
#[path = "month/rules.rs"]
mod rules;
#[path = "month/scenario.rs"]
mod scenario;
#[path = "month/stage.rs"]
mod stage;
#[path = "month/table.rs"]
mod table;
#[path = "month/telling.rs"]
mod telling;

use naive::{RoundRobin, SkipList};
use ours::Ours;
use pool::Fault;
use provider::DAY;
use scenario::Scenario;
use stage::run;
use switchman::machine::policy::Strategy;
use table::{Month, refusals};

/// The months of the document.
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

/// One month under all three policies, with what ours did wrong.
fn live(seed: u64) -> (Month, Vec<String>) {
    let scenario = Scenario::new(seed);
    let mut ours = Ours::new(Fault::None, Strategy::LeastAssigned);
    let of = [run(&scenario, &mut ours), run(&scenario, &mut SkipList::new()), run(&scenario, &mut RoundRobin::new())];
    let mut wrongs = ours.rules.wrongs;
    let [is, skip, round] = &of;
    for (name, naive) in [("skip-list", skip), ("round-robin", round)] {
        if refusals(is) >= refusals(naive) {
            wrongs.push(format!("{name} is refused less often: {} against {}", refusals(naive), refusals(is)));
        }
        // Believing that a week has eighteen days costs one: up to the clamp the quota lies idle.
        if is.avoidable() >= naive.avoidable() && is.beyond == 0 {
            wrongs.push(format!(
                "{name} loses less that could be avoided: {} ms against {}",
                naive.avoidable(),
                is.avoidable()
            ));
        }
    }
    (Month { seed, of }, wrongs)
}

fn lived(seeds: &[u64]) -> Vec<(Month, Vec<String>)> {
    std::thread::scope(|scope| {
        let months: Vec<_> = seeds.iter().map(|seed| scope.spawn(|| live(*seed))).collect();
        months.into_iter().map(|month| month.join().expect("a month ends")).collect()
    })
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test is told its seed by its environment")]
fn a_month_keeps_the_rules_and_beats_the_naive_policies() {
    let numbers = |text: String| text.split(',').map(|seed| seed.parse().expect("a number")).collect::<Vec<u64>>();
    let given = std::env::var("MONTH_SEED").ok().map(numbers);
    let seeds = given.clone().unwrap_or_else(|| SEEDS.to_vec());
    println!("seeds: {seeds:?}");
    let lived = lived(&seeds);
    for (month, wrongs) in &lived {
        println!(
            "{}",
            table::document(std::slice::from_ref(month)).lines().skip(9).take(20).collect::<Vec<_>>().join("\n")
        );
        for wrong in wrongs {
            println!("seed {}: {wrong}", month.seed);
        }
    }
    if given.is_none() {
        let months: Vec<Month> =
            lived.iter().map(|(month, _)| Month { seed: month.seed, of: month.of.clone() }).collect();
        hold("docs/month.md", &table::document(&months));
        hold("docs/month.svg", &plot::picture(&Scenario::new(SEEDS[0]), &months[0]));
    }
    let wrongs: usize = lived.iter().map(|(_, wrongs)| wrongs.len()).sum();
    assert_eq!(wrongs, 0, "see above, with seeds and histories");
}

fn some_days(days: u64, seed: u64, fault: Fault, strategy: Strategy) -> (measures::Measures, Ours) {
    let scenario = Scenario { until: days * DAY, ..Scenario::new(seed) };
    let mut ours = Ours::new(fault, strategy);
    (run(&scenario, &mut ours), ours)
}

#[test]
fn the_same_seed_makes_the_same_week_and_another_one_another() {
    let of = |seed| some_days(7, seed, Fault::None, Strategy::LeastAssigned).0;
    assert_eq!(of(11), of(11));
    assert_ne!(of(11), of(12));
}

#[test]
fn every_strategy_keeps_the_rules() {
    for strategy in Strategy::ALL {
        let (measures, ours) = some_days(7, 21, Fault::None, *strategy);
        println!("{strategy}: {} switches, {} refused", measures.switches, refusals(&measures));
        assert!(ours.rules.wrongs.is_empty(), "{strategy}: {}", ours.rules.wrongs.join("\n"));
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    for (fault, days, rule) in [
        (Fault::ForgetsCooldowns, 7, "ping-pong"),
        (Fault::PicksTheLast, 7, "spread"),
        (Fault::Oversleeps, 24, "exhausted"),
    ] {
        let (_, ours) = some_days(days, 2, fault, Strategy::LeastAssigned);
        assert!(ours.rules.broken().contains_key(rule), "{fault:?}: {:?}", ours.rules.broken());
    }
}

/// Compares a document with what it should say; writes it instead if asked to.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write the document")]
fn hold(document: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    let differs =
        differs.map(|(found, expected)| [found, expected].map(|line| line.chars().take(200).collect::<String>()));
    assert!(
        found == expected,
        "{document} is out of date; run `UPDATE_DOCS=1 cargo test --test month` and commit it\nfirst difference (found, \
         expected): {differs:#?}"
    );
}
