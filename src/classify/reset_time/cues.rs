//! The words that make a time beside them a reset. A number without one is never a reset.
//!
//! | rank | what it speaks of | for example |
//! |---|---|---|
//! | `Reset` | the limit | `resets`, `will be renewed`, `restablece`, `zurückgesetzt`, `重置`, `limit reached\|…` |
//! | `Again` | when it makes sense to come back | `try again`, `wait`, `until`, `available`, `novamente`, `erneut` |
//! | `Retry` | what a tool does by itself meanwhile | `retrying`, `retry-after` |
//!
//! A better rank counts before a place in the sentence: `Your quota will reset after 5s.. Retrying after 6173ms` is five seconds.
//!
//! Tests: `reset_time/tests.rs`.

use super::tokens::{Kind, Token};

/// What a cue speaks of; the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Reset,
    Again,
    Retry,
}

impl Rank {
    pub(super) const ALL: [Self; 3] = [Self::Reset, Self::Again, Self::Retry];
}

/// A cue in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) rank: Rank,
    /// Its first token.
    pub(super) start: usize,
    /// The first token behind it.
    pub(super) end: usize,
    /// Whether the time may stand before it, as the verb of a German, Chinese, Japanese or Korean sentence comes last.
    pub(super) may_trail: bool,
}

/// Beginnings of words of the rank `Reset`.
const RESET: &[&str] = &[
    "reset",
    "renew",
    "replenish",
    "refill",
    "resum",
    "unlock",
    "redefin",
    "reinici",
    "renova",
    "renueva",
    "restablec",
    "restaur",
    "reinitialis",
    "renouvel",
    "reimpost",
    "ripristin",
    "azzer",
    "rinnov",
    "quotareset",
];
/// The same of verbs that come last.
const RESET_TRAILING: &[&str] = &["zuruckgesetzt", "zuruckzusetzen", "erneuert"];
/// Whole words of the rank `Again`.
const AGAIN: &[&str] = &[
    "again",
    "wait",
    "until",
    "available",
    "unavailable",
    "back",
    "cooldown",
    "cooling",
    "blocked",
    "refresh",
    "refreshes",
    "refreshed",
    "nuevo",
    "nuevamente",
    "novamente",
    "disponivel",
    "disponible",
    "hasta",
    "espere",
    "aguarde",
    "reessayez",
    "reessayer",
    "nouveau",
    "patientez",
    "riprova",
    "nuovo",
    "disponibile",
    "bis",
    "verfugbar",
    "warten",
];
const AGAIN_TRAILING: &[&str] = &["erneut", "wieder"];
/// Beginnings of words of the rank `Retry`.
const RETRY: &[&str] = &["retry", "retries", "backoff"];
/// Words of scripts whose letters are tokens of their own.
const EASTERN: &[(&[&str], Rank)] = &[
    (&["重", "置"], Rank::Reset),
    (&["恢", "复"], Rank::Reset),
    (&["恢", "復"], Rank::Reset),
    (&["刷", "新"], Rank::Reset),
    (&["リ", "セ", "ッ", "ト"], Rank::Reset),
    (&["재", "설", "정"], Rank::Reset),
    (&["초", "기", "화"], Rank::Reset),
    (&["重", "试"], Rank::Again),
    (&["重", "試"], Rank::Again),
    (&["再", "试"], Rank::Again),
    (&["再", "試", "行"], Rank::Again),
    (&["다", "시"], Rank::Again),
];

/// All cues of a sentence, in its order.
pub(super) fn all(tokens: &[Token<'_>]) -> Vec<Cue> {
    (0..tokens.len()).filter_map(|start| at(tokens, start)).collect()
}

fn at(tokens: &[Token<'_>], start: usize) -> Option<Cue> {
    let token = tokens.get(start)?;
    let cue = |rank, length: usize, may_trail| Some(Cue { rank, start, end: start + length, may_trail });
    // `…limit reached|1755806400`: the bar belongs to the number.
    if token.is("|") && tokens.get(start + 1).is_some_and(|next| next.is_glued && matches!(next.text.len(), 10 | 13)) {
        return cue(Rank::Reset, 1, false);
    }
    if token.kind != Kind::Word {
        return None;
    }
    let begins = |words: &[&str]| words.iter().any(|word| token.text.starts_with(word));
    if begins(RESET) {
        return cue(Rank::Reset, 1, false);
    }
    if token.is_any(RESET_TRAILING) {
        return cue(Rank::Reset, 1, true);
    }
    if token.is_any(AGAIN_TRAILING) {
        return cue(Rank::Again, 1, true);
    }
    if token.is_any(AGAIN) {
        return cue(Rank::Again, 1, false);
    }
    if begins(RETRY) {
        return cue(Rank::Retry, 1, false);
    }
    let spelled = |(word, _): &&(&[&str], Rank)| {
        tokens
            .get(start..start + word.len())
            .is_some_and(|run| run.iter().zip(*word).all(|(token, char)| token.is(char)))
    };
    EASTERN.iter().find(spelled).and_then(|(word, rank)| cue(*rank, word.len(), true))
}
