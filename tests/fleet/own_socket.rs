//! A container reports and holds turns by a socket of its own, which it has mounted before the daemon was there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::daemon::BINARY;
use crate::harbour::{Harbour, docker};
use crate::setup::Setup;

/// Where the container sees the folder of its socket, and where the binary.
const FOLDER: &str = "/switchman";
const CLIENT: &str = "/switchman-client";

/// The folder of an agent's socket, as told by the folder of its credential.
fn folder(home: &Path, agent: &str) -> PathBuf {
    home.parent().and_then(Path::parent).expect("the folder of the site").join("agents").join(agent)
}

/// Runs the command line inside the container of an agent; what it prints.
async fn inside(harbour: &Harbour, agent: &str, arguments: &[&str]) -> String {
    let socket = format!("{FOLDER}/report.sock");
    let command = ["exec", harbour.container(agent), CLIENT, "--socket", &socket];
    docker(&[&command, arguments].concat()).await
}

#[tokio::test]
async fn a_container_speaks_for_itself_through_every_life_of_the_daemon() {
    let setup = Setup { api: "agent_sockets = true\n".to_owned(), ..Setup::new(&["a", "b"], &["one"]) };
    let mut harbour = Harbour::prepare(setup, |agent, shape| {
        let own = folder(&shape.binds[0].0, agent);
        shape.binds.extend([(own, FOLDER), (BINARY.into(), CLIENT)]);
    })
    .await;
    harbour.start_all().await;
    harbour.site.start().await;
    harbour.all_are_kept().await;

    let said: Value =
        serde_json::from_str(&inside(&harbour, "one", &["--json", "report", "one", "--kind", "network"]).await)
            .unwrap();
    assert_eq!(said["outcome"], "ignored");
    assert!(harbour.site.stop().await.success());
    harbour.site.start().await;
    harbour.all_are_kept().await;
    // The folder that it has mounted is the same, so it finds the new socket in it.
    let said = inside(&harbour, "one", &["--json", "report", "one", "--kind", "rate_limit", "--generation", "1"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["outcome"], "switching");
    harbour.moved("one", 2).await;
    let failures = harbour.site.failures("one").await;
    assert!(failures.iter().all(|failure| failure["reporter"] == "agent"), "{failures:#?}");
    let blamed = harbour.site.subscription("a").await;
    assert_eq!((&blamed["cooldown"], &blamed["suspect"]), (&Value::Null, &json!(true)), "{blamed:#}");
    harbour.close().await;
}
