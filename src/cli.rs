//! The command line: one verb per run, one file per verb.
//!
//! It must not decide anything about agents: client verbs ask the daemon and show its answer, `run` and `demo` wire
//! the daemon together, `check` asks the config. Nothing here ends the process; how a verb ended goes to `main` as a
//! [`Failure`] or its absence.
//!
//! Invariants: standard output has the result and nothing else, standard error has everything else · with `--json`
//! the result is one document with `schema_version`, a failure is one problem document.
//!
//! Tests: in each file; the binary against a scripted daemon in `tests/cli.rs`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

mod arguments;
mod check;
mod classify;
mod client;
mod cooldown;
pub mod demo;
mod environment;
mod every;
mod explain;
mod history;
mod moments;
mod notify;
mod output;
mod pause;
mod pin;
mod reach;
mod reading;
mod report;
mod resume;
pub mod run;
mod status;
mod switch;
mod table;
mod turn;
mod unpark;
mod views;
mod wait;

pub use check::invalid;
pub use environment::Environment;
pub use output::Output;

use crate::error::{Exit, Failure};
use arguments::{ClientVerb, CommandLine, Verb};
use client::Daemon;

/// What the command line asks for.
#[derive(Debug)]
pub struct Invocation(Asked);

#[derive(Debug)]
enum Asked {
    /// A text that clap has: help or the version.
    Text(String),
    Verb(Box<CommandLine>),
}

/// How a run ended that did not do what was asked for, and how to tell.
#[derive(Debug)]
pub struct Ended {
    failure: Failure,
    is_json: bool,
}

/// Reads the command line; the first argument is the name of the program.
///
/// # Errors
/// If it is wrong.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Ended> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let err = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => return Ok(Invocation(Asked::Verb(Box::new(command_line)))),
        Err(err) => err,
    };
    let text = |is_terminal: bool| {
        if is_terminal { err.render().ansi().to_string() } else { err.render().to_string() }
    };
    if !err.use_stderr() {
        return Ok(Invocation(Asked::Text(text(std::io::stdout().is_terminal()))));
    }
    // The line could not be read as a whole; that errors are wanted as documents can be seen all the same.
    let is_json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let plain = err.render().to_string();
    let detail: Vec<_> = plain.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let detail = detail.join(" ");
    let failure = Failure::new(Exit::Usage, "usage", detail.strip_prefix("error: ").unwrap_or(&detail))
        .with_hint("see switchman --help")
        .with_text(text(std::io::stderr().is_terminal()));
    Err(Ended { failure, is_json })
}

/// Does what was asked for.
///
/// # Errors
/// If it was not done; the exit code says in which of a few ways.
pub fn run(invocation: &Invocation) -> Result<(), Ended> {
    let environment = Environment::of_process();
    match &invocation.0 {
        Asked::Text(text) => Output::new(false, false).text(text).map_err(|failure| Ended { failure, is_json: false }),
        Asked::Verb(command_line) => {
            dispatch(command_line, environment).map_err(|failure| Ended { failure, is_json: command_line.global.json })
        }
    }
}

/// Tells a failure on standard error, and maps the end to the exit code.
#[must_use]
pub fn conclude(ended: Result<(), Ended>) -> ExitCode {
    let Err(Ended { failure, is_json }) = ended else { return Exit::Done.into() };
    if is_json {
        output::to_stderr(&format!("{:#}\n", Value::Object(failure.document().clone())));
    } else {
        output::to_stderr(&failure.to_string());
    }
    failure.exit().into()
}

fn dispatch(CommandLine { global, verb }: &CommandLine, environment: Environment) -> Result<(), Failure> {
    let environment = Environment { verbosity: global.verbose, socket: global.socket.clone(), ..environment };
    let has_colours = (environment.variables)("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut output = Output::new(global.json, has_colours);
    let variables = &*environment.variables;
    let verb = match verb {
        Verb::Run => return run::run(&global.config, &environment),
        Verb::Demo(arguments) => return demo::demo(arguments, &environment, &mut output),
        Verb::DemoAgent(work) => return demo::work(&environment, work, &mut output),
        Verb::DemoDaemon => return demo::daemon(&global.config, &environment),
        Verb::Check(arguments) => return check::run(arguments, &global.config, variables, &mut output),
        Verb::Classify(arguments) => return classify::run(arguments, &global.config, &environment, &mut output),
        Verb::Client(verb) => verb,
    };
    let daemon = reach::daemon(global, &environment);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|err| Failure::new(Exit::Failed, "no_runtime", format!("cannot begin: {err}")))?;
    runtime.block_on(ask(verb, variables, &daemon, &mut output))
}

async fn ask(
    verb: &ClientVerb,
    variables: &(dyn Fn(&str) -> Option<String> + Sync),
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    match verb {
        ClientVerb::Status(arguments) => status::run(arguments, daemon, output).await,
        ClientVerb::Explain(arguments) => explain::run(arguments, daemon, output).await,
        ClientVerb::Report(arguments) => report::run(arguments, daemon, output).await,
        ClientVerb::Switch(arguments) => switch::run(arguments, daemon, output).await,
        ClientVerb::Pause(arguments) => pause::run(arguments, daemon, output).await,
        ClientVerb::Resume(arguments) => resume::run(arguments, daemon, output).await,
        ClientVerb::Pin(arguments) => pin::run(arguments, daemon, output).await,
        ClientVerb::Unpin(arguments) => pin::run_unpin(arguments, daemon, output).await,
        ClientVerb::Unpark(arguments) => unpark::run(arguments, daemon, output).await,
        ClientVerb::Cooldown(verb) => cooldown::run(verb, daemon, output).await,
        ClientVerb::Reading(arguments) => reading::run(arguments, daemon, output).await,
        ClientVerb::History(arguments) => history::run(arguments, daemon, output).await,
        ClientVerb::Notify(verb) => notify::run(verb, daemon, output).await,
        ClientVerb::Turn(verb) => turn::run(verb, variables, daemon, output).await,
    }
}
