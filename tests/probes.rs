//! Probes with the real binary: what a provider on the loopback says is shown, keeps agents off, and costs no secret.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;
use tokio::sync::mpsc;

use crate::program::eventually;
use crate::setup::Setup;
use crate::site::Site;

/// The first probe comes a minute after the start, and a little; so long is waited for it.
const FIRST_PROBE: Duration = Duration::from_secs(100);

/// A provider that gives everybody this answer, and tells what it was asked.
struct Provider {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Provider {
    /// `{token}` in the body stands for what came as the credential.
    fn answers(status: &str, headers: &[(String, String)], body: &str) -> Self {
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{}\r\n{body}", headers.concat());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(request) = serve(stream, &answer) else { return };
                if tell.send(request).is_err() {
                    return;
                }
            }
        });
        Self { address, asked }
    }

    /// How a subscription is probed here.
    fn probe(&self) -> String {
        format!("probe = {{ every = \"1m\", model = \"small-1\", endpoint = \"http://{}\" }}", self.address)
    }

    async fn asked(&mut self) -> String {
        tokio::time::timeout(FIRST_PROBE, self.asked.recv()).await.expect("it is asked").unwrap()
    }
}

fn serve(stream: TcpStream, answer: &str) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; request.lines().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    request.push_str(&String::from_utf8_lossy(&body));
    let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
    reader.get_mut().write_all(answer.replace("{token}", token).as_bytes())?;
    Ok(request)
}

/// The same config, with a line more for each of these subscriptions.
fn with_probes(site: &Site, probes: &[(&str, String)]) {
    let mut text = std::fs::read_to_string(site.folder.config()).unwrap();
    for (name, probe) in probes {
        let section = format!("[[subscription]]\nname = {name:?}\n");
        assert!(text.contains(&section), "{text}");
        text = text.replace(&section, &format!("{section}{probe}\n"));
    }
    std::fs::write(site.folder.config(), text).unwrap();
}

fn of_window<'a>(subscription: &'a Value, window: &str) -> &'a Value {
    let readings = subscription["readings"].as_array().unwrap();
    readings.iter().find(|reading| reading["window"] == window).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn what_providers_say_is_shown_and_a_refused_window_keeps_everybody_off() {
    let soon = (SystemClock::new().now().wall.0 / 1000 + 3600).to_string();
    let unified = |name: &str| format!("anthropic-ratelimit-unified-{name}");
    let header = |name: &str, value: &str| (unified(name), value.to_owned());
    let serving = [
        header("status", "allowed"),
        header("5h-utilization", "0.42"),
        header("5h-reset", &soon),
        header("7d-utilization", "0.8"),
    ];
    let refusing = [header("status", "rejected"), header("7d-status", "rejected"), header("7d-reset", &soon)];
    let mut a = Provider::answers("200 OK", &serving, "{}");
    let body = r#"{"error":{"type":"rate_limit_error"}}"#;
    let mut b = Provider::answers("429 Too Many Requests", &refusing, body);
    // It repeats what it was sent, as some gateways do.
    let body = r#"{"error":{"type":"authentication_error","message":"bad token: {token}"}}"#;
    let mut c = Provider::answers("401 Unauthorized", &[], body);

    let mut site = Site::new(Setup::new(&["a", "b", "c"], &["one"]));
    with_probes(&site, &[("a", a.probe()), ("b", b.probe()), ("c", c.probe())]);
    let checked = site.cli(&["check", "--resolve"]).await;
    assert!(checked.stdout.contains(&a.probe()), "{}{}", checked.stdout, checked.stderr);
    site.start().await;
    site.serving("one").await;
    for (provider, name) in [(&mut a, "a"), (&mut b, "b"), (&mut c, "c")] {
        let asked = provider.asked().await;
        let credential = format!("authorization: Bearer {}", site.folder.credential(name));
        assert!(asked.starts_with("POST /v1/messages ") && asked.contains(&credential), "{asked}");
    }

    let of_a = eventually("a is read", async || {
        let a = site.subscription("a").await;
        (a["readings"].as_array().unwrap().len() == 3).then_some(a)
    })
    .await;
    assert_eq!((&of_window(&of_a, "five_hour")["utilisation"], &of_a["eligible"]), (&42.0.into(), &true.into()));
    assert_eq!((&of_a["nearest_wall"]["window"], &of_a["nearest_wall"]["source"]), (&"weekly".into(), &"probe".into()));
    let of_b = eventually("b refuses", async || {
        let b = site.subscription("b").await;
        (b["eligible"] == false).then_some(b)
    })
    .await;
    assert_eq!((&of_window(&of_b, "weekly")["serves"], &of_b["cooldown"]), (&false.into(), &Value::Null));
    let explained = site.get("/v1/agents/one/explain").await;
    let verdict = |name: &str| {
        let all = explained["subscriptions"].as_array().unwrap();
        all.iter().find(|one| one["subscription"] == name).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict("b"), "refused");
    assert!(site.cli(&["explain", "one"]).await.stdout.contains("says the provider"));

    // A refused credential is told and does nothing: its agents' failures decide.
    let told = site.event("probe.refused", |_| true).await;
    assert_eq!((&told["subscription"], &told["kind"], &told["status"]), (&"c".into(), &"auth".into(), &401.into()));
    let of_c = site.subscription("c").await;
    assert_eq!((&of_c["quarantined"], &of_c["readings"].as_array().unwrap().len()), (&Value::Null, &0));
    let metrics = site.call("GET", "/metrics", None).await.text;
    for (name, outcome) in [("a", "served"), ("b", "exhausted"), ("c", "refused")] {
        let line = format!("switchman_probes_total{{subscription=\"{name}\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    assert_eq!(site.switches("one").await.len(), 0, "nobody was moved");
    assert_eq!(site.failures("").await.len(), 0);
    // The site looks everywhere for credentials when it ends.
    site.stop().await;
}
