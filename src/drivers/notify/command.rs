//! Tells people by running a program: the message as JSON on its standard input.
//!
//! Nothing of the message stands in an argument, where every user of the machine could read it. The program runs in a
//! process group of its own, with a small environment: `PATH`, `HOME`, `LANG`, `TZ` and, in `SWITCHMAN_EVENT`, `…_SEVERITY`,
//! `…_ID`, `…_AGENT` and `…_SUBSCRIPTION`, what a short script needs. After [`TIME_LIMIT`] it is killed with its group.
//! A few KiB of what it prints go to the log at `debug`, the rest nowhere.
//!
//! | the program | we say |
//! |---|---|
//! | ends with exit code 0 | taken, also if it read nothing |
//! | ends otherwise, does not end in time, cannot be run | not taken, tried again: whoever mends it wants what was told meanwhile |
//!
//! Tests: below, with real programs.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::form;
use crate::domain::Message;
use crate::ports::Pending;
use crate::ports::notifier::{Notifier, NotifyError};

/// How long a program may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long its output may stay open after its end: somebody outside of its group may hold it.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// So much of what it prints is logged, bytes.
const OUTPUT_MAX: usize = 4 * 1024;
/// What it gets of the daemon's own environment.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One program.
#[derive(Debug)]
pub struct Command {
    target: String,
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
    time_limit: Duration,
}

impl Command {
    /// Runs `argv`; `variables` is the daemon's own environment, of which it gets little.
    #[must_use]
    pub fn new(argv: Vec<String>, variables: &BTreeMap<String, String>, time_limit: Duration) -> Self {
        let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
        environment.extend(KEPT.iter().filter_map(|name| variables.get_key_value(*name)).map(owned));
        Self { target: shown(&argv), argv, environment, time_limit }
    }

    async fn run(&self, message: &Message) -> Result<String, String> {
        let Some((program, arguments)) = self.argv.split_first() else { return Err("it has no program".to_owned()) };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment).envs(about(message)).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group(command.spawn().map_err(|error| format!("it cannot be run: {error}"))?);
        let (stdin, stdout, stderr) = (group.0.stdin.take(), group.0.stdout.take(), group.0.stderr.take());
        let body = form::json(message);
        let writing = async move {
            // One that does not want to read it has been told by its start.
            if let Some(mut stdin) = stdin
                && let Err(error) = stdin.write_all(&body).await
            {
                tracing::debug!(%error, "a notify command did not read its input");
            }
        };
        let reading = async move { tokio::join!(read(stdout), read(stderr)) };
        let ending = async move {
            let waited = tokio::time::timeout(self.time_limit, group.0.wait()).await;
            drop(group);
            waited
        };
        let io = async { tokio::join!(writing, reading).1 };
        tokio::pin!(io);
        let mut printed = None;
        let waited = {
            tokio::pin!(ending);
            loop {
                tokio::select! {
                    done = &mut io, if printed.is_none() => printed = Some(done),
                    waited = &mut ending => break waited,
                }
            }
        };
        if printed.is_none() {
            printed = tokio::time::timeout(OUTPUT_GRACE, &mut io).await.ok();
        }
        let (out, err) = printed.unwrap_or_default();
        tracing::debug!(target = self.target, stdout = out, stderr = err, "a notify command printed");
        match waited {
            Ok(Ok(status)) if status.success() => Ok("it ended with exit code 0".to_owned()),
            Ok(Ok(status)) => Err(in_words(status)),
            Ok(Err(error)) => Err(format!("its end was not seen: {error}")),
            Err(_) => Err(format!("it did not end within {} s and was killed", self.time_limit.as_secs())),
        }
    }
}

