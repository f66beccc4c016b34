//! How a run of the binary ends: the exit codes, and the failure that leads to one.
//!
//! It must not decide what is a failure; whoever builds a [`Failure`] does. One failure has two forms: lines for
//! people, and an RFC 9457 problem document for programs.
//!
//! Invariants: every [`Exit`] has one code, one meaning and one line in `docs/cli.md` and `--help`.
//!
//! Tests: below; `tests/cli.rs` holds the table against the docs.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// It failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// It was refused, or there is nobody to move to.
    Refused,
    /// The daemon cannot be reached.
    Unreachable,
    /// The store is damaged.
    StoreDamaged,
    /// Another daemon holds the state directory.
    StateHeld,
    /// The config is not valid.
    ConfigInvalid,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: &'static [Self] = &[
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::StoreDamaged,
        Self::StateHeld,
        Self::ConfigInvalid,
    ];

    /// The number that the shell sees. From 64 on they are those of `sysexits.h`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 69,
            Self::StoreDamaged => 74,
            Self::StateHeld => 75,
            Self::ConfigInvalid => 78,
        }
    }

    /// What it means, in words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done (for report: recorded, whatever the outcome)",
            Self::Failed => "failed",
            Self::Usage => "wrong usage",
            Self::Refused => "refused, or nobody to move to (exhausted, braked, parked, shed, in progress)",
            Self::Unreachable => "daemon not reachable",
            Self::StoreDamaged => "store damaged",
            Self::StateHeld => "state directory held by another daemon",
            Self::ConfigInvalid => "config not valid",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a run did not do what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    exit: Exit,
    document: Map<String, Value>,
    text: Option<String>,
}

impl Failure {
    /// `code` is the stable word for it, `detail` says what is wrong (lower case, no full stop).
    #[must_use]
    pub fn new(exit: Exit, code: &str, detail: impl Into<String>) -> Self {
        let mut document = Map::new();
        document.insert("type".to_owned(), json!("about:blank"));
        document.insert("title".to_owned(), json!(exit.meaning()));
        document.insert("code".to_owned(), json!(code));
        document.insert("detail".to_owned(), json!(detail.into()));
        Self { exit, document, text: None }
    }

    /// From a problem document that somebody else wrote.
    #[must_use]
    pub fn from_document(exit: Exit, document: Map<String, Value>) -> Self {
        Self { exit, document, text: None }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        self.with_member("hint", json!(hint.into()))
    }

    /// Adds a member to the document.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.document.insert(name.to_owned(), value);
        self
    }

    /// Replaces the lines for people; the text ends its own lines, and may be empty if all was said before.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// How the run ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The problem document.
    #[must_use]
    pub fn document(&self) -> &Map<String, Value> {
        &self.document
    }

    /// The stable word for it.
    #[must_use]
    pub fn code(&self) -> &str {
        self.member("code").unwrap_or("failed")
    }

    /// What is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.member("detail").or_else(|| self.member("title")).unwrap_or("the request failed")
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.document.get(name).and_then(Value::as_str)
    }
}

impl std::fmt::Display for Failure {
    /// The lines for people, each with its line end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        let plain = crate::telemetry::escape::Escaped;
        writeln!(f, "switchman: {} ({})", plain(self.detail()), plain(self.code()))?;
        match self.member("hint") {
            Some(hint) => writeln!(f, "    hint: {}", plain(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_has_a_code_of_its_own() {
        let codes: Vec<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 69, 74, 75, 78]);
    }

    #[test]
    fn people_see_detail_code_and_hint() {
        let failure = Failure::new(Exit::Failed, "agent_not_found", "no agent named \"x\"").with_hint("see status");
        assert_eq!(failure.to_string(), "switchman: no agent named \"x\" (agent_not_found)\n    hint: see status\n");
    }

    #[test]
    fn a_document_of_others_cannot_steer_the_terminal() {
        let document = json!({ "title": "bad", "detail": "a\u{1b}[31mb\nc", "code": "x" });
        let Value::Object(document) = document else { unreachable!() };
        let text = Failure::from_document(Exit::Failed, document).to_string();
        assert_eq!(text, "switchman: a\\u{1b}[31mb\\nc (x)\n");
    }

    #[test]
    fn a_document_that_says_little_is_still_told() {
        let text = Failure::from_document(Exit::Failed, Map::new()).to_string();
        assert_eq!(text, "switchman: the request failed (failed)\n");
    }
}
