//! What the demo is played on: a folder with credentials, a config and a provider, the daemon as a child, and its
//! agents: children of the daemon, or containers.
//!
//! Whoever opened a stage strikes it, however the play went; then nothing of it is left.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::containers::{CREDENTIAL, Containers};
use super::{failed, folder};
use crate::cli::Environment;
use crate::drivers::process::Maker;
use crate::error::Failure;

/// How long the daemon may take to end; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(15);

const SUBSCRIPTIONS: [&str; 3] = ["max-a", "max-b", "max-c"];
const AGENTS: [&str; 2] = [super::AGENT, "reviewer"];

/// The stage, set or not.
pub(super) struct Stage {
    dir: PathBuf,
    containers: Option<Containers>,
    daemon: Option<Daemon>,
}

struct Daemon {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

fn not_set(why: impl std::fmt::Display) -> Failure {
    failed(format!("cannot set the stage: {why}"))
}

impl Stage {
    /// Finds what is needed, and a place; nothing runs yet.
    pub(super) async fn open(environment: &Environment, has_containers: bool) -> Result<Self, Failure> {
        let maker = Maker::own().ok_or_else(|| not_set("/proc cannot be read"))?;
        let run = folder::run_of(&maker);
        let under = (environment.variables)("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        folder::sweep(&under, &maker);
        let containers = if has_containers { Some(Containers::open(environment, &run, &maker).await?) } else { None };
        let dir = folder::make(&under, &run, &maker).map_err(not_set)?;
        Ok(Self { dir, containers, daemon: None })
    }

    /// Starts the containers, if there are any, and the daemon.
    pub(super) async fn set(&mut self) -> Result<(), Failure> {
        self.write().map_err(not_set)?;
        if let Some(containers) = &self.containers {
            let agents = AGENTS.map(|agent| (agent, self.home(agent)));
            containers.start(&agents, &self.provider()).await.map_err(not_set)?;
        }
        self.daemon = Some(self.raise().map_err(not_set)?);
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir(self.provider())?;
        for name in SUBSCRIPTIONS {
            folder::write(&self.dir.join(name), &credential(name))?;
        }
        if self.containers.is_some() {
            for (agent, subscription) in AGENTS.iter().zip(SUBSCRIPTIONS) {
                DirBuilder::new().mode(0o700).create(self.home(agent))?;
                folder::write(&self.home(agent).join(CREDENTIAL), &credential(subscription))?;
            }
        }
        let program = std::env::current_exe()?;
        folder::write(&self.config(), &self.config_text(&program))
    }

    fn raise(&self) -> io::Result<Daemon> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--config")
            .arg(self.config())
            .arg("demo-daemon")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Whoever interrupts the demo interrupts the demo; the daemon is ended in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let log = child.stderr.take().ok_or_else(|| io::Error::other("the daemon has no log"))?;
        Ok(Daemon { child, log: BufReader::new(log).lines() })
    }

    pub(super) fn has_containers(&self) -> bool {
        self.containers.is_some()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    fn provider(&self) -> PathBuf {
        self.dir.join("provider")
    }

    /// The folder that the container of an agent has its credential in.
    fn home(&self, agent: &str) -> PathBuf {
        self.dir.join(format!("agent-{agent}"))
    }

    /// From now on every turn on this subscription fails.
    pub(super) fn hit_limit(&self, subscription: &str) -> io::Result<()> {
        folder::write(&self.provider().join(credential(subscription)), "limited")
    }

    /// The next line of the daemon's log; `None` when it has ended.
    pub(super) async fn next_line(&mut self) -> io::Result<Option<String>> {
        match &mut self.daemon {
            Some(daemon) => daemon.log.next_line().await,
            None => Ok(None),
        }
    }

    /// Ends the daemon, and with it the agents that are its children, and removes everything.
    pub(super) async fn strike(mut self) -> Result<(), Failure> {
        if let Some(daemon) = self.daemon.take() {
            daemon.end().await;
        }
        let removed = match &self.containers {
            Some(containers) => containers.remove().await,
            None => Ok(()),
        };
        folder::remove(&self.dir);
        removed.map_err(|why| failed(format!("the demo cannot clean up: {why}")))
    }

    fn config_text(&self, program: &Path) -> String {
        let mut text = vec![format!(
            "state_dir = {}\n[api]\nsocket = {}\n[log]\nformat = \"json\"\n",
            quoted(&self.dir.join("state")),
            quoted(&self.socket())
        )];
        text.extend(self.containers.iter().map(|found| format!("[docker]\nhost = \"{}\"\n", found.host())));
        text.extend(SUBSCRIPTIONS.map(|name| {
            let file = quoted(&self.dir.join(name));
            format!("[[subscription]]\nname = \"{name}\"\nprovider = \"anthropic\"\ncredential = {{ file = {file} }}\n")
        }));
        text.extend(AGENTS.map(|name| {
            let place = self.place_of(name, program);
            format!("[[agent]]\nname = \"{name}\"\ntool = \"claude-code\"\nstop_grace = \"5s\"\n{place}")
        }));
        text.concat()
    }

    /// Where an agent runs, and how it gets its credential.
    fn place_of(&self, agent: &str, program: &Path) -> String {
        if let Some(containers) = &self.containers {
            let file = quoted(&self.home(agent).join(CREDENTIAL));
            return format!("container = \"{}\"\ndelivery = {{ file = {file} }}\n", containers.name(agent));
        }
        let (program, provider) = (quoted(program), quoted(&self.provider()));
        format!(
            "process = {{ command = [{program}, \"demo-agent\", {provider}] }}\n\
             delivery = {{ env = \"DEMO_CREDENTIAL\" }}\n"
        )
    }
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

impl Daemon {
    async fn end(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let is_told = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let has_ended = {
            let end = async {
                // Its last lines: a daemon that cannot write its log waits.
                while let Ok(Some(_)) = self.log.next_line().await {}
                self.child.wait().await
            };
            is_told && matches!(tokio::time::timeout(END_WITHIN, end).await, Ok(Ok(_)))
        };
        if !has_ended && let Err(why) = self.child.kill().await {
            tracing::debug!("the daemon of the demo could not be killed: {why}");
        }
    }
}

fn credential(subscription: &str) -> String {
    format!("demo-{subscription}")
}
