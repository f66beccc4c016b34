//! The demo as people run it: to its end, interrupted, killed, twice at once, and without an engine.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use switchman::classify::{Classifier, Context, Evidence};
use switchman::domain::{FailureKind, Tool, Window};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{PATIENCE, clock, named};

/// A demo that runs.
struct Played {
    child: Child,
    pid: i32,
}

fn command(under: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchman"));
    command.args(arguments).env("TMPDIR", under).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Played {
    fn begin(under: &Path, arguments: &[&str]) -> Self {
        let child = command(under, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        Self { child, pid }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid).unwrap(), signal).unwrap();
    }

    /// Reads on until it has printed this.
    async fn has_printed(&mut self, what: &str) {
        let reading = async {
            let mut lines = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
            let mut seen = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(what) {
                    return;
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            panic!("it ended without {what}:\n{seen}");
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }

    /// What it still prints, when it has ended.
    async fn ended(self) -> Output {
        tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await.expect("it ends").unwrap()
    }
}

/// The containers and the image that this process made.
async fn made_by(pid: i32) -> Vec<String> {
    let mut names = named(&format!("switchman-demo-{pid}-")).await;
    names.extend(named(&format!("switchman-demo:{pid}-")).await);
    names
}

fn left_in(folder: &TempDir) -> Vec<String> {
    std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its daemon, if it still runs: found by the config that it was started with.
fn daemons_of(under: &Path) -> Vec<i32> {
    let under = under.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = text(&line);
        line.contains(under) && line.contains("demo-daemon")
    })
    .collect()
}

async fn it_moves_one_agent_once(arguments: &[&str]) {
    let under = tempfile::tempdir().unwrap();
    let played = Played::begin(under.path(), &[&["--json"], arguments].concat());
    let pid = played.pid;
    let output = played.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["switches"], &document["restarts"]), (&1.into(), &1.into()), "{document:#}");
    assert_eq!((&document["reports"], &document["outcomes"]["switching"]), (&20.into(), &1.into()), "{document:#}");
    assert_ne!(document["from"], document["to"]);
    assert_eq!(left_in(&under), Vec::<String>::new());
    assert_eq!(made_by(pid).await, Vec::<String>::new());
}

#[tokio::test]
async fn children_move_once() {
    it_moves_one_agent_once(&["demo"]).await;
}

#[tokio::test]
async fn docker_containers_move_once_and_nothing_is_left() {
    it_moves_one_agent_once(&["demo", "--docker"]).await;
}

#[tokio::test]
async fn docker_the_text_tells_one_switch_and_one_restart() {
    let under = tempfile::tempdir().unwrap();
    let output = Played::begin(under.path(), &["demo", "--docker"]).ended().await;
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    for line in ["  switches    1   max-a → max-c", "  restarts    1\n", "agent.adopted         agent=writer"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(output.stderr, b"");
}

async fn interrupted(arguments: &[&str], at: &str, signal: Signal) {
    let under = tempfile::tempdir().unwrap();
    let mut played = Played::begin(under.path(), arguments);
    played.has_printed(at).await;
    let pid = played.pid;
    played.signal(signal);
    let output = played.ended().await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "switchman: interrupted (interrupted)\n");
    assert_eq!(left_in(&under), Vec::<String>::new());
    assert_eq!(daemons_of(under.path()), Vec::<i32>::new());
    assert_eq!(made_by(pid).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_demo_leaves_no_daemon_and_no_folder() {
    interrupted(&["demo"], "switch.started        agent=writer  plan=switch", Signal::INT).await;
}

#[tokio::test]
async fn docker_an_interrupt_in_the_middle_leaves_nothing() {
    interrupted(&["demo", "--docker"], "switch.started", Signal::INT).await;
}

#[tokio::test]
async fn docker_an_interrupt_while_the_image_is_made_leaves_nothing() {
    interrupted(&["demo", "--docker"], "An image of this program", Signal::TERM).await;
}

#[tokio::test]
async fn docker_the_next_demo_removes_what_a_killed_one_left_and_nothing_of_a_running_one() {
    let under = tempfile::tempdir().unwrap();
    let mut killed = Played::begin(under.path(), &["demo", "--docker"]);
    killed.has_printed("switch.started").await;
    // Held where they are, so that neither comes to its end by itself; a held process is alive.
    killed.signal(Signal::STOP);
    let mut running = Played::begin(under.path(), &["demo", "--docker"]);
    running.has_printed("switch.started").await;
    running.signal(Signal::STOP);
    assert_eq!(
        (made_by(killed.pid).await.len(), made_by(running.pid).await.len()),
        (3, 3),
        "an image and two containers each"
    );
    killed.signal(Signal::KILL);
    let status = killed.child.wait().await.unwrap();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    assert_eq!(made_by(killed.pid).await.len(), 3);

    let next = Played::begin(under.path(), &["demo", "--docker"]).ended().await;
    assert_eq!(next.status.code(), Some(0), "{}", text(&next.stderr));
    assert_eq!((made_by(killed.pid).await.len(), made_by(running.pid).await.len()), (0, 3));
    running.signal(Signal::CONT);
    let output = running.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(left_in(&under), Vec::<String>::new());
    let ended = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        while !daemons_of(under.path()).is_empty() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the daemon ends with its demo");
}

#[tokio::test]
async fn the_agent_of_a_container_prints_every_failed_turn_as_the_tool_does_and_ends_when_told() {
    let under = tempfile::tempdir().unwrap();
    let (provider, credential) = (under.path().join("provider"), under.path().join("credential"));
    std::fs::create_dir(&provider).unwrap();
    std::fs::write(&credential, "demo-max-a\n").unwrap();
    std::fs::write(provider.join("demo-max-a"), "limited").unwrap();
    let (provider, credential) = (provider.display().to_string(), credential.display().to_string());
    let words = ["demo-agent", &provider, "--credential-file", &credential, "--turns-out", "20"];
    let mut agent = Played::begin(under.path(), &words);
    let mut lines = BufReader::new(agent.child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains(r#""subtype":"init""#));
    for _ in 0..20 {
        let line = lines.next_line().await.unwrap().unwrap();
        let evidence = Evidence { text: Some(line.clone()), ..Evidence::default() };
        let context = Context::new(Some(Tool::ClaudeCode), clock().now().wall);
        let verdict = Classifier::default().evidence(&evidence, &context);
        assert_eq!((verdict.kind, verdict.window), (FailureKind::RateLimit, Window::FiveHour), "{line}");
        assert!(verdict.reset_at.is_some(), "{line}");
    }
    agent.signal(Signal::TERM);
    assert_eq!(lines.next_line().await.unwrap(), None, "nobody gives it another turn");
    assert!(agent.ended().await.status.success());
}

#[tokio::test]
async fn without_an_engine_it_says_what_is_missing_and_what_works() {
    let under = tempfile::tempdir().unwrap();
    let absent = under.path().join("docker.sock").display().to_string();
    let run = async |host: &str, arguments: &[&str]| {
        command(under.path(), arguments).env("DOCKER_HOST", host).output().await.unwrap()
    };
    let output = run(&format!("unix://{absent}"), &["demo", "--docker"]).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    let expected = format!(
        "switchman: no Docker Engine answers at unix://{absent}: {absent} does not exist; start one or name it in \
         DOCKER_HOST (`switchman demo` works without) (no_engine)\n"
    );
    assert_eq!(text(&output.stderr), expected);
    let output = run("ssh://somewhere", &["--json", "demo", "--docker"]).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    let problem: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(problem["code"], "docker_host", "{problem:#}");
    assert_eq!(left_in(&under), Vec::<String>::new());
}
