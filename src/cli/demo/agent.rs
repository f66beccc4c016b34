//! The agent of the demo: a turn every half second, printed the way the tools print theirs, on whatever credential
//! it was started with. Its provider is a folder: a subscription is limited while a file with its credential's name
//! is there.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cli::{Environment, Output};
use crate::error::{Exit, Failure};

const TURN_EVERY: Duration = Duration::from_millis(500);

/// Works until it is ended.
///
/// # Errors
/// If it was started without a credential, or nobody reads what it prints.
pub(in crate::cli) fn work(environment: &Environment, provider: &Path, output: &mut Output) -> Result<(), Failure> {
    let credential = (environment.variables)("DEMO_CREDENTIAL")
        .ok_or_else(|| Failure::new(Exit::Failed, "no_credential", "DEMO_CREDENTIAL is not set"))?;
    let limit = provider.join(&credential);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::new(Exit::Failed, "no_runtime", format!("cannot begin: {why}")))?;
    runtime.block_on(async {
        let mut turn = 0_u64;
        output.line(&json!({"type": "system", "subtype": "init", "model": "demo"}).to_string())?;
        loop {
            turn += 1;
            let record = if limit.exists() {
                json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": 429, "num_turns": turn})
            } else {
                json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": turn})
            };
            output.line(&record.to_string())?;
            environment.clock.sleep(TURN_EVERY).await;
        }
    })
}
