//! Reads a log for a test: with a deadline, and into lines that can be looked at.

use std::time::Duration;

use switchman::domain::LogPosition;
use switchman::ports::logs::{LogBatch, LogError, LogLine, LogRead, LogSource, LogStream};

use super::one;

/// No fact that a test waits for takes longer than this on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    pub(crate) line: LogLine,
}

impl Read {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn position(&self, reader: &Reader) -> LogPosition {
        self.line.position.of(&reader.stream.instance().id)
    }
}

pub(crate) fn texts(lines: &[Read]) -> Vec<String> {
    lines.iter().map(Read::text).collect()
}

pub(crate) struct Reader {
    pub(crate) stream: Box<dyn LogStream>,
    batch: LogBatch,
    /// What the last read took.
    pub(crate) took: Vec<Read>,
    pub(crate) gaps: u32,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("took", &self.took).finish_non_exhaustive()
    }
}

impl Reader {
    /// The log of agent "one".
    pub(crate) async fn open(
        source: &dyn LogSource,
        from: Option<&LogPosition>,
        whole: bool,
    ) -> Result<Self, LogError> {
        source.open(&one(), from, whole).await.map(Self::of)
    }

    pub(crate) fn of(stream: Box<dyn LogStream>) -> Self {
        Self { stream, batch: LogBatch::default(), took: Vec::new(), gaps: 0 }
    }

    /// One read.
    pub(crate) async fn read(&mut self) -> Result<LogRead, LogError> {
        let read = tokio::time::timeout(PATIENCE, self.stream.next(&mut self.batch)).await;
        let read = read.expect("something comes");
        self.look(&read);
        read
    }

    fn look(&mut self, read: &Result<LogRead, LogError>) {
        let lines = self.batch.iter().map(|(text, line)| Read { bytes: text.to_vec(), line: *line });
        self.took = lines.collect();
        self.gaps += u32::from(*read == Ok(LogRead::Gap));
    }

    /// Polls a read once, and drops it; what it gave.
    pub(crate) async fn poll_once(&mut self) -> Vec<Read> {
        let polled = {
            let mut next = self.stream.next(&mut self.batch);
            std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await
        };
        match polled {
            std::task::Poll::Pending => Vec::new(),
            std::task::Poll::Ready(read) => {
                self.look(&read);
                std::mem::take(&mut self.took)
            }
        }
    }

    /// Reads so many lines; more than that must not come along with them.
    pub(crate) async fn lines(&mut self, count: usize) -> Vec<Read> {
        let mut all = Vec::new();
        while all.len() < count {
            let read = self.read().await.expect("the stream goes on");
            assert_ne!(read, LogRead::Ended, "after {:?}", texts(&all));
            all.append(&mut self.took);
        }
        assert_eq!(all.len(), count, "{:?}", texts(&all));
        all
    }

    /// Reads until the stream ends.
    pub(crate) async fn until_the_end(&mut self) -> Vec<Read> {
        let mut all = Vec::new();
        while self.read().await.expect("the stream goes on") != LogRead::Ended {
            all.append(&mut self.took);
        }
        all
    }

    /// Reads until the stream breaks.
    pub(crate) async fn until_the_break(&mut self) -> (Vec<Read>, LogError) {
        let mut all = Vec::new();
        loop {
            match self.read().await {
                Ok(read) => {
                    assert_ne!(read, LogRead::Ended);
                    all.append(&mut self.took);
                }
                Err(error) => return (all, error),
            }
        }
    }
}
