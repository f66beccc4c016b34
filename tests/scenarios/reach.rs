//! S22: an agent's own word reaches no further than itself, until somebody else says the same.

use serde_json::{Value, json};

use crate::setup::Setup;
use crate::site::Site;

/// Three agents that all run on `a`, with another subscription to go to.
async fn three_on_a() -> Site {
    let names = ["one", "two", "three"];
    let everything = Setup::new(&["a", "b"], &names);
    let mut only_a = everything.clone();
    only_a.agents.iter_mut().for_each(|agent| agent.lines.push_str("subscriptions = [\"a\"]\n"));
    let mut site = Site::new(only_a);
    site.start().await;
    for name in names {
        site.serving(name).await;
    }
    assert!(site.stop().await.success());
    site.folder.lay_out(&everything, &site.hook.url());
    site.start().await;
    for name in names {
        assert_eq!(site.serving(name).await["assignment"]["subscription"], "a");
    }
    site
}

fn cooling_for(subscription: &Value) -> Vec<&str> {
    subscription["cooling_for"].as_object().unwrap().keys().map(String::as_str).collect()
}

const OWN_WORD: &str = r#"{"kind": "rate_limit", "generation": 1, "reporter": "agent"}"#;

#[tokio::test]
async fn s22_an_agents_own_word_moves_that_agent_and_a_second_one_makes_it_cool() {
    let site = three_on_a().await;
    let own_word: Value = serde_json::from_str(OWN_WORD).unwrap();
    let answer = site.report("one", &own_word).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    site.event("switch.completed", |event| event["agent"] == "one" && event["generation"] == 2).await;
    site.event("subscription.suspect", |event| event["subscription"] == "a" && event["agent"] == "one").await;
    let a = site.subscription("a").await;
    assert_eq!((&a["suspect"], &a["cooldown"]), (&json!(true), &json!(null)), "{a:#}");
    assert_eq!(cooling_for(&a), ["one"]);
    for stays in ["two", "three"] {
        let now = site.agent(stays).await;
        assert_eq!((&now["phase"], &now["assignment"]["subscription"]), (&json!("serving"), &json!("a")), "{now:#}");
        assert_eq!(site.switches(stays).await, Vec::<Value>::new());
    }

    let answer = site.report("two", &own_word).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    site.event("switch.completed", |event| event["agent"] == "two" && event["generation"] == 2).await;
    let a = site.subscription("a").await;
    assert!(!a["cooldown"].is_null() && a["eligible"] == false, "{a:#}");
    // Who stays until it fails itself is not moved by what others say.
    let three = site.agent("three").await;
    assert_eq!((&three["phase"], &three["assignment"]["generation"]), (&json!("serving"), &json!(1)), "{three:#}");
}

#[tokio::test]
async fn s22_a_trusted_reporters_word_makes_it_cool_for_everyone() {
    let site = three_on_a().await;
    let answer = site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    site.event("switch.completed", |event| event["agent"] == "one" && event["generation"] == 2).await;
    let a = site.subscription("a").await;
    assert_eq!(
        (&a["suspect"], a["cooldown"].is_null(), &a["eligible"]),
        (&json!(false), false, &json!(false)),
        "{a:#}"
    );
    assert_eq!(cooling_for(&a), Vec::<&str>::new());
    for stays in ["two", "three"] {
        assert_eq!(site.agent(stays).await["assignment"]["generation"], 1);
    }
}
