//! Times and durations as people write and read them on the command line.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::v1::time::Time;
use crate::domain::Wall;
use crate::domain::duration;

/// A time in the past, however it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// A calendar time.
    At(Wall),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// The calendar time, as seen at `now`.
    pub(super) fn wall(self, now: Wall) -> Wall {
        match self {
            Self::At(wall) => wall,
            Self::Ago(ago) => now.minus(ago),
        }
    }
}

/// Reads a duration as the config has them, longer than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(Duration::ZERO) => Err("is no time at all".to_owned()),
        other => other,
    }
}

/// Reads an RFC 3339 time.
pub(super) fn time(text: &str) -> Result<Time, String> {
    text.parse::<Time>().map_err(|err| format!("is {err}"))
}

/// Reads an RFC 3339 time, or a duration that lies before now.
pub(super) fn since(text: &str) -> Result<Since, String> {
    match (duration::parse(text), time(text)) {
        (Ok(ago), _) => Ok(Since::Ago(ago)),
        (Err(_), Ok(time)) => Ok(Since::At(time.into())),
        (Err(_), Err(_)) => Err("is neither a time such as \"2026-11-21T15:00:00Z\" nor a duration such as \"2h\", \
                                 which means so long ago"
            .to_owned()),
    }
}

/// A calendar time for people, to the second, UTC.
pub(super) fn calendar(wall: Wall) -> String {
    let time = Timestamp::from_millisecond(wall.0);
    time.map_or_else(|_| "out of range".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `in 1 h 59 min`.
pub(super) fn until(at: Wall, now: Wall) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", length(at.since(now))) }
}

/// `1 h 59 min ago`.
pub(super) fn ago(at: Wall, now: Wall) -> String {
    if at > now.plus(Duration::from_secs(1)) {
        return until(at, now);
    }
    format!("{} ago", length(now.since(at)))
}

/// A length of time in its one or two largest units, rounded down.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        // The last minutes of a countdown are looked at closely.
        60..600 => two(minutes, "min", seconds % 60, "s"),
        600..3_600 => format!("{minutes} min"),
        3_600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// Milliseconds for people: `250 ms`, `2.3 s`.
pub(super) fn millis(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => length(Duration::from_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_two_units_at_most() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (252, "4 min 12 s"),
            (754, "12 min"),
            (3_600, "1 h"),
            (7_199, "1 h 59 min"),
            (86_400, "1 d"),
            (273_600, "3 d 4 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
        assert_eq!((millis(250), millis(2_345)), ("250 ms".to_owned(), "2.3 s".to_owned()));
    }

    #[test]
    fn a_countdown_and_its_past() {
        let now = Wall(1_000_000_000);
        assert_eq!(until(Wall(now.0 + 7_140_000), now), "in 1 h 59 min");
        assert_eq!(until(now, now), "now");
        assert_eq!(ago(Wall(now.0 - 61_000), now), "1 min 1 s ago");
        // The daemon's clock is ours: a time in the future is one that was told.
        assert_eq!(ago(Wall(now.0 + 60_000), now), "in 1 min");
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let at = time("2026-11-21T15:00:00+01:00").unwrap().0;
        assert_eq!(calendar(at), "2026-11-21 14:00:00");
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7_200))));
        assert_eq!(since("2026-11-21T14:00:00Z"), Ok(Since::At(at)));
        assert_eq!(Since::Ago(Duration::from_secs(1)).wall(at), Wall(at.0 - 1_000));
        for text in ["", "yesterday", "2026-11-21", "2026-11-21T15:00:00", "15:00"] {
            assert!(time(text).is_err() && since(text).is_err(), "{text}");
        }
        assert!(duration("0s").is_err() && duration("90").is_err());
    }
}
