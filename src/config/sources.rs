//! `sources` and `logs`: where lines of an agent are read beside the log of its container, and whether that is read.
//!
//! It must not look whether anything is there: `files.rs` does, for warnings.
//!
//! Tests: `every_check_of_sources_has_a_case` and its neighbours in `tests`.

use super::path::{self, Expansion};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use crate::domain::SourceId;

pub(super) const EXAMPLE: &str = "[{ files = \"/srv/{name}/.claude/projects/**/*.jsonl\" }]";
const ENTRY_EXAMPLE: &str = "{ files = \"/path\" }, { journald = \"agent.service\" } or { stdin = true }";

/// The longest name of a unit that the service manager takes.
const UNIT_MAX: usize = 255;

/// What is written, before the names in it are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceText {
    Files(String),
    Journald(String),
    Stdin,
}

/// The key `sources` of a section.
pub(super) fn read(section: &mut Section<'_>) -> Field<Vec<Placed<SourceText>>> {
    let findings = section.findings();
    section.tables("sources", EXAMPLE).and_then(|tables| {
        let count = tables.value.len();
        let read: Vec<_> = tables.value.into_iter().filter_map(|table| entry(table, findings)).collect();
        (read.len() == count).then_some(read)
    })
}

fn entry(mut table: Section<'_>, findings: &Findings) -> Option<Placed<SourceText>> {
    let at = table.at.clone();
    let files = table.text("files", "\"/srv/{name}/sessions\"").placed();
    let journald = table.text("journald", "\"agent.service\"").placed();
    let stdin = table.flag("stdin").placed();
    let (says, is_good) = (
        [table.has("files"), table.has("journald"), table.has("stdin")]
            .into_iter()
            .filter(|is_there| *is_there)
            .count(),
        files.is_some() || journald.is_some() || stdin.is_some(),
    );
    table.finish(false);
    if says != 1 {
        let what = if says == 0 { "one of `sources` says nothing" } else { "one of `sources` says several things" };
        findings.error(&at, what, format!("write {ENTRY_EXAMPLE}"));
        return None;
    }
    if !is_good {
        return None;
    }
    if stdin.as_ref().is_some_and(|flag| !flag.value) {
        findings.error(&at, "`stdin = false` is no source", "leave it out");
        return None;
    }
    let value = match (files, journald) {
        (Some(pattern), _) => return Some(Placed { value: SourceText::Files(pattern.value), at: pattern.at }),
        (None, Some(unit)) => return Some(Placed { value: SourceText::Journald(unit.value), at: unit.at }),
        (None, None) => SourceText::Stdin,
    };
    Some(Placed { value, at })
}

/// What an agent of this name reads.
pub(super) fn of_agent(
    texts: Vec<Placed<SourceText>>,
    with: Expansion<'_>,
    findings: &Findings,
) -> Vec<Placed<SourceId>> {
    let mut sources: Vec<Placed<SourceId>> = Vec::with_capacity(texts.len());
    for Placed { value, at } in texts {
        let value = match value {
            SourceText::Files(pattern) => files(&Placed { value: pattern, at: at.clone() }, with, findings),
            SourceText::Journald(unit) => journal(&Placed { value: unit, at: at.clone() }, with, findings),
            SourceText::Stdin => Some(SourceId::Stdin),
        };
        let Some(value) = value else { continue };
        if sources.iter().any(|known| known.value == value) {
            findings.error(&at, format!("`sources` names {value} twice"), "remove one of them");
            continue;
        }
        sources.push(Placed { value, at });
    }
    sources
}

fn files(text: &Placed<String>, with: Expansion<'_>, findings: &Findings) -> Option<SourceId> {
    let path = path::read(text, "files", with, findings)?;
    if !path::is_straight(&path) {
        findings.error(&text.at, "`files` goes up with `..`", "write the path without it");
        return None;
    }
    let Some(pattern) = path.to_str().filter(|path| *path != "/") else {
        findings.error(&text.at, "`files` names everything there is", "name the folder of the sessions");
        return None;
    };
    if let Err(bad) = glob::Pattern::new(pattern) {
        let hint = "`*`, `?` and `[…]` stand for parts of a name, `**` alone for any folders; [[] is a bracket";
        findings.error(&text.at, format!("`files` is no pattern: {}", bad.msg), hint);
        return None;
    }
    if pattern.split('/').nth(1).is_none_or(|first| first.contains(['*', '?', '['])) {
        findings.error(&text.at, "`files` begins with a pattern", "name the folder that all of it is in");
        return None;
    }
    Some(SourceId::Files(pattern.to_owned()))
}

fn journal(text: &Placed<String>, with: Expansion<'_>, findings: &Findings) -> Option<SourceId> {
    let unit = match with.name {
        Some(name) => text.value.replace(super::agent::NAME, name),
        None => text.value.clone(),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte);
    let bare = unit.replace(super::agent::NAME, "");
    let is_unit = bare.bytes().all(is_plain) && unit.len() <= UNIT_MAX && !unit.starts_with(['-', '.']);
    let has_kind = unit.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && KINDS.contains(&kind));
    if !is_unit || !has_kind {
        let what = format!("`journald` \"{unit}\" is not the name of a unit");
        findings.error(&text.at, what, "as `systemctl` shows it: \"agent.service\", \"agent@{name}.service\"");
        return None;
    }
    Some(SourceId::Journal(unit))
}

/// Units that run something.
const KINDS: &[&str] = &["service", "scope"];

/// The same for a container that a template stands for.
pub(super) fn instance(source: &SourceId, container: &str) -> SourceId {
    let named = |text: &str| text.replace(super::agent::NAME, container);
    match source {
        SourceId::Files(pattern) => SourceId::Files(named(pattern)),
        SourceId::Journal(unit) => SourceId::Journal(named(unit)),
        SourceId::Container | SourceId::Stdin => source.clone(),
    }
}

/// Whether it is another source for each container that a template stands for.
pub(super) fn is_of_each(source: &SourceId) -> bool {
    match source {
        SourceId::Files(text) | SourceId::Journal(text) => text.contains(super::agent::NAME),
        SourceId::Container => true,
        SourceId::Stdin => false,
    }
}
