//! A sentence's reset: a cue, a few small words, and then a time in any of its forms.
//!
//! ```text
//! cue ──► small words and signs ──► epoch │ duration │ day, clock, zone │ number, where the cue names its unit
//!         (at most `SMALL_MAX`; they may say whether a clock or a duration follows, or a unit)
//! ```
//!
//! Anything else between a cue and a number ends the search at that cue, so a number that only stands near is none.
//!
//! Tests: `reset_time/tests.rs`.

use std::time::Duration;

use super::cues::{self, Cue, Rank};
use super::durations::{self, Unit};
use super::placing::{self, Said};
use super::tokens::{self, Kind, Token};
use super::{Reset, believable, clocks, dates, epoch, zones};
use crate::classify::context::Context;
use crate::domain::Window;

/// So many cues of a rank are tried. No sentence has more.
const CUES_MAX: usize = 8;

/// So many small words and signs may stand between a cue and its time.
const SMALL_MAX: usize = 12;

/// So far before a cue that may trail its time, the time may begin.
const BEFORE_MAX: usize = 16;

/// So many small words may stand between a time and the cue that trails it.
const TRAILING_MAX: usize = 3;

/// A time as it was said.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Epoch(i64),
    Delay(Duration),
    Calendar(Said),
}

/// What the small words before a time say about it.
#[derive(Debug, Clone, Copy, Default)]
struct Lead {
    /// `in`, `after`: a duration follows.
    is_in: bool,
    /// `at`: a clock or a day follows.
    is_at: bool,
    /// The unit of a bare number: `reset_seconds: 30`, `Retry-After: 30`.
    unit: Option<Unit>,
}

/// The reset that a sentence tells.
pub(super) fn read(words: &str, window: Window, context: &Context) -> Option<Reset> {
    let folded = tokens::fold(words);
    let tokens = tokens::tokens(&folded);
    let cues = cues::all(&tokens);
    let of = |rank: Rank| cues.iter().filter(move |cue| cue.rank == rank).take(CUES_MAX);
    Rank::ALL.into_iter().flat_map(of).find_map(|cue| told(&tokens, *cue, window, context))
}

