//! What labels say: wrong, hostile, or something else than the config.

use serde_json::{Value, json};

use crate::image::LABEL;
use crate::program::eventually;
use crate::quay::{BY_LABEL, DEFAULTS, Quay};

const MINE: &str = "[[agent]]\nname = \"mine\"\ncontainer = \"mine\"\n";

fn about(problems: &[Value], container: &str) -> Vec<(String, bool)> {
    let of_it = problems.iter().filter(|problem| problem["container"] == container);
    of_it
        .map(|problem| {
            let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
            (format!("{}: {}", text("label"), text("reason")), problem["left_out"].as_bool().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn what_is_wrong_is_shown_until_it_is_mended_and_the_others_go_on() {
    let mut quay = Quay::new(BY_LABEL, &format!("{DEFAULTS}{MINE}")).await;
    quay.run("mine", &[("switchman.enable", "true"), ("switchman.agent", "yours"), ("switchman.tool", "codex")]).await;
    quay.run("fine", &[("switchman.enable", "true"), ("switchman.subscriptions", "b,a")]).await;
    quay.run("odd", &[("switchman.enable", "true"), ("switchman.tol", "codex")]).await;
    let shadow = [("switchman.enable", "true"), ("switchman.delivery.file", "/etc/shadow")];
    quay.run("hostile", &shadow).await;
    quay.run("taker", &[("switchman.enable", "true"), ("switchman.agent", "mine")]).await;
    let home = quay.home("fine").join("credential").display().to_string();
    quay.run("thief", &[("switchman.enable", "true"), ("switchman.delivery.file", &home)]).await;
    quay.site.start().await;
    quay.has_agents(&["fine", "mine"]).await;
    quay.is_on("fine", "a", 1).await;
    quay.is_on("mine", "a", 1).await;

    let problems = quay.problems().await;
    let says = |said: &str, is: &str| format!("it says \"{said}\", and the config says otherwise: {is}");
    assert_eq!(
        about(&problems, "mine"),
        [
            (format!("switchman.agent: {}", says("yours", "agent \"mine\"")), false),
            (format!("switchman.tool: {}", says("codex", "claude-code")), false)
        ]
    );
    assert_eq!(about(&problems, "odd"), [("switchman.tol: unknown label".to_owned(), true)]);
    let hostile = "switchman.delivery.file: /etc/shadow is a place of the system".to_owned();
    assert_eq!(about(&problems, "hostile"), [(hostile, true)]);
    let taken = "switchman.agent: agent \"mine\" is container \"mine\" already".to_owned();
    assert_eq!(about(&problems, "taker"), [(taken, true)]);
    let stolen = format!("switchman.delivery.file: {home} is not in a folder that the container mounts");
    assert_eq!(about(&problems, "thief"), [(stolen, true)]);
    let status = quay.site.cli(&["status"]).await;
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(
        status.stdout.contains("container odd, label switchman.tol: unknown label (left out)"),
        "{}",
        status.stdout
    );
    assert!(status.stdout.contains("    hint: did you mean switchman.tool?"), "{}", status.stdout);
    let document: Value = serde_json::from_str(&quay.site.cli(&["--json", "status"]).await.stdout).unwrap();
    let shown = document["container_problems"].as_array().unwrap().iter();
    assert_eq!(shown.filter(|problem| problem["label"] != LABEL).cloned().collect::<Vec<_>>(), problems);

    quay.engine.remove("odd").await;
    quay.run("odd", &[("switchman.enable", "true"), ("switchman.drain", "3s")]).await;
    quay.has_agents(&["fine", "mine", "odd"]).await;
    eventually("what was mended is not shown any more", async || {
        about(&quay.problems().await, "odd").is_empty().then_some(())
    })
    .await;
    let mut told = quay.site.events("container.refused");
    told.retain(|event| event["label"] != LABEL);
    assert_eq!(told.len(), problems.len(), "each is told once: {told:#?}");
    assert!(told.iter().all(|event| event["container"].is_string() && event["reason"].is_string()), "{told:#?}");
}

#[tokio::test]
async fn whoever_is_an_agent_stays_it_when_another_container_wants_its_name() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.run("web", &[("switchman.enable", "true"), ("switchman.agent", "reviewer")]).await;
    quay.site.start().await;
    quay.is_on("reviewer", "a", 1).await;
    let life = quay.life("web").await;
    quay.run("aaa", &[("switchman.enable", "true"), ("switchman.agent", "reviewer")]).await;
    let refused = quay.site.event("container.refused", |event| event["container"] == "aaa").await;
    assert_eq!((&refused["label"], &refused["is_left_out"]), (&json!("switchman.agent"), &json!(true)), "{refused:#}");
    quay.has_agents(&["reviewer"]).await;
    // The one that is it is made anew, and is younger than the other now.
    quay.engine.remove("web").await;
    quay.run("web", &[("switchman.enable", "true"), ("switchman.agent", "reviewer")]).await;
    let again = quay.life("web").await;
    assert_ne!(again, life);
    eventually("it is the container that it was", async || {
        let now = quay.site.agent("reviewer").await;
        (now["runtime"]["id"] == again.0.as_str()).then_some(())
    })
    .await;
    assert_eq!(quay.site.events("agent.gone"), [json!(null); 0]);
}
