//! An agent in a container of a private engine, a daemon that may see the engine through a proxy, and a hand that
//! reaches the engine past both.

use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::query_parameters::{LogsOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder};
use futures_util::StreamExt;
use serde_json::{Value, json};
use switchman::drivers::fingerprint::fingerprint;

use crate::engine::{Shape, TestEngine, fresh_name};
use crate::engine_proxy::{Call, EngineProxy};
use crate::http::Answered;
use crate::private_engine::{EngineOptions, PrivateEngine};
use crate::program::eventually;
use crate::setup::{CONTAINER_FOLDER, Place, Setup, write_secret};
use crate::site::Site;

/// The agent in the container.
pub(crate) const ONE: &str = "one";
/// The agent that is a child of the daemon, where there is one.
pub(crate) const OTHER: &str = "other";

/// How a dock is laid out.
pub(crate) struct Plan {
    pub(crate) options: EngineOptions,
    /// Whether the daemon sees the engine through the proxy.
    pub(crate) through_proxy: bool,
    pub(crate) has_other: bool,
    /// `None`: the container's own.
    pub(crate) stop_grace: Option<&'static str>,
    /// The container's own stop timeout.
    pub(crate) stop_timeout_s: Option<i64>,
    /// The health check of the container says healthy while this path exists in it.
    pub(crate) healthy_if: Option<&'static str>,
    /// Lines of `[switching]` besides the usual ones.
    pub(crate) switching: &'static str,
    /// Whether the daemon is started and everybody works.
    pub(crate) is_running: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            options: EngineOptions::default(),
            through_proxy: true,
            has_other: false,
            stop_grace: Some("1s"),
            stop_timeout_s: None,
            healthy_if: None,
            switching: "",
            is_running: true,
        }
    }
}

/// What the engine shows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) started_at: String,
    pub(crate) is_running: bool,
    pub(crate) exit_code: i64,
}

/// All of it.
pub(crate) struct Dock {
    pub(crate) site: Site,
    pub(crate) engine: TestEngine,
    pub(crate) proxy: EngineProxy,
    pub(crate) private: PrivateEngine,
    pub(crate) container: String,
    healthy_if: Option<&'static str>,
    stop_timeout_s: Option<i64>,
}

impl Dock {
    /// The container runs on `a`, and the daemon has taken it over.
    pub(crate) async fn running() -> Self {
        Self::set(Plan::default()).await
    }

