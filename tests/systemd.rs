//! The unit file and the binary under a real systemd, in a container of its own.
//!
//! Needs a Docker Engine and the image that `scripts/systemd-image` makes; `scripts/test` sees to both.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

const IMAGE: &str = "switchman-systemd:1";
const BINARY: &str = env!("CARGO_BIN_EXE_switchman");
const UNIT: &str = include_str!("../systemd/switchman.service");

const CONFIG: &str = r#"
[[subscription]]
name = "max-a"
provider = "anthropic"
type = "setup-token"
credential = { file = "/etc/switchman/credentials/max-a" }

[[agent]]
name = "worker"
tool = "claude-code"
process = { command = ["/opt/agent.sh"] }
delivery = { env = "CLAUDE_CODE_OAUTH_TOKEN" }
"#;

const AGENT: &str = "#!/bin/sh\necho agent is up\nexec sleep 86400\n";

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("failed to run {command:?}: {error}; run scripts/test"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>, mode: u32) {
    let path = root.join(path);
    let folder = path.parent().expect("a file in a folder");
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).expect("a new folder");
    std::fs::write(&path, content).expect("a new file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// A machine with systemd as its first process; gone when dropped.
struct Machine {
    id: String,
}

impl Machine {
    fn boot() -> Self {
        let mut command = Command::new("docker");
        command.args(["run", "-d", "--network", "none", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
        command.args(["--security-opt", "apparmor=unconfined", "--security-opt", "seccomp=unconfined"]);
        command.args(["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"]);
        command.args(["-v", "/sys/fs/cgroup:/sys/fs/cgroup", "-e", "container=docker"]);
        command.args([IMAGE, "/lib/systemd/systemd"]);
        let started = run(&mut command);
        assert!(started.status.success(), "failed to boot {IMAGE} (run scripts/systemd-image): {}", text(&started));
        let machine = Self { id: String::from_utf8_lossy(&started.stdout).trim().to_owned() };
        // `--wait` answers when the boot has ended, but not before there is somebody to ask.
        let booted = machine.sh("timeout 60 sh -c 'until [ -S /run/systemd/private ]; do sleep 0.1; done; \
             systemctl is-system-running --wait'");
        let state = text(&booted);
        assert!(["running\n", "degraded\n"].contains(&&*state), "systemd did not come up: {state}");
        machine
    }

    fn sh(&self, script: &str) -> Output {
        run(Command::new("docker").args(["exec", &self.id, "sh", "-c", script]))
    }

    /// What a script prints, which must succeed.
    fn told(&self, script: &str) -> String {
        let output = self.sh(script);
        assert!(output.status.success(), "{script}: {}\n{}", text(&output), self.journal());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Copies the content of a folder over the root of the machine.
    fn copy(&self, folder: &Path) {
        let source = format!("{}/.", folder.display());
        let copied = run(Command::new("docker").args(["cp", &source, &format!("{}:/", self.id)]));
        assert!(copied.status.success(), "{}", text(&copied));
    }

    fn property(&self, name: &str) -> String {
        self.told(&format!("systemctl show -P {name} switchman")).trim().to_owned()
    }

    fn journal(&self) -> String {
        text(&self.sh("journalctl --sync; journalctl --no-pager -u switchman"))
    }

    /// The entries of the journal that match, as their fields.
    fn entries(&self, filter: &str) -> Vec<serde_json::Value> {
        let lines = self.told(&format!("journalctl --sync; journalctl -o json -u switchman {filter}"));
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.id]).output();
    }
}

#[test]
fn the_unit_file_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("switchman.service");
    assert!(UNIT.contains("ExecStart=/usr/bin/switchman run\n"));
    std::fs::write(&unit, UNIT.replace("/usr/bin/switchman", BINARY)).expect("a copy of the unit");
    let verified = run(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(verified.status.success() && text(&verified).is_empty(), "{}", text(&verified));
}

/// `systemctl reload` has the config read, and the service manager is told when that is over and what came of it.
fn reloads(machine: &Machine) {
    let follow = |event: &str| {
        let journal = format!("journalctl -f -n all -o json -u switchman SWITCHMAN_EVENT={event}");
        let line = machine.told(&format!("timeout 30 sh -c '{journal} | head -n 1'"));
        serde_json::from_str::<serde_json::Value>(&line).expect(&line)
    };
    let is_over =
        "timeout 30 sh -c 'until [ $(systemctl show -P ActiveState switchman) = active ]; do sleep 0.1; done'";
    let pids = (machine.property("MainPID"), machine.told("pgrep -x sleep"));
    machine.told("printf '%s\\n' 'drain = \"7s\"' >> /etc/switchman/config.toml && systemctl reload switchman");
    let reloaded = follow("daemon.reloaded");
    assert_eq!(
        (&reloaded["SWITCHMAN_AGENTS_CHANGED"], &reloaded["SWITCHMAN_CAUSE"]),
        (&"worker".into(), &"signal".into())
    );
    machine.told(is_over);
    assert!(!machine.property("StatusText").contains("not what runs"));

    machine.told("printf '%s\\n' 'drain = \"8s\"' >> /etc/switchman/config.toml && systemctl reload switchman");
    let rejected = follow("config.rejected");
    assert!(rejected["SWITCHMAN_REASON"].as_str().is_some_and(|why| why.contains("duplicate key")), "{rejected}");
    machine.told("timeout 30 sh -c 'until systemctl show -P StatusText switchman | grep -q \"not what runs\"; do sleep 0.1; done'");
    machine.told(is_over);
    assert_eq!((machine.property("MainPID"), machine.told("pgrep -x sleep")), pids, "nobody was restarted");
}

#[test]
fn the_service_starts_reports_itself_and_stops_cleanly() {
    let machine = Machine::boot();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    write(root, "usr/bin/switchman", std::fs::read(BINARY).expect("the binary"), 0o755);
    write(root, "etc/systemd/system/switchman.service", UNIT, 0o644);
    write(root, "etc/switchman/config.toml", CONFIG, 0o644);
    write(root, "etc/switchman/credentials/max-a", "secret-of-max-a\n", 0o600);
    write(root, "opt/agent.sh", AGENT, 0o755);
    machine.copy(root);
    machine.told("systemctl daemon-reload");

    // With Type=notify this returns when READY=1 has been said.
    machine.told("systemctl start switchman");
    assert_eq!(machine.property("ActiveState"), "active");
    assert_ne!(machine.property("StatusText"), "", "it says how it is");
    let ready = machine.entries("SWITCHMAN_EVENT=daemon.ready");
    assert_eq!(ready.len(), 1, "{}", machine.journal());
    assert_eq!(ready[0]["SYSLOG_IDENTIFIER"], "switchman");
    assert!(ready[0]["MESSAGE"].as_str().is_some_and(|line| line.starts_with("daemon.ready ")), "{ready:?}");
    // The agent's own lines arrive some time after the daemon is ready: the journal is followed until one does.
    let output = "journalctl -f -n all -o json -u switchman SWITCHMAN_AGENT=worker SWITCHMAN_EVENT=agent.output";
    let line = machine.told(&format!("timeout 30 sh -c '{output} | head -n 1'"));
    let line: serde_json::Value = serde_json::from_str(&line).expect(&line);
    assert_eq!(line["SWITCHMAN_TEXT"], "agent is up", "{line}");
    assert!(!machine.journal().contains("secret-of-max-a"));

    reloads(&machine);

    machine.told("systemctl stop switchman");
    assert_eq!(machine.property("Result"), "success");
    assert_eq!(machine.property("ExecMainStatus"), "0");
    assert_eq!(machine.entries("SWITCHMAN_EVENT=daemon.stopping").len(), 1, "{}", machine.journal());
    assert!(!machine.sh("pgrep -x sleep").status.success(), "the agent lives and dies with the daemon");

    // A config that is not valid is not tried again.
    write(root, "etc/switchman/config.toml", "[[agent]]\nnmae = \"worker\"\n", 0o644);
    machine.copy(root);
    assert!(!machine.sh("systemctl start switchman").status.success());
    assert_eq!(machine.property("ExecMainStatus"), "78", "{}", machine.journal());
    assert_eq!((machine.property("ActiveState"), machine.property("NRestarts")), ("failed".into(), "0".into()));
}
