//! What systemd is told: ready, stopping, a status line, and that the daemon is alive.
//!
//! Without a service manager everything here does nothing. It must not read the environment: whoever starts the
//! process passes the values in (and takes them out of the environment of child processes). A message that cannot
//! be sent is no reason to stop.
//!
//! Tests: below, against a socket of the test's own; `tests/systemd.rs` with a real systemd.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::ports::clock::Clock;

/// The variables that are between the service manager and this process only.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The longest that a message may wait for the service manager to take it.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// What the service manager left in the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The value of `NOTIFY_SOCKET`: a path, or `@` and a name in the abstract namespace.
    pub notify_socket: Option<OsString>,
    /// The value of `WATCHDOG_USEC`.
    pub watchdog_usec: Option<String>,
    /// The value of `WATCHDOG_PID`: the process that is watched, if it says so.
    pub watchdog_pid: Option<String>,
}

/// The connection to the service manager, or to nobody.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Connects to the service manager that the environment names; to nobody if it names none.
    pub fn connect(environment: &Environment, pid: u32) -> io::Result<Self> {
        let Some(name) = environment.notify_socket.as_ref().filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        let is_ours = environment.watchdog_pid.as_ref().is_none_or(|watched| *watched == pid.to_string());
        let watchdog = environment.watchdog_usec.as_ref().filter(|_| is_ours).and_then(|usec| usec.parse().ok());
        Ok(Self { socket: Some(socket), watchdog: watchdog.filter(|usec| *usec > 0).map(Duration::from_micros) })
    }

    /// The daemon takes work.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// The config is being read again; `monotonic_usec` is the time on `CLOCK_MONOTONIC`, by which the service manager
    /// tells this from an earlier one. [`ServiceManager::ready`] ends it.
    pub fn reloading(&self, monotonic_usec: u64) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_usec}"));
    }

    /// The daemon ends, on its own or because it was told to.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// The line that `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// How often the service manager wants to hear that the daemon is alive; `None` if it does not.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        // Half of the limit, as the manual asks: one sign of life may come late.
        self.watchdog.map(|limit| limit / 2)
    }

    /// Gives signs of life for as long as `is_alive` answers "yes" in time; runs for ever. A "no", or no answer
    /// within the interval, gives no sign: when that lasts, the service manager ends the daemon and starts it again.
    pub async fn watch<F, A>(&self, clock: &dyn Clock, is_alive: F)
    where
        F: Fn() -> A + Send + Sync,
        A: Future<Output = bool> + Send,
    {
        let Some(interval) = self.watchdog_interval() else {
            return std::future::pending().await;
        };
        loop {
            let is_alive = tokio::select! {
                is_alive = is_alive() => is_alive,
                () = clock.sleep(interval) => false,
            };
            if is_alive {
                self.send("WATCHDOG=1");
            }
            clock.sleep(interval).await;
        }
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!("failed to tell the service manager {:?}: {error}", one_line(message));
        }
    }
}

/// A message has one variable per line: a line break in a value would begin another variable.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::domain::Wall;
    use crate::drivers::fake::clock::TestClock;

    struct Manager {
        _dir: tempfile::TempDir,
        socket: UnixDatagram,
        environment: Environment,
    }

    fn manager(watchdog: Option<&str>) -> Manager {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let environment = Environment {
            notify_socket: Some(path.into_os_string()),
            watchdog_usec: watchdog.map(str::to_owned),
            watchdog_pid: Some("42".to_owned()),
        };
        Manager { _dir: dir, socket, environment }
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut messages = Vec::new();
        let mut bytes = [0; 512];
        while let Ok(length) = socket.recv(&mut bytes) {
            messages.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
        }
        messages
    }

    #[test]
    fn it_says_ready_and_stopping_with_a_status_of_one_line() {
        let manager = manager(None);
        let service = ServiceManager::connect(&manager.environment, 42).unwrap();
        service.ready("2 agents");
        service.status("engine lost:\nno such file\nREADY=1");
        service.stopping("SIGTERM");
        assert_eq!(
            heard(&manager.socket),
            ["READY=1\nSTATUS=2 agents", "STATUS=engine lost: no such file READY=1", "STOPPING=1\nSTATUS=SIGTERM"]
        );
    }

    #[test]
    fn an_abstract_socket_is_found() {
        let name = format!("switchman-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let environment = Environment { notify_socket: Some(format!("@{name}").into()), ..Environment::default() };
        ServiceManager::connect(&environment, 1).unwrap().ready("up");
        socket.set_nonblocking(true).unwrap();
        assert_eq!(heard(&socket), ["READY=1\nSTATUS=up"]);
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        let service = ServiceManager::connect(&Environment::default(), 1).unwrap();
        service.ready("up");
        assert_eq!(service.watchdog_interval(), None);
    }

    #[test]
    fn a_socket_that_is_gone_is_an_error_at_the_start_and_none_later() {
        let manager = manager(None);
        let service = ServiceManager::connect(&manager.environment, 42).unwrap();
        drop(manager.socket);
        service.status("nobody listens");
        assert!(ServiceManager::connect(&manager.environment, 42).is_err());
    }

    #[test]
    fn the_watchdog_is_ours_only_if_it_names_us() {
        let manager = manager(Some("30000000"));
        let interval = |pid| ServiceManager::connect(&manager.environment, pid).unwrap().watchdog_interval();
        assert_eq!(interval(42), Some(Duration::from_secs(15)));
        assert_eq!(interval(43), None);
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_end_with_the_life() {
        let manager = manager(Some("30000000"));
        let service = ServiceManager::connect(&manager.environment, 42).unwrap();
        let clock = TestClock::new(Wall(0));
        let (is_alive, is_stuck) = (AtomicBool::new(true), AtomicBool::new(false));
        let check = || async {
            if is_stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            is_alive.load(Ordering::SeqCst)
        };
        let watch = service.watch(&clock, check);
        tokio::pin!(watch);
        let mut minute = async || {
            tokio::select! {
                () = &mut watch => {}
                () = clock.sleep(Duration::from_secs(60) - Duration::from_millis(1)) => {}
            }
            heard(&manager.socket)
        };
        assert_eq!(minute().await, ["WATCHDOG=1"; 4]);
        is_alive.store(false, Ordering::SeqCst);
        assert!(minute().await.is_empty());
        is_alive.store(true, Ordering::SeqCst);
        assert!(!minute().await.is_empty());
        is_stuck.store(true, Ordering::SeqCst);
        assert!(minute().await.is_empty());
    }
}
