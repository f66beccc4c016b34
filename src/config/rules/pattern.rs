//! Regular expressions of the user's: checked where they stand, and bounded.

use crate::classify::pattern;
use crate::config::problem::Findings;
use crate::config::reader::Placed;

/// The longest that is taken, in bytes.
const LEN_MAX: usize = 4 << 10;

/// A regular expression of the user's.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    made: pattern::Pattern,
}

impl Pattern {
    /// As the user wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is searched for: anchored at both ends where it is to describe all of a text.
    #[must_use]
    pub fn made(&self) -> &pattern::Pattern {
        &self.made
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// How much of a text an expression has to describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: it is anchored at both ends.
    Whole,
    /// Something in it.
    Part,
}

/// What is wrong with one, or it as it stands.
pub(super) fn checked(
    text: Placed<String>,
    extent: Extent,
    key: &str,
    title: &str,
    findings: &Findings,
) -> Option<Pattern> {
    let Placed { value: text, at } = text;
    if text.is_empty() {
        findings.error(&at, format!("`{key}` in {title} is empty"), "write a regular expression");
        return None;
    }
    if text.len() > LEN_MAX {
        let what = format!("`{key}` in {title} has {} bytes, and {LEN_MAX} are possible", text.len());
        findings.error(&at, what, "make several rules of it");
        return None;
    }
    let made = match extent {
        Extent::Part => pattern::Pattern::within(&text),
        Extent::Whole => pattern::Pattern::whole(&text),
    };
    match made {
        Ok(made) => Some(Pattern { text, made }),
        Err(error) => {
            let what = format!("`{key}` in {title} is not a regular expression: {}", why(&text, &error));
            let hint = match error {
                regex::Error::CompiledTooBig(_) => "make its repetitions smaller",
                _ => {
                    "write it in single quotes, in which a backslash stands for itself; look-arounds and back-references \
                      are not possible"
                }
            };
            findings.error(&at, what, hint);
            None
        }
    }
}

/// The complaint in one line, with its place in the expression.
fn why(pattern: &str, error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        return "it needs too much memory".to_owned();
    }
    let told = error.to_string();
    let what = told.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it cannot be read").to_owned();
    // Under the expression, which is set in by four blanks, stands a mark.
    let column = told.lines().skip_while(|line| line.strip_prefix("    ") != Some(pattern)).nth(1);
    match column.and_then(|marks| marks.find('^')) {
        Some(at) if at >= 4 => format!("{what}, at character {}", at - 3),
        _ => what,
    }
}
