//! `turn`: leases on an agent, for scripts.
//!
//! Every verb is one request and holds nothing: the turn belongs to whoever has its token. The token is read from the
//! environment, a file or standard input, never from the command line, where everybody could see it.

use clap::builder::NonEmptyStringValueParser;

use super::Output;
use super::client::Daemon;
use crate::error::Failure;

mod asking;
mod begin;
mod holding;
mod lease;
mod listing;

/// What can be done with turns.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Begin a turn; prints its id and the token of its lease.
    Begin(begin::Arguments),
    /// Keep a turn: the first heartbeat takes it, and without another one its holder counts as lost.
    Heartbeat(holding::HeartbeatArguments),
    /// End a turn.
    Complete(holding::CompleteArguments),
    /// Ask the holder of a turn to stop.
    Cancel(asking::CancelArguments),
    /// Say that the work has stopped, as was asked for.
    Cancelled(holding::CancelledArguments),
    /// Have the work of a turn ended, whatever its holder says.
    Fence {
        /// The turn.
        #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        turn: String,
    },
    /// Let no turn begin in a session any more.
    Close {
        /// The agent.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        agent: String,
        /// The session: a name, or two with a comma between them.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        session: String,
    },
    /// Show turns under way and who waits for one, or turns that have ended.
    List(listing::Arguments),
}

/// Does it.
pub(super) async fn run(
    verb: &Verb,
    variables: &(dyn Fn(&str) -> Option<String> + Sync),
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    match verb {
        Verb::Begin(arguments) => begin::run(arguments, daemon, output).await,
        Verb::Heartbeat(arguments) => holding::beat(arguments, variables, daemon, output).await,
        Verb::Complete(arguments) => holding::complete(arguments, variables, daemon, output).await,
        Verb::Cancelled(arguments) => holding::cancelled(arguments, variables, daemon, output).await,
        Verb::Cancel(arguments) => asking::cancel(arguments, daemon, output).await,
        Verb::Fence { turn } => asking::fence(turn, daemon, output).await,
        Verb::Close { agent, session } => asking::close(agent, session, daemon, output).await,
        Verb::List(arguments) => listing::run(arguments, daemon, output).await,
    }
}
