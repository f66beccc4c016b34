//! `classify`: files, directories and standard input, line by line and in short.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Ran, command, run, run_fed};

const AT: &str = "2026-11-21T12:00:00Z";
/// 15:00 of that day.
const RESET: i64 = 1_795_273_200;

fn limit(reset: i64) -> String {
    format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset},"rateLimitType":"five_hour"}}}}"#
    )
}

/// A log with a limit in its third line, which is talked about in the fourth.
fn log() -> String {
    let quoted = serde_json::to_string(&limit(RESET)).unwrap();
    format!(
        "starting\n{{\"type\":\"system\",\"subtype\":\"init\"}}\r\n{}\n{{\"type\":\"user\",\"message\":{{\"content\":{quoted}}}}}\nlast",
        limit(RESET)
    )
}

fn fed(arguments: &[&str], input: &str) -> Ran {
    run_fed(&[&["classify", "--at", AT, "--tool", "claude-code"], arguments].concat(), input)
}

fn objects(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))).collect()
}

struct Logs(TempDir);

impl Logs {
    fn new(files: &[(&str, &str)]) -> Self {
        let logs = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = logs.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        logs
    }

    fn classify(&self, arguments: &[&str]) -> Ran {
        let line = [&["classify", "--at", AT], arguments].concat();
        Ran::of(&command(&line).current_dir(self.0.path()).output().unwrap())
    }
}

#[test]
fn people_see_the_lines_that_say_something_and_a_summary() {
    assert_snapshot!(fed(&[], &log()).shown());
    assert_snapshot!(fed(&["--summary"], &log()).shown());
}

