//! Where a clock is read: names of the zone database, what `TZ` may hold, offsets, and abbreviations.
//!
//! `UTC`, `GMT`, `Z`, an offset and a name that the database knows are certain. Other abbreviations name several places
//! (`IST`, `CST`), so they are a guess. A name that nobody knows (`Europe/Barcelona`) is none: the clock is then read where
//! the container is.
//!
//! Tests: below, and `reset_time/tests.rs`.

use jiff::tz::{Offset, TimeZone};

use super::tokens::{Kind, Token};

/// What a sentence says about its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing that is understood.
    Nothing,
    /// A zone that there is one of.
    Known(TimeZone),
    /// A zone that is likely meant.
    Likely(TimeZone),
}

/// Longer names than this, in tokens, are none.
const TOKENS_MAX: usize = 12;

/// A zone by its name in the database, or by anything else that `TZ` may hold (POSIX.1-2024, 8.3): a leading colon, a path of the
/// database's file, a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`. Empty is UTC.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    let name = name.strip_prefix(':').unwrap_or(name);
    let name = name.rsplit_once("zoneinfo/").map_or(name, |(_, name)| name);
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    in_database(name).or_else(|| TimeZone::posix(name).ok())
}

fn in_database(name: &str) -> Option<TimeZone> {
    jiff::tz::db().get(name).ok().filter(|zone| !zone.is_unknown())
}

