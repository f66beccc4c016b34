//! `[[agent]]` and `[agent_defaults]`: what is kept working.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::delivery::{self, Delivery, DeliveryText};
use super::name;
use super::path::{self, Expansion};
use super::reader::{Field, Placed, Section};
use crate::domain::{AgentName, SubscriptionName, Tool};
use crate::machine::policy::RuntimeKind;

/// What is kept working.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its name.
    pub name: AgentName,
    /// What runs inside.
    pub tool: Tool,
    /// What runs it.
    pub target: Target,
    /// The subscriptions it may use, in the order of the config.
    pub subscriptions: Vec<SubscriptionName>,
    /// How it gets its credential.
    pub delivery: Delivery,
    /// For how long running turns may hold up a switch.
    pub drain: Duration,
    /// How long a stop waits; `None` is the container's own setting.
    pub stop_grace: Option<Duration>,
    /// Where the delivery stands in the config.
    pub(super) delivery_at: Range<usize>,
}

impl Agent {
    /// How it is run, as far as a decision depends on it.
    #[must_use]
    pub fn runtime(&self) -> RuntimeKind {
        match self.target {
            Target::Container { .. } => RuntimeKind::Container,
            Target::Process { .. } => RuntimeKind::Process,
        }
    }
}

/// What runs an agent.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A container of the engine.
    Container {
        /// Its name.
        name: String,
    },
    /// A child process of the daemon.
    Process {
        /// Program and arguments.
        command: Vec<String>,
        /// Where it runs; the daemon's own directory if it is not set.
        dir: Option<PathBuf>,
        /// Variables it gets besides the daemon's own.
        env: Vec<(String, String)>,
    },
}

impl std::fmt::Debug for Target {
    /// Without the values of variables, which are nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Container { name } => f.debug_struct("Container").field("name", name).finish(),
            Self::Process { command, dir, env } => f
                .debug_struct("Process")
                .field("command", command)
                .field("dir", dir)
                .field("env", &env.iter().map(|(name, _)| name).collect::<Vec<_>>())
                .finish(),
        }
    }
}

/// What `[agent_defaults]` and `[[agent]]` have in common, before the one is laid over the other.
pub(super) struct Shared {
    tool: Field<Tool>,
    subscriptions: Field<Vec<Placed<String>>>,
    delivery: Field<DeliveryText>,
    drain: Field<Duration>,
    stop_grace: Field<Duration>,
}

/// What could be read of an agent, for the checks across sections.
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) at: Range<usize>,
    pub(super) name: Option<Placed<String>>,
    pub(super) tool: Option<Tool>,
    pub(super) target: Option<Placed<Target>>,
    pub(super) subscriptions: Field<Vec<Placed<String>>>,
    pub(super) delivery: Option<Placed<Delivery>>,
    pub(super) drain: Duration,
    pub(super) stop_grace: Option<Duration>,
}

pub(super) const LATER: &[&str] = &["models", "text", "turns"];
const DRAIN: Duration = Duration::from_secs(30);
/// A process has no stop timeout of its own.
const PROCESS_GRACE: Duration = Duration::from_secs(10);

/// The keys that stand in both sections.
fn read_shared(section: &mut Section<'_>) -> Shared {
    let tool = section.word::<Tool>("tool");
    let subscriptions = section.texts("subscriptions", "[\"max-a\", \"max-b\"]");
    let delivery = delivery::read(section);
    let drain = section.duration("drain", Duration::ZERO..=Duration::from_secs(86_400));
    let stop_grace = section.duration("stop_grace", Duration::ZERO..=Duration::from_secs(3_600));
    Shared { tool, subscriptions, delivery, drain, stop_grace }
}

pub(super) fn read_defaults(section: Field<Section<'_>>) -> Option<Shared> {
    let mut section = section.good()?;
    for key in ["name", "container", "process"] {
        section.refuse(
            key,
            &format!("`{key}` in [agent_defaults] would be the same for every agent"),
            "move it to [[agent]]",
        );
    }
    let shared = read_shared(&mut section);
    section.finish(false);
    Some(shared)
}

