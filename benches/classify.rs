//! How fast a log of chatter is read for signs of failures, beside what would look for the same words in the same file.
//!
//! | measured, one thread, in one run | yardstick | aim |
//! |---|---|---|
//! | a log of 1 GB, line by line, everything that is likely looked at by the rules | `rg -i -F -j1 -c`, the same words | ≥ 4 × |
//! | the same | Python's `re`, the same words in either case, on a piece of it | ≥ 150 × |
//!
//! The log is made from a seed: records of a session, output of builds and tests, prose, and two lines in a thousand that
//! talk about limits. `CLASSIFY_MIB=64` makes it smaller. Needs ripgrep and Python; removes what it made.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of its own that measures time"
)]

#[path = "rig/results.rs"]
mod results;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use results::row;
use switchman::classify::{Classifier, Context};
use switchman::domain::{Tool, Wall};

/// What is read in one go.
const CHUNK: usize = 256 * 1024;
/// What the slow yardstick is given.
const PIECE: usize = 32 << 20;
const ROUNDS: usize = 3;
/// 2026-11-20 12:00:00 UTC.
const NOW: Wall = Wall(1_795_176_000_000);

/// A generator that gives the same numbers every time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}

const WORDS: &[&str] = &[
    "the", "function", "returns", "a", "value", "when", "parser", "reads", "next", "token", "and", "we", "should",
    "check", "whether", "file", "exists", "before", "writing", "it", "back", "module", "test", "passes", "now",
    "build", "is", "green", "let", "me", "look", "at", "state", "machine", "again", "because", "result", "differs",
    "from", "what", "was", "expected",
];

fn prose(numbers: &mut Numbers, words: usize, line: &mut String) {
    for count in 0..words {
        if count > 0 {
            line.push(' ');
        }
        line.push_str(WORDS[numbers.below(WORDS.len())]);
    }
}

/// One line of a log.
fn chatter(numbers: &mut Numbers, line: &mut String) {
    line.clear();
    let number = numbers.next();
    let written = match numbers.below(1000) {
        0 => write!(line, "I think the rate limit was hit because quota {number} is shared"),
        1 => write!(
            line,
            r#"{{"type":"assistant","message":{{"model":"claude-opus-4-5","content":[{{"type":"text","text":"It says You've hit your limit, request {number}"}}]}}}}"#
        ),
        2..300 => {
            let head = write!(
                line,
                r#"{{"type":"assistant","message":{{"model":"claude-opus-4-5","id":"msg_{number:016x}","role":"assistant","content":[{{"type":"text","text":""#
            );
            prose(numbers, 14, line);
            head.and_then(|()| {
                write!(
                    line,
                    r#""}}],"usage":{{"input_tokens":{},"cache_read_input_tokens":{},"output_tokens":{}}}}},"session_id":"{number:032x}"}}"#,
                    number % 97,
                    number % 40_429,
                    number % 1_013
                )
            })
        }
        300..500 => write!(
            line,
            "2026-11-20T11:{:02}:{:02}.{:09}Z INFO worker{{id={number:x}}}: step {} done in {} ms",
            number % 60,
            number % 59,
            number % 1_000_000_000,
            number % 4_290,
            number % 977
        ),
        500..700 => write!(line, "test module_{}::case_{} ... ok", number % 89, number % 10_007),
        700..800 => {
            write!(line, "   Compiling crate-{} v1.{}.{} (/srv/agent/work)", number % 613, number % 17, number % 29)
        }
        _ => {
            prose(numbers, 18, line);
            Ok(())
        }
    };
    written.expect("text");
    line.push('\n');
}

fn make(path: &Path, bytes: usize) {
    let mut file = std::io::BufWriter::new(File::create(path).expect("a file"));
    let (mut numbers, mut line, mut written) = (Numbers(17), String::new(), 0);
    while written < bytes {
        chatter(&mut numbers, &mut line);
        file.write_all(line.as_bytes()).expect("written");
        written += line.len();
    }
    file.flush().expect("written");
}

/// Reads the file as the command line does: whole lines at a time, those that are likely looked at by the rules.
fn classify(path: &Path, classifier: &Classifier) -> (usize, usize) {
    let context = Context::new(Some(Tool::ClaudeCode), NOW);
    let mut file = File::open(path).expect("the file");
    let mut text = vec![0; CHUNK];
    let (mut kept, mut likely, mut failures) = (0, 0, 0);
    loop {
        let read = file.read(&mut text[kept..]).expect("readable");
        let filled = kept + read;
        let end = text[..filled].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let mut from = 0;
        while let Some(line) = classifier.next_likely_line(&text[..end], from) {
            likely += 1;
            failures += usize::from(classifier.likely_line(&text[line.clone()], &context).failure.is_some());
            from = (line.end + 1).min(end);
        }
        text.copy_within(end..filled, 0);
        kept = filled - end;
        if read == 0 {
            return (likely, failures);
        }
    }
}

/// The best of some rounds: what the machine does besides only ever adds.
fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let timed = (0..rounds).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    timed.min().unwrap_or_default()
}

fn gigabytes_per_second(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e9
}

const PYTHON: &str = r#"
import re, sys, time
words = open(sys.argv[1], encoding="utf-8").read().split("\n")
pattern = re.compile("|".join(re.escape(word) for word in words if word).encode(), re.IGNORECASE)
lines = open(sys.argv[2], "rb").read(int(sys.argv[3])).split(b"\n")
begun = time.perf_counter()
hits = sum(1 for line in lines if pattern.search(line))
print(time.perf_counter() - begun)
"#;

fn main() {
    let mib: usize = std::env::var("CLASSIFY_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(954);
    let work = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/classify-bench");
    fs::create_dir_all(&work).expect("a folder");
    let (log, words) = (work.join("log"), work.join("words"));
    make(&log, mib << 20);
    let bytes = usize::try_from(fs::metadata(&log).expect("the file").len()).expect("a size");
    let classifier = Classifier::default();
    let mut needles: Vec<String> = Classifier::needles().iter().map(|word| word.to_lowercase()).collect();
    needles.sort();
    needles.dedup();
    fs::write(&words, needles.join("\n")).expect("written");

    let mut found = (0, 0);
    let ours = best(ROUNDS, || found = classify(&log, &classifier));
    let rg = best(ROUNDS, || {
        let searched = Command::new("rg")
            .args(["-i", "-F", "-j1", "-c", "-a", "--no-config", "-f"])
            .args([&words, &log])
            .stdout(Stdio::piped())
            .output()
            .expect("ripgrep");
        assert!(searched.status.success(), "{searched:?}");
    });
    let piece = PIECE.min(bytes);
    let told = Command::new("python3")
        .args(["-c", PYTHON])
        .args([&words, &log])
        .arg(piece.to_string())
        .output()
        .expect("python");
    let python: f64 = String::from_utf8_lossy(&told.stdout).trim().parse().expect("seconds");
    let (ours_speed, rg_speed) = (gigabytes_per_second(bytes, ours), gigabytes_per_second(bytes, rg));
    let python_speed = piece as f64 / python / 1e9;
    let what =
        format!("chatter of {} MB, {} likely lines of which {} are failures", bytes / 1_000_000, found.0, found.1);
    let figure = format!("{ours_speed:.2} GB/s");
    row(&what, &figure, &format!("ripgrep {rg_speed:.2} GB/s"), ours_speed / rg_speed, " ×", 4.0..);
    row("the same", &figure, &format!("Python re {python_speed:.4} GB/s"), ours_speed / python_speed, " ×", 150.0..);
    fs::remove_dir_all(&work).expect("removed");
}
