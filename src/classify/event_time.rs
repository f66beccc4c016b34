//! When a line of a session file was written, by its own word.
//!
//! Session files say of each record when it happened: a member `timestamp` at the top level, as RFC 3339. A session
//! that is taken up again begins with a copy of the old one, and a file may be read long after it was written; so the
//! time of reading says little.
//!
//! Tests: below.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::Wall;

#[derive(Deserialize)]
struct Record {
    timestamp: Option<Value>,
}

/// The time that a record states at its top level; `None` if it is no JSON object or states none.
#[must_use]
pub fn stated_time(line: &[u8]) -> Option<Wall> {
    let line = line.trim_ascii();
    // A list could be read as a record as well.
    if !line.starts_with(b"{") {
        return None;
    }
    let record: Record = serde_json::from_slice(line).ok()?;
    let stated: jiff::Timestamp = record.timestamp?.as_str()?.parse().ok()?;
    Some(Wall(stated.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_records_own_time_counts() {
        let stated = |line: &str| stated_time(line.as_bytes());
        let at = Some(Wall(1_795_000_000_123));
        assert_eq!(stated(r#" {"type":"assistant","timestamp":"2026-11-18T11:06:40.123Z"} "#), at);
        assert_eq!(stated(r#"{"timestamp":"2026-11-18T12:06:40.123+01:00","payload":{}}"#), at);
        for other in [
            r#"{"message":{"timestamp":"2026-11-18T11:06:40.123Z"}}"#,
            r#"{"text":"\"timestamp\":\"2026-11-18T11:06:40.123Z\""}"#,
            r#"{"timestamp":1795000000}"#,
            r#"{"timestamp":"yesterday"}"#,
            r#"{"timestamp":null}"#,
            r#"["2026-11-18T11:06:40.123Z"]"#,
            "plain text",
            "",
        ] {
            assert_eq!(stated(other), None, "{other}");
        }
    }
}
