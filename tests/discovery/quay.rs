//! A daemon on an engine of its own, behind a proxy, and containers that it was not told of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::engine::{Shape, TestEngine};
use crate::engine_proxy::EngineProxy;
use crate::image::LABEL;
use crate::private_engine::{EngineOptions, PrivateEngine};
use crate::program::eventually;
use crate::setup::{CONTAINER_FOLDER, Setup, write_secret};
use crate::site::Site;

/// What makes an agent of each container with the label, and needs no other.
pub(crate) const BY_LABEL: &str = "discover = true";
/// What all of them have in common; `@HOMES@` is the folder that holds one for each.
pub(crate) const DEFAULTS: &str = "[agent_defaults]\ntool = \"claude-code\"\nstop_grace = \"1s\"\n\
    delivery = { file = \"@HOMES@/{name}/credential\" }\n";

pub(crate) struct Quay {
    pub(crate) site: Site,
    pub(crate) engine: TestEngine,
    pub(crate) proxy: EngineProxy,
    // Removed last.
    _engine: PrivateEngine,
}

impl Quay {
    /// Everything is in place; nothing runs. `docker` are lines of `[docker]`, `sections` others, with `@HOMES@` in them.
    pub(crate) async fn new(docker: &str, sections: &str) -> Self {
        let private = PrivateEngine::start(EngineOptions::default()).await;
        let proxy = EngineProxy::before(&private.socket()).await;
        let mut setup = Setup::new(&["a", "b"], &[]);
        setup.docker = format!("host = {:?}\n{docker}\n", proxy.host().to_string());
        sections.clone_into(&mut setup.sections);
        let site = Site::new(setup);
        let engine = TestEngine::at(&private.host()).await;
        let quay = Self { site, engine, proxy, _engine: private };
        quay.rewrite(|text| text);
        quay
    }

    /// The config file becomes another one, which a running daemon finds by itself.
    pub(crate) fn rewrite(&self, with: impl FnOnce(String) -> String) {
        let (file, homes) = (self.site.folder.config(), self.site.folder.path("homes"));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, with(text).replace("@HOMES@", &homes.display().to_string())).unwrap();
    }

    pub(crate) fn home(&self, container: &str) -> PathBuf {
        self.site.folder.home(container)
    }

    /// A container is made, with the credential of `a` in its folder if nothing is there yet. It does not run.
    pub(crate) async fn make(&mut self, container: &str, labels: &[(&'static str, &str)]) {
        let home = self.home(container);
        std::fs::create_dir_all(&home).unwrap();
        if !home.join("credential").exists() {
            write_secret(&home.join("credential"), &self.site.folder.credential("a"));
        }
        let inside = |name: &str| format!("{CONTAINER_FOLDER}/{name}");
        let shape = Shape {
            arguments: vec!["--credential-file".into(), inside("credential"), "--control".into(), inside("control")],
            binds: vec![(home, CONTAINER_FOLDER)],
            labels: labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect(),
            ..Shape::default()
        };
        self.engine.create(container, &shape).await;
    }

    /// The same, and it runs.
    pub(crate) async fn run(&mut self, container: &str, labels: &[(&'static str, &str)]) {
        self.make(container, labels).await;
        self.engine.client.start_container(container, None).await.expect("start a container");
    }

    /// The life of a container: its id and when it was started.
    pub(crate) async fn life(&self, container: &str) -> (String, String) {
        let found = self.engine.client.inspect_container(container, None).await.expect("inspect a container");
        (found.id.unwrap(), found.state.unwrap().started_at.unwrap())
    }

    pub(crate) async fn lives(&self, containers: &[String]) -> BTreeMap<String, (String, String)> {
        let mut lives = BTreeMap::new();
        for container in containers {
            lives.insert(container.clone(), self.life(container).await);
        }
        lives
    }

    /// The names of the agents that there are.
    pub(crate) async fn agents(&self) -> Vec<String> {
        let listed = self.site.get("/v1/agents").await;
        listed["agents"].as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until there are these agents.
    pub(crate) async fn has_agents(&self, expected: &[&str]) {
        eventually(&format!("the agents are {expected:?}"), async || (self.agents().await == expected).then_some(()))
            .await;
    }

    pub(crate) async fn discovered(&self, agent: &str) -> Value {
        self.site.event("agent.discovered", |event| event["agent"] == agent).await
    }

    pub(crate) async fn gone(&self, agent: &str) -> Value {
        self.site.event("agent.gone", |event| event["agent"] == agent).await
    }

    /// What the API says is wrong with containers; that the images of tests are marked is known.
    pub(crate) async fn problems(&self) -> Vec<Value> {
        let listed = self.site.get("/v1/agents").await;
        let problems = listed["container_problems"].as_array().unwrap().iter();
        problems.filter(|problem| problem["label"] != LABEL).cloned().collect()
    }

    /// A limit in this generation is reported, and the agent is moved.
    pub(crate) async fn moves(&self, agent: &str, generation: u64) {
        let answer = self.site.report(agent, &json!({"kind": "rate_limit", "generation": generation})).await;
        assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
        let is_it = |event: &Value| event["agent"] == agent && event["generation"] == generation + 1;
        let done = self.site.event("switch.completed", is_it).await;
        assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
    }

    /// Whether the store knows how far the log of this agent was read.
    pub(crate) fn has_read_the_log_of(&self, agent: &str) -> bool {
        let database = self.site.folder.path("state/switchman.db");
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let counted =
            connection.query_row("SELECT count(*) FROM logs WHERE agent = ?1", [agent], |row| row.get::<_, i64>(0));
        counted.unwrap() == 1
    }

    /// Asserts what an agent runs on.
    pub(crate) async fn is_on(&self, agent: &str, subscription: &str, generation: u64) {
        eventually("it is an agent", async || self.agents().await.iter().any(|name| name == agent).then_some(())).await;
        let now = self.site.serving(agent).await;
        assert_eq!(
            (&now["assignment"]["subscription"], &now["assignment"]["generation"]),
            (&json!(subscription), &json!(generation)),
            "{now:#}"
        );
    }
}
