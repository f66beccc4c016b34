//! What only child processes can show: their environment, their output, their group, and those left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchman::domain::{AgentName, Instance, RuntimeState};
use switchman::drivers::process::{
    CredentialPlace, OutputSink, OutputStream, ProcessRuntime, ProcessSettings, ProcessSpec,
};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::{Readiness, Runtime, RuntimeError};
use tokio::sync::mpsc;

use super::program::{PATIENCE, eventually};
use super::{Orders, one};

struct Listening(mpsc::UnboundedSender<String>);

impl OutputSink for Listening {
    fn line(&self, _: &AgentName, stream: OutputStream, line: &str, _: u64) {
        self.0.send(format!("{stream:?}: {line}")).unwrap();
    }

    fn ended(&self, _: &AgentName, how: &str) {
        self.0.send(format!("ended: {how}")).unwrap();
    }
}

pub(crate) struct Children {
    pub(crate) runtime: ProcessRuntime,
    pub(crate) said: mpsc::UnboundedReceiver<String>,
}

impl Children {
    /// The agent "one" is this shell script.
    pub(crate) fn of_script(state_dir: &Path, script: &str) -> Self {
        Self::of(state_dir, &["/bin/sh", "-c", script], CredentialPlace::Variable("THE_CREDENTIAL".to_owned()))
    }

    fn of(state_dir: &Path, command: &[&str], credential: CredentialPlace) -> Self {
        let spec = ProcessSpec {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            dir: Some(state_dir.to_owned()),
            env: [("COLOUR", "green"), ("LANG", "C")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            credential,
        };
        let environment = [("PATH", "/usr/bin:/bin"), ("LANG", "it_IT"), ("AWS_SECRET", "no")];
        let settings = ProcessSettings {
            owner: state_dir.display().to_string(),
            state_dir: state_dir.to_owned(),
            socket: Some("/run/switchman.sock".into()),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let (say, said) = mpsc::unbounded_channel();
        let agents = BTreeMap::from([(one(), spec)]);
        let runtime = ProcessRuntime::new(agents, settings, Arc::new(Listening(say)), Arc::new(SystemClock::new()));
        Self { runtime, said }
    }

    pub(crate) async fn start_unlooked(&self) {
        self.runtime.start(Orders::new().about(&one(), None)).await.unwrap();
    }

    pub(crate) async fn start(&self) -> Instance {
        self.start_unlooked().await;
        self.runtime.look(&one()).await.unwrap().instance.unwrap()
    }

    /// The next line that is a process id, on standard output.
    pub(crate) async fn says_a_pid(&mut self) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.said.recv()).await.unwrap().unwrap();
            if let Some(pid) = line.strip_prefix("Stdout: ").filter(|rest| rest.parse::<u32>().is_ok()) {
                return pid.to_owned();
            }
        }
    }
}

/// Not there, or only as a zombie that its new parent has not reaped.
pub(crate) async fn ends(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    let is_gone = async || match std::fs::read_to_string(&stat) {
        Ok(text) => text.contains(") Z ").then_some(()),
        Err(_) => Some(()),
    };
    eventually("the process has ended", is_gone).await;
}

#[tokio::test]
async fn the_environment_is_what_was_listed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut children =
        Children::of(folder.path(), &["/usr/bin/env"], CredentialPlace::Variable("THE_CREDENTIAL".to_owned()));
    children.start().await;
    let mut lines = Vec::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, children.said.recv()).await.unwrap() {
        lines.extend(line.strip_prefix("Stdout: ").map(str::to_owned));
        if lines.len() == 9 {
            break;
        }
    }
    lines.sort();
    let owner = format!("SWITCHMAN_OWNER={}", folder.path().display());
    let expected = [
        "COLOUR=green",
        "LANG=C",
        "PATH=/usr/bin:/bin",
        "SWITCHMAN_AGENT=one",
        "SWITCHMAN_GENERATION=2",
        &owner,
        "SWITCHMAN_SOCKET=/run/switchman.sock",
        "SWITCHMAN_SUBSCRIPTION=max-b",
        "THE_CREDENTIAL=not-a-real-credential",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_credential_is_in_no_argument_and_in_no_file_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "while :; do sleep 1000; done");
    let instance = children.start().await;
    let arguments = std::fs::read(format!("/proc/{}/cmdline", instance.id)).unwrap();
    let record = std::fs::read(folder.path().join("children/one.json")).unwrap();
    for text in [arguments, record] {
        assert!(!String::from_utf8_lossy(&text).contains("not-a-real-credential"));
    }
}

