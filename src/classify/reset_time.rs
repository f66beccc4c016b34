//! When a limit is said to end, in every form that machines or people state it in (rule C7).
//!
//! ```text
//! a number or a text of a known meaning          a sentence of the tool
//! epoch, seconds, RFC 3339, HTTP date, delay     tokens ─► cue ─► duration │ day, clock, zone ─► placing
//!                       └──────────► never long past, never too far off ◄──────────┘
//! ```
//!
//! Everything counts from the event's own time. It must not read a clock, believe a number that no word makes a reset, or
//! take longer than one walk over a bounded text.
//!
//! Invariants: no result lies more than [`TOLERANCE`] before the event, more than [`FURTHEST`] after it, or, told in a
//! sentence about a window of five hours, more than these after it.
//!
//! Every form, with examples: `docs/reset-times.md`. Tests: below for what machines say, `reset_time/tests.rs` for sentences.

mod clocks;
mod cues;
mod dates;
mod durations;
mod http_date;
mod months;
mod placing;
mod sentence;
mod tokens;
mod zones;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::context::Context;
use crate::domain::{Wall, Window};

/// Above this a number of seconds is a number of milliseconds.
const MILLIS_ABOVE: i64 = 100_000_000_000;

/// So long before the event a reset may lie: the window has just begun anew, or two clocks differ.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// So long after the event a reset may lie. The longest window is a month.
const FURTHEST: Duration = Duration::from_secs(40 * 86_400);

/// The length of the window that is named after it.
const FIVE_HOURS: Duration = Duration::from_secs(5 * 3_600);

/// A time zone: where clocks without one of their own are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its name in the zone database, for example `Europe/Rome`, or by anything else that the variable `TZ` may
    /// hold: a leading colon, the path of a file of the database, a POSIX rule such as `EST5EDT,M3.2.0,M11.1.0`. `None` if
    /// there is no such zone.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        zones::named(name).map(Self)
    }

    pub(super) const fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

/// When something is said to end, found in a sentence of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reset {
    /// When.
    pub(super) at: Wall,
    /// Whether nothing had to be guessed: the zone was told and is known, or none is needed; a clock was told, or a
    /// duration; and it fits the window.
    pub(super) is_certain: bool,
}

/// Reads when a limit of this window ends out of what is said after it: `resets 3pm (Europe/Rome)`, `try again in 5 days
/// 22 hours`, `|1755806400`. Only the beginning of a long text is looked at.
pub(super) fn in_words(words: &str, window: Window, context: &Context) -> Option<Reset> {
    sentence::read(words, window, context)
}

/// A time that can be a reset, seen at `now`. Too far off it is a mistake, and so it is if it is long past; just past, the window
/// has begun anew and the caller may try again soon.
fn believable(at: Wall, now: Wall) -> Option<Wall> {
    (at >= now.minus(TOLERANCE) && at <= now.plus(FURTHEST)).then_some(at)
}

/// Seconds or milliseconds since 1970.
pub(super) fn epoch(number: i64, now: Wall) -> Option<Wall> {
    let millis = if number > MILLIS_ABOVE { number } else { number.checked_mul(1_000)? };
    believable(Wall(millis), now)
}

/// Seconds from now, with or without a fraction.
pub(super) fn seconds(seconds: f64, now: Wall) -> Option<Wall> {
    if !(0.0..=FURTHEST.as_secs_f64()).contains(&seconds) {
        return None;
    }
    believable(now.plus(Duration::from_secs_f64(seconds)), now)
}

/// RFC 3339, or an epoch written as text, with or without a fraction.
pub(super) fn stated(text: &str, now: Wall) -> Option<Wall> {
    let text = text.trim();
    let is_epoch = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if is_epoch(whole) && is_epoch(fraction) {
        return epoch(whole.parse().ok()?, now);
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

/// `retry-after`: seconds, or an HTTP date in any of its three forms.
pub(super) fn retry_after(text: &str, now: Wall) -> Option<Wall> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number, now);
    }
    believable(http_date::parse(text)?, now)
}

/// A delay such as `15.002899939s`, `6m0s` or `8h44m7s`: nothing but a duration with its units.
pub(super) fn delay(text: &str, now: Wall) -> Option<Wall> {
    let folded = tokens::fold(text);
    let tokens = tokens::tokens(&folded);
    let (delay, end) = durations::read(&tokens, 0)?;
    if end < tokens.len() { None } else { seconds(delay.as_secs_f64(), now) }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod machine_tests {
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
        assert_eq!(retry_after("Friday, 20-Nov-26 12:05:00 GMT", NOW), Some(after(300)));
        assert_eq!(retry_after("Fri Nov 20 12:05:00 2026", NOW), Some(after(300)));
        assert_eq!(delay("15s", NOW), Some(after(15)));
        assert_eq!(delay("15.002899939s", NOW), Some(NOW.plus(Duration::from_millis(15_002))));
        assert_eq!(delay("8h44m7s", NOW), Some(after(8 * 3_600 + 44 * 60 + 7)));
        assert_eq!(delay("644ms", NOW), Some(NOW.plus(Duration::from_millis(644))));
        assert_eq!(delay("0s", NOW), Some(NOW));
        assert_eq!(member(&serde_json::json!(1_795_176_060), NOW), Some(after(60)));
        assert_eq!(member(&serde_json::json!(1_795_176_060.5), NOW), Some(after(60)));
        assert_eq!(stated("1795176060.9", NOW), Some(after(60)));
        assert_eq!(member(&serde_json::json!("2026-11-20T12:01:00Z"), NOW), Some(after(60)));
    }

    #[test]
    fn what_is_just_past_is_told_as_it_is() {
        let past = NOW.minus(Duration::from_secs(299));
        assert_eq!(epoch(1_795_176_000 - 299, NOW), Some(past));
        assert_eq!(stated("2026-11-20T11:55:01Z", NOW), Some(past));
        assert_eq!(retry_after("Fri, 20 Nov 2026 11:55:01 GMT", NOW), Some(past));
    }

    #[test]
    fn what_cannot_be_a_reset_is_none() {
        assert_eq!(epoch(0, NOW), None);
        assert_eq!(epoch(i64::MAX, NOW), None);
        assert_eq!(epoch(1_795_176_000 - 301, NOW), None);
        assert_eq!(epoch(1_795_176_000 + 41 * 86_400, NOW), None);
        assert_eq!(seconds(-1.0, NOW), None);
        assert_eq!(seconds(f64::NAN, NOW), None);
        assert_eq!(seconds(f64::INFINITY, NOW), None);
        assert_eq!(retry_after("soon", NOW), None);
        assert_eq!(delay("15", NOW), None);
        assert_eq!(delay("in 15s", NOW), None);
        assert_eq!(delay("15s and more", NOW), None);
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
                prop_assert!(at >= NOW.minus(TOLERANCE) && at <= NOW.plus(FURTHEST));
            }
        }
    }
}
