//! Containers: whoever is not concerned is not touched, and whoever is, once.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harbour::{Harbour, docker};
use crate::lines::limit;
use crate::program::eventually;
use crate::setup::{Setup, SubscriptionSetup};
use crate::{changed, holds, put, text, told};

/// The harbour's setup with these subscriptions only.
fn only(harbour: &Harbour, subscriptions: &[&str]) -> Setup {
    let named = |one: &&SubscriptionSetup| subscriptions.contains(&one.name.as_str());
    let left = harbour.setup.subscriptions.iter().filter(named).cloned().collect();
    Setup { subscriptions: left, ..harbour.setup.clone() }
}

async fn is_on(harbour: &Harbour, agent: &str, subscription: &str, generation: u64) {
    eventually(&format!("{agent} serves on {subscription}"), async || {
        let now = harbour.site.serving(agent).await;
        let assignment = &now["assignment"];
        (assignment["subscription"] == subscription && assignment["generation"] == generation).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_does_not_concern_a_container_does_not_touch_it() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one", "two"])).await;
    let lives = (harbour.life("one").await, harbour.life("two").await);
    // Nothing has changed at all.
    harbour.site.daemon().signal(Signal::HUP);
    // Only what nobody reads.
    let commented = format!("# a comment\n{}", text(&harbour.site, &harbour.setup));
    let comment = holds(&harbour.site, &commented).await;
    assert_eq!((&comment["agents_changed"], &comment["subscriptions_changed"]), (&Value::Null, &Value::Null));
    // The other agent, and a subscription that nobody may use but by name.
    harbour.setup.agents[1].lines = "stop_grace = \"1s\"\ndrain = \"7s\"\nsubscriptions = [\"a\", \"b\"]\n".to_owned();
    harbour.setup.agents[0].lines = "stop_grace = \"1s\"\nsubscriptions = [\"a\", \"b\"]\n".to_owned();
    let other = changed(&harbour.site, &harbour.setup).await;
    assert_eq!(other["agents_changed"], "two", "{other:#}");
    assert_eq!(told(&harbour.site, "daemon.reloaded"), 2);
    harbour.all_are_kept().await;
    // Nor does a restart of the daemon with all that.
    harbour.close().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    assert_eq!((harbour.life("one").await, harbour.life("two").await), lives);
    for agent in ["one", "two"] {
        assert_eq!(harbour.site.serving(agent).await["assignment"]["generation"], 1);
        harbour.started(agent, 1).await;
    }
}

#[tokio::test]
async fn a_subscription_that_goes_moves_its_agents_once_each_and_no_other() {
    let mut harbour = Harbour::prepare(Setup::new(&["a", "b", "c"], &["one", "two", "other"]), |_, _| {}).await;
    let of_b = harbour.site.folder.credential("b");
    crate::setup::write_secret(&harbour.site.folder.home("other").join("credential"), &of_b);
    harbour.start_all().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;
    let others_life = harbour.life("other").await;
    let told_of = changed(&harbour.site, &only(&harbour, &["b", "c"])).await;
    assert_eq!(told_of["subscriptions_removed"], "a");
    for agent in ["one", "two"] {
        let done = harbour.moved(agent, 2).await;
        assert_eq!((&done["cause"], &done["from"]), (&json!("reload"), &json!("a")));
        assert_ne!(done["to"], "a");
    }
    harbour.all_are_kept().await;
    // Back again it is nobody's, and everybody stays.
    changed(&harbour.site, &harbour.setup).await;
    harbour.all_are_kept().await;
    harbour.close().await;
    for agent in ["one", "two"] {
        harbour.started(agent, 2).await;
    }
    assert_eq!(harbour.life("other").await, others_life);
}

#[tokio::test]
async fn with_nowhere_to_go_it_says_so_keeps_running_and_goes_on_when_there_is_somewhere() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    let life = harbour.life("one").await;
    let mut full = only(&harbour, &["b"]);
    full.agents[0].lines = "stop_grace = \"1s\"\nsubscriptions = [\"b\"]\n".to_owned();
    let cooled = json!({"for": "1h"});
    let path = "/v1/subscriptions/b/cooldown";
    assert!(harbour.site.call("PUT", path, Some(&cooled)).await.status < 300);
    changed(&harbour.site, &full).await;
    harbour.site.event("agent.exhausted", |event| event["agent"] == "one").await;
    assert_eq!(harbour.life("one").await, life);
    assert!(harbour.site.call("DELETE", path, None).await.status < 300);
    harbour.moved("one", 2).await;
    is_on(&harbour, "one", "b", 2).await;
    harbour.close().await;
    harbour.started("one", 2).await;
}

#[tokio::test]
async fn a_target_that_goes_while_turns_end_is_replaced_inside_the_same_drain() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b", "c"], &["one"])).await;
    let begun = json!({"session": "chat", "holder": "a test"});
    let turn = harbour.site.call("POST", "/v1/agents/one/turns", Some(&begun)).await;
    assert_eq!(turn.status, 201, "{}", turn.text);
    let report = harbour.site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(report.body["switch"]["to"], "b", "{}", report.text);
    changed(&harbour.site, &only(&harbour, &["a", "c"])).await;
    let cancelled = harbour.site.event("switch.cancelled", |event| event["generation"] == 2).await;
    assert_eq!(cancelled["to"], "b");
    let done = harbour.moved("one", 3).await;
    assert_eq!(done["to"], "c");
    is_on(&harbour, "one", "c", 3).await;
    harbour.close().await;
    harbour.started("one", 2).await;
}

