//! What happened to an agent lately that may agree with a line of text, or speak against it.
//!
//! A log is read later than a caller speaks or the runtime tells of an end, so the sign is often there before the line.
//! Bounded, and in memory alone: what is lost with the daemon moves nobody.
//!
//! It must not decide: `corroborating` does.

use std::time::Duration;

use crate::domain::Wall;

/// Of each sort, so many of the newest.
const KEPT: usize = 8;

/// What happened lately, each sort with the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Lives that ended: when, and whether they were killed.
    ends: Vec<(Wall, bool)>,
    /// Turns that failed, for all that is known for want of what they ran on: begun, ended.
    failed: Vec<(Wall, Wall)>,
    /// Turns that failed for another reason, by their numbers.
    explained: Vec<u64>,
    /// When the newest turn ended well.
    succeeded: Option<Wall>,
}

fn keep<T: PartialEq>(kept: &mut Vec<T>, new: T) {
    if !kept.contains(&new) {
        kept.push(new);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

impl Signs {
    pub(super) fn note_end(&mut self, at: Wall, was_killed: bool) {
        keep(&mut self.ends, (at, was_killed));
        self.ends.sort_unstable();
    }

    pub(super) fn note_failed(&mut self, begun: Wall, ended: Wall) {
        keep(&mut self.failed, (begun, ended));
    }

    pub(super) fn note_explained(&mut self, turn: u64) {
        keep(&mut self.explained, turn);
    }

    pub(super) fn note_success(&mut self, at: Wall) {
        self.succeeded = Some(at);
    }

    /// Whether somebody has said why this turn failed, and it was nothing that a subscription is to blame for.
    pub(super) fn is_explained(&self, turn: u64) -> bool {
        self.explained.contains(&turn)
    }

    /// How the life ended that wrote something at this time: whether it was killed. `None` if it runs, as far as is known,
    /// or ended so much later that the two have nothing to do with each other.
    pub(super) fn end_after(&self, written: Wall, within: Duration) -> Option<bool> {
        let (at, was_killed) = self.ends.iter().find(|(at, _)| *at >= written)?;
        (*at <= written.plus(within)).then_some(*was_killed)
    }

    /// Whether a turn has failed in which something was written at this time.
    pub(super) fn has_failed_around(&self, written: Wall, within: Duration) -> bool {
        self.failed
            .iter()
            .any(|(begun, ended)| *begun <= written && written <= *ended && *ended <= written.plus(within))
    }

    /// Whether a turn has ended well after this time.
    pub(super) fn has_succeeded_after(&self, written: Wall) -> bool {
        self.succeeded.is_some_and(|at| at > written)
    }
}
