//! `turn list`: who holds what, who waits, and how turns ended.

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value};

use crate::api::v1::time::Time;
use crate::api::v1::wire::{Turn, TurnList, WaitingCaller};
use crate::cli::client::{Call, Daemon, read, read_all};
use crate::cli::moments::{self, Since, ago, calendar, until};
use crate::cli::table::{Look, Table, Text, Tone};
use crate::cli::views::session;
use crate::cli::{Output, history, views};
use crate::domain::Wall;
use crate::error::Failure;

/// Options of `turn list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Only of this agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// Turns that have ended, newest first.
    #[arg(long)]
    ended: bool,
    /// At most so many of those that have ended [default: 20].
    #[arg(long, value_name = "N", requires = "ended", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only those that began since then: an RFC 3339 time, or how long ago ("2h").
    #[arg(long, value_name = "TIME", requires = "ended", value_parser = moments::since)]
    since: Option<Since>,
}

/// Rows, if it is not said how many.
const LIMIT: u32 = 20;

/// Shows them.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let now = daemon.clock().now().wall;
    if arguments.ended {
        let mut filters = vec![("ended", "true".to_owned())];
        filters.extend(arguments.agent.clone().map(|agent| ("agent", agent)));
        filters.extend(arguments.since.map(|since| ("since", Time(since.wall(now)).to_string())));
        let (turns, next) = history::pages("turns", &filters, arguments.limit.unwrap_or(LIMIT), daemon).await?;
        let answer = Map::from_iter([("turns".to_owned(), Value::Array(turns)), ("next".to_owned(), next)]);
        if output.is_json() {
            return output.document(&answer);
        }
        let turns: Vec<Turn> = read(&answer["turns"])?;
        return output.text(&ended(&turns, output.look()));
    }
    let mut call = Call::get(&["v1", "turns"]);
    if let Some(agent) = &arguments.agent {
        call = call.with("agent", agent);
    }
    let answer = daemon.call(call).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let TurnList { turns, waiting, .. } = read_all(&answer)?;
    output.text(&under_way(&turns, output.look(), now))?;
    if waiting.is_empty() { Ok(()) } else { output.text(&format!("\n{}", callers(&waiting, output.look(), now))) }
}

fn under_way(turns: &[Turn], look: Look, now: Wall) -> String {
    if turns.is_empty() {
        return "no turns\n".to_owned();
    }
    let mut table = Table::new(look, &["TURN", "SESSION", "CLASS", "HOLDER", "STATE", "BEGUN", "EXPIRES", "NOTE"]);
    for turn in turns {
        let cancel = turn.cancel_requested.as_ref().map(|cancel| format!("{} asks to stop", cancel.by));
        let failed = turn.failure_reported.then(|| "its failure is reported".to_owned());
        let notes: Vec<_> = [turn.reason.clone(), cancel, failed].into_iter().flatten().collect();
        table.row([
            turn.id.as_str().into(),
            session(&turn.session).into(),
            (&*turn.class).into(),
            turn.holder.as_str().into(),
            Text::toned(&*turn.state, tone(&turn.state)),
            ago(turn.started_at.0, now).into(),
            turn.expires_at.map(|at| until(at.0, now)).into(),
            views::joined(&notes).into(),
        ]);
    }
    table.into_text()
}

fn callers(waiting: &[WaitingCaller], look: Look, now: Wall) -> String {
    let mut table = Table::new(look, &["WAITS FOR", "SESSION", "CLASS", "HOLDER", "SINCE"]);
    for caller in waiting {
        table.row([
            caller.agent.as_str().into(),
            session(&caller.session).into(),
            (&*caller.class).into(),
            caller.holder.as_str().into(),
            ago(caller.since.0, now).into(),
        ]);
    }
    table.into_text()
}

fn ended(turns: &[Turn], look: Look) -> String {
    if turns.is_empty() {
        return "no turns\n".to_owned();
    }
    let header =
        ["BEGUN (UTC)", "TURN", "SESSION", "CLASS", "HOLDER", "SUBSCRIPTION", "GENERATION", "END", "TOOK", "NOTE"];
    let mut table = Table::new(look, &header);
    for turn in turns {
        let took = turn.ended_at.map(|end| end.0.since(turn.started_at.0).as_millis());
        let by = turn.switch.as_ref().map(|switch| format!("by {switch}"));
        let notes: Vec<_> = [by, turn.reason.clone()].into_iter().flatten().collect();
        table.row([
            calendar(turn.started_at.0).into(),
            turn.id.as_str().into(),
            session(&turn.session).into(),
            (&*turn.class).into(),
            turn.holder.as_str().into(),
            turn.subscription.as_str().into(),
            turn.generation.to_string().into(),
            Text::toned(&*turn.state, tone(&turn.state)),
            took.map(|ms| moments::millis(u64::try_from(ms).unwrap_or(u64::MAX))).into(),
            views::joined(&notes).into(),
        ]);
    }
    table.into_text()
}

fn tone(state: &str) -> Tone {
    match state {
        "taken" | "complete" => Tone::Good,
        "lost" | "failed" | "cut_off" => Tone::Bad,
        _ => Tone::Mild,
    }
}
