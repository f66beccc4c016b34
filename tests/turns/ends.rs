//! Every turn ends once, and every end is told: in the history, in the log, and by the metrics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::callers::{Held, done, in_background, now};
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

/// What the metrics say under this name, by its labels.
async fn metric(site: &Site, name: &str) -> BTreeMap<String, u64> {
    let text = site.call("GET", "/metrics", None).await.text;
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines.filter_map(|rest| rest.strip_prefix('{').unwrap_or(rest).rsplit_once(' '));
    values.map(|(labels, value)| (labels.trim_end_matches('}').to_owned(), value.parse().unwrap())).collect()
}

/// One turn for each way to end, with the way that it ended.
async fn one_of_each(stage: &Stage) -> Vec<(Held, &'static str)> {
    let site = &stage.site;
    let complete = site.taken("one", &now("s1", "h1")).await;
    site.complete(&complete, "ok").await;
    let failed = site.taken("one", &in_background(now("s1", "h2"))).await;
    site.complete(&failed, "failed").await;
    let cancelled = site.taken("one", &now("s1", "h3")).await;
    site.cancel(&cancelled).await;
    done(&site.act(&cancelled, "cancelled", None).await);
    // Its caller goes away with the answer on its way, as far as anybody can tell: it is never taken.
    let lapsed = Held::of(&site.begin("one", &now("s2", "h4")).await);
    site.event("turn.completed", |event| event["turn"] == lapsed.id && event["end"] == "lapsed").await;
    let cut_off = site.taken("one", &in_background(now("s3", "h5"))).await;
    site.report("one", &json!({"kind": "rate_limit", "turn": cut_off.id})).await;
    site.event("switch.completed", |event| event["generation"] == 2).await;
    vec![(complete, "complete"), (failed, "failed"), (cancelled, "cancelled"), (lapsed, "lapsed"), (cut_off, "cut_off")]
}

#[tokio::test]
async fn every_end_is_told_once_in_the_history_the_log_and_the_metrics() {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].lines = "stop_grace = \"1s\"\n".to_owned();
    let mut stage = Stage::set(Ground::Children, setup).await;
    let ended = one_of_each(&stage).await;
    let site = &stage.site;
    let active = site.taken("one", &now("s4", "h6")).await;

    let counted = metric(site, "switchman_turns_total").await;
    let of = |class: &str, end: &str| format!("class=\"{class}\",end=\"{end}\"");
    let expected = [
        (of("background", "cut_off"), 1),
        (of("background", "failed"), 1),
        (of("interactive", "cancelled"), 1),
        (of("interactive", "complete"), 1),
        (of("interactive", "lapsed"), 1),
    ];
    assert_eq!(counted, expected.into());
    assert_eq!(metric(site, "switchman_turns_cut_off_total").await, [(String::new(), 1)].into());
    assert_eq!(metric(site, "switchman_turns_active").await["class=\"interactive\""], 1);
    let waits = metric(site, "switchman_turn_wait_seconds_count").await;
    assert_eq!(waits, [("class=\"background\"".to_owned(), 2), ("class=\"interactive\"".to_owned(), 4)].into());

    // What is under way comes with the listing of turns, what has ended with its history; nothing with both.
    let listed = site.get("/v1/turns?agent=one").await;
    assert_eq!(listed["turns"].as_array().unwrap().len(), 1);
    assert_eq!(listed["turns"][0]["id"], active.id);
    let states = |history: &Value| -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let turns = history["turns"].as_array().unwrap();
        turns.iter().map(|turn| (text(&turn["id"]), text(&turn["state"]))).collect()
    };
    let expected: BTreeMap<String, String> =
        ended.iter().map(|(held, state)| (held.id.clone(), (*state).to_owned())).collect();
    let history = site.get("/v1/turns?agent=one&ended=true").await;
    assert_eq!((states(&history), history["turns"].as_array().unwrap().len()), (expected.clone(), ended.len()));
    for (held, state) in &ended {
        let turn = site.get(&format!("/v1/turns/{}", held.id)).await;
        assert_eq!((&turn["state"], &turn["holder"]), (&json!(state), &held.turn["holder"]), "{turn:#}");
        let mut told = site.told("one", "turn.completed").await;
        told.extend(site.told("one", "turn.cut_off").await);
        told.retain(|event| event["turn"] == held.id);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0]["end"].as_str().unwrap_or("cut_off"), *state);
    }
    // The turn that ended with the daemon's child ends once as well, and what had ended stays as it was.
    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let site = &stage.site;
    let mut expected = expected;
    expected.insert(active.id.clone(), "cut_off".to_owned());
    assert_eq!(states(&site.get("/v1/turns?agent=one&ended=true").await), expected);
    assert_eq!(site.get("/v1/turns?agent=one").await["turns"], json!([]));
    assert_eq!(site.told("one", "turn.cut_off").await.iter().filter(|event| event["turn"] == active.id).count(), 1);
}
