//! What a repeat costs that is counted instead of queued. Aim: 200 ns.
//!
//! Measured from the report in hand to the admission in hand; making the one and dropping the other are not counted.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use switchman::actor::intake::{Admission, Intake};
use switchman::domain::{
    AgentName, Answer, FailureId, FailureKind, Generation, Outcome, Report, Stamp, Steady, SubscriptionName, Wall,
};
use switchman::machine::agent::testing;

const NOW: Steady = Steady(1_000_000);
const STAMP: Stamp = Stamp::Generation(Generation(7));

/// As agents send it: it names its generation.
fn report() -> Report {
    Report { generation: Some(Generation(7)), ..testing::report(FailureKind::RateLimit) }
}

fn answer() -> Answer {
    let agent = AgentName::from("reviewer");
    Answer {
        outcome: Outcome::Waiting,
        duplicate: false,
        failure: Some(FailureId { agent: agent.clone(), number: 12 }),
        kind: FailureKind::RateLimit,
        agent,
        subscription: Some(SubscriptionName::from("max-a")),
        generation: Some(Generation(7)),
        switch: None,
        retry_after: None,
        earliest_reset: None,
        reason: Some("its reset is near".to_owned()),
    }
}

/// An intake that has one report queued.
fn queued() -> Intake {
    let mut intake = Intake::default();
    let (admission, _) = intake.post(report(), 0, STAMP, NOW);
    assert!(matches!(admission, Admission::Queued(_)), "{admission:?}");
    intake
}

/// An intake whose one report was answered.
fn settled() -> Intake {
    let mut intake = queued();
    for posted in intake.take(1).reports {
        intake.answer(posted, Ok(answer()), NOW, Wall(0));
    }
    intake
}

fn posts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("intake");
    for (name, mut intake) in [("repeat of a queued report", queued()), ("repeat of an answered report", settled())] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(report, |report| black_box(intake.post(report, 0, STAMP, NOW)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, posts);
criterion_main!(benches);
