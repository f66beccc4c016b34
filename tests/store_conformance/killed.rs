//! What a process that is killed leaves behind: every batch that was answered, and a free lock.
//!
//! The process is this test program again, asked for one of the two `…_process` tests below, which are
//! ignored otherwise. It reads the directory from its standard input.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use switchman::domain::{Change, FailureRecord, ReportId, Wall};
use switchman::drivers::sqlite::{Options, SqliteStore};
use switchman::drivers::state_dir::{StateDir, StateDirError};
use switchman::ports::store::{HistoryQuery, Store as _};

use crate::rows::*;

const AGENTS: usize = 8;

/// Starts this program again for one test, in a directory.
fn start(test: &str, dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", dir.display()).unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The directory that the process was given; `None` if nobody started it for this.
fn given_dir() -> Option<PathBuf> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    Some(PathBuf::from(line.trim_end())).filter(|dir| dir.is_dir())
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

#[test]
#[ignore = "the process that is killed by the test below"]
fn writing_process() {
    let Some(dir) = given_dir() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(&dir.join("switchman.db"), &Options::default()).unwrap());
        let writers = (0..AGENTS).map(|writer| {
            let store = Arc::clone(&store);
            async move {
                let name = format!("agent-{writer}");
                for number in 1.. {
                    let failure = FailureRecord {
                        reason: Some("x".repeat(500)),
                        ..full_failure(&name, number, &format!("r-{number}"))
                    };
                    let attributes = switchman::domain::Attributes { failures: number, ..attributes() };
                    store.commit(vec![Change::FailureRecorded(failure), saved(&name, &attributes)]).await.unwrap();
                    say(&format!("\nacknowledged {name} {number}\n"));
                }
            }
        });
        futures_util::future::join_all(writers).await;
    });
}

#[tokio::test]
async fn kill_9_loses_no_acknowledged_batch_and_tears_none() {
    for acknowledged_min in [1, 100, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let (mut child, output) = start("killed::writing_process", dir.path());
        let mut acknowledged = BTreeMap::new();
        let mut lines = 0;
        // What was said before the end is read to the last line, for all of it was promised.
        for line in output.lines() {
            let line = line.unwrap();
            let Some((name, number)) = line.strip_prefix("acknowledged ").and_then(|said| said.split_once(' ')) else {
                continue;
            };
            acknowledged.insert(name.to_owned(), number.parse::<u64>().unwrap());
            lines += 1;
            if lines == acknowledged_min {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(lines >= acknowledged_min, "the writer ended by itself after {lines}");

        let store = SqliteStore::open(&dir.path().join("switchman.db"), &Options::default()).unwrap();
        for (name, last) in &acknowledged {
            let written = store.load_agent(&agent(name)).await.unwrap().unwrap().attributes.failures;
            assert!(written >= *last, "{name}: {last} was acknowledged, {written} is there");
            let query = HistoryQuery { agent: Some(agent(name)), limit: u32::MAX, ..HistoryQuery::default() };
            let rows = store.failures(query).await.unwrap().rows;
            assert_eq!(u64::try_from(rows.len()).unwrap(), written, "{name}: a batch was torn");
            let id = ReportId::from(format!("r-{last}"));
            assert!(store.answer(&agent(name), &id).await.unwrap().is_some());
        }
    }
}

#[test]
#[ignore = "the process that is killed by the test below"]
fn holding_process() {
    let Some(dir) = given_dir() else { return };
    let _held = StateDir::claim(&dir, Wall(T0), Path::new("/etc/switchman/first.toml")).unwrap();
    say("\nheld\n");
    // Stays until it is killed: its standard input has ended, and nothing else will come.
    loop {
        std::thread::park();
    }
}

#[test]
fn a_second_daemon_is_told_who_holds_the_state_and_gets_it_once_that_one_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut output) = start("killed::holding_process", dir.path());
    let mut line = String::new();
    while line.trim_end() != "held" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the holder ended by itself");
    }
    let claim = || StateDir::claim(dir.path(), Wall(T0 + 5), Path::new("/etc/switchman/second.toml"));
    let refused = claim().unwrap_err();
    let StateDirError::Held { holder, .. } = &refused else { panic!("{refused}") };
    assert_eq!(holder.pid, Some(child.id()));
    assert_eq!(holder.since, Some(Wall(T0)));
    assert_eq!(holder.config.as_deref(), Some("/etc/switchman/first.toml"));
    child.kill().unwrap();
    child.wait().unwrap();
    claim().unwrap();
}
