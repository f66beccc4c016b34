//! What children print, passed on line by line.
//!
//! An agent is not trusted to end its lines or to write text: a line is cut at 64 KiB (the rest of it is
//! dropped and counted), and what is not UTF-8 is replaced. Memory per stream is bounded by that.
//!
//! Tests: below.

use std::sync::Arc;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use crate::domain::AgentName;

/// A longer line is cut, bytes.
pub const LINE_MAX: usize = 64 * 1024;

/// Which of its two outputs a child wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes what children print, and how they ended. Called from the tasks that read: it must not block.
pub trait OutputSink: Send + Sync + 'static {
    /// One line, without its end. `dropped` counts the bytes that were cut off behind it.
    fn line(&self, agent: &AgentName, stream: OutputStream, line: &str, dropped: u64);
    /// The child ended: `pid 12: exit status 1`, `pid 12: signal 9`.
    fn ended(&self, agent: &AgentName, how: &str);
}

/// Passes on everything the reader gives until it ends.
pub(super) async fn pass_on<R>(mut reader: R, agent: AgentName, stream: OutputStream, sink: Arc<dyn OutputSink>)
where
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let mut dropped = 0_u64;
    loop {
        let (used, ends) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(chunk) => {
                let end = chunk.iter().position(|byte| *byte == b'\n');
                let part = &chunk[..end.unwrap_or(chunk.len())];
                let taken = part.len().min(LINE_MAX - line.len());
                line.extend_from_slice(&part[..taken]);
                dropped += (part.len() - taken) as u64;
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        reader.consume(used);
        if ends {
            say(&agent, stream, &line, dropped, &*sink);
            line.clear();
            line.shrink_to(4 * 1024);
            dropped = 0;
        }
    }
    if !line.is_empty() {
        say(&agent, stream, &line, dropped, &*sink);
    }
}

fn say(agent: &AgentName, stream: OutputStream, line: &[u8], dropped: u64, sink: &dyn OutputSink) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    sink.line(agent, stream, &String::from_utf8_lossy(line), dropped);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, u64)>>);

    impl OutputSink for Kept {
        fn line(&self, _: &AgentName, _: OutputStream, line: &str, dropped: u64) {
            self.0.lock().unwrap().push((line.to_owned(), dropped));
        }
        fn ended(&self, _: &AgentName, _: &str) {}
    }

    async fn lines_of(input: &[u8], buffer: usize) -> Vec<(String, u64)> {
        let kept = Arc::new(Kept::default());
        let reader = tokio::io::BufReader::with_capacity(buffer, input);
        pass_on(reader, AgentName::new("a"), OutputStream::Stdout, kept.clone()).await;
        std::mem::take(&mut *kept.0.lock().unwrap())
    }

    #[tokio::test]
    async fn lines_come_whole_whatever_the_pieces() {
        for buffer in [1, 2, 7, 64] {
            let lines = lines_of("one\r\n\ntw\u{f6}\nlast".as_bytes(), buffer).await;
            let expected = [("one", 0), ("", 0), ("tw\u{f6}", 0), ("last", 0)].map(|(line, n)| (line.to_owned(), n));
            assert_eq!(lines, expected, "buffer of {buffer} bytes");
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_and_counted_and_the_next_is_whole() {
        let mut input = vec![b'x'; LINE_MAX + 1000];
        input.extend_from_slice(b"\n\xff\xfe\n");
        let lines = lines_of(&input, 8192).await;
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].0.len(), lines[0].1), (LINE_MAX, 1000));
        assert_eq!(lines[1], ("\u{fffd}\u{fffd}".to_owned(), 0));
    }
}
