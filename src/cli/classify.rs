//! `classify`: what lines of a log say, and what the daemon would have done about them.
//!
//! It asks no daemon and changes nothing. Lines come from files, directories or standard input, or with `--as-agent` also
//! from the log that the engine keeps; they are read a block at a time and told in their order. What was found never makes
//! a run fail; a file that cannot be read does, after the others were read.
//!
//! ```text
//! sources.rs ──► blocks.rs ──► judging.rs ──┬──► telling.rs, summary.rs
//! which files    whole lines   one verdict  └──► replaying.rs ──► crate::replay (pure)
//! ```
//!
//! Tests: in each file; the binary in `tests/cli/classify.rs` and `tests/cli/replay.rs`.

use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;

mod blocks;
mod judging;
mod replaying;
mod sources;
mod story;
mod summary;
mod telling;

use super::moments::{self, Since};
use super::{Environment, Output, check};
use crate::api::v1::time::Time;
use crate::classify::{Classifier, Context, Zone};
use crate::config::{Config, Switching};
use crate::domain::{Tool, UnknownWord};
use crate::error::{Exit, Failure};
use blocks::Blocks;
use judging::Judge;
use replaying::Reading;
use sources::{Source, Unreadable, sources};
use story::Story;
use summary::Summary;

/// The config that is looked at if none is named; it need not be there.
pub(super) const DEFAULT_CONFIG: &str = "/etc/switchman/config.toml";

/// What is written at once.
const PAGE_LEN: usize = 64 << 10;

/// Options of `classify`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, or directories with files; `-`, or nothing, is standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The tool whose output it is: only its rules count [default: those of every tool].
    #[arg(long, value_parser = tool)]
    tool: Option<Whose>,
    /// When lines were written that do not say it (RFC 3339) [default: now].
    #[arg(long, value_name = "TIME", value_parser = moments::time)]
    at: Option<Time>,
    /// The time zone of the container, such as Europe/Rome: that of clocks without one [default: UTC].
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    tz: Option<Zone>,
    /// Lines begin with the time at which they were written, as after `docker logs -t`.
    #[arg(long)]
    timestamps: bool,
    /// Only count.
    #[arg(long)]
    summary: bool,
    /// Only lines that say that something failed.
    #[arg(long, conflicts_with = "summary")]
    only_failures: bool,
    /// Show what would have been done about it, as if this agent had written it. Without FILE the log of its container is
    /// read off the engine.
    #[arg(long, value_name = "AGENT", value_parser = NonEmptyStringValueParser::new())]
    #[arg(conflicts_with_all = ["summary", "only_failures"])]
    as_agent: Option<String>,
    /// The subscription it ran on at first [default: its first one].
    #[arg(long, value_name = "SUBSCRIPTION", requires = "as_agent", value_parser = NonEmptyStringValueParser::new())]
    on: Option<String>,
    /// Only what was written since then: an RFC 3339 time, or how long ago ("2h").
    #[arg(long, value_name = "TIME", requires = "as_agent", value_parser = moments::since)]
    since: Option<Since>,
}

/// Whose rules count; `None` means everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whose(Option<Tool>);

/// What speaks like a tool of the list, or is what stands behind several.
const ALSO: &[(&str, Option<Tool>)] =
    &[("litellm", Some(Tool::Aider)), ("anthropic-api", None), ("openai-api", None), ("any", None)];

fn tool(text: &str) -> Result<Whose, UnknownWord> {
    match ALSO.iter().find(|(word, _)| *word == text) {
        Some((_, tool)) => Ok(Whose(*tool)),
        None => text.parse().map(|tool| Whose(Some(tool))),
    }
}

fn zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).ok_or_else(|| "is no time zone: write a name such as \"Europe/Rome\" or \"UTC\"".to_owned())
}

/// Reads, and tells what was read.
pub(super) fn run(
    arguments: &Arguments,
    config: &Path,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(agent) = &arguments.as_agent {
        return replay(arguments, agent, config, environment, output);
    }
    let config = load(config, environment)?;
    let mut judge = judge(arguments, config.as_ref(), environment);
    let mut unreadable = Unreadable::default();
    let sources = sources(&arguments.files, &mut unreadable);
    let is_one = arguments.files.len() <= 1 && !arguments.files.iter().any(|path| path.is_dir());
    let mut lines = Lines { arguments, output, page: String::new(), summary: Summary::default(), is_one };
    for source in &sources {
        if lines.output.is_closed() {
            break;
        }
        lines.read(source, &mut judge, &mut unreadable)?;
    }
    lines.finish(&unreadable)?;
    unreadable.conclude()
}

/// The config, if there is one: without it the rules that are built in hold.
fn load(path: &Path, environment: &Environment) -> Result<Option<Config>, Failure> {
    if path == Path::new(DEFAULT_CONFIG) && std::fs::File::open(path).is_err() {
        return Ok(None);
    }
    match Config::load(path, &*environment.variables) {
        Ok((config, _)) => Ok(Some(config)),
        Err(problems) => Err(check::invalid(path, &problems)),
    }
}

