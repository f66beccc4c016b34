//! What is known about where evidence comes from.

use super::reset_time::Zone;
use crate::domain::{Tool, Wall};

/// Where and when something was said.
#[derive(Debug, Clone)]
pub struct Context {
    /// What runs in the agent; `None` where that is not known: then the rules of every tool count.
    pub tool: Option<Tool>,
    /// When it was written: relative times count from then.
    pub at: Wall,
    /// Where clocks without a zone are read.
    pub zone: Zone,
}

impl Context {
    /// Said at this time, by a tool whose container keeps UTC.
    #[must_use]
    pub const fn new(tool: Option<Tool>, at: Wall) -> Self {
        Self { tool, at, zone: Zone::UTC }
    }
}
