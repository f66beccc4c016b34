//! An agent to try switchman with: it behaves like an AI coding tool and needs neither an account nor a network.
//!
//! It takes its credential from a variable or a file, once, when it starts; prints what Claude Code prints with
//! `--output-format stream-json`; and hits its limit when it is told to. Then every further turn fails, as with
//! the real tool, until somebody starts it on another subscription. On SIGTERM it exits with 143.
//!
//! ```text
//! agent [--credential-env NAME | --credential-file PATH] [--control PATH] [--at-start PATH] [--turn-every-ms N]
//!       [--self-report]
//! agent --exists PATH          exits 0 if PATH exists, else 1: a health check for images that hold nothing else
//! agent --control PATH --tell COMMAND    gives a running agent a command; exits 0 if it took effect
//! ```
//!
//! `--control PATH` takes commands, one per line. A FIFO is read; otherwise a Unix socket is made there, which
//! answers `ok` when the command has taken effect. SIGUSR1 does what `limit` does, SIGHUP what `reload` does. The
//! commands in the file of `--at-start` are obeyed at the start, if there is one.
//!
//! | command | does |
//! |---|---|
//! | `turn` | one turn |
//! | `limit [SECONDS]` | the subscription's limit is hit, to be reset in so long (5 h); one failing turn |
//! | `burst N` | N turns at once |
//! | `auth` | the credential is refused from now on; one failing turn |
//! | `works` | turns succeed again |
//! | `print TEXT` | prints the line |
//! | `print-file PATH [MS]` | prints the lines of the file, all at once or one each so many milliseconds |
//! | `at-term PATH` | on SIGTERM prints the lines of the file first |
//! | `forge MS SECONDS` | prints a limit, to be reset in so long, each so many milliseconds from now on |
//! | `reload` | reads its credential again and says so |
//! | `write PATH TEXT` | writes the text into the file, as a tool that renews its login does |
//! | `ignore-term` | SIGTERM does nothing from now on |
//! | `exit N` | exits with status N |
//!
//! With `--self-report` every failed turn is reported to the daemon at `SWITCHMAN_SOCKET`, with the subscription
//! and generation that the daemon wrote into the environment.
//!
//! Builds into a single file for an empty image:
//! `RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --example agent --target x86_64-unknown-linux-gnu`

#![expect(clippy::print_stderr, reason = "it is a program that prints")]
#![expect(clippy::disallowed_methods, reason = "it stands outside the daemon and has a clock and an environment")]

use std::io::Write as _;
use std::os::unix::fs::FileTypeExt;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream, unix::pipe};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

const MODEL: &str = "claude-opus-4-6";
const FIVE_HOURS_S: u64 = 5 * 60 * 60;
const TERMINATED: u8 = 128 + 15;

#[derive(Debug, Default)]
struct Options {
    credential_env: Option<String>,
    credential_file: Option<String>,
    control: Option<String>,
    turn_every: Option<Duration>,
    self_report: bool,
    exists: Option<String>,
    at_start: Option<String>,
    tell: Option<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--credential-env" => options.credential_env = Some(value()?),
                "--credential-file" => options.credential_file = Some(value()?),
                "--control" => options.control = Some(value()?),
                "--turn-every-ms" => {
                    let ms = value()?.parse().map_err(|_| "--turn-every-ms needs a number of milliseconds")?;
                    options.turn_every = (ms > 0).then(|| Duration::from_millis(ms));
                }
                "--self-report" => options.self_report = true,
                "--exists" => options.exists = Some(value()?),
                "--at-start" => options.at_start = Some(value()?),
                "--tell" => options.tell = Some(value()?),
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(options)
    }
}

/// How turns end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Limited { resets_at: u64, retry_after_s: u64 },
    Refused,
}

struct Agent {
    mood: Mood,
    fingerprint: Option<String>,
    source: String,
    session: String,
    turns: u64,
    reporter: Option<Reporter>,
    ignores_term: bool,
    credential_file: Option<String>,
    /// The file whose lines are its last words.
    at_term: Option<String>,
}

