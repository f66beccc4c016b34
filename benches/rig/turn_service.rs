//! Services that keep turns, each in a process of its own: ours in its forms, and the yardsticks.
//!
//! | form | actors, machine, API server, log | store | agents |
//! |---|---|---|---|
//! | [`Form::Disk`] | ours | the real one | run in a fake world |
//! | [`Form::Shared`] | ours | the real one on a file system in memory | run in a fake world |
//! | [`Form::Unkept`] | ours | one that keeps nothing of turns | run in a fake world |
//! | [`Form::Daemon`] | the daemon's own binary | the real one | one child process |
//! | [`Form::Peer`] | `scripts/peer_turns.py` | none, or one row per step | |
//!
//! A process ends with the value that stands for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use switchman::api::{self, Door, Limits};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;
use switchman::telemetry::lines::{LineStyle, Lines};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::caller::Caller;
use super::daemon::{agent, start};
use super::disk::{disk, sqlite};
use super::unkept::Unkept;

/// How long a service may take until a turn can be begun.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// What kind of service, and where it keeps what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Ours, on the disk of the checkout.
    Disk,
    /// Ours, on `/dev/shm`.
    Shared,
    /// Ours, with nothing of turns kept.
    Unkept,
    /// The daemon itself.
    Daemon,
    /// The yardstick.
    Peer(Steps),
}

/// What the yardstick does with each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Nothing: it is in memory.
    Kept,
    /// Commits a row, in its event loop.
    Row,
    /// Commits a row, in a thread.
    RowInThread,
}

/// A service that listens.
pub(crate) struct Service {
    pub(crate) form: Form,
    pub(crate) socket: PathBuf,
    child: Child,
    _data: tempfile::TempDir,
    _sockets: tempfile::TempDir,
}

impl Service {
    /// Starts it for so many agents, and waits until a turn can be begun.
    pub(crate) async fn start(form: Form, agents: usize) -> Self {
        // A socket's path must be short, and that of a checkout may not be.
        let sockets = tempfile::tempdir().expect("a directory");
        let socket = sockets.path().join("turns.sock");
        let data = match form {
            Form::Shared => tempfile::tempdir_in("/dev/shm").expect("a file system in memory"),
            Form::Disk | Form::Unkept | Form::Daemon | Form::Peer(_) => disk(),
        };
        let mut command = match form {
            Form::Disk | Form::Shared | Form::Unkept => ourselves(form, data.path(), &socket, agents),
            Form::Daemon => daemon(data.path(), &socket),
            Form::Peer(steps) => peer(steps, data.path(), &socket),
        };
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a service");
        let mut service = Self { form, socket, child, _data: data, _sockets: sockets };
        let ready = tokio::time::timeout(READY_WITHIN, service.until_ready()).await;
        ready.unwrap_or_else(|_| panic!("{form:?} was not ready in time"));
        service
    }

    async fn until_ready(&mut self) {
        let clock = SystemClock::new();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("{:?} has ended: {status}", self.form);
            }
            let listens = UnixStream::connect(&self.socket).await.is_ok();
            if listens && Caller::open(&self.socket).await.try_pair(&agent(0)).await {
                return;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> f64 {
        f64::from(self.status("VmRSS:"))
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> u32 {
        self.status("Threads:")
    }

    fn status(&self, line: &str) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let found = status.lines().find_map(|found| found.strip_prefix(line)).expect("a Linux /proc");
        found.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.form == Form::Daemon {
            // Told to stop, it takes its agent along.
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        } else {
            self.child.kill().expect("it can be killed");
        }
        self.child.wait().expect("it ends");
    }
}

/// Lets this process and its children open as many files as the system allows.
pub(crate) fn allow_many_files(needed: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit");
    assert!(limit.current.is_none_or(|most| most >= needed), "{needed} open files are needed: see `ulimit -Hn`");
}

fn peer(steps: Steps, data: &Path, socket: &Path) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/peer_turns.py"));
    command.arg("--socket").arg(socket);
    if steps != Steps::Kept {
        command.arg("--database").arg(data.join("peer.db"));
    }
    if steps == Steps::RowInThread {
        command.arg("--thread");
    }
    command
}

/// One process agent that does nothing. The log is written at its usual level and thrown away.
fn daemon(data: &Path, socket: &Path) -> Command {
    let (dir, socket, agent) = (data.display(), socket.display(), agent(0));
    let config = format!(
        r#"state_dir = "{dir}/state"
[api]
socket = "{socket}"
[log]
format = "json"
[[subscription]]
name = "a"
provider = "anthropic"
type = "setup-token"
credential = {{ file = "{dir}/credential" }}
[[agent]]
name = "{agent}"
tool = "claude-code"
process = {{ command = ["sleep", "86400"] }}
delivery = {{ env = "CLAUDE_CODE_OAUTH_TOKEN" }}
turns = {{ sessions_max = 10 }}
"#
    );
    fs::write(data.join("config.toml"), config).expect("a config");
    let credential = data.join("credential");
    fs::write(&credential, "key-of-a").expect("a credential");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&credential, mode).expect("nobody else reads it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchman"));
    command.arg("--config").arg(data.join("config.toml")).arg("run").stderr(Stdio::null());
    command
}

fn ourselves(form: Form, data: &Path, socket: &Path, agents: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    let keeps = if form == Form::Unkept { "nothing" } else { "everything" };
    let what = format!("{keeps} {agents} {} {}", data.display(), socket.display());
    command.args(["--child", &what]);
    command
}

/// What such a child does, until its standard input ends.
pub(crate) async fn serve(what: &str) {
    let lines = Lines::new(LineStyle::Json, std::io::sink, Arc::new(SystemClock::new()));
    tracing_subscriber::registry().with(EnvFilter::new("info")).with(lines).init();
    let [keeps, agents, data, socket] = what.splitn(4, ' ').collect::<Vec<_>>().try_into().expect("four words");
    let store = sqlite(Path::new(data));
    let store = if keeps == "nothing" { Arc::new(Unkept(store)) as _ } else { store };
    let root = start(agents.parse().expect("a number"), store, true).await;
    let stop = watch::Sender::new(false);
    let door = Door {
        socket: socket.into(),
        socket_mode: 0o600,
        subscriptions: ["a", "b", "c"].map(Into::into).into(),
        agent_sockets: std::collections::BTreeMap::new(),
        // All callers are of one user here, and there are more of them than the daemon lets in.
        limits: Limits { connections_max: 20_000, of_one_user: 20_000, ..Limits::default() },
    };
    let server = api::serve(root.switchman(), door, stop.subscribe()).expect("a socket");
    let parent = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().expect("a descriptor");
    let mut parent = pipe::Receiver::from_owned_fd(parent).expect("a pipe");
    let _ended = parent.read(&mut [0]).await;
    stop.send_replace(true);
    server.stopped().await;
    root.stop(Duration::from_secs(1)).await;
}
