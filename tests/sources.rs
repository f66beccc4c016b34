//! Sources of lines beside the logs of containers, with the real program: session files and standard input of agents that
//! are children of the daemon. The journal is in `tests/source_conformance.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[expect(dead_code, reason = "the fleet uses more of it")]
#[path = "fleet/lines.rs"]
mod lines;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/processes.rs"]
mod processes;
#[path = "rig/program.rs"]
mod program;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use program::eventually;
use setup::{Place, Setup};
use site::Site;

/// A line of a session file that says when it was written, so many seconds from now.
fn dated(line: &str, from_now_s: i64) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    let at = i64::try_from(lines::now_s()).unwrap() + from_now_s;
    let at = jiff::Timestamp::from_second(at).unwrap();
    record["timestamp"] = json!(at.to_string());
    record["sessionId"] = json!("a4b5");
    record.to_string()
}

fn session(site: &Site, name: &str) -> PathBuf {
    site.folder.home("one").join("projects/-srv-one").join(name)
}

fn write(site: &Site, name: &str, lines: &[String]) {
    let path = session(site, name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
}

/// An agent with these lines of its own in its section; `HOME` stands for its folder.
fn site(lines: &str) -> Site {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]).switching("settle = \"1s\"");
    setup.agents[0].place = Place::ChildWithFile;
    let site = Site::new(setup);
    let text = std::fs::read_to_string(site.folder.config()).unwrap();
    let home = site.folder.home("one").canonicalize().unwrap();
    let lines = lines.replace("HOME", &home.display().to_string());
    std::fs::write(site.folder.config(), text.replace("name = \"one\"\n", &format!("name = \"one\"\n{lines}\n")))
        .unwrap();
    site
}

const SESSIONS: &str = "sources = [{ files = \"HOME/projects/**/*.jsonl\" }]";

async fn started(lines: &str) -> Site {
    let mut site = site(lines);
    site.start().await;
    site.serving("one").await;
    site
}

async fn moved(site: &Site, generation: u64) {
    eventually("it is moved", async || {
        let now = site.agent("one").await;
        (now["assignment"]["generation"] == generation && now["phase"] == "serving").then_some(())
    })
    .await;
}

