//! What agents print: the log of a container, session files, a unit's journal, standard input; each followed from where
//! it was read to.
//!
//! A source says what is there and keeps nothing: it does not open a stream again, does not decide what an end
//! means, and does not store positions. The order of a log is the order in which it is given out.
//!
//! ```text
//! open ──► next ──► Lines ─┐            the caller
//!            ▲  └─► Gap  ──┤            - looks at the agent after Ended, Gap and every error
//!            └─────────────┘            - opens again from the last position it has dealt with
//!               ├─► Ended / an error    - opens again if nothing came for too long
//!               └─► Over                - does not come back
//! ```
//!
//! Tests: `tests/log_conformance.rs`, on the fake and on a real engine; `tests/source_conformance.rs`, on real files, a
//! real journal and a real pipe.

use std::ops::Range;

use super::{Disposition, Pending};
use crate::domain::{AgentName, ContainerPosition, Instance, LogPosition, SourceId, Wall};

/// The room a batch keeps for the next one, in bytes of text.
const KEPT_TEXT: usize = 64 * 1024;
/// The same for its lines.
const KEPT_LINES: usize = 1024;

/// Which output of the agent a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputOf {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// Its terminal, which does not keep the two apart; or something that is no output of a process.
    Console,
}

/// A [`ContainerPosition`] without its container: what a line carries of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogMark {
    /// Nanoseconds since the Unix epoch. Never goes back from one line to the next, except after the engine's
    /// clock was set back.
    pub at_ns: i64,
    /// How many lines up to and including this one carry that time.
    pub seen: u32,
}

impl LogMark {
    /// The position after the line, in the log of this container.
    #[must_use]
    pub fn of(self, container: &str) -> LogPosition {
        LogPosition::Container(ContainerPosition {
            container: container.to_owned(),
            at_ns: self.at_ns,
            seen: self.seen,
        })
    }
}

/// Where a reader stands that has read a line, as far as the line carries it; [`LogStream::position`] makes a position
/// of it while the stream is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineMark {
    /// In the log of a container.
    Time(LogMark),
    /// In a file.
    Byte {
        /// Which of the stream's files.
        file: u32,
        /// The first byte after the line.
        upto: u64,
    },
    /// In the journal: which entry of the last batch.
    Entry(u32),
    /// Nobody can come back to it.
    Nowhere,
}

/// What is known of a line beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// When the engine or the journal took it in; when it was read, of a file and of standard input.
    pub at: Wall,
    /// Where a reader stands that has read it.
    pub position: LineMark,
    /// Whether it was written since the start of the followed instance. Says nothing where no instance is followed.
    pub is_of_this_life: bool,
    /// Whether it was longer than what is kept of a line; the rest was left out.
    pub is_cut: bool,
    /// Where it was written to.
    pub stream: OutputOf,
}

/// Lines of a log, read in one go. Made to be used again: see [`LogBatch::clear`].
#[derive(Debug, Default)]
pub struct LogBatch {
    text: Vec<u8>,
    lines: Vec<(Range<usize>, LogLine)>,
}

impl LogBatch {
    /// The lines in order, each with its text: bytes as the agent wrote them, without the end of the line.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &LogLine)> {
        self.lines.iter().map(|(range, line)| (&self.text[range.clone()], line))
    }

    /// Whether there is no line in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many lines are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Adds a line.
    pub fn push(&mut self, text: &[u8], line: LogLine) {
        let begin = self.text.len();
        self.text.extend_from_slice(text);
        self.lines.push((begin..self.text.len(), line));
    }

    /// Empties it. Room above 64 KiB, which only a long line or a flood needs, is given back.
    pub fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_TEXT);
        self.lines.clear();
        self.lines.shrink_to(KEPT_LINES);
    }
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRead {
    /// Lines are in the batch. None are if much was read of a line that has not ended yet.
    Lines,
    /// Lines between the position and the first one that can be read are lost. Told once, before any other
    /// line; the batch may hold lines as well.
    Gap,
    /// The stream ended; that is no evidence that the container stopped. Every further read says so again.
    Ended,
    /// The source itself is at its end: nothing will ever come again, and that is in order.
    Over,
}

/// Why a log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nobody answers.
    #[error("engine not reachable: {0}")]
    Unreachable(String),
    /// There is no such container.
    #[error("no container of agent \"{0}\"")]
    Missing(AgentName),
    /// There is no log of it that can be read, or we may not.
    #[error("log of agent \"{agent}\" cannot be read: {why}")]
    Unreadable {
        /// The agent.
        agent: AgentName,
        /// The cause in words.
        why: String,
    },
    /// What came is not a log, or the connection broke.
    #[error("log stream broke: {0}")]
    Broken(String),
    /// The engine did not begin to answer in time.
    #[error("no answer to the request for the log in time")]
    Timeout,
}

impl LogError {
    /// What it means for a decision. Reading changes nothing, so no outcome is ever in doubt.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::Timeout => Disposition::Transient,
            Self::Missing(_) | Self::Unreadable { .. } => Disposition::Permanent,
        }
    }
}

/// The log of one life of a container, or another source, from a position on.
pub trait LogStream: Send + Sync {
    /// The life whose output is followed; lines of earlier ones may come first. `None` if the source knows no lives.
    fn instance(&self) -> Option<&Instance>;
    /// The name of the time zone that the agent keeps, if its container says so (`TZ`).
    fn zone(&self) -> Option<&str> {
        None
    }
    /// The position after a line of the last batch; `None` if nobody can come back to it.
    fn position(&self, line: &LogLine) -> Option<LogPosition>;
    /// Positions that came about without a line since this was last asked: a file that is read from its end on, one
    /// that is gone. To be written down with the next ones.
    fn moved(&mut self) -> Vec<LogPosition> {
        Vec::new()
    }
    /// Waits for more and puts it into the batch, which is cleared first. Reads nothing while nobody waits, and
    /// a bounded amount at a time. Cancel safe: a dropped future loses no line.
    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>>;
}

/// Where logs are read.
pub trait LogSource: Send + Sync + 'static {
    /// Follows a source of the agent from these positions (exclusive). Without any, or with one in the log of another
    /// container: from the beginning if `whole`, else from now on. Positions in other sources say nothing.
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        from: &'a [LogPosition],
        whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_batch_keeps_little_room() {
        let line = LogLine {
            at: Wall(1),
            position: LineMark::Time(LogMark { at_ns: 1_000_000, seen: 1 }),
            is_of_this_life: true,
            is_cut: false,
            stream: OutputOf::Stdout,
        };
        let mut batch = LogBatch::default();
        batch.push(&vec![b'x'; 1 << 20], line);
        batch.push(b"short", line);
        assert_eq!(batch.iter().map(|(text, _)| text.len()).collect::<Vec<_>>(), [1 << 20, 5]);
        batch.clear();
        assert!(batch.is_empty() && batch.text.capacity() <= KEPT_TEXT, "{}", batch.text.capacity());
        batch.push(b"again", line);
        assert_eq!(batch.iter().next().map(|(text, _)| text), Some(&b"again"[..]));
    }
}
