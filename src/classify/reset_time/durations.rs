//! How long something lasts: `3 days 4 hours 9 minutes`, `8h44m7s`, `15.002899939s`, `5小时`, `14:30:00`.
//!
//! Each unit is smaller than the one before, so `5 hours 3 days` is five hours and then something else. A line that was cut off within
//! a number (`5 days 22 hours 11`) is read as if it went on with the next smaller unit; cut off within a unit, as that unit.
//!
//! It must not know from when it counts.
//!
//! Tests: `reset_time/tests.rs`.

use std::time::Duration;

use super::tokens::{Kind, Token};

/// More digits than this are no duration.
const DIGITS_MAX: usize = 12;

/// A unit of time; the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Milli,
    Micro,
    Nano,
}

impl Unit {
    const fn seconds(self) -> f64 {
        match self {
            Self::Week => 604_800.0,
            Self::Day => 86_400.0,
            Self::Hour => 3_600.0,
            Self::Minute => 60.0,
            Self::Second => 1.0,
            Self::Milli => 1e-3,
            Self::Micro => 1e-6,
            Self::Nano => 1e-9,
        }
    }

    /// The one that a number without a unit has after this one.
    const fn smaller(self) -> Option<Self> {
        match self {
            Self::Week => Some(Self::Day),
            Self::Day => Some(Self::Hour),
            Self::Hour => Some(Self::Minute),
            Self::Minute => Some(Self::Second),
            Self::Second | Self::Milli | Self::Micro | Self::Nano => None,
        }
    }

    /// A unit by its name or sign, in the languages that the tools speak.
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "w" | "wk" | "wks" | "week" | "weeks" | "semana" | "semanas" | "semaine" | "semaines" | "woche"
            | "wochen" | "settimana" | "settimane" | "周" | "週" | "주" => Self::Week,
            "d" | "day" | "days" | "dia" | "dias" | "j" | "jour" | "jours" | "tag" | "tage" | "tagen" | "giorno"
            | "giorni" | "天" | "日" | "일" => Self::Day,
            "h" | "hr" | "hrs" | "hour" | "hours" | "hora" | "horas" | "heure" | "heures" | "std" | "stunde"
            | "stunden" | "ora" | "ore" | "小时" | "小時" | "時間" | "时" | "時" | "시간" => Self::Hour,
            "m" | "min" | "mins" | "minute" | "minutes" | "minuto" | "minutos" | "minuten" | "minuti" | "分钟"
            | "分鐘" | "分" | "분" => Self::Minute,
            "s" | "sec" | "secs" | "second" | "seconds" | "segundo" | "segundos" | "seconde" | "secondes" | "sek"
            | "sekunde" | "sekunden" | "secondo" | "secondi" | "秒钟" | "秒" | "초" => Self::Second,
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" | "毫秒" => Self::Milli,
            "us" | "microsecond" | "microseconds" => Self::Micro,
            "ns" | "nanosecond" | "nanoseconds" => Self::Nano,
            _ => return None,
        })
    }

    /// The unit of which a line that was cut off shows only the beginning.
    fn begun(word: &str) -> Option<Self> {
        let names = [("weeks", Self::Week), ("days", Self::Day), ("hours", Self::Hour)]
            .into_iter()
            .chain([("minutes", Self::Minute), ("seconds", Self::Second)]);
        names.filter(|(name, _)| word.len() >= 2 && name.starts_with(word)).map(|(_, unit)| unit).next()
    }
}

/// This many of a unit; `None` if no duration is that long.
pub(super) fn of(amount: f64, unit: Unit) -> Option<Duration> {
    Duration::try_from_secs_f64(amount * unit.seconds()).ok()
}