pub(super) fn read(mut section: Section<'_>, defaults: Option<&Shared>, with: Expansion<'_>) -> Draft {
    let findings = section.findings();
    let name = name::read(&mut section, "name", "\"reviewer\"").placed();
    if let Some(name) = &name {
        section.title = format!("[[agent]] \"{}\"", name.value);
    }
    let with = Expansion { name: Some(name.as_ref().map_or("", |name| name.value.as_str())), ..with };
    let target = read_target(&mut section, with);
    let own = read_shared(&mut section);
    let shared = match defaults {
        None => own,
        Some(defaults) => Shared {
            tool: own.tool.or(defaults.tool.clone()),
            subscriptions: own.subscriptions.or(defaults.subscriptions.clone()),
            delivery: own.delivery.or(defaults.delivery.clone()),
            drain: own.drain.or(defaults.drain.clone()),
            stop_grace: own.stop_grace.or(defaults.stop_grace.clone()),
        },
    };
    if shared.tool.is_absent() {
        let tools: Vec<_> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
        section.missing("tool", &format!("one of {}", tools.join(", ")));
    }
    if shared.delivery.is_absent() {
        section.missing("delivery", &format!("add delivery = {}", delivery::EXAMPLE));
    }
    let is_container = matches!(target, Some(Placed { value: Target::Container { .. }, .. }));
    let delivery = shared.delivery.and_then(|text| text.value.of_agent(is_container, with, findings));
    let delivery = delivery.placed();
    if let (Some(Placed { value: Target::Process { env, .. }, .. }), Some(Placed { value: Delivery::Env(name), at })) =
        (&target, &delivery)
        && env.iter().any(|(key, _)| key == name)
    {
        findings.error(
            at,
            format!("the variable {name} is both delivered and set in `process.env`"),
            "remove one of them",
        );
    }
    let grace = if is_container { None } else { Some(PROCESS_GRACE) };
    let draft = Draft {
        title: section.title.clone(),
        at: section.at.clone(),
        name,
        tool: shared.tool.good(),
        target,
        subscriptions: shared.subscriptions,
        delivery,
        drain: shared.drain.unwrap_or(DRAIN),
        stop_grace: shared.stop_grace.good().or(grace),
    };
    section.finish(false);
    draft
}

fn read_target(section: &mut Section<'_>, with: Expansion<'_>) -> Option<Placed<Target>> {
    let findings = section.findings();
    let container = section.text("container", "\"reviewer\"").and_then(|text| {
        if text.value.contains('*') {
            let what = format!("`container` \"{}\" stands for several containers", text.value);
            findings.error(&text.at, what, "patterns are not in this version: write one [[agent]] for each container");
            return None;
        }
        if !name::is_container(&text.value) {
            let what = format!("`container` \"{}\" is not the name of a container", text.value);
            findings.error(&text.at, what, "as `docker ps` shows it: letters, digits, `_`, `.`, `-`");
            return None;
        }
        Some(Target::Container { name: text.value })
    });
    let process = section
        .section("process", &[], "{ command = [\"./agent.sh\"] }", true)
        .and_then(|table| read_process(table.value, with));
    match (container, process) {
        (Field::Absent, Field::Absent) => {
            section.missing("container` or `process", "add container = \"NAME\" or process = { command = [\"…\"] }");
            None
        }
        (target, Field::Absent) | (Field::Absent, target) => target.placed(),
        (_, _) => {
            let what = format!("{} has both a `container` and a `process`", section.title);
            findings.error(&section.key_at("process"), what, "keep one of them");
            None
        }
    }
}

fn read_process(mut section: Section<'_>, with: Expansion<'_>) -> Option<Target> {
    let findings = section.findings();
    let command = section.texts("command", "[\"./agent.sh\"]").and_then(|argv| {
        if argv.value.first().is_none_or(|program| program.value.is_empty()) {
            findings.error(&argv.at, "`process.command` has no program", "write [\"program\", \"argument\"]");
            return None;
        }
        if argv.value.iter().any(|part| part.value.contains('\0')) {
            findings.error(&argv.at, "`process.command` contains a NUL character", "");
            return None;
        }
        Some(argv.value.into_iter().map(|part| part.value).collect::<Vec<_>>())
    });
    if command.is_absent() {
        section.missing("command", "add command = [\"./agent.sh\"]");
    }
    let dir = section.text("dir", "\"/srv/agent\"").and_then(|text| path::read(&text, "process.dir", with, findings));
    let env = section.map("env", "{ NAME = \"value\" }").and_then(|entries| {
        let mut variables = Vec::with_capacity(entries.value.len());
        for (name, value) in entries.value {
            if !name::is_variable(&name.value) || value.contains('\0') {
                let what = format!("`process.env` has `{}`, which cannot be a variable", name.value);
                findings.error(&name.at, what, "names have letters, digits and underscores, values no NUL");
                return None;
            }
            variables.push((name.value, value));
        }
        Some(variables)
    });
    section.finish(true);
    let has_dir = !matches!(dir, Field::Bad);
    let target = Target::Process { command: command.good()?, dir: dir.good(), env: env.unwrap_or(Vec::new()) };
    has_dir.then_some(target)
}
