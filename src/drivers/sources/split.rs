//! Bytes into lines. A line waits for its end; of one that is too long only the beginning is kept.
//!
//! Tests: below.

use memchr::memchr;

/// What is kept of a line, in bytes.
pub(super) const LINE_MAX: usize = 1 << 20;

/// The line that has not ended.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    held: Vec<u8>,
    is_cut: bool,
}

/// A whole line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without its end.
    pub(super) text: &'a [u8],
    /// How many of the bytes that were given last it took, with its end.
    pub(super) taken: usize,
    /// Whether the rest of it was left out.
    pub(super) is_cut: bool,
}

impl Splitter {
    /// Takes bytes in, and gives out the lines that end in them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        let mut begin = 0;
        while let Some(end) = memchr(b'\n', &bytes[begin..]) {
            let (part, taken) = (&bytes[begin..begin + end], begin + end + 1);
            if self.held.is_empty() && !self.is_cut && part.len() <= LINE_MAX {
                take(Line { text: bare(part), taken, is_cut: false });
            } else {
                self.hold(part);
                take(Line { text: bare(&self.held), taken, is_cut: self.is_cut });
                self.clear();
            }
            begin = taken;
        }
        self.hold(&bytes[begin..]);
    }

    /// Gives out what has not ended and never will.
    pub(super) fn end(&mut self, take: impl FnOnce(Line<'_>)) {
        if !self.held.is_empty() {
            take(Line { text: bare(&self.held), taken: 0, is_cut: self.is_cut });
        }
        self.clear();
    }

    /// How much is held, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Forgets what has not ended.
    pub(super) fn clear(&mut self) {
        self.held = Vec::new();
        self.is_cut = false;
    }

    /// Gives up on the line that has not ended: nothing more of it is kept.
    pub(super) fn cut(&mut self) {
        self.held = Vec::new();
        self.is_cut = true;
    }

    fn hold(&mut self, part: &[u8]) {
        if self.is_cut {
            return;
        }
        let room = LINE_MAX - self.held.len();
        self.is_cut = part.len() > room;
        self.held.extend_from_slice(&part[..part.len().min(room)]);
    }
}

fn bare(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, |line| lines.push((line.text.to_vec(), line.is_cut)));
        }
        lines
    }

    #[test]
    fn what_has_not_ended_waits_and_what_is_too_long_is_cut() {
        assert_eq!(lines(&[b"a\nb", b"", b"c\r\nd"]), [(b"a".to_vec(), false), (b"bc".to_vec(), false)]);
        let long = vec![b'x'; LINE_MAX];
        assert_eq!(lines(&[&long, b"\n"]), [(long.clone(), false)]);
        assert_eq!(lines(&[&long, b"x", b"xx\nnext\n"]), [(long.clone(), true), (b"next".to_vec(), false)]);
        let longer = [&long[..], b"x\n"].concat();
        assert_eq!(lines(&[&longer]), [(long, true)]);
        let (mut splitter, mut last) = (Splitter::default(), Vec::new());
        splitter.feed(b"a\nb", |_| {});
        splitter.end(|line| last = line.text.to_vec());
        assert_eq!((last.as_slice(), splitter.held()), (&b"b"[..], 0));
    }

    proptest! {
        #[test]
        fn however_it_comes_the_lines_are_the_same(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0..60_usize, 0..8)) {
            let whole: Vec<_> = lines(&[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut splitter, mut begin, mut got) = (Splitter::default(), 0, Vec::new());
            for end in cuts.into_iter().chain([text.len()]) {
                splitter.feed(&text.as_bytes()[begin..end], |line| {
                    // What a line took is what lies before the next one.
                    assert_eq!(text.as_bytes()[begin + line.taken - 1], b'\n');
                    got.push((line.text.to_vec(), line.is_cut));
                });
                begin = end;
            }
            prop_assert_eq!(got, whole);
        }
    }
}
