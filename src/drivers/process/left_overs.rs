//! Children of a daemon that was killed: found, and ended before new ones start.
//!
//! It must not end a stranger. A process is ours if the environment it was started with names our owner and an
//! agent, or if our note names its id *and* its start time; with the latter its whole group is ours. A signal
//! goes through a process descriptor that was opened before the start time was compared.
//!
//! Tests: `tests/runtime_conformance/process_children.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::record::Records;
use super::table::{self, Entry};
use super::{AGENT_VARIABLE, OWNER_VARIABLE};
use crate::domain::AgentName;
use crate::ports::clock::Clock;

const FIRST_CHECK: Duration = Duration::from_millis(5);
const LONGEST_CHECK: Duration = Duration::from_millis(200);
/// After KILL; only a process that the kernel holds takes longer.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// A process that an earlier daemon left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOver {
    /// Whose child it was.
    pub agent: AgentName,
    /// Its process id.
    pub pid: i32,
    /// Clock ticks between boot and its start.
    pub started_at: u64,
}

impl LeftOver {
    /// Whether it is still there.
    pub(super) fn is_there(&self) -> bool {
        let entry = Pid::from_raw(self.pid).and_then(Entry::of);
        entry.is_some_and(|entry| entry.is_alive && entry.started_at == self.started_at)
    }
}

/// What became of the left-overs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// They were found and have ended.
    pub ended: Vec<LeftOver>,
    /// They were found and could not be ended: the kernel holds them, or they changed their user.
    pub remaining: Vec<LeftOver>,
}

type Found = BTreeMap<(i32, u64), (Pid, AgentName)>;

/// Ends everything an earlier daemon of this owner left: TERM, the grace, KILL.
pub(super) async fn end_all(records: &Records, owner: &str, grace: Duration, clock: &dyn Clock) -> Recovered {
    let kill_at = clock.now().due_after(grace);
    let give_up_at = clock.now().due_after(grace.saturating_add(KILL_GRACE));
    let mut check = FIRST_CHECK;
    let mut seen = Found::new();
    loop {
        let now_there = look(records, owner).await;
        let now = clock.now();
        if now_there.is_empty() || give_up_at.is_past(now) {
            let (remaining, ended) = seen.into_iter().partition(|(key, _)| now_there.contains_key(key));
            for record in records.all() {
                if !now_there.values().any(|(_, agent)| agent.as_str() == record.agent) {
                    records.forget(&record.agent, &record.pid.to_string());
                }
            }
            return Recovered { ended: named(ended), remaining: named(remaining) };
        }
        for (key, (pid, agent)) in now_there {
            if kill_at.is_past(now) {
                signal(pid, key.1, Signal::KILL);
            } else if !seen.contains_key(&key) {
                signal(pid, key.1, Signal::TERM);
            }
            seen.insert(key, (pid, agent));
        }
        clock.sleep(check).await;
        check = (check * 2).min(LONGEST_CHECK);
    }
}

fn named(found: Found) -> Vec<LeftOver> {
    found.into_iter().map(|((pid, started_at), (_, agent))| LeftOver { agent, pid, started_at }).collect()
}

async fn look(records: &Records, owner: &str) -> Found {
    let (records, owner) = (records.clone(), owner.to_owned());
    tokio::task::spawn_blocking(move || find(&records, &owner)).await.unwrap_or_default()
}

fn find(records: &Records, owner: &str) -> Found {
    let own = rustix::process::getpid();
    let everything: Vec<Entry> =
        table::everything().into_iter().filter(|entry| entry.is_alive && entry.pid != own).collect();
    let mut found = Found::new();
    for entry in &everything {
        if let Some(agent) = marked(entry.pid, owner) {
            found.insert(key(entry), (entry.pid, agent));
        }
    }
    for record in records.all() {
        let is_it = |entry: &&Entry| key(entry) == (record.pid, record.started_at);
        if record.owner != owner || everything.iter().find(is_it).is_none() {
            continue;
        }
        for entry in everything.iter().filter(|entry| entry.group == record.pid) {
            found.insert(key(entry), (entry.pid, AgentName::new(record.agent.as_str())));
        }
    }
    found
}

fn key(entry: &Entry) -> (i32, u64) {
    (entry.pid.as_raw_nonzero().get(), entry.started_at)
}

fn marked(pid: Pid, owner: &str) -> Option<AgentName> {
    let environment = table::environment(pid)?;
    (table::variable(&environment, OWNER_VARIABLE)? == owner.as_bytes()).then_some(())?;
    let agent = table::variable(&environment, AGENT_VARIABLE)?;
    Some(AgentName::new(String::from_utf8_lossy(agent).into_owned()))
}

fn signal(pid: Pid, started_at: u64, signal: Signal) {
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    if Entry::of(pid).is_some_and(|entry| entry.started_at == started_at) {
        // An error means that it has ended, or that it is not ours to signal: the next look tells.
        let _look_again = rustix::process::pidfd_send_signal(handle, signal).is_err();
    }
}
