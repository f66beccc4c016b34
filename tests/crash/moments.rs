//! The moments at which the daemon is killed.

use std::path::Path;
use std::time::Duration;

use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::round::{Moment, Rounds};
use crate::stage::Ground;

/// What the log tells of a switch, in order.
const STEPS: [&str; 4] = ["switch.started", "switch.drained", "switch.applied", "switch.completed"];

fn nowhere() -> &'static Path {
    Path::new("/nonexistent")
}

async fn killed_at_each_step(ground: Ground, times: usize) {
    let mut rounds = Rounds::begin(ground, "1s").await;
    for _ in 0..times {
        for step in STEPS {
            rounds.round(Moment::Event(step), nowhere()).await;
        }
    }
    rounds.end().await;
}

#[tokio::test]
async fn s11_killed_at_each_step_of_a_switch() {
    killed_at_each_step(Ground::Children, 3).await;
}

#[tokio::test]
async fn s11_killed_at_each_step_of_a_switch_by_file() {
    killed_at_each_step(Ground::ChildrenWithFiles, 3).await;
}

#[tokio::test]
async fn s11_docker_killed_at_each_step_of_a_switch() {
    killed_at_each_step(Ground::Containers, 2).await;
}

#[tokio::test]
async fn s11_killed_while_the_old_life_does_not_end() {
    let mut rounds = Rounds::begin(Ground::ChildrenWithFiles, "30s").await;
    rounds.round(Moment::Stop, nowhere()).await;
    rounds.end().await;
}

#[tokio::test]
async fn s11_killed_while_a_credential_is_read() {
    let gate = tempfile::Builder::new().prefix("sm").tempdir().unwrap();
    let mut rounds = Rounds::begin_with_a_gate(gate.path()).await;
    for number in 1..=4 {
        rounds.round(Moment::Read(number), gate.path()).await;
    }
    rounds.end().await;
}

/// Random moments from before the first report is read to after the switch is over.
async fn killed_at_random(ground: Ground, rounds_to_go: u32) {
    let mut random = Random::new();
    let mut rounds = Rounds::begin(ground, "1s").await;
    let mut window = Duration::ZERO;
    for _ in 0..3 {
        window = window.max(rounds.undisturbed().await);
    }
    for _ in 0..rounds_to_go {
        let time = window.mul_f64(1.2 * random.part());
        rounds.round(Moment::After(time), nowhere()).await;
    }
    rounds.end().await;
}

#[tokio::test]
async fn s11_killed_at_random_moments() {
    killed_at_random(Ground::Children, 30).await;
}

#[tokio::test]
async fn s11_killed_at_random_moments_by_file() {
    killed_at_random(Ground::ChildrenWithFiles, 30).await;
}

/// Numbers that follow from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
        let given = std::env::var("SWITCHMAN_TEST_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().expect("SWITCHMAN_TEST_SEED is a number"),
            None => SystemClock::new().now().wall.0.unsigned_abs(),
        };
        eprintln!("SWITCHMAN_TEST_SEED={seed}");
        Self(seed)
    }

    /// Between 0 and 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap();
        f64::from(high) / f64::from(u32::MAX)
    }
}
