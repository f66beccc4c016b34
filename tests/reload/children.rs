//! Agents that are children of the daemon, and what else the config says.

use serde_json::{Value, json};

use crate::hook::Hook;
use crate::program::eventually;
use crate::setup::{Place, Setup, SubscriptionSetup, write_secret};
use crate::site::Site;
use crate::{changed, holds, put, text, told};

fn setup(subscriptions: &[&str], agents: &[&str]) -> Setup {
    Setup::new(subscriptions, agents)
}

async fn started(setup: &Setup) -> Site {
    let mut site = Site::new(setup.clone());
    site.start().await;
    for agent in &setup.agents {
        site.serving(&agent.name).await;
    }
    site
}

/// The pid of the child that an agent runs in.
async fn pid(site: &Site, agent: &str) -> Value {
    let pid = site.serving(agent).await["runtime"]["id"].clone();
    assert!(pid.is_string(), "{pid}");
    pid
}

#[tokio::test]
async fn a_child_comes_with_its_section_and_goes_with_it() {
    let site = started(&setup(&["a"], &["one"])).await;
    let one = pid(&site, "one").await;
    let both = setup(&["a"], &["one", "two"]);
    std::fs::create_dir_all(site.folder.home("two")).unwrap();
    let told = changed(&site, &both).await;
    assert_eq!((&told["agents_added"], &told["agents_changed"]), (&json!("two"), &Value::Null), "{told:#}");
    site.event("agent.runtime_changed", |event| event["agent"] == "two" && event["to"] == "running").await;
    site.serving("two").await;
    assert_eq!(site.processes().len(), 2);

    let told = changed(&site, &setup(&["a"], &["one"])).await;
    assert_eq!(told["agents_removed"], "two");
    eventually("its child has ended", async || (site.processes().len() == 1).then_some(())).await;
    assert_eq!(site.call("GET", "/v1/agents/two", None).await.status, 404);

    // The same agent again: its generation goes on where it was.
    changed(&site, &both).await;
    eventually("it is back", async || (site.call("GET", "/v1/agents/two", None).await.status == 200).then_some(()))
        .await;
    assert_eq!(site.serving("two").await["assignment"]["generation"], 1);
    assert_eq!(pid(&site, "one").await, one, "the other one was left alone");
    assert_eq!(site.starts("one").len(), 1);
}

#[tokio::test]
async fn another_command_ends_the_old_child_and_starts_the_new_one_on_the_same_subscription() {
    let mut setup = setup(&["a", "b"], &["one", "two"]);
    let site = started(&setup).await;
    let (one, two) = (pid(&site, "one").await, pid(&site, "two").await);
    let before = site.serving("one").await["assignment"].clone();
    setup.agents[0].place = Place::ChildWithFile;
    let told = changed(&site, &setup).await;
    assert_eq!(told["agents_moved"], "one", "{told:#}");
    let now = eventually("it runs in another child", async || {
        if site.call("GET", "/v1/agents/one", None).await.status != 200 {
            return None;
        }
        let now = site.serving("one").await;
        (now["runtime"]["id"] != one).then_some(now)
    })
    .await;
    assert_eq!(now["assignment"], before, "generation and all");
    assert_eq!(pid(&site, "two").await, two);
    assert_eq!(site.processes().len(), 2);
}

#[tokio::test]
async fn a_subscription_that_comes_wakes_who_found_nobody() {
    let site = started(&setup(&["a"], &["one"])).await;
    site.tell("one", "limit 3600").await;
    site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    site.event("agent.exhausted", |event| event["agent"] == "one").await;
    let more = setup(&["a", "b"], &["one"]);
    write_secret(&site.folder.credential_file("b"), &site.folder.credential("b"));
    let told = changed(&site, &more).await;
    assert_eq!((&told["subscriptions_added"], &told["agents_changed"]), (&json!("b"), &json!("one")), "{told:#}");
    site.event("switch.completed", |event| event["agent"] == "one" && event["to"] == "b").await;
    let now = site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
}

#[tokio::test]
async fn a_credential_that_comes_from_elsewhere_is_read_from_there() {
    let mut setup = setup(&["a"], &["one"]);
    let site = started(&setup).await;
    let fresh = "the-fresh-credential-of-a-which-is-long-enough";
    let elsewhere = site.folder.path("elsewhere");
    write_secret(&elsewhere, fresh);
    let reference = Some(format!("{{ file = {:?} }}", elsewhere.display().to_string()));
    setup.subscriptions = vec![SubscriptionSetup { name: "a".to_owned(), reference }];
    changed(&site, &setup).await;
    // Another content is rolled out as it is when the file changes.
    let done = site.event("switch.completed", |event| event["agent"] == "one" && event["cause"] == "rollover").await;
    assert_eq!((&done["to"], &done["generation"]), (&json!("a"), &json!(2)));
}

#[tokio::test]
async fn who_is_told_changes_with_the_config_and_nothing_is_told_twice() {
    let base = setup(&["a", "b", "c"], &["one"]);
    let site = started(&base).await;
    let second = Hook::listen();
    let both = Setup { sections: format!("[[notify]]\nwebhook = {:?}\n", second.url()), ..base.clone() };
    changed(&site, &both).await;
    let switch = async |generation: u64| {
        site.call("POST", "/v1/agents/one/switch", Some(&json!({}))).await;
        site.event("switch.completed", |event| event["generation"] == generation).await;
    };
    switch(2).await;
    second.notified("the switch", |told| told["event"] == "switch").await;
    site.hook.notified("the switch", |told| told["event"] == "switch").await;
    changed(&site, &base).await;
    switch(3).await;
    site.hook.notified("the next switch", |told| told["generation"] == 3).await;
    assert_eq!(second.taken().len(), 1, "it is none of those who are told any more");
    // Back again it hears of what it has missed, in order, and of nothing twice.
    changed(&site, &both).await;
    second.notified("what it has missed", |told| told["generation"] == 3).await;
    assert_eq!((second.ids("switch").len(), site.hook.ids("switch").len()), (2, 2));
}

