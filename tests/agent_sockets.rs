//! The sockets of agents: who comes in by one speaks for that agent, and for nobody else.
//!
//! The real binary with agents that are its children; how a container sees its socket is in `tests/fleet.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/processes.rs"]
mod processes;
#[path = "rig/program.rs"]
mod program;
#[expect(dead_code, reason = "these agents are children")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

use self::http::Answered;
use self::setup::Setup;
use self::site::Site;

/// Two agents that work, each with a socket of its own.
async fn two(setup: impl FnOnce(&mut Setup)) -> Site {
    let mut with = Setup::new(&["a", "b", "c", "d"], &["one", "two"]);
    "agent_sockets = true\n".clone_into(&mut with.api);
    setup(&mut with);
    let mut site = Site::new(with);
    site.start().await;
    for agent in ["one", "two"] {
        site.serving(agent).await;
    }
    site
}

/// A request by the own socket of an agent.
async fn by(site: &Site, agent: &str, method: &str, path: &str, body: Option<Value>) -> Answered {
    http::call(&own_socket(site, agent), method, path, &[], body.as_ref()).await.unwrap()
}

/// The same as the holder of a turn.
async fn held(site: &Site, agent: &str, path: &str, token: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(own_socket(site, agent)).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Lease {token}\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text);
    tokio::time::timeout(daemon::LONG, read).await.expect("an answer").unwrap();
    text
}

