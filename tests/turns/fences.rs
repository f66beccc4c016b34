//! The work of a holder that is lost is ended before its session goes on: by a restart, by a command, or by nobody but an
//! operator.

use serde_json::{Value, json};

use crate::callers::{Held, done, now, refused, waiting};
use crate::cancels::it_began_clean;
use crate::program::eventually;
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage, docker};

/// One agent whose holders are soon lost.
async fn impatient(ground: Ground, fence: &str, lines: &str, switching: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]).switching(switching);
    setup.agents[0].lines = format!(
        "stop_grace = \"1s\"\nturns = {{ lease = \"2s\"{} }}\n{lines}",
        if fence.is_empty() { String::new() } else { format!(", fence = {fence}") }
    );
    Stage::set(ground, setup).await
}

/// A holder gives heartbeats for as long as something else goes on. Each is answered before the lease is over.
async fn kept<T>(site: &Site, held: &Held, meanwhile: impl Future<Output = T>) -> T {
    let beating = async {
        let (path, headers) =
            (format!("/v1/turns/{}/heartbeat", held.id), [format!("Authorization: Lease {}", held.token)]);
        loop {
            let beaten = site.try_call_with("POST", &path, &headers, None).await.expect("an answer");
            assert_eq!(beaten.status, 200, "{}", beaten.text);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = meanwhile => done,
        () = beating => unreachable!(),
    }
}

/// A holder gives heartbeats until it is told that it was cut off; how it was told.
async fn cut_off(site: &Site, held: &Held) -> Value {
    eventually("the holder is told", async || {
        let beaten = site.act(held, "heartbeat", None).await;
        (beaten.status != 200).then(|| refused(&beaten, 409, "turn_cut_off"))
    })
    .await
}

/// Nothing is heard of the holder for a lease.
async fn a_dead_holder_is_fenced_and_the_next_one_served(ground: Ground) {
    let mut stage = impatient(ground, "", "", "").await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let lost = site.event("turn.lost", |event| event["turn"] == dead.id).await;
    assert_eq!((&lost["reason"], &lost["holder"]), (&json!("silent"), &json!("dead")));
    let fenced = site.event("turn.fenced", |event| event["turn"] == dead.id).await;
    assert_eq!((&fenced["generation"], &fenced["cause"]), (&json!(1), &json!("turn")), "{fenced:#}");
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
    stage.site.complete(&next, "ok").await;
    assert!(stage.site.stop().await.success());
}

#[tokio::test]
async fn s20_a_dead_holder_is_fenced_and_the_next_one_served() {
    a_dead_holder_is_fenced_and_the_next_one_served(Ground::Children).await;
}

#[tokio::test]
async fn s20_docker_a_dead_holder_is_fenced_and_the_next_one_served() {
    a_dead_holder_is_fenced_and_the_next_one_served(Ground::Containers).await;
}

/// The turn of another session has time to end; the fence waits for it.
#[tokio::test]
async fn h6_docker_a_fence_waits_for_the_turns_of_other_sessions() {
    let stage = impatient(Ground::Containers, "", "drain = \"60s\"\n", "").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("mail", "healthy")).await;
    let dead = site.taken("one", &now("chat", "dead")).await;
    kept(site, &healthy, site.event("turn.fenced", |event| event["turn"] == dead.id)).await;
    // Nobody is let in meanwhile, and who comes is told when to come again.
    let busy = kept(site, &healthy, site.begin("one", &now("cron", "x"))).await;
    refused(&busy, 409, "agent_switching");
    let waits = kept(site, &healthy, site.queue("one", &waiting("chat", "next"))).await;
    assert_eq!(stage.starts("one").await.len(), 1);
    site.complete(&healthy, "ok").await;
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
}

/// The turn of another session does not end in time: it is cut off, and told by which fence.
#[tokio::test]
async fn h6_docker_who_does_not_end_while_a_fence_drains_is_cut_off_and_told() {
    let stage = impatient(Ground::Containers, "", "drain = \"2s\"\n", "").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("mail", "healthy")).await;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let fenced = kept(site, &healthy, site.event("turn.fenced", |event| event["turn"] == dead.id)).await;
    let told = cut_off(site, &healthy).await;
    assert_eq!(told["switch"], fenced["switch"], "{told:#}");
    let done = site.event("fence.completed", |_| true).await;
    let seen = (&done["turns_cut_off"], &done["restarts"], &done["outcome"]);
    assert_eq!(seen, (&json!(2), &json!(1), &json!("ready")), "{done:#}");
    assert_eq!(site.history("one").await[0]["turns_cut_off"], 2);
    stage.started("one", 2).await;
}

