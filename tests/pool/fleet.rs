//! S4, S22 and F3 with hours in between: many agents, and what others said.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::stage::{BIT, HOUR, NOON, Stage};

#[tokio::test]
async fn s4_a_fleet_that_leaves_spreads_and_nobody_goes_back_by_itself() {
    let names: Vec<String> = (1..=20).map(|number| format!("agent-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stage = Stage::begin(&["a", "b", "c", "d", "e"], &names, NOON, "UTC").await;
    let mut on_a = Vec::new();
    for name in &names {
        if stage.on(name).await == "a" {
            on_a.push(*name);
        }
    }
    assert_eq!(on_a.len(), 4, "they are spread from the beginning");
    let report = json!({"kind": "rate_limit", "scope": "five_hour", "generation": 1, "retry_after_s": 18_000});
    let answers = join_all(on_a.iter().flat_map(|name| (0..3).map(|_| stage.site.report(name, &report)))).await;
    let switching = answers.iter().filter(|answer| answer.body["outcome"] == "switching").count();
    assert_eq!(switching, on_a.len(), "{answers:#?}");
    for name in &on_a {
        stage.site.event("switch.completed", |event| event["agent"] == *name && event["generation"] == 2).await;
    }
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for name in &names {
        *spread.entry(stage.on(name).await).or_default() += 1;
    }
    assert_eq!(spread, ["b", "c", "d", "e"].map(|name| (name.to_owned(), 5)).into());
    for failure in stage.site.failures("").await {
        assert_eq!(failure["subscription"], "a", "{failure:#}");
    }
    stage.calendar.forward(HOUR * 5 + BIT);
    assert!(stage.is_eligible("a").await);
    for name in &names {
        assert_ne!(stage.on(name).await, "a", "there is no failback");
    }
    let moves = join_all(names.iter().map(|name| stage.site.switches(name))).await;
    assert_eq!(moves.iter().map(Vec::len).sum::<usize>(), on_a.len());
}

#[tokio::test]
async fn f3_a_fleet_with_nobody_left_wakes_at_the_reset_each_of_it_once() {
    let names = ["one", "two", "three", "four"];
    let mut stage = Stage::begin(&["a", "b"], &names, NOON, "UTC").await;
    // Whoever is on `a` moves to `b`, and there nobody is left for anybody.
    for subscription in ["a", "b"] {
        for name in names {
            if stage.on(name).await == subscription {
                let expected = if subscription == "a" { "switched" } else { "exhausted" };
                let after = if subscription == "a" { HOUR * 4 } else { HOUR * 2 };
                assert_eq!(stage.limit(name, Some(after)).await, expected, "{name}");
            }
        }
    }
    let before = join_all(names.iter().map(|name| stage.site.switches(name))).await;
    stage.calendar.forward(HOUR * 2 + BIT * 5);
    for name in names {
        stage.woken(name).await;
        assert_eq!(stage.on(name).await, "b", "its own reset came first: nobody is restarted");
    }
    let after = join_all(names.iter().map(|name| stage.site.switches(name))).await;
    assert_eq!(after, before);
    assert_eq!(stage.site.events("agent.woken").len(), names.len());
}

#[tokio::test]
async fn s22_an_own_word_reaches_no_further_and_ends() {
    let mut stage = Stage::begin(&["a", "b"], &["one", "two", "three"], NOON, "UTC").await;
    let on_a: Vec<&str> = {
        let mut on_a = Vec::new();
        for name in ["one", "two", "three"] {
            if stage.on(name).await == "a" {
                on_a.push(name);
            }
        }
        on_a
    };
    let [first, other] = on_a[..] else { panic!("two of three are on a: {on_a:?}") };
    let word = json!({"kind": "rate_limit", "generation": 1, "reporter": "agent"});
    assert_eq!(stage.site.report(first, &word).await.body["outcome"], "switching");
    stage.moved(first, "b", 2).await;
    let a = stage.site.subscription("a").await;
    assert_eq!((&a["suspect"], &a["cooldown"]), (&json!(true), &json!(null)), "{a:#}");
    let stays = stage.site.agent(other).await;
    assert_eq!((&stays["phase"], &stays["assignment"]["generation"]), (&json!("serving"), &json!(1)), "{stays:#}");
    stage.calendar.forward(HOUR * 2 + BIT * 5);
    let a = stage.site.subscription("a").await;
    assert_eq!((&a["suspect"], &a["cooling_for"]), (&json!(false), &json!({})), "{a:#}");
    assert_eq!((stage.on(first).await.as_str(), stage.on(other).await.as_str()), ("b", "a"));
}