#[tokio::test]
async fn a_target_that_goes_after_the_delivery_is_finished_and_then_left() {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.agents[0].lines = "stop_grace = \"4s\"\n".to_owned();
    let mut harbour = Harbour::open(setup).await;
    harbour.site.tell("one", "ignore-term").await;
    harbour.print("one", &[limit(3600)]).await;
    // The restart takes its four seconds now.
    eventually("the credential is in place", async || {
        (harbour.delivered("one") == harbour.site.folder.credential("b")).then_some(())
    })
    .await;
    let told_of = changed(&harbour.site, &only(&harbour, &["a", "c"])).await;
    assert_eq!(told_of["subscriptions_removed"], "b");
    assert_eq!(harbour.site.agent("one").await["phase"], "applying", "it was in time");
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    let left = harbour.moved("one", 3).await;
    assert_eq!((&left["to"], &left["cause"]), (&json!("c"), &json!("reload")));
    is_on(&harbour, "one", "c", 3).await;
    harbour.close().await;
    harbour.started("one", 3).await;
}

#[tokio::test]
async fn a_container_comes_goes_and_comes_back_as_the_same_agent_untouched() {
    let harbour = Harbour::prepare(Setup::new(&["a", "b"], &["one", "two"]), |_, _| {}).await;
    let mut harbour = harbour;
    let mut one = harbour.setup.clone();
    one.agents.pop();
    put(&harbour.site, &text(&harbour.site, &one));
    harbour.start_all().await;
    let life = harbour.life("two").await;
    harbour.site.start().await;
    harbour.site.serving("one").await;
    assert_eq!(harbour.site.call("GET", "/v1/agents/two", None).await.status, 404);

    assert_eq!(changed(&harbour.site, &harbour.setup).await["agents_added"], "two");
    harbour.site.event("agent.adopted", |event| event["agent"] == "two").await;
    harbour.followed("two").await;
    assert_eq!(changed(&harbour.site, &one).await["agents_removed"], "two");
    eventually("it is gone", async || {
        (harbour.site.call("GET", "/v1/agents/two", None).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(harbour.life("two").await, life, "its container is left alone");
    // What it prints now is nobody's business, and is read when it comes back.
    harbour.print("two", &[limit(3600)]).await;
    changed(&harbour.site, &harbour.setup).await;
    let done = harbour.moved("two", 2).await;
    assert_eq!((&done["from"], &done["to"]), (&json!("a"), &json!("b")), "{done:#}");
    harbour.close().await;
    harbour.started("one", 1).await;
    harbour.started("two", 2).await;
}

#[tokio::test]
async fn a_daemon_without_containers_takes_its_first_one_up() {
    let mut harbour = Harbour::prepare(Setup::new(&["a", "b"], &["one"]), |_, _| {}).await;
    let mut children = Setup { docker: harbour.setup.docker.clone(), ..Setup::new(&["a", "b"], &["child"]) };
    put(&harbour.site, &text(&harbour.site, &children));
    std::fs::create_dir_all(harbour.site.folder.home("child")).unwrap();
    harbour.start_all().await;
    harbour.site.start().await;
    harbour.site.serving("child").await;
    children.agents.extend(harbour.setup.agents.clone());
    changed(&harbour.site, &children).await;
    harbour.site.event("agent.adopted", |event| event["agent"] == "one").await;
    // Its events are followed as well.
    docker(&["kill", harbour.container("one")]).await;
    harbour.site.event("agent.ended", |event| event["agent"] == "one").await;
    harbour.close().await;
}
