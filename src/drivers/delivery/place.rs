//! The file of one agent: what it is to look like, whose it is to be, and the sidecar beside it.
//!
//! Tests: `tests/delivery_conformance.rs`.

use rustix::fs::{Gid, Uid};

use super::sidecar::Sidecar;
use super::{FileTarget, Ownership};
use crate::domain::AgentName;
use crate::drivers::folder::{self, Content, Folder, Trouble, owner};
use crate::ports::delivery::DeliveryError;

/// A credential is far smaller; a larger file is not one.
const CONTENT_MAX: u64 = 1024 * 1024;
const SIDECAR_MODE: u32 = 0o644;

/// Where a credential goes.
pub(super) struct Place {
    target: FileTarget,
}

impl Place {
    pub(super) fn new(target: FileTarget) -> Self {
        Self { target }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.target.path
    }

    pub(super) fn target(&self) -> &FileTarget {
        &self.target
    }

    pub(super) fn unfit(&self, why: impl Into<String>) -> DeliveryError {
        DeliveryError::Unfit { path: self.target.path.display().to_string(), why: why.into() }
    }

    fn told(&self) -> impl Fn(Trouble) -> DeliveryError + Copy {
        move |trouble| {
            let (path, why) = (self.target.path.display().to_string(), trouble.why);
            if trouble.stays { DeliveryError::Unfit { path, why } } else { DeliveryError::Failed { path, why } }
        }
    }

    /// Whether a delivery could succeed, and would not get in the way of a daemon other than `us`; changes nothing.
    pub(super) fn check(&self, us: &str) -> Result<(), DeliveryError> {
        let told = self.told();
        let (folder, file) = folder::open(&self.target.path).map_err(told)?;
        let ownership = self.ownership(&folder, &file).map_err(told)?;
        let beside = sidecar_name(&file);
        for name in [&beside, &folder::temporary_name(&file), &folder::temporary_name(&beside)] {
            folder.regular(name).map_err(told)?;
        }
        folder.check_writable().map_err(told)?;
        check_may_give(ownership).map_err(|why| self.unfit(why))?;
        let other = read_sidecar(&folder, &beside).map_err(told)?.map(|sidecar| sidecar.owner);
        match other.filter(|owner| owner != us) {
            Some(owner) => Err(self.unfit(format!(
                "it was last delivered by the switchman whose state directory has the id {owner}; stop that one, or if it is gone remove {}",
                self.target.path.with_file_name(beside).display()
            ))),
            None => Ok(()),
        }
    }

    /// Puts content and sidecar in place of the old ones.
    pub(super) fn replace(&self, content: &[u8], sidecar: &str) -> Result<(), DeliveryError> {
        let told = self.told();
        let (folder, file) = folder::open(&self.target.path).map_err(told)?;
        let ownership = self.ownership(&folder, &file).map_err(told)?;
        let beside = sidecar_name(&file);
        folder.regular(&beside).map_err(told)?;
        let new = folder.write(&file, content, self.target.mode, ownership, None).map_err(told)?;
        let new_sidecar = folder.write(&beside, sidecar.as_bytes(), SIDECAR_MODE, ownership, None).map_err(told)?;
        let placed = folder.rename(new, &file).map_err(told)?;
        // From here on whoever starts may read the new credential, whatever else goes wrong.
        let rest = folder
            .sync()
            .and_then(|()| folder.rename(new_sidecar, &beside))
            .and_then(|_| folder.sync())
            .and_then(|()| folder.check_placed(placed, &file));
        rest.map_err(|trouble| told(trouble).after_the_rename())
    }

    /// The content; `None` if there is no file.
    pub(super) fn read(&self) -> Result<Option<Content>, DeliveryError> {
        let told = self.told();
        let (folder, file) = folder::open(&self.target.path).map_err(told)?;
        folder.read(&file, CONTENT_MAX).map_err(told)
    }

    /// What the sidecar says; `None` if there is none that says something.
    pub(super) fn sidecar(&self) -> Result<Option<Sidecar>, DeliveryError> {
        let told = self.told();
        let (folder, file) = folder::open(&self.target.path).map_err(told)?;
        read_sidecar(&folder, &sidecar_name(&file)).map_err(told)
    }

    /// What the sidecar says, if this daemon wrote it for this agent.
    pub(super) fn sidecar_of(&self, agent: &AgentName, us: &str) -> Option<Sidecar> {
        // One that cannot be read says nothing; the preflight says why.
        self.sidecar().ok().flatten().filter(|sidecar| sidecar.owner == us && sidecar.agent == *agent)
    }

    /// Who is to own the next file: as configured, else as the old one, else, where it can be given away, as the folder.
    fn ownership(&self, folder: &Folder, file: &str) -> Result<folder::Ownership, Trouble> {
        let natural = match folder.regular(file)? {
            Some(old) => Some(owner(&old)),
            None => rustix::process::geteuid().is_root().then(|| folder.owner()),
        };
        Ok(match self.target.owner {
            Some(Ownership { user, group }) => {
                Some((Uid::from_raw(user), group.map(Gid::from_raw).or(natural.map(|(_, group)| group))))
            }
            None => natural.map(|(user, group)| (user, Some(group))),
        })
    }
}

/// Why a file could not be given to this owner.
fn check_may_give(ownership: folder::Ownership) -> Result<(), String> {
    let us = rustix::process::geteuid();
    let Some((user, group)) = ownership.filter(|_| !us.is_root()) else { return Ok(()) };
    if user != us {
        return Err(format!(
            "it belongs to user {user}, and switchman (user {us}) may not give files away; run it as that user or as root"
        ));
    }
    let is_ours = |group: &Gid| {
        *group == rustix::process::getegid() || rustix::process::getgroups().is_ok_and(|groups| groups.contains(group))
    };
    match group.filter(|group| !is_ours(group)) {
        Some(group) => Err(format!("it belongs to group {group}, which switchman is not in")),
        None => Ok(()),
    }
}

fn sidecar_name(file: &str) -> String {
    format!("{file}.switchman.json")
}

fn read_sidecar(folder: &Folder, name: &str) -> Result<Option<Sidecar>, Trouble> {
    Ok(folder.read(name, CONTENT_MAX)?.and_then(|content| Sidecar::read(&content.bytes)))
}
