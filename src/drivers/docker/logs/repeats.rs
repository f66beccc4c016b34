//! Lines that an engine gives out twice in one stream: seen with rotation, when a follower opens the new file a
//! second time and begins it again.
//!
//! One output is written in the order of time, so a line that goes back is either a repetition or comes after the
//! engine's clock was set back. A repetition is known by its time and text; of a long one, only the end is.
//!
//! Tests: below, and on a real engine.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::cursor::OVERLAP_NS;
use super::lines::Line;
use crate::ports::logs::OutputOf;

/// How many lines of each output are remembered.
const REMEMBERED: usize = 32;
/// So much of a text tells it from others.
const TOLD_BY: usize = 256;

/// The last lines of each output.
#[derive(Debug, Default)]
pub(super) struct Recent {
    outputs: [VecDeque<(i64, u64)>; 2],
}

impl Recent {
    /// Whether this line has come before in this stream.
    pub(super) fn is_repeated(&mut self, line: &Line<'_>) -> bool {
        let lines = &mut self.outputs[usize::from(line.stream == OutputOf::Stderr)];
        let mut hasher = DefaultHasher::new();
        line.text.len().hash(&mut hasher);
        line.text[..line.text.len().min(TOLD_BY)].hash(&mut hasher);
        let known = (line.at_ns, hasher.finish());
        let goes_on = lines.back().is_none_or(|last| last.0 < line.at_ns);
        if !goes_on {
            let is_older_than_all = |first: &(i64, u64)| {
                lines.len() == REMEMBERED && line.at_ns < first.0 && first.0.saturating_sub(line.at_ns) <= OVERLAP_NS
            };
            if lines.contains(&known) || lines.front().is_some_and(is_older_than_all) {
                return true;
            }
        }
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(known);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(recent: &mut Recent, at_ns: i64, text: &str, stream: OutputOf) -> bool {
        !recent.is_repeated(&Line { text: text.as_bytes(), at_ns, stream, is_cut: false })
    }

    #[test]
    fn what_comes_again_is_known_and_what_only_looks_alike_is_not() {
        let mut recent = Recent::default();
        let mut is_new = |at, text, stream| new(&mut recent, at, text, stream);
        assert!(is_new(5, "a", OutputOf::Stdout));
        assert!(is_new(5, "b", OutputOf::Stdout), "the same time");
        assert!(is_new(6, "a", OutputOf::Stdout), "the same text");
        assert!(is_new(5, "a", OutputOf::Stderr), "another output");
        assert!(!is_new(5, "a", OutputOf::Stdout));
        assert!(!is_new(6, "a", OutputOf::Stdout));
        assert!(is_new(4, "a", OutputOf::Stdout), "the clock was set back");
        assert!(is_new(7, "a", OutputOf::Stdout));
    }

    #[test]
    fn a_long_repetition_is_known_as_far_back_as_disorder_goes() {
        let mut recent = Recent::default();
        let mut is_new = |at: i64| new(&mut recent, at, "x", OutputOf::Console);
        assert!((1..=100).all(&mut is_new));
        assert!(!(1..=100).any(&mut is_new));
        assert!(is_new(101 - 2 * OVERLAP_NS), "a clock that was set back by more");
        assert!(is_new(102));
    }
}
