//! Every outcome of a report, with its status and what goes with it.

use switchman::domain::AgentName;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::machine::policy::Budget;
use switchman::ports::delivery::DeliveryError;
use switchman::ports::runtime::Readiness;

use super::rig::{Rig, reached};

const LIMIT: &str = r#"{"kind":"rate_limit","subscription":"a","generation":1}"#;

fn said(status: u16, outcome: &str) -> (u16, String) {
    (status, outcome.to_owned())
}

#[tokio::test]
async fn a_switch_begins_is_repeated_and_leaves_stale_reports_behind() {
    let rig = Rig::one().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    let first = rig.report(LIMIT).await;
    assert_eq!(first.outcome(), said(202, "switching"));
    let document = first.json();
    assert_eq!(document["failure"], "one-f1");
    assert_eq!(document["duplicate"], false);
    assert_eq!(
        document["switch"],
        serde_json::json!({"id": "one-s1", "from": "a", "to": "b", "generation": 2, "outcome": "under_way"})
    );
    reached(&gate).await;
    assert_eq!(rig.report(LIMIT).await.outcome(), said(200, "repeat"));
    let held = rig.report(r#"{"kind":"rate_limit","generation":2}"#).await;
    assert_eq!(held.outcome(), said(202, "held"));
    assert_eq!(held.json()["subscription"], "b");
    gate.open();
    // The one that was held moves it on as soon as it can be judged.
    rig.settled("one", 3).await;
    assert_eq!(rig.report(LIMIT).await.outcome(), said(200, "stale"));
    assert_eq!(rig.report(r#"{"kind":"rate_limit"}"#).await.outcome(), said(200, "ambiguous"));
}

#[tokio::test]
async fn who_waits_is_told_how_the_switch_ended() {
    let rig = Rig::one().await;
    let reply = rig.post("/v1/agents/one/failures?wait=15", LIMIT).await;
    assert_eq!(reply.outcome(), said(200, "switched"));
    assert_eq!(reply.json()["switch"]["outcome"], "ready");
    assert_eq!(rig.state("one").generation().0, 2);

    rig.world.set_readiness(&"one".into(), Readiness::NotReady);
    let on_b = r#"{"kind":"rate_limit","generation":2}"#;
    let reply = rig.post("/v1/agents/one/failures?wait=15", on_b).await;
    assert_eq!(reply.outcome(), said(200, "switch_failed"));
    assert_eq!(reply.json()["switch"]["outcome"], "not_ready");
}

#[tokio::test]
async fn a_switch_that_cannot_be_made_is_told_to_who_waits() {
    let rig = Rig::one().await;
    let unfit = DeliveryError::Unfit { path: "/srv/one".to_owned(), why: "a directory".to_owned() };
    rig.world.on_delivery(&"one".into(), Call::Preflight, Fault::Fail(unfit));
    let reply = rig.post("/v1/agents/one/failures?wait=15", LIMIT).await;
    assert_eq!(reply.outcome(), said(200, "switch_failed"), "{reply:?}");
    assert_eq!(reply.json()["switch"]["outcome"], "failed");
    assert!(reply.json()["reason"].as_str().unwrap().contains("a directory"), "{reply:?}");
}

#[tokio::test]
async fn who_waits_too_short_gets_the_first_answer() {
    let rig = Rig::one().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    let reply = rig.post("/v1/agents/one/failures?wait=1", LIMIT).await;
    assert_eq!(reply.outcome(), said(202, "switching"));
    gate.open();
}

#[tokio::test]
async fn a_near_reset_is_waited_for() {
    let rig = Rig::one().await;
    let reply = rig.report(r#"{"kind":"rate_limit","retry_after_s":90}"#).await;
    assert_eq!(reply.outcome(), said(200, "waiting"));
    let document = reply.json();
    assert!((89..=90).contains(&document["retry_after_s"].as_u64().unwrap()), "{document}");
    assert!(document["earliest_reset"].as_str().unwrap().ends_with('Z'));
    assert_eq!(rig.get("/v1/agents/one").await.json()["reason"], "waiting");
}

#[tokio::test]
async fn a_paused_or_pinned_agent_is_only_recorded() {
    let rig = Rig::one().await;
    assert_eq!(rig.post("/v1/agents/one/pause", "").await.status, 200);
    let reply = rig.report(LIMIT).await;
    assert_eq!(reply.outcome(), said(200, "recorded"));
    assert_eq!(reply.json()["reason"], "the agent is paused");
}

#[tokio::test]
async fn a_kind_that_never_moves_is_ignored() {
    let rig = Rig::one().await;
    for kind in ["overload", "network", "killed", "request", "unknown"] {
        let reply = rig.report(&format!(r#"{{"kind":"{kind}","generation":1}}"#)).await;
        assert_eq!(reply.outcome(), said(200, "ignored"), "{kind}");
        assert_eq!(reply.json()["kind"], kind);
    }
}

#[tokio::test]
async fn with_nobody_left_the_earliest_reset_is_told() {
    let rig = Rig::new().agent("one", |policy| policy.subscriptions = vec!["a".into()]).start().await;
    let reply = rig.report(LIMIT).await;
    assert_eq!(reply.outcome(), said(200, "exhausted"));
    let document = reply.json();
    assert!((7190..=7200).contains(&document["retry_after_s"].as_u64().unwrap()), "{document}");
    let agent = rig.get("/v1/agents/one").await.json();
    assert_eq!((&agent["phase"], &agent["reason"]), (&"exhausted".into(), &"exhausted".into()));
    assert_eq!(agent["earliest_reset"], document["earliest_reset"]);
    assert!(agent["wake_at"].is_string());
}

#[tokio::test]
async fn a_budget_that_is_used_up_brakes() {
    let budget = Budget { switches: 1, per: std::time::Duration::from_secs(3600) };
    let rig = Rig::new().agent("one", |policy| policy.budget = budget).start().await;
    assert_eq!(rig.post("/v1/agents/one/failures?wait=15", LIMIT).await.outcome(), said(200, "switched"));
    let reply = rig.report(r#"{"kind":"rate_limit","generation":2}"#).await;
    assert_eq!(reply.outcome(), said(200, "braked"));
    assert!((3590..=3600).contains(&reply.json()["retry_after_s"].as_u64().unwrap()), "{reply:?}");
    let agent = rig.get("/v1/agents/one").await.json();
    assert_eq!(agent["reason"], "braked");
    assert_eq!(agent["budget"]["used"], 1);
    assert!(agent["budget"]["refills_at"].is_string());
}

#[tokio::test]
async fn a_full_intake_sheds_and_says_when_to_come_back() {
    let rig = Rig::new().agent("one", |_| {}).limits(|limits| limits.of_one_user = 512).start().await;
    // The first id loads those that the store remembers, which would wait for the commits.
    rig.report(r#"{"kind":"network","id":"first"}"#).await;
    rig.store.hold_commits();
    let reports = (0..400).map(|number| {
        let body = format!(r#"{{"kind":"rate_limit","generation":1,"id":"r{number}"}}"#);
        let rig = &rig;
        async move { rig.report(&body).await }
    });
    let answers = async { futures_util::future::join_all(reports).await };
    let release = async {
        // Those that are shed are counted at once; the others wait for their commit.
        let counted = |text: &str| {
            text.lines().any(|line| line.starts_with("switchman_intake_shed_total ") && !line.ends_with(" 0"))
        };
        while !counted(&rig.get("/metrics").await.text) {}
        rig.store.release_commits();
    };
    let (answers, ()) = tokio::join!(answers, release);
    let shed: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!shed.is_empty());
    for answer in &shed {
        assert_eq!(answer.problem(), (429, "shed".to_owned()));
        assert_eq!(answer.json()["outcome"], "shed");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let switching = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(switching, 1, "one burst, one switch");
}

#[tokio::test]
async fn evidence_is_classified_and_a_stated_kind_wins_over_it() {
    let rig = Rig::one().await;
    let killed = rig.report(r#"{"evidence":{"exit_code":137,"text":"unauthorized"}}"#).await;
    assert_eq!(killed.json()["kind"], "killed");
    assert_eq!(killed.outcome(), said(200, "ignored"));
    let by_number = rig.report(r#"{"evidence":{"signal":9,"oom":true,"headers":null}}"#).await;
    assert_eq!(by_number.json()["kind"], "killed");
    let stated = rig.report(r#"{"kind":"network","evidence":{"exit_code":137}}"#).await;
    assert_eq!(stated.json()["kind"], "network");
    let reason = stated.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("reported as network; the evidence says killed"), "{reason}");
}

#[tokio::test]
async fn text_by_the_main_socket_is_acted_on_and_what_is_only_repeated_there_is_not() {
    let rig = Rig::one().await;
    let logged = rig.report(r#"{"evidence":{"text":"2026-11-20T12:00:00.123Z ERROR: You've hit your limit"}}"#).await;
    assert_eq!((logged.outcome(), &logged.json()["kind"]), (said(200, "ignored"), &"rate_limit".into()));
    let reason = logged.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("it is only repeated there, and moves nobody"), "{reason}");
    let failures = rig.get("/v1/failures?agent=one").await.json();
    assert_eq!(failures["failures"][0]["reason"], reason.as_str(), "the history says why");
    let seen = rig.report(r#"{"evidence":{"text":"You've hit your limit"},"reporter":"agent"}"#).await;
    assert_eq!(seen.outcome(), said(202, "switching"));
}

#[tokio::test]
async fn text_of_an_agents_own_waits_unless_it_comes_with_the_end_of_its_process() {
    let rig = Rig::new().ourselves("us").start().await;
    rig.until("us", |state| state.sighting.as_ref().is_some_and(|seen| seen.instance.is_some())).await;
    let tell = async |evidence: &str| {
        rig.post("/v1/agents/us/failures", &format!(r#"{{"evidence":{{"text":"You've hit your limit"{evidence}}}}}"#))
            .await
    };
    let told = tell("").await;
    assert_eq!(told.outcome(), said(200, "uncorroborated"));
    assert!(told.json()["reason"].as_str().is_some_and(|why| why.contains("a second sign agrees within 2 min")));
    assert_eq!(tell("").await.outcome(), said(200, "uncorroborated"), "twice is once");
    assert_eq!(tell(r#","exit_code":137"#).await.outcome(), said(200, "ignored"), "a kill is no sign");
    let agent = rig.get("/v1/agents/us").await.json();
    assert_eq!(
        (&agent["uncorroborated"][0]["failure"], &agent["uncorroborated"][0]["kind"]),
        (&"us-f1".into(), &"rate_limit".into())
    );
    let gates = &rig.get("/v1/agents/us/explain").await.json()["gates"];
    assert_eq!(gates["uncorroborated"], agent["uncorroborated"]);
    let ended = tell(r#","exit_code":1"#).await;
    assert_ne!(ended.json()["outcome"], "uncorroborated", "{}", ended.json());
    let failures = rig.get("/v1/failures?agent=us").await.json();
    let first = failures["failures"].as_array().unwrap().last().unwrap().clone();
    assert!(
        first["reason"].as_str().is_some_and(|why| why.ends_with("it was reported in another way as well")),
        "{first}"
    );
}

#[tokio::test]
async fn what_an_agent_says_of_itself_cools_for_itself_only() {
    let rig = Rig::one().await;
    let reply = rig.report(r#"{"kind":"rate_limit","generation":1,"reporter":"agent"}"#).await;
    assert_eq!(reply.outcome(), said(202, "switching"));
    let all = rig.get("/v1/subscriptions").await.json();
    let a = &all["subscriptions"][0];
    assert_eq!((&a["name"], &a["cooldown"]), (&"a".into(), &serde_json::Value::Null));
    assert_eq!(a["suspect"], true);
    assert_eq!(a["cooling_for"]["one"]["source"], "agent");
    let failures = rig.get("/v1/failures?agent=one").await.json();
    assert_eq!(failures["failures"][0]["reporter"], "agent");
}

#[tokio::test]
async fn a_process_of_an_agent_speaks_for_that_agent_only() {
    let rig = Rig::new().agent("one", |_| {}).ourselves("us").start().await;
    rig.until("us", |state| state.sighting.as_ref().is_some_and(|seen| seen.instance.is_some())).await;
    let other = rig.report(r#"{"kind":"network"}"#).await;
    assert_eq!(other.problem(), (403, "not_this_agent".to_owned()));
    let own = rig.post("/v1/agents/us/failures", r#"{"kind":"network","reporter":"trusted"}"#).await;
    assert_eq!(own.outcome(), said(200, "ignored"));
    let failures = rig.get("/v1/failures?agent=us").await.json();
    assert_eq!(failures["failures"][0]["reporter"], "agent", "it cannot say that it is trusted");
    let sender = failures["failures"][0]["sender"].as_str().unwrap().to_owned();
    let (uid, pid) = (rustix::process::getuid().as_raw(), std::process::id());
    assert_eq!(sender, format!("uid {uid} pid {pid}"));
    assert!(rig.get("/v1/failures?agent=one").await.json()["failures"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_same_id_gets_the_first_answer_again_however_it_comes() {
    let rig = Rig::one().await;
    let body = r#"{"kind":"rate_limit","generation":1,"id":"x"}"#;
    // At the same time.
    let (one, two, three) = tokio::join!(rig.report(body), rig.report(body), rig.report(body));
    let documents = [one.json(), two.json(), three.json()];
    assert_eq!(documents.iter().filter(|document| document["duplicate"] == false).count(), 1, "{documents:?}");
    for document in &documents {
        assert_eq!(document["outcome"], "switching");
        assert_eq!(document["failure"], "one-f1");
    }
    // Later.
    rig.settled("one", 2).await;
    let again = rig.report(body).await;
    assert_eq!(again.outcome(), said(202, "switching"));
    assert_eq!(again.json()["duplicate"], true);
    assert_eq!(rig.world.starts_ordered(&AgentName::from("one")), 1);
    // Whoever waits on a repeat learns how it ended.
    let waited = rig.post("/v1/agents/one/failures?wait=15", body).await;
    assert_eq!(waited.outcome(), said(200, "switched"));
    // With another body, be it a space.
    let other = rig.report(&format!("{body} ")).await;
    assert_eq!(other.problem(), (422, "id_reused".to_owned()));
    assert_eq!(other.json()["member"], "id");
}
