//! Where the files of a source had been read to, as it was written down, until each of them is found again.
//!
//! | what has the name or the inode of one | what it is taken for |
//! |---|---|
//! | the same inode, made before the place was kept | that file, under its name or another |
//! | the same inode, made after that | another file, which came since |
//! | another inode under its name | another file, which came since |
//! | the same inode, nobody says when it was made | under its name that file; under another if it is not shorter than what was read |
//!
//! Tests: `files/tails_tests.rs`, `tests/source_conformance/files.rs`.

use std::collections::HashMap;
use std::time::Duration;

use super::tree::Identity;
use crate::domain::Wall;

/// A file that came to be no later than this after its place was kept is the one that was read: clocks are read one after
/// the other, and that of a file server may be a little off. No longer, or a file that takes an inode over goes for the old one.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// Where a file had been read to, and when.
#[derive(Debug)]
pub(super) struct Place {
    /// Device and inode.
    pub(super) id: (u64, u64),
    pub(super) offset: u64,
    pub(super) at: Wall,
}

impl Place {
    /// Whether that was this file. `None`: its file system does not tell.
    fn is_of(&self, file: Identity) -> Option<bool> {
        if self.id != file.id {
            return Some(false);
        }
        file.born.map(|born| born <= self.at.plus(CLOCKS_APART))
    }
}

/// What is known of a file that has been found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// It was read so far, under this path.
    Read { path: String, offset: u64 },
    /// It came to be since the source was read.
    CameSince,
    /// Nothing.
    Unknown,
}

/// The places, by path.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<String, Place>);

impl Kept {
    pub(super) fn insert(&mut self, path: String, place: Place) {
        self.0.insert(path, place);
    }

    /// What is known of a file of this length; its place is given away.
    pub(super) fn find(&mut self, path: &str, file: Identity, len: u64) -> Before {
        let is_under_its_name = self.0.get(path).is_some_and(|place| place.is_of(file).unwrap_or(true));
        let is_renamed = |place: &Place| place.is_of(file).unwrap_or(len >= place.offset);
        let old = if is_under_its_name {
            Some(path.to_owned())
        } else {
            self.0.iter().find(|(_, place)| is_renamed(place)).map(|(path, _)| path.clone())
        };
        if let Some((path, place)) = old.and_then(|old| self.0.remove_entry(&old)) {
            return Before::Read { path, offset: place.offset };
        }
        let came_since = self.0.contains_key(path) || self.0.values().any(|place| place.id == file.id);
        if came_since { Before::CameSince } else { Before::Unknown }
    }

    /// The paths at which nothing was found.
    pub(super) fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0).into_keys().collect()
    }
}
