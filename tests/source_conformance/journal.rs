//! The journal of a unit: written by a journald of our own, for the machine may have none, and read by the real
//! `journalctl`. Needs root.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use switchman::domain::SourceId;
use switchman::drivers::sources::journal::JournalSources;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::logs::{LogError, LogSource};

use super::Rig;
use super::follower::{Follower, PATIENCE};

/// A journald whose files and socket lie in the folder `$1`.
const JOURNAL: &str = r#"set -e
mkdir -p "$1/run/journal" "$1/log"
mount --bind "$1/run" /run/systemd
mount --bind "$1/log" /run/log
exec /lib/systemd/systemd-journald
"#;

const UNIT: &str = "one.service";

struct Journal {
    process: Child,
    /// Where it keeps its files.
    files: PathBuf,
    folder: tempfile::TempDir,
    logs: JournalSources,
}

impl Journal {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/journal/socket")
    }

    /// As a service manager would say it of a unit; waits until it is in the journal.
    async fn tell(&self, unit: &str, message: &[u8]) {
        let mut entry = format!("OBJECT_SYSTEMD_UNIT={unit}\nMESSAGE\n").into_bytes();
        entry.extend(u64::try_from(message.len()).unwrap().to_le_bytes());
        entry.extend(message);
        entry.push(b'\n');
        let before = self.count();
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(&entry, self.socket()).unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let written = async {
            while self.count() <= before {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, written).await.expect("it is written");
    }

    /// How many entries there are.
    fn count(&self) -> usize {
        let shown = Command::new("journalctl")
            .arg(format!("--directory={}", self.files.display()))
            .args(["--quiet", "--output=json", "--output-fields=_PID"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&shown.stdout).lines().count()
    }
}

impl Rig for Journal {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new("unshare");
        // In the same namespace of processes: it says of no other sender who that is.
        command.args(["--mount", "--propagation", "private"]);
        command.args(["sh", "-c", JOURNAL, "sh"]).arg(folder.path());
        let process = command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap();
        let files = folder.path().join("log/journal").join(machine.trim());
        let logs = JournalSources::new(Arc::new(SystemClock::new())).in_folder(&files.display().to_string());
        let journal = Self { process, files, folder, logs };
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let runs = async {
            while !journal.socket().exists() || journal.count() == 0 {
                ticks.tick().await;
            }
        };
        if tokio::time::timeout(PATIENCE, runs).await.is_err() {
            let said = std::fs::read_to_string(journal.folder.path().join("said")).unwrap();
            panic!("no journal (it needs root and systemd-journald): {said}");
        }
        journal
    }

    fn logs(&self) -> &dyn LogSource {
        &self.logs
    }

    fn source(&self) -> SourceId {
        SourceId::Journal(UNIT.to_owned())
    }

    async fn write(&self, line: &str) {
        self.tell(UNIT, line.as_bytes()).await;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            super::$promise::<Journal>().await;
        })+
    };
}

promises!(
    what_was_there_before_is_history_and_what_comes_is_read,
    reading_on_gives_exactly_what_follows_each_line,
    a_source_that_was_known_is_read_on_although_nothing_had_come,
    who_gives_up_waiting_loses_nothing,
);

#[tokio::test]
async fn only_the_unit_is_read_and_whatever_a_message_holds() {
    let journal = Journal::new().await;
    let mut follower = Follower::open(&journal.logs, &journal.source(), &[]).await;
    journal.tell("other.service", b"of another unit").await;
    journal.tell(UNIT, b"first\nsecond \xff\xfe\nthird").await;
    journal.tell(UNIT, "x".repeat(100_000).as_bytes()).await;
    assert_eq!(follower.texts(3).await, ["first", "second \u{fffd}\u{fffd}", "third"]);
    assert_eq!(follower.texts(1).await[0].len(), 100_000);
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_says_why() {
    let logs = JournalSources::new(Arc::new(SystemClock::new())).in_folder("/nonexistent");
    let source = SourceId::Journal(UNIT.to_owned());
    let mut follower = Follower::open(&logs, &source, &[]).await;
    let refused = follower.read().await.unwrap_err();
    assert!(matches!(&refused, LogError::Unreadable { why, .. } if why.contains("No such file")), "{refused}");
}