#[tokio::test]
async fn what_cannot_change_is_named_and_the_rest_holds() {
    let mut setup = setup(&["a"], &["one"]);
    let site = started(&setup).await;
    setup.api = "socket_mode = \"0600\"\n".to_owned();
    setup.agents[0].lines = "stop_grace = \"1s\"\ndrain = \"7s\"\n".to_owned();
    let told = changed(&site, &setup).await;
    assert_eq!((&told["needs_restart"], &told["agents_changed"]), (&json!("api.socket_mode"), &json!("one")));
    assert_eq!(site.starts("one").len(), 1);
}

#[tokio::test]
async fn a_hundred_requests_end_in_the_newest_config_and_restart_nobody() {
    let mut setup = setup(&["a"], &["one", "two"]);
    let site = started(&setup).await;
    for number in 1..=100 {
        setup.agents[0].lines = format!("stop_grace = \"1s\"\ndrain = \"{number}s\"\n");
        put(&site, &text(&site, &setup));
        site.daemon().signal(rustix::process::Signal::HUP);
    }
    // What is asked for last is read last.
    setup.agents.pop();
    let last = changed(&site, &setup).await;
    eventually("the newest holds", async || {
        (site.call("GET", "/v1/agents/two", None).await.status == 404).then_some(())
    })
    .await;
    assert!(told(&site, "daemon.reloaded") <= 101, "{last:#}");
    assert_eq!((site.starts("one").len(), site.starts("two").len()), (1, 1));
    assert_eq!(site.serving("one").await["assignment"]["generation"], 1);
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_a_request_also_behind_a_link() {
    let mut base = setup(&["a"], &["one"]);
    let site = started(&base).await;
    base.agents[0].lines = "stop_grace = \"1s\"\ndrain = \"7s\"\n".to_owned();
    put(&site, &text(&site, &base));
    let told = site.event("daemon.reloaded", |event| event["cause"] == "file").await;
    assert_eq!(told["agents_changed"], "one");

    // As a volume of files does it: the path is a link, and what it leads to is swapped.
    for (folder, drain) in [("first", "8s"), ("second", "9s")] {
        std::fs::create_dir(site.folder.path(folder)).unwrap();
        base.agents[0].lines = format!("stop_grace = \"1s\"\ndrain = {drain:?}\n");
        std::fs::write(site.folder.path(folder).join("config.toml"), text(&site, &base)).unwrap();
    }
    let swap = |to: &str| {
        let link = site.folder.path("link");
        std::os::unix::fs::symlink(site.folder.path(to), &link).unwrap();
        std::fs::rename(link, site.folder.path("data")).unwrap();
    };
    swap("first");
    let (link, config) = (site.folder.path("config-link"), site.folder.config());
    std::os::unix::fs::symlink(site.folder.path("data").join("config.toml"), &link).unwrap();
    std::fs::rename(link, config).unwrap();
    eventually("the link is followed", async || (crate::told(&site, "daemon.reloaded") == 2).then_some(())).await;
    swap("second");
    eventually("the swap is noticed", async || (crate::told(&site, "daemon.reloaded") == 3).then_some(())).await;
    assert_eq!(site.starts("one").len(), 1);
}

#[tokio::test]
async fn an_agent_gets_a_socket_of_its_own_and_loses_it_with_its_section() {
    let mut both = setup(&["a"], &["one", "two"]);
    both.api = "agent_sockets = true\n".to_owned();
    let one = Setup { agents: both.agents[..1].to_vec(), ..both.clone() };
    let site = started(&one).await;
    std::fs::create_dir_all(site.folder.home("two")).unwrap();
    let socket = site.folder.path("agents/two/report.sock");
    assert!(!socket.exists());
    changed(&site, &both).await;
    eventually("it has its socket", async || socket.exists().then_some(())).await;
    let report = json!({"kind": "overload"});
    let answered = eventually("it is served there", async || {
        let answered = crate::http::call(&socket, "POST", "/v1/agents/two/failures", &[], Some(&report)).await.ok()?;
        (answered.status < 300).then_some(answered)
    })
    .await;
    assert_eq!(answered.body["outcome"], "ignored", "{}", answered.text);
    changed(&site, &one).await;
    eventually("its socket is gone", async || (!socket.exists()).then_some(())).await;
    reloaded_nothing(&site).await;
}

/// The same config again changes nothing.
async fn reloaded_nothing(site: &Site) {
    let before = told(site, "daemon.reloaded");
    let now = std::fs::read_to_string(site.folder.config()).unwrap();
    let told = holds(site, &format!("{now}\n# a comment\n")).await;
    for list in ["agents_added", "agents_changed", "agents_moved", "agents_removed", "needs_restart"] {
        assert_eq!(told[list], Value::Null, "{told:#}");
    }
    assert_eq!(crate::told(site, "daemon.reloaded"), before + 1);
}
