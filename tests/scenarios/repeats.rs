//! S14: a report that is sent again gets its first answer again.

use serde_json::{Value, json};

use crate::setup::Setup;
use crate::stage::{Ground, Stage};

/// The answer as it was, but for the mark of a repeat.
fn as_repeat(mut answer: Value) -> Value {
    answer["duplicate"] = json!(true);
    answer
}

#[tokio::test]
async fn s14_the_same_id_gets_the_first_answer_also_after_a_restart() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one", "two"])).await;
    let report = json!({"id": "r-1", "kind": "rate_limit", "generation": 1});
    let first = stage.site.report("one", &report).await;
    assert_eq!((first.status, &first.body["outcome"]), (202, &json!("switching")), "{}", first.text);
    assert_eq!(first.body["duplicate"], false);
    let at_once = stage.site.report("one", &report).await;
    assert_eq!((at_once.status, at_once.body), (202, as_repeat(first.body.clone())));
    stage.site.event("switch.completed", |event| event["agent"] == "one" && event["generation"] == 2).await;
    let later = stage.site.report("one", &report).await;
    assert_eq!(later.body, as_repeat(first.body.clone()));

    let late = json!({"id": "r-2", "kind": "auth", "generation": 1});
    let second = stage.site.report("one", &late).await;
    assert_eq!((&second.body["outcome"], &second.body["duplicate"]), (&json!("stale"), &json!(false)));
    let ignored = stage.site.report("one", &json!({"id": "r-3", "kind": "overload"})).await;
    assert_eq!(ignored.body["outcome"], "ignored");

    for round in 0..2 {
        for (body, answer) in [(&report, &first.body), (&late, &second.body)] {
            assert_eq!(stage.site.report("one", body).await.body, as_repeat(answer.clone()), "round {round}");
        }
        for other in [
            json!({"id": "r-1", "kind": "auth", "generation": 1}),
            json!({"id": "r-3", "kind": "overload", "generation": 1}),
        ] {
            let refused = stage.site.report("one", &other).await;
            assert_eq!((refused.status, &refused.body["code"]), (422, &json!("id_reused")), "{}", refused.text);
        }
        if round == 0 {
            assert!(stage.site.stop().await.success());
            stage.site.start().await;
            stage.site.serving("one").await;
        }
    }
    assert_eq!(stage.site.switches("one").await.len(), 1);
    assert_eq!(stage.site.failures("one").await.len(), 3);

    // Ids belong to an agent.
    let two = stage.site.report("two", &json!({"id": "r-1", "kind": "overload"})).await;
    assert_eq!((&two.body["outcome"], &two.body["duplicate"]), (&json!("ignored"), &json!(false)), "{}", two.text);
}

#[tokio::test]
async fn s14_the_same_id_many_times_at_once_is_one_report() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await;
    let report = json!({"id": "r-1", "kind": "rate_limit", "generation": 1});
    let answers = futures_util::future::join_all((0..20).map(|_| stage.site.report("one", &report))).await;
    let first = answers.iter().filter(|answer| answer.body["duplicate"] == false).count();
    assert_eq!(first, 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.body["outcome"] == "switching"), "{answers:#?}");
    assert_eq!(stage.site.failures("one").await.len(), 1);
    stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!(stage.site.switches("one").await.len(), 1);
}