/// A holder that is back before anything was done keeps its turn.
#[tokio::test]
async fn h2_a_holder_that_is_back_before_the_work_is_ended_keeps_its_turn() {
    let stage = impatient(Ground::Children, "", "drain = \"60s\"\n", "").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("mail", "healthy")).await;
    let silent = site.taken("one", &now("chat", "silent")).await;
    kept(site, &healthy, site.event("turn.fenced", |event| event["turn"] == silent.id)).await;
    kept(site, &silent, async {
        kept(site, &healthy, site.event("fence.completed", |event| event["outcome"] == "cancelled")).await;
        site.complete(&healthy, "ok").await;
    })
    .await;
    site.complete(&silent, "ok").await;
    assert_eq!(site.told("one", "turn.cut_off").await, Vec::<Value>::new());
    stage.started("one", 1).await;
}

#[tokio::test]
async fn h6_without_a_fence_the_session_is_blocked_until_an_operator_ends_it() {
    let stage = impatient(Ground::Children, "\"none\"", "", "").await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let other = site.taken("one", &now("mail", "other")).await;
    kept(site, &other, site.event("turn.lost", |event| event["turn"] == dead.id)).await;
    // Others go on; who wants this session is told who is in the way.
    site.complete(&other, "ok").await;
    let refusal = refused(&site.begin("one", &now("chat", "x")).await, 409, "turn_in_progress");
    assert_eq!((&refusal["turn"], &refusal["holder"]), (&json!(dead.id), &json!("dead")), "{refusal:#}");
    assert_eq!(site.get(&format!("/v1/turns/{}", dead.id)).await["state"], "lost");
    let another = site.taken("one", &now("mail", "another")).await;
    site.complete(&another, "ok").await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    assert_eq!(site.told("one", "turn.fenced").await, Vec::<Value>::new());
    // Unless it comes back, only a person can say that the work is to be ended.
    let fencing = site.call("POST", &format!("/v1/turns/{}/fence", dead.id), None).await;
    assert_eq!(fencing.status, 202, "{}", fencing.text);
    let fenced = site.event("turn.fenced", |event| event["turn"] == dead.id).await;
    assert_eq!(fenced["cause"], "operator", "{fenced:#}");
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
    let twice = site.call("POST", &format!("/v1/turns/{}/fence", dead.id), None).await;
    refused(&twice, 409, "turn_cut_off");
}

/// The command ends the work of that one session; the agent is not restarted, and the other session does not notice.
#[tokio::test]
async fn h6_docker_a_command_ends_the_work_of_one_session_and_nothing_else() {
    let write = "write /agent-home/ended";
    let fence = format!("{{ exec = [\"/agent\", \"--control\", \"/agent-home/control\", \"--tell\", \"{write} x\"] }}");
    let stage = impatient(Ground::Containers, &fence, "drain = \"60s\"\n", "").await;
    let site = &stage.site;
    let healthy = site.taken("one", &now("mail", "healthy")).await;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let waits = kept(site, &healthy, site.queue("one", &waiting("chat", "next"))).await;
    let next = kept(site, &healthy, waits.served()).await;
    kept(site, &healthy, site.beat(&next)).await;
    assert_eq!(std::fs::read_to_string(site.folder.home("one").join("ended")).unwrap(), "x");
    let fence = kept(site, &healthy, site.event("fence.completed", |_| true)).await;
    let seen = (&fence["turns_cut_off"], &fence["restarts"], &fence["outcome"], &fence["turn"]);
    assert_eq!(seen, (&json!(1), &json!(0), &json!("ready"), &json!(dead.id)), "{fence:#}");
    let cut_off = site.told("one", "turn.cut_off").await;
    assert_eq!(cut_off.len(), 1, "{cut_off:#?}");
    assert_eq!((&cut_off[0]["turn"], &cut_off[0]["switch"]), (&json!(dead.id), &fence["switch"]));
    site.complete(&next, "ok").await;
    site.complete(&healthy, "ok").await;
    refused(&site.act(&dead, "complete", Some(&json!({"result": "ok"}))).await, 409, "turn_cut_off");
    stage.started("one", 1).await;
}