fn judge(arguments: &Arguments, config: Option<&Config>, environment: &Environment) -> Judge {
    let at = arguments.at.map_or_else(|| environment.clock.now().wall, |time| time.0);
    let mut context = Context::new(arguments.tool.and_then(|whose| whose.0), at);
    if let Some(zone) = &arguments.tz {
        context.zone = zone.clone();
    }
    let wait_out = config.map_or_else(|| Switching::default().wait_out, |config| config.switching.wait_out);
    Judge {
        classifier: config.map_or_else(Classifier::default, Config::classifier),
        context,
        wait_out,
        has_stamps: arguments.timestamps,
    }
}

/// Replays, and tells how that went.
fn replay(
    arguments: &Arguments,
    agent: &str,
    path: &Path,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), Failure> {
    let (config, _) =
        Config::load(path, &*environment.variables).map_err(|problems| check::invalid(path, &problems))?;
    let subject = replaying::subject(&config, agent, arguments.on.as_deref(), environment)?;
    let mut judge = judge(arguments, Some(&config), environment);
    judge.context.tool = arguments.tool.map_or(Some(subject.tool), |whose| whose.0);
    let since = arguments.since.map(|since| since.wall(environment.clock.now().wall));
    let on = subject.setting.on.clone();
    let mut reading = Reading::new(subject.setting, judge, since);
    let mut unreadable = Unreadable::default();
    if arguments.files.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|err| Failure::new(Exit::Failed, "no_runtime", format!("cannot begin: {err}")))?;
        runtime.block_on(reading.read_engine(&config, subject.container, environment))?;
    }
    let files = if arguments.files.is_empty() { Vec::new() } else { sources(&arguments.files, &mut unreadable) };
    for source in &files {
        reading.read(source, &mut unreadable);
    }
    let (rest, replay) = reading.finish();
    let story = Story { agent, on: &on, reading: &reading, replay: &replay, rest: &rest };
    if output.is_json() {
        output.document(&story.document())?;
    } else {
        output.text(&story.text(output.look()))?;
    }
    unreadable.conclude()
}

/// Lines on their way to whoever reads the output.
struct Lines<'a> {
    arguments: &'a Arguments,
    output: &'a mut Output,
    /// What is not written yet.
    page: String,
    summary: Summary,
    /// Whether it goes without saying which file a line stands in.
    is_one: bool,
}

impl Lines<'_> {
    fn read(&mut self, source: &Source, judge: &mut Judge, unreadable: &mut Unreadable) -> Result<(), Failure> {
        let mut blocks = match source.open() {
            Ok(opened) => Blocks::new(opened),
            Err(error) => {
                unreadable.add(&source.name, &error);
                return Ok(());
            }
        };
        self.summary.begin_file();
        let mut number = 0;
        loop {
            match blocks.next() {
                Ok(Some(block)) => number = self.tell(&source.name, block, number, judge)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    unreadable.add(&source.name, &error);
                    return Ok(());
                }
            }
            // What came out of a pipe is told before more is waited for.
            self.write()?;
            if self.output.is_closed() {
                return Ok(());
            }
        }
    }

    /// Tells the lines of a block, of which the first is the next one after `number`; gives the number of the last.
    fn tell(&mut self, file: &str, block: &[u8], number: u64, judge: &mut Judge) -> Result<u64, Failure> {
        let file = (!self.is_one).then_some(file);
        if self.output.is_json() && !self.arguments.summary && !self.arguments.only_failures {
            return self.tell_all(file, block, number, judge);
        }
        // Nobody asks about the others: they are passed over without being looked at one by one.
        let (mut number, mut from) = (number, 0);
        while let Some(likely) = judge.next_likely_line(block, from) {
            let skipped = blocks::count(&block[from..likely.start]);
            self.summary.skip(skipped);
            number += skipped + 1;
            self.tell_line(file, number, blocks::shown(&block[likely.clone()]), judge)?;
            from = (likely.end + 1).min(block.len());
        }
        let skipped = blocks::count(&block[from..]);
        self.summary.skip(skipped);
        Ok(number + skipped)
    }

    fn tell_all(&mut self, file: Option<&str>, block: &[u8], number: u64, judge: &mut Judge) -> Result<u64, Failure> {
        let mut number = number;
        for line in blocks::lines(block) {
            number += 1;
            self.tell_line(file, number, line, judge)?;
        }
        Ok(number)
    }

    fn tell_line(&mut self, file: Option<&str>, number: u64, line: &[u8], judge: &mut Judge) -> Result<(), Failure> {
        let judged = judge.line(line);
        self.summary.count(&judged);
        if self.arguments.summary || (self.arguments.only_failures && judged.failure.is_none()) {
            return Ok(());
        }
        if self.output.is_json() {
            telling::object(&mut self.page, file, number, &judged);
        } else {
            telling::text(&mut self.page, file, number, line, &judged);
        }
        if self.page.len() >= PAGE_LEN { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        if !self.page.is_empty() {
            self.output.text(&self.page)?;
            self.page.clear();
        }
        Ok(())
    }

    fn finish(&mut self, unreadable: &Unreadable) -> Result<(), Failure> {
        if !self.output.is_json() {
            let text = self.summary.text(self.output.look());
            let is_first = self.arguments.summary || !self.summary.says_something(self.arguments.only_failures);
            let gap = if is_first { "" } else { "\n" };
            return self.output.text(&format!("{gap}{text}"));
        }
        if self.arguments.summary {
            let mut document = self.summary.document();
            document.insert("unreadable".to_owned(), unreadable.document());
            return self.output.document(&document);
        }
        Ok(())
    }
}
