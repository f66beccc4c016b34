//! Times on the wire: RFC 3339, UTC, milliseconds.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::Wall;

/// A time as it travels. Any offset is read; UTC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-18T11:06:40.000Z")]
pub struct Time(pub Wall);

impl From<Wall> for Time {
    fn from(wall: Wall) -> Self {
        Self(wall)
    }
}

impl From<Time> for Wall {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A time that no calendar has is shown as the nearest one that it has.
        let nearest = if self.0.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        write!(f, "{:.3}", Timestamp::from_millisecond(self.0.0).unwrap_or(nearest))
    }
}

impl std::str::FromStr for Time {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at: Timestamp = text.parse().map_err(|_| NotATime)?;
        Ok(Self(Wall(at.as_millisecond())))
    }
}

/// A text is not a time in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time such as \"2026-11-18T11:06:40Z\"")]
pub struct NotATime;

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in RFC 3339")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_read_and_utc_with_milliseconds_is_written() {
        for (text, written) in [
            ("2026-11-18T11:06:40Z", "2026-11-18T11:06:40.000Z"),
            ("2026-11-18T12:06:40.5+01:00", "2026-11-18T11:06:40.500Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), written);
        }
        assert_eq!("tomorrow".parse::<Time>(), Err(NotATime));
        assert_eq!("2026-11-18T11:06:40".parse::<Time>(), Err(NotATime), "no offset, no instant");
    }

    #[test]
    fn a_time_that_no_calendar_has_does_not_panic() {
        assert!(Time(Wall(i64::MAX)).to_string().starts_with("9999-12-3"));
        assert!(Time(Wall(i64::MIN)).to_string().starts_with("-009999-01-0"));
    }
}
