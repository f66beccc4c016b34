//! The agent program of `examples/agent.rs`, built, and how to talk to one that runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// No fact that a test waits for takes longer than this on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The built program. Cargo builds examples along with tests, unless one test was asked for by name.
pub(crate) fn agent_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent).unwrap().join("examples/agent");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/agent.rs");
    let changed = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    if changed(&program) < changed(&source) {
        let status = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "agent"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "failed to build the agent program");
    }
    assert!(program.exists(), "{} is not there; run: cargo build --example agent", program.display());
    program
}

/// Looks again and again until the fact is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(fact) = look().await {
                return fact;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it did not come true: {what}"))
}

/// Gives a command to a running agent through its control socket; resolves when it has taken effect. The answer
/// is empty if the agent exited upon it.
pub(crate) async fn command(control: &Path, command: &str) -> String {
    let stream = eventually("the agent takes commands", async || UnixStream::connect(control).await.ok()).await;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _exited = tokio::time::timeout(PATIENCE, BufReader::new(read).read_line(&mut answer)).await.unwrap();
    answer.trim_end().to_owned()
}