/// Where and as what failures are reported.
#[derive(Debug, Clone)]
struct Reporter {
    socket: String,
    agent: String,
    subscription: String,
    generation: u64,
}

/// A line from the control, and whom to tell when it has taken effect.
type Command = (String, Option<oneshot::Sender<String>>);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("agent: {problem}");
            return ExitCode::from(2);
        }
    };
    if let Some(path) = &options.exists {
        return ExitCode::from(u8::from(!std::path::Path::new(path).exists()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(status) => ExitCode::from(status),
        Err(problem) => {
            eprintln!("agent: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<u8, String> {
    if let (Some(control), Some(command)) = (&options.control, &options.tell) {
        return tell(control, command).await.map_err(|error| format!("cannot tell {control}: {error}"));
    }
    let mut term = signal(SignalKind::terminate()).map_err(|error| format!("cannot listen for SIGTERM: {error}"))?;
    let mut usr1 =
        signal(SignalKind::user_defined1()).map_err(|error| format!("cannot listen for SIGUSR1: {error}"))?;
    let mut hup = signal(SignalKind::hangup()).map_err(|error| format!("cannot listen for SIGHUP: {error}"))?;
    let (commands_in, mut commands) = mpsc::channel::<Command>(64);
    if let Some(path) = &options.control {
        listen(path, commands_in.clone())?;
    }
    let mut agent = Agent::awake(options);
    let at_start = options.at_start.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    for line in at_start.lines() {
        if let Some(status) = agent.obey(line)? {
            return Ok(status);
        }
    }
    let mut ticks = options.turn_every.map(tokio::time::interval);
    loop {
        tokio::select! {
            _ = term.recv() => {
                if let Some(path) = &agent.at_term {
                    print_file(path, None)?;
                }
                if !agent.ignores_term {
                    return Ok(TERMINATED);
                }
            }
            _ = usr1.recv() => { agent.obey("limit")?; }
            _ = hup.recv() => { agent.obey("reload")?; }
            () = next(&mut ticks) => agent.turn(),
            Some((line, answer)) = commands.recv() => {
                let reply = match agent.obey(&line) {
                    Ok(Some(status)) => return Ok(status),
                    Ok(None) => "ok".to_owned(),
                    Err(problem) => format!("error: {problem}"),
                };
                if let Some(answer) = answer {
                    let _nobody_waits = answer.send(reply).is_err();
                }
            }
        }
    }
}

/// Gives a running agent a command; the status is 0 if it has taken effect.
async fn tell(control: &str, command: &str) -> std::io::Result<u8> {
    let (read, mut write) = UnixStream::connect(control).await?.into_split();
    write.write_all(format!("{command}\n").as_bytes()).await?;
    let answer = BufReader::new(read).lines().next_line().await?;
    Ok(u8::from(answer.as_deref() != Some("ok")))
}

/// Prints the lines of a file: at once, or one after the other with a pause between them.
fn print_file(path: &str, every: Option<Duration>) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let Some(every) = every.filter(|every| !every.is_zero()) else {
        text.lines().for_each(|line| say(&line));
        return Ok(());
    };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        for line in text.lines() {
            ticks.tick().await;
            say(&line);
        }
    });
    Ok(())
}

/// Prints a limit again and again.
fn forge(every: Duration, resets_in_s: u64) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            let info = json!({"status": "rejected", "resetsAt": now_s() + resets_in_s, "rateLimitType": "five_hour"});
            say(&json!({"type": "rate_limit_event", "rate_limit_info": info}));
        }
    });
}

async fn next(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn listen(path: &str, commands: mpsc::Sender<Command>) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot take commands at {path}: {error}");
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        // Opened both ways, so that it does not end when a writer closes it.
        let fifo = pipe::OpenOptions::new().read_write(true).open_receiver(path).map_err(cannot)?;
        tokio::spawn(async move {
            let mut lines = BufReader::new(fifo).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if commands.send((line, None)).await.is_err() {
                    break;
                }
            }
        });
        return Ok(());
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path).map_err(cannot)?;
    }
    let listener = UnixListener::bind(path).map_err(cannot)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, commands.clone()));
        }
    });
    Ok(())
}

