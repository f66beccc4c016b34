//! The standard input of the daemon, as the lines of one agent.
//!
//! One thread reads it and hands over a piece at a time: whoever writes into it waits as long as nobody takes the piece.
//! Nobody can come back to a place in it, so what was read is gone. It must not be read unless an agent wants it.
//!
//! Tests: `tests/sources.rs`, with the program.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::split::{Line, Splitter};
use crate::domain::{AgentName, Instance, LogPosition, SourceId};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::{LineMark, LogBatch, LogError, LogLine, LogRead, LogSource, LogStream, OutputOf};

/// One read takes so much at most.
const TURN_LEN: usize = 64 * 1024;

/// The standard input, which one agent can have.
pub struct StdinSource {
    clock: Arc<dyn Clock>,
    input: Arc<Mutex<Input>>,
}

/// Whose it is, and what is to be read of it.
#[derive(Default)]
struct Input {
    owner: Option<AgentName>,
    /// Empty before it is first wanted, and while somebody reads.
    rest: Option<Rest>,
    is_begun: bool,
}

struct Rest {
    pieces: mpsc::Receiver<Vec<u8>>,
    splitter: Splitter,
}

impl StdinSource {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, input: Arc::default() }
    }

    fn take(&self, agent: &AgentName) -> Result<Rest, LogError> {
        let unreadable = |why: String| LogError::Unreadable { agent: agent.clone(), why };
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match &input.owner {
            Some(owner) if owner != agent => {
                return Err(unreadable(format!("the standard input is read for agent \"{owner}\" already")));
            }
            Some(_) | None => input.owner = Some(agent.clone()),
        }
        if let Some(rest) = input.rest.take() {
            return Ok(rest);
        }
        if input.is_begun {
            return Err(LogError::Broken("the standard input is still being read".to_owned()));
        }
        let (send, pieces) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || pump(&send));
        thread.map_err(|error| LogError::Broken(format!("no thread for the standard input: {error}")))?;
        input.is_begun = true;
        Ok(Rest { pieces, splitter: Splitter::default() })
    }
}

/// Reads until there is nothing more, or nobody to give it to.
fn pump(send: &mpsc::Sender<Vec<u8>>) {
    let mut input = std::io::stdin().lock();
    let mut room = vec![0; TURN_LEN];
    loop {
        match input.read(&mut room) {
            Ok(0) => return,
            Ok(len) => {
                if send.blocking_send(room[..len].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::debug!(%error, "the standard input ends");
                return;
            }
        }
    }
}

impl LogSource for StdinSource {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        _from: &'a [LogPosition],
        _whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        Box::pin(async move {
            if *source != SourceId::Stdin {
                return Err(LogError::Missing(agent.clone()));
            }
            let rest = Some(self.take(agent)?);
            let (clock, input) = (Arc::clone(&self.clock), Arc::clone(&self.input));
            Ok(Box::new(StdinStream { clock, input, rest }) as Box<dyn LogStream>)
        })
    }
}

struct StdinStream {
    clock: Arc<dyn Clock>,
    input: Arc<Mutex<Input>>,
    rest: Option<Rest>,
}

impl LogStream for StdinStream {
    fn instance(&self) -> Option<&Instance> {
        None
    }

    fn position(&self, _line: &LogLine) -> Option<LogPosition> {
        None
    }

    fn next<'a>(&'a mut self, into: &'a mut LogBatch) -> Pending<'a, Result<LogRead, LogError>> {
        Box::pin(async move {
            into.clear();
            let Some(Rest { pieces, splitter }) = &mut self.rest else { return Ok(LogRead::Over) };
            let piece = pieces.recv().await;
            let is_at_its_end = piece.is_none();
            let at = self.clock.now().wall;
            let mut push = |line: Line<'_>| {
                let (position, stream) = (LineMark::Nowhere, OutputOf::Console);
                into.push(line.text, LogLine { at, position, is_of_this_life: false, is_cut: line.is_cut, stream });
            };
            match piece {
                Some(piece) => splitter.feed(&piece, push),
                None => splitter.end(&mut push),
            }
            // A last line without its end is given out first; the end is found again after it.
            Ok(if is_at_its_end && into.is_empty() { LogRead::Over } else { LogRead::Lines })
        })
    }
}

impl Drop for StdinStream {
    /// Whoever reads on begins where this one has stopped: another agent as well, after a change of the config.
    fn drop(&mut self) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.rest = self.rest.take();
        input.owner = None;
    }
}
