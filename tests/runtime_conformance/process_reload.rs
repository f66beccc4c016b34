//! Telling a child to read its credential again, and which of its ends are told.

use std::path::Path;
use std::time::Duration;

use switchman::domain::{Instance, Reload};
use switchman::ports::runtime::{Ended, ReloadOrder, Runtime, RuntimeError, RuntimeEvent};

use super::process_children::{Children, ends};
use super::program::{PATIENCE, eventually};
use super::{Orders, one, tell};

const LISTENS: &str = "trap 'echo told' HUP; sleep 1000 & echo $!; while :; do sleep 0.02; done";

fn exec(command: &[&str]) -> Reload {
    Reload::Exec(command.iter().map(|part| (*part).to_owned()).collect())
}

async fn listening(folder: &Path) -> (Children, Instance, String) {
    let mut children = Children::of_script(folder, LISTENS);
    let life = children.start().await;
    let beside = children.says_a_pid().await;
    (children, life, beside)
}

async fn reload(children: &Children, life: &Instance, by: &Reload) -> Result<(), RuntimeError> {
    children.runtime.reload(tell(&one(), life, by)).await
}

async fn says(children: &mut Children, line: &str) {
    let saying = async { while children.said.recv().await.unwrap() != line {} };
    tokio::time::timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("not said: {line}"));
}

#[tokio::test]
async fn a_signal_reaches_the_child_and_nothing_else_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let (mut children, life, beside) = listening(folder.path()).await;
    // Twice: what the first one ended is surely gone when the second has been heard.
    for _ in 0..2 {
        reload(&children, &life, &Reload::Signal("HUP".to_owned())).await.unwrap();
        says(&mut children, "Stdout: told").await;
    }
    let stat = std::fs::read_to_string(format!("/proc/{beside}/stat")).unwrap();
    assert!(!stat.contains(") Z "), "{stat}");
    assert_eq!(children.runtime.look(&one()).await.unwrap().instance, Some(life));
}

#[tokio::test]
async fn a_signal_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (children, life, _) = listening(folder.path()).await;
    let error = reload(&children, &life, &Reload::Signal("NONSENSE".to_owned())).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.contains("NONSENSE")), "{error}");
}

#[tokio::test]
async fn a_command_runs_where_the_agent_runs_and_without_its_credential() {
    let folder = tempfile::tempdir().unwrap();
    let (children, life, _) = listening(folder.path()).await;
    reload(&children, &life, &exec(&["sh", "-c", "env > seen"])).await.unwrap();
    let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
    for line in ["COLOUR=green", "SWITCHMAN_AGENT=one", "SWITCHMAN_SOCKET=/run/switchman.sock"] {
        assert!(seen.lines().any(|one| one == line), "{line} is not in: {seen}");
    }
    for absent in ["THE_CREDENTIAL", "not-a-real-credential", "AWS_SECRET"] {
        assert!(!seen.contains(absent), "{seen}");
    }
}

#[tokio::test]
async fn a_command_that_fails_is_refused_with_its_code_and_what_it_printed_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let (children, life, _) = listening(folder.path()).await;
    for (script, ending) in [("echo hush; echo hush >&2; exit 4", "exit code 4"), ("kill -9 $$", "ended by signal 9")] {
        let error = reload(&children, &life, &exec(&["sh", "-c", script])).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.ends_with(ending)), "{error}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    for command in [&["/nonexistent/program"][..], &[]] {
        let error = reload(&children, &life, &exec(command)).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_end_in_its_time_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let (children, life, _) = listening(folder.path()).await;
    let (agent, by, call_timeout) = (one(), exec(&["sleep", "1000"]), Duration::from_millis(100));
    let order = ReloadOrder { agent: &agent, life: &life, by: &by, call_timeout };
    let error = children.runtime.reload(order).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { call: "reload", after } if after == call_timeout), "{error}");
}

#[tokio::test]
async fn a_command_that_is_given_up_ends_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let (children, life, _) = listening(folder.path()).await;
    let by = exec(&["sh", "-c", "sleep 1000 & echo $! > pid; mv pid started; wait"]);
    let pid = tokio::select! {
        done = reload(&children, &life, &by) => panic!("it ended: {done:?}"),
        pid = eventually("it runs", async || std::fs::read_to_string(folder.path().join("started")).ok()) => pid,
    };
    ends(pid.trim()).await;
}

/// The next end that is told.
async fn end_of(children: &Children) -> Ended {
    let ended = async {
        loop {
            if let RuntimeEvent::Ended(ended) = children.runtime.next_event().await {
                return ended;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("an end is told")
}

#[tokio::test]
async fn an_end_by_itself_is_told_with_its_code_or_its_signal() {
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$; sleep 1000", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let children = Children::of_script(folder.path(), script);
        let life = children.start().await;
        let ended = end_of(&children).await;
        assert_eq!((ended.agent, ended.id, ended.exit_code), (one(), life.id, Some(code)), "{script}");
        assert!(ended.at.is_some());
    }
}

#[tokio::test]
async fn an_end_that_was_ordered_is_not_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    // The second life ends by itself, so that something is told in any case.
    let script = "test -e second && exit 5; : > second; while :; do sleep 0.02; done";
    let children = Children::of_script(folder.path(), script);
    let first = children.start().await;
    eventually("it runs", async || folder.path().join("second").exists().then_some(())).await;
    children.runtime.restart(Orders::new().about(&one(), Some(&first))).await.unwrap();
    let ended = end_of(&children).await;
    assert_ne!(ended.id, first.id);
    assert_eq!(ended.exit_code, Some(5));
}
