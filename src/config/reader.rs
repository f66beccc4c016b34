//! Reads typed values out of a parsed table and goes on after a problem, so that all of them are found at
//! once.
//!
//! A section remembers which keys were asked for; what is left when it is finished is unknown. So the list
//! of known keys cannot drift from the code that reads them.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Findings;
use super::{keys, secret, size};
use crate::domain::{UnknownWord, duration};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: Range<usize>,
}

/// What was found under a key.
#[derive(Debug, Clone)]
pub(super) enum Field<T> {
    /// The key is not there.
    Absent,
    /// It is there and was complained about.
    Bad,
    /// It is there and good.
    Good(Placed<T>),
}

impl<T> Field<T> {
    pub(super) fn placed(self) -> Option<Placed<T>> {
        match self {
            Self::Good(placed) => Some(placed),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) fn good(self) -> Option<T> {
        self.placed().map(|placed| placed.value)
    }

    pub(super) fn unwrap_or(self, default: T) -> T {
        self.good().unwrap_or(default)
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn is_bad(&self) -> bool {
        matches!(self, Self::Bad)
    }

    /// This one, or the other where the key is not there at all.
    pub(super) fn or(self, other: Self) -> Self {
        if self.is_absent() { other } else { self }
    }

    pub(super) fn and_then<U>(self, with: impl FnOnce(Placed<T>) -> Option<U>) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Bad => Field::Bad,
            Self::Good(placed) => {
                let at = placed.at.clone();
                with(placed).map_or(Field::Bad, |value| Field::Good(Placed { value, at }))
            }
        }
    }
}

/// A table that is being read.
pub(super) struct Section<'a> {
    /// How people are told where they are, for example `[switching]`.
    pub(super) title: String,
    /// The header, or the inline table.
    pub(super) at: Range<usize>,
    table: &'a DeTable<'a>,
    findings: &'a Findings,
    known: Vec<&'static str>,
    later: &'static [&'static str],
}

