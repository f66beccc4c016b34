//! What it means when a rule has found something: the kind of the failure, its window, when it ends, how far it is believed.

use super::condition::When;
use crate::config::keys;
use crate::config::reader::{Field, Placed, Section, read_word};
use crate::domain::words::words;
use crate::domain::{FailureKind, Model, Trust, Window};

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// What went wrong.
    pub kind: FailureKind,
    /// The window that is used up.
    pub window: Window,
    /// The model it is about.
    pub model: Option<Model>,
    /// Where it is said when it ends.
    pub reset: Option<ResetFrom>,
    /// How far it is believed.
    pub trust: Trust,
}

/// Where it is said when a limit ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetFrom {
    /// In a member of the record or body.
    Json {
        /// The member, from the top down.
        path: Vec<String>,
        /// What its number counts.
        unit: Unit,
    },
    /// In what a named group of the expression takes out of the text.
    Group(String),
    /// In the headers of the answer.
    Headers,
}

words! {
    /// What the number of a reset counts.
    pub enum Unit ("unit") {
        /// Seconds or milliseconds since 1970, or a time in words: whichever it is.
        Epoch = "epoch",
        /// Seconds from when it was said.
        Seconds = "seconds",
    }
}

const RESET_EXAMPLE: &str = "{ json = \"error.resets_at\" }, { group = \"when\" } or \"headers\"";

/// Something was wrong, and was told.
pub(super) struct Flawed;

/// The keys that say what it means; `None` if it means nothing.
pub(super) fn read(section: &mut Section<'_>, when: Option<&When>) -> Result<Option<Meaning>, Flawed> {
    let findings = section.findings();
    let kind = section.text("kind", "\"rate_limit\"");
    if kind.is_absent() {
        let kinds: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
        section.missing("kind", &format!("one of {}, none", kinds.join(", ")));
    }
    if matches!(&kind, Field::Good(kind) if kind.value == "none") {
        for key in ["scope", "reset", "trust", "model"] {
            let what = format!("`{key}` stands beside kind = \"none\", which says that nothing is meant");
            section.refuse(key, &what, "remove it, or write another `kind`");
        }
        return Ok(None);
    }
    let kind = kind.and_then(|text| match keys::nearest(&text.value, &["none"]) {
        Some("none") if text.value.parse::<FailureKind>().is_err() => {
            findings.error(&text.at, format!("unknown failure kind \"{}\"", text.value), "did you mean \"none\"?");
            None
        }
        _ => read_word::<FailureKind>(&text, findings),
    });
    let scope = section.word::<Window>("scope");
    let model = section.text("model", "\"opus\"").and_then(|text| {
        let placed = Placed { at: text.at.clone(), value: vec![text] };
        crate::config::name::models(&placed, findings)
    });
    let trust = section.word::<Trust>("trust");
    let reset = read_reset(section, when);
    let usual = if matches!(when, Some(When::Line(_))) { Trust::Text } else { Trust::Structured };
    if scope.is_bad() || model.is_bad() || trust.is_bad() || reset.is_bad() {
        return Err(Flawed);
    }
    let kind = kind.good().ok_or(Flawed)?;
    let model = model.good().and_then(|models| models.into_iter().next());
    let window = match (&model, scope.good()) {
        (_, Some(window)) => window,
        (Some(_), None) => Window::Model,
        (None, None) => Window::Unknown,
    };
    let trust = trust.unwrap_or(usual);
    Ok(Some(Meaning { kind, window, model, reset: reset.good(), trust }))
}

fn read_reset(section: &mut Section<'_>, when: Option<&When>) -> Field<ResetFrom> {
    let findings = section.findings();
    let is_http = matches!(when, Some(When::Http { .. }));
    if !section.is_table("reset") {
        return section.text("reset", RESET_EXAMPLE).and_then(|text| {
            if text.value != "headers" {
                let what = format!("`reset` \"{}\" is not where a reset can be read", text.value);
                findings.error(&text.at, what, format!("write {RESET_EXAMPLE}"));
                return None;
            }
            if !is_http && when.is_some() {
                let what = "`reset = \"headers\"` is about an HTTP answer, and the rule does not look for one";
                findings.error(&text.at, what, "write when = { status = 429 }");
                return None;
            }
            Some(ResetFrom::Headers)
        });
    }
    section.section("reset", &[], RESET_EXAMPLE, false).and_then(|table| read_table(table.value, when))
}

fn read_table(mut table: Section<'_>, when: Option<&When>) -> Option<ResetFrom> {
    let findings = table.findings();
    let (title, at) = (table.title.clone(), table.at.clone());
    let json = table.text("json", "\"error.resets_at\"");
    let json_at = table.key_at("json");
    let group = table.text("group", "\"when\"");
    let unit = table.word::<Unit>("unit");
    let unit_at = table.key_at("unit");
    table.finish(false);
    match (json, group) {
        (Field::Good(json), Field::Absent) => {
            if matches!(when, Some(When::Line(_))) {
                let what = format!("`json` in {title} names a member, and a line of text has none");
                findings.error(&json_at, what, "name a group of the expression: { group = \"when\" }");
                return None;
            }
            let path: Vec<_> = json.value.split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                let what = format!("\"{}\" in {title} is not the path of a member", json.value);
                findings.error(&json.at, what, "write names with dots between them: \"error.resets_at\"");
                return None;
            }
            (!unit.is_bad()).then(|| ResetFrom::Json { path, unit: unit.unwrap_or(Unit::Epoch) })
        }
        (Field::Absent, Field::Good(group)) => {
            if !unit.is_absent() {
                let what = format!("`unit` in {title} is about a number of `json`; what a group has is read as words");
                findings.error(&unit_at, what, "remove it");
                return None;
            }
            let groups = when.map(When::groups);
            if let Some(groups) = groups.filter(|groups| !groups.contains(&group.value.as_str())) {
                let what = format!("no group of the expression is named \"{}\"", group.value);
                let hint = match keys::nearest(&group.value, &groups) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write (?<{}>…) around what tells the reset", group.value),
                };
                findings.error(&group.at, what, hint);
                return None;
            }
            Some(ResetFrom::Group(group.value))
        }
        (Field::Absent, Field::Absent) => {
            findings.error(&at, format!("{title} says nothing"), format!("write reset = {RESET_EXAMPLE}"));
            None
        }
        (Field::Bad, _) | (_, Field::Bad) => None,
        (Field::Good(_), Field::Good(_)) => {
            findings.error(&at, format!("{title} has both a `json` and a `group`"), "keep one of them");
            None
        }
    }
}
