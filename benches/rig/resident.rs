//! How much memory this process takes, and how to run a measurement in a process of its own, so that no allocator
//! has seen the one before.

use std::process::Command;

/// Resident memory, in KiB.
pub(crate) fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB")
}

/// Runs this program again with one argument; what it prints is its figure.
pub(crate) fn in_a_child(what: &str) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).args(["--child", what]).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    text.trim().parse().unwrap_or_else(|_| panic!("{what} printed no figure: {text}"))
}

/// What this process was asked to measure, if it is a child.
pub(crate) fn asked() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--child");
    arguments.nth(1)
}
