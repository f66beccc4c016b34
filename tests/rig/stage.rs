//! A site with agents that run already on subscription `a` or, as children, wherever the daemon put them; and what a
//! scenario does with them, wherever they run.

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchman::drivers::fingerprint::fingerprint;

use crate::engine::{Shape, TestEngine, fresh_name, host};
use crate::http::Answered;
use crate::processes::AgentProcess;
use crate::program::eventually;
use crate::setup::{CONTAINER_FOLDER, Place, Setup, write_secret};
use crate::site::Site;

/// Where the agents of a scenario run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Children,
    ChildrenWithFiles,
    Containers,
}

/// Agents that work.
pub(crate) struct Stage {
    pub(crate) site: Site,
    /// Who removes the containers, after the daemon has gone.
    _engine: Option<TestEngine>,
    containers: Vec<(String, String)>,
}

impl Stage {
    /// Everybody works: containers on `a`, children wherever the daemon put them.
    pub(crate) async fn set(ground: Ground, mut setup: Setup) -> Self {
        let mut containers = Vec::new();
        for agent in &mut setup.agents {
            agent.place = match ground {
                Ground::Children => Place::Child,
                Ground::ChildrenWithFiles => Place::ChildWithFile,
                Ground::Containers => {
                    let container = fresh_name(&agent.name);
                    containers.push((agent.name.clone(), container.clone()));
                    Place::Container(container)
                }
            };
        }
        if ground == Ground::Containers {
            setup.docker = format!("host = {:?}\n", host().to_string());
        }
        let agents: Vec<String> = setup.agents.iter().map(|agent| agent.name.clone()).collect();
        let mut site = Site::new(setup);
        let engine = if ground == Ground::Containers { Some(start_containers(&site, &containers).await) } else { None };
        site.start().await;
        for agent in &agents {
            site.serving(agent).await;
        }
        let stage = Self { site, _engine: engine, containers };
        for agent in &agents {
            stage.started(agent, 1).await;
        }
        stage
    }

    /// The name of its container; a child has none.
    pub(crate) fn container(&self, agent: &str) -> Option<&str> {
        self.containers.iter().find(|(name, _)| name == agent).map(|(_, container)| container.as_str())
    }

    /// What the agent said at each of its starts.
    pub(crate) async fn starts(&self, agent: &str) -> Vec<Value> {
        let Some(container) = self.container(agent) else { return self.site.starts(agent) };
        let output = docker(&["logs", container]).await;
        let said = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        said.filter(|said| said["subtype"] == "init").collect()
    }

    /// Waits until the agent has been started so often; it must not have been more often.
    pub(crate) async fn started(&self, agent: &str, times: usize) -> Vec<Value> {
        let starts = eventually(&format!("{agent} was started {times} times"), async || {
            let starts = self.starts(agent).await;
            (starts.len() >= times).then_some(starts)
        })
        .await;
        assert_eq!(starts.len(), times, "{agent} was started too often: {starts:#?}");
        starts
    }

    /// Waits until the newest start of an agent was on this subscription's credential: an agent that is started says so
    /// a moment later.
    pub(crate) async fn runs_on(&self, agent: &str, subscription: &str) {
        let credential = fingerprint(self.site.folder.credential(subscription).as_bytes());
        eventually(&format!("{agent} runs on {subscription}"), async || {
            let newest = self.starts(agent).await.pop()?;
            (newest["credential_fingerprint"] == credential.0.as_str()).then_some(())
        })
        .await;
    }

    /// Ends an agent as the kernel does.
    pub(crate) async fn kill(&self, agent: &str) {
        if let Some(container) = self.container(agent) {
            docker(&["kill", container]).await;
            return;
        }
        let processes = self.site.processes();
        let of_it = processes.iter().filter(|process| process.variable("SWITCHMAN_AGENT") == agent);
        of_it.for_each(AgentProcess::kill);
    }

    /// So many reports at the same time, all of failures in this generation.
    pub(crate) async fn burst(&self, agent: &str, times: usize, generation: u64) -> Vec<Answered> {
        let report = json!({"kind": "rate_limit", "generation": generation});
        join_all((0..times).map(|_| self.site.report(agent, &report))).await
    }

    /// Asserts that only this subscription has failed or is out of use.
    pub(crate) async fn only_failed(&self, subscription: &str) {
        for failure in self.site.failures("").await {
            assert_eq!(failure["subscription"], subscription, "{failure:#}");
        }
        let listed = self.site.get("/v1/subscriptions").await;
        for other in listed["subscriptions"].as_array().unwrap() {
            if other["name"] != subscription {
                assert_eq!(other["cooldown"], Value::Null, "{other:#}");
                assert_eq!(other["cooling_for"], json!({}), "{other:#}");
                assert_eq!(other["quarantined"], Value::Null, "{other:#}");
                assert_eq!(other["suspect"], false, "{other:#}");
                assert_eq!(other["failures"]["recent"], 0, "{other:#}");
            }
        }
    }
}

async fn start_containers(site: &Site, containers: &[(String, String)]) -> TestEngine {
    let mut engine = TestEngine::new().await;
    for (agent, container) in containers {
        let home = site.folder.home(agent);
        write_secret(&home.join("credential"), &site.folder.credential("a"));
        let inside = |name: &str| format!("{CONTAINER_FOLDER}/{name}");
        let shape = Shape {
            arguments: vec!["--credential-file".into(), inside("credential"), "--control".into(), inside("control")],
            binds: vec![(home, CONTAINER_FOLDER)],
            ..Shape::default()
        };
        engine.create(container, &shape).await;
        docker(&["start", container]).await;
    }
    engine
}

/// Runs the engine's own client.
pub(crate) async fn docker(arguments: &[&str]) -> String {
    let host = host().to_string();
    let output = tokio::process::Command::new("docker").args(["--host", &host]).args(arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// How often each outcome was answered.
pub(crate) fn outcomes(answers: &[Answered]) -> std::collections::BTreeMap<String, usize> {
    let mut outcomes = std::collections::BTreeMap::new();
    for answer in answers {
        let outcome = answer.body["outcome"].as_str().unwrap_or_else(|| panic!("no outcome: {}", answer.text));
        *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
    }
    outcomes
}