#[tokio::test]
async fn what_a_child_prints_is_passed_on_and_its_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut children = Children::of_script(folder.path(), "echo out; echo err >&2; printf last; exit 7");
    let instance = children.start().await;
    let mut said = Vec::new();
    while said.len() < 4 {
        said.push(tokio::time::timeout(PATIENCE, children.said.recv()).await.unwrap().unwrap());
    }
    said.sort();
    let ended = format!("ended: pid {}: exit status 7", instance.id);
    assert_eq!(said, ["Stderr: err", "Stdout: last", "Stdout: out", &ended]);
    let is_stopped = async || {
        let seen = children.runtime.look(&one()).await.unwrap();
        (seen.state == RuntimeState::Stopped).then_some(())
    };
    eventually("it is stopped", is_stopped).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["/nonexistent/program"][..], &[]] {
        let children = Children::of(folder.path(), command, CredentialPlace::File);
        let error = children.runtime.start(Orders::new().about(&one(), None)).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(command.first().unwrap_or(&"empty")), "{error}");
        assert_eq!(children.runtime.look(&one()).await.unwrap().state, RuntimeState::Stopped);
    }
}

#[tokio::test]
async fn one_that_gives_up_at_once_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "exit 1");
    children.start_unlooked().await;
    assert_eq!(children.runtime.await_ready(&one(), PATIENCE).await.unwrap(), Readiness::NotRunning);
}

#[tokio::test]
async fn a_restart_ends_the_whole_group_those_that_ignore_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; sleep 1000 & echo $!; (trap '' TERM; while :; do sleep 1000; done) & echo $!; \
                  trap 'exit 0' TERM; while :; do sleep 0.01; done";
    let mut children = Children::of_script(folder.path(), script);
    let before = children.start().await;
    let (first, second) = (children.says_a_pid().await, children.says_a_pid().await);
    let (agent, orders) = (one(), Orders::new());
    let mut order = orders.about(&agent, Some(&before));
    order.grace = Some(Duration::from_millis(100));
    children.runtime.restart(order).await.unwrap();
    for pid in [&before.id, &first, &second] {
        ends(pid).await;
    }
    assert_ne!(children.runtime.look(&one()).await.unwrap().instance, Some(before));
}

#[tokio::test]
async fn what_a_child_leaves_in_its_group_when_it_exits_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut children = Children::of_script(folder.path(), "sleep 1000 & echo $!; exit 0");
    children.start_unlooked().await;
    let left = children.says_a_pid().await;
    ends(&left).await;
}

#[tokio::test]
async fn an_earlier_assignments_life_is_ended_even_if_the_order_names_another() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "while :; do sleep 1000; done");
    let present = children.start().await;
    let gone = Instance { id: "1".to_owned(), started_at: "1".to_owned() };
    let (agent, orders) = (one(), Orders::new());
    children.runtime.restart(orders.about(&agent, Some(&gone))).await.unwrap();
    assert_eq!(children.runtime.look(&agent).await.unwrap().instance.as_ref(), Some(&present), "same assignment");
    let mut order = orders.about(&agent, Some(&gone));
    order.generation = order.generation.next();
    children.runtime.restart(order).await.unwrap();
    assert_ne!(children.runtime.look(&agent).await.unwrap().instance, Some(present), "a later assignment");
}

