//! What a rule looks for: members of a record, an HTTP answer, or a line of text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pattern::{self, Extent, Pattern};
use crate::config::problem::Findings;
use crate::config::reader::{Field, Placed, Section};

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// A line that is one JSON object, in which all of this holds.
    Json(Vec<Condition>),
    /// An HTTP answer.
    Http {
        /// With one of these statuses.
        status: Vec<u16>,
        /// Whose body or text has this in it.
        says: Option<Pattern>,
    },
    /// A line of text, all of it.
    Line(Pattern),
}

impl When {
    /// The names of what the expression takes out of the text.
    pub(super) fn groups(&self) -> Vec<&str> {
        let pattern = match self {
            Self::Line(pattern) | Self::Http { says: Some(pattern), .. } => pattern,
            Self::Http { says: None, .. } | Self::Json(_) => return Vec::new(),
        };
        pattern.made().groups().collect()
    }
}

/// One thing that has to hold in a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The member, from the top of the record down.
    pub path: Vec<String>,
    /// What it has to be.
    pub is: Value,
}

/// What a member has to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Exactly this.
    Exactly(serde_json::Value),
    /// A text all of which this expression describes.
    Matches(Pattern),
}

const EXAMPLE: &str = "{ json = { \"type\" = \"error\" } }, { status = 429 } or { line = 'quota exceeded.*' }";

/// Members of a record that a rule may look at, and how deep down.
const CONDITIONS_MAX: usize = 16;
const DEPTH_MAX: usize = 8;

/// The key `when`.
pub(super) fn read(section: &mut Section<'_>) -> Option<When> {
    let when = section.section("when", &[], EXAMPLE, false);
    if when.is_absent() {
        section.missing("when", &format!("add when = {EXAMPLE}"));
    }
    let mut when = when.good()?;
    let findings = when.findings();
    let (title, at) = (when.title.clone(), when.at.clone());
    let line = when.text("line", "'quota exceeded.*'");
    let line = line.and_then(|text| pattern::checked(text, Extent::Whole, "line", &title, findings));
    let status = read_status(&mut when);
    let says = when.text("says", "'busy|overloaded'");
    let says_at = when.key_at("says");
    let says = says.and_then(|text| pattern::checked(text, Extent::Part, "says", &title, findings));
    let json = read_json(&mut when);
    when.finish(false);
    let given = [!line.is_absent(), !status.is_absent(), !json.is_absent()].into_iter().filter(|is| *is).count();
    if given > 1 {
        findings.error(&at, format!("{title} looks for several things at once"), format!("keep one of {EXAMPLE}"));
        return None;
    }
    if !says.is_absent() && status.is_absent() {
        findings.error(
            &says_at,
            format!("`says` in {title} stands without a `status`"),
            "add status = 429, or use `line`",
        );
        return None;
    }
    if given == 0 {
        findings.error(&at, format!("{title} looks for nothing"), format!("write when = {EXAMPLE}"));
        return None;
    }
    if says.is_bad() {
        return None;
    }
    let status = status.good().map(|status| When::Http { status, says: says.good() });
    line.good().map(When::Line).or(status).or_else(|| json.good().map(When::Json))
}

fn read_status(when: &mut Section<'_>) -> Field<Vec<u16>> {
    let numbers = when.numbers("status", 100..=599, "429");
    let findings = when.findings();
    numbers.and_then(|numbers| {
        if numbers.value.is_empty() {
            findings.error(&numbers.at, "`status` is an empty list", "write status = 429");
            return None;
        }
        numbers.value.iter().map(|number| u16::try_from(*number).ok()).collect()
    })
}

fn read_json(when: &mut Section<'_>) -> Field<Vec<Condition>> {
    let (title, findings) = (when.title.clone(), when.findings());
    when.table("json", "{ \"type\" = \"error\", \"error.code\" = { regex = 'quota.*' } }").and_then(|table| {
        let mut conditions = Vec::new();
        let are_good = conditions_of(table.value, &[], &title, findings, &mut conditions);
        if table.value.is_empty() {
            findings.error(&table.at, format!("`json` in {title} is empty: every record would do"), "name a member");
            return None;
        }
        if conditions.len() > CONDITIONS_MAX {
            let what = format!("`json` in {title} has {} members, and {CONDITIONS_MAX} are possible", conditions.len());
            findings.error(&table.at, what, "keep those that tell the record from others");
            return None;
        }
        are_good.then_some(conditions)
    })
}

/// Adds what a table says of the members below `above`; false if something in it is wrong.
fn conditions_of(
    table: &DeTable<'_>,
    above: &[String],
    title: &str,
    findings: &Findings,
    conditions: &mut Vec<Condition>,
) -> bool {
    let mut are_good = true;
    for (key, value) in table {
        let parts = key.get_ref().split('.').map(str::to_owned);
        let path: Vec<String> = above.iter().cloned().chain(parts).collect();
        if path.iter().any(String::is_empty) || path.len() > DEPTH_MAX {
            let what = format!("\"{}\" in {title} is not the path of a member", path.join("."));
            findings.error(
                &key.span(),
                what,
                format!("write names with dots between them, {DEPTH_MAX} at most: \"error.code\""),
            );
            are_good = false;
            continue;
        }
        if let DeValue::Table(below) = value.get_ref()
            && !below.contains_key("regex")
        {
            // TOML makes tables of a dotted key without quotes; what is meant is the same.
            if below.is_empty() {
                let what = format!("\"{}\" in {title} is to be nothing in particular", path.join("."));
                findings.error(&value.span(), what, "write { regex = '.*' } for any string");
                are_good = false;
            }
            are_good &= conditions_of(below, &path, title, findings, conditions);
            continue;
        }
        match value_of(value, &path, title, findings) {
            Some(is) => conditions.push(Condition { path, is }),
            None => are_good = false,
        }
    }
    are_good
}

fn value_of(value: &Spanned<DeValue<'_>>, path: &[String], title: &str, findings: &Findings) -> Option<Value> {
    let called = path.join(".");
    let wrong = |what: &str| {
        let what = format!("\"{called}\" in {title} is {what}");
        findings.error(&value.span(), what, "a string, a number, true, false or { regex = '…' } is expected");
        None
    };
    let exactly = match value.get_ref() {
        DeValue::String(text) => serde_json::Value::from(text.as_ref()),
        DeValue::Boolean(flag) => serde_json::Value::from(*flag),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => serde_json::Value::from(number),
            Err(_) => return wrong("too large a number"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => serde_json::Value::from(number),
            Ok(_) | Err(_) => return wrong("no number that a record can have"),
        },
        DeValue::Table(table) => {
            let mut section = Section::new(format!("\"{called}\" of {title}"), value.span(), table, findings, &[]);
            let text = section.text("regex", "'.*quota.*'");
            section.finish(false);
            return text.placed().and_then(|text| checked_member(text, &called, title, findings));
        }
        DeValue::Array(_) => return wrong("a list"),
        DeValue::Datetime(_) => return wrong("a date"),
    };
    Some(Value::Exactly(exactly))
}

fn checked_member(text: Placed<String>, called: &str, title: &str, findings: &Findings) -> Option<Value> {
    pattern::checked(text, Extent::Whole, &format!("regex` of `{called}"), title, findings).map(Value::Matches)
}
