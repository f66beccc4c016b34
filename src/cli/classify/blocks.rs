//! Lines out of a stream of any length, a block at a time.
//!
//! A block is what one read brought, up to the last end of a line: so what comes out of a pipe is told as it comes, and
//! a file of gigabytes needs the memory of one block. It must not hold more than one line of the longest sort beside it.
//!
//! Tests: below.

use std::io::{ErrorKind, Read, Result};

/// What is looked at of one line, in bytes; the daemon cuts the lines of a log there as well.
pub(super) const LINE_MAX: usize = 1 << 20;

/// What is asked for with one read.
const READ_LEN: usize = 256 << 10;

/// The blocks of a stream.
pub(super) struct Blocks<R> {
    source: R,
    buffer: Vec<u8>,
    /// What was given out last: it is dropped when more is asked for.
    given: usize,
    filled: usize,
    /// The rest of a line whose beginning was given out as all of it.
    is_skipping: bool,
    has_ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; READ_LEN], given: 0, filled: 0, is_skipping: false, has_ended: false }
    }

    /// The next whole lines, each with its end, except that the last one of the stream may have none, and one that is too
    /// long is a block of its own, cut. `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.filled -= std::mem::take(&mut self.given);
        // Up to here there is no end of a line.
        let mut searched = 0;
        loop {
            if self.is_skipping {
                let end = memchr::memchr(b'\n', &self.buffer[..self.filled]);
                let skipped = end.map_or(self.filled, |end| end + 1);
                self.is_skipping = end.is_none();
                self.buffer.copy_within(skipped..self.filled, 0);
                self.filled -= skipped;
                searched = 0;
            }
            if let Some(end) = memchr::memrchr(b'\n', &self.buffer[searched..self.filled]) {
                self.given = searched + end + 1;
                return Ok(Some(&self.buffer[..self.given]));
            }
            searched = self.filled;
            if self.filled >= LINE_MAX {
                // Its end is not looked for in what is told of it.
                self.given = self.filled;
                self.is_skipping = true;
                return Ok(Some(&self.buffer[..LINE_MAX]));
            }
            if self.has_ended {
                self.given = self.filled;
                return Ok((self.filled > 0).then_some(&self.buffer[..self.filled]));
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<()> {
        if self.buffer.len() - self.filled < READ_LEN / 2 {
            self.buffer.resize((self.buffer.len() * 2).min(LINE_MAX + READ_LEN), 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(read) => {
                    self.filled += read;
                    self.has_ended = read == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The lines of a block without their ends, each cut to [`LINE_MAX`].
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        Some(shown(line))
    })
}

/// What is looked at of a line: without a carriage return, cut to [`LINE_MAX`].
pub(super) fn shown(line: &[u8]) -> &[u8] {
    bare(&line[..line.len().min(LINE_MAX)])
}

/// How many lines there are in a part of a block that begins with a line.
pub(super) fn count(part: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', part).count();
    let is_open = part.last().is_some_and(|last| *last != b'\n');
    (ends + usize::from(is_open)) as u64
}

/// A line without the carriage return that a terminal puts before the end.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives out so many bytes at a time, whatever is asked for.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let (now, rest) = self.0.split_at(self.1.min(into.len()).min(self.0.len()));
            into[..now.len()].copy_from_slice(now);
            self.0 = rest;
            Ok(now.len())
        }
    }

    fn all(text: &[u8], drip: usize) -> Vec<Vec<u8>> {
        let (mut blocks, mut all) = (Blocks::new(Drip(text, drip)), Vec::new());
        while let Some(block) = blocks.next().unwrap() {
            all.extend(lines(block).map(<[u8]>::to_vec));
        }
        all
    }

    #[test]
    fn every_line_is_given_once_whatever_ends_it() {
        let expected: Vec<&[u8]> = vec![b"a", b"", b"b\xff", b"last"];
        for drip in [1, 2, 3, 100] {
            assert_eq!(all(b"a\r\n\nb\xff\nlast", drip), expected);
            assert_eq!(all(b"a\n\nb\xff\nlast\n", drip), expected);
        }
        assert_eq!(all(b"", 1), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_came_is_given_before_the_next_read() {
        let mut blocks = Blocks::new(Drip(b"one\ntwo\n", 4));
        assert_eq!(blocks.next().unwrap(), Some(&b"one\n"[..]));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        for drip in [1 << 12, READ_LEN, 10 << 20] {
            for more in [0, 1, READ_LEN, 3 << 20] {
                let mut text = vec![b'x'; LINE_MAX + more];
                text.extend_from_slice(b"\nnext\n");
                let found: Vec<_> = all(&text, drip).iter().map(Vec::len).collect();
                assert_eq!(found, [LINE_MAX, 4], "{drip} {more}");
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_stream() {
        let mut blocks = Blocks::new(std::io::repeat(b'x').take(100 << 20));
        let mut count = 0;
        while let Some(block) = blocks.next().unwrap() {
            count += lines(block).count();
        }
        assert_eq!(count, 1);
        assert!(blocks.buffer.len() <= LINE_MAX + READ_LEN);
    }

    proptest! {
        #[test]
        fn lines_are_what_a_split_gives(text in "[a\r\n]{0,60}", drip in 1_usize..20) {
            let whole = text.strip_suffix('\n').unwrap_or(&text);
            let expected: Vec<_> = if text.is_empty() { Vec::new() } else {
                whole.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()).collect()
            };
            prop_assert_eq!(count(text.as_bytes()), expected.len() as u64);
            prop_assert_eq!(all(text.as_bytes(), drip), expected);
        }
    }
}
