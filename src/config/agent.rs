//! `[[agent]]` and `[agent_defaults]`: what is kept working.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::delivery::{self, Delivery, DeliveryText};
use super::path::{self, Expansion};
use super::reader::{Field, Placed, Section};
use super::turns::{self, Turns, TurnsText};
use super::{command, name};
use crate::domain::{AgentName, Model, SubscriptionName, Tool};
use crate::machine::policy::{RuntimeKind, TextPolicy};

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
    /// The models it needs; empty means that it may need any.
    pub models: Vec<Model>,
    /// How it gets its credential.
    pub delivery: Delivery,
    /// For how long running turns may hold up a switch.
    pub drain: Duration,
    /// How long a stop waits; `None` is the container's own setting.
    pub stop_grace: Option<Duration>,
    /// What text of its own may do.
    pub text: TextPolicy,
    /// How callers share it.
    pub turns: Turns,
    /// It is observed and reported on, and never touched.
    pub is_monitor_only: bool,
    /// What makes it an agent.
    pub origin: Origin,
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

/// What makes something an agent; what comes first goes before what comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An `[[agent]]` of its own.
    Config,
    /// A pattern of the config that its container's name matches.
    Pattern,
    /// The labels of its container.
    Labels,
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

/// What `[agent_defaults]`, `[[agent]]` and the labels of a container have in common, before the one is laid over the
/// other.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) tool: Field<Tool>,
    pub(super) subscriptions: Field<Vec<Placed<String>>>,
    pub(super) models: Field<Vec<Model>>,
    pub(super) delivery: Field<DeliveryText>,
    pub(super) drain: Field<Duration>,
    pub(super) stop_grace: Field<Duration>,
    pub(super) text: Field<TextPolicy>,
    pub(super) turns: TurnsText,
    pub(super) monitor_only: Field<bool>,
}

impl Shared {
    /// What is not said here is taken from the defaults.
    pub(super) fn or(self, defaults: Option<&Self>) -> Self {
        let Some(defaults) = defaults else { return self };
        Self {
            tool: self.tool.or(defaults.tool.clone()),
            subscriptions: self.subscriptions.or(defaults.subscriptions.clone()),
            models: self.models.or(defaults.models.clone()),
            delivery: self.delivery.or(defaults.delivery.clone()),
            drain: self.drain.or(defaults.drain.clone()),
            stop_grace: self.stop_grace.or(defaults.stop_grace.clone()),
            text: self.text.or(defaults.text.clone()),
            turns: self.turns.or(defaults.turns.clone()),
            monitor_only: self.monitor_only.or(defaults.monitor_only.clone()),
        }
    }
}

/// What could be read of an agent, for the checks across sections.
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) at: Range<usize>,
    pub(super) name: Option<Placed<String>>,
    pub(super) tool: Option<Tool>,
    pub(super) target: Option<Placed<Target>>,
    pub(super) subscriptions: Field<Vec<Placed<String>>>,
    pub(super) models: Vec<Model>,
    pub(super) delivery: Option<Placed<Delivery>>,
    pub(super) drain: Duration,
    pub(super) stop_grace: Option<Duration>,
    pub(super) text: TextPolicy,
    pub(super) turns: Turns,
    pub(super) is_monitor_only: bool,
}

impl Draft {
    /// Whether it stands for all containers whose names match.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(&self.target, Some(Placed { value: Target::Container { name }, .. }) if is_pattern(name))
    }
}

pub(super) const LATER: &[&str] = &[];
const CONTAINER_EXAMPLE: &str = "\"reviewer\"";
pub(super) const DRAIN: Duration = Duration::from_secs(30);
pub(super) const TEXT: TextPolicy = TextPolicy::Corroborated;
/// A process has no stop timeout of its own.
const PROCESS_GRACE: Duration = Duration::from_secs(10);

/// What stands for the name of each container in a template.
pub(super) const NAME: &str = "{name}";

