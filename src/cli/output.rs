//! Where a verb writes: text for people or one JSON document, on standard output.
//!
//! A reader that leaves early (`switchman history | head -1`) is no failure: the rest is dropped, and the exit
//! code still says how the verb went. A full disk is one.

use std::io::{self, IsTerminal, Write};

use serde_json::{Map, Value, json};

use super::table::Look;
use crate::error::{Exit, Failure};

/// The version of every `--json` document.
const SCHEMA_VERSION: u32 = 1;

/// Standard output.
#[derive(Debug)]
pub struct Output {
    is_json: bool,
    is_terminal: bool,
    has_colours: bool,
    is_closed: bool,
}

impl Output {
    /// `has_colours` says whether a terminal may be coloured.
    #[must_use]
    pub fn new(is_json: bool, has_colours: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { is_json, is_terminal, has_colours: is_terminal && has_colours, is_closed: false }
    }

    /// Whether a JSON document was asked for.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether a person looks at it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Who looks at the tables.
    pub(super) fn look(&self) -> Look {
        Look { is_terminal: self.is_terminal, has_colours: self.has_colours }
    }

    /// Whether the reader has left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes text as it is, and lets it out at once.
    ///
    /// # Errors
    /// If it cannot be written, except to a reader that has left.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            Err(err) => Err(Failure::new(Exit::Failed, "output_failed", format!("cannot write the output: {err}"))),
        }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// Writes the document, with its `schema_version`.
    ///
    /// # Errors
    /// As [`Output::text`].
    pub fn document(&mut self, document: &Map<String, Value>) -> Result<(), Failure> {
        let mut document = document.clone();
        document.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
        self.line(&format!("{:#}", Value::Object(document)))
    }
}

/// Writes to standard error. There is nowhere to say that this failed.
pub(super) fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
