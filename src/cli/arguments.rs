//! The command line: every verb, every option, and nothing of what they do.
//!
//! Tests: below; `tests/cli.rs` holds it against `docs/cli.md`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::{
    check, classify, cooldown, demo, explain, history, notify, pause, pin, reading, report, resume, status, switch,
    turn, unpark,
};
use crate::error::Exit;

/// Keeps containerised AI coding agents working.
#[derive(Debug, Parser)]
#[command(name = "switchman", version, about, after_help = exits(), disable_help_subcommand = true, max_term_width = 100)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub(super) struct Global {
    /// The config file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SWITCHMAN_CONFIG",
        hide_env_values = true,
        default_value = classify::DEFAULT_CONFIG
    )]
    pub(super) config: PathBuf,
    /// The daemon's socket [default: that of the config].
    #[arg(long, global = true, value_name = "PATH", env = "SWITCHMAN_SOCKET", hide_env_values = true)]
    pub(super) socket: Option<PathBuf>,
    /// Print one JSON document; errors become problem documents.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say more on standard error.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon, in the foreground.
    Run,
    /// Tell every problem of the config.
    Check(check::Arguments),
    /// Tell what lines of a log say, and what would be done about them.
    Classify(classify::Arguments),
    /// Show the whole job on this machine, without an account; without Docker too, unless asked for.
    Demo(demo::Arguments),
    /// Be an agent of the demo; the demo's daemon starts it.
    #[command(hide = true)]
    DemoAgent(demo::Work),
    /// Be the daemon of the demo, and end with it.
    #[command(hide = true)]
    DemoDaemon,
    #[command(flatten)]
    Client(ClientVerb),
}

/// What is asked of a running daemon.
#[derive(Debug, Subcommand)]
pub(super) enum ClientVerb {
    /// Show agents and subscriptions.
    Status(status::Arguments),
    /// Show every subscription with its verdict for an agent, and which one would be picked.
    Explain(explain::Arguments),
    /// Report a failure of an agent.
    Report(report::Arguments),
    /// Move an agent to another subscription.
    Switch(switch::Arguments),
    /// Observe and record, but do not act.
    Pause(pause::Arguments),
    /// Act again.
    Resume(resume::Arguments),
    /// Keep an agent on one subscription, whatever the policy says.
    Pin(pin::Arguments),
    /// Let the policy choose again.
    Unpin(pin::UnpinArguments),
    /// Free agents that wait for a person.
    Unpark(unpark::Arguments),
    /// Show, set and clear cooldowns of subscriptions.
    #[command(subcommand)]
    Cooldown(cooldown::Verb),
    /// Tell what was read off the provider about a window of a subscription.
    Reading(reading::Arguments),
    /// Show past switches, newest first.
    History(history::Arguments),
    /// Try the targets of notifications.
    #[command(subcommand)]
    Notify(notify::Verb),
    /// Begin, keep and end turns, for scripts.
    #[command(subcommand)]
    Turn(turn::Verb),
}

