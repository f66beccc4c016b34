//! A place in the output of a container.

/// A place in the log of a container: everything up to and including it has been read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The id of the container.
    pub container: String,
    /// The engine's time of the last line that was read, in nanoseconds since the epoch.
    pub at_ns: i64,
    /// How many lines were read that carry exactly this time.
    pub seen: u32,
}
