//! `[history]`: how much of the past is kept.

use std::time::Duration;

use super::reader::{Field, Section};

/// How much of the past is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// For how long.
    pub keep: Duration,
    /// At most so many bytes.
    pub size_max: u64,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for History {
    fn default() -> Self {
        Self { keep: DAY * 90, size_max: 1 << 30 }
    }
}

pub(super) fn read(section: Field<Section<'_>>) -> History {
    let default = History::default();
    let Some(mut section) = section.good() else { return default };
    // Budgets, report ids and stale reports look back up to a day.
    let keep = section.duration("keep", DAY..=DAY * 3_650);
    let size_max = section.size("size_max", 8 << 20..=1 << 40);
    section.finish(false);
    History { keep: keep.unwrap_or(default.keep), size_max: size_max.unwrap_or(default.size_max) }
}
