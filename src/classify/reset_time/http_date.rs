//! The date of an HTTP header (RFC 9110, 5.6.7): three forms, of which two are obsolete and still to be understood.
//!
//! | form | example |
//! |---|---|
//! | IMF-fixdate | `Sun, 06 Nov 1994 08:49:37 GMT` |
//! | RFC 850 | `Sunday, 06-Nov-94 08:49:37 GMT` |
//! | asctime | `Sun Nov  6 08:49:37 1994` |
//!
//! All are in UTC. The day of the week is passed over: where it contradicts the date, the date counts.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::Wall;

/// When that is; `None` if it is no date of HTTP.
pub(super) fn parse(text: &str) -> Option<Wall> {
    let text = text.trim();
    let rest = text.split_once(',').map(|(_, rest)| rest.trim());
    let found = match rest {
        Some(rest) if rest.as_bytes().get(2) == Some(&b'-') => DateTime::strptime("%d-%b-%y %H:%M:%S GMT", rest).ok(),
        Some(_) => return in_mail(text),
        None => text.split_once(' ').and_then(|(_, rest)| DateTime::strptime("%b %e %H:%M:%S %Y", rest.trim()).ok()),
    };
    let timestamp = TimeZone::UTC.to_timestamp(found?).ok()?;
    Some(Wall(timestamp.as_millisecond()))
}

/// The first form is that of a mail's date, where the offset may be another one.
fn in_mail(text: &str) -> Option<Wall> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    Some(Wall(parser.parse_timestamp(text).ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37 UTC.
    const WHEN: Wall = Wall(784_111_777_000);

    #[test]
    fn the_three_forms_of_the_standard_are_the_same_instant() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 16 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            let tenth = if text.contains(" 16 ") { 10 } else { 0 };
            assert_eq!(parse(text), Some(Wall(WHEN.0 + tenth * 86_400_000)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in ["", ",", "soon", "Sun, ", "Sunday, 06-Nov-94", "Sun, 31 Feb 1994 08:49:37 GMT", "é, éé"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
