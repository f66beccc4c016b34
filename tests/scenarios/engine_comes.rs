//! An engine that is not there when the daemon starts, and comes later.

use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};

use crate::engine::{Shape, TestEngine, fresh_name, host};
use crate::program::eventually;
use crate::setup::{CONTAINER_FOLDER, Place, Setup, write_secret};
use crate::site::Site;
use switchman::drivers::docker::DockerHost;

/// Passes every connection on to the engine.
async fn forward(listener: UnixListener) {
    loop {
        let (mut here, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let _either_side_closed = match host() {
                DockerHost::Unix(path) => {
                    let mut there = UnixStream::connect(path).await.unwrap();
                    tokio::io::copy_bidirectional(&mut here, &mut there).await.is_err()
                }
                DockerHost::Http(address) => {
                    let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
                    let mut there = tokio::net::TcpStream::connect(address).await.unwrap();
                    tokio::io::copy_bidirectional(&mut here, &mut there).await.is_err()
                }
            };
        });
    }
}

#[tokio::test]
async fn docker_an_engine_that_comes_late_is_used_when_it_comes() {
    let mut engine = TestEngine::new().await;
    let container = fresh_name("late");
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].place = Place::Container(container.clone());
    let sockets = tempfile::Builder::new().prefix("sm").tempdir().unwrap();
    let socket = sockets.path().join("engine.sock");
    setup.docker = format!("host = \"unix://{}\"\n", socket.display());
    let mut site = Site::new(setup);
    site.start().await;
    site.event("engine.lost", |_| true).await;

    let ready = site.call("GET", "/readyz", None).await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert!(ready.body["degraded"][0].as_str().is_some_and(|what| what.contains("engine")), "{}", ready.text);
    assert_eq!(site.call("GET", "/healthz", None).await.status, 200);
    let status = site.cli(&["status"]).await;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(format!("{}{}", status.stdout, status.stderr).contains("engine"), "{status:?}");
    let unassigned = site.agent("one").await;
    assert_eq!((&unassigned["assignment"], &unassigned["runtime"]["state"]), (&Value::Null, &json!("unknown")));

    let home = site.folder.home("one");
    write_secret(&home.join("credential"), &site.folder.credential("b"));
    let shape = Shape {
        arguments: vec!["--credential-file".into(), format!("{CONTAINER_FOLDER}/credential")],
        binds: vec![(home, CONTAINER_FOLDER)],
        ..Shape::default()
    };
    engine.create(&container, &shape).await;
    let started = tokio::process::Command::new("docker")
        .args(["--host", &host().to_string(), "start", &container])
        .output()
        .await
        .unwrap();
    assert!(started.status.success(), "{started:?}");
    let forwarding = tokio::spawn(forward(UnixListener::bind(&socket).unwrap()));
    site.event("engine.back", |_| true).await;
    let adopted = site.serving("one").await;
    assert_eq!(adopted["assignment"]["subscription"], "b", "it is taken over as it is: {adopted:#}");
    eventually("nothing is degraded any more", async || {
        let ready = site.call("GET", "/readyz", None).await;
        (ready.status == 200 && ready.body["degraded"] == json!([])).then_some(())
    })
    .await;

    let answer = site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    let done = site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&done["to"], &done["outcome"], &done["restarts"]), (&json!("a"), &json!("ready"), &json!(1)));
    assert!(site.stop().await.success());
    forwarding.abort();
}
