//! S14 with a container: a report that is sent again under its id is answered as it was, whatever has happened since,
//! and moves nobody.

use serde_json::{Value, json};

use crate::dock::{Dock, ONE};

async fn send(dock: &Dock, report: &Value) -> Value {
    let answer = dock.site.report(ONE, report).await;
    assert!(answer.status < 300, "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn s14_a_report_that_is_sent_again_is_answered_as_before_and_restarts_nothing() {
    let mut dock = Dock::running().await;
    let report = json!({"id": "once", "kind": "rate_limit", "generation": 1});
    let first = send(&dock, &report).await;
    assert_eq!((&first["outcome"], &first["duplicate"]), (&json!("switching"), &json!(false)), "{first:#}");
    let mut again = first.clone();
    again["duplicate"] = json!(true);

    assert_eq!(send(&dock, &report).await, again, "while it switches");
    dock.completed(2).await;
    dock.site.serving(ONE).await;
    dock.started(2).await;
    let after = dock.seen().await;
    assert_eq!(send(&dock, &report).await, again, "when it has switched");
    assert!(dock.site.stop().await.success());
    dock.site.start().await;
    assert_eq!(send(&dock, &report).await, again, "in the next life of the daemon");
    dock.site.kill().await;
    dock.site.start().await;
    assert_eq!(send(&dock, &report).await, again, "after a kill");

    let mut other = report.clone();
    other["kind"] = json!("auth");
    let refused = dock.site.report(ONE, &other).await;
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("id_reused")), "{}", refused.text);
    dock.site.serving(ONE).await;
    assert_eq!(dock.seen().await, after);
    dock.started(2).await;
    dock.only_switch("ready", 1).await;
    assert_eq!(dock.site.failures(ONE).await.len(), 1);
}