/// The exit codes, for `--help`.
fn exits() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>2}  {}", exit.code(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<CommandLine, String> {
        let words = std::iter::once("switchman").chain(line.split_whitespace());
        CommandLine::try_parse_from(words).map_err(|err| err.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for line in
            ["--json --socket /s -vv status", "status --json --socket /s -vv", "-v status -v --json --socket /s"]
        {
            let global = parse(line).unwrap().global;
            assert!(global.json && global.socket.as_deref() == Some("/s".as_ref()), "{line}");
        }
    }

    /// The section of the docs with this heading.
    fn section(heading: &str) -> &'static str {
        let docs = include_str!("../../docs/cli.md");
        let start = docs.find(&format!("\n## {heading}\n"));
        let text = &docs[start.unwrap_or_else(|| panic!("docs/cli.md has no section \"{heading}\"")) + 4..];
        &text[..text.find("\n## ").unwrap_or(text.len())]
    }

    fn options(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter(|argument| !argument.is_global_set());
        own.filter_map(|argument| argument.get_long().map(|long| format!("--{long}"))).collect()
    }

    #[test]
    fn the_docs_name_every_verb_and_option_and_no_other() {
        let mut command = CommandLine::command();
        command.build();
        let mut verbs = Vec::new();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let text = section(verb.get_name());
            let mut known = vec!["--json".to_owned()];
            for sub in std::iter::once(verb).chain(verb.get_subcommands()) {
                if sub.get_name() != verb.get_name() {
                    let named = format!("`{} {}", verb.get_name(), sub.get_name());
                    assert!(text.contains(&named), "docs/cli.md does not show {named}");
                }
                for option in options(sub).into_iter().filter(|option| option != "--help") {
                    assert!(text.contains(&option), "docs/cli.md does not name {} {option}", sub.get_name());
                    known.push(option);
                }
            }
            let named = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-'));
            for option in named.filter(|word| word.starts_with("--") && !word.starts_with("---")) {
                assert!(known.iter().any(|known| known == option), "{} has no {option}", verb.get_name());
            }
            verbs.push(verb.get_name().to_owned());
        }
        let global = section("Options of every verb");
        for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(global.contains(&format!("--{argument}")), "docs/cli.md does not name --{argument}");
        }
        let headings = include_str!("../../docs/cli.md").lines().filter_map(|line| line.strip_prefix("## "));
        let documented: Vec<_> = headings.filter(|heading| verbs.iter().any(|verb| verb == heading)).collect();
        assert_eq!(documented, verbs, "in the order of the help");
    }

    #[test]
    fn the_docs_have_the_exit_codes() {
        let text = section("Exit codes");
        for exit in Exit::ALL {
            let meaning = exit.meaning().replace("report", "`report`");
            assert!(text.contains(&format!("| {} | {meaning} |", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn help_tells_the_exit_codes() {
        let help = CommandLine::command().render_help().to_string();
        assert!(help.contains(" 69  daemon not reachable") && help.contains("  3  refused"), "{help}");
    }

    #[test]
    fn whole_command_lines_are_read() {
        for line in [
            "run",
            "demo",
            "demo --docker",
            "check --resolve",
            "classify",
            "classify - logs --tool codex --at 2026-11-21T15:00:00Z --tz Europe/Rome --only-failures --timestamps",
            "classify logs --summary",
            "status",
            "status a --watch",
            "explain a",
            "report a --kind rate_limit --subscription s --generation 3 --reset-at 2026-11-21T15:00:00Z --id i --as-agent",
            "report a --evidence x --wait",
            "report a --kind auth --wait=30s",
            "switch a",
            "switch a --to s --force --reason r --wait=1m",
            "switch a --dry-run",
            "switch a --cancel",
            "pause",
            "pause a --for 2h",
            "resume",
            "resume a",
            "resume --all",
            "pin a s",
            "unpin a",
            "unpark a",
            "unpark --all",
            "cooldown list",
            "cooldown set s --for 2h",
            "cooldown clear s",
            "reading s --window five_hour --used 42.5",
            "reading s --window model --model opus --used 80% --reset-at 2026-11-21T15:00:00Z",
            "reading s --window unknown --refused",
            "history",
            "history a --limit 5 --since 2h",
            "notify test",
            "notify test https://ntfy.example.org",
            "report a --kind auth --turn a-t1",
            "turn begin a --session s",
            "turn begin a --session x --session y --class background --holder h --after a-t1 --key k",
            "turn begin a --session s --queue --wait 1h --preempt",
            "turn heartbeat a-t1",
            "turn heartbeat a-t1 --wait 2h --lease-file f",
            "turn complete a-t1",
            "turn complete a-t1 --failed --lease-file -",
            "turn complete a-t1 --kind rate_limit --reset-at 2026-11-21T15:00:00Z",
            "turn complete a-t1 --evidence -",
            "turn cancel a-t1 --by me --reason lunch",
            "turn cancelled a-t1",
            "turn fence a-t1",
            "turn close a s",
            "turn list",
            "turn list a --ended --limit 5 --since 2h",
        ] {
            if let Err(err) = parse(line) {
                panic!("{line}: {err}");
            }
        }
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for line in [
            "",
            "nonsense",
            "status --nonsense",
            "classify --tool emacs",
            "classify --at noon",
            "classify --tz Mars/Olympus",
            "classify --summary --only-failures",
            "report",
            "report a",
            "report a --kind no_kind",
            "report a --kind auth --evidence x",
            "report a --kind auth --generation x",
            "report a --kind auth --generation -1",
            "report a --kind auth --reset-at tomorrow",
            "report a --kind auth --wait=0s",
            "switch a --wait=11m",
            "switch a --cancel --to s",
            "switch a --cancel --dry-run",
            "switch a --cancel --force",
            "switch a --dry-run --wait",
            "pause a --for 2",
            "resume a --all",
            "unpark",
            "unpark a --all",
            "pin a",
            "cooldown",
            "cooldown set s",
            "cooldown set s --for 0s",
            "notify",
            "notify test a b",
            "reading s",
            "reading --window weekly",
            "reading s --window monthly",
            "reading s --window requests",
            "reading s --window weekly --used much",
            "reading s --window weekly --used=-1",
            "reading s --window weekly --used nan",
            "reading s --window weekly --reset-at soon",
            "history --limit 0",
            "history --since someday",
            "turn",
            "turn begin a",
            "turn begin --session s",
            "turn begin a --session s --wait 1m",
            "turn begin a --session s --preempt",
            "turn begin a --session s --queue --wait 2h",
            "turn begin a --session s --class urgent",
            "turn heartbeat a-t1 --lease t",
            "turn heartbeat a-t1 t",
            "turn complete a-t1 --kind auth --evidence x",
            "turn close a",
            "turn list --limit 5",
            "explain",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(CommandLine::try_parse_from(["switchman", "explain", ""]).is_err());
    }
}
