//! Timers as data: a table of deadlines. Whoever runs the machine sleeps until the nearest one and then asks;
//! asking too early or twice is harmless.

use std::time::Duration;

use crate::domain::{Due, Moment, Steady};

/// What a deadline is for. The order is the order in which due timers are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A pause ends.
    Pause,
    /// Try again what could not be done: a look, a preflight, a failed switch.
    Retry,
    /// The time after a switch in which unnamed reports are ambiguous ends.
    Settle,
    /// A line of text has waited long enough for something to agree with it.
    Claims,
    /// Running turns have had time enough to end.
    Drain,
    /// A lease, a wait or a request to stop ends.
    Turns,
    /// The switch budget refills.
    Brake,
    /// A cooldown ends that the agent waits for.
    Wake,
    /// There may be something better than what it runs on.
    Better,
}

impl Timer {
    /// Every timer, in the order in which due ones are handled.
    pub const ALL: [Self; 9] = [
        Self::Pause,
        Self::Retry,
        Self::Settle,
        Self::Claims,
        Self::Drain,
        Self::Turns,
        Self::Brake,
        Self::Wake,
        Self::Better,
    ];
}

/// At most one deadline per timer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TimerTable {
    due: [Option<Due>; 9],
}

impl TimerTable {
    /// Arms a timer; an earlier deadline of the same timer is replaced.
    pub fn set(&mut self, timer: Timer, due: Due) {
        self.due[timer as usize] = Some(due);
    }

    /// Disarms a timer.
    pub fn stop(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    /// The deadline of a timer, if it is armed.
    #[must_use]
    pub fn get(&self, timer: Timer) -> Option<Due> {
        self.due[timer as usize]
    }

    /// How long until the nearest deadline; `None` if no timer is armed.
    #[must_use]
    pub fn next(&self, now: Moment) -> Option<Duration> {
        self.due.iter().flatten().map(|due| due.remaining(now)).min()
    }

    /// Takes one timer whose time has come out of the table.
    pub fn take_due(&mut self, now: Moment) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().find(|timer| self.get(*timer).is_some_and(|due| due.is_past(now)))?;
        self.stop(timer);
        Some(timer)
    }

    /// Moves every real-time deadline by the same amount of time that passed unseen. Used by models that
    /// compare states: two states whose deadlines are equally far away are the same state.
    pub fn rebase(&mut self, from: Steady, to: Steady) {
        for due in self.due.iter_mut().flatten() {
            if let Due::After(steady) = due {
                steady.0 = to.0.saturating_add(steady.0.saturating_sub(from.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Wall;

    #[test]
    fn due_timers_come_out_once_and_in_order() {
        let mut table = TimerTable::default();
        let now = Moment { wall: Wall(10_000), steady: Steady(10_000) };
        table.set(Timer::Wake, Due::At(Wall(9_000)));
        table.set(Timer::Retry, Due::After(Steady(10_000)));
        table.set(Timer::Settle, Due::After(Steady(10_001)));
        assert_eq!(table.next(now), Some(Duration::ZERO));
        assert_eq!(table.take_due(now), Some(Timer::Retry));
        assert_eq!(table.take_due(now), Some(Timer::Wake));
        assert_eq!(table.take_due(now), None);
        assert_eq!(table.next(now), Some(Duration::from_millis(1)));
    }
}
