//! What the journal of the system has of a unit: `journalctl` follows it, and is read a bounded piece at a time.
//!
//! A child waits as long as nobody reads its output. A journal that was cut short since the position goes on with the
//! oldest entry there is; nothing tells that anything is missing. It must not be asked for more than the entries of one
//! unit, and gets nothing of the daemon's environment.
//!
//! Tests: `tests/source_conformance/journal.rs`, on a journal of its own.

use std::process::Stdio;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::split::{Line, Splitter};
use crate::domain::{AgentName, Instance, LogPosition, SourceId, SourcePlace, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::{LineMark, LogBatch, LogError, LogLine, LogRead, LogSource, LogStream, OutputOf};

/// One read takes so much at most.
const TURN_LEN: usize = 64 * 1024;
/// So much is shown of what `journalctl` complains about.
const COMPLAINT_MAX: u64 = 500;
/// Where the program is looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The journal of the system, or one in a folder.
pub struct JournalSources {
    clock: Arc<dyn Clock>,
    folder: Option<String>,
}

impl JournalSources {
    /// The journal of the system.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, folder: None }
    }

    /// The journal whose files are in this folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &str) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    fn follow(&self, agent: &AgentName, unit: &str, from: &[LogPosition]) -> Result<JournalStream, LogError> {
        let source = SourceId::Journal(unit.to_owned());
        let mut command = Command::new("journalctl");
        command.args(["--follow", "--output=json", "--all", "--quiet", "--no-pager"]);
        command.args(self.folder.iter().map(|folder| format!("--directory={folder}")));
        command.arg(format!("--unit={unit}"));
        let mut own = from.iter().filter(|position| *position.source() == source);
        let mut cursor = None;
        let mut moved = Vec::new();
        match own.next_back() {
            Some(LogPosition::Source { place: SourcePlace::Journal { cursor: known }, .. }) => {
                command.args(["--no-tail".to_owned(), format!("--after-cursor={known}")]);
                cursor = Some(known.clone());
            }
            Some(LogPosition::Source { at, .. }) => {
                command.args(["--no-tail".to_owned(), format!("--since=@{}", at.0.div_euclid(1000))]);
            }
            Some(LogPosition::Container(_)) | None => {
                let at = self.clock.now().wall;
                command.args(["--no-tail".to_owned(), format!("--since=@{}", at.0.div_euclid(1000))]);
                moved.push(LogPosition::Source { source: source.clone(), place: SourcePlace::Known, at });
            }
        }
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("SYSTEMD_COLORS", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let unreadable = |why: String| LogError::Unreadable { agent: agent.clone(), why };
        let mut child = command.spawn().map_err(|error| unreadable(format!("`journalctl` cannot be run: {error}")))?;
        let (Some(output), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(LogError::Broken("`journalctl` has no output".to_owned()));
        };
        // What was there before the source was known is not read; the clock of `--since` has whole seconds only.
        let not_before = if cursor.is_none() { own_time(from, &source).or_else(|| time_of(&moved)) } else { None };
        Ok(JournalStream {
            agent: agent.clone(),
            source,
            child,
            output,
            complaints,
            room: vec![0; TURN_LEN],
            splitter: Splitter::default(),
            cursors: cursor.into_iter().collect(),
            not_before,
            moved,
            end: None,
        })
    }
}

fn own_time(from: &[LogPosition], source: &SourceId) -> Option<Wall> {
    from.iter().rev().find_map(|position| match position {
        LogPosition::Source { source: of, at, .. } if of == source => Some(*at),
        LogPosition::Source { .. } | LogPosition::Container(_) => None,
    })
}

fn time_of(moved: &[LogPosition]) -> Option<Wall> {
    moved.iter().find_map(|position| match position {
        LogPosition::Source { at, .. } => Some(*at),
        LogPosition::Container(_) => None,
    })
}

impl LogSource for JournalSources {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        from: &'a [LogPosition],
        _whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        Box::pin(async move {
            match source {
                SourceId::Journal(unit) => Ok(Box::new(self.follow(agent, unit, from)?) as Box<dyn LogStream>),
                SourceId::Container | SourceId::Files(_) | SourceId::Stdin => Err(LogError::Missing(agent.clone())),
            }
        })
    }
}

