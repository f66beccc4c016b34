//! Who is at the other end of a connection, as the kernel says it.

use tokio::net::UnixStream;

use crate::domain::AgentName;

/// The process that opened a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process id; absent if it lives where ours are not seen.
    pub pid: Option<i32>,
    /// The same for the audit trail: `uid 1000 pid 4711`.
    pub sender: String,
    /// The agent that it speaks for, and for no other: it came in by that agent's own socket.
    pub agent: Option<AgentName>,
}

impl Peer {
    /// Asks the kernel; `agent` is whose own socket it is.
    pub(super) fn of(stream: &UnixStream, agent: Option<AgentName>) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        // Zero is what a process in a namespace that we cannot see into looks like.
        let pid = credentials.pid().filter(|pid| *pid > 0);
        let uid = credentials.uid();
        let sender = pid.map_or_else(|| format!("uid {uid}"), |pid| format!("uid {uid} pid {pid}"));
        let sender = match &agent {
            Some(agent) => format!("agent {agent}, {sender}"),
            None => sender,
        };
        Ok(Self { uid, gid: credentials.gid(), pid, sender, agent })
    }

    /// The process group that it is in now; absent if it has ended.
    pub(super) fn process_group(&self) -> Option<i32> {
        let group = rustix::process::getpgid(Some(rustix::process::Pid::from_raw(self.pid?)?)).ok()?;
        Some(group.as_raw_nonzero().get())
    }
}