#[tokio::test]
async fn shutting_down_ends_every_child_and_its_note() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "trap '' TERM; while :; do sleep 1000; done");
    let instance = children.start().await;
    assert!(folder.path().join("children/one.json").exists());
    children.runtime.shut_down(Duration::from_millis(50)).await;
    ends(&instance.id).await;
    let is_forgotten = async || (!folder.path().join("children/one.json").exists()).then_some(());
    eventually("the note is removed", is_forgotten).await;
    let late = children.runtime.restart(Orders::new().about(&one(), Some(&instance))).await;
    assert!(matches!(late, Err(RuntimeError::Refused { .. })), "nothing is started after a shutdown");
}

#[tokio::test]
async fn a_dropped_runtime_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "trap '' TERM; while :; do sleep 1000; done");
    let instance = children.start().await;
    drop(children);
    ends(&instance.id).await;
}

/// A process as a killed daemon leaves it: not a child of the runtime under test. The test itself reaps it.
struct Orphan(std::process::Child);

impl Orphan {
    fn new(script: &str, variables: &[(&str, &str)]) -> Self {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]).envs(variables.iter().copied()).process_group(0);
        Self(command.stdin(std::process::Stdio::null()).spawn().unwrap())
    }

    async fn ended(&mut self) {
        eventually("the left-over has ended", async || self.0.try_wait().unwrap()).await;
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let _has_ended = self.0.kill().is_err();
        self.0.wait().unwrap();
    }
}

const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

#[tokio::test]
async fn left_overs_are_found_by_their_environment_and_strangers_are_spared() {
    let folder = tempfile::tempdir().unwrap();
    let owner = folder.path().display().to_string();
    let mut ours = Orphan::new(STUBBORN, &[("SWITCHMAN_OWNER", &owner), ("SWITCHMAN_AGENT", "one")]);
    let mut of_another = Orphan::new(STUBBORN, &[("SWITCHMAN_OWNER", "/other"), ("SWITCHMAN_AGENT", "one")]);
    let children = Children::of_script(folder.path(), "while :; do sleep 1000; done");
    let (recovered, ()) = tokio::join!(children.runtime.recover(Duration::from_millis(50)), ours.ended());
    assert!(
        recovered.ended.iter().any(|left| left.agent == one() && left.pid.unsigned_abs() == ours.0.id()),
        "{recovered:?}"
    );
    assert_eq!(recovered.remaining, []);
    assert!(of_another.runs());
    assert_eq!(children.runtime.recover(Duration::ZERO).await.ended, [], "it is done once");
}

#[tokio::test]
async fn left_overs_are_found_by_their_note_if_their_environment_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = Orphan::new(STUBBORN, &[]);
    write_note(folder.path(), ours.0.id(), start_time(ours.0.id()));
    let children = Children::of_script(folder.path(), "while :; do sleep 1000; done");
    // The first order does it, if nobody did.
    let (agent, orders) = (one(), Orders::new());
    let mut order = orders.about(&agent, None);
    order.grace = Some(Duration::from_millis(50));
    let (started, ()) = tokio::join!(children.runtime.start(order), ours.ended());
    started.unwrap();
}

#[tokio::test]
async fn a_note_whose_process_id_was_given_to_somebody_else_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut stranger = Orphan::new(STUBBORN, &[]);
    write_note(folder.path(), stranger.0.id(), start_time(stranger.0.id()) - 1);
    let children = Children::of_script(folder.path(), "exit 0");
    assert_eq!(children.runtime.recover(Duration::ZERO).await.ended, []);
    assert!(stranger.runs());
    assert!(!folder.path().join("children/one.json").exists(), "the note is of no use any more");
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap()
}

fn write_note(state_dir: &Path, pid: u32, started_at: u64) {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let note = serde_json::json!({
        "schema_version": 1, "agent": "one", "owner": state_dir.display().to_string(),
        "pid": pid, "started_at": started_at, "boot_id": boot_id.trim(),
    });
    std::fs::create_dir_all(state_dir.join("children")).unwrap();
    std::fs::write(state_dir.join("children/one.json"), note.to_string()).unwrap();
}
