//! Notifications with the real binary: every kind of target, targets that misbehave, and what is told when.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/processes.rs"]
mod processes;
#[path = "rig/program.rs"]
mod program;
#[path = "notices/receiver.rs"]
mod receiver;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::program::eventually;
use crate::receiver::{Behaviour, Receiver};
use crate::setup::{Setup, write_secret};
use crate::site::Site;

const AT_ONCE: &str = "wait_out = \"0s\"\njitter = \"0s\"\n";
/// Stands for everything that must be seen nowhere.
const CANARY: &str = "canary-of-notices";

/// Two subscriptions, one agent, and these sections besides the webhook of the rig.
async fn site_with(sections: &str) -> Site {
    let mut setup = Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE);
    sections.clone_into(&mut setup.sections);
    let mut site = Site::new(setup);
    site.start().await;
    site.serving("one").await;
    site
}

fn limit(generation: u64) -> Value {
    json!({"kind": "rate_limit", "generation": generation, "retry_after_s": 3600})
}

/// A failure moves the agent; resolves when it runs again.
async fn switched(site: &Site, generation: u64) {
    let answer = site.call("POST", "/v1/agents/one/failures?wait=60", Some(&limit(generation))).await;
    assert_eq!(answer.body["outcome"], "switched", "{}", answer.text);
}

