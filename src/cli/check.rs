//! `check`: every problem of the config, with its place and a hint.
//!
//! Problems go to standard error, like those of a compiler. Standard output has what can be used on: the summary,
//! the effective config (the summary is a comment then, so that the whole is a config), or the JSON document.

use std::io::IsTerminal;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Output;
use super::output::to_stderr;
use crate::config::{self, Asked, Config, Problem, Severity};
use crate::error::{Exit, Failure};

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Also print the effective config, with defaults and without secrets.
    #[arg(long)]
    resolve: bool,
}

/// Looks at the config and at the credential files it names.
pub(super) fn run(
    arguments: &Arguments,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (config, problems) = look(path, env);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let resolved = config.as_ref().filter(|_| arguments.resolve).map(Config::resolved);
    if output.is_json() {
        output.document(&document(path, config.as_ref(), resolved.as_deref(), &problems, errors == 0))?;
    } else {
        to_stderr(&config::render(&problems, std::io::stderr().is_terminal()));
        let summary = config.as_ref().filter(|_| errors == 0).map(summary);
        match (resolved, summary) {
            (Some(resolved), Some(summary)) => output.text(&format!("# {summary}\n{resolved}"))?,
            (Some(resolved), None) => output.text(&resolved)?,
            (None, Some(summary)) => output.line(&summary)?,
            (None, None) => {}
        }
    }
    if errors == 0 { Ok(()) } else { Err(invalid(path, &problems).with_text("")) }
}

/// The failure that a config with these problems is; `run` ends with it too.
pub fn invalid(path: &Path, problems: &[Problem]) -> Failure {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let detail = format!("{} is not valid: {}", path.display(), counted(errors, "error"));
    Failure::new(Exit::ConfigInvalid, "config_invalid", detail)
        .with_member("problems", json!(problems))
        .with_text(config::render(problems, std::io::stderr().is_terminal()))
}

fn look(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> (Option<Config>, Vec<Problem>) {
    match Config::load(path, env) {
        Ok((config, mut problems)) => {
            problems.extend(config.check_files(Asked::ByCheck));
            problems.sort_by_key(|problem| (problem.line, problem.column));
            (Some(config), problems)
        }
        Err(problems) => (None, problems),
    }
}

fn document(
    path: &Path,
    config: Option<&Config>,
    resolved: Option<&str>,
    problems: &[Problem],
    is_valid: bool,
) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("file".to_owned(), json!(path.display().to_string()));
    document.insert("valid".to_owned(), json!(is_valid));
    document.insert("agents".to_owned(), json!(config.map(|config| config.agents.len())));
    document.insert("subscriptions".to_owned(), json!(config.map(|config| config.subscriptions.len())));
    document.insert("problems".to_owned(), json!(problems));
    if let Some(resolved) = resolved {
        let table: Option<Value> = toml::from_str(resolved).ok();
        document.insert("config".to_owned(), json!(table));
    }
    document
}

fn summary(config: &Config) -> String {
    let agents = counted(config.agents.len(), "agent");
    format!("ok: {agents}, {}", counted(config.subscriptions.len(), "subscription"))
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
