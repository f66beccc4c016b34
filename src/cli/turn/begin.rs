//! `turn begin`: two words on one line, so that a script can read them.

use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value, json};

use crate::api::v1::wire::{BeginTurn, BegunTurn, OnBusy, Session, Spelled};
use crate::cli::client::{Call, Daemon, read_all};
use crate::cli::{Output, moments};
use crate::domain::TurnClass;
use crate::error::Failure;

/// How long the daemon lets a caller wait that does not say.
const DEFAULT: Duration = Duration::from_secs(60);

/// And how long at most.
const AT_MOST: Duration = Duration::from_secs(3600);

/// Options of `turn begin`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
    /// What at most one turn at a time may run in; given twice, the session of the pair.
    #[arg(long = "session", value_name = "NAME", required = true, num_args = 1, value_parser = NonEmptyStringValueParser::new())]
    sessions: Vec<String>,
    /// Who goes first [default: interactive].
    #[arg(long, value_parser = classes())]
    class: Option<TurnClass>,
    /// Who holds it, in words of your own [default: user and process].
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    holder: Option<String>,
    /// Wait for it if it cannot begin at once.
    #[arg(long)]
    queue: bool,
    /// How long [default: 1m, longest: 1h].
    #[arg(long, value_name = "DURATION", requires = "queue", value_parser = wait)]
    wait: Option<Duration>,
    /// Ask a holder in the background to stop, if one is in the way.
    #[arg(long, requires = "queue")]
    preempt: bool,
    /// Only if this turn is the last one completed in the session.
    #[arg(long, value_name = "TURN", value_parser = NonEmptyStringValueParser::new())]
    after: Option<String>,
    /// Idempotency key: the same one with the same options gets the same turn.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
}

fn classes() -> impl TypedValueParser<Value = TurnClass> {
    PossibleValuesParser::new(TurnClass::ALL.iter().map(|class| class.as_str())).try_map(|word| word.parse())
}

fn wait(text: &str) -> Result<Duration, String> {
    let at_most = moments::duration(text)?;
    if at_most > AT_MOST { Err("is longer than 1h".to_owned()) } else { Ok(at_most) }
}

/// Begins it and prints its id and its token.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let session = match arguments.sessions.as_slice() {
        [one] => Session::in_path(one),
        [one, other] => Session::Pair(one.clone(), other.clone()),
        _ => {
            let detail = "a session is one --session or a pair of them";
            return Err(Failure::new(crate::error::Exit::Usage, "usage", detail));
        }
    };
    let begin = BeginTurn {
        session,
        class: arguments.class.map(Spelled),
        holder: arguments.holder.clone(),
        on_busy: arguments.queue.then_some(Spelled(OnBusy::Queue)),
        wait_s: arguments.wait.map(|wait| wait.as_secs_f64()),
        preempt: arguments.preempt.then_some(true),
        after: arguments.after.clone(),
        key: arguments.key.clone(),
    };
    let patience = if arguments.queue { arguments.wait.unwrap_or(DEFAULT) } else { Duration::ZERO };
    let call = Call::post(&["v1", "agents", &arguments.agent, "turns"], json!(begin)).patient(patience);
    let answer: Map<String, Value> = daemon.call(call).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let BegunTurn { turn, lease_token } = read_all(&answer)?;
    output.line(&format!("{} {lease_token}", turn.id))
}