fn told(tokens: &[Token<'_>], cue: Cue, window: Window, context: &Context) -> Option<Reset> {
    let form = behind(tokens, cue).or_else(|| if cue.may_trail { before(tokens, cue) } else { None })?;
    let reset = match form {
        Form::Epoch(number) => Reset { at: epoch(number, context.at)?, is_certain: true },
        Form::Delay(delay) => placing::after(delay, context),
        Form::Calendar(said) => placing::place(&said, window, context)?,
    };
    believable(reset.at, context.at)?;
    Some(placing::within_window(reset, window, context))
}

/// The time behind a cue.
fn behind(tokens: &[Token<'_>], cue: Cue) -> Option<Form> {
    let mut lead = Lead::default();
    let mut is_key = false;
    for at in cue.end..=cue.end + SMALL_MAX {
        let token = tokens.get(at)?;
        if let Some((form, _)) = form(tokens, at, lead) {
            return Some(form);
        }
        let is_assigned = token.is_any(&[":", "="]);
        // `Retry-After: 30` is a header's name and means seconds.
        if is_assigned && cue.rank == Rank::Retry && lead.is_in && is_key {
            lead.unit = lead.unit.or(Some(Unit::Second));
        }
        is_key |= token.is_any(&["-", "_", "\""]) || is_assigned;
        lead = lead.after(token)?;
    }
    None
}

/// The time before a cue that comes last. The longest one that reaches the cue counts.
fn before(tokens: &[Token<'_>], cue: Cue) -> Option<Form> {
    (cue.start.saturating_sub(BEFORE_MAX)..cue.start).find_map(|start| {
        let is_at = start > 0 && tokens[start - 1].is_any(&["um", "at"]);
        let (form, end) = form(tokens, start, Lead { is_at, ..Lead::default() })?;
        let between = tokens.get(end..cue.start)?;
        (between.len() <= TRAILING_MAX && between.iter().all(is_small)).then_some(form)
    })
}

fn form(tokens: &[Token<'_>], at: usize, lead: Lead) -> Option<(Form, usize)> {
    let first = tokens.get(at)?;
    if matches!(first.text.len(), 10 | 13)
        && let Some(number) = first.number(13)
    {
        return Some((Form::Epoch(number), at + 1));
    }
    if lead.is_in
        && let Some((delay, end)) = durations::with_colons(tokens, at).filter(|(_, end)| !has_half(tokens, *end))
    {
        return Some((Form::Delay(delay), end));
    }
    if lead.is_at
        && let Some((said, end)) = calendar(tokens, at, true)
    {
        return Some((Form::Calendar(said), end));
    }
    if let Some((delay, end)) = durations::read(tokens, at) {
        return Some((Form::Delay(delay), end));
    }
    if let Some((said, end)) = calendar(tokens, at, false) {
        return Some((Form::Calendar(said), end));
    }
    let amount = first.number(9)?;
    let fraction = tokens.get(at + 2).filter(|_| tokens[at + 1].is(".") && tokens[at + 1].is_glued);
    let fraction = fraction.filter(|token| token.is_glued && token.kind == Kind::Number);
    let text = fraction.map_or_else(|| amount.to_string(), |fraction| format!("{amount}.{}", fraction.text));
    let delay = durations::of(text.parse().ok()?, lead.unit?)?;
    Some((Form::Delay(delay), at + if fraction.is_some() { 3 } else { 1 }))
}

fn has_half(tokens: &[Token<'_>], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token.is_any(&["am", "pm", "a", "p"]))
}

/// A day and a clock in either order, with a zone behind either.
fn calendar(tokens: &[Token<'_>], start: usize, is_at: bool) -> Option<(Said, usize)> {
    if let Some((day, end)) = dates::read(tokens, start) {
        let at = past_small(
            tokens,
            end,
            &[",", "at", "t", "a", "as", "las", "um", "alle", "ore", "kl", "-", "·", "de", "@"],
        );
        let Some((clock, end)) = clocks::read(tokens, at, true) else {
            if day.needs_clock() {
                return None;
            }
            let (zone, end) = zones::read(tokens, end);
            return Some((Said { day: Some(day), clock: None, zone }, end));
        };
        let (day, end) = dates::late_year(day, tokens, end).unwrap_or((day, end));
        let (zone, end) = zones::read(tokens, past_small(tokens, end, &[","]));
        return Some((Said { day: Some(day), clock: Some(clock), zone }, end));
    }
    let (clock, end) = clocks::read(tokens, start, is_at)?;
    let (zone, end) = zones::read(tokens, end);
    let at = past_small(tokens, end, &[",", "on", "the", "am", "em", "el", "le", "del", "of"]);
    let day = dates::read(tokens, at).filter(|_| at > end || tokens[at].kind == Kind::Word);
    let (day, end) = day.map_or((None, end), |(day, end)| (Some(day), end));
    let (zone, end) = if zone == zones::Said::Nothing { zones::read(tokens, end) } else { (zone, end) };
    Some((Said { day, clock: Some(clock), zone }, end))
}

fn past_small(tokens: &[Token<'_>], at: usize, texts: &[&str]) -> usize {
    let rest = tokens.get(at..).unwrap_or_default();
    at + rest.iter().take(3).take_while(|token| token.is_any(texts)).count()
}

impl Lead {
    /// What is known behind this small word; `None` if it is none.
    fn after(self, token: &Token<'_>) -> Option<Self> {
        if token.is_any(IN) {
            return Some(Self { is_in: true, is_at: false, ..self });
        }
        if token.is_any(AT) {
            return Some(Self { is_at: true, is_in: false, ..self });
        }
        // A unit in a key's name. One letter is more often a word.
        if let Some(unit) = token.word().filter(|word| word.len() > 1).and_then(Unit::named) {
            return Some(Self { unit: Some(unit), ..self });
        }
        is_small(token).then_some(self)
    }
}

const IN: &[&str] = &["in", "after", "within", "dans", "tra", "fra", "nach", "apres", "dentro", "delay"];
const AT: &[&str] = &["at", "on", "um", "as", "las", "alle", "kl"];

fn is_small(token: &Token<'_>) -> bool {
    SMALL.split(' ').any(|word| token.is(word)) || token.is_any(SIGNS)
}

/// Words of no meaning of their own here, in the languages that the tools speak.
const SMALL: &str = "a ab about afterwards al am another approx approximately around at auf automatically be before billing by ca circa \
    cycle das date de dem den der dia die do du e el em en ends estimated expected for from full fully il is its just la \
    le least les less limit limits monthly next no o of ore per period quota roughly s scheduled session starting su than \
    the then time timestamp to today until usage use using utc vers weekly when will window your 将 于 在 后 後 会 に 에 内";

const SIGNS: &[&str] = &[
    "。", "│", "┃", "•", "~", "≈", "·", "∙", "→", ":", "=", "\"", "'", "(", "[", "{", ",", "-", "_", "*", "`", ">",
    "|", "@",
];
