//! The agent of the demo: a turn every half second, printed the way the tools print theirs, on whatever credential
//! it was started with. Its provider is a folder: a subscription is limited while a file with its credential's name
//! is there.
//!
//! In a container it also has turns out when the limit is hit: each prints the record that Claude Code prints then, all
//! of them at once, and after that it has nothing to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Environment, Output};
use crate::error::{Exit, Failure};

const TURN_EVERY: Duration = Duration::from_millis(500);
/// When the limit that was hit ends.
const RESETS_AFTER: Duration = Duration::from_secs(4 * 60 * 60);

/// What it is started with.
#[derive(Debug, Args)]
pub(in crate::cli) struct Work {
    /// The folder that stands for the provider.
    provider: PathBuf,
    /// The file with the credential; without it, `DEMO_CREDENTIAL` holds it.
    #[arg(long)]
    credential_file: Option<PathBuf>,
    /// So many turns fail at once when the limit is hit.
    #[arg(long, default_value_t = 0)]
    turns_out: usize,
}

fn cannot_begin(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "no_runtime", format!("cannot begin: {why}"))
}

/// Works until it is ended.
///
/// # Errors
/// If it was started without a credential, or nobody reads what it prints.
pub(in crate::cli) fn work(environment: &Environment, work: &Work, output: &mut Output) -> Result<(), Failure> {
    let limit = work.provider.join(credential(environment, work.credential_file.as_deref())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_begin)?;
    runtime.block_on(async {
        // The first process of a container does not end by a signal that it does not take.
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot_begin)?;
        tokio::select! {
            failed = turns(environment, &limit, work.turns_out, output) => failed,
            _ = terminate.recv() => Ok(()),
        }
    })
}

fn credential(environment: &Environment, file: Option<&Path>) -> Result<String, Failure> {
    let none = |why: String| Failure::new(Exit::Failed, "no_credential", why);
    match file {
        Some(file) => {
            let content = std::fs::read_to_string(file);
            let content = content.map_err(|why| none(format!("cannot read {}: {why}", file.display())))?;
            Ok(content.trim_end().to_owned())
        }
        None => (environment.variables)("DEMO_CREDENTIAL").ok_or_else(|| none("DEMO_CREDENTIAL is not set".to_owned())),
    }
}

async fn turns(environment: &Environment, limit: &Path, out: usize, output: &mut Output) -> Result<(), Failure> {
    let mut turn = 0_u64;
    output.line(&json!({"type": "system", "subtype": "init", "model": "demo"}).to_string())?;
    loop {
        turn += 1;
        let is_limited = limit.exists();
        if is_limited && out > 0 {
            let resets_at = environment.clock.now().wall.plus(RESETS_AFTER).0 / 1_000;
            let rejected = |turn: usize| {
                let limit = json!({"status": "rejected", "resetsAt": resets_at, "rateLimitType": "five_hour"});
                let session = format!("turn-{turn}");
                format!("{}\n", json!({"type": "rate_limit_event", "rate_limit_info": limit, "session_id": session}))
            };
            output.text(&(1..=out).map(rejected).collect::<String>())?;
            return std::future::pending().await;
        }
        let mut record = json!({"type": "result", "subtype": "success", "is_error": is_limited, "num_turns": turn});
        if is_limited {
            record["api_error_status"] = json!(429);
        }
        output.line(&record.to_string())?;
        environment.clock.sleep(TURN_EVERY).await;
    }
}
