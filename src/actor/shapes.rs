//! Wordings that look like a limit and that no rule knows: told once each, so that new ones are noticed; of an agent that
//! never says the same twice only so many an hour, and the rest are counted.
//!
//! What is told is a line of the agent's own, which may show anything: what could be a secret is masked, and the rest cut.
//! Bounded: of so many wordings the oldest is forgotten, and told again should it come back.
//!
//! Tests: below, `tests/shell/trust.rs`.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::classify::Shape;
use crate::domain::Steady;

/// Wordings that are remembered of one agent.
const SHAPES_MAX: usize = 256;

/// Wordings that are told of one agent within [`TOLD_WITHIN`].
const TOLD_MAX: usize = 20;

/// See [`TOLD_MAX`].
const TOLD_WITHIN: Duration = Duration::from_secs(3600);

/// The most that is told of a line, in characters.
const SHOWN_MAX: usize = 200;

/// A line is not looked at further than this, in bytes.
const LOOKED_AT: usize = 4096;

/// A run of so many characters of keys and tokens may be one.
const TOKEN_MIN: usize = 20;

/// What is to be done about a wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is new, and told.
    Tell,
    /// It is new, and so many were told lately that it is only counted.
    Count,
    /// It was told or counted before.
    Known,
}

/// The wordings of one agent, from all its sources.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// Those that are known, the newest last. Their hashes do.
    known: VecDeque<u64>,
    /// When the last ones were told, the newest last.
    told: VecDeque<Steady>,
}

impl Shapes {
    /// Takes note of a wording.
    pub(super) fn note(&mut self, shape: &Shape, now: Steady) -> Noted {
        let mut hasher = DefaultHasher::new();
        shape.hash(&mut hasher);
        let hash = hasher.finish();
        if self.known.contains(&hash) {
            return Noted::Known;
        }
        if self.known.len() >= SHAPES_MAX {
            self.known.pop_front();
        }
        self.known.push_back(hash);
        while self.told.front().is_some_and(|told| told.plus(TOLD_WITHIN) <= now) {
            self.told.pop_front();
        }
        if self.told.len() >= TOLD_MAX {
            return Noted::Count;
        }
        self.told.push_back(now);
        Noted::Tell
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

    fn shape(number: usize) -> Shape {
        Shape(format!("limit of sort {number}"))
    }

    #[test]
    fn a_wording_is_new_once_until_too_many_others_were() {
        let mut shapes = Shapes::default();
        let mut notes = |number| shapes.note(&shape(number), Steady(0));
        assert_eq!((notes(0), notes(0)), (Noted::Tell, Noted::Known));
        for number in 1..=SHAPES_MAX {
            assert_ne!(notes(number), Noted::Known, "{number}");
        }
        assert_ne!(notes(0), Noted::Known, "the oldest was forgotten");
        assert_eq!(shapes.known.len(), SHAPES_MAX);
    }

    #[test]
    fn of_an_agent_that_prints_ever_new_wordings_twenty_an_hour_are_told_and_the_rest_counted() {
        let hour = Steady(3_600_000);
        let mut shapes = Shapes::default();
        for number in 0..TOLD_MAX {
            assert_eq!(shapes.note(&shape(number), Steady(number as u64)), Noted::Tell, "{number}");
        }
        for number in TOLD_MAX..200 {
            assert_eq!(shapes.note(&shape(number), Steady(hour.0 - 1)), Noted::Count, "{number}");
        }
        assert_eq!(shapes.note(&shape(0), hour), Noted::Known);
        assert_eq!(shapes.note(&shape(200), hour), Noted::Tell, "the first was told an hour ago");
        assert_eq!(shapes.note(&shape(201), hour), Noted::Count, "the second was not yet");
        assert_eq!(shapes.note(&shape(150), Steady(2 * hour.0)), Noted::Known, "what was counted is not told later");
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
