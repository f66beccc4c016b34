//! The name of a process that makes things which outlive it, so that a later one can tell whether it still lives.
//!
//! A name holds the machine, the run of its kernel, the namespace of its process ids, the id and the start time.
//! It must not be called gone unless that is certain: of a process on another machine, or in another namespace,
//! nothing is known from here.
//!
//! Tests: below.

use std::fmt;

use rustix::process::Pid;

use super::table::{self, Entry};

/// A process by a name that is never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Empty where the machine has no name.
    machine: String,
    boot: String,
    namespace: String,
    pid: i32,
    started_at: u64,
}

impl Maker {
    /// This process; `None` if `/proc` cannot be read.
    #[must_use]
    pub fn own() -> Option<Self> {
        let entry = Entry::of(rustix::process::getpid())?;
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            machine: std::fs::read_to_string("/etc/machine-id").map(|id| id.trim().to_owned()).unwrap_or_default(),
            boot: table::boot_id(),
            namespace: namespace.to_string_lossy().into_owned(),
            pid: entry.pid.as_raw_nonzero().get(),
            started_at: entry.started_at,
        })
    }

    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(str::to_owned);
        let mut part = || parts.next();
        let (machine, boot, namespace) = (part()?, part()?, part()?);
        let (pid, started_at) = (part()?.parse().ok()?, part()?.parse().ok()?);
        parts.next().is_none().then_some(Self { machine, boot, namespace, pid, started_at })
    }

    /// Whether that process has certainly ended, as far as this one can tell.
    #[must_use]
    pub fn saw_the_end_of(&self, other: &Self) -> bool {
        if self.boot != other.boot {
            return !self.machine.is_empty() && self.machine == other.machine;
        }
        let entry = || Pid::from_raw(other.pid).and_then(Entry::of);
        self.namespace == other.namespace
            && entry().is_none_or(|entry| !entry.is_alive || entry.started_at != other.started_at)
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.machine, self.boot, self.namespace, self.pid, self.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_anything_else_is_none() {
        let own = Maker::own().unwrap();
        assert_eq!(Maker::read(&own.to_string()), Some(own.clone()));
        for bad in ["", "a/b/c/1", "a/b/c/x/1", "a/b/c/1/2/3", "1/2"] {
            assert_eq!(Maker::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_has_certainly_ended_is_gone() {
        let own = Maker { machine: "m".to_owned(), ..Maker::own().unwrap() };
        assert!(!own.saw_the_end_of(&own), "it is alive");
        let earlier = Maker { started_at: own.started_at + 1, ..own.clone() };
        assert!(own.saw_the_end_of(&earlier), "its number belongs to another process");
        let nobody = Maker { pid: i32::MAX, ..own.clone() };
        assert!(own.saw_the_end_of(&nobody));
        let elsewhere = Maker { namespace: "pid:[1]".to_owned(), ..nobody.clone() };
        assert!(!own.saw_the_end_of(&elsewhere), "its number means nothing here");
        let before = Maker { boot: "another".to_owned(), ..own.clone() };
        assert!(own.saw_the_end_of(&before), "the machine was started again since");
        let stranger = Maker { machine: "another".to_owned(), ..before.clone() };
        assert!(!own.saw_the_end_of(&stranger), "that machine may still run it");
        let nameless = Maker { machine: String::new(), ..own };
        assert!(!nameless.saw_the_end_of(&Maker { machine: String::new(), ..before }));
    }
}
