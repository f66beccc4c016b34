//! What is known about a failure, and what it was found to mean.

use crate::domain::{FailureKind, Model, Wall, Window};

/// What a reporter saw. Everything is optional; nothing is believed beyond its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The HTTP status of the provider's answer.
    pub status: Option<u16>,
    /// Its headers; names in any case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<String>,
    /// Output of the tool, one or more lines.
    pub text: Option<String>,
    /// How the process ended; negative numbers are signals, as some languages tell them.
    pub exit_code: Option<i32>,
    /// The signal that ended the process, by name or number.
    pub signal: Option<String>,
    /// Whether the kernel ended it for want of memory.
    pub oom: bool,
}

/// What the evidence means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What went wrong.
    pub kind: FailureKind,
    /// The window that is used up.
    pub window: Window,
    /// The model it is about, where it is about one.
    pub model: Option<Model>,
    /// When it is said to end.
    pub reset_at: Option<Wall>,
    /// The rule that decided, dotted.
    pub rule: &'static str,
    /// Why, in words.
    pub reason: String,
}

impl Verdict {
    /// A verdict about no window in particular.
    pub(super) fn of(kind: FailureKind, rule: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, window: Window::Unknown, model: None, reset_at: None, rule, reason: reason.into() }
    }

    /// A limit of one window.
    pub(super) fn limit(window: Window, reset_at: Option<Wall>, rule: &'static str, reason: impl Into<String>) -> Self {
        Self { window, reset_at, ..Self::of(FailureKind::RateLimit, rule, reason) }
    }
}
