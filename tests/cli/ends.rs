//! How a run ends when it does not go well: usage, no daemon, a strange daemon, nobody who reads.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::binary::{Ran, command, run};
use crate::documents::{agents, subscriptions};
use crate::script::Script;

#[test]
fn wrong_usage_ends_with_two() {
    for line in [&[][..], &["nonsense"], &["status", "--nonsense"], &["report", "a"], &["status", "--watch", "--json"]]
    {
        let ran = run(line);
        assert!(ran.code == Some(2) && ran.out.is_empty() && !ran.err.is_empty(), "{line:?}: {}", ran.shown());
    }
    let ran = run(&["report", "a", "--kind", "x", "--json"]);
    assert_eq!((ran.code, &ran.problem()["code"]), (Some(2), &json!("usage")));
    assert!(
        ran.problem()["detail"].as_str().unwrap().starts_with("invalid value 'x' for '--kind <KIND>'"),
        "{}",
        ran.err
    );
}

#[test]
fn help_and_version_are_done() {
    assert!(run(&["--help"]).out.contains("Exit codes:"));
    let ran = run(&["--version"]);
    assert_eq!(ran.shown(), format!("switchman {}\n--- stderr\n--- exit 0", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_daemon_ends_with_69_and_says_which_socket_was_tried() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s").display().to_string();
    for line in [
        "status",
        "explain a",
        "report a --kind auth",
        "switch a",
        "pause",
        "resume a",
        "pin a s",
        "unpin a",
        "unpark a",
        "cooldown list",
        "history",
    ] {
        let words: Vec<_> = ["--socket", &socket].into_iter().chain(line.split(' ')).collect();
        let ran = run(&words);
        let expected = format!(
            "--- stderr\nswitchman: the daemon is not reachable at {socket}: No such file or directory (os error 2) \
             (daemon_unreachable)\n    hint: start it with `systemctl start switchman` or `switchman run`, or name its \
             socket with --socket (the socket is that of --socket or SWITCHMAN_SOCKET)\n--- exit 69"
        );
        assert_eq!(ran.shown(), expected, "{line}");
    }
    // Somebody was there and is gone.
    drop(UnixListener::bind(&socket).unwrap());
    let ran = run(&["--json", "--socket", &socket, "status"]);
    assert_eq!((ran.code, &ran.problem()["code"]), (Some(69), &json!("daemon_unreachable")));
    assert!(ran.err.contains("Connection refused"), "{}", ran.err);
}

#[test]
fn the_socket_is_that_of_the_config_even_if_the_rest_is_wrong() {
    let script = Script::new().answers("GET /v1/switches?limit=20", 200, &json!({"switches": [], "next": null}));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    std::fs::write(&config, format!("nonsense = 1\n[api]\nsocket = {:?}\n", script.socket())).unwrap();
    let ran = run(&["history", "--config", config.to_str().unwrap()]);
    assert_eq!(ran.shown(), "no switches\n--- stderr\n--- exit 0");
    // What is named beats it.
    let mut command = command(&["history", "--config", config.to_str().unwrap()]);
    let ran = Ran::of(&command.env("SWITCHMAN_SOCKET", "/nowhere/s").output().unwrap());
    assert!(ran.code == Some(69) && ran.err.contains("/nowhere/s"), "{}", ran.shown());
}

#[test]
fn an_answer_that_is_none_of_ours_is_not_the_daemon() {
    for (bytes, code) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"[..], 69),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 69),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"agents\"", 69),
        (b"", 69),
        (b"HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\noops", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"switches\":1}", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\n{\"switches\":[{}], \"next\": null}", 1),
    ] {
        let script = Script::new().answers_raw("GET /v1/switches?limit=20", bytes.to_vec());
        let ran = script.run("history");
        let shown = String::from_utf8_lossy(bytes);
        assert!(
            ran.code == Some(code) && ran.out.is_empty() && ran.err.starts_with("switchman: "),
            "{shown}: {}",
            ran.shown()
        );
    }
}

#[test]
fn a_socket_that_may_not_be_opened_says_who_may() {
    let script = Script::new();
    std::fs::set_permissions(script.socket(), std::fs::Permissions::from_mode(0o000)).unwrap();
    let ran = if rustix::process::geteuid().is_root() {
        // Root may open everything: as somebody else, then, from a place where that one may go.
        let directory = std::path::PathBuf::from(script.socket()).parent().unwrap().to_owned();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let binary = directory.join("switchman");
        // By a process of its own: a file that this one had open for writing might be busy when it is to run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_switchman")).arg(&binary).status().unwrap();
        assert!(copied.success());
        let mut command = Command::new(&binary);
        Ran::of(&command.uid(65_534).args(["--socket", &script.socket(), "status"]).output().unwrap())
    } else {
        script.run("status")
    };
    assert!(ran.code == Some(69) && ran.err.contains("join that group, or use sudo"), "{}", ran.shown());
    // The script itself has to get in once more, to be told that it is over.
    std::fs::set_permissions(script.socket(), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let script = Script::new()
        .answers("GET /v1/agents", 200, &agents())
        .answers("GET /v1/subscriptions", 200, &subscriptions())
        .answers("GET /readyz", 200, &json!({}));
    let socket = script.socket();
    for line in [
        &["--help"][..],
        &["--socket", &socket, "status"],
        &["--socket", &socket, "--json", "status"],
        &["--socket", &socket, "status", "--watch"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(line).stdout(Stdio::from(writer)).stderr(Stdio::piped()).output().unwrap();
        let ran = Ran::of(&output);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{line:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["--version"]).stdout(Stdio::from(full)).stderr(Stdio::piped()).output().unwrap();
    let ran = Ran::of(&output);
    assert!(ran.code == Some(1) && ran.err.starts_with("switchman: cannot write the output: "), "{}", ran.shown());
}

#[test]
fn more_is_said_if_asked_for() {
    let script = Script::new().answers("GET /v1/switches?limit=20", 200, &json!({"switches": [], "next": null}));
    let ran = script.run("-v history");
    let expected = format!("> GET /v1/switches?limit=20 ({})\n< 200 OK\n", script.socket());
    assert_eq!((ran.code, ran.err), (Some(0), expected));
}
