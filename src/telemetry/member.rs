//! How a value of the domain becomes a member of a log line: a string, a whole number, a number or a truth
//! value, never anything nested. What is absent is left out.
//!
//! Text of others is escaped and cut here, so that every way out (line, JSON, journal) gets it harmless.

use std::fmt;
use std::time::Duration;

use tracing::Value;
use tracing::field::display;

use super::escape::Escaped;
use crate::domain::{
    AgentName, CauseBy, CooldownSource, Disposition, FailureId, FailureKind, Fingerprint, Generation, IntentId,
    IntentOutcome, Lost, Model, Outcome, ParkReason, Plan, ProbeOutcome, ReadingSource, ReportId, RuntimeState,
    SessionName, Sign, SubscriptionName, TurnClass, TurnEnd, TurnId, Utilisation, Wall, Window,
};

/// A value that can be a member of an event.
pub trait Member {
    /// The value as the log takes it.
    fn value(&self) -> impl Value;
    /// Writes ` name=value` for people; writes nothing for an absent value.
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! members {
    ($( |$v:ident: $t:ty| $value:expr; )+) => { $(
        impl Member for $t {
            fn value(&self) -> impl Value { let $v = self; $value }
            fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $v = self;
                write!(f, " {name}={}", $value)
            }
        }
    )+ };
}

members! {
    |v: bool| *v;
    |v: i32| i64::from(*v);
    |v: u16| u64::from(*v);
    |v: u32| u64::from(*v);
    |v: u64| *v;
    |v: usize| *v as u64;
    |v: &str| display(Escaped(v));
    |v: &String| display(Escaped(v));
    |v: &AgentName| display(Escaped(v.as_str()));
    |v: &SubscriptionName| display(Escaped(v.as_str()));
    |v: &Model| display(Escaped(v.as_str()));
    |v: &ReportId| display(Escaped(v.as_str()));
    |v: &FailureId| display(*v);
    |v: &IntentId| display(*v);
    |v: &TurnId| display(*v);
    |v: &SessionName| display(Escaped(v.as_str()));
    |v: &Fingerprint| display(*v);
    |v: Generation| v.0;
    |v: FailureKind| v.as_str();
    |v: Window| v.as_str();
    |v: Utilisation| v.percent();
    |v: ReadingSource| v.as_str();
    |v: ProbeOutcome| v.as_str();
    |v: Outcome| v.as_str();
    |v: IntentOutcome| v.as_str();
    |v: Plan| v.as_str();
    |v: CauseBy| v.as_str();
    |v: CooldownSource| v.as_str();
    |v: Disposition| v.as_str();
    |v: ParkReason| v.as_str();
    |v: TurnClass| v.as_str();
    |v: TurnEnd| v.as_str();
    |v: Lost| v.as_str();
    |v: Sign| v.as_str();
    |v: RuntimeState| v.as_str();
    |v: Wall| display(Rfc3339(*v));
    |v: Duration| millis(*v);
}

impl<T: Member> Member for Option<T> {
    fn value(&self) -> impl Value {
        self.as_ref().map(Member::value)
    }
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |value| value.show(name, f))
    }
}

/// Durations are members in milliseconds, with their fraction.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A time as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Rfc3339(pub(super) Wall);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.0) {
            Ok(time) => write!(f, "{time:.3}"),
            // Outside of the calendar: the number is still better than nothing.
            Err(_) => write!(f, "{}", self.0.0),
        }
    }
}
