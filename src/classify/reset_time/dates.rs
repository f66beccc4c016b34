//! A day: `Oct 6`, `Jul 5th, 2026`, `10 de jul. de 2026`, `2026-08-25`, `8月25日`, `25.08.2026`, `8/25`, `Sunday`.
//!
//! A year may be missing; which one is meant is found in `placing.rs`. Two numbers and a stroke
//! are a fraction as often as a day (`attempt 1/10`): they are a day only with a year or a clock.
//!
//! Tests: `reset_time/tests.rs`.

use jiff::civil::Weekday;

use super::months;
use super::tokens::Token;

/// A day as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// A day of a month.
    Dated {
        /// The year, if it was said.
        year: Option<i16>,
        /// 1 … 12.
        month: i8,
        /// 1 … 31; not held against the month.
        day: i8,
    },
    /// Two numbers, either of which may be the month.
    Either {
        /// The year, if it was said.
        year: Option<i16>,
        /// What stands first.
        first: i8,
        /// What stands second.
        second: i8,
    },
    /// A day of the week.
    Weekday(Weekday),
    /// So many days from today.
    Away(i8),
}

/// The day that begins at `start`, and where it ends.
pub(super) fn read(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let word = tokens.get(start)?.word();
    if let Some(days) = word.and_then(months::days_away) {
        return Some((Day::Away(days), start + 1));
    }
    if let Some(weekday) = word.and_then(months::weekday) {
        let behind = past_any(tokens, start + 1, &[",", "."], 2);
        // The date says more, and a weekday that contradicts it is the likelier mistake.
        return Some(date(tokens, behind).unwrap_or((Day::Weekday(weekday), start + 1)));
    }
    date(tokens, start)
}

impl Day {
    /// Whether it takes a clock beside it to tell it from something else.
    pub(super) const fn needs_clock(self) -> bool {
        matches!(self, Self::Either { year: None, .. })
    }
}