impl<'a> Section<'a> {
    /// `later` are the keys that a later version has.
    pub(super) fn new(
        title: impl Into<String>,
        at: Range<usize>,
        table: &'a DeTable<'a>,
        findings: &'a Findings,
        later: &'static [&'static str],
    ) -> Self {
        Self { title: title.into(), at, table, findings, known: Vec::new(), later }
    }

    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    fn look(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    fn wrong_type<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str, example: &str) -> Field<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let what = format!("`{key}` in {} is {found}, {expected} is expected", self.title);
        let hint = if example.is_empty() { String::new() } else { format!("write {key} = {example}") };
        self.findings.error(&value.span(), what, hint);
        Field::Bad
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str, example: &str) -> Field<String> {
        let Some(value) = self.look(key) else { return Field::Absent };
        match value.get_ref() {
            DeValue::String(text) => Field::Good(Placed { value: text.to_string(), at: value.span() }),
            _ => self.wrong_type(key, value, "a string", example),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Field<bool> {
        let Some(value) = self.look(key) else { return Field::Absent };
        match value.get_ref() {
            DeValue::Boolean(flag) => Field::Good(Placed { value: *flag, at: value.span() }),
            _ => self.wrong_type(key, value, "true or false", "true"),
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &'static str, bounds: RangeInclusive<u32>) -> Field<u32> {
        let Some(value) = self.look(key) else { return Field::Absent };
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong_type(key, value, "a whole number", &bounds.start().to_string());
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if bounds.contains(&number) => Field::Good(Placed { value: number, at: value.span() }),
            Ok(_) | Err(_) => {
                let (low, high) = bounds.into_inner();
                let what = format!("`{key}` in {} is {number}, out of its bounds", self.title);
                self.findings.error(&value.span(), what, format!("choose a number from {low} to {high}"));
                Field::Bad
            }
        }
    }

    /// One whole number within bounds, or a list of them.
    pub(super) fn numbers(&mut self, key: &'static str, bounds: RangeInclusive<u32>, example: &str) -> Field<Vec<u32>> {
        let Some(value) = self.look(key) else { return Field::Absent };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut numbers = Vec::with_capacity(items.len());
        for item in items {
            let DeValue::Integer(number) = item.get_ref() else {
                return self.wrong_type(key, item, "a whole number", example);
            };
            match u32::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) if bounds.contains(&number) => numbers.push(number),
                Ok(_) | Err(_) => {
                    let (low, high) = bounds.into_inner();
                    let what = format!("`{key}` in {} is {number}, out of its bounds", self.title);
                    self.findings.error(&item.span(), what, format!("choose a number from {low} to {high}"));
                    return Field::Bad;
                }
            }
        }
        Field::Good(Placed { value: numbers, at: value.span() })
    }

    /// A table whose keys are the user's own and whose values can be anything.
    pub(super) fn table(&mut self, key: &'static str, example: &str) -> Field<&'a DeTable<'a>> {
        let Some(value) = self.look(key) else { return Field::Absent };
        match value.get_ref() {
            DeValue::Table(table) => Field::Good(Placed { value: table, at: value.span() }),
            _ => self.wrong_type(key, value, "a table", example),
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(&mut self, key: &'static str, bounds: RangeInclusive<Duration>) -> Field<Duration> {
        let title = self.title.clone();
        let findings = self.findings;
        let (low, high) = (duration::format(*bounds.start()), duration::format(*bounds.end()));
        let hint = format!("choose a duration from {low} to {high}");
        self.text(key, "\"90s\"").and_then(|text| match duration::parse(&text.value) {
            Ok(value) if bounds.contains(&value) => Some(value),
            Ok(_) => {
                findings.error(&text.at, format!("`{key}` in {title} is \"{}\", out of its bounds", text.value), hint);
                None
            }
            Err(why) => {
                findings.error(&text.at, format!("`{key}` in {title} \"{}\" {why}", text.value), hint);
                None
            }
        })
    }

    /// A size in bytes within bounds.
    pub(super) fn size(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Field<u64> {
        let title = self.title.clone();
        let findings = self.findings;
        let hint = format!("choose a size from {} to {}", size::format(*bounds.start()), size::format(*bounds.end()));
        self.text(key, "\"1GiB\"").and_then(|text| match size::parse(&text.value) {
            Ok(value) if bounds.contains(&value) => Some(value),
            Ok(_) => {
                findings.error(&text.at, format!("`{key}` in {title} is \"{}\", out of its bounds", text.value), hint);
                None
            }
            Err(why) => {
                findings.error(&text.at, format!("`{key}` in {title} \"{}\" {why}", text.value), hint);
                None
            }
        })
    }

    /// One of a closed set of words.
    pub(super) fn word<T: FromStr<Err = UnknownWord>>(&mut self, key: &'static str) -> Field<T> {
        let findings = self.findings;
        self.text(key, "\"…\"").and_then(|text| read_word(&text, findings))
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str, example: &str) -> Field<Vec<Placed<String>>> {
        let Some(value) = self.look(key) else { return Field::Absent };
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong_type(key, value, "a list of strings", example);
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Placed { value: text.to_string(), at: item.span() }),
                _ => return self.wrong_type(key, item, "a list of strings", example),
            }
        }
        Field::Good(Placed { value: texts, at: value.span() })
    }

    /// The strings of a table with keys of the user's own. Their values are never shown.
    pub(super) fn map(&mut self, key: &'static str, example: &str) -> Field<Vec<(Placed<String>, String)>> {
        let Some(value) = self.look(key) else { return Field::Absent };
        let DeValue::Table(table) = value.get_ref() else {
            self.findings.hide(&value.span());
            return self.wrong_type(key, value, "a table", example);
        };
        let mut entries = Vec::with_capacity(table.len());
        for (name, value) in table {
            self.findings.hide(&value.span());
            let DeValue::String(text) = value.get_ref() else {
                return self.wrong_type(name.get_ref(), value, "a string", "");
            };
            entries.push((Placed { value: name.get_ref().to_string(), at: name.span() }, text.to_string()));
        }
        Field::Good(Placed { value: entries, at: value.span() })
    }

    /// Whether a key holds a table, where it may hold something else as well.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// Whether a key holds a list, where it may hold something else as well.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// Whether a key is there, whatever it holds.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// A table under this one. A value of another type is shown to nobody if `is_secret`.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        later: &'static [&'static str],
        example: &str,
        is_secret: bool,
    ) -> Field<Section<'a>> {
        let Some(value) = self.look(key) else { return Field::Absent };
        let DeValue::Table(table) = value.get_ref() else {
            if is_secret {
                self.findings.hide(&value.span());
            }
            return self.wrong_type(key, value, "a table", example);
        };
        let title = match self.title.as_str() {
            keys::TOP => format!("[{key}]"),
            title => format!("`{key}` of {title}"),
        };
        let section = Section::new(title, value.span(), table, self.findings, later);
        Field::Good(Placed { value: section, at: value.span() })
    }

    /// The tables of a list.
    pub(super) fn sections(&mut self, key: &'static str, later: &'static [&'static str]) -> Vec<Section<'a>> {
        let Some(value) = self.look(key) else { return Vec::new() };
        let title = format!("[[{key}]]");
        match value.get_ref() {
            DeValue::Array(items) => {
                let mut sections = Vec::with_capacity(items.len());
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        sections.push(Section::new(title.clone(), item.span(), table, self.findings, later));
                    } else {
                        let _: Field<()> = self.wrong_type(key, item, "a table", "");
                    }
                }
                sections
            }
            DeValue::Table(_) => {
                let what = format!("`{key}` is one table, a list of tables is expected");
                self.findings.error(&value.span(), what, format!("write {title} with two brackets on each side"));
                Vec::new()
            }
            _ => {
                let _: Field<()> = self.wrong_type(key, value, "a list of tables", "");
                Vec::new()
            }
        }
    }

    /// Complains that a key must be given.
    pub(super) fn missing(&self, key: &str, hint: &str) {
        self.findings.error(&self.at, format!("{} has no `{key}`", self.title), hint);
    }

    /// Complains about a key of the table that must not stand here.
    pub(super) fn refuse(&mut self, key: &'static str, what: &str, hint: &str) {
        if self.look(key).is_some()
            && let Some((name, _)) = self.table.get_key_value(key)
        {
            self.findings.error(&name.span(), what, hint);
        }
    }

    /// The place of a key, or of the section if it is not there.
    pub(super) fn key_at(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or_else(|| self.at.clone(), |(name, _)| name.span())
    }

    /// Complains about every key that nobody asked for.
    pub(super) fn finish(self, hides_unknown: bool) {
        for (name, value) in self.table {
            let key = name.get_ref().as_ref();
            if self.known.contains(&key) {
                continue;
            }
            if hides_unknown || secret::is_secret_name(key) {
                self.findings.hide(&value.span());
            }
            let what = format!("unknown key `{key}` in {}", self.title);
            self.findings.error(&name.span(), what, keys::hint(key, &self.title, &self.known, self.later));
        }
    }
}

/// Reads one of a closed set of words.
pub(super) fn read_word<T: FromStr<Err = UnknownWord>>(text: &Placed<String>, findings: &Findings) -> Option<T> {
    match text.value.parse::<T>() {
        Ok(value) => Some(value),
        Err(err) => {
            let hint = keys::nearest(&err.given, err.known)
                .map_or_else(|| format!("one of {}", err.known.join(", ")), |near| format!("did you mean \"{near}\"?"));
            findings.error(&text.at, format!("unknown {} \"{}\"", err.what, err.given), hint);
            None
        }
    }
}
