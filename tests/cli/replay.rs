//! `classify --as-agent`: what the daemon would have done about a recorded log.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Ran, command};

const CONFIG: &str = r#"
[docker]
host = "unix:///nowhere/docker.sock"

[agent_defaults]
tool = "claude-code"

[[agent]]
name = "reviewer"
container = "reviewer"
delivery = { file = "/srv/reviewer/credential" }

[[agent]]
container = "worker-*"
delivery = { file = "/srv/{name}/credential" }

[[agent]]
name = "watched"
container = "watched"
monitor_only = true

[[agent]]
name = "child"
process = { command = ["./agent.sh"] }
delivery = { env = "TOKEN" }
"#;

/// 12:00 of 2026-11-21.
const NOON: i64 = 1_795_262_400;

struct Place(TempDir);

impl Place {
    fn new(log: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let subscriptions = ["max-a", "max-b", "max-c"].map(|name| {
            format!("[[subscription]]\nname = \"{name}\"\nprovider = \"anthropic\"\ntype = \"setup-token\"\ncredential = {{ file = \"/etc/{name}\" }}\n")
        });
        place.write("config.toml", &format!("{CONFIG}\n{}", subscriptions.join("\n")));
        place.write("log", log);
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let line = [&["--config", "config.toml", "classify"], arguments].concat();
        Ran::of(&command(&line).current_dir(self.0.path()).output().unwrap())
    }

    fn story(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json", "log"]].concat()).document()
    }
}

/// A five-hour limit that ends so many hours after noon.
fn limit(hours: i64) -> String {
    let reset = NOON + hours * 3_600;
    format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset},"rateLimitType":"five_hour"}}}}"#
    )
}

const BARE: &str = r#"{"type":"assistant","error":"rate_limit","message":{"model":"<synthetic>","content":[]}}"#;

/// As `docker logs -t` prints it.
fn stamped(clock: &str, line: &str) -> String {
    format!("2026-11-21T{clock}.123456789Z {line}\n")
}

fn burst() -> String {
    let chatter = stamped("12:00:00", "{\"type\":\"system\",\"subtype\":\"init\"}");
    let lines = (0..20).map(|n| stamped(&format!("12:00:{:02}", n / 10), if n % 2 == 0 { BARE } else { "x" }));
    [chatter, stamped("12:00:00", &limit(3))].into_iter().chain(lines).collect()
}

#[test]
fn a_burst_in_a_log_is_one_switch_and_one_restart() {
    let place = Place::new(&burst());
    assert_snapshot!(place.run(&["--as-agent", "reviewer", "log"]).shown());
    let story = place.story(&["--as-agent", "reviewer"]);
    assert_eq!((&story["switches"], &story["restarts"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&story["phase"], &story["subscription"], &story["generation"]),
        (&json!("serving"), &json!("max-b"), &json!(2))
    );
    let events: Vec<_> =
        story["timeline"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["reported", "switch_began", "reported", "switch_ended"]);
    let first = &story["timeline"][0];
    assert_eq!((&first["line"], &first["outcome"]), (&json!(2), &json!("switching")));
    assert_eq!(first["at"], "2026-11-21T12:00:00.123Z");
}

#[test]
fn chatter_does_nothing() {
    let quoted = serde_json::to_string(&limit(3)).unwrap();
    let chatter = format!("hello\n{{\"type\":\"user\",\"message\":{{\"content\":{quoted}}}}}\n");
    let place = Place::new(&chatter);
    let story = place.story(&["--as-agent", "reviewer", "--at", "2026-11-21T12:00:00Z"]);
    assert_eq!((&story["switches"], &story["restarts"], &story["timeline"]), (&json!(0), &json!(0), &json!([])));
    assert_eq!((&story["subscription"], &story["lines"]), (&json!("max-a"), &json!(2)));
}

#[test]
fn two_limits_are_told_with_their_times_and_the_agent_ends_on_the_third() {
    let log = [("12:00:00", limit(3)), ("12:30:00", limit(3)), ("13:00:00", limit(5)), ("13:00:02", limit(5))];
    let log: String = log.iter().map(|(clock, line)| stamped(clock, line)).collect();
    let place = Place::new(&log);
    assert_snapshot!(place.run(&["--as-agent", "reviewer", "log"]).shown());
    let story = place.story(&["--as-agent", "reviewer", "--since", "2026-11-21T12:59:00Z", "--on", "max-b"]);
    assert_eq!((&story["switches"], &story["on"]), (&json!(1), &json!("max-b")));
    assert_eq!(story["timeline"][0]["line"], 3);
}

#[test]
fn the_times_of_records_are_read_where_the_engine_wrote_none() {
    let at =
        |clock: &str, line: &str| line.replacen('{', &format!(r#"{{"timestamp":"2026-11-21T{clock}Z","#), 1) + "\n";
    let log = [at("12:00:00", &limit(3)), at("12:59:58", "{\"type\":\"user\"}"), format!("{BARE}\n")].concat();
    let story = Place::new(&log).story(&["--as-agent", "reviewer"]);
    assert_eq!(story["switches"], 2);
    let last = story["timeline"].as_array().unwrap().iter().rfind(|row| row["event"] == "reported").unwrap();
    assert_eq!((&last["line"], &last["at"]), (&json!(3), &json!("2026-11-21T12:59:58.000Z")));
}

#[test]
fn every_sort_of_agent_can_be_replayed() {
    let place = Place::new(&burst());
    for (agent, switches) in [("worker-7", 1), ("watched", 0), ("child", 1)] {
        assert_eq!(place.story(&["--as-agent", agent])["switches"], switches, "{agent}");
    }
    place.write("more", &stamped("13:00:00", &limit(5)));
    let story = place.run(&["--as-agent", "reviewer", "log", "more", "--json"]).document();
    let last = story["timeline"].as_array().unwrap().iter().rfind(|row| row["event"] == "reported").unwrap();
    assert_eq!((&last["file"], &last["line"], &story["switches"]), (&json!("more"), &json!(1), &json!(2)));
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let place = Place::new("");
    let fails = |arguments: &[&str], code: &str, hint: &str| {
        let ran = place.run(&[arguments, &["--json"]].concat());
        let problem = ran.problem();
        assert_eq!((ran.code, problem["code"].as_str()), (Some(1), Some(code)), "{problem:#}");
        assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{problem:#}");
    };
    fails(&["--as-agent", "reviwer", "log"], "agent_not_found", "reviewer");
    fails(&["--as-agent", "reviewer", "--on", "max-z", "log"], "subscription_not_found", "max-a, max-b, max-c");
    fails(&["--as-agent", "reviewer"], "log_unreadable", "FILE");
    fails(&["--as-agent", "child"], "log_unreadable", "FILE");
    assert_eq!(place.run(&["--as-agent", "reviewer", "missing"]).code, Some(1));
    assert_eq!(place.run(&["--on", "max-a", "log"]).code, Some(2), "only of a replay");
}
