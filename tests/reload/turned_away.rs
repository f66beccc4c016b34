//! Configs that are not taken over: each is told once, with everything that is wrong, and what runs goes on.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::eventually;
use crate::setup::Setup;
use crate::site::Site;
use crate::{holds, put, text, told};

async fn started() -> (Site, Setup) {
    let setup = Setup::new(&["a", "b"], &["one", "two"]);
    let mut site = Site::new(setup.clone());
    site.start().await;
    for agent in ["one", "two"] {
        site.serving(agent).await;
    }
    (site, setup)
}

/// What is said of what stands in the place of the config once this is done.
async fn rejected(site: &Site, act: impl FnOnce()) -> Value {
    let before = told(site, "config.rejected");
    act();
    site.daemon().signal(Signal::HUP);
    eventually("it is turned away", async || site.events("config.rejected").get(before).cloned()).await
}

/// Nothing was lost by it, and whoever asks is told that the file is not what runs.
async fn everything_goes_on(site: &Site, why: &str) {
    for agent in ["one", "two"] {
        assert_eq!(site.serving(agent).await["assignment"]["generation"], 1);
        assert_eq!(site.starts(agent).len(), 1);
    }
    let ready = site.get("/readyz").await;
    assert_eq!(ready["status"], "ready");
    let reason = ready["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("is not what runs") && reason.contains(why), "{ready:#}");
    // What is in the file's place may not say where the daemon is.
    let socket = site.folder.socket();
    let status = site.cli(&["--socket", socket.to_str().unwrap(), "status"]).await;
    assert!(status.code == 0 && status.stdout.contains("is not what runs"), "{status:?}");
}

#[tokio::test]
async fn every_problem_is_told_with_its_place_and_only_once() {
    let (site, setup) = started().await;
    let good = text(&site, &setup);
    let bad = good.replace("tool = \"claude-code\"", "tool = \"no-such-tool\"\ncolour = \"red\"");
    let told_of = rejected(&site, || put(&site, &bad)).await;
    let problems = site.events("config.problem");
    assert_eq!(told_of["count"], 4, "two agents, two errors each: {told_of:#}");
    assert_eq!(problems.len(), 4, "{problems:#?}");
    for problem in &problems {
        assert!(problem["line"].as_u64().unwrap() > 1 && problem["column"].as_u64().unwrap() > 0, "{problem:#}");
        assert_eq!(problem["severity"], "error");
    }
    assert!(problems.iter().any(|problem| problem["hint"].is_string()), "{problems:#?}");
    everything_goes_on(&site, "tool").await;

    // The same is not told again, however often it is asked for.
    for _ in 0..3 {
        site.daemon().signal(Signal::HUP);
    }
    rejected(&site, || put(&site, &good.replace("tool = \"claude-code\"", "tool = \"another\""))).await;
    assert_eq!(told(&site, "config.rejected"), 2);

    // What ran all the time is good again: nothing to do, and nothing to complain of.
    put(&site, &good);
    site.daemon().signal(Signal::HUP);
    eventually("the file is what runs", async || site.get("/readyz").await["reason"].is_null().then_some(())).await;
    assert_eq!(told(&site, "daemon.reloaded"), 0);
}

#[tokio::test]
async fn a_file_that_was_cut_off_takes_nobody_away() {
    let (site, setup) = started().await;
    let good = text(&site, &setup);
    // Up to the first agent it is a whole config: of nobody.
    let told_of = rejected(&site, || put(&site, good.split("[[agent]]").next().unwrap())).await;
    assert!(told_of["reason"].as_str().unwrap().contains("no agent"), "{told_of:#}");
    let hint = &site.events("config.problem")[0]["hint"];
    assert!(hint.as_str().unwrap().contains("restart"), "{hint}");
    everything_goes_on(&site, "no agent").await;
    rejected(&site, || put(&site, "")).await;
    // In the middle of a line.
    rejected(&site, || put(&site, &good[..good.len() / 2])).await;
    holds(&site, &format!("{good}\n# whole again\n")).await;
    assert_eq!(site.get("/readyz").await["reason"], Value::Null);
}

#[tokio::test]
async fn whatever_takes_the_place_of_the_file_holds_up_nobody() {
    let (site, setup) = started().await;
    let (config, good) = (site.folder.config(), text(&site, &setup));
    let clear = || {
        if config.is_dir() { std::fs::remove_dir(&config).unwrap() } else { std::fs::remove_file(&config).unwrap() }
    };

    let said = async |act: &dyn Fn()| rejected(&site, act).await["reason"].as_str().unwrap().to_owned();
    let gone = said(&clear).await;
    assert!(gone.contains("cannot read the config"), "{gone}");
    everything_goes_on(&site, "cannot read").await;

    let folder = said(&|| std::fs::create_dir(&config).unwrap()).await;
    assert!(folder.contains("a directory"), "{folder}");

    let make_fifo = || {
        clear();
        rustix::fs::mkfifoat(rustix::fs::CWD, &config, rustix::fs::Mode::RUSR).unwrap();
    };
    let fifo = said(&make_fifo).await;
    assert!(fifo.contains("no file"), "a FIFO is not waited for: {fifo}");
    everything_goes_on(&site, "no file").await;

    let write_bytes = || {
        clear();
        std::fs::write(&config, [0xff, 0xfe, b'\n']).unwrap();
    };
    assert!(said(&write_bytes).await.contains("not UTF-8"));

    // Only somebody who is not root can be kept from reading it.
    if !rustix::process::geteuid().is_root() {
        let closed = || std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert!(said(&closed).await.contains("cannot read the config"));
    }
    holds(&site, &format!("{good}\n# back\n")).await;
    assert_eq!(site.get("/readyz").await["reason"], Value::Null);
}

#[tokio::test]
async fn a_secret_in_a_broken_config_is_told_to_nobody() {
    let (site, setup) = started().await;
    let secret = site.folder.credential("a");
    let good = text(&site, &setup);
    let bad = good.replace("provider = \"anthropic\"", &format!("provider = \"anthropic\"\ntoken = {secret:?}"));
    rejected(&site, || put(&site, &bad)).await;
    // The site itself looks for it everywhere when it goes; here it is looked for where it would be.
    let told = json!([site.events("config.rejected"), site.events("config.problem")]).to_string();
    assert!(!told.contains(&secret) && !site.get("/readyz").await.to_string().contains(&secret));
}

#[tokio::test]
async fn a_credential_file_that_others_may_read_turns_the_config_away_as_at_the_start() {
    let (site, mut setup) = started().await;
    let file = site.folder.credential_file("b");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    setup.agents.pop();
    let told_of = rejected(&site, || put(&site, &text(&site, &setup))).await;
    assert!(told_of["reason"].as_str().unwrap().contains("\"b\""), "{told_of:#}");
    everything_goes_on(&site, "\"b\"").await;
}

#[tokio::test]
async fn a_credential_file_that_becomes_a_directory_is_told_and_leaves_its_agents_alone() {
    let (site, _) = started().await;
    let file = site.folder.credential_file("a");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let told_of = site.event("credential.unreadable", |event| event["subscription"] == "a").await;
    assert!(told_of["reason"].as_str().unwrap().contains("not a file"), "{told_of:#}");
    for agent in ["one", "two"] {
        site.serving(agent).await;
        assert_eq!(site.starts(agent).len(), 1);
    }
}
