//! The journal as the place of logs: an engine of our own beside a journal of our own, for the machine may have
//! none. Both live in a mount and a process namespace that go with the test. Needs root.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bollard::Docker;
use switchman::drivers::docker::DockerHost;
use switchman::drivers::docker::logs::DockerLogs;
use switchman::ports::logs::LogSource;

use super::Rig;
use super::containers::{Container, Shape};
use super::docker::{every_line_comes_whole_and_once, logs_of};

const SHAPE: Shape = Shape { driver: "journald", options: &[], has_terminal: false };
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// A journal and an engine. `$1` is the folder for all they keep.
const BOTH: &str = r#"set -e
mount -t tmpfs tmpfs /run/systemd
mkdir -p /run/systemd/journal /run/log
mount -t tmpfs tmpfs /run/log
/lib/systemd/systemd-journald &
while [ ! -S /run/systemd/journal/socket ]; do sleep 0.05; done
echo '{}' >"$1/config.json"
PATH="$PATH:/usr/sbin:/sbin" exec dockerd --config-file="$1/config.json" --data-root="$1/data" \
    --exec-root="$1/exec" --pidfile="$1/pid" --host="unix://$1/engine.sock" --bridge=none --iptables=false \
    --ip6tables=false --storage-driver=vfs
"#;

struct PrivateEngine {
    process: Child,
    folder: tempfile::TempDir,
}

impl PrivateEngine {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--net",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command.args(["sh", "-c", BOTH, "sh"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let engine = Self { process: command.spawn().expect("run unshare"), folder };
        let answers = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let socket = engine.socket();
                if let Ok(client) = Docker::connect_with_unix(&socket, 5, bollard::API_DEFAULT_VERSION)
                    && client.ping().await.is_ok()
                {
                    return;
                }
            }
        };
        if tokio::time::timeout(STARTED_WITHIN, answers).await.is_err() {
            let said = std::fs::read_to_string(engine.folder.path().join("said")).unwrap();
            panic!("an engine with a journal does not start (it needs root, dockerd and systemd-journald): {said}");
        }
        engine
    }

    fn socket(&self) -> String {
        self.folder.path().join("engine.sock").display().to_string()
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

static HOST: OnceLock<DockerHost> = OnceLock::new();

pub(crate) struct Journald {
    container: Container,
    logs: DockerLogs,
}

impl Rig for Journald {
    async fn new() -> Self {
        let container = Container::new(HOST.get().expect("the engine runs"), &SHAPE).await;
        let logs = logs_of(&container);
        Self { container, logs }
    }

    fn source(&self) -> &dyn LogSource {
        &self.logs
    }

    async fn print(&self, line: &str) {
        self.container.run(&format!("echo '{line}'"));
    }

    async fn stop(&self) {
        self.container.exit().await;
    }

    async fn start(&self) {
        self.container.start().await;
    }

    async fn remove(&self) {
        self.container.remove().await;
    }

    async fn replace(&self) {
        self.remove().await;
        self.container.create().await;
        self.container.start().await;
    }
}

/// All of it in one test: an engine takes seconds to start.
#[tokio::test]
async fn the_journal_keeps_every_promise() {
    let engine = PrivateEngine::new().await;
    HOST.set(DockerHost::Unix(engine.socket())).unwrap();
    super::reading_on_gives_exactly_what_follows::<Journald>().await;
    super::without_a_position_only_what_comes_is_read::<Journald>().await;
    super::a_restart_ends_the_stream_and_the_next_one_goes_on::<Journald>().await;
    super::the_log_of_what_stopped_can_be_read::<Journald>().await;
    super::what_is_not_there_is_missing::<Journald>().await;
    super::a_position_in_another_container_is_none::<Journald>().await;
    super::a_reader_that_gives_up_waiting_loses_nothing::<Journald>().await;
    for has_terminal in [false, true] {
        let container = Container::new(HOST.get().unwrap(), &Shape { has_terminal, ..SHAPE }).await;
        every_line_comes_whole_and_once(&container).await;
    }
}
