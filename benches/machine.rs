//! What one decision costs. The aim is 2 µs: the machine must never be what a burst waits for.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use switchman::domain::{FailureKind, Generation, Report, Stamp};
use switchman::machine::agent::testing::{Rig, report};
use switchman::machine::agent::{Event, Ticket, transition};

fn limit_in(generation: u64) -> Event {
    let generation = Generation(generation);
    let report = Report { generation: Some(generation), ..report(FailureKind::RateLimit) };
    let stamp = Stamp::Generation(generation);
    Event::Report { ticket: Ticket(1), report: Box::new(report), digest: 0, stamp, count: 1 }
}

/// An agent in the middle of its restart from `a` to `b`.
fn restarting() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    rig
}

fn moved() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    rig
}

/// The copy of the state and the event is not part of the decision: the shell hands both over.
fn bench(c: &mut Criterion, name: &str, rig: &Rig, event: &Event) {
    c.bench_function(name, |bencher| {
        bencher.iter_batched(
            || (rig.state.clone(), event.clone()),
            |(state, event)| transition(black_box(state), black_box(event), rig.now, &rig.policy),
            BatchSize::SmallInput,
        );
    });
}

fn transitions(c: &mut Criterion) {
    bench(c, "transition/a repeat while applying", &restarting(), &limit_in(1));
    bench(c, "transition/a fresh failure while serving", &Rig::serving("a"), &limit_in(1));
    bench(c, "transition/a stale report", &moved(), &limit_in(1));
}

criterion_group!(benches, transitions);
criterion_main!(benches);
