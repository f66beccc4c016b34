//! A site whose agents are containers that print what a test wants.

use std::cell::Cell;
use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use switchman::drivers::fingerprint::fingerprint;

use crate::engine::{Shape, TestEngine, fresh_name, host};
use crate::program::eventually;
use crate::setup::{CONTAINER_FOLDER, Place, Setup, write_secret};
use crate::site::Site;

/// A path in the folder of an agent, as its container sees it.
pub(crate) fn inside(name: &str) -> String {
    format!("{CONTAINER_FOLDER}/{name}")
}

/// Containers and the daemon that keeps them working.
pub(crate) struct Harbour {
    pub(crate) site: Site,
    pub(crate) setup: Setup,
    // Who removes the containers, after the daemon has gone.
    pub(crate) engine: TestEngine,
    containers: BTreeMap<String, String>,
    printed: Cell<u32>,
}

impl Harbour {
    /// Everything is made, each agent with the credential of `a` in its file; nothing runs yet.
    pub(crate) async fn prepare(mut setup: Setup, reshape: impl Fn(&str, &mut Shape)) -> Self {
        let mut containers = BTreeMap::new();
        for agent in &mut setup.agents {
            let container = fresh_name(&agent.name);
            agent.place = Place::Container(container.clone());
            containers.insert(agent.name.clone(), container);
        }
        setup.docker = format!("host = {:?}\n", host().to_string());
        let site = Site::new(setup.clone());
        let mut engine = TestEngine::new().await;
        for (agent, container) in &containers {
            let home = site.folder.home(agent);
            write_secret(&home.join("credential"), &site.folder.credential("a"));
            let mut shape = Shape { binds: vec![(home, CONTAINER_FOLDER)], ..Shape::default() };
            for (option, name) in
                [("--credential-file", "credential"), ("--control", "control"), ("--at-start", "at-start")]
            {
                shape.arguments.extend([option.to_owned(), inside(name)]);
            }
            reshape(agent, &mut shape);
            engine.create(container, &shape).await;
        }
        Self { site, setup, engine, containers, printed: Cell::new(0) }
    }

    /// All containers run, and the daemon keeps them: each serves, and its log is followed.
    pub(crate) async fn open(setup: Setup) -> Self {
        let mut harbour = Self::prepare(setup, |_, _| {}).await;
        harbour.start_all().await;
        harbour.site.start().await;
        harbour.all_are_kept().await;
        harbour
    }

    pub(crate) async fn start_all(&self) {
        let names: Vec<&str> = self.containers.values().map(String::as_str).collect();
        docker(&[&["start"], &names[..]].concat()).await;
        for agent in self.containers.keys() {
            self.started(agent, 1).await;
        }
    }

    pub(crate) async fn all_are_kept(&self) {
        for agent in self.containers.keys() {
            self.site.serving(agent).await;
            self.followed(agent).await;
        }
    }

    pub(crate) fn container(&self, agent: &str) -> &str {
        &self.containers[agent]
    }

    /// Waits until it is written down from where on the log of an agent is read.
    pub(crate) async fn followed(&self, agent: &str) {
        eventually("the log is followed", async || self.read_to(agent)).await;
    }

    /// Up to when the log of an agent has been read, as the daemon has written it down.
    pub(crate) fn read_to(&self, agent: &str) -> Option<i64> {
        let database = self.site.folder.database();
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.query_row("SELECT at_ns FROM logs WHERE agent = ?1", [agent], |row| row.get(0)).ok()
    }

    /// Has the agent print lines; resolves when it has.
    pub(crate) async fn print(&self, agent: &str, lines: &[String]) {
        let file = self.lay(agent, lines);
        self.site.tell(agent, &format!("print-file {file}")).await;
    }

    /// Puts lines where the agent can read them; where that is for it.
    pub(crate) fn lay(&self, agent: &str, lines: &[String]) -> String {
        let number = self.printed.replace(self.printed.get() + 1);
        let name = format!("lines-{number}");
        std::fs::write(self.site.folder.home(agent).join(&name), lines.join("\n")).unwrap();
        inside(&name)
    }

