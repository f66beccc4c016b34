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

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, Input, MatchKind, Span};
use memchr::{memchr, memrchr};

/// Words, of which one stands in everything that a built-in rule can recognise. Each begins where its letters are rare: that
/// is what a vectorised search goes by, and it spares the first letter that may be a capital one. In two groups, because
/// such a search slows down above some thirty words.
pub(super) const NEEDLES: [&[&str]; 2] = [LIMITS_AND_MONEY, LOGINS_AND_RECORDS];

const LIMITS_AND_MONEY: &[&str] = &[
    "imit",
    "IMIT",
    "uota",
    "QUOTA",
    "xhausted",
    "EXHAUSTED",
    "xtra usage",
    "llowance",
    "oo many",
    "oo Many",
    "ooling down",
    "_cooldown",
    "utomatically switching",
    "error status",
    "non_sse_response",
    "上限",
    "限额",
    "制限",
    "redit",
    "nsufficient",
    "pend cap",
    "pending cap",
    "alance",
    "hatGPT plan",
    "ayment",
    "xceeded",
    "ou've used",
    "used all",
    "_error\":true",
    "_error\": true",
];

const LOGINS_AND_RECORDS: &[&str] = &[
    "uthent",
    "UTHENT",
    "uthoriz",
    "oauth",
    "OAuth",
    "PI key",
    "pi key",
    "pi_key",
    "PI_KEY",
    "pi-key",
    "esh token",
    "esh_token",
    "Token ref",
    "cess tok",
    "rer token",
    "invalid_grant",
    "evoked",
    "xpired",
    "已过期",
    "ogin",
    "sign in",
    "g in again",
    "rganiz",
    "isabled",
    "eactivated",
    "uspended",
    "uth method",
    "ogged in",
    "<synthetic>",
    ".failed\"",
    "en_count",
    "\"error\"",
    "API Error",
    "nexpected status",
    "verload",
    "pacity",
];

/// Words of killed processes and lost connections. They move nobody, so a log is not searched for them; in a report they
/// excuse what else was printed.
const EXCUSES: &[&str] = &[
    "ut of memory",
    "heap",
    "oom-kill",
    "OOM",
    "illed process",
    "137",
    "143",
    "ECONN",
    "ETIMEDOUT",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EHOST",
    "EPIPE",
    "etch failed",
    "timed out",
    "socket",
    "onnect",
    "error sending",
    "dial tcp",
    "verload",
    "pacity",
    "rror occurred",
];

/// One search takes so many words of the user's.
const WORDS_MAX: usize = 32;

/// Several searches take turns on so many bytes.
const PIECE: usize = 16 * 1024;
/// Longer words than this are found if they begin in time.
const OVERLAP: usize = 256;

/// Looks for some of the words.
#[derive(Debug)]
enum Search {
    /// With the instructions of the processor that are made for it.
    Vectorised(Box<Searcher>),
    /// Where it has none.
    Plain(AhoCorasick),
}

impl Search {
    /// `None` if it can look for no such words.
    fn new(words: &[&str]) -> Option<Self> {
        let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        builder.extend(words);
        let vectorised = builder.build().map(|search| Self::Vectorised(Box::new(search)));
        vectorised
            .or_else(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok().map(Self::Plain))
    }

    /// Where the first of the words stands, from a place on.
    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let found = match self {
            Self::Vectorised(search) => search.find_in(text, Span { start: from, end: text.len() }),
            Self::Plain(search) => search.find(Input::new(text).range(from..)),
        };
        found.map(|found| found.start())
    }
}

/// Looks for the words.
#[derive(Debug)]
pub(super) struct Prefilter {
    /// `None`: every line may say something.
    searches: Option<Vec<Search>>,
    excuses: Option<Search>,
}

impl Prefilter {
    /// For the built-in rules, and for rules that need these words besides. `None`: one that needs no word in particular.
    pub(super) fn new<'a>(more: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let more: Option<Vec<&str>> = more.into_iter().collect();
        let searches = more.and_then(|more| {
            let parts = NEEDLES.into_iter().chain(more.chunks(WORDS_MAX));
            // Nobody's words are too many for it; if they were, every line would be looked at.
            parts.map(Search::new).collect()
        });
        Self { searches, excuses: Search::new(EXCUSES) }
    }

    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        match self.searches.as_deref() {
            Some([search]) => search.find(text, from),
            Some(searches) => {
                // Piece by piece: what one search finds next may lie far behind what another one finds.
                (from..text.len()).step_by(PIECE).find_map(|piece| {
                    let text = &text[..text.len().min(piece + PIECE + OVERLAP)];
                    searches.iter().filter_map(|search| search.find(text, piece)).min()
                })
            }
            None => (from < text.len()).then_some(from),
        }
    }

    /// Whether a line may say something.
    pub(super) fn may_tell(&self, line: &[u8]) -> bool {
        self.find(line, 0).is_some()
    }

    /// Whether a line of a report may say something, or excuse what the others say.
    pub(super) fn may_tell_or_excuse(&self, line: &[u8]) -> bool {
        self.may_tell(line) || self.excuses.as_ref().is_none_or(|search| search.find(line, 0).is_some())
    }

    /// The first line from `from` on that may say something, in a text of whole lines.
    pub(super) fn next_line(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let at = self.find(text, from)?;
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
