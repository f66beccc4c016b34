//! The programs that users are shown, `examples/turn.sh` and `examples/turn.py`, against the real daemon: a command runs as one
//! turn, whatever becomes of it.

use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::callers::{now, refused, waiting};
use crate::daemon::{BINARY, LONG};
use crate::program::eventually;
use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

#[derive(Debug, Clone, Copy)]
enum Example {
    Shell,
    Python,
}

/// An example at work.
struct Run {
    child: Option<Child>,
    pid: Pid,
}

impl Example {
    /// Runs a command as a turn of the agent `one`. It has a pipe for its input.
    fn start(self, site: &Site, session: &str, words: &[&str]) -> Run {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let (program, script) = match self {
            Self::Shell => ("sh", examples.join("turn.sh")),
            Self::Python => ("python3", examples.join("turn.py")),
        };
        #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
        let path = std::env::var("PATH").unwrap();
        let own = Path::new(BINARY).parent().unwrap().display();
        let mut command = Command::new(program);
        command.arg(script).args(["one", session]).args(words);
        command.env("PATH", format!("{own}:{path}")).env("SWITCHMAN_SOCKET", site.folder.socket());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("these tests need {program}: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        Run { child: Some(child), pid }
    }
}

impl Run {
    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Closes what it reads, and waits for its end.
    async fn ended(mut self) -> Output {
        drop(self.child.as_mut().unwrap().stdin.take());
        self.ends().await
    }

