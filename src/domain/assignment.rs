//! What an agent runs on, and what was seen of the thing that runs.

use super::words::words;
use super::{Facts, Generation, SubscriptionName, Wall};

/// Which subscription an agent runs on, since when, under which number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The subscription.
    pub subscription: SubscriptionName,
    /// The number of this assignment.
    pub generation: Generation,
    /// When it became current.
    pub since: Wall,
}

words! {
    /// Whether the agent's container or process runs, as last seen.
    pub enum RuntimeState ("runtime state") {
        /// It runs.
        Running = "running",
        /// It exists and does not run.
        Stopped = "stopped",
        /// There is none.
        Missing = "missing",
        /// It could not be looked at.
        Unknown = "unknown",
    }
}

/// One life of a container or process: a new start makes a new instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// The container's id, or the process id.
    pub id: String,
    /// When it was started, exactly as the engine or the kernel says it: compared, never computed with.
    pub started_at: String,
}

/// What the agent's delivered credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// Nothing was ever delivered: there is no file yet.
    Nothing,
    /// It is this subscription's credential.
    Subscription(SubscriptionName),
    /// It is none that is known.
    Unrecognised,
    /// It cannot be known without asking the process itself (delivery by environment).
    Hidden,
}

/// What one look at an agent showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Whether it runs.
    pub state: RuntimeState,
    /// Which life of it; absent if it is missing or has never been started.
    pub instance: Option<Instance>,
    /// Whose credential it has been given.
    pub delivered: Delivered,
    /// What else was seen. Left out of what is kept.
    pub facts: Facts,
}
