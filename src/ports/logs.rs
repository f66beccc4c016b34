//! What agents print: the log of a container, followed from a position.
//!
//! A source says what is there and keeps nothing: it does not open a stream again, does not decide what an end
//! means, and does not store positions. The order of a log is the order in which the engine gives it out.
//!
//! ```text
//! open ──► next ──► Lines ─┐            the caller
//!            ▲  └─► Gap  ──┤            - looks at the agent after Ended, Gap and every error
//!            └─────────────┘            - opens again from the last position it has dealt with
//!               └─► Ended / an error    - opens again if nothing came for too long
//! ```
//!
//! Tests: `tests/log_conformance.rs`, on the fake and on a real engine.

use std::ops::Range;

use super::{Disposition, Pending};
use crate::domain::{AgentName, Instance, LogPosition, Wall};

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
    /// Its terminal, which does not keep the two apart.
    Console,
}

/// A [`LogPosition`] without its container: what a line carries of it.
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
        LogPosition { container: container.to_owned(), at_ns: self.at_ns, seen: self.seen }
    }
}

/// What is known of a line beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// When the engine took it in.
    pub at: Wall,
    /// Where a reader stands that has read it.
    pub position: LogMark,
    /// Whether it was written since the start of the followed instance.
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
    /// The engine keeps no log of it that can be read, or does not let us.
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

/// The log of one life of a container, from a position on.
pub trait LogStream: Send {
    /// The life whose output is followed. Lines of earlier ones may come first.
    fn instance(&self) -> &Instance;
    /// Waits for more and puts it into the batch, which is cleared first. Reads nothing while nobody waits, and
    /// a bounded amount at a time. Cancel safe: a dropped future loses no line.
    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>>;
}

/// Where logs are read.
pub trait LogSource: Send + Sync + 'static {
    /// Follows the agent's log from the position (exclusive). Without one, or with one in the log of another
    /// container: from the container's creation if `whole`, else from now on.
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        from: Option<&'a LogPosition>,
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
            position: LogMark { at_ns: 1_000_000, seen: 1 },
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
