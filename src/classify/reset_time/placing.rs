//! From a day and a clock, as they were said, to an instant.
//!
//! ```text
//! days that may be meant ──► instants in the zone ──► the first that is not past ──► a window of five hours?
//! clock alone: yesterday …    skipped: first valid     (by more than the           further off than that: the same
//! no year: last, this, next   repeated: the later      tolerance)                  clock a day off, else the end
//! ```
//!
//! It must not read text.
//!
//! Tests: `reset_time/tests.rs`.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::dates::Day;
use super::zones;
use super::{FIVE_HOURS, Reset, TOLERANCE};
use crate::classify::context::Context;
use crate::domain::{Wall, Window};

/// A day, a clock, or both, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The day, if it was said.
    pub(super) day: Option<Day>,
    /// The time of the day, if it was said.
    pub(super) clock: Option<Time>,
    /// What was said about the zone.
    pub(super) zone: zones::Said,
}

/// The instant that is meant; `None` if all that can be meant is past. It is not held against the longest time to a reset.
pub(super) fn place(said: &Said, window: Window, context: &Context) -> Option<Reset> {
    let (zone, is_known) = match &said.zone {
        zones::Said::Known(zone) => (zone, true),
        zones::Said::Likely(zone) => (zone, false),
        zones::Said::Nothing => (context.zone.time_zone(), false),
    };
    let today = zone.to_datetime(Timestamp::from_millisecond(context.at.0).ok()?).date();
    let days = days(said.day, today);
    let earliest = context.at.minus(TOLERANCE);
    let found = days.iter().filter_map(|day| on(*day, said.clock, zone, today, earliest)).filter(|at| *at >= earliest);
    let nearest = found.min();
    let is_certain = is_known && said.clock.is_some() && !matches!(said.day, Some(Day::Either { .. }));
    let latest = context.at.plus(FIVE_HOURS + TOLERANCE);
    if window != Window::FiveHour || nearest.is_some_and(|at| at <= latest) {
        return nearest.map(|at| Reset { at, is_certain });
    }
    // A window of five hours that ends later than that: the day was said wrong, or counted in another zone.
    let beside = days.iter().flat_map(|day| [day.yesterday(), day.tomorrow()]).filter_map(Result::ok);
    let at = beside
        .filter_map(|day| on(day, said.clock, zone, today, earliest))
        .filter(|at| (earliest..=latest).contains(at))
        .min();
    at.or(nearest).map(|at| Reset { at, is_certain: false })
}

/// The days that may be meant.
fn days(said: Option<Day>, today: Date) -> Vec<Date> {
    let away = |from: i8, to: i8| (from..=to).filter_map(|days| today.checked_add(i64::from(days).days()).ok());
    let dated = |year: Option<i16>, month: i8, day: i8| {
        let years = year.map_or(today.year() - 1..=today.year() + 1, |year| year..=year);
        years.filter_map(move |year| Date::new(year, month, day).ok())
    };
    match said {
        None => away(-1, 1).collect(),
        Some(Day::Away(days)) => away(days, days).collect(),
        // A week later too, for a clock that is past today.
        Some(Day::Weekday(weekday)) => away(-1, 8).filter(|date| date.weekday() == weekday).collect(),
        Some(Day::Dated { year, month, day }) => dated(year, month, day).collect(),
        Some(Day::Either { year, first, second }) => {
            dated(year, first, second).chain(dated(year, second, first)).collect()
        }
    }
}

/// This clock on this day. Where no clock was said: the beginning of the day; of today, which has begun already, the end.
fn on(day: Date, clock: Option<Time>, zone: &TimeZone, today: Date, earliest: Wall) -> Option<Wall> {
    let begin = instant(day.to_datetime(clock.unwrap_or(Time::midnight())), zone)?;
    if clock.is_some() || day != today || begin >= earliest {
        return Some(begin);
    }
    instant(day.tomorrow().ok()?.to_datetime(Time::midnight()), zone)
}

/// When a clock in this zone shows that. A time that is skipped is the first one after it; of a time that comes twice, the later one.
fn instant(shown: DateTime, zone: &TimeZone) -> Option<Wall> {
    let timestamp = match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown),
        AmbiguousOffset::Fold { after, .. } => after.to_timestamp(shown),
        AmbiguousOffset::Gap { before, after } => {
            // With the offset that holds after the gap, it lies before the gap: the next change is the gap.
            let before_gap = after.to_timestamp(shown).ok()?;
            let gap = zone.following(before_gap).next().map(|change| change.timestamp());
            gap.map_or_else(|| before.to_timestamp(shown), Ok)
        }
    };
    Some(Wall(timestamp.ok()?.as_millisecond()))
}

/// A window of five hours ends within them, whatever is said. Within the tolerance that is the difference of two clocks.
pub(super) fn within_window(reset: Reset, window: Window, context: &Context) -> Reset {
    let latest = context.at.plus(FIVE_HOURS);
    if window != Window::FiveHour || reset.at <= latest {
        return reset;
    }
    let is_near = reset.at.since(latest) <= TOLERANCE;
    Reset { at: latest, is_certain: reset.is_certain && is_near }
}

/// So long after the event.
pub(super) fn after(delay: Duration, context: &Context) -> Reset {
    Reset { at: context.at.plus(delay), is_certain: true }
}
