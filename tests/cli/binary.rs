//! The binary, run with nothing of this process's own settings.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// How a run went.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Everything at once, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let code = self.code.map_or("signal".to_owned(), |code| code.to_string());
        format!("{}--- stderr\n{}--- exit {code}", self.out, self.err)
    }

    /// Standard output as a document; standard error has to be empty.
    pub(crate) fn document(&self) -> Value {
        assert_eq!((self.code, &*self.err), (Some(0), ""), "{}", self.out);
        serde_json::from_str(&self.out).unwrap_or_else(|err| panic!("{err}: {}", self.out))
    }

    /// Standard error as a problem document.
    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(&self.err).unwrap_or_else(|err| panic!("{err}: {}", self.err))
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchman"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["SWITCHMAN_CONFIG", "SWITCHMAN_SOCKET", "SWITCHMAN_LEASE", "SWITCHMAN_MAX_A", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    Ran::of(&command(arguments).output().expect("the binary runs"))
}

/// Runs it with this on standard input.
pub(crate) fn run_fed(arguments: &[&str], input: &str) -> Ran {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    Ran::of(&child.wait_with_output().expect("it ends"))
}
