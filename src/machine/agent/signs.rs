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

/// The same of turns, of which many may run side by side.
const TURNS_KEPT: usize = 64;

/// A turn that has ended: which, and from when to when work was done in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ran {
    /// Its number.
    pub number: u64,
    /// When it began.
    pub begun: Wall,
    /// When it ended.
    pub ended: Wall,
}

impl Ran {
    fn was_running(&self, at: Wall) -> bool {
        self.begun <= at && at <= self.ended
    }
}

/// What happened lately, each sort with the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Lives that ended: when, and whether they were killed.
    ends: Vec<(Wall, bool)>,
    /// Turns that failed, for all that is known for want of what they ran on: begun, ended.
    failed: Vec<(Wall, Wall)>,
    /// Turns that failed for another reason, by their numbers.
    explained: Vec<u64>,
    /// Turns that ended, however they did.
    ran: Vec<Ran>,
    /// Those of them that ended well.
    served: Vec<Ran>,
}

fn keep<T: PartialEq>(kept: &mut Vec<T>, new: T, most: usize) {
    if !kept.contains(&new) {
        kept.push(new);
        let over = kept.len().saturating_sub(most);
        kept.drain(..over);
    }
}

impl Signs {
    pub(super) fn note_end(&mut self, at: Wall, was_killed: bool) {
        keep(&mut self.ends, (at, was_killed), KEPT);
        self.ends.sort_unstable();
    }

    pub(super) fn note_failed(&mut self, begun: Wall, ended: Wall) {
        keep(&mut self.failed, (begun, ended), KEPT);
    }

    pub(super) fn note_explained(&mut self, turn: u64) {
        keep(&mut self.explained, turn, KEPT);
    }

    pub(super) fn note_ran(&mut self, ran: Ran) {
        keep(&mut self.ran, ran, TURNS_KEPT);
    }

    pub(super) fn note_success(&mut self, ran: Ran) {
        keep(&mut self.served, ran, KEPT);
    }

    /// Whether somebody has said why this turn failed, and it was nothing that a subscription is to blame for.
    pub(super) fn is_explained(&self, turn: u64) -> bool {
        self.explained.contains(&turn)
    }

    /// When the life ended that wrote something at this time, and whether it was killed. `None` if it runs, as far as is
    /// known.
    pub(super) fn end_after(&self, written: Wall) -> Option<(Wall, bool)> {
        self.ends.iter().find(|(at, _)| *at >= written).copied()
    }

    /// Whether a turn has failed in which something was written at this time.
    pub(super) fn has_failed_around(&self, written: Wall, within: Duration) -> bool {
        self.failed
            .iter()
            .any(|(begun, ended)| *begun <= written && written <= *ended && *ended <= written.plus(within))
    }

    /// Whether a turn that ended well speaks against what was written at this time: it began later, so the subscription
    /// served after it; or no other turn ran then, so it was written in this one. `running` is when those began that run
    /// now.
    pub(super) fn disproves(&self, served: &Ran, written: Wall, running: &[Wall]) -> bool {
        let ran_another = || {
            let runs = running.iter().any(|begun| *begun <= written);
            runs || self.ran.iter().any(|other| other.number != served.number && other.was_running(written))
        };
        written < served.begun || (written <= served.ended && !ran_another())
    }

    /// Whether a turn that has ended well since speaks against what was written at this time.
    pub(super) fn is_disproved(&self, written: Wall, running: &[Wall]) -> bool {
        self.served.iter().any(|served| served.ended > written && self.disproves(served, written, running))
    }
}
