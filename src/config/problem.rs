//! What is wrong with a config: where, what, how to mend it; and the collector that everything here
//! reports to.
//!
//! No problem may carry a secret. A value that stands where a secret was probably meant is hidden, and what
//! looks like a credential is masked wherever it stands, before a problem can be made of it.
//!
//! Tests: below; the shapes that people see in `render`.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::secret::{self, mask};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// It can be used and is probably not what was meant.
    Warning,
}

impl Severity {
    /// The word that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The config file.
    pub file: String,
    /// Line in the file, from 1; absent if it is about no line.
    pub line: Option<usize>,
    /// Column in that line, in characters, from 1.
    pub column: Option<usize>,
    /// The line itself, with secrets masked.
    pub text: Option<String>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub hint: Option<String>,
    #[serde(skip)]
    pub(super) span: Option<Range<usize>>,
    #[serde(skip)]
    pub(super) source: Arc<str>,
}

impl Problem {
    /// An error that is about the file as a whole.
    #[must_use]
    pub fn nowhere(file: &str, what: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let source = Source { file: file.into(), text: "".into() };
        source.problem(Finding { severity: Severity::Error, span: None, what: what.into(), hint })
    }
}

impl std::fmt::Display for Problem {
    /// One line: place and complaint.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}: {}", self.severity.as_str(), self.what)
    }
}

/// The text of a config as it may be shown: same length, same lines, secrets masked.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<str>,
    pub(super) text: Arc<str>,
}

impl Source {
    pub(super) fn problem(&self, finding: Finding) -> Problem {
        let place = finding.span.clone().map(|span| self.place(span.start));
        let (line, column, text) = match place {
            Some((line, column, text)) => (Some(line), Some(column), Some(text.to_owned())),
            None => (None, None, None),
        };
        Problem {
            severity: finding.severity,
            file: self.file.to_string(),
            line,
            column,
            text,
            what: shown(&finding.what),
            hint: finding.hint.map(|hint| shown(&hint)),
            span: finding.span,
            source: Arc::clone(&self.text),
        }
    }

    /// Line, column and the line itself of a byte offset.
    fn place(&self, offset: usize) -> (usize, usize, &str) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let offset = before.len();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |at| offset + at);
        let line = before.matches('\n').count() + 1;
        let column = self.text[start..offset].chars().count() + 1;
        (line, column, self.text[start..end].trim_end_matches('\r'))
    }
}

/// A problem before its place is worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) span: Option<Range<usize>>,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

/// Collects findings while a config is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: RefCell<Vec<Finding>>,
    hidden: RefCell<Vec<Range<usize>>>,
}

impl Findings {
    pub(super) fn error(&self, at: &Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, Some(at.clone()), what.into(), hint.into());
    }

    pub(super) fn warning(&self, at: &Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, Some(at.clone()), what.into(), hint.into());
    }

    /// About the config as a whole.
    pub(super) fn nowhere(&self, severity: Severity, what: impl Into<String>, hint: impl Into<String>) {
        self.push(severity, None, what.into(), hint.into());
    }

    fn push(&self, severity: Severity, span: Option<Range<usize>>, what: String, hint: String) {
        let finding = Finding { severity, span, what, hint: (!hint.is_empty()).then_some(hint) };
        let mut found = self.found.borrow_mut();
        // What stands in the defaults is read once for each agent.
        if !found.contains(&finding) {
            found.push(finding);
        }
    }

    /// Keeps the text at this place out of everything that is shown.
    pub(super) fn hide(&self, at: &Range<usize>) {
        self.hidden.borrow_mut().push(at.clone());
    }

    /// Everything that was found, in the order of finding.
    pub(super) fn into_found(self) -> Vec<Finding> {
        self.found.into_inner()
    }

    /// The text as it may be shown, and the problems in the order of their places.
    pub(super) fn into_problems(self, file: &str, text: &str) -> (Source, Vec<Problem>) {
        let text = secret::masked_source(text, &self.hidden.into_inner());
        let source = Source { file: file.into(), text: text.into() };
        let mut found = self.found.into_inner();
        found.sort_by_key(|finding| (finding.span.as_ref().map_or(0, |span| span.start), finding.severity));
        let problems = found.into_iter().map(|finding| source.problem(finding)).collect();
        (source, problems)
    }
}

/// The text as it may be shown: without what looks like a credential or could steer a terminal.
pub(super) fn shown(text: &str) -> String {
    printable(&mask(text))
}

/// The text without anything that could steer a terminal.
fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            clean.extend(char.escape_default());
        } else {
            clean.push(char);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_not_bytes() {
        let findings = Findings::default();
        let text = "a = 1\r\nnäme = \"x\"\n";
        let at = text.find("\"x\"").unwrap();
        findings.error(&(at..at + 3), "wrong", "");
        let (_, problems) = findings.into_problems("c.toml", text);
        assert_eq!((problems[0].line, problems[0].column), (Some(2), Some(8)));
        assert_eq!(problems[0].text.as_deref(), Some("näme = \"x\""));
        assert_eq!(problems[0].to_string(), "c.toml:2:8: error: wrong");
    }

    #[test]
    fn the_same_finding_is_reported_once() {
        let findings = Findings::default();
        findings.error(&(0..1), "wrong", "");
        findings.error(&(0..1), "wrong", "");
        assert_eq!(findings.into_problems("c", "a").1.len(), 1);
    }

    #[test]
    fn control_characters_are_spelled_out() {
        let findings = Findings::default();
        findings.error(&(0..1), "unknown key \"\u{1b}[31m\"", "");
        assert_eq!(findings.into_problems("c", "a").1[0].what, "unknown key \"\\u{1b}[31m\"");
    }
}