/// The zone that begins at `start`, behind a clock or a date; and where it ends.
pub(super) fn read(tokens: &[Token<'_>], start: usize) -> (Said, usize) {
    if let Some(first) = tokens.get(start)
        && (first.is("(") || first.is("["))
    {
        // What is in brackets and is no zone belongs to what comes next.
        return inside(tokens, start + 1).map_or((Said::Nothing, start), |(said, end)| (said, end));
    }
    bare(tokens, start).unwrap_or((Said::Nothing, start))
}

/// A zone in brackets, to the closing one or to where the line was cut off.
fn inside(tokens: &[Token<'_>], start: usize) -> Option<(Said, usize)> {
    let rest = tokens.get(start..)?;
    let length = rest.iter().take(TOKENS_MAX).take_while(|token| !token.is_any(&[")", "]"])).count();
    let (name, rest) = rest.split_at(length);
    let end = start + length + usize::from(!rest.is_empty());
    if let Some((said, behind)) = bare(tokens, start)
        && behind == start + length
    {
        return Some((said, end));
    }
    // A name of one word (`Japan`), of which free text has many, counts in brackets only.
    let is_name = name.iter().all(|token| token.kind != Kind::Sign || token.is_any(&["/", "_", "-", "+"]));
    let zone = is_name.then(|| in_database(&joined(name)))??;
    Some((Said::Known(zone), end))
}

/// A zone that stands by itself.
fn bare(tokens: &[Token<'_>], start: usize) -> Option<(Said, usize)> {
    let first = tokens.get(start)?;
    if let Some(sign) = sign(first) {
        let (offset, end) = offset(tokens, start + 1, sign, !first.is_glued)?;
        return Some((Said::Known(TimeZone::fixed(offset)), end));
    }
    let word = first.word()?;
    if tokens.get(start + 1).is_some_and(|token| token.is("/") && token.is_glued) {
        let length = tokens[start..]
            .iter()
            .enumerate()
            .take(TOKENS_MAX)
            .take_while(|(at, token)| {
                *at == 0 || (token.kind != Kind::Sign || token.is_any(&["/", "_", "-", "+"])) && token.is_glued
            })
            .count();
        // `Etc/GMT+5` is five hours behind, as the database says it.
        return in_database(&joined(&tokens[start..start + length])).map(|zone| (Said::Known(zone), start + length));
    }
    if matches!(word, "utc" | "gmt") || (word == "z" && first.is_glued) {
        let behind = start + 1;
        let shifted = tokens.get(behind).and_then(sign).and_then(|sign| offset(tokens, behind + 1, sign, false));
        let (zone, end) = shifted.map_or((TimeZone::UTC, behind), |(offset, end)| (TimeZone::fixed(offset), end));
        return Some((Said::Known(zone), end));
    }
    likely(word).map(|zone| (Said::Likely(zone), start + 1))
}

/// Joins the pieces of a name, also where a line was wrapped within it or a blank stands for `_`.
fn joined(name: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in name {
        let is_blank = !token.is_glued && !text.is_empty() && !text.ends_with(['/', '_', '-', '+']);
        if is_blank && token.kind == Kind::Word {
            text.push('_');
        }
        text.push_str(token.text);
    }
    text
}

fn sign(token: &Token<'_>) -> Option<i32> {
    match token.text {
        "+" => Some(1),
        "-" => Some(-1),
        _ => None,
    }
}

/// `8`, `08`, `0530`, `05:30`; of these only the last two where a sign alone must not make an offset of a number.
fn offset(tokens: &[Token<'_>], at: usize, sign: i32, is_strict: bool) -> Option<(Offset, usize)> {
    let first = tokens.get(at).filter(|token| token.is_glued)?;
    let number = i32::try_from(first.number(4)?).ok()?;
    let minutes = || {
        let is_colon = tokens.get(at + 1).is_some_and(|token| token.is(":") && token.is_glued);
        let minutes = tokens.get(at + 2).filter(|token| is_colon && token.is_glued && token.text.len() == 2)?;
        i32::try_from(minutes.number(2)?).ok()
    };
    let (hours, minutes, end) = match first.text.len() {
        4 => (number / 100, number % 100, at + 1),
        1 | 2 => match minutes() {
            Some(minutes) => (number, minutes, at + 3),
            None if is_strict => return None,
            None => (number, 0, at + 1),
        },
        _ => return None,
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    Some((Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?, end))
}

/// What an abbreviation means most of the time.
fn likely(word: &str) -> Option<TimeZone> {
    let hours = match word {
        "pst" => -8,
        "pdt" | "mst" => -7,
        "mdt" | "cst" => -6,
        "cdt" | "est" => -5,
        "edt" => -4,
        "brt" => -3,
        "wet" => 0,
        "bst" | "cet" => 1,
        "cest" | "eet" | "sast" => 2,
        "eest" | "msk" => 3,
        "sgt" | "hkt" | "awst" => 8,
        "jst" | "kst" => 9,
        "aest" => 10,
        "aedt" => 11,
        "ist" => return Offset::from_seconds(19_800).ok().map(TimeZone::fixed),
        "pt" | "pacific" => return in_database("America/Los_Angeles"),
        "eastern" => return in_database("America/New_York"),
        _ => return None,
    };
    Offset::from_hours(hours).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{fold, tokens};
    use super::*;

    fn said(text: &str) -> Said {
        let folded = fold(text);
        read(&tokens(&folded), 0).0
    }

    #[test]
    fn whatever_tz_may_hold_is_a_zone() {
        for name in [":Europe/Rome", "/usr/share/zoneinfo/Europe/Rome", ":/usr/share/zoneinfo/posix/Europe/Rome"] {
            assert_eq!(named(name), named("Europe/Rome"), "{name}");
        }
        assert_eq!(named(""), Some(TimeZone::UTC));
        for name in ["Asia/Calcutta", "America/Cordoba", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "UTC0"] {
            assert!(named(name).is_some(), "{name}");
        }
        for name in ["Europe/Barcelona", "nowhere", "Etc/Unknown", "../../etc/passwd"] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn names_and_offsets_are_certain_abbreviations_likely_and_the_rest_is_nothing() {
        let fixed = |minutes: i32| Said::Known(TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap()));
        for text in ["(America/New_York)", "(America/\nNew_York)", "(america/new york)", "America/New_York."] {
            assert_eq!(said(text), Said::Known(named("America/New_York").unwrap()), "{text}");
        }
        assert_eq!(
            said("(America/Argentina/Buenos_Aires)"),
            Said::Known(named("America/Argentina/Buenos_Aires").unwrap())
        );
        assert_eq!(said("(America/Port-au-Prince)"), Said::Known(named("America/Port-au-Prince").unwrap()));
        assert_eq!(said("(Japan)"), Said::Known(named("Japan").unwrap()));
        assert_eq!(said("UTC"), Said::Known(TimeZone::UTC));
        assert_eq!(said("(GMT+5:30)"), fixed(330));
        assert_eq!(said("+0530"), fixed(330));
        assert_eq!(said("UTC-8"), fixed(-480));
        assert!(matches!(said("PST"), Said::Likely(_)));
        for text in ["(Europe/Barcelona)", "(Asia/To", "· 2 more", "- 2 more", "Japan", "(attempt 1/10)", "", "("] {
            assert_eq!(said(text), Said::Nothing, "{text}");
        }
    }
}