/// A year that stands behind the clock, as in `Nov  6 08:49:37 2026`.
pub(super) fn late_year(day: Day, tokens: &[Token<'_>], at: usize) -> Option<(Day, usize)> {
    match day {
        Day::Dated { year: None, month, day } => {
            let (year, end) = year(tokens, at)?;
            Some((Day::Dated { year: Some(year), month, day }, end))
        }
        _ => None,
    }
}

fn date(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    by_name_first(tokens, start)
        .or_else(|| iso(tokens, start))
        .or_else(|| eastern(tokens, start))
        .or_else(|| by_day_first(tokens, start))
        .or_else(|| by_numbers(tokens, start))
}

/// `Oct 6`, `June 11, 2026`, `Jul 5th, 2026`.
fn by_name_first(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let month = months::month(tokens.get(start)?.word()?)?;
    let at = past_any(tokens, start + 1, &[".", "-"], 1);
    let day = day(tokens, at)?;
    let end = past_ordinal(tokens, at + 1);
    let found = Day::Dated { year: None, month, day };
    let behind = past_any(tokens, end, &[",", "-", "of", "del", "de"], 2);
    Some(late_year(found, tokens, behind).unwrap_or((found, end)))
}

/// `10 de jul. de 2026`, `10. Juli 2026`, `1er août`, `06-Nov-94`.
fn by_day_first(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let day = day(tokens, start)?;
    let at = past_ordinal(tokens, start + 1);
    let at = past_any(tokens, at, &[".", "-", "de", "of"], 1);
    let month = months::month(tokens.get(at)?.word()?)?;
    let found = Day::Dated { year: None, month, day };
    let end = at + 1;
    if let (Some(dash), Some(short)) = (tokens.get(end), tokens.get(end + 1))
        && dash.is("-")
        && short.text.len() == 2
        && let Some(year) = short.number(2)
    {
        // RFC 9110, 5.6.7: two digits are a year of this century, where more than 50 years ahead is of the last.
        let year = if year < 80 { 2_000 + year } else { 1_900 + year };
        return Some((Day::Dated { year: i16::try_from(year).ok(), month, day }, end + 2));
    }
    let behind = past_any(tokens, end, &[".", ",", "-", "de", "del"], 2);
    Some(late_year(found, tokens, behind).unwrap_or((found, end)))
}

/// `2026-08-25`, `2026/8/25`.
fn iso(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let (year, at) = year(tokens, start)?;
    let sign = tokens.get(at)?;
    let is_sign = |at: usize| tokens.get(at).is_some_and(|token| token.text == sign.text && token.is_glued);
    if !sign.is_any(&["-", "/", "."]) || !is_sign(at) || !is_sign(at + 2) {
        return None;
    }
    let (month, day) = (month_number(tokens, at + 1)?, day(tokens, at + 3)?);
    Some((Day::Dated { year: Some(year), month, day }, at + 4))
}

/// `2026年8月25日`, `8月25日`, `8월 25일`.
fn eastern(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let is = |at: usize, texts: &[&str]| tokens.get(at).is_some_and(|token| token.is_any(texts));
    let (year, at) = match year(tokens, start) {
        Some((year, at)) if is(at, &["年", "년"]) => (Some(year), at + 1),
        _ => (None, start),
    };
    let month = month_number(tokens, at).filter(|_| is(at + 1, &["月", "월"]))?;
    let day = day(tokens, at + 2).filter(|_| is(at + 3, &["日", "号", "일"]))?;
    Some((Day::Dated { year, month, day }, at + 4))
}

/// `25.08.2026`, `25.08.`, `8/25`, `8/25/2026`.
fn by_numbers(tokens: &[Token<'_>], start: usize) -> Option<(Day, usize)> {
    let sign = tokens.get(start + 1).filter(|token| token.is_glued && token.is_any(&[".", "/"]))?;
    let (first, second) = (day(tokens, start)?, day(tokens, start + 2).filter(|_| tokens[start + 2].is_glued)?);
    let is_again = tokens.get(start + 3).is_some_and(|token| token.is_glued && token.text == sign.text);
    let year = is_again.then(|| year(tokens, start + 4)).flatten();
    let end = match year {
        Some((_, end)) => end,
        // Without its last dot or a year, `3.15` is a number.
        None if sign.is(".") && !is_again => return None,
        None => start + 3 + usize::from(is_again),
    };
    let year = year.map(|(year, _)| year);
    let found = match (sign.is("."), year) {
        (true, _) => Day::Dated { year, month: second, day: first },
        (false, Some(_)) if first > 12 => Day::Dated { year, month: second, day: first },
        (false, Some(_)) if second > 12 => Day::Dated { year, month: first, day: second },
        (false, _) => Day::Either { year, first, second },
    };
    Some((found, end))
}

fn day(tokens: &[Token<'_>], at: usize) -> Option<i8> {
    let day = tokens.get(at)?.number(2).filter(|day| (1..=31).contains(day))?;
    // `6:30` is a clock.
    let is_clock = tokens.get(at + 1).is_some_and(|token| token.is(":") && token.is_glued);
    (!is_clock).then(|| i8::try_from(day).ok())?
}

fn month_number(tokens: &[Token<'_>], at: usize) -> Option<i8> {
    let month = tokens.get(at)?.number(2).filter(|month| (1..=12).contains(month))?;
    i8::try_from(month).ok()
}

fn year(tokens: &[Token<'_>], at: usize) -> Option<(i16, usize)> {
    let token = tokens.get(at).filter(|token| token.text.len() == 4)?;
    let year = token.number(4).filter(|year| (1_970..=2_200).contains(year))?;
    Some((i16::try_from(year).ok()?, at + 1))
}

fn past_ordinal(tokens: &[Token<'_>], at: usize) -> usize {
    let is_ordinal =
        |token: &&Token<'_>| token.is_glued && token.is_any(&["st", "nd", "rd", "th", "er", "º", "°", "ª"]);
    at + usize::from(tokens.get(at).as_ref().is_some_and(is_ordinal))
}

fn past_any(tokens: &[Token<'_>], at: usize, texts: &[&str], times_max: usize) -> usize {
    let rest = tokens.get(at..).unwrap_or_default();
    at + rest.iter().take(times_max).take_while(|token| token.is_any(texts)).count()
}
