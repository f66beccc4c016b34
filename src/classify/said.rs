//! What one line of an agent's output says.

use super::evidence::Verdict;
use crate::domain::{Model, Utilisation, Wall, Window};

/// What a line says; mostly nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// That something failed.
    pub failure: Option<Verdict>,
    /// How far windows are used up.
    pub readings: Vec<WindowReading>,
    /// That it looks like a limit and no rule knows it: what it looks like.
    pub unclassified: Option<Shape>,
}

/// What was said of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowReading {
    /// Of which window.
    pub window: Window,
    /// The one model that it counts; `None` means all models.
    pub model: Option<Model>,
    /// How far it is used up, if that was said.
    pub utilisation: Option<Utilisation>,
    /// Whether the provider serves.
    pub serves: bool,
    /// When it begins anew, if that was said.
    pub reset_at: Option<Wall>,
}

/// What lines of one wording have in common: their letters, without numbers, names and times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(pub String);