#[test]
fn a_program_gets_one_object_for_every_line_in_order() {
    let ran = fed(&["--json"], &log());
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    let nothing = |line: u64| {
        json!({
            "line": line, "kind": null, "scope": null, "reset_at": null, "trust": null, "rule": null,
            "switches": false
        })
    };
    let limit = json!({
        "line": 3, "kind": "rate_limit", "scope": "five_hour", "reset_at": "2026-11-21T15:00:00.000Z",
        "trust": "structured", "rule": "claude-code.rate_limit_event", "switches": true
    });
    assert_eq!(objects(&ran), [nothing(1), nothing(2), limit.clone(), nothing(4), nothing(5)]);
    assert_eq!(objects(&fed(&["--json", "--only-failures"], &log())), [limit]);
    assert!(ran.out.starts_with(r#"{"line":1,"kind":null,"scope":null,"#), "{}", ran.out);
    assert_eq!(fed(&["--json"], "").shown(), "--- stderr\n--- exit 0");
    assert_eq!(objects(&fed(&["--json"], "\n\n")), [nothing(1), nothing(2)]);
}

#[test]
fn a_reset_that_is_near_moves_nobody() {
    let near = objects(&fed(&["--json"], &limit(RESET - 3 * 3_600 + 90))).remove(0);
    assert_eq!((&near["kind"], &near["switches"]), (&json!("rate_limit"), &json!(false)));
}

#[test]
fn a_log_with_the_engines_times_is_read_by_them() {
    // Half a minute before the reset.
    let stamped = format!("2026-11-21T14:59:30.123456789Z {}\n", limit(RESET));
    assert_eq!(objects(&fed(&["--json", "--timestamps"], &stamped))[0]["switches"], false);
    assert_eq!(objects(&fed(&["--json"], &stamped))[0]["switches"], false, "a prefix that was not asked for");
    let own = limit(RESET).replacen('{', r#"{"timestamp":"2026-11-21T14:59:30Z","#, 1);
    let object = objects(&fed(&["--json"], &own)).remove(0);
    assert_eq!((&object["kind"], &object["switches"]), (&json!("rate_limit"), &json!(false)));
}

#[test]
fn several_files_and_directories_are_read_in_order_and_named() {
    let logs = Logs::new(&[("logs/b.log", &log()), ("logs/a/z.log", "chatter\n"), ("one.log", &limit(RESET))]);
    std::os::unix::fs::symlink("/etc/passwd", logs.0.path().join("logs/link")).unwrap();
    let ran = logs.classify(&["--json", "one.log", "logs"]);
    let places: Vec<_> =
        objects(&ran).iter().map(|row| format!("{}:{}", row["file"].as_str().unwrap(), row["line"])).collect();
    let expected =
        ["one.log:1", "logs/a/z.log:1", "logs/b.log:1", "logs/b.log:2", "logs/b.log:3", "logs/b.log:4", "logs/b.log:5"];
    assert_eq!(places, expected);
    assert_snapshot!(logs.classify(&["one.log", "logs"]).shown());
    let document = logs.classify(&["--summary", "--json", "one.log", "logs"]).document();
    assert_eq!(
        document,
        json!({
            "schema_version": 1, "files": 3, "lines": 7, "failures": 2, "switches": 2, "unclassified": 0,
            "kinds": { "rate_limit": { "lines": 2, "switches": 2 } },
            "rules": [{
                "rule": "claude-code.rate_limit_event", "kind": "rate_limit", "scope": "five_hour",
                "trust": "structured", "lines": 2, "switches": 2
            }],
            "shapes": [], "unreadable": []
        })
    );
}

#[test]
fn a_file_that_cannot_be_read_fails_the_run_after_the_others() {
    let logs = Logs::new(&[("good.log", &limit(RESET))]);
    let ran = logs.classify(&["missing.log", "good.log", "--json"]);
    assert_eq!((ran.code, objects(&ran).len()), (Some(1), 1));
    let problem = ran.problem();
    assert_eq!((&problem["code"], &problem["unreadable"][0]["file"]), (&json!("unreadable"), &json!("missing.log")));
    let ran = logs.classify(&["missing.log", "good.log", "--summary"]);
    assert_eq!(ran.err, "switchman: cannot read missing.log: No such file or directory (os error 2) (unreadable)\n");
    assert!(ran.out.contains("1 line"), "{}", ran.out);
}

#[test]
fn bytes_that_are_no_text_and_lines_without_end_are_lines() {
    let (mut child, long) = (command(&["classify", "--json"]), "x".repeat(3 << 20));
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        stdin.write_all(b"\xff\xfe{\n\0\n").unwrap();
        stdin.write_all(long.as_bytes()).unwrap();
        stdin.write_all(b"\n\xc3").unwrap();
    });
    let ran = Ran::of(&child.wait_with_output().unwrap());
    writer.join().unwrap();
    assert_eq!((ran.code, objects(&ran).len()), (Some(0), 4));
}

#[test]
fn what_a_pipe_brings_is_told_at_once() {
    let mut child = command(&["classify", "--tool", "claude-code", "--at", AT]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut out) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    writeln!(stdin, "{}", limit(RESET)).unwrap();
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "1: rate_limit, five_hour, until 2026-11-21 15:00:00 UTC: would move the agent\n");
    drop((stdin, out));
    // Its reader has left: no failure.
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_cannot_steer_the_terminal() {
    let line = limit(RESET).replacen('{', "{\"x\":\"\u{202e}\u{9b}31m\",", 1);
    let ran = fed(&[], &line);
    assert!(ran.out.contains("\\u{202e}\\u{9b}31m"), "{}", ran.out);
    assert!(!ran.out.contains('\u{202e}') && !ran.out.contains('\u{9b}'), "{}", ran.out);
}

#[test]
fn wrong_usage_is_told_with_what_is_known() {
    let ran = run(&["classify", "--tz", "Mars/Olympus"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("Mars/Olympus") && ran.err.contains("Europe/Rome"), "{}", ran.err);
    let ran = run(&["classify", "--tool", "emacs"]);
    assert!(ran.code == Some(2) && ran.err.contains("claude-code"), "{}", ran.err);
}

#[test]
fn the_rules_of_the_config_count_and_every_line_is_looked_at_for_them() {
    let rules = "[[rule]]\nid = \"acme.line\"\nwhen = { line = 'gw: empty until (?<when>.+)' }\nkind = \"billing\"\n\
                 reset = { group = \"when\" }\n\n[[rule]]\nid = \"claude-code.rate_limit_event\"\noff = true\n";
    let log = format!("\n\r\n{}\n\ngw: empty until 2026-11-21T18:00:00Z\n\n", limit(RESET));
    let logs = Logs::new(&[("config.toml", rules), ("log", &log)]);
    let ran = logs.classify(&["--config", "config.toml", "--only-failures", "--json", "log"]);
    let expected = json!({
        "line": 5, "kind": "billing", "scope": "unknown", "reset_at": "2026-11-21T18:00:00.000Z", "trust": "text",
        "rule": "acme.line", "switches": true
    });
    assert_eq!(objects(&ran), [expected]);
    let document = logs.classify(&["--config", "config.toml", "--summary", "--json", "log"]).document();
    assert_eq!((&document["lines"], &document["failures"]), (&json!(6), &json!(1)));
}

#[test]
fn a_config_that_is_named_has_to_be_good() {
    let ran = run(&["classify", "--config", "/nowhere/config.toml"]);
    assert_eq!(ran.code, Some(78), "{}", ran.shown());
    assert_eq!(run(&["classify"]).code, Some(0), "none is needed");
}