fn own_socket(site: &Site, agent: &str) -> PathBuf {
    site.folder.path("agents").join(agent).join("report.sock")
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[tokio::test]
async fn sockets_come_and_go_with_the_daemon_and_their_folders_stay() {
    let mut site = two(|_| {}).await;
    let (own, folder) = (own_socket(&site, "one"), site.folder.path("agents"));
    assert_eq!((mode(&folder), mode(&folder.join("one")), mode(&own)), (0o700, 0o755, 0o666));
    assert_eq!(by(&site, "one", "GET", "/healthz", None).await.status, 200);
    site.kill().await;
    assert!(is_socket(&own), "a kill leaves it behind");
    site.start().await;
    assert_eq!(by(&site, "one", "GET", "/v1/agents/one", None).await.body["name"], "one");
    assert!(site.stop().await.success());
    assert!(!own.exists() && !own_socket(&site, "two").exists());
    assert!(folder.join("one").is_dir(), "a container goes on seeing what it has mounted");
}

#[tokio::test]
async fn what_an_agent_plants_in_its_folder_is_its_own_loss() {
    let mut site = two(|_| {}).await;
    assert!(site.stop().await.success());
    std::fs::write(own_socket(&site, "one"), "not a socket").unwrap();
    std::fs::create_dir_all(own_socket(&site, "two").join("full")).unwrap();
    site.start().await;
    assert_eq!(by(&site, "one", "GET", "/healthz", None).await.status, 200, "it is replaced");
    assert!(UnixStream::connect(own_socket(&site, "two")).await.is_err());
    assert_eq!(site.get("/healthz").await["status"], "ok");
    let told = site.log().text();
    assert!(told.contains("an agent has no socket of its own"), "{told}");
}

#[tokio::test]
async fn by_its_socket_an_agent_reports_for_itself_and_is_not_trusted() {
    let site = two(|setup| setup.switching = "jitter = \"0s\"\n".to_owned()).await;
    let on = site.agent("one").await["assignment"]["subscription"].as_str().unwrap().to_owned();
    let limit = json!({"kind": "rate_limit", "reporter": "trusted", "generation": 1});
    let other = by(&site, "one", "POST", "/v1/agents/two/failures", Some(limit.clone())).await;
    assert_eq!((other.status, &other.body["code"]), (403, &json!("not_this_agent")));
    let own = by(&site, "one", "POST", "/v1/agents/one/failures?wait=30", Some(limit)).await;
    assert_eq!((own.status, &own.body["outcome"]), (200, &json!("switched")), "{}", own.text);
    let failure = site.failures("one").await.remove(0);
    assert_eq!(failure["reporter"], "agent", "whatever it says of itself");
    assert!(failure["sender"].as_str().unwrap().starts_with("agent one, uid "), "{failure}");
    let cooled = site.subscription(&on).await;
    assert_eq!((&cooled["cooldown"], &cooled["suspect"]), (&Value::Null, &json!(true)), "{cooled:#}");
    assert!(site.failures("two").await.is_empty());
}

#[tokio::test]
async fn everything_that_is_not_about_itself_is_refused_and_tells_nothing() {
    let site = two(|_| {}).await;
    let begun = site.call("POST", "/v1/agents/two/turns", Some(&json!({"session": "s"}))).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let mut refusals = Vec::new();
    for (method, path) in [
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/v1/agents"),
        ("GET", "/v1/agents/two"),
        ("GET", "/v1/agents/nobody"),
        ("GET", "/v1/agents/one/explain"),
        ("POST", "/v1/agents/one/switch"),
        ("DELETE", "/v1/agents/one/switch"),
        ("POST", "/v1/agents/one/pause"),
        ("POST", "/v1/agents/one/resume"),
        ("POST", "/v1/agents/one/unpark"),
        ("PUT", "/v1/agents/one/pin"),
        ("POST", "/v1/resume"),
        ("GET", "/v1/subscriptions"),
        ("PUT", "/v1/subscriptions/a/cooldown"),
        ("DELETE", "/v1/subscriptions/a/cooldown"),
        ("POST", "/v1/subscriptions/a/readings"),
        ("GET", "/v1/switches"),
        ("GET", "/v1/failures"),
        ("POST", "/v1/agents/two/turns"),
        ("POST", "/v1/agents/two/sessions/s/close"),
        ("GET", "/v1/turns?agent=two"),
        ("GET", "/v1/turns?ended=true&agent=two"),
        // One that there is, and one that there is not.
        ("GET", "/v1/turns/two-t1"),
        ("GET", "/v1/turns/two-t9"),
        ("POST", "/v1/turns/two-t1/heartbeat"),
        ("POST", "/v1/turns/two-t9/heartbeat"),
        ("POST", "/v1/turns/two-t1/complete"),
        ("POST", "/v1/turns/two-t1/cancel"),
        ("POST", "/v1/turns/two-t1/cancelled"),
        ("POST", "/v1/turns/two-t1/fence"),
        ("POST", "/v1/turns/one-t1/fence"),
    ] {
        let answered = by(&site, "one", method, path, None).await;
        assert_eq!((answered.status, &answered.body["code"]), (403, &json!("not_this_agent")), "{method} {path}");
        refusals.push(answered.body["detail"].as_str().unwrap().to_owned());
    }
    assert!(refusals.iter().all(|detail| detail.contains("\"one\"") && !detail.contains("two")), "{refusals:#?}");
    let listed = by(&site, "one", "GET", "/v1/turns", None).await;
    assert_eq!((listed.status, &listed.body["turns"]), (200, &json!([])), "those of others are not there");
}

#[tokio::test]
async fn by_its_socket_an_agent_holds_turns_of_its_own() {
    let site = two(|_| {}).await;
    let begun = by(&site, "one", "POST", "/v1/agents/one/turns", Some(json!({"session": "s"}))).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let (id, token) = (&begun.body["turn"]["id"], begun.body["lease_token"].as_str().unwrap());
    assert_eq!(id, "one-t1");
    assert!(begun.body["turn"]["holder"].as_str().unwrap().starts_with("agent one, uid "), "{}", begun.text);
    assert!(held(&site, "one", "/v1/turns/one-t1/heartbeat", token, "").await.starts_with("HTTP/1.1 200 "));
    let listed = by(&site, "one", "GET", "/v1/turns?agent=one", None).await;
    assert_eq!(listed.body["turns"][0]["state"], "taken");
    assert_eq!(by(&site, "one", "POST", "/v1/turns/one-t1/cancel", None).await.status, 202);
    assert!(held(&site, "one", "/v1/turns/one-t1/cancelled", token, "").await.starts_with("HTTP/1.1 200 "));
    let closed = by(&site, "one", "POST", "/v1/agents/one/sessions/s/close", None).await;
    assert_eq!(closed.body, json!({"agent": "one", "session": "s", "last_completed": null}));
    let ended = by(&site, "one", "GET", "/v1/turns?ended=true", None).await;
    assert_eq!(ended.body["turns"][0]["state"], "cancelled");
}

/// S21, by its own socket: a liar walks about in what it may use, as far as its budget goes.
#[tokio::test]
async fn s21_forged_reports_in_a_loop_cost_the_budget_and_nobody_else() {
    const BUDGET: usize = 3;
    let site = two(|setup| {
        setup.agents[0].lines.push_str("subscriptions = [\"a\", \"b\"]\n");
        setup.switching = format!(
            "wait_out = \"0s\"\njitter = \"0s\"\nsettle = \"0s\"\nbudget = {{ switches = {BUDGET}, per = \"1h\" }}\n"
        );
    })
    .await;
    let honest = site.agent("two").await["assignment"].clone();
    let mut outcomes = Vec::new();
    while outcomes.last().is_none_or(|outcome| outcome != "braked") {
        // Of limits that end at once, in whatever generation it is in.
        let now = by(&site, "one", "GET", "/v1/agents/one", None).await.body;
        let lie = json!({"kind": "rate_limit", "retry_after_s": 1, "generation": now["assignment"]["generation"]});
        let answered = by(&site, "one", "POST", "/v1/agents/one/failures?wait=30", Some(lie)).await;
        outcomes.push(answered.body["outcome"].as_str().unwrap_or_else(|| panic!("{}", answered.text)).to_owned());
        assert!(outcomes.len() < 10_000, "it is never braked: {:?}", &outcomes[..20]);
    }
    let switches = site.switches("one").await;
    assert_eq!(switches.len(), BUDGET, "{switches:#?}");
    assert!(switches.iter().all(|switch| switch["to"] == "a" || switch["to"] == "b"), "{switches:#?}");
    for name in ["a", "b", "c", "d"] {
        let seen = site.subscription(name).await;
        assert_eq!((&seen["cooldown"], &seen["quarantined"]), (&Value::Null, &Value::Null), "{seen:#}");
        let cools: Vec<&String> = seen["cooling_for"].as_object().unwrap().keys().collect();
        assert!(cools.iter().all(|agent| *agent == "one"), "{seen:#}");
    }
    assert_eq!(site.agent("two").await["assignment"], honest);
}

/// Whoever takes up all that an agent may keeps nobody else out.
#[tokio::test]
async fn an_agent_that_fills_its_socket_is_alone_with_it() {
    let site = two(|_| {}).await;
    let own = own_socket(&site, "one");
    let mut streams = Vec::new();
    for _ in 0..400 {
        let mut stream = UnixStream::connect(&own).await.unwrap();
        let _turned_away =
            stream.write_all(b"POST /v1/agents/one/failures HTTP/1.1\r\ncontent-length: 9000\r\n\r\n{").await;
        streams.push(stream);
    }
    assert_eq!(site.get("/healthz").await["status"], "ok");
    assert_eq!(by(&site, "two", "GET", "/v1/agents/two", None).await.status, 200);
    let large = json!({"kind": "network", "evidence": {"text": "x".repeat(20_000)}});
    assert_eq!(site.report("two", &large).await.status, 200);
    assert_eq!(by(&site, "two", "POST", "/v1/agents/two/failures", Some(large)).await.status, 200);
}
