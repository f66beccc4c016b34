//! A place where the real daemon runs: its folder, its lives, its receiver of notifications, and what was seen of
//! it all. When it is dropped, nothing of it is left, and no credential must have been seen anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "whoever looks at a failure needs the daemon's log")]

use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::daemon::{Daemon, LONG, Log, binary};
use super::hook::Hook;
use super::http::{self, Answered};
use super::processes::{AgentProcess, agents_of, arguments_of};
use super::program::{command, eventually};
use super::setup::{Folder, Setup};

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A daemon and its surroundings.
pub(crate) struct Site {
    daemon: Option<Daemon>,
    /// The logs of all of its lives, the present one last.
    logs: Vec<Log>,
    pub(crate) hook: Hook,
    /// Everything that was answered or could be read by others.
    seen: Mutex<String>,
    setup: Setup,
    // Removed last.
    pub(crate) folder: Folder,
}

impl Site {
    /// Everything is in place; the daemon does not run yet.
    pub(crate) fn new(setup: Setup) -> Self {
        let (folder, hook) = (Folder::new(), Hook::listen());
        folder.lay_out(&setup, &hook.url());
        Self { daemon: None, logs: Vec::new(), hook, seen: Mutex::default(), setup, folder }
    }

    /// The daemon runs and takes reports.
    pub(crate) async fn start(&mut self) {
        self.launch();
        self.log().event("daemon.ready", |_| true).await;
    }

    /// The daemon is started; what comes of it is up to the caller.
    pub(crate) fn launch(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        let daemon = Daemon::start(&self.folder.config());
        self.logs.push(daemon.log.clone());
        self.daemon = Some(daemon);
    }

    /// The log of the daemon's present life, or of its last one.
    pub(crate) fn log(&self) -> &Log {
        self.logs.last().expect("the daemon was started")
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// Waits for an event in the daemon's present life.
    pub(crate) async fn event(&self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.log().event(name, is_it).await
    }

    /// The events of this name in all of its lives.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.logs.iter().flat_map(Log::lines).filter(|line| line["event"] == name).collect()
    }

