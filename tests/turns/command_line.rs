//! Turns by the command line: what scripts rely on. Whatever is refused ends with 3, and says why.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::callers::{Held, done, now, waiting};
use crate::setup::Setup;
use crate::site::{Printed, Site};
use crate::stage::{Ground, Stage};

async fn one(lines: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\n{lines}");
    Stage::set(Ground::Children, setup).await
}

/// What `turn begin` printed: the turn, and the file that proves that it is ours.
async fn begun(site: &Site, words: &[&str]) -> (String, PathBuf) {
    let printed = site.cli(&[&["turn", "begin", "one"], words].concat()).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{printed:?}");
    let line = printed.stdout.strip_suffix('\n').unwrap();
    let (turn, token) = line.split_once(' ').unwrap_or_else(|| panic!("{printed:?}"));
    assert!(!token.contains([' ', '\n']), "{printed:?}");
    let file = site.folder.path(&format!("lease-{turn}"));
    std::fs::write(&file, &printed.stdout).unwrap();
    (turn.to_owned(), file)
}

/// Something that only the holder may do.
async fn act(site: &Site, verb: &str, turn: &str, lease: &std::path::Path, words: &[&str]) -> Printed {
    let lease = lease.to_str().unwrap();
    site.cli(&[&["turn", verb, turn, "--lease-file", lease], words].concat()).await
}

fn went_well(printed: &Printed) -> &str {
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{printed:?}");
    printed.stdout.as_str()
}

