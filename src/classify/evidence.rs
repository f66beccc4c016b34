//! What is known about a failure, and what it was found to mean.

use std::borrow::Cow;

use crate::domain::{FailureKind, Model, Trust, Wall, Window};

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
    /// How far it is believed.
    pub trust: Trust,
    /// Whether it is only repeated here: a log's prefix before it, quotes around it, a piece of a document. Such a line
    /// tells what it is about and moves nobody.
    pub is_hearsay: bool,
    /// The rule that decided.
    pub rule: RuleId,
    /// Why, in words.
    pub reason: String,
}

impl Verdict {
    /// A verdict about no window in particular.
    pub(super) fn of(kind: FailureKind, rule: impl Into<RuleId>, reason: impl Into<String>) -> Self {
        Self {
            kind,
            window: Window::Unknown,
            model: None,
            reset_at: None,
            trust: Trust::Structured,
            is_hearsay: false,
            rule: rule.into(),
            reason: reason.into(),
        }
    }

    /// Whether it would move an agent that needs the model it is about, once it is believed.
    #[must_use]
    pub const fn moves(&self) -> bool {
        self.kind.moves() && !self.is_hearsay
    }
}

/// The name of a rule, dotted: the tool or form that it is about, then what it finds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(Cow<'static, str>);

impl RuleId {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for RuleId {
    fn from(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

impl From<String> for RuleId {
    fn from(id: String) -> Self {
        Self(Cow::Owned(id))
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}
