//! Finds the few lines that can say anything, at the speed of memory.
//!
//! Almost every line of a log is chatter. Before one is parsed or matched, words are looked for of which at least one
//! stands in everything that a rule can recognise. They are spelled out in the casings in use, so that one vectorised
//! search finds them all; a number such as 429 is never among them, because timestamps are full of such.
//!
//! Words of the user's own rules join them.
//!
//! Tests: below, and `tests/signals.rs`, which holds that no line of the corpus is lost here.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use memchr::{memchr, memrchr};

/// Without their first letter where that may be a capital one.
pub(super) const NEEDLES: &[&str] = &[
    " limit",
    "allowance",
    "atelimit",
    " Limit",
    "imit reached",
    "imit exceeded",
    "ate limit",
    "ate_limit",
    "ate-limit",
    "RATE_LIMIT",
    "RATE LIMIT",
    "uota",
    "QUOTA",
    "xhausted",
    "EXHAUSTED",
    "xtra usage",
    "sage_limit",
    "oo many requests",
    "oo Many Requests",
    "ooling down",
    "o_cooldown",
    "credit",
    "Credit",
    "nsufficient",
    "pend cap",
    "pending cap",
    "alance",
    "uthentication",
    "nauthorized",
    "UNAUTHENTICATED",
    "OAuth",
    "oauth",
    "PI key",
    "api_key",
    "api key",
    "efresh token",
    "efresh_token",
    "oken refresh",
    "access token",
    "invalid_grant",
    "evoked",
    "/login",
    "ign in again",
    "og in again",
    "rganization",
    "deactivated",
    "suspended",
    "is_error\":true",
    "is_error\": true",
    "<synthetic>",
    "turn.failed",
    "token_count",
    "unifiedWindows",
    "verload",
    "capacity",
    "\"error\"",
    "ut of memory",
    "illed process",
    "ECONN",
    "ETIMEDOUT",
    "fetch failed",
    "isconnected",
    "error sending",
    "timed out",
    "nable to connect",
    "Connection error",
    "ocket connection",
    "Mark-Compact",
    "Scavenge",
    "oom-killer",
    "OOM kill",
    "(137)",
    "code 137",
    "erver-side",
    "xpired",
    "hatGPT plan",
    "utomatically switching",
    "error status",
    "non_sse_response",
    "imite ",
    "上限",
    "限额",
    "制限",
    "已过期",
];

/// Looks for the words.
#[derive(Debug)]
pub(super) struct Prefilter {
    /// `None`: every line may say something.
    words: Option<AhoCorasick>,
}

impl Prefilter {
    /// For the built-in rules, and for rules that need these words besides. `None`: one that needs no word in particular.
    pub(super) fn new<'a>(more: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let more: Option<Vec<&str>> = more.into_iter().collect();
        let words = more.and_then(|more| {
            let words = NEEDLES.iter().copied().chain(more);
            // Nobody's words are too many for it; if they were, every line would be looked at.
            AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()
        });
        Self { words }
    }

    /// Whether a line may say something.
    pub(super) fn may_tell(&self, line: &[u8]) -> bool {
        self.words.as_ref().is_none_or(|words| words.is_match(line))
    }

    /// The first line from `from` on that may say something, in a text of whole lines.
    pub(super) fn next_line(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let at = match &self.words {
            Some(words) => words.find(Input::new(text).range(from..))?.start(),
            None if from < text.len() => from,
            None => return None,
        };
        let begin = memrchr(b'\n', &text[from..at]).map_or(from, |newline| from + newline + 1);
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline);
        Some(begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_words_and_told_apart_by_their_ends() {
        let text = b"nothing\nYou've hit your limit\n\n2026-11-20T12:00:00.429Z\nno credit\nlast";
        let filter = Prefilter::new([]);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(line) = filter.next_line(text, from) {
            found.push(std::str::from_utf8(&text[line.clone()]).unwrap().to_owned());
            from = (line.end + 1).min(text.len());
        }
        assert_eq!(found, ["You've hit your limit", "no credit"]);
        assert!(!filter.may_tell(b"last") && filter.may_tell(b"HTTP 401 Unauthorized"));
        let mine = Prefilter::new([Some("last")]);
        assert!(mine.may_tell(b"last") && mine.may_tell(b"no credit") && !mine.may_tell(b"first"));
        let all = Prefilter::new([Some("last"), None]);
        assert!(all.may_tell(b"first"));
        assert_eq!(all.next_line(b"a\nb", 0), Some(0..1));
        assert_eq!(all.next_line(b"a\nb", 2), Some(2..3));
        assert_eq!(all.next_line(b"a\nb", 3), None);
    }
}
