//! What an observable event is, and the macro that defines one: the struct, its log line, its metric and its
//! entry in the catalogue come from one text and cannot drift apart.
//!
//! Tests: with the events, and `tests/telemetry.rs`.

use super::metrics::Metrics;

/// Something that happened and that people or programs may want to know.
pub trait Event {
    /// Its dotted name.
    const NAME: &'static str;
    /// Writes the log line.
    fn log(&self);
    /// Counts it.
    fn count(&self, metrics: &Metrics);
}

/// One line of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// The dotted name, part of the contract.
    pub name: &'static str,
    /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
    pub level: &'static str,
    /// The members besides `ts`, `level` and `event`; those without a value are left out of a line.
    pub members: &'static [&'static str],
    /// When it is emitted.
    pub when: &'static str,
}

/// The target of every line that is an event, for filters.
pub const TARGET: &str = "switchman::event";

macro_rules! events {
    ($(
        $(#[doc = $when:literal])+
        $level:ident $name:literal $event:ident $(<$life:lifetime>)? {
            $( $member:ident: $type:ty, )*
        }
        $( counts |$this:ident, $metrics:ident| $count:expr; )?
    )+) => {
        $(
            $(#[doc = $when])+
            #[derive(Debug)]
            #[expect(missing_docs, reason = "a member is a word of the catalogue, documented there once for all events")]
            pub struct $event $(<$life>)? { $( pub $member: $type, )* }

            impl $(<$life>)? $crate::telemetry::event::Event for $event $(<$life>)? {
                const NAME: &'static str = $name;
                fn log(&self) {
                    tracing::event!(
                        target: $crate::telemetry::event::TARGET,
                        tracing::Level::$level,
                        event = $name,
                        $( $member = $crate::telemetry::member::Member::value(&self.$member), )*
                        "{self}"
                    );
                }
                fn count(&self, metrics: &Metrics) {
                    let _ = metrics;
                    $( let ($this, $metrics) = (self, metrics); $count; )?
                }
            }

            /// The line for people: the name and what belongs to it.
            impl $(<$life>)? std::fmt::Display for $event $(<$life>)? {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str($name)?;
                    $( $crate::telemetry::member::Member::show(&self.$member, stringify!($member), f)?; )*
                    Ok(())
                }
            }
        )+

        /// Every event there is, in the order of the documentation.
        pub const CATALOGUE: &[EventSpec] = &[ $(
            EventSpec {
                name: $name,
                level: stringify!($level),
                members: &[ $( stringify!($member), )* ],
                when: concat!($($when),+),
            },
        )+ ];
    };
}
pub(crate) use events;
