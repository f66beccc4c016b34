//! Parts of lines, made whole: an engine gives out a long line in parts of 16 KiB.
//!
//! It must not hold more than one line of each output, nor more of it than [`LINE_MAX`], and holds nothing
//! between lines. Outputs are put together apart from each other, for their parts come mixed.
//!
//! Tests: below, and through the framing in `frames.rs`.

use super::time;
use crate::ports::logs::OutputOf;

/// What is kept of a line, in bytes.
pub(super) const LINE_MAX: usize = 1 << 20;

/// The size of every part of a line but the last.
pub(super) const PART_LEN: usize = 16 * 1024;

/// A whole line.
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) at_ns: i64,
    pub(super) stream: OutputOf,
    pub(super) is_cut: bool,
}

/// Takes whole lines, one after the other.
pub(super) trait TakesLines {
    fn take(&mut self, line: Line<'_>);
}

/// The line of one output that has not ended.
#[derive(Debug)]
pub(super) struct Assembly {
    stream: OutputOf,
    text: Vec<u8>,
    at_ns: i64,
    is_open: bool,
    is_cut: bool,
}

impl Assembly {
    pub(super) fn new(stream: OutputOf) -> Self {
        Self { stream, text: Vec::new(), at_ns: 0, is_open: false, is_cut: false }
    }

    /// A message with this time begins: a line, or the next part of the one under way. The parts of a line carry
    /// the time of the first one, except from an engine that logs to the journal; so the time tells nothing.
    pub(super) fn begin(&mut self, at_ns: i64) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.at_ns = at_ns;
        }
    }

    /// Text of the part under way. Every end of a line in it ends one.
    pub(super) fn extend(&mut self, text: &[u8], out: &mut impl TakesLines) {
        let mut rest = text;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if self.text.is_empty() && !self.is_cut && end <= LINE_MAX {
                self.is_open = false;
                out.take(Line { text: bare(&rest[..end]), at_ns: self.at_ns, stream: self.stream, is_cut: false });
            } else {
                self.append(&rest[..end]);
                self.end(out);
            }
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            self.is_open = true;
            self.append(rest);
        }
    }

    fn append(&mut self, text: &[u8]) {
        let room = LINE_MAX - self.text.len();
        self.is_cut |= text.len() > room;
        let kept = &text[..text.len().min(room)];
        if self.text.capacity() == 0 && kept.len() < PART_LEN {
            self.text.reserve_exact(kept.len());
        }
        self.text.extend_from_slice(kept);
    }

    /// The line under way, if there is one, ends here.
    pub(super) fn end(&mut self, out: &mut impl TakesLines) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        // Taken, not cleared: between lines there is no room to keep.
        let (text, is_cut) = (std::mem::take(&mut self.text), std::mem::take(&mut self.is_cut));
        let whole = if is_cut { &text } else { bare(&text) };
        out.take(Line { text: whole, at_ns: self.at_ns, stream: self.stream, is_cut });
    }
}

/// A line without the carriage return that a terminal puts before the end.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Takes lines apart that a terminal's log runs together.
///
/// If a life ends without ending its last line, the raw log goes on with the time of the next life's first line.
/// Only lines from before this life can hide one, and only a time that has been can be one.
pub(super) struct Apart<'a, T> {
    pub(super) inner: &'a mut T,
    pub(super) life_begins: i64,
    pub(super) latest: i64,
}

impl<T: TakesLines> TakesLines for Apart<'_, T> {
    fn take(&mut self, mut line: Line<'_>) {
        while line.at_ns < self.life_begins
            && line.stream == OutputOf::Console
            && let Some((at_ns, place)) = time::find(line.text, line.at_ns, self.latest)
        {
            let (before, after) = line.text.split_at(place);
            self.inner.take(Line { text: before, is_cut: false, ..line });
            line = Line { text: &after[time::FOUND_LEN..], at_ns, ..line };
        }
        self.inner.take(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl TakesLines for Vec<(Vec<u8>, i64, bool)> {
        fn take(&mut self, line: Line<'_>) {
            self.push((line.text.to_vec(), line.at_ns, line.is_cut));
        }
    }

    #[test]
    fn a_line_without_an_end_costs_no_more_than_the_most_that_is_kept() {
        let (mut assembly, mut out) = (Assembly::new(OutputOf::Stdout), Vec::new());
        assembly.begin(1);
        for _ in 0..1024 {
            assembly.extend(&[b'x'; PART_LEN], &mut out);
            assert!(assembly.text.capacity() <= LINE_MAX, "{}", assembly.text.capacity());
        }
        assert!(out.is_empty());
        assembly.extend(b"lost\nnext\n", &mut out);
        assert_eq!(out.len(), 2);
        assert_eq!((out[0].0.len(), out[0].2), (LINE_MAX, true));
        assert_eq!(out[1], (b"next".to_vec(), 1, false));
        assert_eq!(assembly.text.capacity(), 0, "nothing is held between lines");
    }

    #[test]
    fn lines_that_a_terminal_ran_together_are_taken_apart_only_where_lives_met() {
        const SECOND: i64 = 1_000_000_000;
        let ten = time::parse(b"2026-11-21T10:00:00Z").unwrap();
        let run = |text: &[u8], at_ns, life_begins, latest| {
            let mut out = Vec::new();
            let mut apart = Apart { inner: &mut out, life_begins, latest };
            apart.take(Line { text, at_ns, stream: OutputOf::Console, is_cut: false });
            out
        };
        let text = b"password: 2026-11-21T10:00:00.000000000Z hello";
        let apart = [(b"password: ".to_vec(), ten - SECOND, false), (b"hello".to_vec(), ten, false)];
        assert_eq!(run(text, ten - SECOND, ten - 5, ten + SECOND), apart);
        let whole = |at| vec![(text.to_vec(), at, false)];
        assert_eq!(run(text, ten - SECOND, ten - 2 * SECOND, ten + SECOND), whole(ten - SECOND), "of this life");
        assert_eq!(run(text, ten - SECOND, ten - 5, ten - 3), whole(ten - SECOND), "from the future");
    }
}
