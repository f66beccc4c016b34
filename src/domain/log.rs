//! Sources of lines, and where a reader of one stands.
//!
//! Tests: `tests/log_conformance.rs` and `tests/source_conformance.rs`, through the port that reads from them.

use super::Wall;

/// Where lines of an agent come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceId {
    /// The log of its container.
    Container,
    /// Files that an absolute path names: a file, a folder, or a pattern with `*`, `?`, `[…]` and `**`.
    Files(String),
    /// What the journal of the system has of this unit.
    Journal(String),
    /// The standard input of the daemon.
    Stdin,
}

impl SourceId {
    /// The sort of source, as counters have it.
    #[must_use]
    pub const fn sort(&self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Files(_) => "file",
            Self::Journal(_) => "journal",
            Self::Stdin => "stdin",
        }
    }

    /// The source that [`Display`](std::fmt::Display) has written; `None` if it is no such text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "container" => Some(Self::Container),
            None if text == "stdin" => Some(Self::Stdin),
            Some(("files", pattern)) => Some(Self::Files(pattern.to_owned())),
            Some(("journald", unit)) => Some(Self::Journal(unit.to_owned())),
            _ => None,
        }
    }
}

impl std::fmt::Display for SourceId {
    /// What tells it from the other sources of its agent, also in the store.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Container => f.write_str("container"),
            Self::Files(pattern) => write!(f, "files:{pattern}"),
            Self::Journal(unit) => write!(f, "journald:{unit}"),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}

/// A place in what a source gives out: everything up to and including it has been read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogPosition {
    /// In the log of a container.
    Container(ContainerPosition),
    /// In another source.
    Source {
        /// Which one.
        source: SourceId,
        /// The place in it.
        place: SourcePlace,
        /// When it was read that far.
        at: Wall,
    },
}

/// A place in the log of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerPosition {
    /// The container's id: the log of another container under the same name is another log.
    pub container: String,
    /// The engine's time of the last line read, in nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// How many of the lines that carry exactly this time have been read. Zero makes the position a plain time:
    /// what was written from then on has not been read.
    pub seen: u32,
}

/// A place in a source beside the log of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourcePlace {
    /// The source was known then: what began to exist later is read from its beginning.
    Known,
    /// In a file.
    File {
        /// Where the file lay.
        path: String,
        /// The file itself, whatever it is called: device and inode.
        file: (u64, u64),
        /// So many bytes of it have been read; never inside a line.
        offset: u64,
    },
    /// The file that lay there is gone, and its place with it.
    Gone {
        /// Where it lay.
        path: String,
    },
    /// In the journal: its own cursor.
    Journal {
        /// Of the last entry that was read.
        cursor: String,
    },
}

impl LogPosition {
    /// The source that it is in.
    #[must_use]
    pub fn source(&self) -> &SourceId {
        match self {
            Self::Container(_) => &SourceId::Container,
            Self::Source { source, .. } => source,
        }
    }

    /// What of its source it is about: a path; empty if it is about the whole.
    #[must_use]
    pub fn part(&self) -> &str {
        match self {
            Self::Container(_) => "",
            Self::Source { place: SourcePlace::File { path, .. } | SourcePlace::Gone { path }, .. } => path,
            Self::Source { place: SourcePlace::Known | SourcePlace::Journal { .. }, .. } => "",
        }
    }

    /// Whether this one takes the place of the other one.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.source() == other.source() && self.part() == other.part()
    }

    /// The position in the log of a container, if it is one.
    #[must_use]
    pub fn of_container(&self) -> Option<&ContainerPosition> {
        match self {
            Self::Container(position) => Some(position),
            Self::Source { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_what_its_text_says() {
        let sources = [
            SourceId::Container,
            SourceId::Stdin,
            SourceId::Files("/srv/a:b/**/*.jsonl".to_owned()),
            SourceId::Journal("agent@1.service".to_owned()),
        ];
        for source in sources {
            assert_eq!(SourceId::parse(&source.to_string()), Some(source));
        }
        for other in ["", "files", "stdin:", "mail:x"] {
            assert_eq!(SourceId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn one_place_takes_that_of_another_in_the_same_part_of_the_same_source() {
        let at = |pattern: &str, place| LogPosition::Source {
            source: SourceId::Files(pattern.to_owned()),
            place,
            at: Wall(0),
        };
        let file = |path: &str| SourcePlace::File { path: path.to_owned(), file: (1, 2), offset: 3 };
        let one = at("/a/*", file("/a/x"));
        assert!(at("/a/*", SourcePlace::Gone { path: "/a/x".to_owned() }).replaces(&one));
        assert!(!at("/a/*", file("/a/y")).replaces(&one));
        assert!(!at("/a", file("/a/x")).replaces(&one));
        assert!(!at("/a/*", SourcePlace::Known).replaces(&one));
    }
}
