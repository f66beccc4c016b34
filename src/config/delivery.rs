//! `delivery`: how an agent gets its credential.
//!
//! What `[agent_defaults]` says holds as a whole: an agent with a `delivery` of its own takes no key of it from there.
//!
//! Tests: `every_check_of_a_delivery_has_a_case` in `tests`.

use std::path::PathBuf;

use super::owner::{self, Owner};
use super::path::{self, Expansion};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use super::{apply, name};
use crate::domain::{Apply, Format};

/// How an agent gets its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is written to a file.
    File(FileDelivery),
    /// It stands in a variable of the process.
    Env(String),
    /// It gets none: the agent is only observed.
    Nothing,
}

/// A credential in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDelivery {
    /// The file, on this machine.
    pub path: PathBuf,
    /// What it looks like.
    pub format: Format,
    /// Who owns it; `None`: as the old file, or where there is none the folder.
    pub owner: Option<Owner>,
    /// Its mode.
    pub mode: u32,
    /// What is done once it is in place.
    pub apply: Apply,
}

/// What stands in the text, before the names of an agent are put into its path.
#[derive(Debug, Clone)]
pub(super) enum DeliveryText {
    File { path: Placed<String>, format: Format, owner: Option<Owner>, mode: u32, apply: Apply },
    Env(Placed<String>),
}

const LATER: &[&str] = &["recreate"];
pub(super) const EXAMPLE: &str = "{ file = \"/srv/NAME/credential\" }";
pub(super) const MODE: u32 = 0o600;

/// The key `delivery` of a section.
pub(super) fn read(section: &mut Section<'_>) -> Field<DeliveryText> {
    section.section("delivery", LATER, EXAMPLE, false).and_then(|table| read_table(table.value))
}

fn read_table(mut table: Section<'_>) -> Option<DeliveryText> {
    let findings = table.findings();
    let at = table.at.clone();
    let file = table.text("file", "\"/srv/NAME/credential\"");
    let env = table.text("env", "\"NAME\"");
    let format = table.word::<Format>("format");
    let owner = table.text("owner", "\"1000:1000\"").and_then(|text| match owner::read(&text.value) {
        Ok(owner) => Some(owner),
        Err((what, hint)) => {
            findings.error(&text.at, format!("`owner` {what}"), hint);
            None
        }
    });
    let mode = table.text("mode", "\"0600\"").and_then(|text| read_mode(&text, findings));
    let apply = apply::read(&mut table);
    let keys_of_a_file = [
        ("format", format.is_absent()),
        ("owner", owner.is_absent()),
        ("mode", mode.is_absent()),
        ("apply", apply.is_absent()),
    ];
    let key_at = |key: &str| table.key_at(key);
    let text = match (file, env) {
        (Field::Good(path), Field::Absent) => {
            let is_bad = [format.is_bad(), owner.is_bad(), mode.is_bad(), apply.is_bad()].contains(&true);
            (!is_bad).then(|| DeliveryText::File {
                path,
                format: format.unwrap_or(Format::Raw),
                owner: owner.good(),
                mode: mode.unwrap_or(MODE),
                apply: apply.unwrap_or(Apply::Restart),
            })
        }
        (Field::Absent, Field::Good(env)) => {
            for (key, _) in keys_of_a_file.into_iter().filter(|(_, is_absent)| !is_absent) {
                let what = format!("`{key}` says something about a file, and this credential goes into a variable");
                findings.error(&key_at(key), what, format!("remove it, or write delivery = {EXAMPLE}"));
            }
            Some(DeliveryText::Env(env))
        }
        (Field::Absent, Field::Absent) => {
            findings.error(&at, "`delivery` names no place", format!("write delivery = {EXAMPLE}"));
            None
        }
        (Field::Bad, Field::Absent) | (Field::Absent, Field::Bad) => None,
        (Field::Good(_) | Field::Bad, Field::Good(_) | Field::Bad) => {
            findings.error(&at, "`delivery` has both a file and a variable", "keep one of them");
            None
        }
    };
    table.finish(false);
    text
}

fn read_mode(text: &Placed<String>, findings: &Findings) -> Option<u32> {
    let mode = u32::from_str_radix(&text.value, 8).ok().filter(|mode| *mode <= 0o777 && text.value.len() >= 3);
    let Some(mode) = mode.filter(|_| text.value.bytes().all(|byte| byte.is_ascii_digit())) else {
        findings.error(&text.at, "`mode` is not a file mode", "write three or four octal digits: \"0600\"");
        return None;
    };
    if mode & 0o400 == 0 {
        findings.error(&text.at, "`mode` keeps the owner from reading the credential", "write \"0600\"");
        return None;
    }
    if mode & 0o022 != 0 {
        let what = "`mode` lets others write the credential: they could put another one into its place";
        findings.error(&text.at, what, "write \"0600\", or \"0640\" if a group has to read it");
        return None;
    }
    if mode & 0o111 != 0 {
        findings.error(&text.at, "`mode` makes a program of the credential", "write \"0600\"");
        return None;
    }
    if mode & 0o044 != 0 {
        let what = format!("`mode` {mode:04o} lets others than the owner read the credential");
        findings.warning(&text.at, what, "`owner` and \"0600\" are enough where one user has to read it");
    }
    Some(mode)
}

impl DeliveryText {
    /// As it is for one agent. `is_container`: it has no environment that could be given to it at a start.
    pub(super) fn of_agent(self, is_container: bool, with: Expansion<'_>, findings: &Findings) -> Option<Delivery> {
        match self {
            Self::File { path, format, owner, mode, apply } => {
                let path = path::read_file(&path, "delivery.file", with, findings)?;
                Some(Delivery::File(FileDelivery { path, format, owner, mode, apply }))
            }
            Self::Env(variable) if is_container => {
                let what =
                    "`delivery.env` is for process agents only: a container keeps the variables it was created with";
                findings.error(&variable.at, what, format!("write delivery = {EXAMPLE}"));
                None
            }
            Self::Env(variable) if !name::is_variable(&variable.value) => {
                findings.hide(&variable.at);
                let what = "`delivery.env` is not the name of a variable";
                findings.error(&variable.at, what, "letters, digits, underscores");
                None
            }
            Self::Env(variable) => Some(Delivery::Env(variable.value)),
        }
    }
}
