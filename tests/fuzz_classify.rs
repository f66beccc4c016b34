//! The classifier and text that nobody meant: real forms, broken in every way that a program, a terminal or an agent might.
//!
//! Each test makes a bounded number of cases from a seed, and holds what must be true of any input. A failure prints the seed and the case:
//!
//! ```text
//! SWITCHMAN_TEST_SEED=7 cargo nextest run --test fuzz_classify                        the same cases again
//! SWITCHMAN_FUZZ_CASES=2000000 cargo nextest run --release --test fuzz_classify       longer, by hand
//! ```

#[path = "fuzz_classify/forms.rs"]
mod forms;
#[path = "rig/hostile.rs"]
mod hostile;
#[path = "fuzz_classify/mutation.rs"]
mod mutation;
#[path = "fuzz_classify/random.rs"]
mod random;

use std::time::Duration;

use serde_json::json;
use switchman::classify::{Classifier, Context, Evidence, Said, Verdict, Zone};
use switchman::domain::{FailureKind, Tool, Wall};

use mutation::mutated;
use random::Random;

/// Cases of each test, unless more are asked for.
const CASES: u64 = 2_000;

/// 2026-11-20 12:00:00 UTC.
const AT: Wall = Wall(1_795_176_000_000);

/// How long before the event a reset may lie, and how long after it.
const PAST_MAX: Duration = Duration::from_secs(5 * 60);
const AHEAD_MAX: Duration = Duration::from_secs(40 * 86_400);

#[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Calls `check` with each case's own random numbers.
#[expect(clippy::print_stderr, reason = "a failure is made again by what is printed")]
fn each_case(mut check: impl FnMut(&mut Random)) {
    let seed = given("SWITCHMAN_TEST_SEED").unwrap_or(1);
    let cases = given("SWITCHMAN_FUZZ_CASES").unwrap_or(CASES);
    eprintln!("SWITCHMAN_TEST_SEED={seed}, {cases} cases");
    for case in 0..cases {
        check(&mut Random::new(seed, case));
    }
}

fn context(random: &mut Random) -> Context {
    let tools = [None, Some(Tool::ClaudeCode), Some(Tool::Codex), Some(Tool::GeminiCli), Some(Tool::Opencode)];
    let tool = random.one_of(&tools);
    let zone = Zone::named(random.one_of(&["UTC", "Europe/Rome", "Australia/Lord_Howe", "America/Santiago"]));
    Context { tool, at: AT, zone: zone.expect("a zone") }
}

fn holds_of_any(verdict: &Verdict, case: &str) {
    if let Some(reset) = verdict.reset_at {
        assert!(reset >= AT.minus(PAST_MAX) && reset <= AT.plus(AHEAD_MAX), "{verdict:?} of {case}");
    }
    assert!(!verdict.rule.as_str().is_empty() && !verdict.reason.is_empty(), "{verdict:?} of {case}");
}

#[test]
fn no_line_panics_and_every_reset_is_in_bounds() {
    let classifier = Classifier::default();
    let mut told = 0;
    each_case(|random| {
        let line = mutated(random);
        let said = classifier.line(&line, &context(random));
        if let Some(failure) = &said.failure {
            told += 1;
            let case = String::from_utf8_lossy(&line).into_owned();
            holds_of_any(failure, &case);
            assert_ne!(failure.kind, FailureKind::Unknown, "{case}");
        }
    });
    // Cases that are all noise would hold anything.
    assert!(told > 100, "only {told} lines said anything");
}

#[test]
fn whatever_an_agent_reads_or_writes_moves_nobody() {
    let classifier = Classifier::default();
    let mut told = 0;
    each_case(|random| {
        let line = mutated(random);
        let context = context(random);
        let moves = |said: &Said| said.failure.as_ref().is_some_and(Verdict::moves);
        told += u64::from(moves(&classifier.line(&line, &context)));
        let text = String::from_utf8_lossy(&line).into_owned();
        let quoted = serde_json::to_string(&text).expect("a text");
        for text in [text, quoted.clone(), serde_json::to_string(&quoted).expect("a text")] {
            let records = [
                json!({"type": "user", "message": {"role": "user", "content": text}}),
                json!({"type": "user", "message": {"content": [{"type": "tool_result", "is_error": true, "content": text}]}}),
                json!({"type": "assistant", "message": {"model": "claude-opus-4", "content": [{"type": "text", "text": text}]}}),
                json!({"type": "assistant", "message": {"model": "claude-opus-4", "content": [{"type": "tool_use", "input": {"command": text}}]}}),
                json!({"type": "item.completed", "item": {"type": "agent_message", "text": text}}),
                json!({"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": text}}),
            ];
            for record in records {
                let record = record.to_string();
                let said = classifier.line(record.as_bytes(), &context);
                assert!(!moves(&said), "{said:?} of {record}");
            }
        }
    });
    assert!(told > 50, "only {told} lines would have moved anybody by themselves");
}

