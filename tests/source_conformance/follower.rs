//! Follows a source for a test: line by line, with a deadline, and with what a reader would have written down.

use std::collections::VecDeque;
use std::time::Duration;

use switchman::domain::{AgentName, LogPosition, SourceId, SourcePlace};
use switchman::ports::logs::{LogBatch, LogError, LogRead, LogSource, LogStream};

/// No fact that a test waits for takes longer than this on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Follower {
    stream: Box<dyn LogStream>,
    batch: LogBatch,
    came: VecDeque<(String, Option<LogPosition>, bool)>,
    /// As the store would have it.
    pub(crate) known: Vec<LogPosition>,
    pub(crate) gaps: u32,
    /// Lines of which only the beginning was kept.
    pub(crate) cut: u32,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Follower {
    pub(crate) async fn try_open(
        logs: &dyn LogSource,
        source: &SourceId,
        from: &[LogPosition],
    ) -> Result<Self, LogError> {
        let stream = logs.open(&AgentName::new("one"), source, from, !from.is_empty()).await?;
        let (batch, came, known) = (LogBatch::default(), VecDeque::new(), from.to_vec());
        let mut follower = Self { stream, batch, came, known, gaps: 0, cut: 0 };
        follower.note_moved();
        Ok(follower)
    }

    pub(crate) async fn open(logs: &dyn LogSource, source: &SourceId, from: &[LogPosition]) -> Self {
        Self::try_open(logs, source, from).await.unwrap()
    }

    fn note(&mut self, position: LogPosition) {
        self.known.retain(|known| !position.replaces(known));
        if !matches!(position, LogPosition::Source { place: SourcePlace::Gone { .. }, .. }) {
            self.known.push(position);
        }
    }

    fn note_moved(&mut self) {
        for position in self.stream.moved() {
            self.note(position);
        }
    }

    fn look(&mut self, read: LogRead) {
        self.gaps += u32::from(read == LogRead::Gap);
        for (text, line) in self.batch.iter() {
            let text = String::from_utf8_lossy(text).into_owned();
            self.came.push_back((text, self.stream.position(line), line.is_cut));
        }
        if self.came.is_empty() {
            self.note_moved();
        }
    }

    /// One read.
    pub(crate) async fn read(&mut self) -> Result<LogRead, LogError> {
        let read = tokio::time::timeout(PATIENCE, self.stream.next(&mut self.batch)).await.expect("something comes")?;
        self.look(read);
        Ok(read)
    }

    /// The next line, and what is written down after it.
    pub(crate) async fn line(&mut self) -> (String, Vec<LogPosition>) {
        loop {
            if let Some((text, position, is_cut)) = self.came.pop_front() {
                self.cut += u32::from(is_cut);
                if let Some(position) = position {
                    self.note(position);
                }
                if self.came.is_empty() {
                    self.note_moved();
                }
                return (text, self.known.clone());
            }
            self.read().await.expect("the stream goes on");
        }
    }

    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(self.line().await.0);
        }
        assert!(self.came.is_empty(), "more than was asked for: {:?} and then {:?}", texts, self.came);
        texts
    }

    /// Reads until what is written down is as asked.
    pub(crate) async fn until(&mut self, is: impl Fn(&Self) -> bool) {
        while !is(self) {
            self.read().await.expect("the stream goes on");
            assert!(self.came.is_empty(), "lines that nobody wrote: {:?}", self.came);
            self.note_moved();
        }
    }

    /// Polls a read once, and drops it; what it gave.
    pub(crate) async fn poll_once(&mut self) -> Vec<String> {
        let polled = {
            let mut next = self.stream.next(&mut self.batch);
            std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await
        };
        if let std::task::Poll::Ready(read) = polled {
            self.look(read.unwrap());
        }
        std::mem::take(&mut self.came).into_iter().map(|(text, ..)| text).collect()
    }
}