async fn counted(site: &Site, target: &str, outcome: &str) -> u64 {
    let metrics = site.call("GET", "/metrics", None).await.text;
    let labels = format!("outcome=\"{outcome}\"");
    let lines = metrics.lines().filter(|line| line.starts_with("switchman_notifications_total"));
    let lines = lines.filter(|line| line.contains(target) && line.contains(&labels));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What was read of the daemon must not hold it.
async fn shows_no_canary(site: &Site) {
    let mut seen = site.log().text();
    for arguments in
        [&["status", "--json"][..], &["check", "--resolve"], &["notify", "test", "--json"], &["explain", "one"]]
    {
        let printed = site.cli(arguments).await;
        seen.push_str(&printed.stdout);
        seen.push_str(&printed.stderr);
    }
    seen.push_str(&site.call("GET", "/metrics", None).await.text);
    seen.push_str(&site.log().text());
    assert!(!seen.contains(CANARY), "{seen}");
}

fn script(site: &std::path::Path, name: &str, text: &str) -> String {
    let path = site.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn every_kind_of_target_is_told_of_a_switch_and_no_secret_is_seen() {
    let (ntfy, hook) = (Receiver::listen(Behaviour::Takes), Receiver::listen(Behaviour::Takes));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, CANARY);
    let heard = folder.path().join("heard");
    let tell = script(
        folder.path(),
        "tell",
        &format!(
            "tr '\\0' ' ' < /proc/$$/cmdline >> {0}; cat >> {0}; echo \" $SWITCHMAN_EVENT\" >> {0}",
            heard.display()
        ),
    );
    let sections = format!(
        "[[notify]]\nntfy = \"{}/topic-{CANARY}\"\ntoken = {{ file = {token:?} }}\nevents = [\"switch\"]\n\
         [[notify]]\nwebhook = \"{}/x?key={CANARY}\"\ntemplate = \"{{agent}} is on {{subscription}}\"\nevents = [\"switch\"]\n\
         [[notify]]\ncommand = [{tell:?}]\nevents = [\"switch\"]\n",
        ntfy.url(),
        hook.url(),
    );
    let mut site = site_with(&sections).await;
    switched(&site, 1).await;
    let told = ntfy.taken(1).await.remove(0);
    assert!(told.head.contains(&format!("POST /topic-{CANARY} ")), "{told:?}");
    assert!(told.head.to_lowercase().contains(&format!("authorization: bearer {CANARY}")), "{told:?}");
    assert!(told.body.starts_with("one moved from a to b after rate_limit and runs again"), "{told:?}");
    assert_eq!(hook.taken(1).await[0].body, "one is on b");
    let heard = eventually("the command was told", async || {
        std::fs::read_to_string(&heard).ok().filter(|text| text.ends_with(" switch\n"))
    });
    let heard = heard.await;
    let (arguments, message) = heard.split_once('{').unwrap();
    assert!(!arguments.contains("one") && message.contains("\"agent\":\"one\""), "{heard}");
    let told = site.hook.notified("the switch", |told| told["event"] == "switch").await;
    assert_eq!((&told["severity"], &told["action"], &told["over"]), (&json!("info"), &Value::Null, &json!(false)));
    shows_no_canary(&site).await;
    assert!(site.stop().await.success());
}

#[tokio::test]
async fn g11_a_slow_a_dead_and_a_hanging_target_delay_nobody_but_themselves() {
    let (silent, refusing) = (Receiver::listen(Behaviour::Silent), Receiver::listen(Behaviour::Answers("500 No")));
    let folder = tempfile::tempdir().unwrap();
    let hang = script(folder.path(), "hang", "exec sleep 1000");
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sections = format!(
        "[[notify]]\nwebhook = \"{}/{CANARY}\"\n[[notify]]\nwebhook = \"{}/{CANARY}\"\n[[notify]]\nntfy = \"http://{dead}/{CANARY}\"\n\
         [[notify]]\ncommand = [{hang:?}]\n",
        silent.url(),
        refusing.url(),
    );
    let mut site = site_with(&sections).await;
    switched(&site, 1).await;
    site.hook.notified("the switch", |told| told["event"] == "switch").await;
    // The others have not got through, and are tried again.
    refusing.taken(2).await;
    site.event("notification.failed", |event| {
        event["outcome"] == "retried" && event["reason"].to_string().contains("500")
    })
    .await;
    assert_eq!(counted(&site, "", "given_up").await, 0);
    let sent = counted(&site, "", "sent").await;
    assert_eq!(sent, 1, "only the webhook of the rig took it");
    assert!(!site.log().text().contains(CANARY));
    assert!(site.stop().await.success());
}

#[tokio::test]
async fn a_trouble_is_told_once_with_its_end_however_often_it_comes_back_also_over_a_restart() {
    let mut site = site_with("").await;
    switched(&site, 1).await;
    assert_eq!(site.report("one", &limit(2)).await.body["outcome"], "exhausted");
    let told = site.hook.notified("nobody left", |told| told["event"] == "exhausted").await;
    assert_eq!(told["severity"], "warning", "{told:#}");
    assert!(told["text"].as_str().unwrap().starts_with("one has no subscription left and waits"), "{told:#}");
    assert!(told["action"].as_str().unwrap().contains("switchman explain one"), "{told:#}");
    assert!(site.stop().await.success());

    site.start().await;
    site.cli(&["cooldown", "clear", "b"]).await;
    site.hook.notified("it goes on", |told| told["event"] == "woken").await;
    site.serving("one").await;
    // And again and again, within the quiet time.
    for _ in 0..3 {
        assert_eq!(site.report("one", &limit(2)).await.body["outcome"], "exhausted");
        site.cli(&["cooldown", "clear", "b"]).await;
        site.serving("one").await;
    }
    eventually("all were judged", async || (counted(&site, "", "merged").await == 3).then_some(())).await;
    assert_eq!(counted(&site, "", "waits").await, 3);
    assert_eq!((site.hook.ids("exhausted").len(), site.hook.ids("woken").len()), (1, 1));
    assert!(site.stop().await.success());
}

#[tokio::test]
async fn what_is_beyond_the_cap_waits_and_what_is_critical_does_not() {
    let few = Receiver::listen(Behaviour::Takes);
    let sections = format!("[[notify]]\nwebhook = \"{}/\"\nper_hour = 1\n", few.url());
    let mut site = site_with(&sections).await;
    switched(&site, 1).await;
    few.taken(1).await;
    for (to, generation) in [("a", 3), ("b", 4)] {
        let moved = site.cli(&["switch", "one", "--to", to, "--force", "--wait"]).await;
        assert_eq!(moved.code, 0, "{moved:?}");
        site.hook.notified("it moved", |told| told["event"] == "switch" && told["generation"] == generation).await;
    }
    eventually("both were counted", async || (counted(&site, "", "gathered").await == 2).then_some(())).await;
    assert_eq!(few.taken(1).await.len(), 1);
    assert!(site.stop().await.success());
}

#[tokio::test]
async fn notify_test_says_what_came_back_from_each_target() {
    let good = Receiver::listen(Behaviour::Takes);
    let mut site = site_with(&format!("[[notify]]\nntfy = \"{}/t-{CANARY}\"\n", good.url())).await;
    let tested = site.cli(&["notify", "test"]).await;
    assert_eq!(tested.code, 0, "{tested:?}");
    assert_eq!(tested.stdout.lines().filter(|line| line.starts_with("ok http://127.0.0.1:")).count(), 2, "{tested:?}");
    let told = good.taken(1).await.remove(0);
    assert!(told.head.contains("switchman: test") && told.body.starts_with("this is a test"), "{told:?}");
    site.hook.notified("the test", |told| told["event"] == "test").await;
    let one = site.cli(&["notify", "test", &good.url(), "--json"]).await;
    let document: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!((one.code, document["targets"].as_array().unwrap().len()), (0, 1), "{one:?}");
    assert_eq!(document["targets"][0]["answer"], "it answered 200");
    let none = site.cli(&["notify", "test", "https://nowhere"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{none:?}");
    shows_no_canary(&site).await;
    assert!(site.stop().await.success());

    let bad = Receiver::listen(Behaviour::Answers("302 Found\r\nlocation: http://127.0.0.1:9/"));
    let mut site = site_with(&format!("[[notify]]\nwebhook = \"{}/{CANARY}\"\n", bad.url())).await;
    let tested = site.cli(&["notify", "test"]).await;
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(tested.stdout.contains("failed http://") && tested.stdout.contains("it answered 302"), "{tested:?}");
    assert!(tested.stderr.contains("1 of 2 targets"), "{tested:?}");
    shows_no_canary(&site).await;
    assert!(site.stop().await.success());
}
