//! A Docker Engine that belongs to one test: its own folders, socket, containerd and cgroup, so that it can be stopped,
//! killed and started again beside the engine that everybody else uses.
//!
//! Containers on it have no network; it touches neither bridges nor packet filters. Its layers are plain copies (vfs):
//! nothing is mounted for them, so nothing of a killed engine stays mounted. Whatever it leaves behind is found by the
//! path of its folder, which no other engine has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use switchman::drivers::docker::DockerHost;

use super::daemon::LONG;
use super::http;
use super::program::eventually;

/// How an engine is to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineOptions {
    /// Its containers live on without it.
    pub(crate) live_restore: bool,
    pub(crate) log_driver: &'static str,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { live_restore: false, log_driver: "json-file" }
    }
}

/// An engine of its own. Dropped, it is gone with all that it made.
#[derive(Debug)]
pub(crate) struct PrivateEngine {
    options: EngineOptions,
    child: Option<Child>,
    // Removed last.
    root: tempfile::TempDir,
}

impl PrivateEngine {
    /// Runs and answers.
    pub(crate) async fn start(options: EngineOptions) -> Self {
        let root = tempfile::Builder::new().prefix("sme").tempdir().unwrap();
        let mut engine = Self { options, child: None, root };
        // The settings of the machine's own engine are not for this one.
        std::fs::write(engine.path("settings.json"), "{}").unwrap();
        engine.come_up().await;
        engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("e.sock")
    }

    pub(crate) fn host(&self) -> DockerHost {
        DockerHost::Unix(self.socket().display().to_string())
    }

    /// Its cgroup: the folder's name, which is as unique as the folder.
    fn cgroup(&self) -> String {
        self.root.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Starts it on what it has; resolves when it answers.
    pub(crate) async fn come_up(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        // In a network of its own: an engine without a bridge takes the bridge away that others have.
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd"]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let folder = |name: &str| self.path(name).display().to_string();
        for (name, value) in [
            ("--config-file", folder("settings.json")),
            ("--data-root", folder("data")),
            ("--exec-root", folder("exec")),
            ("--pidfile", folder("pid")),
            ("--host", self.host().to_string()),
            ("--bridge", "none".to_owned()),
            ("--iptables", "false".to_owned()),
            ("--ip6tables", "false".to_owned()),
            ("--storage-driver", "vfs".to_owned()),
            ("--exec-opt", "native.cgroupdriver=cgroupfs".to_owned()),
            ("--cgroup-parent", format!("/{}", self.cgroup())),
            ("--log-driver", self.options.log_driver.to_owned()),
            ("--live-restore", self.options.live_restore.to_string()),
        ] {
            command.arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("these tests run a Docker Engine of their own: no dockerd (apt-get install docker.io): {error}")
        });
        self.child = Some(child);
        let socket = self.socket();
        eventually("the private engine answers", async || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("dockerd ended with {status} (it needs root):\n{}", self.log_end());
            }
            let pinged = http::call(&socket, "GET", "/_ping", &[], None).await;
            pinged.is_ok_and(|answered| answered.status == 200).then_some(())
        })
        .await;
    }

    /// What it said last.
    fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Asks it to end; it takes its time.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(pid_of(child.id()), signal).unwrap();
    }

    /// Resolves when it has ended.
    pub(crate) async fn ended(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
        tokio::time::timeout(LONG, waiting).await.expect("the private engine ends").unwrap();
    }

    /// An orderly stop. Without live restore it ends its containers.
    pub(crate) async fn stop(&mut self) {
        self.ask_to_end();
        self.ended().await;
    }

    /// As if the machine had taken it away; its containers live on until somebody sees to them.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
        let root = self.root.path().to_owned();
        eventually("its containerd ends with it", async || {
            let is_containerd = |process: &OwnProcess| process.arguments.starts_with("containerd ");
            (!processes_of(&root).iter().any(is_containerd)).then_some(())
        })
        .await;
        self.forget_the_dead();
    }

    /// Numbers of processes that have ended but are not yet gone would keep the next engine from starting.
    fn forget_the_dead(&self) {
        for stale in ["pid", "exec/containerd/containerd.pid", "e.sock"] {
            let _it_was_not_there = std::fs::remove_file(self.path(stale)).is_err();
        }
    }

    /// The sockets of the shims stand outside the folder; the folder names them.
    fn shim_sockets(&self) -> Vec<PathBuf> {
        let tasks = self.path("exec/containerd/daemon/io.containerd.runtime.v2.task/moby");
        let tasks = std::fs::read_dir(tasks).into_iter().flatten().flatten();
        let addresses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("address")).ok());
        addresses.filter_map(|address| Some(PathBuf::from(address.trim().strip_prefix("unix://")?))).collect()
    }
}

impl Drop for PrivateEngine {
    /// Also when the test has failed, and whatever state the engine is in.
    fn drop(&mut self) {
        let sockets = self.shim_sockets();
        if let Some(mut child) = self.child.take() {
            let _has_ended = child.kill().is_err();
            child.wait().unwrap();
        }
        let mut rounds = 0;
        loop {
            let left = processes_of(self.root.path());
            if left.is_empty() || rounds == 1000 {
                break;
            }
            rounds += 1;
            for process in left {
                let _has_ended = kill_process(pid_of(process.pid), Signal::KILL).is_err();
            }
            std::thread::yield_now();
        }
        for socket in sockets {
            let _is_gone = std::fs::remove_file(socket).is_err();
        }
        for place in mounts_under(self.root.path()) {
            let _is_gone = Command::new("umount").arg("--lazy").arg(place).status().is_err();
        }
        remove_cgroups(&self.cgroup());
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[derive(Debug)]
struct OwnProcess {
    pid: u32,
    arguments: String,
}

/// Whoever names this folder in its arguments (engine, containerd, shims), and what the shims have started.
fn processes_of(root: &Path) -> Vec<OwnProcess> {
    let root = root.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<(OwnProcess, u32)> = pids
        .filter_map(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = stat.rsplit(')').next()?.split_whitespace();
            let is_alive = !matches!(fields.next()?, "Z" | "X");
            let parent = fields.next()?.parse().ok()?;
            is_alive.then_some((OwnProcess { pid, arguments }, parent))
        })
        .collect();
    let names_it = |process: &OwnProcess| process.arguments.contains(root) && process.pid != std::process::id();
    let shims: Vec<u32> = all
        .iter()
        .filter(|(process, _)| names_it(process) && process.arguments.contains("containerd-shim"))
        .map(|(process, _)| process.pid)
        .collect();
    let is_own = |(process, parent): &(OwnProcess, u32)| names_it(process) || shims.contains(parent);
    all.into_iter().filter(is_own).map(|(process, _)| process).collect()
}

/// Innermost first.
fn mounts_under(root: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut places: Vec<PathBuf> = places.filter(|place| place.starts_with(root)).collect();
    places.reverse();
    places
}

/// The cgroups of this name: one in each hierarchy, or the one of a unified hierarchy.
fn remove_cgroups(name: &str) {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        let group = hierarchy.join(name);
        for inner in std::fs::read_dir(&group).into_iter().flatten().flatten() {
            let _is_no_folder = std::fs::remove_dir(inner.path()).is_err();
        }
        let _there_is_none = std::fs::remove_dir(&group).is_err();
    }
}
