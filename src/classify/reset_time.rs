//! When a limit is said to end: every form that machines state it in.
//!
//! Forms that people read (clocks, words, dates without a year) are not read here.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::context::Context;
use crate::domain::{Wall, Window};

/// Above this a number of seconds is a number of milliseconds.
const MILLIS_ABOVE: i64 = 100_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A time zone: where clocks without one of their own are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its name in the zone database, for example `Europe/Rome`; also what `TZ` may hold.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        jiff::tz::db().get(name).ok().map(Self)
    }
}

/// When something is said to end, found in a sentence of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reset {
    /// When.
    pub(super) at: Wall,
    /// Whether the zone was told and is known, or none is needed.
    pub(super) is_certain: bool,
}

/// Reads when a limit of this window ends out of what is said after it: `resets 3pm (Europe/Rome)`, `try again in 5 days
/// 22 hours`, `|1755806400`.
pub(super) fn in_words(_words: &str, _window: Window, _context: &Context) -> Option<Reset> {
    None
}

/// A time that can be a reset, seen at `now`. Too far off it is a mistake; just past, the window has begun
/// anew and there is nothing to wait for.
fn believable(at: Wall, now: Wall) -> Option<Wall> {
    (at > now && at <= now.plus(DAY * 40)).then_some(at)
}

/// Seconds or milliseconds since 1970.
pub(super) fn epoch(number: i64, now: Wall) -> Option<Wall> {
    let millis = if number > MILLIS_ABOVE { number } else { number.checked_mul(1_000)? };
    believable(Wall(millis), now)
}

/// Seconds from now, with or without a fraction.
pub(super) fn seconds(seconds: f64, now: Wall) -> Option<Wall> {
    if !(0.0..=DAY.as_secs_f64() * 40.0).contains(&seconds) {
        return None;
    }
    believable(now.plus(Duration::from_secs_f64(seconds)), now)
}

/// RFC 3339, or an epoch written as text.
pub(super) fn stated(text: &str, now: Wall) -> Option<Wall> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number, now);
    }
    believable(Wall(text.parse::<Timestamp>().ok()?.as_millisecond()), now)
}

/// A member of a JSON document: a number or a text.
pub(super) fn member(value: &Value, now: Wall) -> Option<Wall> {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| {
                let number = number.as_f64().filter(|number| (0.0..1e15).contains(number))?;
                Some(Duration::from_secs_f64(number).as_secs().cast_signed())
            })?;
            epoch(whole, now)
        }
        Value::String(text) => stated(text, now),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `retry-after`: seconds or an HTTP date.
pub(super) fn retry_after(text: &str, now: Wall) -> Option<Wall> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number, now);
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    believable(Wall(date.as_millisecond()), now)
}

/// A delay such as `15.002899939s`.
pub(super) fn delay(text: &str, now: Wall) -> Option<Wall> {
    seconds(text.trim().strip_suffix('s')?.parse().ok()?, now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-20 12:00:00 UTC.
    const NOW: Wall = Wall(1_795_176_000_000);

    fn after(secs: u64) -> Wall {
        NOW.plus(Duration::from_secs(secs))
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(epoch(1_795_176_060, NOW), Some(after(60)));
        assert_eq!(epoch(1_795_176_060_000, NOW), Some(after(60)));
        assert_eq!(seconds(60.0, NOW), Some(after(60)));
        assert_eq!(stated("2026-11-20T13:00:00Z", NOW), Some(after(3_600)));
        assert_eq!(stated("2026-11-20T14:00:00+01:00", NOW), Some(after(3_600)));
        assert_eq!(stated(" 1795176060 ", NOW), Some(after(60)));
        assert_eq!(retry_after("7999", NOW), Some(after(7_999)));
        assert_eq!(retry_after("Fri, 20 Nov 2026 12:05:00 GMT", NOW), Some(after(300)));
        assert_eq!(delay("15s", NOW), Some(after(15)));
        assert_eq!(member(&serde_json::json!(1_795_176_060), NOW), Some(after(60)));
        assert_eq!(member(&serde_json::json!(1_795_176_060.5), NOW), Some(after(60)));
        assert_eq!(member(&serde_json::json!("2026-11-20T12:01:00Z"), NOW), Some(after(60)));
    }

    #[test]
    fn what_cannot_be_a_reset_is_none() {
        assert_eq!(epoch(0, NOW), None);
        assert_eq!(epoch(i64::MAX, NOW), None);
        assert_eq!(epoch(1_795_176_000 - 5, NOW), None);
        assert_eq!(epoch(1_795_176_000 + 41 * 86_400, NOW), None);
        assert_eq!(seconds(-1.0, NOW), None);
        assert_eq!(seconds(f64::NAN, NOW), None);
        assert_eq!(seconds(f64::INFINITY, NOW), None);
        assert_eq!(retry_after("soon", NOW), None);
        assert_eq!(stated("tomorrow", NOW), None);
        assert_eq!(member(&serde_json::json!(1e300), NOW), None);
        assert_eq!(member(&serde_json::json!([1]), NOW), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_everything_is_in_bounds(
            text in "\\PC{0,30}",
            number in any::<i64>(),
            float in any::<f64>(),
        ) {
            let read = [
                epoch(number, NOW),
                seconds(float, NOW),
                stated(&text, NOW),
                retry_after(&text, NOW),
                delay(&text, NOW),
            ];
            for at in read.into_iter().flatten() {
                prop_assert!(at > NOW && at <= NOW.plus(DAY * 40));
            }
        }
    }
}
