//! `[[rule]]`: what the user wants to be recognised, and what not.
//!
//! A rule is read into what it looks for ([`When`]) and what that means ([`Meaning`]); which of the rules that are built in
//! it takes the place of is a matter of its `id`. What a line means in the end is up to `classify`.
//!
//! Tests: `tests/rules.rs`.

use super::keys;
use super::problem::Findings;
use super::reader::{Field, Placed, Section, read_word};
use crate::classify::Classifier;
use crate::domain::Tool;

mod condition;
mod meaning;
mod pattern;
mod recognised;

pub use condition::{Condition, Value, When};
pub use meaning::{Meaning, ResetFrom, Unit};
pub use pattern::Pattern;

/// More rules than this are no config any more.
const RULES_MAX: usize = 200;

const ID_LEN_MAX: usize = 63;

/// A rule of the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name. That of a rule that is built in takes its place.
    pub id: String,
    /// The tools that it holds for; empty means all.
    pub tools: Vec<Tool>,
    /// What it does.
    pub does: Does,
    /// Where it comes from, in the user's words.
    pub source: Option<String>,
    /// What it is for, in the user's words.
    pub note: Option<String>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// The rule of this name that is built in does nothing.
    Silence,
    /// Something means something.
    Find(Box<Find>),
}

/// What is looked for, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// What is looked for.
    pub when: When,
    /// What it means; `None` for nothing at all.
    pub means: Option<Meaning>,
}

/// All rules of a config.
pub(super) fn read(sections: Vec<Section<'_>>, findings: &Findings) -> Vec<Rule> {
    if sections.is_empty() {
        return Vec::new();
    }
    let rules = Classifier::built_in();
    let built_in: Vec<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
    if let Some(one_too_many) = sections.get(RULES_MAX) {
        let what = format!("there are {} rules, and at most {RULES_MAX} are possible", sections.len());
        findings.error(&one_too_many.at, what, "put alternatives into one regular expression: \"(one|other)\"");
    }
    let mut rules: Vec<Placed<Rule>> = Vec::new();
    for section in sections.into_iter().take(RULES_MAX) {
        let at = section.key_at("id");
        let Some(rule) = read_one(section, &built_in) else { continue };
        if rules.iter().any(|other| other.value.id == rule.id) {
            let what = format!("there are two rules with the id \"{}\"", rule.id);
            findings.error(&at, what, "give each an id of its own");
        }
        rules.push(Placed { value: rule, at });
    }
    rules.into_iter().map(|rule| rule.value).collect()
}

fn read_one(mut section: Section<'_>, built_in: &[&str]) -> Option<Rule> {
    let findings = section.findings();
    let id = section.text("id", "\"acme.limit\"");
    if id.is_absent() {
        section.missing("id", "add id = \"acme.limit\": a prefix of your own, a dot, a name");
    }
    if let Field::Good(id) = &id {
        section.title = format!("[[rule]] \"{}\"", id.value);
    }
    let is_off = section.flag("off");
    let silences = matches!(&is_off, Field::Good(flag) if flag.value);
    if let Field::Good(flag) = &is_off
        && !flag.value
    {
        findings.error(&flag.at, "`off = false` says nothing", "remove it, or write off = true");
    }
    let id = id.and_then(|id| checked_id(id, silences, built_in, findings));
    let tools = read_tools(&mut section);
    let source = section.text("source", "\"https://…\"").good();
    let note = section.text("note", "\"…\"").good();
    let does = if silences {
        for key in ["tool", "when", "kind", "scope", "reset", "trust", "model"] {
            let what = format!("`{key}` stands beside `off`, and a rule that is off looks for nothing");
            section.refuse(key, &what, "remove it, or `off`");
        }
        Some(Does::Silence)
    } else {
        read_find(&mut section).map(|find| Does::Find(Box::new(find)))
    };
    section.finish(false);
    Some(Rule { id: id.good()?, tools: tools?, does: does?, source, note })
}

fn read_find(section: &mut Section<'_>) -> Option<Find> {
    let when = condition::read(section);
    let means = meaning::read(section, when.as_ref());
    Some(Find { when: when?, means: means.ok()? })
}

/// A name that is free, or that of the rule which is meant.
fn checked_id(id: Placed<String>, silences: bool, built_in: &[&str], findings: &Findings) -> Option<String> {
    let Placed { value: id, at } = id;
    if built_in.contains(&id.as_str()) {
        return Some(id);
    }
    let near = keys::nearest(&id, built_in);
    let or_nearest =
        |otherwise: &str| near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean \"{near}\"?"));
    if silences {
        let what = format!("no rule that is built in has the id \"{id}\"");
        findings.error(&at, what, or_nearest("docs/rules.md has a table of them"));
        return None;
    }
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    if id.len() > ID_LEN_MAX || !id.contains('.') || !id.split('.').all(is_part) {
        let what = format!("\"{id}\" is not the id of a rule");
        let hint =
            "write a prefix of your own, a dot and a name, such as \"acme.limit\": letters, digits, `_`, `-`, up to 63";
        findings.error(&at, what, hint);
        return None;
    }
    let prefix = |id: &str| id.split('.').next().unwrap_or_default().to_owned();
    if built_in.iter().any(|known| prefix(known) == prefix(&id)) {
        let what =
            format!("no rule that is built in has the id \"{id}\", and \"{}.\" is the prefix of some", prefix(&id));
        findings.error(&at, what, or_nearest("a rule of your own needs a prefix of your own, such as \"acme.limit\""));
        return None;
    }
    Some(id)
}

/// One tool or a list of them; empty if nothing is said.
fn read_tools(section: &mut Section<'_>) -> Option<Vec<Tool>> {
    let findings = section.findings();
    if !section.is_list("tool") {
        return match section.word::<Tool>("tool") {
            Field::Absent => Some(Vec::new()),
            Field::Bad => None,
            Field::Good(tool) => Some(vec![tool.value]),
        };
    }
    let tools = section.texts("tool", "[\"claude-code\", \"codex\"]").and_then(|texts| {
        if texts.value.is_empty() {
            findings.error(
                &texts.at,
                "`tool` is an empty list: the rule would hold nowhere",
                "leave it out for every tool",
            );
            return None;
        }
        let tools: Vec<_> = texts.value.iter().map(|text| read_word::<Tool>(text, findings)).collect();
        tools.into_iter().collect()
    });
    tools.good()
}