/// Waits until this many failures of the kind were recorded.
async fn recorded(site: &Site, kind: &str, count: u64) {
    eventually("it is recorded", async || {
        let failures = site.failures("one").await;
        let of_it = failures.iter().filter(|failure| failure["kind"] == kind);
        let counted: u64 = of_it.map(|failure| failure["count"].as_u64().unwrap()).sum();
        assert!(counted <= count, "{failures:#?}");
        (counted == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_hits_its_limit_moves_its_agent_once_and_an_old_one_that_is_taken_up_again_does_not() {
    let mut site = site(SESSIONS);
    write(&site, "old.jsonl", &[dated(&lines::limit(3600), -60)]);
    site.start().await;
    site.serving("one").await;
    write(&site, "s.jsonl", &[lines::chatter(1), dated(&lines::limit(3600), 0), dated(&lines::refused(), 0)]);
    moved(&site, 2).await;
    // The old session goes on in a new file, which begins with a copy of it. Then there is another failure, as a mark.
    let copy = [dated(&lines::limit(3600), -30), dated(&lines::refused(), -2 * 86_400), dated(&lines::overload(), 0)];
    write(&site, "resumed.jsonl", &copy);
    recorded(&site, "overload", 1).await;
    assert_eq!(site.switches("one").await.len(), 1);
    let failures = site.failures("one").await;
    // What was refused beside the first limit was a repeat or stale, as the switch was under way or over.
    let is_limit = |failure: &&Value| failure["reason"].as_str().is_some_and(|why| why.contains("rate_limit_event"));
    let limits = failures.iter().filter(is_limit);
    let told: Vec<_> = limits.map(|failure| (&failure["outcome"], &failure["generation"])).collect();
    assert_eq!(told, [(&json!("stale"), &json!(1)), (&json!("switching"), &json!(1))], "{failures:#?}");
    assert!(failures.iter().all(|failure| failure["subscription"] != "b" || failure["kind"] == "overload"));
    let sender = failures[0]["sender"].as_str().unwrap_or_default();
    assert!(sender.starts_with("files:/") && sender.ends_with("/**/*.jsonl"), "{failures:#?}");
    let metrics = site.call("GET", "/metrics", None).await.text;
    assert!(metrics.contains("switchman_log_lines_total{source=\"file\"} 6"), "{metrics}");
    site.stop().await;
}

#[tokio::test]
async fn ever_new_wordings_are_told_with_their_source_twenty_of_an_agent_in_an_hour_and_the_rest_counted() {
    let sources = "sources = [{ files = \"HOME/projects/**/*.jsonl\" }, { files = \"HOME/projects/**/*.log\" }]";
    let mut site = started(sources).await;
    for (name, first) in [("s.jsonl", 'a'), ("s.log", 'q')] {
        let words = (b'a'..b'a' + 15).map(char::from);
        let mut printed: Vec<_> =
            words.map(|word| format!("Quota of sort {first}{word} exhausted, ask them")).collect();
        // Once it is recorded, everything before it has been read.
        printed.push(dated(&lines::overload(), 0));
        write(&site, name, &printed);
    }
    recorded(&site, "overload", 2).await;
    let metrics = site.call("GET", "/metrics", None).await.text;
    assert!(metrics.contains("switchman_unclassified_lines_total 30"), "{metrics}");
    site.stop().await;
    let told = site.events("failure.unclassified");
    assert_eq!(told.len(), 20, "{told:#?}");
    for event in told {
        let (sender, text) = (event["sender"].as_str().unwrap(), event["text"].as_str().unwrap());
        let ends = if text.starts_with("Quota of sort a") { "/**/*.jsonl" } else { "/**/*.log" };
        assert!(sender.starts_with("files:/") && sender.ends_with(ends), "{event:#}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_killed_loses_no_line_and_applies_none_twice() {
    let mut site = site(SESSIONS);
    site.start().await;
    site.serving("one").await;
    write(&site, "s.jsonl", &[dated(&lines::overload(), 0)]);
    recorded(&site, "overload", 1).await;
    for round in 2..5 {
        site.kill().await;
        write(&site, "s.jsonl", &[lines::chatter(1), dated(&lines::overload(), 0)]);
        write(&site, &format!("new-{round}.jsonl"), &[dated(&lines::failed(), -2 * 86_400)]);
        site.start().await;
        recorded(&site, "overload", round).await;
    }
    assert!(site.failures("one").await.iter().all(|failure| failure["kind"] == "overload"));
    site.serving("one").await;
    site.stop().await;
}

#[tokio::test]
async fn a_limit_that_was_written_while_the_daemon_was_down_moves_its_agent_when_it_is_up_again() {
    let mut site = site(SESSIONS);
    site.start().await;
    site.serving("one").await;
    write(&site, "s.jsonl", &[dated(&lines::overload(), 0)]);
    recorded(&site, "overload", 1).await;
    site.kill().await;
    write(&site, "s.jsonl", &[dated(&lines::limit(3600), 0)]);
    site.start().await;
    // It is read while the agent is being started again on what it was on: that answers nothing.
    moved(&site, 2).await;
    let limits: Vec<Value> = site.failures("one").await;
    let told = limits.iter().find(|failure| failure["kind"] == "rate_limit").unwrap();
    assert!(told["outcome"] == "switching" && told["generation"] == 1, "{told:#}");
    site.stop().await;
}

#[tokio::test]
async fn sources_come_and_go_with_the_config_and_nobody_is_restarted_for_it() {
    let site = started("").await;
    write(&site, "s.jsonl", &[dated(&lines::overload(), 0)]);
    let text = std::fs::read_to_string(site.folder.config()).unwrap();
    let home = site.folder.home("one").canonicalize().unwrap();
    let sources = SESSIONS.replace("HOME", &home.display().to_string());
    let with = text.replace("name = \"one\"\n", &format!("name = \"one\"\n{sources}\n"));
    let holds = async |text: &str, count: usize| {
        std::fs::write(site.folder.path("new"), text).unwrap();
        std::fs::rename(site.folder.path("new"), site.folder.config()).unwrap();
        site.daemon().signal(Signal::HUP);
        eventually("it holds", async || site.events("daemon.reloaded").get(count).cloned()).await
    };
    let told = holds(&with, 0).await;
    assert_eq!(told["agents_changed"], "one", "{told:#}");
    // What was there before is history; so it is waited for until the source is known.
    eventually("the file is followed", async || {
        write(&site, "s.jsonl", &[dated(&lines::overload(), 0)]);
        (!site.failures("one").await.is_empty()).then_some(())
    })
    .await;
    holds(&text, 1).await;
    let before: u64 = site.failures("one").await.iter().map(|failure| failure["count"].as_u64().unwrap()).sum();
    write(&site, "s.jsonl", &[dated(&lines::limit(3600), 0)]);
    // It is read when the source is back, and not before.
    holds(&with, 2).await;
    moved(&site, 2).await;
    let failures = site.failures("one").await;
    let overloads = failures.iter().filter(|failure| failure["kind"] == "overload");
    let counted: u64 = overloads.map(|failure| failure["count"].as_u64().unwrap()).sum();
    assert!(counted >= before, "{failures:#?}");
    assert_eq!(site.starts("one").len(), 2, "once at the start, once for the switch");
    let mut site = site;
    site.stop().await;
}

#[tokio::test]
async fn what_comes_in_by_standard_input_is_read_and_its_end_is_no_trouble() {
    let mut site = site("sources = [{ stdin = true }]");
    let pipe = site.folder.path("stdin");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    site.start().await;
    site.serving("one").await;
    writeln!(writer, "{}\n{}", lines::chatter(1), lines::limit(3600)).unwrap();
    moved(&site, 2).await;
    // The last line has no end.
    write!(writer, "{}", lines::overload()).unwrap();
    drop(writer);
    recorded(&site, "overload", 1).await;
    assert_eq!(site.agent("one").await["log_trouble"], Value::Null);
    assert_eq!(site.events("log.unreadable").len() + site.events("log.gap").len(), 0);
    let metrics = site.call("GET", "/metrics", None).await.text;
    assert!(metrics.contains("switchman_log_lines_total{source=\"stdin\"} 3"), "{metrics}");
    site.stop().await;
}

/// A file in flood waits for its reader; nobody else waits for the flood.
#[tokio::test]
async fn a_flood_starves_nobody() {
    let mut site = started(SESSIONS).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let path = session(&site, "flood.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let is_over = std::sync::Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let piece = format!("{}\n{}\n", lines::chatter(1), dated(&lines::overload(), 0)).repeat(200);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let mut written = 0_u64;
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) && written < 64 << 20 {
            file.write_all(piece.as_bytes()).unwrap();
            written += u64::try_from(piece.len()).unwrap();
        }
    });
    recorded_some(&site).await;
    for _ in 0..50 {
        // Far more than it takes, and far less than if it waited for the flood.
        let asked = tokio::time::timeout(Duration::from_secs(2), site.call("GET", "/healthz", None)).await;
        assert_eq!(asked.expect("an answer in the flood").status, 200);
        let report = json!({"kind": "overload"});
        let reported = tokio::time::timeout(Duration::from_secs(5), site.report("one", &report)).await;
        assert_eq!(reported.expect("an answer in the flood").status, 200);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    flood.join().unwrap();
    site.stop().await;
}

async fn recorded_some(site: &Site) {
    eventually("the flood is read", async || (!site.failures("one").await.is_empty()).then_some(())).await;
}
