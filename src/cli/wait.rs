//! `--wait[=DURATION]`: stay until the switch has ended.

use std::time::Duration;

use super::moments;

/// How long `--wait` waits if it does not say.
const DEFAULT: &str = "2m";

/// The option.
#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// Wait until the switch has ended, at most so long [default: 2m].
    #[arg(
        long = "wait",
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT,
        value_parser = moments::duration
    )]
    pub(super) at_most: Option<Duration>,
}
