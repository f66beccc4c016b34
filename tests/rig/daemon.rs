//! One life of the real daemon: a child process whose log is collected line by line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::watch;

/// No fact that a scenario waits for takes longer than this on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_switchman");

/// A command that sees nothing of the surroundings of the test.
pub(crate) fn binary(config: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    // Besides, what a rig has laid beside the config: one variable in each line.
    let more = std::fs::read_to_string(config.with_file_name("environment")).unwrap_or_default();
    command.envs(more.lines().filter_map(|line| line.split_once('=')));
    command.arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// The lines that one life of the daemon has written.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    /// How many there are, and whether there will be no more.
    grown: watch::Receiver<(usize, bool)>,
}

impl Log {
    fn of(stream: impl std::io::Read + Send + 'static) -> Self {
        let (grow, grown) = watch::channel((0, false));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).into_owned();
                let value = serde_json::from_str(&text).unwrap_or_else(|_| json!({"event": "plain", "text": text}));
                let count = {
                    let mut lines = kept.lock().unwrap();
                    lines.push(value);
                    lines.len()
                };
                grow.send_replace((count, false));
            }
            grow.send_modify(|(_, ended)| *ended = true);
        });
        Self { lines, grown }
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines as they stand in the log.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }

    /// Resolves with the first such line, or with nothing when the log has ended without one.
    async fn first(&self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut grown = self.grown.clone();
        let mut looked_at = 0;
        loop {
            let (count, ended) = *grown.borrow_and_update();
            let found = self.lines.lock().unwrap()[looked_at..count].iter().find(|line| is_it(line)).cloned();
            if found.is_some() || ended {
                return found;
            }
            looked_at = count;
            if grown.changed().await.is_err() && grown.borrow().0 == looked_at {
                return None;
            }
        }
    }

    /// Waits for an event.
    pub(crate) async fn event(&self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let looking = self.first(|line| line["event"] == name && is_it(line));
        let looked = tokio::time::timeout(LONG, looking).await;
        let found = looked.unwrap_or_else(|_| panic!("no {name} within {} s", LONG.as_secs()));
        found.unwrap_or_else(|| panic!("the daemon ended without {name}"))
    }

    /// Resolves when whoever wrote it has closed it.
    async fn ended(&self) {
        let mut grown = self.grown.clone();
        let waiting = grown.wait_for(|(_, ended)| *ended);
        let _writer_is_gone = tokio::time::timeout(LONG, waiting).await.expect("the daemon ends").is_err();
    }
}

/// A running daemon. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pub(crate) log: Log,
}

impl Daemon {
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = binary(config);
        // Like the environment: what a rig has laid beside the config is what it is fed with.
        let input = std::fs::File::open(config.with_file_name("stdin")).map_or_else(|_| Stdio::null(), Stdio::from);
        let mut child = command.arg("run").stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        Self { child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).expect("signal the daemon");
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        self.log.ended().await;
        self.child.wait().unwrap()
    }

    /// Ends it from where nothing can be awaited.
    pub(crate) fn end_now(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        self.signal(Signal::TERM);
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        if !gone_within(pid, Duration::from_secs(20)) {
            self.child.kill().unwrap();
        }
        self.child.wait().unwrap();
    }
}

/// Waits on a process descriptor.
fn gone_within(pid: Pid, patience: Duration) -> bool {
    let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return true };
    let (told, tells) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let status = rustix::process::waitid(
            rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&process)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        );
        let _nobody_waits = told.send(status.is_ok()).is_err();
    });
    tells.recv_timeout(patience).is_ok()
}
