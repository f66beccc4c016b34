//! How long the classifier takes for a line of 1 MiB that was made to be expensive, each beside one pass over its bytes.
//!
//! | measured, for each kind of trouble | yardstick | aim |
//! |---|---|---|
//! | one line of a log | the line is checked for UTF-8 and searched for a word | ≤ 10 ms |
//! | the same as the text of a report's evidence | the same | ≤ 10 ms |
//! | half the bytes, for the worst of them | none: the time of the whole, divided by that of the half | ≤ 3 × |
//!
//! The best of several runs counts, as the machine may be busy otherwise.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "../tests/rig/hostile.rs"]
mod hostile;
#[path = "rig/results.rs"]
mod results;

use std::hint::black_box;
use std::time::{Duration, Instant};

use switchman::classify::{Classifier, Context, Evidence};
use switchman::domain::Wall;

use results::row;

const BYTES: usize = 1 << 20;
const RUNS: usize = 7;
const AIM_MS: f64 = 10.0;

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    let run = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed()
    };
    (0..RUNS).map(run).min().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() {
    let classifier = Classifier::default();
    // Of no tool in particular, so that the rules of all are asked.
    let context = Context::new(None, Wall(1_795_176_000_000));
    let line = |line: &[u8]| best(|| classifier.line(line, &context));
    let mut worst = (Duration::ZERO, 0);
    for (at, (name, bytes)) in hostile::lines(BYTES).into_iter().enumerate() {
        let pass = best(|| (std::str::from_utf8(&bytes).is_ok(), memchr::memmem::find(&bytes, b"no such word")));
        let yardstick = format!("{:.2} ms", ms(pass));
        let time = line(&bytes);
        worst = worst.max((time, at));
        row(&format!("hostile line: {name}"), &format!("{:.2} ms", ms(time)), &yardstick, ms(time), " ms", ..=AIM_MS);
        let text = Some(String::from_utf8_lossy(&bytes).into_owned());
        let evidence = Evidence { text, ..Evidence::default() };
        let time = best(|| classifier.evidence(&evidence, &context));
        row(
            &format!("hostile evidence: {name}"),
            &format!("{:.2} ms", ms(time)),
            &yardstick,
            ms(time),
            " ms",
            ..=AIM_MS,
        );
    }
    let (name, half) = hostile::lines(BYTES / 2).swap_remove(worst.1);
    let half = line(&half);
    let ratio = worst.0.as_secs_f64() / half.as_secs_f64();
    let figure = format!("{:.2} ms", ms(worst.0));
    row(
        &format!("the worst of them ({name}), and half of it"),
        &figure,
        &format!("{:.2} ms", ms(half)),
        ratio,
        " ×",
        ..=3.0,
    );
}