    pub(crate) async fn set(plan: Plan) -> Self {
        let private = PrivateEngine::start(plan.options).await;
        let proxy = EngineProxy::before(&private.socket()).await;
        let engine = TestEngine::at(&private.host()).await;
        let container = fresh_name(ONE);
        let agents: &[&str] = if plan.has_other { &[ONE, OTHER] } else { &[ONE] };
        let mut setup = Setup::new(if plan.has_other { &["a", "b", "c", "d"] } else { &["a", "b"] }, agents)
            .switching(&format!("budget = {{ switches = 100, per = \"1h\" }}\nsettle = \"1s\"\n{}", plan.switching));
        setup.agents[0].place = Place::Container(container.clone());
        let grace = plan.stop_grace.map(|grace| format!("stop_grace = {grace:?}\n")).unwrap_or_default();
        setup.agents[0].lines = format!("{grace}subscriptions = [\"a\", \"b\"]\n");
        if plan.has_other {
            "stop_grace = \"1s\"
subscriptions = [\"c\", \"d\"]
"
            .clone_into(&mut setup.agents[1].lines);
        }
        let host = if plan.through_proxy { proxy.host() } else { private.host() };
        setup.docker = format!("host = \"{host}\"\ntimeout = \"1s\"\n");
        let site = Site::new(setup);
        let mut dock = Self {
            site,
            engine,
            proxy,
            private,
            container,
            healthy_if: plan.healthy_if,
            stop_timeout_s: plan.stop_timeout_s,
        };
        dock.deliver("a");
        dock.put_container().await;
        dock.start_by_hand().await;
        dock.started(1).await;
        if plan.is_running {
            dock.site.start().await;
            dock.site.serving(ONE).await;
            if plan.has_other {
                dock.site.serving(OTHER).await;
            }
        }
        dock
    }

    /// Puts the credential of a subscription where the container finds it.
    pub(crate) fn deliver(&self, subscription: &str) {
        write_secret(&self.site.folder.home(ONE).join("credential"), &self.site.folder.credential(subscription));
    }

    pub(crate) fn delivered(&self) -> String {
        let content = std::fs::read_to_string(self.site.folder.home(ONE).join("credential")).unwrap();
        content.trim_end().to_owned()
    }

    /// Makes a container under the agent's name; it is not started.
    pub(crate) async fn put_container(&mut self) {
        let inside = |name: &str| format!("{CONTAINER_FOLDER}/{name}");
        let shape = Shape {
            arguments: vec!["--credential-file".into(), inside("credential"), "--control".into(), inside("control")],
            binds: vec![(self.site.folder.home(ONE), CONTAINER_FOLDER)],
            healthy_if: self.healthy_if,
            stop_timeout_s: self.stop_timeout_s,
            ..Shape::default()
        };
        self.engine.create(&self.container.clone(), &shape).await;
    }

    pub(crate) async fn start_by_hand(&self) {
        self.engine.client.start_container(&self.container, None).await.expect("start a container");
    }

    pub(crate) async fn stop_by_hand(&self) {
        let options = StopContainerOptionsBuilder::default().t(1).build();
        self.engine.client.stop_container(&self.container, Some(options)).await.expect("stop a container");
    }

    pub(crate) async fn restart_by_hand(&self) {
        let options = RestartContainerOptionsBuilder::default().t(1).build();
        self.engine.client.restart_container(&self.container, Some(options)).await.expect("restart a container");
    }

    /// The container under this name or id; `None` if there is none.
    pub(crate) async fn look_at(&self, container: &str) -> Option<Seen> {
        let found = self.engine.client.inspect_container(container, None).await.ok()?;
        let state = found.state.unwrap();
        Some(Seen {
            id: found.id.unwrap(),
            started_at: state.started_at.unwrap(),
            is_running: state.running.unwrap(),
            exit_code: state.exit_code.unwrap(),
        })
    }

    /// The agent's container.
    pub(crate) async fn seen(&self) -> Seen {
        self.look_at(&self.container).await.expect("the container is there")
    }

    /// What the agent said at each of its starts in this container.
    pub(crate) async fn starts_in(&self, container: &str) -> Vec<Value> {
        let options = LogsOptionsBuilder::default().stdout(true).build();
        let mut output = self.engine.client.logs(container, Some(options));
        let mut text = Vec::new();
        while let Some(Ok(piece)) = output.next().await {
            text.extend(piece.into_bytes());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let said = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        said.filter(|said| said["subtype"] == "init").collect()
    }

    pub(crate) async fn starts(&self) -> Vec<Value> {
        self.starts_in(&self.container).await
    }

    /// Waits until the agent has been started so often; it must not have been more often.
    pub(crate) async fn started(&self, times: usize) {
        let starts = eventually(&format!("it was started {times} times"), async || {
            let starts = self.starts().await;
            (starts.len() >= times).then_some(starts)
        })
        .await;
        assert_eq!(starts.len(), times, "it was started too often: {starts:#?}");
    }

    /// The newest start was on this subscription's credential.
    pub(crate) async fn runs_on(&self, subscription: &str) {
        let newest = self.starts().await.pop().expect("it was started");
        let credential = fingerprint(self.site.folder.credential(subscription).as_bytes());
        assert_eq!(newest["credential_fingerprint"], credential.0.as_str(), "not on {subscription}: {newest:#}");
    }

    /// Reports a failure in this generation.
    pub(crate) async fn fail(&self, generation: u64) -> Answered {
        self.fail_as(ONE, generation).await
    }

    pub(crate) async fn fail_as(&self, agent: &str, generation: u64) -> Answered {
        self.site.report(agent, &json!({"kind": "rate_limit", "generation": generation})).await
    }

    /// Reports a failure, which starts a switch.
    pub(crate) async fn fail_and_switch(&self, generation: u64) {
        let answer = self.fail(generation).await;
        assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    }

    /// Waits for the end of the switch to this generation, as the log tells it in this life of the daemon.
    pub(crate) async fn completed(&self, generation: u64) -> Value {
        let is_it = |event: &Value| event["agent"] == ONE && event["generation"] == generation;
        self.site.event("switch.completed", is_it).await
    }

    /// The only switch there was, with this outcome and so many restarts.
    pub(crate) async fn only_switch(&self, outcome: &str, restarts: u32) -> Value {
        let switches = self.site.switches(ONE).await;
        assert_eq!(switches.len(), 1, "{switches:#?}");
        assert_eq!(
            (&switches[0]["outcome"], &switches[0]["restarts"]),
            (&json!(outcome), &json!(restarts)),
            "{switches:#?}"
        );
        switches[0].clone()
    }

    /// Makes a subscription fit for use again.
    pub(crate) async fn forgive(&self, subscription: &str) {
        let path = format!("/v1/subscriptions/{subscription}/cooldown");
        let cleared = self.site.call("DELETE", &path, None).await;
        assert_eq!(cleared.status, 200, "{}", cleared.text);
    }

    /// Where an agent is now: its subscription and generation.
    pub(crate) async fn assignment(&self, agent: &str) -> (String, u64) {
        let now = self.site.agent(agent).await;
        let assignment = &now["assignment"];
        let subscription = assignment["subscription"].as_str().unwrap_or_else(|| panic!("nowhere: {now:#}"));
        (subscription.to_owned(), assignment["generation"].as_u64().unwrap())
    }

    /// Waits until the daemon has seen the agent's container in this state.
    pub(crate) async fn noticed(&self, state: &str) -> Value {
        eventually(&format!("the container is seen {state}"), async || {
            let now = self.site.agent(ONE).await;
            (now["runtime"]["state"] == state).then_some(now)
        })
        .await
    }

    /// The calls of a switch by their number: 0 is the look before the credential of `to` is in place, the others are
    /// counted from then on. Before, the daemon may look for reasons of its own.
    pub(crate) fn call_of_switch(&self, number: usize, to: &str) -> impl Fn(&Call) -> bool + Send + use<> {
        let (file, new) = (self.site.folder.home(ONE).join("credential"), self.site.folder.credential(to));
        let seen = AtomicUsize::new(0);
        move |call| {
            if !call.is_work() {
                return false;
            }
            let is_in_place = std::fs::read_to_string(&file).is_ok_and(|content| content.trim_end() == new);
            let this = if is_in_place { seen.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            this == number
        }
    }

    /// The orders that the engine was sent since there were so many calls.
    pub(crate) fn orders(&self, since: usize) -> Vec<String> {
        self.proxy.since(since).into_iter().filter(Call::is_order).map(|call| call.line).collect()
    }
}
