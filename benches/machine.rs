//! What a decision costs without anything around it. Aim: 2 µs.
//!
//! Each measurement begins with a state and an event in hand and ends with the step in hand; making the ones and
//! dropping the other are not counted.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use switchman::domain::{FailureKind, Generation, Report, ReportId, RuntimeState, SubscriptionName};
use switchman::machine::agent::testing::{Rig, report, sighting};
use switchman::machine::agent::{EffectOutcome, Event, Pick, Ticket, transition};
use switchman::machine::attribution::stamp;

/// A report with an id, as an agent sends it, stamped at the door.
fn reported(rig: &Rig, generation: u64) -> Event {
    let report = Report {
        id: Some(ReportId::from("0b6c9e0e-7d35-4a0c-9a52-3f1d6f6f2b61")),
        generation: Some(Generation(generation)),
        ..report(FailureKind::RateLimit)
    };
    let stamp = stamp(&report, &rig.state, &rig.policy, rig.now.wall).expect("a generation that was issued");
    Event::Report { ticket: Ticket(1), report: Box::new(report), digest: 1, stamp, count: 1 }
}

fn transitions(criterion: &mut Criterion) {
    let serving = Rig::serving("a");

    let mut selecting = serving.clone();
    let _ = selecting.send(reported(&serving, 1));
    let picked = Event::Picked { selection: selecting.state.selection, pick: Pick::To(SubscriptionName::from("b")) };

    let mut draining = selecting.clone();
    let _ = draining.send(picked.clone());
    let seen = sighting(RuntimeState::Running, 1, "a");
    let passed = Event::Outcome { attempt: draining.state.attempt, outcome: EffectOutcome::Preflight(Ok(seen)) };

    let mut switched = draining.clone();
    let _ = switched.switch_completes("b", 1);

    let mut group = criterion.benchmark_group("transition");
    for (name, rig, event) in [
        ("a failure asks for another subscription", &serving, reported(&serving, 1)),
        ("a pick opens an intent", &selecting, picked),
        ("a repeat during a switch", &draining, reported(&draining, 1)),
        ("a preflight has passed", &draining, passed),
        ("a failure of the past", &switched, reported(&switched, 1)),
        ("a tick with nothing due", &switched, Event::Tick),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (rig.state.clone(), event.clone()),
                |(state, event)| transition(state, event, rig.now, &rig.policy),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, transitions);
criterion_main!(benches);
