//! S12 and the lives of the daemon: one at a time, no start on what is unsafe or damaged, an orderly end whenever it
//! is asked for.

use std::os::unix::fs::PermissionsExt;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::eventually;
use crate::setup::{Setup, SubscriptionSetup};
use crate::site::Site;
use crate::stage::{Ground, Stage};

#[tokio::test]
async fn s12_a_second_daemon_names_the_first_and_after_its_kill_a_new_one_starts_at_once() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await;
    let holder = stage.site.daemon().pid();
    let second = stage.site.cli(&["run"]).await;
    assert_eq!(second.code, 75, "{second:?}");
    assert!(second.stderr.contains(&holder.to_string()), "{second:?}");
    // The first one never noticed.
    assert_eq!(stage.site.agent("one").await["phase"], "serving");
    assert_eq!(stage.site.processes().len(), 1);

    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let processes = stage.site.processes();
    assert_eq!(processes.len(), 1, "{processes:?}");
    assert_eq!(processes[0].variable("SWITCHMAN_GENERATION"), "1");
    assert_eq!(stage.site.switches("one").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_credential_that_others_may_read_is_refused_at_the_start() {
    let site = Site::new(Setup::new(&["a", "b"], &["one"]));
    let file = site.folder.credential_file("b");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = site.cli(&["run"]).await;
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.stderr.contains("chmod 600") && refused.stderr.contains("0644"), "{refused:?}");
    assert!(!site.folder.database().exists(), "nothing was begun");
}

#[tokio::test]
async fn a_config_with_errors_is_refused_with_all_of_them() {
    let site = Site::new(Setup::new(&["a"], &["one"]).switching("colldown = \"2h\"\nbudget = 3\n"));
    let refused = site.cli(&["run"]).await;
    assert_eq!(refused.code, 78, "{refused:?}");
    for part in ["colldown", "budget"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
}

#[tokio::test]
async fn one_credential_that_cannot_be_read_leaves_the_others_to_pick_from() {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.subscriptions[1] =
        SubscriptionSetup { name: "b".to_owned(), reference: Some("{ file = \"/nonexistent/b\" }".to_owned()) };
    let stage = Stage::set(Ground::Children, setup).await;
    let explained = stage.site.cli(&["--json", "explain", "one"]).await;
    assert_eq!(explained.code, 0, "{explained:?}");
    let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
    let b = explained["subscriptions"].as_array().unwrap().iter().find(|candidate| candidate["subscription"] == "b");
    let b = b.unwrap_or_else(|| panic!("{explained:#}"));
    assert!(b.to_string().contains("unreadable"), "{b:#}");
    let credential = &stage.site.subscription("b").await["credential"];
    assert_eq!(credential["readable"], false);

    let answer = stage.burst("one", 1, 1).await.remove(0);
    assert_eq!(answer.body["switch"]["to"], "c", "{}", answer.text);
    let done = stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&done["to"], &done["outcome"]), (&json!("c"), &json!("ready")));
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await;
    assert!(stage.site.stop().await.success());
    let path = stage.site.folder.database();
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 2048].fill(0xa5);
    bytes[100..1000].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    let refused = stage.site.cli(&["run"]).await;
    assert_eq!(refused.code, 74, "{refused:?}");
    assert!(refused.stderr.contains(&path.display().to_string()), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn told_to_stop_within_a_switch_it_ends_in_time_and_the_next_life_completes_the_switch() {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    "stop_grace = \"8s\"\n".clone_into(&mut setup.agents[0].lines);
    let mut stage = Stage::set(Ground::Children, setup).await;
    stage.site.tell("one", "ignore-term").await;
    let answer = stage.burst("one", 1, 1).await.remove(0);
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    let started = stage.site.event("switch.drained", |event| event["generation"] == 2).await;
    stage.site.daemon().signal(Signal::TERM);
    assert!(stage.site.exited().await.success());
    assert_eq!(stage.site.processes(), []);

    stage.site.start().await;
    let now = stage.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    let switches = stage.site.switches("one").await;
    assert_eq!(switches.len(), 1, "{switches:#?}");
    assert_eq!((&switches[0]["id"], &switches[0]["outcome"]), (&started["switch"], &json!("ready")));
    let processes = stage.site.processes();
    assert_eq!(processes.len(), 1, "{processes:?}");
    assert_eq!(processes[0].variable("SWITCHMAN_GENERATION"), "2");
    stage.site.hook.notified("the switch", |notification| notification["event"] == "switch").await;
    assert!(stage.site.stop().await.success());
    // Told at least once: a daemon that ends right after handing it over hands it over again, under the same id.
    let mut told = stage.site.hook.ids("switch");
    assert!(told.len() <= 2, "{told:?}");
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

/// However the stop goes about: the owner of the agent ends at the same time.
#[tokio::test]
async fn whoever_waits_for_a_turn_is_told_that_the_daemon_stops() {
    const WAITING: usize = 300;
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one"])).await;
    let site = &stage.site;
    let begun = site.cli(&["turn", "begin", "one", "--session", "s"]).await;
    let lease = site.folder.path("lease");
    std::fs::write(&lease, &begun.stdout).unwrap();
    let taken = site.cli(&["turn", "heartbeat", "one-t1", "--lease-file", lease.to_str().unwrap()]).await;
    assert_eq!(taken.code, 0, "{begun:?} {taken:?}");
    let (socket, body) = (site.folder.socket(), json!({"session": "s", "on_busy": "queue", "wait_s": 3600}));
    let callers = (0..WAITING).map(|_| {
        let (socket, body) = (socket.clone(), body.clone());
        tokio::spawn(async move { crate::http::call(&socket, "POST", "/v1/agents/one/turns", &[], Some(&body)).await })
    });
    let callers: Vec<_> = callers.collect();
    eventually("everybody waits", async || (site.agent("one").await["turns"]["queued"] == WAITING).then_some(())).await;
    assert!(stage.site.stop().await.success());
    for answered in join_all(callers).await {
        let answered = answered.unwrap().expect("an answer");
        assert_eq!((answered.status, &answered.body["code"]), (503, &json!("stopping")), "{}", answered.text);
    }
}