/// What the command is told: whole arguments are the names, and nothing of them is run.
#[tokio::test]
async fn h6_a_command_is_told_which_session_turn_and_agent() {
    let fence = "{ exec = [\"/bin/sh\", \"-c\", \"printf '%s|' \\\"$@\\\" > \\\"$0\\\"\", \"FILE\", \"{session}\", \"{turn}\", \"{agent}\", \"x\"] }";
    let mut setup = Setup::new(&["a"], &["one"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let fence = fence.replace("FILE", &file.path().display().to_string());
    setup.agents[0].lines = format!("turns = {{ lease = \"2s\", fence = {fence} }}\n");
    let stage = Stage::set(Ground::Children, setup).await;
    let site = &stage.site;
    let name = "$(touch x); `y` \"z\" 'ü'";
    let dead = site.taken("one", &now(json!(["b", name]), "dead")).await;
    let fence = site.event("fence.completed", |_| true).await;
    assert_eq!((&fence["outcome"], &fence["restarts"]), (&json!("ready"), &json!(0)), "{fence:#}");
    let told = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(told, format!("{name},b|{}|one|x|", dead.id));
    stage.started("one", 1).await;
}

/// The command fails: the agent is restarted, which ends the work for certain.
#[tokio::test]
async fn h6_docker_a_command_that_fails_falls_back_to_a_restart() {
    let fence = "{ exec = [\"/agent\", \"--exists\", \"/nowhere\"] }";
    let stage = impatient(Ground::Containers, fence, "", "").await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
}

#[tokio::test]
async fn h6_fences_have_a_budget_of_their_own_and_an_operator_is_above_it() {
    let stage = impatient(Ground::Children, "", "", "budget = { switches = 1, per = \"1h\" }\n").await;
    let site = &stage.site;
    let first = site.taken("one", &now("chat", "first")).await;
    site.event("fence.completed", |event| event["turn"] == first.id).await;
    stage.site.serving("one").await;
    let second = site.taken("one", &now("chat", "second")).await;
    site.event("turn.lost", |event| event["turn"] == second.id).await;
    site.hook.notified("the budget is used up", |told| told["event"] == "braked").await;
    let blocked = refused(&site.begin("one", &now("chat", "x")).await, 409, "turn_in_progress");
    assert_eq!(blocked["turn"], second.id, "{blocked:#}");
    let third = site.taken("one", &now("mail", "third")).await;
    let ordered = site.call("POST", &format!("/v1/turns/{}/fence", second.id), None).await;
    assert_eq!(ordered.status, 202, "{}", ordered.text);
    kept(site, &third, async {
        site.event("turn.fenced", |event| event["turn"] == second.id).await;
    })
    .await;
    site.complete(&third, "ok").await;
    site.event("fence.completed", |event| event["turn"] == second.id).await;
    let moved = site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(moved.body["outcome"], "switching", "fences count for no budget of switches: {}", moved.text);
    let kinds: Vec<Value> = site.history("one").await.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["fence", "fence", "switch"]);
}

/// Nothing is done to an agent that is paused; when that is over it is.
#[tokio::test]
async fn h6_an_agent_that_is_paused_is_not_fenced_until_it_goes_on() {
    let stage = impatient(Ground::Children, "", "", "").await;
    let site = &stage.site;
    let dead = site.taken("one", &now("chat", "dead")).await;
    let paused = site.cli(&["pause", "one"]).await;
    assert_eq!(paused.code, 0, "{paused:?}");
    site.event("turn.lost", |event| event["turn"] == dead.id).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    assert_eq!(site.told("one", "turn.fenced").await, Vec::<Value>::new());
    let resumed = site.cli(&["resume", "one"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let next = waits.served().await;
    it_began_clean(&stage, &dead, &next).await;
}

#[tokio::test]
async fn h2_docker_who_worked_in_a_container_that_was_restarted_by_hand_is_told() {
    let stage = Stage::set(Ground::Containers, Setup::new(&["a", "b"], &["one"])).await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "holder")).await;
    let waits = site.queue("one", &waiting("chat", "next")).await;
    docker(&["restart", stage.container("one").unwrap()]).await;
    let told = cut_off(site, &held).await;
    assert_eq!(told["switch"], Value::Null, "it was no switch and no fence: {told:#}");
    // Whether its end or the next beginning was seen first.
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("restarted, not by switchman") || detail.contains("does not run any more"), "{told:#}");
    let next = waits.served().await;
    site.beat(&next).await;
    done(&site.act(&next, "complete", Some(&json!({"result": "ok"}))).await);
    assert_eq!(site.history("one").await, Vec::<Value>::new());
    stage.started("one", 2).await;
}
