//! Where a reader stands in a log, and which lines it has read before.
//!
//! An engine finds a place in a log only by time, inclusive, and leaves out every line with an earlier one. But a
//! log is not sorted by time: two outputs are taken in side by side, and the parts of a long line all carry the
//! time of the first one. So a line counts as written at the latest time that any line before it carried:
//!
//! ```text
//! in the log     at 5   at 7   at 6   at 7   at 9
//! counts as      5·1    7·1    7·2    7·3    9·1      time · which line of that time
//! ```
//!
//! These marks only go up, so that "after the mark" is the same place in every reading that begins [`OVERLAP_NS`]
//! before it; what disorder there is, is far smaller.
//!
//! Tests: below.

use crate::ports::logs::LogMark;

/// So much before a position the engine is asked to begin.
pub(super) const OVERLAP_NS: i64 = 1_000_000_000;

/// A reader's place.
#[derive(Debug)]
pub(super) struct Cursor {
    high: i64,
    seen: u32,
    after: Option<Anchor>,
}

/// The position to read on from, until it has been passed.
#[derive(Debug)]
struct Anchor {
    mark: LogMark,
    is_found: bool,
}

/// Which lines are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was read before.
    Old,
    /// It is new.
    New(LogMark),
    /// It is new, and what followed the position is lost.
    AfterGap(LogMark),
}

impl Cursor {
    /// Reads everything, or what follows this mark.
    pub(super) fn new(after: Option<LogMark>) -> Self {
        Self { high: i64::MIN, seen: 0, after: after.map(|mark| Anchor { mark, is_found: mark.seen == 0 }) }
    }

    /// Judges the next line of the log.
    pub(super) fn pass(&mut self, at_ns: i64) -> Verdict {
        let is_behind = at_ns < self.high && self.high.saturating_sub(at_ns) <= OVERLAP_NS;
        if is_behind || at_ns == self.high {
            self.seen = self.seen.saturating_add(1);
        } else {
            // Also when the engine's clock was set back: nobody would find the old time again.
            (self.high, self.seen) = (at_ns, 1);
        }
        let mark = LogMark { at_ns: self.high, seen: self.seen };
        let Some(anchor) = &mut self.after else { return Verdict::New(mark) };
        anchor.is_found |= mark.at_ns == anchor.mark.at_ns;
        if (mark.at_ns, mark.seen) <= (anchor.mark.at_ns, anchor.mark.seen) {
            return Verdict::Old;
        }
        let is_found = anchor.is_found;
        self.after = None;
        if is_found { Verdict::New(mark) } else { Verdict::AfterGap(mark) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(at_ns: i64, seen: u32) -> LogMark {
        LogMark { at_ns, seen }
    }

    /// What an engine gives out again for a position, and which of it is new.
    fn read_on(log: &[i64], from: LogMark) -> Vec<Verdict> {
        let since = from.at_ns.saturating_sub(OVERLAP_NS);
        let mut cursor = Cursor::new(Some(from));
        log.iter().filter(|at| **at >= since).map(|at| cursor.pass(*at)).filter(|told| *told != Verdict::Old).collect()
    }

    #[test]
    fn the_picture_above() {
        let mut cursor = Cursor::new(None);
        let marks: Vec<_> = [5, 7, 6, 7, 9].into_iter().map(|at| cursor.pass(at)).collect();
        let expected = [(5, 1), (7, 1), (7, 2), (7, 3), (9, 1)];
        assert_eq!(marks, expected.map(|(at, seen)| Verdict::New(mark(at, seen))));
    }

    #[test]
    fn a_gap_is_told_once_and_only_if_the_line_itself_is_gone() {
        const S: i64 = OVERLAP_NS;
        let log = [5 * S, 7 * S, 7 * S, 9 * S];
        assert_eq!(read_on(&log, mark(7 * S, 1)), [Verdict::New(mark(7 * S, 2)), Verdict::New(mark(9 * S, 1))]);
        assert_eq!(read_on(&log, mark(7 * S, 2)), [Verdict::New(mark(9 * S, 1))]);
        assert_eq!(read_on(&log, mark(9 * S, 1)), []);
        let rotated = [9 * S, 10 * S];
        let told = [Verdict::AfterGap(mark(9 * S, 1)), Verdict::New(mark(10 * S, 1))];
        assert_eq!(read_on(&rotated, mark(7 * S, 2)), told);
        // A time is no line: nothing can be missing.
        assert_eq!(read_on(&rotated, mark(7 * S, 0))[0], Verdict::New(mark(9 * S, 1)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_reading() {
        let hour = 3600 * OVERLAP_NS;
        let mut cursor = Cursor::new(None);
        assert_eq!(cursor.pass(2 * hour), Verdict::New(mark(2 * hour, 1)));
        assert_eq!(cursor.pass(hour), Verdict::New(mark(hour, 1)));
        assert_eq!(read_on(&[hour, hour + 1], mark(hour, 1)), [Verdict::New(mark(hour + 1, 1))]);
        assert_eq!(Cursor::new(None).pass(i64::MIN), Verdict::New(mark(i64::MIN, 1)));
    }

    proptest! {
        /// Lines up to 0.9 s out of order, many with equal times, cut everywhere.
        #[test]
        fn from_every_mark_exactly_the_rest_is_new(
            steps in prop::collection::vec((prop_oneof![Just(0), 0_i64..3, 0..3_000_000_000_i64],
                                            prop_oneof![4 => Just(0), 1 => 0..900_000_000_i64]), 1..60),
        ) {
            let mut now = 1_800_000_000_000_000_000;
            let log: Vec<i64> = steps.iter().map(|(step, late)| { now += step; now - late }).collect();
            let mut cursor = Cursor::new(None);
            let whole: Vec<_> = log.iter().map(|at| cursor.pass(*at)).collect();
            for (at, told) in whole.iter().enumerate() {
                let Verdict::New(from) = *told else { panic!("{told:?}") };
                prop_assert_eq!(&read_on(&log, from)[..], &whole[at + 1..], "from line {}", at);
            }
        }
    }
}
