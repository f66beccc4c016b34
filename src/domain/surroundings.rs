//! What surrounds the work in a container, as far as it can keep a credential from being used.

use std::path::PathBuf;
use std::time::Duration;

use super::{Fingerprint, Wall};

/// What can keep a delivered credential from being used, as the engine shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The names of the variables that have a value. Never a value.
    pub variables: Vec<String>,
    /// Which paths of this machine are seen inside.
    pub mounts: Vec<Mount>,
    /// When the present life began, by the engine's clock.
    pub began_at: Option<Wall>,
    /// How long the container is given to end, if that is configured in it.
    pub stop_timeout: Option<Duration>,
    /// The state directory of the daemon that the container's label names, if it has one.
    pub owner: Option<String>,
}

/// A path of this machine that is seen inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The path here.
    pub source: PathBuf,
    /// The path in the container.
    pub destination: PathBuf,
}

impl Facts {
    /// When the life that was seen began, where that can be seen.
    #[must_use]
    pub fn began_at(&self) -> Option<Wall> {
        self.surroundings.as_ref().and_then(|around| around.began_at)
    }
}

/// How an agent's file is seen from inside its container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mounted {
    /// Nobody has looked, or there is nothing to look at: no file, no container.
    #[default]
    Unknown,
    /// Its folder is mounted: a new file shows at once.
    Folder,
    /// The file is mounted by itself: a new one shows after the next start.
    SingleFile,
    /// Nothing of it is mounted.
    Nowhere,
}

/// What a look found out besides: facts for a decision, not for keeping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the credential of its subscription is known by now, at its source.
    pub offered: Option<Fingerprint>,
    /// What surrounds the work, where that can be seen.
    pub surroundings: Option<Surroundings>,
    /// How its file is seen from inside.
    pub mounted: Mounted,
    /// Why its file could not be written, for a reason that stays.
    pub unfit: Option<String>,
}
