//! The note about a running child that outlives a daemon that was killed.
//!
//! One file per agent, replaced by a rename so that it is whole or absent. It is not synced: it is needed after
//! a crash of the daemon, not after one of the machine, which takes the children with it.
//!
//! Tests: below, and `tests/runtime_conformance/process_children.rs`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::table;
use crate::domain::{AgentName, Instance};

const SCHEMA_VERSION: u32 = 1;

/// A child as it was noted down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    schema_version: u32,
    pub(super) agent: String,
    pub(super) owner: String,
    pub(super) pid: i32,
    /// Clock ticks between boot and its start.
    pub(super) started_at: u64,
    /// Which run of the kernel that start time belongs to.
    pub(super) boot_id: String,
}

/// Where the notes are.
#[derive(Debug, Clone)]
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn under(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("children") }
    }

    fn path(&self, agent: &str) -> PathBuf {
        let mut name = String::with_capacity(agent.len());
        for byte in agent.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                name.push(char::from(byte));
            } else {
                name.push('%');
                name.extend([byte >> 4, byte & 0xf].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
            }
        }
        self.folder.join(format!("{name}.json"))
    }

    pub(super) fn write(&self, agent: &AgentName, owner: &str, instance: &Instance) -> std::io::Result<()> {
        let number = |text: &str| text.parse().map_err(|_| std::io::Error::other("a process has no start time"));
        let record = Record {
            schema_version: SCHEMA_VERSION,
            agent: agent.to_string(),
            owner: owner.to_owned(),
            pid: i32::try_from(number(&instance.id)?).map_err(std::io::Error::other)?,
            started_at: number(&instance.started_at)?,
            boot_id: table::boot_id(),
        };
        std::fs::create_dir_all(&self.folder)?;
        let path = self.path(agent.as_str());
        let new = path.with_extension("json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(&record)?)?;
        std::fs::rename(&new, &path)
    }

    /// Forgets a child, unless another one of the agent has been noted down meanwhile.
    pub(super) fn forget(&self, agent: &str, pid: &str) {
        let path = self.path(agent);
        if read(&path).is_none_or(|record| record.pid.to_string() == pid) {
            let _was_not_there = std::fs::remove_file(path).is_err();
        }
    }

    /// The notes of this run of the kernel. What cannot be read says nothing.
    pub(super) fn all(&self) -> Vec<Record> {
        let Ok(folder) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let boot_id = table::boot_id();
        folder
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| read(&path))
            .filter(|record| record.boot_id == boot_id && record.schema_version == SCHEMA_VERSION)
            .collect()
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_only_its_own_child_erases_it() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::under(folder.path());
        let agent = AgentName::new("../a b");
        let instance = |pid: &str| Instance { id: pid.to_owned(), started_at: "77".to_owned() };
        records.write(&agent, "me", &instance("41")).unwrap();
        records.write(&agent, "me", &instance("42")).unwrap();
        records.forget(agent.as_str(), "41");
        let all = records.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].pid, all[0].started_at, all[0].agent.as_str()), (42, 77, "../a b"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing outside its folder");
        records.forget(agent.as_str(), "42");
        assert_eq!(records.all(), []);
    }

    #[test]
    fn a_note_of_another_boot_or_a_torn_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::under(folder.path());
        records.write(&AgentName::new("a"), "me", &Instance { id: "1".into(), started_at: "2".into() }).unwrap();
        let path = records.path("a");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&table::boot_id(), "another")).unwrap();
        std::fs::write(records.path("b"), &text[..text.len() / 2]).unwrap();
        assert_eq!(records.all(), []);
    }
}
