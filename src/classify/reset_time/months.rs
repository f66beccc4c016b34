//! Names of months, days of the week, and days near today, in the languages that the tools speak.
//!
//! Names are compared folded (`tokens.rs`): lower case, no accents. A name is known by its
//! beginning, if that is long enough to be no other one's.
//!
//! Tests: below, and `reset_time/tests.rs`.

use jiff::civil::Weekday;

/// What the names of each month begin with: English, Portuguese, Spanish, French, German, Italian, Dutch.
const MONTHS: [&[&str]; 12] = [
    &["jan", "janv", "ene", "enero", "gen", "genn"],
    &["feb", "fev", "fevr"],
    &["mar", "mars", "marz", "maerz", "mrt", "maart"],
    &["apr", "abr", "avr"],
    &["may", "mai", "mag", "mei"],
    &["jun", "juin", "giu"],
    &["jul", "juil", "lug"],
    &["aug", "ago", "aou"],
    &["sep", "set"],
    &["oct", "out", "okt", "ott"],
    &["nov"],
    &["dec", "dez", "dic"],
];

/// Whole names; whatever is no beginning of one is another word (`set` is a month, `settings` is none).
const WHOLE: [&[&str]; 12] = [
    &["january", "janeiro", "enero", "janvier", "januar", "janner", "gennaio", "januari"],
    &["february", "fevereiro", "febrero", "fevrier", "februar", "febbraio", "februari"],
    &["march", "marco", "marzo", "mars", "marz", "maerz", "maart", "mrt"],
    &["april", "abril", "avril", "aprile"],
    &["may", "maio", "mayo", "mai", "maggio", "mei"],
    &["june", "junho", "junio", "juin", "juni", "giugno"],
    &["july", "julho", "julio", "juillet", "juli", "luglio"],
    &["august", "agosto", "aout", "augustus"],
    &["september", "setembro", "septiembre", "setiembre", "septembre", "settembre"],
    &["october", "outubro", "octubre", "octobre", "oktober", "ottobre"],
    &["november", "novembro", "noviembre", "novembre"],
    &["december", "dezembro", "diciembre", "decembre", "dezember", "dicembre"],
];

/// Days of the week, by name and by what is printed of it.
const WEEKDAYS: [(Weekday, &[&str]); 7] = [
    (Weekday::Monday, &["monday", "segunda", "lunes", "lundi", "montag", "lunedi"]),
    (Weekday::Tuesday, &["tuesday", "terca", "martes", "mardi", "dienstag", "martedi"]),
    (Weekday::Wednesday, &["wednesday", "quarta", "miercoles", "mercredi", "mittwoch", "mercoledi"]),
    (Weekday::Thursday, &["thursday", "quinta", "jueves", "jeudi", "donnerstag", "giovedi"]),
    (Weekday::Friday, &["friday", "sexta", "viernes", "vendredi", "freitag", "venerdi"]),
    (Weekday::Saturday, &["saturday", "sabado", "samedi", "samstag", "sonnabend", "sabato"]),
    (Weekday::Sunday, &["sunday", "domingo", "dimanche", "sonntag", "domenica"]),
];

/// The month of this name, 1 … 12.
pub(super) fn month(word: &str) -> Option<i8> {
    let is = |names: (&&[&str], &&[&str])| {
        names.0.iter().any(|begin| word.starts_with(begin)) && names.1.iter().any(|name| name.starts_with(word))
    };
    let at = MONTHS.iter().zip(WHOLE.iter()).position(is)?;
    i8::try_from(at + 1).ok()
}

/// The day of the week of this name: in full, or its first letters in English.
pub(super) fn weekday(word: &str) -> Option<Weekday> {
    let is = |names: &[&str]| names.contains(&word) || (word.len() >= 3 && names[0].starts_with(word));
    WEEKDAYS.iter().find(|(_, names)| is(names)).map(|(day, _)| *day)
}

/// How many days away a day of this name is.
pub(super) fn days_away(word: &str) -> Option<i8> {
    match word {
        "today" | "tonight" | "hoje" | "hoy" | "heute" | "oggi" => Some(0),
        "tomorrow" | "amanha" | "manana" | "demain" | "morgen" | "domani" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_name_and_its_first_letters_are_the_month() {
        for (at, names) in WHOLE.iter().enumerate() {
            for name in *names {
                assert_eq!(month(name), i8::try_from(at + 1).ok(), "{name}");
            }
            for begin in MONTHS[at] {
                assert_eq!(month(begin), i8::try_from(at + 1).ok(), "{begin}");
            }
        }
    }

    #[test]
    fn words_that_begin_like_a_month_or_a_day_are_none() {
        for word in ["settings", "maybe", "marked", "j", "ju", "apricot", "decided", "sepia", "out of", "second"] {
            assert_eq!(month(word), None, "{word}");
        }
        for word in ["su", "wedding", "sum", "money", "set"] {
            assert_eq!(weekday(word), None, "{word}");
        }
        assert_eq!((weekday("sun"), weekday("thurs")), (Some(Weekday::Sunday), Some(Weekday::Thursday)));
    }
}
