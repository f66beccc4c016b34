//! The switchman binary: parses the arguments, runs the verb, maps how it ended to an exit code.

use std::process::ExitCode;

use switchman::cli;

fn main() -> ExitCode {
    let ended = cli::parse(std::env::args_os()).and_then(|invocation| cli::run(&invocation));
    cli::conclude(ended)
}