/// The duration that begins at `start`, and where it ends.
pub(super) fn read(tokens: &[Token<'_>], start: usize) -> Option<(Duration, usize)> {
    let mut total = Duration::ZERO;
    let mut last: Option<Unit> = None;
    let mut end = start;
    loop {
        let at = if last.is_some() { past_joint(tokens, end) } else { end };
        let Some((amount, behind)) = amount(tokens, at) else { break };
        let (unit, next) = match unit(tokens, behind) {
            Some((unit, next)) if last.is_none_or(|last| unit > last) => (unit, next),
            Some(_) => break,
            None => {
                let smaller = last.and_then(Unit::smaller);
                let is_last = ends_line(tokens, behind) || tokens[at].is_glued;
                match smaller {
                    Some(unit) if is_last && at == end => (unit, behind),
                    Some(_) | None => break,
                }
            }
        };
        total = total.checked_add(of(amount, unit)?)?;
        (last, end) = (Some(unit), next);
    }
    last.map(|_| (total, end))
}

/// `2:15` or `02:15:30` after a word that makes a duration of it; hours come first.
pub(super) fn with_colons(tokens: &[Token<'_>], start: usize) -> Option<(Duration, usize)> {
    let part = |at: usize, digits_max: usize| tokens.get(at)?.number(digits_max);
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| token.is(":") && token.is_glued);
    let hours = part(start, 3)?;
    let minutes = is_colon(start + 1).then(|| part(start + 2, 2))?.filter(|minutes| *minutes < 60)?;
    let seconds = is_colon(start + 3).then(|| part(start + 4, 2)).flatten().filter(|seconds| *seconds < 60);
    let end = if seconds.is_some() { start + 5 } else { start + 3 };
    let total = hours * 3_600 + minutes * 60 + seconds.unwrap_or(0);
    Some((Duration::from_secs(u64::try_from(total).ok()?), end))
}

/// `5`, `15.0028`, `an`.
fn amount(tokens: &[Token<'_>], at: usize) -> Option<(f64, usize)> {
    let first = tokens.get(at)?;
    if first.is_any(&["a", "an", "one", "un", "une", "una", "uma", "um", "ein", "eine", "einer", "einem"]) {
        // `a` before anything but a unit is another word.
        return unit(tokens, at + 1).map(|_| (1.0, at + 1));
    }
    first.number(DIGITS_MAX)?;
    let is_part = |at: usize, kind: Kind| tokens.get(at).is_some_and(|token| token.is_glued && token.kind == kind);
    let is_fraction =
        tokens.get(at + 1).is_some_and(|token| token.is(".") && token.is_glued) && is_part(at + 2, Kind::Number);
    let (text, end) = if is_fraction {
        (format!("{}.{}", first.text, tokens[at + 2].text), at + 3)
    } else {
        (first.text.to_owned(), at + 1)
    };
    Some((text.parse().ok()?, end))
}

fn unit(tokens: &[Token<'_>], at: usize) -> Option<(Unit, usize)> {
    // A counting word of Chinese.
    let at = if tokens.get(at).is_some_and(|token| token.is_any(&["个", "個"])) { at + 1 } else { at };
    let word = tokens.get(at)?.word()?;
    if let Some(next) = tokens.get(at + 1).and_then(Token::word)
        && let Some(unit) = Unit::named(&format!("{word}{next}")).filter(|_| !word.is_ascii())
    {
        return Some((unit, at + 2));
    }
    let begun = || (at + 1 == tokens.len()).then(|| Unit::begun(word)).flatten();
    Unit::named(word).or_else(begun).map(|unit| (unit, at + 1))
}

/// Past what joins two parts: `1 day, 3 hours and 5 minutes`.
fn past_joint(tokens: &[Token<'_>], end: usize) -> usize {
    let is = |at: usize, texts: &[&str]| tokens.get(at).is_some_and(|token| token.is_any(texts));
    let end = if is(end, &[","]) { end + 1 } else { end };
    if is(end, &["and", "y", "e", "et", "und"]) { end + 1 } else { end }
}

fn ends_line(tokens: &[Token<'_>], at: usize) -> bool {
    tokens.get(at).is_none_or(|token| token.starts_line || token.is("…"))
}
