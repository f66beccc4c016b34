//! Agents that read a new credential without a restart (G12), and what happens if they do not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};
use switchman::drivers::fingerprint::fingerprint;

use crate::harbour::{Harbour, inside};
use crate::lines::{burst, limit};
use crate::program::eventually;
use crate::setup::Setup;

async fn opened(apply: &str) -> Harbour {
    let mut setup = Setup::new(&["a", "b", "c"], &["one"]);
    setup.agents[0].delivery = format!(", apply = {apply}");
    Harbour::open(setup).await
}

/// One line moves the agent to `b`; its life goes on.
async fn moves_without_a_restart(harbour: &Harbour) {
    let life = harbour.life("one").await;
    harbour.print("one", &[limit(3600)]).await;
    let done = harbour.site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&done["to"], &done["outcome"], &done["restarts"]), (&json!("b"), &json!("ready"), &json!(0)));
    let now = harbour.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    assert_eq!(harbour.delivered("one").trim_end(), harbour.site.folder.credential("b"));
    assert_eq!(harbour.life("one").await, life);
}

async fn stays_where_it_is(mut harbour: Harbour, starts: usize) {
    harbour.site.hook.notified("the switch", |told| told["event"] == "switch").await;
    assert_eq!(harbour.site.switches("one").await.len(), 1);
    harbour.only_blamed("a").await;
    harbour.close().await;
    harbour.started("one", starts).await;
    assert_eq!(harbour.site.hook.ids("switch").len(), 1);
}

/// The agent says once that it has read the credential of `b`.
async fn was_told_once(harbour: &Harbour) {
    let said = eventually("it was told", async || {
        let said = harbour.said("one", "reload").await;
        (!said.is_empty()).then_some(said)
    })
    .await;
    let credential = fingerprint(harbour.site.folder.credential("b").as_bytes());
    let read: Vec<&Value> = said.iter().map(|said| &said["credential_fingerprint"]).collect();
    assert_eq!(read, [&json!(credential.0.as_str())]);
}

/// Work under way keeps the old credential and goes on failing: that is held against nobody before it settles.
#[tokio::test]
async fn what_notices_by_itself_is_not_restarted() {
    let harbour = opened("\"written\"").await;
    moves_without_a_restart(&harbour).await;
    harbour.print("one", &burst(9)).await;
    harbour.all_counted("one", 10).await;
    let failures = harbour.site.failures("one").await;
    let of = |outcome: &str| failures.iter().filter(|failure| failure["outcome"] == outcome).count();
    assert_eq!((of("switching"), of("ambiguous")), (1, failures.len() - 1), "{failures:#?}");
    let blamed = harbour.site.subscription("b").await;
    assert_eq!((&blamed["cooling_for"], &blamed["suspect"]), (&json!({}), &json!(false)), "{blamed:#}");
    assert_eq!(harbour.site.switches("one").await.len(), 1);
    let mut harbour = harbour;
    harbour.close().await;
    harbour.started("one", 1).await;
}

#[tokio::test]
async fn what_is_told_by_a_signal_is_not_restarted() {
    let harbour = opened("{ signal = \"HUP\" }").await;
    moves_without_a_restart(&harbour).await;
    was_told_once(&harbour).await;
    stays_where_it_is(harbour, 1).await;
}

#[tokio::test]
async fn what_is_told_by_a_command_is_not_restarted() {
    let control = inside("control");
    let harbour =
        opened(&format!("{{ exec = [\"/agent\", \"--control\", {control:?}, \"--tell\", \"reload\"] }}")).await;
    moves_without_a_restart(&harbour).await;
    was_told_once(&harbour).await;
    stays_where_it_is(harbour, 1).await;
}

/// Answers each request so; the number of its requests comes with the joined thread.
fn answering(status: &'static str, requests: usize) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let mut taken = Vec::new();
        for stream in listener.incoming().take(requests) {
            let mut reader = BufReader::new(stream.unwrap());
            let head = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
            taken.push(head.reduce(|first, _| first).unwrap());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        taken
    });
    (address, serving)
}

#[tokio::test]
async fn what_is_told_by_a_post_is_not_restarted() {
    let (address, serving) = answering("204 No Content", 1);
    let harbour = opened(&format!("{{ http = \"http://{address}/reload\" }}")).await;
    moves_without_a_restart(&harbour).await;
    assert_eq!(serving.join().unwrap(), ["POST /reload HTTP/1.1"]);
    stays_where_it_is(harbour, 1).await;
}

/// Told in vain: one restart.
async fn falls_back_to_a_restart(apply: &str) -> Harbour {
    let harbour = opened(apply).await;
    harbour.print("one", &[limit(3600)]).await;
    assert_eq!(harbour.moved("one", 2).await["to"], "b");
    harbour.runs_on("one", "b").await;
    harbour
}

#[tokio::test]
async fn a_command_that_fails_falls_back_to_one_restart() {
    let harbour = falls_back_to_a_restart("{ exec = [\"/agent\", \"--exists\", \"/nowhere\"] }").await;
    stays_where_it_is(harbour, 2).await;
}

#[tokio::test]
async fn a_command_that_is_not_there_falls_back_to_one_restart() {
    let harbour = falls_back_to_a_restart("{ exec = [\"/no/such/program\"] }").await;
    stays_where_it_is(harbour, 2).await;
}

#[tokio::test]
async fn a_post_that_nobody_takes_falls_back_to_one_restart() {
    let (address, serving) = answering("503 Service Unavailable", 1);
    let harbour = falls_back_to_a_restart(&format!("{{ http = \"http://{address}/reload\" }}")).await;
    assert_eq!(serving.join().unwrap(), ["POST /reload HTTP/1.1"]);
    stays_where_it_is(harbour, 2).await;
}
