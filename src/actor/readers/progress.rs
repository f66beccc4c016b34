//! How far the parts of a source have been read, and what of that is not on disk yet.
//!
//! It must not write anything down itself.
//!
//! Tests: below.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{LogPosition, SourcePlace};

/// The places of one source, by part: a path, or the whole of it.
#[derive(Debug, Default)]
pub(in crate::actor) struct Progress {
    known: BTreeMap<String, LogPosition>,
    unwritten: BTreeSet<String>,
    /// Parts that are gone, and that the store still has.
    gone: BTreeMap<String, LogPosition>,
}

impl Progress {
    /// As the store has them.
    pub(in crate::actor) fn written(positions: impl IntoIterator<Item = LogPosition>) -> Self {
        let known = positions.into_iter().map(|position| (position.part().to_owned(), position)).collect();
        Self { known, ..Self::default() }
    }

    /// Whether anything of the source was ever read.
    pub(super) fn is_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// Where to go on from.
    pub(super) fn all(&self) -> Vec<LogPosition> {
        self.known.values().cloned().collect()
    }

    /// The place in the source as a whole.
    pub(super) fn whole(&self) -> Option<&LogPosition> {
        self.known.get("")
    }

    /// It was read up to here.
    pub(super) fn note(&mut self, position: LogPosition) {
        let part = position.part().to_owned();
        if matches!(position, LogPosition::Source { place: SourcePlace::Gone { .. }, .. }) {
            self.known.remove(&part);
            self.unwritten.remove(&part);
            self.gone.insert(part, position);
            return;
        }
        self.gone.remove(&part);
        self.unwritten.insert(part.clone());
        self.known.insert(part, position);
    }

    /// Whether all of it is on disk.
    pub(super) fn are_written(&self) -> bool {
        self.unwritten.is_empty() && self.gone.is_empty()
    }

    /// At most so many positions that are to be written down; they count as written until they are put back.
    pub(super) fn take_unwritten(&mut self, max: usize) -> Vec<LogPosition> {
        let gone: Vec<String> = self.gone.keys().take(max).cloned().collect();
        let parts: Vec<String> = self.unwritten.iter().take(max - gone.len()).cloned().collect();
        let mut taken: Vec<LogPosition> = gone.iter().filter_map(|part| self.gone.remove(part)).collect();
        for part in parts {
            self.unwritten.remove(&part);
            taken.extend(self.known.get(&part).cloned());
        }
        taken
    }

    /// These could not be written down; what was noted since holds.
    pub(super) fn put_back(&mut self, positions: Vec<LogPosition>) {
        for position in positions {
            let part = position.part().to_owned();
            if self.known.contains_key(&part) {
                self.unwritten.insert(part);
            } else {
                self.gone.insert(part, position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SourceId, Wall};

    fn at(place: SourcePlace) -> LogPosition {
        LogPosition::Source { source: SourceId::Files("/a/*".to_owned()), place, at: Wall(0) }
    }

    fn file(path: &str, offset: u64) -> LogPosition {
        at(SourcePlace::File { path: path.to_owned(), file: (1, 1), offset })
    }

    fn gone(path: &str) -> LogPosition {
        at(SourcePlace::Gone { path: path.to_owned() })
    }

    #[test]
    fn what_is_not_written_is_given_out_until_it_is() {
        let mut progress = Progress::written([file("/a/x", 1)]);
        assert!(progress.are_written() && progress.is_known());
        progress.note(file("/a/x", 2));
        progress.note(file("/a/y", 1));
        let taken = progress.take_unwritten(10);
        assert_eq!(taken, [file("/a/x", 2), file("/a/y", 1)]);
        assert!(progress.are_written());
        progress.note(file("/a/x", 3));
        progress.put_back(taken);
        assert_eq!(progress.take_unwritten(1), [file("/a/x", 3)], "not the older one");
        assert_eq!(progress.take_unwritten(10), [file("/a/y", 1)]);
    }

    #[test]
    fn what_is_gone_is_told_once_and_may_come_back() {
        let mut progress = Progress::written([file("/a/x", 1), file("/a/y", 1)]);
        progress.note(gone("/a/x"));
        progress.note(gone("/a/y"));
        assert!(!progress.is_known());
        progress.note(file("/a/y", 5));
        let taken = progress.take_unwritten(10);
        assert_eq!(taken, [gone("/a/x"), file("/a/y", 5)]);
        progress.put_back(taken);
        assert_eq!(progress.take_unwritten(10).len(), 2);
    }
}