async fn serve(stream: UnixStream, commands: mpsc::Sender<Command>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = next_line(&mut lines).await {
        let (answer, answered) = oneshot::channel();
        if commands.send((line, Some(answer))).await.is_err() {
            break;
        }
        // No answer means that the command was to exit.
        let Ok(reply) = answered.await else { break };
        if write.write_all(format!("{reply}\n").as_bytes()).await.is_err() {
            break;
        }
    }
}

async fn next_line<R: AsyncBufRead + Unpin>(lines: &mut tokio::io::Lines<R>) -> Option<String> {
    lines.next_line().await.ok().flatten()
}

impl Agent {
    fn awake(options: &Options) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (source, credential) = match (&options.credential_env, &options.credential_file) {
            (Some(name), _) => (name.clone(), variable(name)),
            (None, Some(path)) => (path.clone(), std::fs::read_to_string(path).ok()),
            (None, None) => ("none".to_owned(), None),
        };
        let credential = credential.map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty());
        let reporter = options.self_report.then(|| Reporter::from_environment(variable)).flatten();
        let agent = Self {
            mood: if credential.is_some() { Mood::Works } else { Mood::Refused },
            fingerprint: credential.map(|text| fingerprint(&text)),
            source,
            session: format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), now_s()),
            turns: 0,
            reporter,
            ignores_term: false,
            credential_file: options.credential_file.clone(),
            at_term: None,
        };
        agent.greet();
        agent
    }

    fn greet(&self) {
        say(&json!({
            "type": "system", "subtype": "init", "session_id": self.session, "model": MODEL,
            "cwd": "/", "tools": ["Bash", "Edit", "Read"], "mcp_servers": [], "permissionMode": "default",
            "apiKeySource": self.source, "credential_fingerprint": self.fingerprint, "pid": std::process::id(),
        }));
    }

    fn reload(&mut self) {
        let credential = self.credential_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        self.fingerprint = credential.map(|text| fingerprint(text.trim_end()));
        self.mood = if self.fingerprint.is_some() { Mood::Works } else { Mood::Refused };
        say(&json!({"type": "system", "subtype": "reload", "credential_fingerprint": self.fingerprint}));
    }

    /// Does what a line says; the status to exit with, if it says so.
    fn obey(&mut self, line: &str) -> Result<Option<u8>, String> {
        let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let number = |otherwise: Option<u64>| match rest.trim() {
            "" => otherwise.ok_or_else(|| format!("{verb} needs a number")),
            text => number_in(text),
        };
        match verb {
            "" => {}
            "turn" => self.turn(),
            "works" => self.mood = Mood::Works,
            "print" => say(&rest),
            "burst" => (0..number(None)?).for_each(|_| self.turn()),
            "limit" => {
                let retry_after_s = number(Some(FIVE_HOURS_S))?;
                self.mood = Mood::Limited { resets_at: now_s() + retry_after_s, retry_after_s };
                self.turn();
            }
            "auth" => {
                self.mood = Mood::Refused;
                self.turn();
            }
            "print-file" => {
                let (path, ms) = rest.split_once(' ').unwrap_or((rest, "0"));
                print_file(path, Some(Duration::from_millis(number_in(ms)?)))?;
            }
            "at-term" => self.at_term = Some(rest.to_owned()),
            "forge" => {
                let (ms, seconds) = rest.split_once(' ').ok_or("forge needs two numbers")?;
                forge(Duration::from_millis(number_in(ms)?.max(1)), number_in(seconds)?);
            }
            "reload" => self.reload(),
            "write" => {
                let (path, text) = rest.split_once(' ').ok_or("write needs a path and a text")?;
                std::fs::write(path, text).map_err(|error| format!("cannot write {path}: {error}"))?;
            }
            "ignore-term" => self.ignores_term = true,
            "exit" => return Ok(Some(u8::try_from(number(None)?).map_err(|_| "a status is at most 255")?)),
            other => return Err(format!("unknown command {other}")),
        }
        Ok(None)
    }

    fn turn(&mut self) {
        self.turns += 1;
        match self.mood {
            Mood::Works => self.succeed(),
            Mood::Limited { resets_at, .. } => {
                say(&json!({
                    "type": "rate_limit_event", "session_id": self.session, "uuid": self.uuid(),
                    "rate_limit_info": {
                        "status": "rejected", "resetsAt": resets_at, "rateLimitType": "five_hour",
                        "overageStatus": "rejected", "isUsingOverage": false,
                    },
                }));
                self.fail("rate_limit", 429, "You've hit your session limit");
            }
            Mood::Refused => self.fail("authentication_failed", 401, "Failed to authenticate. API Error: 401"),
        }
        if let Some(reporter) = self.reporter.clone()
            && let Some(report) = reporter.report_of(self.mood)
        {
            tokio::spawn(async move { reporter.send(&report).await });
        }
    }

    fn succeed(&self) {
        let text = format!("Turn {} done.", self.turns);
        say(&json!({
            "type": "rate_limit_event", "session_id": self.session, "uuid": self.uuid(),
            "rate_limit_info": {
                "status": "allowed", "resetsAt": now_s() + FIVE_HOURS_S, "rateLimitType": "five_hour",
                "isUsingOverage": false,
            },
        }));
        say(&json!({
            "type": "assistant", "session_id": self.session, "uuid": self.uuid(), "parent_tool_use_id": null,
            "message": {"role": "assistant", "model": MODEL, "content": [{"type": "text", "text": text}]},
        }));
        say(&json!({
            "type": "result", "subtype": "success", "is_error": false, "session_id": self.session,
            "num_turns": 1, "duration_ms": 40, "result": text,
        }));
    }

    fn fail(&self, error: &str, status: u16, text: &str) {
        say(&json!({
            "type": "assistant", "session_id": self.session, "uuid": self.uuid(), "error": error,
            "isApiErrorMessage": true,
            "message": {"role": "assistant", "model": "<synthetic>", "content": [{"type": "text", "text": text}]},
        }));
        say(&json!({
            "type": "result", "subtype": "success", "is_error": true, "api_error_status": status,
            "session_id": self.session, "num_turns": 1, "duration_ms": 40, "result": text,
        }));
    }

    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.turns)
    }
}

