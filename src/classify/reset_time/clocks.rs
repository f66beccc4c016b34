//! A time of the day: `3pm`, `11:30 p.m.`, `14:30`, `07:41:44.5`, `下午3:00`, `14h30`, `noon`.
//!
//! A bare number is none: it needs a colon, or a word that says that it is an hour. `12am` is 00:00, `12pm` is 12:00.
//!
//! Tests: `reset_time/tests.rs`.

use jiff::civil::Time;

use super::tokens::Token;

/// Half of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Afternoon,
}

/// The clock that begins at `start`, and where it ends. After a word such as `at`, `14h30` is a clock.
pub(super) fn read(tokens: &[Token<'_>], start: usize, is_at: bool) -> Option<(Time, usize)> {
    let first = tokens.get(start)?;
    match first.text {
        "noon" | "midday" => return Some((Time::midnight().with().hour(12).build().ok()?, start + 1)),
        "midnight" => return Some((Time::midnight(), start + 1)),
        _ => {}
    }
    let (before, start) = match eastern(tokens, start) {
        Some(half) => (Some(half), start + 2),
        None => (None, start),
    };
    let hour = tokens.get(start)?.number(2)?;
    let part =
        |at: usize| tokens.get(at).filter(|token| token.is_glued)?.number(2).filter(|_| tokens[at].text.len() == 2);
    let is_sign = |at: usize, sign: &str| tokens.get(at).is_some_and(|token| token.is(sign) && token.is_glued);
    let (minute, second, end) = match (is_sign(start + 1, ":").then(|| part(start + 2)).flatten(), part(start + 4)) {
        (Some(minute), Some(second)) if is_sign(start + 3, ":") => {
            (Some(minute), second, past_fraction(tokens, start + 5))
        }
        (Some(minute), _) => (Some(minute), 0, start + 3),
        (None, _) => (None, 0, start + 1),
    };
    let (minute, end, is_told) = match minute {
        Some(minute) => (minute, end, true),
        None => match spelled_hour(tokens, start, is_at) {
            Some((minute, end)) => (minute, end, true),
            None => match (is_sign(start + 1, ".").then(|| part(start + 2)).flatten(), half(tokens, start + 3)) {
                // `4.18 pm`
                (Some(minute), Some(_)) => (minute, start + 3, true),
                _ => (0, start + 1, false),
            },
        },
    };
    let (half, end) = match (before, half(tokens, end)) {
        (Some(half), _) => (Some(half), end),
        (None, Some((half, end))) => (Some(half), end),
        (None, None) => (None, past_suffix(tokens, end)),
    };
    if half.is_none() && !is_told {
        return None;
    }
    let hour = match (half, hour) {
        (Some(Half::Morning), 12) => 0,
        (Some(Half::Afternoon), 1..=11) => hour + 12,
        // `14:30 PM` is said by mistake and means one thing only; `14:30 AM` means nothing.
        (Some(Half::Morning), 13..) => return None,
        _ => hour,
    };
    let number = |value: i64| i8::try_from(value).ok();
    // A leap second is the last one of its minute.
    let time = Time::new(number(hour)?, number(minute)?, number(second.min(59))?, 0).ok()?;
    Some((time, end))
}

/// `14h`, `14h30`, `14 h 30`, `15 Uhr`, `3点`, `3時30分`.
fn spelled_hour(tokens: &[Token<'_>], start: usize, is_at: bool) -> Option<(i64, usize)> {
    let word = tokens.get(start + 1)?;
    let is_hour = word.is_any(&["uhr", "点", "點", "時", "시"]) || (is_at && word.is_any(&["h", "heures"]));
    if !is_hour {
        return None;
    }
    let minute = tokens.get(start + 2).filter(|token| token.text.len() == 2).and_then(|token| token.number(2));
    match minute {
        Some(minute) => {
            let is_spelled = tokens.get(start + 3).is_some_and(|token| token.is_any(&["分", "분"]));
            Some((minute, start + 3 + usize::from(is_spelled)))
        }
        None => Some((0, start + 2)),
    }
}

/// `am`, `p.m.`, `a. m.`; and where it ends.
fn half(tokens: &[Token<'_>], at: usize) -> Option<(Half, usize)> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.is(text));
    let which = |text: &str| match text {
        "a" | "am" => Some(Half::Morning),
        "p" | "pm" => Some(Half::Afternoon),
        _ => None,
    };
    let first = tokens.get(at)?.word()?;
    let half = which(first)?;
    if first.len() == 2 {
        return Some((half, at + 1));
    }
    let is_dotted = is(at + 1, ".") && is(at + 2, "m");
    is_dotted.then(|| (half, if is(at + 3, ".") { at + 4 } else { at + 3 }))
}

/// The half that stands before the hour in Chinese, Japanese and Korean.
fn eastern(tokens: &[Token<'_>], at: usize) -> Option<Half> {
    match (tokens.get(at)?.text, tokens.get(at + 1)?.text) {
        ("上", "午") | ("午", "前") | ("오", "전") => Some(Half::Morning),
        ("下", "午") | ("午", "後") | ("오", "후") => Some(Half::Afternoon),
        _ => None,
    }
}

fn past_fraction(tokens: &[Token<'_>], end: usize) -> usize {
    let is_fraction = tokens.get(end).is_some_and(|token| token.is(".") && token.is_glued)
        && tokens.get(end + 1).is_some_and(|token| token.is_glued && token.number(12).is_some());
    if is_fraction { end + 2 } else { end }
}

/// `14:30 Uhr`, `14:30h`.
fn past_suffix(tokens: &[Token<'_>], end: usize) -> usize {
    if tokens.get(end).is_some_and(|token| token.is_any(&["uhr", "h", "hs", "hrs"])) { end + 1 } else { end }
}