    /// Waits for its end; what it reads stays open.
    async fn ends(mut self) -> Output {
        let mut child = self.child.take().unwrap();
        let open = child.stdin.take();
        let ended = tokio::time::timeout(LONG, child.wait_with_output()).await.expect("it ends").unwrap();
        drop(open);
        ended
    }
}

impl Drop for Run {
    /// What a test that has failed leaves behind.
    fn drop(&mut self) {
        let _has_ended = kill_process_group(self.pid, Signal::KILL).is_err();
    }
}

#[track_caller]
fn exited(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn one(lines: &str) -> Stage {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    setup.agents[0].lines = format!("stop_grace = \"1s\"\n{lines}");
    Stage::set(Ground::Children, setup).await
}

/// Waits until the turn is held and its work can begin; its id.
async fn taken(site: &Site, session: &str) -> String {
    eventually("the example has its turn", async || {
        let turns = site.turns("one").await;
        let turn = turns.iter().find(|turn| turn["session"] == session && turn["state"] == "taken")?;
        Some(turn["id"].as_str().unwrap().to_owned())
    })
    .await
}

async fn end_of(site: &Site, turn: &str) -> Value {
    site.event("turn.completed", |event| event["turn"] == turn).await["end"].clone()
}

/// What stops a command from going on: nobody else has the session before it has ended.
const UNTIL_CLOSED: &[&str] = &["sh", "-c", "cat; echo \"$SWITCHMAN_TURN\""];
const FOR_EVER: &[&str] = &["sleep", "1000"];

async fn a_command_is_one_turn(example: Example) {
    let stage = one("").await;
    let site = &stage.site;
    let run = example.start(site, "chat", UNTIL_CLOSED);
    let turn = taken(site, "chat").await;
    refused(&site.begin("one", &now("chat", "x")).await, 409, "turn_in_progress");
    let next = site.queue("one", &waiting("chat", "next")).await;
    let output = run.ended().await;
    exited(&output, 0);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{turn}\n"));
    assert_eq!(end_of(site, &turn).await, "complete");
    let next = next.served().await;
    site.beat(&next).await;
    site.complete(&next, "ok").await;

    let failed = example.start(site, "chat", &["sh", "-c", "exit 7"]).ended().await;
    exited(&failed, 7);
    assert_eq!(end_of(site, "one-t3").await, "failed");
}

/// Two leases go by: as long as it takes until somebody who is silent is lost, twice.
async fn a_command_that_takes_long_keeps_its_turn(example: Example) {
    let stage = one("turns = { lease = \"3s\", fence = \"none\" }\n").await;
    let site = &stage.site;
    let run = example.start(site, "chat", UNTIL_CLOSED);
    let turn = taken(site, "chat").await;
    for session in ["mail", "cron"] {
        let silent = site.taken("one", &now(session, "silent")).await;
        site.event("turn.lost", |event| event["turn"] == silent.id).await;
    }
    exited(&run.ended().await, 0);
    assert_eq!(end_of(site, &turn).await, "complete");
    assert!(site.told("one", "turn.lost").await.iter().all(|event| event["turn"] != turn));
}

/// Its command is ended, and then it says so: whoever waits finds no work of it any more.
async fn a_command_is_ended_when_somebody_asks_for_a_stop(example: Example) {
    let stage = one("").await;
    let site = &stage.site;
    let run = example.start(site, "chat", FOR_EVER);
    let turn = taken(site, "chat").await;
    let next = site.queue("one", &waiting("chat", "next")).await;
    let asked = site.call("POST", &format!("/v1/turns/{turn}/cancel"), None).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let next = next.served().await;
    site.beat(&next).await;
    exited(&run.ends().await, 143);
    assert_eq!(end_of(site, &turn).await, "cancelled");
    assert_eq!(site.told("one", "turn.lost").await, Vec::<Value>::new());
}

/// Whoever stops the program stops the command, and the turn does not stay behind.
async fn a_signal_ends_the_command_and_the_turn(example: Example) {
    let stage = one("").await;
    let site = &stage.site;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let begun = site.folder.path(&format!("begun-{}", signal.as_raw()));
        let script = format!("echo > {}; exec sleep 1000", begun.display());
        let run = example.start(site, "chat", &["sh", "-c", &script]);
        let turn = taken(site, "chat").await;
        eventually("the command runs", async || begun.exists().then_some(())).await;
        run.signal(signal);
        exited(&run.ends().await, 143);
        assert_eq!(end_of(site, &turn).await, "failed");
    }
    // While it waits it leaves the line.
    let held = site.taken("one", &now("chat", "holder")).await;
    let run = example.start(site, "chat", FOR_EVER);
    site.are_queued("one", 1).await;
    run.signal(Signal::TERM);
    exited(&run.ends().await, 143);
    site.are_queued("one", 0).await;
    site.complete(&held, "ok").await;
    assert_eq!(site.told("one", "turn.begun").await.len(), 4);
    assert_eq!(site.told("one", "turn.lost").await, Vec::<Value>::new());
}

async fn who_may_not_begin_is_told_why_and_runs_nothing(example: Example) {
    let stage = one("").await;
    let site = &stage.site;
    let closed = site.call("POST", "/v1/agents/one/sessions/chat/close", None).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    let output = example.start(site, "chat", &["echo", "it ran"]).ended().await;
    exited(&output, 3);
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the session is complete"), "{said}");
}

async fn who_is_cut_off_ends_its_command_and_says_so(example: Example) {
    let stage = one("").await;
    let site = &stage.site;
    let run = example.start(site, "chat", FOR_EVER);
    let turn = taken(site, "chat").await;
    site.report("one", &json!({"kind": "rate_limit", "turn": turn})).await;
    let output = run.ends().await;
    exited(&output, 3);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cut off"), "{said}");
    let cut_off = site.event("turn.cut_off", |event| event["turn"] == turn).await;
    assert_eq!(cut_off["session"], "chat");
}

/// The daemon goes and comes back: the turn is still held, and ends as it should.
async fn a_turn_is_held_through_a_restart_of_the_daemon(example: Example) {
    let mut setup = Setup::new(&["a", "b"], &["one"]);
    "turns = { lease = \"60s\" }\n".clone_into(&mut setup.agents[0].lines);
    let mut stage = Stage::set(Ground::Containers, setup).await;
    let run = example.start(&stage.site, "chat", UNTIL_CLOSED);
    let turn = taken(&stage.site, "chat").await;
    stage.site.kill().await;
    // It is done while nobody answers.
    let ending = tokio::spawn(run.ended());
    stage.site.start().await;
    exited(&ending.await.unwrap(), 0);
    assert_eq!(end_of(&stage.site, &turn).await, "complete");
}

/// The same of both.
macro_rules! of_both {
    ($($what:ident),* $(,)?) => {
        mod shell {
            $(#[tokio::test] async fn $what() { super::$what(super::Example::Shell).await; })*
            #[tokio::test]
            async fn docker_a_turn_is_held_through_a_restart_of_the_daemon() {
                super::a_turn_is_held_through_a_restart_of_the_daemon(super::Example::Shell).await;
            }
        }
        mod python {
            $(#[tokio::test] async fn $what() { super::$what(super::Example::Python).await; })*
            #[tokio::test]
            async fn docker_a_turn_is_held_through_a_restart_of_the_daemon() {
                super::a_turn_is_held_through_a_restart_of_the_daemon(super::Example::Python).await;
            }
        }
    };
}

of_both!(
    a_command_is_one_turn,
    a_command_that_takes_long_keeps_its_turn,
    a_command_is_ended_when_somebody_asks_for_a_stop,
    a_signal_ends_the_command_and_the_turn,
    who_may_not_begin_is_told_why_and_runs_nothing,
    who_is_cut_off_ends_its_command_and_says_so,
);
