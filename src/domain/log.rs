//! Where a reader of a container's log stands.
//!
//! Tests: `tests/log_conformance.rs`, through the port that reads from it.

/// A place in the log of a container: everything up to and including it has been read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The container's id: the log of another container under the same name is another log.
    pub container: String,
    /// The engine's time of the last line read, in nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// How many of the lines that carry exactly this time have been read. Zero makes the position a plain time:
    /// what was written from then on has not been read.
    pub seen: u32,
}
