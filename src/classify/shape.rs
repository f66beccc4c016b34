//! What text that looks like a limit has in common with the next one of its kind.
//!
//! Tools change their wording without telling anybody. A line that no rule knows and that looks like a limit is told to
//! people once: its shape is its words, without what changes from one time to the next.
//!
//! Tests: below.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::Pattern;
use super::peel::peel;
use super::said::Shape;

/// Longer lines are prose.
const LINE_MAX: usize = 240;
/// So many letters of a shape are kept.
const SHAPE_MAX: usize = 160;

/// The shape of a line that looks like a limit; `None` if it does not.
pub(super) fn of_a_limit(line: &str) -> Option<Shape> {
    /// That something is used up, or who should do what about it.
    static LIMIT: LazyLock<Pattern> = LazyLock::new(|| {
        Pattern::of_ours_within(
            r"\b(?:limits?|quota|credits?|allowance|balance)\b.{0,60}\b(?:reached|exceeded|exhausted|hit|re-?sets?|used up|depleted|too low|insufficient|upgrade)\b|\b(?:reached|exceeded|hit|exhausted|out of|insufficient|no (?:more|remaining))\b.{0,40}\b(?:limits?|quota|credits?|allowance|balance)\b|\btoo many requests\b|\brate[\- ]limit(?:ed|ing)?\b|\b(?:login|token|session|credentials?|api key)\b.{0,80}\b(?:expired|revoked|refused|no longer valid)\b",
        )
    });
    if line.len() > LINE_MAX {
        return None;
    }
    let peeled = peel(line)?;
    let sentence = peeled.sentence.trim();
    let begins_one = sentence.starts_with(|char: char| char.is_uppercase()) || peeled.is_error;
    (begins_one && LIMIT.is_match(sentence)).then(|| shape(sentence)).flatten()
}

/// The shape of an error that the tool itself records.
pub(super) fn of_an_error(words: &str) -> Option<Shape> {
    let line = words.lines().map(str::trim).find(|line| !line.is_empty())?;
    shape(&peel(line)?.sentence)
}

/// Letters in lower case; what stands in quotes or holds a digit, and addresses, are left out: they change, and may be
/// nobody's business.
fn shape(sentence: &str) -> Option<Shape> {
    static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#""[^"]*"|'[^' ]*'|\S*(?:\d|://|[/@=_{}\\])\S*|[^\s.,:;!?'()\-]{24,}"#)
            .expect("a pattern of our own")
    });
    let mut words = CHANGING.replace_all(sentence, "…").to_lowercase();
    while words.contains("… …") {
        words = words.replace("… …", "…");
    }
    let mut end = words.len().min(SHAPE_MAX);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    let words = words.trim().to_owned();
    words.chars().any(char::is_alphabetic).then_some(Shape(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_wording_have_one_shape_and_chatter_has_none() {
        let shape = |line: &str| of_a_limit(line).map(|shape| shape.0);
        let first = shape("Error: Monthly quota for max-7731 depleted, resets 2026-11-21");
        assert_eq!(first.as_deref(), Some("monthly quota for … depleted, resets …"));
        assert_eq!(first, shape("Monthly quota for max-9 depleted, resets 2026-12-01"));
        for chatter in [
            "so the limit was hit and then",
            "Running 12 tests",
            "| Quota | exceeded |",
            &format!("Quota exceeded {}", "and so on ".repeat(40)),
        ] {
            assert_eq!(shape(chatter), None, "{chatter}");
        }
        let secret = shape("Error: token sk-ant-oat01-abcdefghijklmnopqrstuv expired").unwrap();
        assert!(!secret.contains("sk-ant"), "{secret}");
    }
}