impl Notifier for Command {
    fn target(&self) -> &str {
        &self.target
    }

    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>> {
        Box::pin(async move {
            let failed = |why| NotifyError { target: self.target.clone(), why, is_final: false, retry_after: None };
            Box::pin(self.run(message)).await.map_err(failed)
        })
    }
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// The program's name, and a few digits of a digest that tell two commands of one program apart: its arguments may hold
/// what is nobody's business.
fn shown(argv: &[String]) -> String {
    let program = argv.first().map_or("", String::as_str);
    let name = program.rsplit('/').next().unwrap_or_default();
    let mut digest = Sha256::new();
    for part in argv {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    format!("command:{name}#{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

fn about(message: &Message) -> Vec<(&'static str, String)> {
    let mut about = vec![
        ("SWITCHMAN_EVENT", message.event.to_owned()),
        ("SWITCHMAN_SEVERITY", message.severity.to_string()),
        ("SWITCHMAN_ID", message.id.clone()),
    ];
    about.extend(message.agent.as_ref().map(|agent| ("SWITCHMAN_AGENT", agent.to_string())));
    about.extend(message.subscription.as_ref().map(|one| ("SWITCHMAN_SUBSCRIPTION", one.to_string())));
    about
}

/// The beginning of what is printed; the rest is read and dropped, or the program would wait for somebody to read it.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        let room = OUTPUT_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended without success".to_owned(),
    }
}

/// A program under way. Dropped before it has ended, it is killed with its group.
struct Group(tokio::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The id is there until the child is reaped, so it is nobody else's.
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _nobody_left = rustix::process::kill_process_group(group, Signal::KILL).is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testing::message;
    use super::*;

    fn shell(script: &str, limit: Duration) -> Command {
        let variables = [("PATH", "/usr/bin:/bin"), ("MAX_A", "CANARY-environment")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Command::new(vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], &variables, limit)
    }

    async fn run(script: &str) -> Result<String, NotifyError> {
        shell(script, Duration::from_secs(20)).send(&message()).await
    }

    #[tokio::test]
    async fn a_program_reads_the_message_and_has_a_small_environment_and_nothing_in_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let script = format!(
            "cat > {0}; env > {1}; tr '\\0' '\\n' < /proc/$$/cmdline > {2}",
            path("in").display(),
            path("env").display(),
            path("argv").display()
        );
        assert_eq!(run(&script).await.unwrap(), "it ended with exit code 0");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let body: serde_json::Value = serde_json::from_str(&read(&path("in"))).unwrap();
        assert_eq!((&body["id"], &body["schema_version"]), (&"reviewer-s3-switch".into(), &1.into()));
        let env = read(&path("env"));
        for line in
            ["SWITCHMAN_EVENT=switch", "SWITCHMAN_AGENT=reviewer", "SWITCHMAN_SUBSCRIPTION=max-b", "PATH=/usr/bin:/bin"]
        {
            assert!(env.lines().any(|has| has == line), "{line}: {env}");
        }
        assert!(!env.contains("CANARY"), "{env}");
        assert!(!read(&path("argv")).contains("reviewer"));
    }

    #[tokio::test]
    async fn other_ends_are_told_and_tried_again() {
        for (script, said) in
            [("exit 1", "exit code 1"), ("kill -9 $$", "signal 9"), ("exec /nonexistent/program", "exit code 127")]
        {
            let error = run(script).await.unwrap_err();
            assert!(!error.is_final && error.why.contains(said), "{script}: {error}");
        }
        let missing = Command::new(vec!["/nonexistent/CANARY".to_owned()], &BTreeMap::new(), TIME_LIMIT);
        let error = missing.send(&message()).await.unwrap_err();
        assert!(!error.is_final && error.why.contains("cannot be run"), "{error}");
    }

    #[tokio::test]
    async fn one_that_ignores_its_input_or_prints_without_end_is_told_all_the_same() {
        assert_eq!(run("exec 0<&-; exit 0").await.unwrap(), "it ended with exit code 0");
        assert_eq!(
            run("head -c 50000000 /dev/zero; head -c 5000000 /dev/zero >&2").await.unwrap(),
            "it ended with exit code 0"
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", file.display());
        let error = shell(&script, Duration::from_secs(1)).send(&message()).await.unwrap_err();
        assert!(error.why.contains("within 1 s"), "{error}");
        let stat = format!("/proc/{}/stat", std::fs::read_to_string(&file).unwrap().trim());
        let lives = || std::fs::read_to_string(&stat).is_ok_and(|state| !state.contains(") Z "));
        let ending = async {
            while lives() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ending).await.expect("its child ends");
    }

    #[tokio::test]
    async fn what_it_leaves_behind_does_not_hold_up_its_end() {
        let told = tokio::time::timeout(Duration::from_secs(45), run("sleep 90 & exit 0")).await;
        assert_eq!(told.expect("it is not waited for").unwrap(), "it ended with exit code 0");
    }

    #[test]
    fn a_target_shows_the_program_only_and_tells_two_commands_apart() {
        let target = |argv: &[&str]| {
            let argv = argv.iter().map(|part| (*part).to_owned()).collect();
            Command::new(argv, &BTreeMap::new(), TIME_LIMIT).target().to_owned()
        };
        let one = target(&["/opt/CANARY/tell", "--token", "CANARY"]);
        assert!(one.starts_with("command:tell#") && !one.contains("CANARY"), "{one}");
        assert_ne!(one, target(&["/opt/CANARY/tell", "--token CANARY"]));
    }
}
