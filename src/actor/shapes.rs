//! Wordings that look like a limit and that no rule knows: told once each, so that new ones are noticed.
//!
//! What is told is a line of the agent's own, which may show anything: what could be a secret is masked, and the rest cut.
//! Bounded: of so many wordings the oldest is forgotten, and told again should it come back.
//!
//! Tests: below, `tests/shell/trust.rs`.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::classify::Shape;

/// Wordings that are remembered of one agent.
const SHAPES_MAX: usize = 256;

/// The most that is told of a line, in characters.
const SHOWN_MAX: usize = 200;

/// A line is not looked at further than this, in bytes.
const LOOKED_AT: usize = 4096;

/// A run of so many characters of keys and tokens may be one.
const TOKEN_MIN: usize = 20;

/// The wordings that were told of one agent, the newest last. Their hashes do.
#[derive(Debug, Default)]
pub(super) struct Shapes(VecDeque<u64>);

impl Shapes {
    /// Takes note of a wording; says whether it is new.
    pub(super) fn note(&mut self, shape: &Shape) -> bool {
        let mut hasher = DefaultHasher::new();
        shape.hash(&mut hasher);
        let hash = hasher.finish();
        if self.0.contains(&hash) {
            return false;
        }
        if self.0.len() >= SHAPES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(hash);
        true
    }
}

/// A line as it may be told: what may be a secret is masked, then it is cut. Its control characters are the log's business.
pub(super) fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(LOOKED_AT)]);
    let is_of_a_token = |c: char| c.is_ascii_alphanumeric() || "+/_-=".contains(c);
    let (mut masked, mut rest) = (String::new(), text.trim());
    while !rest.is_empty() {
        let run = rest.find(|c| !is_of_a_token(c)).unwrap_or(rest.len());
        let other = rest[run..].find(is_of_a_token).map_or(rest.len(), |at| run + at);
        masked.push_str(if run >= TOKEN_MIN { "…" } else { &rest[..run] });
        masked.push_str(&rest[run..other]);
        rest = &rest[other..];
    }
    match masked.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &masked[..end]),
        None => masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wording_is_new_once_until_too_many_others_were() {
        let shape = |number: usize| Shape(format!("limit of sort {number}"));
        let mut shapes = Shapes::default();
        assert!(shapes.note(&shape(0)));
        assert!(!shapes.note(&shape(0)));
        for number in 1..=SHAPES_MAX {
            assert!(shapes.note(&shape(number)), "{number}");
        }
        assert_eq!(shapes.0.len(), SHAPES_MAX);
        assert!(shapes.note(&shape(0)), "the oldest was forgotten");
    }

    #[test]
    fn what_may_be_a_secret_is_masked_wherever_it_stands() {
        let token = "sk-ant-oat01-CANARYcanary0123456789_-abc";
        let far = "x ".repeat(95);
        for line in [
            token.to_owned(),
            format!("limit reached for key={token}"),
            format!("Authorization: Bearer {token}, try again at 3pm"),
            format!("{far}{token}"),
            format!("\"{token}\""),
        ] {
            let shown = shown(line.as_bytes());
            assert!(!shown.contains("CANARY") && shown.contains('…'), "{shown}");
        }
        assert_eq!(shown(b"You have 12 requests left. Resets at 3pm"), "You have 12 requests left. Resets at 3pm");
    }

    #[test]
    fn a_long_line_is_cut_and_bytes_that_are_no_text_do_no_harm() {
        assert_eq!(shown("é ".repeat(5_000).as_bytes()).chars().count(), SHOWN_MAX + 1);
        assert_eq!(shown(b"a \xff b"), "a \u{fffd} b");
        assert_eq!(shown(b""), "");
    }
}
