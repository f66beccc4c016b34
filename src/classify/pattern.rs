//! Patterns of rules: of a bounded size, in either case, made when they are first needed.

use std::sync::OnceLock;

use regex::{Captures, Regex, RegexBuilder};

/// The most that a pattern may take when it is made, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression, matched in linear time whatever it is held against.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    made: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// One that must match the whole of a text.
    ///
    /// # Errors
    /// If it is no pattern, or too large a one.
    pub fn whole(text: &str) -> Result<Self, regex::Error> {
        // By itself first: an error then speaks of what was written.
        make(text)?;
        Self::within(&anchored(text))
    }

    /// One that must be found in a text.
    ///
    /// # Errors
    /// If it is no pattern, or too large a one.
    pub fn within(text: &str) -> Result<Self, regex::Error> {
        let made = make(text)?;
        Ok(Self { text: text.to_owned(), made: OnceLock::from(Some(made)) })
    }

    /// One of ours that must match the whole of a text: letters and digits are those of ASCII, which keeps it small.
    pub(super) fn of_ours(text: &str) -> Self {
        Self { text: anchored(&ascii(text)), made: OnceLock::new() }
    }

    /// One of ours that must be found in a text.
    pub(super) fn of_ours_within(text: &str) -> Self {
        Self { text: ascii(text), made: OnceLock::new() }
    }

    fn made(&self) -> Option<&Regex> {
        self.made.get_or_init(|| make(&self.text).ok()).as_ref()
    }

    /// Whether it can be made: so for all but one of ours that nobody has tested.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.made().is_some()
    }

    /// Whether it agrees.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.made().is_some_and(|made| made.is_match(text))
    }

    /// What it has found.
    #[must_use]
    pub fn captures<'a>(&self, text: &'a str) -> Option<Captures<'a>> {
        self.made()?.captures(text)
    }

    /// The names of its groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.made().into_iter().flat_map(|made| made.capture_names().flatten())
    }
}

fn make(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(SIZE_MAX).build()
}

fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

fn ascii(text: &str) -> String {
    text.replace(r"\w", "[0-9A-Za-z_]").replace(r"\d", "[0-9]").replace(r"\b", r"(?-u:\b)")
}
