//! What the kernel's process table says.
//!
//! Process ids are used again, so a process is named by its id *and* its start time. Everything here is a
//! snapshot: a process that ends while it is being read is simply not there.
//!
//! Tests: below.

use std::os::unix::fs::MetadataExt;

use rustix::process::Pid;

/// A process at the time it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: Pid,
    pub(super) group: i32,
    /// Clock ticks between boot and its start.
    pub(super) started_at: u64,
    /// False for a zombie: it has ended and waits to be reaped.
    pub(super) is_alive: bool,
}

impl Entry {
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let text = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Self::parse(pid, &text)
    }

    /// The second field, the program's name, is in brackets and can hold anything, brackets included.
    fn parse(pid: Pid, stat: &[u8]) -> Option<Self> {
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            pid,
            is_alive: !matches!(*fields.first()?, "Z" | "X" | "x"),
            group: fields.get(2)?.parse().ok()?,
            started_at: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Every process that can be seen.
pub(super) fn everything() -> Vec<Entry> {
    let Ok(proc) = std::fs::read_dir("/proc") else { return Vec::new() };
    proc.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter_map(Entry::of)
        .collect()
}

/// Whether anything of this process group still runs.
pub(super) fn group_is_alive(group: Pid) -> bool {
    everything().iter().any(|entry| entry.is_alive && entry.group == group.as_raw_nonzero().get())
}

/// The environment a process of our own user was started with; `None` if it may not be known.
pub(super) fn environment(pid: Pid) -> Option<Vec<u8>> {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let owner = std::fs::metadata(&folder).ok()?.uid();
    (owner == rustix::process::geteuid().as_raw()).then_some(())?;
    std::fs::read(format!("{folder}/environ")).ok()
}

/// The value of a variable in an environment as the kernel shows it.
pub(super) fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")))
}

/// Which run of the kernel this is: start times of different ones cannot be compared.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_call_itself_anything() {
        let pid = Pid::from_raw(7).unwrap();
        let stat = b"7 (a) Z (b) ) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 1 1\n";
        let expected = Entry { pid, group: 42, started_at: 123_456, is_alive: true };
        assert_eq!(Entry::parse(pid, stat), Some(expected));
        assert_eq!(Entry::parse(pid, b"7 (a) S 1"), None);
        assert_eq!(Entry::parse(pid, b""), None);
    }

    #[test]
    fn we_find_ourselves() {
        let own = Entry::of(rustix::process::getpid()).unwrap();
        assert!(own.is_alive && own.started_at > 0);
        assert!(everything().contains(&own));
        assert!(environment(own.pid).is_some());
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = b"XA=1\0A=2\0AB=3\0";
        assert_eq!(variable(environment, "A"), Some(&b"2"[..]));
        assert_eq!(variable(environment, "B"), None);
    }
}
