//! Time as a value. Nothing here reads a clock: a `Moment` is always passed in.
//!
//! Two scales, because they fail differently. `Wall` is what providers and people speak ("resets at 15:00");
//! it survives a restart of the daemon and jumps when somebody sets the clock. `Steady` counts on through
//! such jumps and through suspend, but means nothing after a reboot. A deadline that belongs to work under
//! way (a drain, a restart) is steady; one that was stated by the world (a reset) is wall.

use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Milliseconds on a clock that never steps and counts through suspend; its zero is arbitrary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(pub u64);

/// One instant on both scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What a calendar says.
    pub wall: Wall,
    /// What a stopwatch says.
    pub steady: Steady,
}

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// At a calendar time.
    At(Wall),
    /// After an amount of real time.
    After(Steady),
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Wall {
    /// This time later by `by`; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(millis(by)).unwrap_or(i64::MAX)))
    }

    /// This time earlier by `by`; saturates.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(millis(by)).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until this time; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Steady {
    /// This instant later by `by`; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }
}

impl Moment {
    /// A deadline `after` this moment that no change of the calendar moves.
    #[must_use]
    pub fn due_after(self, after: Duration) -> Due {
        Due::After(self.steady.plus(after))
    }
}

impl Due {
    /// Whether the time has come.
    #[must_use]
    pub fn is_past(self, now: Moment) -> bool {
        self.remaining(now).is_zero()
    }

    /// How long until it is due, as seen at `now`; zero once it is.
    #[must_use]
    pub fn remaining(self, now: Moment) -> Duration {
        match self {
            Self::At(wall) => wall.since(now.wall),
            Self::After(steady) => Duration::from_millis(steady.0.saturating_sub(now.steady.0)),
        }
    }

    /// The same deadline on the calendar, as seen at `now`: the form that is stored.
    #[must_use]
    pub fn to_wall(self, now: Moment) -> Wall {
        match self {
            Self::At(wall) => wall,
            Self::After(steady) if steady >= now.steady => now.wall.plus(self.remaining(now)),
            Self::After(steady) => now.wall.minus(Duration::from_millis(now.steady.0 - steady.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_step_moves_only_calendar_deadlines() {
        let before = Moment { wall: Wall(1_000_000), steady: Steady(500) };
        let steady = before.due_after(Duration::from_secs(30));
        let calendar = Due::At(before.wall.plus(Duration::from_secs(30)));
        let stepped_back = Moment { wall: Wall(1_000_000 - 3_600_000), steady: Steady(10_500) };
        assert_eq!(steady.remaining(stepped_back), Duration::from_secs(20));
        assert_eq!(calendar.remaining(stepped_back), Duration::from_secs(3_630));
        let stepped_on = Moment { wall: Wall(1_000_000 + 3_600_000), steady: Steady(10_500) };
        assert!(!steady.is_past(stepped_on));
        assert!(calendar.is_past(stepped_on));
    }
}