struct JournalStream {
    agent: AgentName,
    source: SourceId,
    child: Child,
    output: ChildStdout,
    complaints: ChildStderr,
    room: Vec<u8>,
    splitter: Splitter,
    /// Of the entries of the last batch, behind that of the one before them, if it is known.
    cursors: Vec<String>,
    not_before: Option<Wall>,
    moved: Vec<LogPosition>,
    end: Option<LogError>,
}

/// What is needed of an entry.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    /// In microseconds.
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: String,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
}

impl Entry {
    fn at(&self) -> Option<Wall> {
        self.at.parse::<i64>().ok().map(|at| Wall(at.div_euclid(1000)))
    }

    /// Text, or bytes where it is no text.
    fn message(self) -> Vec<u8> {
        match self.message {
            Value::String(text) => text.into_bytes(),
            Value::Array(bytes) => {
                bytes.iter().filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Takes entries in, line by line of their messages.
struct Intake<'a> {
    cursors: &'a mut Vec<String>,
    not_before: Option<Wall>,
    batch: &'a mut LogBatch,
    has_gap: bool,
}

impl Intake<'_> {
    fn take(&mut self, line: &Line<'_>) {
        let entry: Result<Entry, _> = serde_json::from_slice(line.text);
        let Ok(entry) = entry else {
            // Longer than anything that is read whole, or no entry at all.
            self.has_gap = true;
            return;
        };
        let at = entry.at().unwrap_or(Wall(0));
        if self.not_before.is_some_and(|known| at < known) {
            return;
        }
        let before = u32::try_from(self.cursors.len()).unwrap_or(u32::MAX).checked_sub(1);
        self.cursors.push(entry.cursor.clone());
        let message = entry.message();
        let count = memchr::memchr_iter(b'\n', &message).count();
        for (number, text) in message.split(|byte| *byte == b'\n').enumerate() {
            // A failure in the middle of an entry does not take what follows it along.
            let position = if number == count {
                LineMark::Entry(u32::try_from(self.cursors.len() - 1).unwrap_or(u32::MAX))
            } else {
                before.map_or(LineMark::Nowhere, LineMark::Entry)
            };
            let stream = OutputOf::Console;
            self.batch.push(text, LogLine { at, position, is_of_this_life: false, is_cut: line.is_cut, stream });
        }
    }
}

impl JournalStream {
    async fn turn(&mut self, batch: &mut LogBatch) -> Result<LogRead, LogError> {
        batch.clear();
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let len = match self.output.read(&mut self.room).await {
            Ok(len) => len,
            Err(error) => return Err(LogError::Broken(format!("`journalctl`: {error}"))),
        };
        if len == 0 {
            let end = self.has_ended().await;
            self.end = Some(end.clone());
            return Err(end);
        }
        // The cursor of the last entry stays: an entry of several lines goes on from there.
        let kept = self.cursors.len().saturating_sub(1);
        self.cursors.drain(..kept);
        let Self { splitter, room, cursors, not_before, .. } = self;
        let mut intake = Intake { cursors, not_before: *not_before, batch, has_gap: false };
        splitter.feed(&room[..len], |line| intake.take(&line));
        Ok(if intake.has_gap { LogRead::Gap } else { LogRead::Lines })
    }

    /// Why it has ended, which it never does by itself.
    async fn has_ended(&mut self) -> LogError {
        let mut said = Vec::new();
        let read = (&mut self.complaints).take(COMPLAINT_MAX).read_to_end(&mut said).await;
        let status = self.child.wait().await;
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        match (read, status) {
            (Ok(_), Ok(status)) if !status.success() && !said.is_empty() => {
                let why = format!("{said} (the user that runs switchman has to be in the group systemd-journal)");
                LogError::Unreadable { agent: self.agent.clone(), why }
            }
            (_, Ok(status)) => LogError::Broken(format!("`journalctl` ended: {status}")),
            (_, Err(error)) => LogError::Broken(format!("`journalctl` ended: {error}")),
        }
    }
}

impl LogStream for JournalStream {
    fn instance(&self) -> Option<&Instance> {
        None
    }

    fn position(&self, line: &LogLine) -> Option<LogPosition> {
        let LineMark::Entry(index) = line.position else { return None };
        let cursor = self.cursors.get(usize::try_from(index).ok()?)?.clone();
        Some(LogPosition::Source { source: self.source.clone(), place: SourcePlace::Journal { cursor }, at: line.at })
    }

    fn moved(&mut self) -> Vec<LogPosition> {
        std::mem::take(&mut self.moved)
    }

    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>> {
        Box::pin(self.turn(into))
    }
}
