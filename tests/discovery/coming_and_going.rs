//! Containers appear, go, are renamed and made anew; and nothing of that restarts anybody.

use serde_json::json;

use crate::program::eventually;
use crate::quay::{BY_LABEL, DEFAULTS, Quay};

const ENABLED: &[(&str, &str)] = &[("switchman.enable", "true")];
const WORKERS: &str = "[[agent]]\ncontainer = \"worker-*\"\ntool = \"claude-code\"\nstop_grace = \"1s\"\n\
    delivery = { file = \"@HOMES@/{name}/credential\" }\n";

#[tokio::test]
async fn one_label_makes_an_agent_that_is_moved_and_goes_and_is_the_same_when_it_comes_back() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.site.start().await;
    quay.run("other", &[]).await;
    quay.run("web", ENABLED).await;
    let life = quay.life("web").await;
    let told = quay.discovered("web").await;
    assert_eq!((&told["container"], &told["source"]), (&json!("web"), &json!("labels")), "{told:#}");
    quay.is_on("web", "a", 1).await;
    assert_eq!(quay.life("web").await, life, "it was not restarted");
    quay.moves("web", 1).await;
    assert_ne!(quay.life("web").await, life);

    quay.engine.remove("web").await;
    quay.gone("web").await;
    quay.has_agents(&[]).await;
    assert_eq!(quay.site.call("GET", "/v1/agents/web", None).await.status, 404);
    assert_eq!(quay.site.get("/v1/switches?agent=web").await["switches"].as_array().unwrap().len(), 1, "history stays");

    quay.run("web", ENABLED).await;
    let life = quay.life("web").await;
    quay.has_agents(&["web"]).await;
    quay.is_on("web", "b", 2).await;
    assert_eq!(quay.life("web").await, life);
    assert_eq!(quay.problems().await, [json!(null); 0]);
}

#[tokio::test]
async fn twenty_at_once_are_kept_through_restarts_of_the_daemon_and_none_is_restarted() {
    let mut quay = Quay::new("", WORKERS).await;
    let workers: Vec<String> = (0..20).map(|number| format!("worker-{number:02}")).collect();
    for worker in &workers {
        quay.make(worker, &[]).await;
    }
    quay.site.start().await;
    let started = workers.iter().map(|worker| quay.engine.client.start_container(worker, None));
    for done in futures_util::future::join_all(started).await {
        done.unwrap();
    }
    for worker in &workers {
        quay.is_on(worker, "a", 1).await;
    }
    let lives = quay.lives(&workers).await;
    quay.moves("worker-07", 1).await;
    let moved = quay.life("worker-07").await;

    assert!(quay.site.stop().await.success());
    quay.site.start().await;
    let ready = quay.site.event("daemon.ready", |_| true).await;
    assert_eq!(ready["agents"], 20, "those that are there are found before it is ready: {ready:#}");
    quay.site.kill().await;
    quay.site.start().await;
    for worker in &workers {
        if worker == "worker-07" {
            quay.is_on(worker, "b", 2).await;
        } else {
            quay.is_on(worker, "a", 1).await;
        }
    }
    let mut expected = lives;
    expected.insert("worker-07".to_owned(), moved);
    assert_eq!(quay.lives(&workers).await, expected, "one switch, and nobody else was restarted");
    assert_eq!(quay.site.events("agent.gone"), [json!(null); 0]);
}

#[tokio::test]
async fn a_container_made_anew_is_the_same_agent_and_a_renamed_one_another() {
    let mut quay = Quay::new("", WORKERS).await;
    quay.run("worker-1", &[]).await;
    quay.run("worker-2", &[]).await;
    quay.site.start().await;
    quay.is_on("worker-1", "a", 1).await;
    quay.moves("worker-1", 1).await;
    let paused = quay.site.call("POST", "/v1/agents/worker-1/pause", None).await;
    assert_eq!(paused.status, 200, "{}", paused.text);

    let before = quay.life("worker-1").await;
    quay.engine.remove("worker-1").await;
    eventually("it is seen to be missing", async || {
        (quay.site.agent("worker-1").await["runtime"]["state"] == "missing").then_some(())
    })
    .await;
    quay.run("worker-1", &[]).await;
    quay.is_on("worker-1", "b", 2).await;
    assert_ne!(quay.life("worker-1").await.0, before.0);
    assert_eq!(quay.site.agent("worker-1").await["paused"], true, "it is the same agent");

    let life = quay.life("worker-2").await;
    quay.engine.rename("worker-2", "worker-3").await;
    quay.gone("worker-2").await;
    quay.discovered("worker-3").await;
    quay.has_agents(&["worker-1", "worker-3"]).await;
    assert_eq!(quay.life("worker-3").await, life, "a new name is no reason to restart");
    let gone = quay.site.events("agent.gone");
    assert_eq!(gone.len(), 1, "only who was renamed: {gone:#?}");
}

#[tokio::test]
async fn what_the_file_says_of_discovery_can_change_while_the_daemon_runs() {
    let mut quay = Quay::new("", &format!("{DEFAULTS}[[agent]]\nname = \"mine\"\ncontainer = \"mine\"\n")).await;
    quay.run("web", ENABLED).await;
    quay.run("worker-1", &[]).await;
    quay.site.start().await;
    quay.has_agents(&["mine"]).await;
    let lives = quay.lives(&["web".to_owned(), "worker-1".to_owned()]).await;
    quay.rewrite(|text| text.replace("[docker]\n", "[docker]\ndiscover = true\n"));
    quay.has_agents(&["mine", "web"]).await;
    quay.is_on("web", "a", 1).await;
    quay.rewrite(|text| format!("{text}\n{WORKERS}"));
    quay.has_agents(&["mine", "web", "worker-1"]).await;
    quay.rewrite(|text| text.replace("discover = true\n", "discover = false\n"));
    quay.gone("web").await;
    quay.has_agents(&["mine", "worker-1"]).await;
    assert_eq!(quay.lives(&["web".to_owned(), "worker-1".to_owned()]).await, lives);
}

#[tokio::test]
async fn who_is_an_agent_stays_it_when_the_daemon_comes_back() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.site.start().await;
    quay.run("web", &[("switchman.enable", "true"), ("switchman.agent", "alice")]).await;
    quay.is_on("alice", "a", 1).await;
    let id = quay.site.agent("alice").await["runtime"]["id"].clone();
    eventually("its log has been read", async || quay.has_read_the_log_of("alice").then_some(())).await;
    assert!(quay.site.stop().await.success());

    // Called so, it would be the agent if nobody had been it before.
    quay.run("alice", ENABLED).await;
    quay.site.start().await;
    quay.is_on("alice", "a", 1).await;
    assert_eq!(quay.site.agent("alice").await["runtime"]["id"], id);
    let problems = quay.problems().await;
    assert_eq!((problems.len(), &problems[0]["container"]), (1, &json!("alice")), "{problems:#?}");
}