impl Reporter {
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            socket: variable("SWITCHMAN_SOCKET")?,
            agent: variable("SWITCHMAN_AGENT")?,
            subscription: variable("SWITCHMAN_SUBSCRIPTION")?,
            generation: variable("SWITCHMAN_GENERATION")?.parse().ok()?,
        })
    }

    fn report_of(&self, mood: Mood) -> Option<Value> {
        let about = |kind: &str| {
            let mut report = json!({"kind": kind, "subscription": self.subscription, "generation": self.generation, "model": "opus"});
            if let Mood::Limited { retry_after_s, .. } = mood {
                report["retry_after_s"] = retry_after_s.into();
            }
            report
        };
        match mood {
            Mood::Works => None,
            Mood::Limited { .. } => Some(about("rate_limit")),
            Mood::Refused => Some(about("auth")),
        }
    }

    async fn send(&self, report: &Value) {
        let answer = match self.post(&report.to_string()).await {
            Ok((status, body)) => json!({"type": "self_report", "status": status, "answer": body}),
            Err(error) => json!({"type": "self_report", "error": error.to_string()}),
        };
        let _nobody_reads = writeln!(std::io::stderr(), "{answer}").is_err();
    }

    async fn post(&self, body: &str) -> std::io::Result<(u16, Value)> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let head = format!(
            "POST /v1/agents/{}/failures HTTP/1.1\r\nHost: switchman\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.agent,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(256 * 1024).read_to_string(&mut answer).await?;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("the answer is no HTTP"))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}

/// One line of output, written whole. An agent whose reader has gone works on.
fn say(line: &impl std::fmt::Display) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}").is_err();
}

/// As switchman shows it, so that people can see which credential an agent really runs on.
fn fingerprint(credential: &str) -> String {
    Sha256::digest(credential.as_bytes()).iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn number_in(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{text} is no number"))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