#[test]
fn a_block_of_lines_says_what_its_lines_say() {
    let classifier = Classifier::default();
    each_case(|random| {
        let context = context(random);
        let lines: Vec<Vec<u8>> =
            (0..random.below(6)).map(|_| mutated(random).into_iter().filter(|byte| *byte != b'\n').collect()).collect();
        let block = lines.join(&b'\n');
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(line) = classifier.next_likely_line(&block, from) {
            assert!(line.start >= from && line.end >= line.start && line.end <= block.len(), "{line:?}");
            found.push(classifier.likely_line(&block[line.clone()], &context));
            if line.end == block.len() {
                break;
            }
            from = line.end + 1;
        }
        let one_by_one: Vec<Said> = lines.iter().map(|line| classifier.line(line, &context)).collect();
        let telling = |said: Vec<Said>| said.into_iter().filter(|said| *said != Said::default()).collect::<Vec<_>>();
        assert_eq!(telling(found), telling(one_by_one), "{:?}", String::from_utf8_lossy(&block));
    });
}

#[test]
fn no_evidence_panics_and_what_cannot_move_an_agent_does_not() {
    let classifier = Classifier::default();
    each_case(|random| {
        let some =
            |random: &mut Random| random.chance(2).then(|| String::from_utf8_lossy(&mutated(random)).into_owned());
        let names = [
            "retry-after",
            "Anthropic-RateLimit-Unified-Status",
            "anthropic-ratelimit-unified-5h-reset",
            "x-codex-primary-used-percent",
            "",
        ];
        let headers = (0..random.below(4))
            .map(|_| {
                let value = String::from_utf8_lossy(&mutation::value(random)).into_owned();
                ((random.one_of(&names)).to_owned(), value)
            })
            .collect();
        let evidence = Evidence {
            status: random
                .chance(2)
                .then(|| random.one_of(&[0, 100, 200, 400, 401, 402, 403, 404, 429, 500, 503, 529, 999])),
            headers,
            body: some(random),
            text: some(random),
            exit_code: random.chance(4).then(|| random.one_of(&[0, 1, 2, -9, -15, 137, 143, i32::MAX, i32::MIN])),
            signal: random.chance(8).then(|| (random.one_of(&["SIGKILL", "9", "", "nonsense"])).to_owned()),
            oom: random.chance(16),
        };
        let verdict = classifier.evidence(&evidence, &context(random));
        let case = format!("{evidence:?}");
        holds_of_any(&verdict, &case);
        let is_killed = evidence.oom || matches!(evidence.exit_code, Some(137 | 143 | -9 | -15));
        if is_killed {
            assert_eq!(verdict.kind, FailureKind::Killed, "{case}");
        }
        if matches!(evidence.status, Some(500..=599)) {
            assert!(!verdict.moves(), "{verdict:?} of {case}");
        }
    });
}

#[test]
fn lines_that_were_made_to_be_expensive_are_read_to_their_end() {
    let classifier = Classifier::default();
    // How long that takes at full size is measured by the benchmark `hostile`.
    for (name, line) in hostile::lines(1 << 17) {
        let context = Context::new(None, AT);
        let said = classifier.line(&line, &context);
        if let Some(failure) = &said.failure {
            holds_of_any(failure, name);
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        for evidence in [
            Evidence { text: Some(text.clone()), ..Evidence::default() },
            Evidence { status: Some(429), body: Some(text), ..Evidence::default() },
        ] {
            holds_of_any(&classifier.evidence(&evidence, &context), name);
        }
    }
}