    /// What the agent said at each of its starts.
    pub(crate) async fn starts(&self, agent: &str) -> Vec<Value> {
        self.said(agent, "init").await
    }

    /// What the agent itself has said of this sort, in order.
    pub(crate) async fn said(&self, agent: &str, subtype: &str) -> Vec<Value> {
        let output = self.engine.printed(self.container(agent)).await;
        let said = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        said.filter(|said| said["subtype"] == subtype).collect()
    }

    /// Waits until the agent has been started so often; it must not have been more often.
    pub(crate) async fn started(&self, agent: &str, times: usize) {
        let starts = eventually(&format!("{agent} was started {times} times"), async || {
            let starts = self.starts(agent).await;
            (starts.len() >= times).then_some(starts)
        })
        .await;
        assert_eq!(starts.len(), times, "{agent} was started too often: {starts:#?}");
    }

    /// Waits until the newest start of an agent was on this subscription's credential.
    pub(crate) async fn runs_on(&self, agent: &str, subscription: &str) {
        self.runs_on_text(agent, &self.site.folder.credential(subscription)).await;
    }

    /// Waits until the newest start of an agent was on this credential.
    pub(crate) async fn runs_on_text(&self, agent: &str, credential: &str) {
        let credential = fingerprint(credential.as_bytes());
        eventually(&format!("{agent} runs on what it was given"), async || {
            let newest = self.starts(agent).await.pop()?;
            (newest["credential_fingerprint"] == credential.0.as_str()).then_some(())
        })
        .await;
    }

    /// When the engine says that the present life of the agent began.
    pub(crate) async fn life(&self, agent: &str) -> String {
        docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}", self.container(agent)]).await
    }

    pub(crate) fn delivered(&self, agent: &str) -> String {
        std::fs::read_to_string(self.site.folder.home(agent).join("credential")).unwrap_or_default()
    }

    /// How many failures of an agent have been counted.
    pub(crate) async fn counted(&self, agent: &str) -> u64 {
        let failures = self.site.failures(agent).await;
        failures.iter().map(|failure| failure["count"].as_u64().unwrap()).sum()
    }

    /// Waits until so many failures are counted; there must not be more.
    pub(crate) async fn all_counted(&self, agent: &str, lines: usize) {
        let counted = eventually("every line is counted", async || {
            let counted = self.counted(agent).await;
            (counted >= lines as u64).then_some(counted)
        })
        .await;
        assert_eq!(counted, lines as u64, "no line twice: {:#?}", self.site.failures(agent).await);
    }

    /// Asserts that nobody but this subscription was blamed, and this one only as far as its agents' own word goes.
    pub(crate) async fn only_blamed(&self, subscription: &str) {
        for failure in self.site.failures("").await {
            assert_eq!(failure["subscription"], subscription, "{failure:#}");
        }
        let listed = self.site.get("/v1/subscriptions").await;
        for seen in listed["subscriptions"].as_array().unwrap() {
            assert_eq!((&seen["cooldown"], &seen["quarantined"]), (&Value::Null, &Value::Null), "{seen:#}");
            if seen["name"] != subscription {
                assert_eq!((&seen["cooling_for"], &seen["suspect"]), (&json!({}), &json!(false)), "{seen:#}");
                assert_eq!(seen["failures"]["recent"], 0, "{seen:#}");
            }
        }
    }

    /// Waits until the switch to this generation is over, which went well with one restart.
    pub(crate) async fn moved(&self, agent: &str, generation: u64) -> Value {
        let is_it = |event: &Value| event["agent"] == agent && event["generation"] == generation;
        let done = self.site.event("switch.completed", is_it).await;
        assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
        done
    }

    /// Ends the daemon in order: what would come late has come.
    pub(crate) async fn close(&mut self) {
        assert!(self.site.stop().await.success());
    }
}

/// Runs the engine's own client.
pub(crate) async fn docker(arguments: &[&str]) -> String {
    let host = host().to_string();
    let output = tokio::process::Command::new("docker").args(["--host", &host]).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
