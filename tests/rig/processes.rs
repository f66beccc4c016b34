//! The agents of one daemon that run on this machine, found the way a stranger would find them.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process that carries the marks of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentProcess {
    pub(crate) pid: i32,
    pub(crate) environment: BTreeMap<String, String>,
}

impl AgentProcess {
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).map_or("", String::as_str)
    }

    /// Ends it as the kernel does.
    pub(crate) fn kill(&self) {
        let _has_ended = Pid::from_raw(self.pid).map(|pid| kill_process(pid, Signal::KILL).is_err());
    }
}

/// All children that daemons behind this socket have started and that are alive.
pub(crate) fn agents_of(socket: &Path) -> Vec<AgentProcess> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let agent = |pid: i32| {
        // Nothing can be read of one that has just ended, and a zombie has no environment.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let environment: BTreeMap<String, String> = environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| {
                String::from_utf8_lossy(entry).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))
            })
            .collect();
        let is_ours = environment.get("SWITCHMAN_SOCKET").is_some_and(|of| Path::new(of) == socket);
        let is_dead = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])));
        (is_ours && !is_dead && environment.contains_key("SWITCHMAN_AGENT"))
            .then_some(AgentProcess { pid, environment })
    };
    pids.filter_map(agent).collect()
}

/// The arguments of a process, for whoever looks whether they hold a secret.
pub(crate) fn arguments_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
