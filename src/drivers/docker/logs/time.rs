//! The times an engine puts before lines, and the moment at which one life of a container ends and the next begins.
//!
//! Tests: below.

use jiff::Timestamp;

/// The longest form of a time: nanoseconds and an offset. What is longer is none.
pub(super) const TIME_MAX: usize = 40;

/// The length of the form that Docker itself writes: nine digits after the second, and `Z`.
const DOCKERS_LEN: usize = 30;

/// Nanoseconds since the epoch; `None` if the text is no time, or none that fits.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    if text.len() > TIME_MAX || !text.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let time: Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Whether the text is a time in Docker's own form.
pub(super) fn is_dockers(text: &[u8]) -> bool {
    text.len() == DOCKERS_LEN
        && text[10] == b'T'
        && text[19] == b'.'
        && text[29] == b'Z'
        && text[20..29].iter().all(u8::is_ascii_digit)
        && parse(text).is_some()
}

/// The first time in Docker's own form, followed by a space, that stands inside a text: its value and the place
/// of its first byte. Only one after `after` and up to `until` counts.
pub(super) fn find(text: &[u8], after: i64, until: i64) -> Option<(i64, usize)> {
    let shaped = |at: usize| {
        let candidate = text.get(at..=at + DOCKERS_LEN)?;
        let (text, space) = candidate.split_at(DOCKERS_LEN);
        let time = (space == b" " && is_dockers(text)).then(|| parse(text)).flatten()?;
        (time > after && time <= until).then_some((time, at))
    };
    memchr::memchr_iter(b'T', text).filter_map(|at| at.checked_sub(10)).find_map(shaped)
}

/// How many bytes the time and its space take that [`find`] found.
pub(super) const FOUND_LEN: usize = DOCKERS_LEN + 1;

/// From when on a line is of the life that began at `started_at`.
///
/// The engine notes the start after it has happened, so the first lines of a life can carry a time before it;
/// and it notes an end before it has taken in the last lines. So the border lies in the middle between the end
/// of the earlier life and the start of this one. Without an earlier life everything is of this one.
pub(super) fn life_begins(started_at: &str, finished_at: Option<&str>) -> i64 {
    match (parse(started_at.as_bytes()), finished_at.and_then(|text| parse(text.as_bytes()))) {
        (Some(start), Some(end)) if end < start && end > 0 => start - (start - end) / 2,
        // It has ended by now, or never ran before: only the engine's start is known, and whether there was one.
        (Some(start), Some(end)) if end >= start => start - LATE_START_NS,
        _ => i64::MIN,
    }
}

/// By how much a start may be noted late, if it is not known how long the container stood still before it.
const LATE_START_NS: i64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NS: i64 = 1_795_255_200_000_000_000;

    #[test]
    fn times_of_every_engine_are_read_and_other_texts_are_none() {
        assert_eq!(parse(b"2026-11-21T10:00:00.000000001Z"), Some(NS + 1));
        assert_eq!(parse(b"2026-11-21T10:00:00Z"), Some(NS));
        assert_eq!(parse(b"2026-11-21T12:00:00.5+02:00"), Some(NS + 500_000_000));
        for bad in ["", "Error", "2026", "2026-11-21", "2026-13-21T10:00:00Z", "9999-01-01T00:00:00Z", "\u{0}"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(&[0xff; 30]), None);
        assert_eq!(parse(&[b'1'; TIME_MAX + 1]), None);
    }

    #[test]
    fn a_time_inside_a_text_is_found_if_it_can_be_the_engines() {
        let text = b"prompt> 2026-11-21T10:00:00.000000007Z next";
        assert_eq!(find(text, NS, NS + 10), Some((NS + 7, 8)));
        assert_eq!(&text[8 + FOUND_LEN..], b"next");
        assert_eq!(find(text, NS + 7, NS + 10), None, "not after");
        assert_eq!(find(text, NS, NS + 6), None, "too late");
        assert_eq!(find(b"TTTT 2026-11-21T10:00:00.007Z x", NS, NS + i64::from(u32::MAX)), None, "another form");
    }

    #[test]
    fn the_border_between_two_lives_lies_between_end_and_start() {
        let at = |text| parse(str::as_bytes(text)).unwrap();
        let start = "2026-11-21T10:00:01Z";
        let between = life_begins(start, Some("2026-11-21T10:00:00Z"));
        assert_eq!(between, at("2026-11-21T10:00:00.5Z"));
        let never = "0001-01-01T00:00:00Z";
        assert_eq!(life_begins(start, Some(never)), i64::MIN);
        assert_eq!(life_begins(never, Some(never)), i64::MIN);
        assert_eq!(life_begins(start, None), i64::MIN);
        let ended = life_begins(start, Some("2026-11-21T10:00:09Z"));
        assert_eq!(ended, at(start) - LATE_START_NS);
    }
}