    /// An orderly stop.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.look_at_arguments();
        self.daemon().signal(Signal::TERM);
        self.exited().await
    }

    /// As if the machine had taken it away.
    pub(crate) async fn kill(&mut self) {
        self.daemon().signal(Signal::KILL);
        self.exited().await;
    }

    /// Waits for the end of the daemon, whoever causes it.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        daemon.exited().await
    }

    /// A request; `None` if the daemon went away before it had answered.
    pub(crate) async fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answered> {
        self.try_call_with(method, path, &[], body).await
    }

    /// The same with these headers, each as `Name: value`.
    pub(crate) async fn try_call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[String],
        body: Option<&Value>,
    ) -> Option<Answered> {
        let answered = http::call(&self.folder.socket(), method, path, headers, body).await.ok()?;
        self.seen.lock().unwrap().push_str(&answered.text);
        Some(answered)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answered {
        let answered = self.try_call(method, path, body).await;
        answered.unwrap_or_else(|| panic!("the daemon does not answer {method} {path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answered = self.call("GET", path, None).await;
        assert_eq!(answered.status, 200, "GET {path}: {}", answered.text);
        answered.body
    }

    /// Reports a failure of an agent; the answer has the status beside it.
    pub(crate) async fn report(&self, agent: &str, report: &Value) -> Answered {
        self.call("POST", &format!("/v1/agents/{agent}/failures"), Some(report)).await
    }

    pub(crate) async fn agent(&self, agent: &str) -> Value {
        self.get(&format!("/v1/agents/{agent}")).await
    }

    /// Waits until the agent runs and nothing is under way; then how it is.
    pub(crate) async fn serving(&self, agent: &str) -> Value {
        eventually(&format!("{agent} serves"), async || {
            let now = self.agent(agent).await;
            let is_settled = now["phase"] == "serving" && now["runtime"]["state"] == "running";
            (is_settled && !now["assignment"].is_null()).then_some(now)
        })
        .await
    }

    /// The switches of an agent that moved it or were to, newest first; not the starts with the daemon.
    pub(crate) async fn switches(&self, agent: &str) -> Vec<Value> {
        let listed = self.get(&format!("/v1/switches?agent={agent}&limit=500")).await;
        assert_eq!(listed["next"], Value::Null, "there are more than one page");
        let switches = listed["switches"].as_array().unwrap().iter();
        switches.filter(|switch| switch["kind"] == "switch").cloned().collect()
    }

    /// The recorded failures, of one agent or of all (an empty name).
    pub(crate) async fn failures(&self, agent: &str) -> Vec<Value> {
        let of = if agent.is_empty() { String::new() } else { format!("&agent={agent}") };
        let listed = self.get(&format!("/v1/failures?limit=500{of}")).await;
        assert_eq!(listed["next"], Value::Null, "there are more than one page");
        listed["failures"].as_array().unwrap().clone()
    }

    pub(crate) async fn subscription(&self, name: &str) -> Value {
        let listed = self.get("/v1/subscriptions").await;
        let all = listed["subscriptions"].as_array().unwrap();
        all.iter().find(|subscription| subscription["name"] == name).unwrap().clone()
    }

    /// Runs a command of the command line to its end.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> Printed {
        let mut command = tokio::process::Command::from(binary(&self.folder.config()));
        let running = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = tokio::time::timeout(LONG, running).await.expect("the command ends").unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        self.seen.lock().unwrap().extend([&*stdout, &*stderr]);
        Printed { code: output.status.code().expect("it was not killed"), stdout, stderr }
    }

    /// Tells an agent to behave in some way; resolves when it does.
    pub(crate) async fn tell(&self, agent: &str, what: &str) {
        assert_eq!(command(&self.folder.control(agent), what).await, "ok", "{agent}: {what}");
    }

    /// The starts of an agent that is a child: what it said when it began, in order.
    pub(crate) fn starts(&self, agent: &str) -> Vec<Value> {
        let said = |line: &Value| {
            let is_it = line["agent"] == agent && line["stream"] == "stdout";
            let said: Value = serde_json::from_str(line["text"].as_str().filter(|_| is_it)?).ok()?;
            (said["subtype"] == "init").then_some(said)
        };
        self.events("agent.output").iter().filter_map(said).collect()
    }

    /// The children of the daemon that are alive.
    pub(crate) fn processes(&self) -> Vec<AgentProcess> {
        agents_of(&self.folder.socket())
    }

    fn look_at_arguments(&self) {
        let children = self.processes();
        let pids = children.iter().filter_map(|child| u32::try_from(child.pid).ok());
        let arguments: String = pids.chain(self.daemon.as_ref().map(Daemon::pid)).map(arguments_of).collect();
        self.seen.lock().unwrap().push_str(&arguments);
    }

    fn assert_no_credential_was_seen(&self) {
        let mut places = vec![("an answer, an output or an argument", self.seen.lock().unwrap().clone())];
        places.extend(self.logs.iter().map(|log| ("the log", log.text())));
        places.push(("a notification", json!(self.hook.taken()).to_string()));
        for folder in ["state", "state/children"] {
            let files = std::fs::read_dir(self.folder.path(folder)).into_iter().flatten().flatten();
            for file in files.filter(|entry| entry.path().is_file()) {
                let bytes = std::fs::read(file.path()).unwrap();
                places.push(("the state directory", String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        for subscription in &self.setup.subscriptions {
            let credential = self.folder.credential(&subscription.name);
            for (place, text) in &places {
                assert!(!text.contains(&credential), "the credential of {} is in {place}", subscription.name);
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.look_at_arguments();
        let was_running = self.daemon.is_some();
        if let Some(daemon) = &mut self.daemon {
            daemon.end_now();
        }
        let left = self.processes();
        left.iter().for_each(AgentProcess::kill);
        if std::thread::panicking() {
            for (life, log) in self.logs.iter().enumerate() {
                eprintln!("── log of life {} of the daemon\n{}", life + 1, log.text());
            }
            return;
        }
        assert!(!was_running || left.is_empty(), "an orderly stop left processes behind: {left:?}");
        self.assert_no_credential_was_seen();
    }
}