/// The keys that stand in all of them.
pub(super) fn read_shared(section: &mut Section<'_>) -> Shared {
    let tool = section.word::<Tool>("tool");
    let subscriptions = section.texts("subscriptions", "[\"max-a\", \"max-b\"]");
    let models = section.texts("models", "[\"opus\"]").and_then(|models| name::models(&models, section.findings()));
    let delivery = delivery::read(section);
    let drain = section.duration("drain", Duration::ZERO..=Duration::from_secs(86_400));
    let stop_grace = section.duration("stop_grace", Duration::ZERO..=Duration::from_secs(3_600));
    let text = section.word::<TextPolicy>("text");
    let turns = turns::read(section);
    let monitor_only = section.flag("monitor_only");
    Shared { tool, subscriptions, models, delivery, drain, stop_grace, text, turns, monitor_only }
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
    let pattern = section.text("container", CONTAINER_EXAMPLE).placed().filter(|text| is_pattern(&text.value));
    let name = match &pattern {
        None => name::read(&mut section, "name", "\"reviewer\"").placed(),
        Some(pattern) => {
            let what = "`name` would be the same for every container that the pattern matches";
            section.refuse("name", what, "remove it: each agent is named as its container");
            Some(pattern.clone())
        }
    };
    if let Some(name) = &name {
        section.title = format!("[[agent]] \"{}\"", name.value);
    }
    let called = match (&pattern, &name) {
        (Some(_), _) => NAME,
        (None, name) => name.as_ref().map_or("", |name| name.value.as_str()),
    };
    let with = Expansion { name: Some(called), ..with };
    let target = read_target(&mut section, with);
    let shared = read_shared(&mut section).or(defaults);
    let is_monitor_only = matches!(&shared.monitor_only, Field::Good(flag) if flag.value);
    if shared.tool.is_absent() {
        let tools: Vec<_> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
        section.missing("tool", &format!("one of {}", tools.join(", ")));
    }
    if shared.delivery.is_absent() && !is_monitor_only && !shared.monitor_only.is_bad() {
        section.missing("delivery", &format!("add delivery = {}", delivery::EXAMPLE));
    }
    if is_monitor_only && let Some(Placed { value: Target::Process { .. }, at }) = &target {
        let what = format!("{} is `monitor_only`, and a process is started by the daemon itself", section.title);
        findings.error(at, what, "remove `monitor_only`, or let it run in a container");
    }
    let is_container = matches!(target, Some(Placed { value: Target::Container { .. }, .. }));
    let at = section.at.clone();
    let delivery = match shared.delivery {
        Field::Absent if is_monitor_only => Some(Placed { value: Delivery::Nothing, at }),
        delivery => delivery.and_then(|text| text.value.of_agent(is_container, with, findings)).placed(),
    };
    if let (Some(_), Some(Placed { value: Delivery::File(file), at })) = (&pattern, &delivery)
        && !file.path.to_string_lossy().contains(NAME)
    {
        let what = format!("{} would deliver to {} for every container it matches", section.title, file.path.display());
        findings.error(at, what, "put {name} into the path");
    }
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
        models: shared.models.unwrap_or(Vec::new()),
        delivery,
        drain: shared.drain.unwrap_or(DRAIN),
        stop_grace: shared.stop_grace.good().or(grace),
        text: shared.text.unwrap_or(TEXT),
        turns: shared.turns.resolved(),
        is_monitor_only,
    };
    section.finish(false);
    draft
}

/// Whether it stands for all containers whose names match it.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains('*') && name::is_container(&format!("a{}", text.replace('*', "")))
}

fn read_target(section: &mut Section<'_>, with: Expansion<'_>) -> Option<Placed<Target>> {
    let findings = section.findings();
    let container = section.text("container", CONTAINER_EXAMPLE).and_then(|text| {
        if !name::is_container(&text.value) && !is_pattern(&text.value) {
            let what = format!("`container` \"{}\" is not the name of a container", text.value);
            let hint = "as `docker ps` shows it: letters, digits, `_`, `.`, `-`; `*` stands for any run of these";
            findings.error(&text.at, what, hint);
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
    let command = command::read(&mut section, "command", "process.command", "[\"./agent.sh\"]")
        .and_then(|command| Some(command::argv(command)));
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