/// Refused, with this reason in the problem that a program reads; and with words for people.
async fn refused(site: &Site, words: &[&str], code: &str) -> Value {
    let told = site.cli(words).await;
    assert_eq!((told.code, told.stdout.as_str()), (3, ""), "{words:?}: {told:?}");
    assert!(!told.stderr.is_empty(), "{words:?}");
    let printed = site.cli(&[&["--json"], words].concat()).await;
    assert_eq!((printed.code, printed.stdout.as_str()), (3, ""), "{words:?}: {printed:?}");
    let problem: Value = serde_json::from_str(&printed.stderr).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    assert_eq!(problem["code"], code, "{words:?}: {problem:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(told.stderr.contains(detail), "{words:?}: {told:?}");
    problem
}

#[tokio::test]
async fn a_script_begins_keeps_and_ends_a_turn() {
    let stage = one("").await;
    let site = &stage.site;
    let (turn, lease) = begun(site, &["--session", "chat", "--holder", "a script"]).await;
    assert!(went_well(&act(site, "heartbeat", &turn, &lease, &[]).await).starts_with("held"));
    let listed = site.cli(&["--json", "turn", "list", "one"]).await;
    let listed: Value = serde_json::from_str(went_well(&listed)).unwrap();
    let seen = (&listed["turns"][0]["id"], &listed["turns"][0]["holder"], &listed["turns"][0]["state"]);
    assert_eq!(seen, (&json!(turn), &json!("a script"), &json!("taken")), "{listed:#}");
    let table = site.cli(&["turn", "list"]).await;
    for part in ["chat", "a script", turn.as_str()] {
        assert!(went_well(&table).contains(part), "{table:?}");
    }
    assert!(went_well(&act(site, "complete", &turn, &lease, &[]).await).contains("complete"));

    let (turn, lease) = begun(site, &["--session", "y", "--session", "x", "--class", "background"]).await;
    act(site, "heartbeat", &turn, &lease, &[]).await;
    assert_eq!(site.turns("one").await[0]["session"], json!(["x", "y"]));
    assert!(went_well(&site.cli(&["turn", "cancel", &turn, "--by", "me", "--reason", "lunch"]).await).contains(&turn));
    let asked = act(site, "heartbeat", &turn, &lease, &["--wait", "1m"]).await;
    assert!(went_well(&asked).starts_with("cancel: me"), "{asked:?}");
    assert!(went_well(&act(site, "cancelled", &turn, &lease, &[]).await).contains("cancelled"));

    let (turn, lease) = begun(site, &["--session", "chat", "--queue", "--wait", "1m"]).await;
    act(site, "heartbeat", &turn, &lease, &[]).await;
    let ended = act(site, "complete", &turn, &lease, &["--kind", "rate_limit"]).await;
    assert!(went_well(&ended).contains("failed") && ended.stdout.contains("switch"), "{ended:?}");
    site.event("switch.completed", |event| event["generation"] == 2).await;
    let ended = site.cli(&["turn", "list", "one", "--ended"]).await;
    for part in ["complete", "cancelled", "failed"] {
        assert!(went_well(&ended).contains(part), "{ended:?}");
    }
}

#[tokio::test]
async fn row2_whatever_is_refused_ends_with_three_and_says_why() {
    let stage = one("").await;
    let site = &stage.site;
    let (turn, lease) = begun(site, &["--session", "quiz", "--holder", "q1"]).await;
    act(site, "heartbeat", &turn, &lease, &[]).await;
    let wrong = site.folder.path("wrong");
    std::fs::write(&wrong, "one-t1 AAAA\n").unwrap();
    let (file, wrong) = (lease.to_str().unwrap(), wrong.to_str().unwrap());
    let begin = ["turn", "begin", "one", "--session", "quiz"];

    let problem = refused(site, &begin, "turn_in_progress").await;
    assert_eq!((&problem["turn"], &problem["holder"]), (&json!(turn), &json!("q1")), "{problem:#}");
    refused(site, &[&begin[..], &["--queue", "--wait", "1s"]].concat(), "wait_expired").await;
    refused(site, &[&begin[..], &["--after", &turn]].concat(), "out_of_step").await;
    refused(site, &["turn", "complete", &turn, "--lease-file", wrong], "not_the_holder").await;
    refused(site, &["turn", "cancelled", &turn, "--lease-file", file], "no_cancel_requested").await;
    refused(site, &["turn", "heartbeat", "one-t99", "--lease-file", file], "turn_not_found").await;
    went_well(&act(site, "complete", &turn, &lease, &[]).await);
    for verb in ["heartbeat", "complete", "cancelled"] {
        let problem = refused(site, &["turn", verb, &turn, "--lease-file", file], "turn_already_complete").await;
        assert_eq!(problem["state"], "complete", "{problem:#}");
    }
    refused(site, &["turn", "cancel", &turn], "turn_already_complete").await;

    let (turn, lease) = begun(site, &["--session", "quiz", "--after", &turn]).await;
    act(site, "heartbeat", &turn, &lease, &[]).await;
    went_well(&site.cli(&["report", "one", "--kind", "rate_limit", "--turn", &turn]).await);
    let done = site.event("switch.completed", |event| event["generation"] == 2).await;
    let file = lease.to_str().unwrap();
    let problem = refused(site, &["turn", "complete", &turn, "--lease-file", file], "turn_cut_off").await;
    assert_eq!(problem["switch"], done["switch"], "{problem:#}");

    went_well(&site.cli(&["turn", "close", "one", "quiz"]).await);
    refused(site, &begin, "session_complete").await;
    went_well(&site.cli(&["cooldown", "set", "a", "--for", "1h"]).await);
    went_well(&site.cli(&["report", "one", "--kind", "rate_limit", "--generation", "2"]).await);
    refused(site, &["turn", "begin", "one", "--session", "other"], "agent_exhausted").await;
}

/// An operator's way to free a session that nobody will free.
#[tokio::test]
async fn an_operator_fences_a_turn() {
    let stage = one("turns = { lease = \"1s\", fence = \"none\" }\n").await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    site.event("turn.lost", |event| event["turn"] == dead.id).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let listed = site.cli(&["turn", "list", "one"]).await;
    assert!(went_well(&listed).contains("lost"), "{listed:?}");
    went_well(&site.cli(&["turn", "fence", &dead.id]).await);
    let next: Held = waits.served().await;
    site.beat(&next).await;
    done(&site.act(&next, "complete", Some(&json!({"result": "ok"}))).await);
    let history = site.cli(&["history", "one"]).await;
    assert!(went_well(&history).contains("fence"), "{history:?}");
    stage.started("one", 2).await;
}

/// Without a token nothing is asked for.
#[tokio::test]
async fn who_has_no_token_is_told_where_it_belongs() {
    let stage = one("").await;
    let site = &stage.site;
    let (turn, _) = begun(site, &["--session", "chat"]).await;
    let told = site.cli(&["turn", "heartbeat", &turn]).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.stderr.contains("SWITCHMAN_LEASE"), "{told:?}");
    let told = site.cli(&["turn", "begin", "nobody", "--session", "chat"]).await;
    assert_eq!(told.code, 1, "{told:?}");
}
