//! `--wait[=DURATION]`: stay until the switch has ended.

use std::time::Duration;

use super::moments;

/// How long `--wait` waits if it does not say.
const DEFAULT: &str = "2m";

/// The daemon keeps nobody waiting for longer.
const AT_MOST: Duration = Duration::from_secs(600);

fn read(text: &str) -> Result<Duration, String> {
    let at_most = moments::duration(text)?;
    if at_most > AT_MOST { Err("is longer than 10m".to_owned()) } else { Ok(at_most) }
}

/// The option.
#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// Wait until the switch has ended, at most so long [default: 2m, longest: 10m].
    #[arg(
        long = "wait",
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT,
        value_parser = read
    )]
    pub(super) at_most: Option<Duration>,
}
