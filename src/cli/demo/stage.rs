//! What the demo is played on: a folder with credentials, a config and a provider, and the daemon as a child.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::cli::Environment;

/// How long the daemon may take to end; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(15);

const SUBSCRIPTIONS: [&str; 3] = ["max-a", "max-b", "max-c"];

/// The set stage.
pub(super) struct Stage {
    dir: PathBuf,
    daemon: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Stage {
    pub(super) fn set(environment: &Environment) -> io::Result<Self> {
        let dir = (environment.variables)("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let dir = dir.join(format!("switchman-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let daemon = Self::raise(&dir).inspect_err(|_| remove(&dir))?;
        Ok(daemon)
    }

    fn raise(dir: &Path) -> io::Result<Self> {
        fs::create_dir(dir.join("provider"))?;
        for name in SUBSCRIPTIONS {
            write(&dir.join(name), &credential(name))?;
        }
        let program = std::env::current_exe()?;
        write(&dir.join("config.toml"), &config(dir, &program))?;
        let mut daemon = Command::new(program)
            .arg("--config")
            .arg(dir.join("config.toml"))
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Whoever interrupts the demo interrupts the demo; the daemon is ended in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let log = daemon.stderr.take().ok_or_else(|| io::Error::other("the daemon has no log"))?;
        Ok(Self { dir: dir.to_owned(), daemon, log: BufReader::new(log).lines() })
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// From now on every turn on this subscription fails.
    pub(super) fn hit_limit(&self, subscription: &str) -> io::Result<()> {
        write(&self.dir.join("provider").join(credential(subscription)), "limited")
    }

    /// The next line of the daemon's log; `None` when it has ended.
    pub(super) async fn next_line(&mut self) -> io::Result<Option<String>> {
        self.log.next_line().await
    }

    /// Ends the daemon, and with it its agents, and removes everything.
    pub(super) async fn strike(mut self) {
        let pid = self.daemon.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let is_told = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let has_ended = {
            let end = async {
                // Its last lines: a daemon that cannot write its log waits.
                while let Ok(Some(_)) = self.log.next_line().await {}
                self.daemon.wait().await
            };
            is_told && matches!(tokio::time::timeout(END_WITHIN, end).await, Ok(Ok(_)))
        };
        if !has_ended && let Err(why) = self.daemon.kill().await {
            tracing::debug!("the daemon of the demo could not be killed: {why}");
        }
        remove(&self.dir);
    }
}

fn remove(dir: &Path) {
    if let Err(why) = fs::remove_dir_all(dir) {
        tracing::debug!("{} stays: {why}", dir.display());
    }
}

fn credential(subscription: &str) -> String {
    format!("demo-{subscription}")
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}

fn config(dir: &Path, program: &Path) -> String {
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let daemon = format!(
        "state_dir = {}\n[api]\nsocket = {}\n[log]\nformat = \"json\"\n",
        quoted(&dir.join("state")),
        quoted(&dir.join("socket"))
    );
    let subscription = |name: &str| {
        let file = quoted(&dir.join(name));
        format!("[[subscription]]\nname = \"{name}\"\nprovider = \"anthropic\"\ncredential = {{ file = {file} }}\n")
    };
    let agent = |name: &str| {
        let (program, provider) = (quoted(program), quoted(&dir.join("provider")));
        format!(
            "[[agent]]\nname = \"{name}\"\ntool = \"claude-code\"\nstop_grace = \"5s\"\n\
             process = {{ command = [{program}, \"demo-agent\", {provider}] }}\n\
             delivery = {{ env = \"DEMO_CREDENTIAL\" }}\n"
        )
    };
    let sections = SUBSCRIPTIONS.iter().map(|name| subscription(name)).chain([super::AGENT, "reviewer"].map(agent));
    sections.fold(daemon, |text, section| text + &section)
}
