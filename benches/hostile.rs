//! How long the classifier takes for text that was made to be expensive, beside one pass over the bytes of the line.
//!
//! | measured, for each kind of trouble | yardstick | aim |
//! |---|---|---|
//! | one line of a log, 1 MiB | the line is checked for UTF-8 and searched for a word | ≤ 10 ms |
//! | the same as the text of a report, and as the body of an answer in one, 256 KiB | the same | ≤ 10 ms |
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

/// The longest line that a reader of logs hands on.
const BYTES: usize = 1 << 20;
/// The longest report that is taken.
const REPORT_BYTES: usize = 256 << 10;
const RUNS: usize = 15;
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
        let show = |what: &str, time: Duration| {
            let figure = format!("{:.2} ms", ms(time));
            row(&format!("hostile {what}: {name}"), &figure, &yardstick, ms(time), " ms", ..=AIM_MS);
        };
        let time = line(&bytes);
        worst = worst.max((time, at));
        show("line", time);
        let (_, bytes) = hostile::lines(REPORT_BYTES).swap_remove(at);
        let text = Some(String::from_utf8_lossy(&bytes).into_owned());
        let evidence = Evidence { text: text.clone(), ..Evidence::default() };
        show("text of a report", best(|| classifier.evidence(&evidence, &context)));
        let evidence = Evidence { status: Some(429), body: text, ..Evidence::default() };
        show("body of an answer", best(|| classifier.evidence(&evidence, &context)));
    }
    let (name, whole) = hostile::lines(BYTES).swap_remove(worst.1);
    let (_, half) = hostile::lines(BYTES / 2).swap_remove(worst.1);
    // Once more, in alternation, so that both meet the same machine.
    let pairs: Vec<_> = (0..RUNS).map(|_| (line(&whole), line(&half))).collect();
    let whole = pairs.iter().map(|(whole, _)| *whole).min().unwrap_or_default();
    let half = pairs.iter().map(|(_, half)| *half).min().unwrap_or_default();
    let ratio = whole.as_secs_f64() / half.as_secs_f64();
    let what = format!("the worst of them ({name}), and half of it");
    row(&what, &format!("{:.2} ms", ms(whole)), &format!("{:.2} ms", ms(half)), ratio, " ×", ..=3.0);
}
