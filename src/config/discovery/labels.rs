//! The labels of one container: an agent, or what is wrong with them.
//!
//! What a label says goes through the readers of the config's own keys: the labels become a table as `[[agent]]` is one,
//! whose places are numbers that stand for labels.
//!
//! Tests: `tests/discovery.rs` and `config/tests/hostile_labels.rs` beside the config's other tests.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::agent::{self, Agent, Draft, Origin, Target};
use super::super::delivery::{self, Delivery, DeliveryText};
use super::super::path::Expansion;
use super::super::problem::{Findings, Severity};
use super::super::reader::{Field, Placed, Section, read_word};
use super::super::{keys, name, references, subscription};
use super::{Candidate, container_of, place, problem};
use crate::config::Config;
use crate::domain::{Apply, ContainerProblem, Format, FoundContainer, SubscriptionName, Tool, duration};

/// Makes an agent of a container.
pub(crate) const ENABLE: &str = "switchman.enable";
pub(super) const AGENT: &str = "switchman.agent";
pub(super) const SUBSCRIPTIONS: &str = "switchman.subscriptions";
pub(super) const FILE: &str = "switchman.delivery.file";
const TOOL: &str = "switchman.tool";
const FORMAT: &str = "switchman.delivery.format";
const DRAIN: &str = "switchman.drain";
const MONITOR_ONLY: &str = "switchman.monitor-only";
const KNOWN: &[&str] = &[ENABLE, AGENT, TOOL, SUBSCRIPTIONS, FILE, FORMAT, DRAIN, MONITOR_ONLY];
/// What a container that was made anew is marked with: not said by a person.
const MARKS: &[&str] = &["switchman.subscription", "switchman.generation", "switchman.owner"];
const PREFIX: &str = "switchman.";
/// A longer value is none that a person wrote.
const VALUE_MAX: usize = 4_096;
const NAME_MAX: usize = 256;

/// Where each label stands, for complaints: behind everything in the text of the config.
struct Places {
    base: usize,
}

impl Places {
    fn container(&self) -> Range<usize> {
        self.base..self.base
    }

    fn of(&self, label: &str) -> Range<usize> {
        let index = KNOWN.iter().position(|known| *known == label).unwrap_or(KNOWN.len());
        let at = self.base + 1 + index;
        at..at
    }

    fn label(&self, at: Option<&Range<usize>>) -> Option<&'static str> {
        let index = at?.start.checked_sub(self.base + 1)?;
        KNOWN.get(index).copied()
    }
}

/// The agent that the labels of a container make of it. Nothing, and no problem, if they do not speak of it.
pub(super) fn read<'a>(
    config: &Config,
    found: &'a FoundContainer,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<ContainerProblem>,
) -> Option<Candidate<'a>> {
    let enable = found.labels.get(ENABLE)?;
    match enable.as_str() {
        "true" => {}
        "false" => return None,
        other => {
            let what = format!("\"{other}\" is neither \"true\" nor \"false\"");
            problems.push(problem(&found.name, Some(ENABLE), &what, "write switchman.enable=true"));
            return None;
        }
    }
    let strange = strangers(found);
    let is_left_out = strange.iter().any(|one| one.is_left_out);
    problems.extend(strange);
    if is_left_out {
        return None;
    }
    let (findings, places) = (Findings::default(), Places { base: config.source.text.len() + 1 });
    let agent = Reading { config, found, env, findings: &findings, places: &places }.agent();
    let errors: Vec<_> = findings.into_found().into_iter().filter(|one| one.severity == Severity::Error).collect();
    if !errors.is_empty() {
        problems.extend(errors.into_iter().map(|one| {
            let label = places.label(one.span.as_ref());
            problem(&found.name, label, &one.what, one.hint.as_deref().unwrap_or_default())
        }));
        return None;
    }
    let says = |label: &str| found.labels.contains_key(label);
    Some(Candidate {
        found,
        agent: agent?,
        names_file: says(FILE),
        names_agent: says(AGENT),
        names_subscriptions: says(SUBSCRIPTIONS),
    })
}

/// Labels that are addressed to us and cannot be read. One that is nearly a known one was meant to say something, so
/// nothing is made of its container; another one may be somebody's mark.
fn strangers(found: &FoundContainer) -> Vec<ContainerProblem> {
    let ours = found.labels.iter().filter(|(label, _)| label.starts_with(PREFIX) && !MARKS.contains(&label.as_str()));
    ours.filter_map(|(label, value)| {
        let complain = |what: &str, hint: &str| Some(problem(&found.name, Some(label), what, hint));
        if value.len() > VALUE_MAX || label.len() > NAME_MAX {
            return complain("it is longer than anything that could be meant", "remove it");
        }
        if KNOWN.contains(&label.as_str()) {
            return None;
        }
        let own = |known: &&'static str| known.strip_prefix(PREFIX).unwrap_or(known);
        let ends: Vec<&str> = KNOWN.iter().map(own).collect();
        match keys::nearest(label.strip_prefix(PREFIX).unwrap_or(label), &ends) {
            Some(near) => complain("unknown label", &format!("did you mean {PREFIX}{near}?")),
            None => complain("unknown label", &format!("known labels: {}", KNOWN.join(", ")))
                .map(|one| ContainerProblem { is_left_out: false, ..one }),
        }
    })
    .collect()
}

/// The reading of the labels of one container.
struct Reading<'a> {
    config: &'a Config,
    found: &'a FoundContainer,
    env: &'a dyn Fn(&str) -> Option<String>,
    findings: &'a Findings,
    places: &'a Places,
}

impl Reading<'_> {
    fn text(&self, label: &str) -> Option<Placed<String>> {
        let value = self.found.labels.get(label)?.clone();
        Some(Placed { value, at: self.places.of(label) })
    }

    fn agent(&self) -> Option<Agent> {
        let (findings, at) = (self.findings, self.places.container());
        let title = "this container".to_owned();
        let table = self.table();
        let mut section = Section::new(title.clone(), at.clone(), &table, findings, &[]);
        let mut shared = agent::read_shared(&mut section);
        shared.monitor_only = self.monitor_only();
        let names_file = self.found.labels.contains_key(FILE);
        shared.delivery = self.delivery();
        let shared = shared.or(self.config.defaults.as_ref());
        let is_monitor_only = matches!(&shared.monitor_only, Field::Good(flag) if flag.value);
        if shared.tool.is_absent() {
            let tools: Vec<_> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
            let hint = format!("add the label {TOOL}, or `tool` to [agent_defaults]: one of {}", tools.join(", "));
            findings.error(&at, "nothing says which tool runs in it", hint);
        }
        if shared.delivery.is_absent() && !is_monitor_only {
            let hint = format!(
                "write delivery = {{ file = \"/srv/{{name}}/credential\" }} in [agent_defaults], or add the label {FILE}"
            );
            findings.error(&at, "nothing says where its credential is delivered to", hint);
        }
        if let (Field::Good(tool), Field::Absent) = (&shared.tool, &shared.subscriptions)
            && tool.value.provider().is_none()
        {
            let hint = format!("add the label {SUBSCRIPTIONS}, or `subscriptions` to [agent_defaults]");
            findings.error(
                &at,
                format!("nothing says which subscriptions it may use, and {} has no provider of its own", tool.value),
                hint,
            );
            return None;
        }
        // What the daemon was started with is no business of whoever writes a label.
        let nobodys = |_: &str| None;
        let env: &dyn Fn(&str) -> Option<String> = if names_file { &nobodys } else { self.env };
        let with = Expansion { env, name: Some(&self.found.name) };
        let delivery = match shared.delivery {
            Field::Absent => Some(Placed { value: Delivery::Nothing, at: at.clone() }),
            delivery => delivery.and_then(|text| text.value.of_agent(true, with, findings)).placed(),
        };
        if names_file
            && let Some(Placed { value: Delivery::File(file), at }) = &delivery
            && let Some((what, hint)) = place::objection(&file.path, self.found, self.config)
        {
            findings.error(at, what, hint);
        }
        let draft = Draft {
            title,
            at,
            name: self.name(),
            tool: shared.tool.good(),
            target: Some(self.target()),
            subscriptions: shared.subscriptions,
            models: shared.models.unwrap_or(Vec::new()),
            delivery,
            drain: shared.drain.unwrap_or(agent::DRAIN),
            stop_grace: shared.stop_grace.good(),
            // No label says so: how far an agent is believed is the operator's business.
            text: shared.text.unwrap_or(agent::TEXT),
            turns: shared.turns.resolved(),
            is_monitor_only,
        };
        let subscriptions: Vec<_> = self.config.subscriptions.iter().map(subscription::Draft::of).collect();
        let agent = references::whole(draft, &subscriptions, &self.config.switching, findings)?;
        Some(Agent { origin: Origin::Labels, ..agent })
    }

    fn target(&self) -> Placed<Target> {
        Placed { value: Target::Container { name: self.found.name.clone() }, at: self.places.container() }
    }

    fn name(&self) -> Option<Placed<String>> {
        if let Some(text) = self.text(AGENT) {
            let value = name::checked(&text, AGENT, self.findings)?;
            return Some(Placed { value, at: text.at });
        }
        let at = self.places.container();
        if name::is_plain(&self.found.name) {
            return Some(Placed { value: self.found.name.clone(), at });
        }
        self.findings.error(&at, "its name is not usable as the name of an agent", format!("add the label {AGENT}"));
        None
    }

    /// What the labels say, as `[[agent]]` would say it.
    fn table(&self) -> DeTable<'static> {
        let mut table = DeTable::new();
        let mut put = |key: &'static str, at: Range<usize>, value: DeValue<'static>| {
            table.insert(Spanned::new(at.clone(), key.into()), Spanned::new(at, value));
        };
        for (key, label) in [("tool", TOOL), ("drain", DRAIN)] {
            if let Some(text) = self.text(label) {
                put(key, text.at, DeValue::String(text.value.into()));
            }
        }
        if let Some(text) = self.text(SUBSCRIPTIONS) {
            let item = |name: &str| Spanned::new(text.at.clone(), DeValue::String(name.to_owned().into()));
            put("subscriptions", text.at.clone(), DeValue::Array(listed(&text.value).map(item).collect()));
        }
        table
    }

    fn monitor_only(&self) -> Field<bool> {
        let Some(text) = self.text(MONITOR_ONLY) else { return Field::Absent };
        if let Ok(value) = text.value.parse() {
            return Field::Good(Placed { value, at: text.at });
        }
        let what = format!("\"{}\" is neither \"true\" nor \"false\"", text.value);
        self.findings.error(&text.at, what, format!("write {MONITOR_ONLY}=true"));
        Field::Bad
    }

    /// A label says where and in which form; how the file is written and what follows is the operator's.
    fn delivery(&self) -> Field<DeliveryText> {
        let (file, format) = (self.text(FILE), self.text(FORMAT));
        let Some(at) = file.as_ref().or(format.as_ref()).map(|text| text.at.clone()) else { return Field::Absent };
        let base = match self.config.defaults.as_ref().map(|defaults| &defaults.delivery) {
            Some(Field::Good(Placed { value: DeliveryText::File { path, format, owner, mode, apply }, .. })) => {
                Some((path.clone(), *format, *owner, *mode, apply.clone()))
            }
            Some(_) | None => None,
        };
        if let Some(text) = file.as_ref().filter(|text| text.value.contains("${")) {
            let what = "`${` stands for a variable of the daemon, and a label cannot read these";
            self.findings.error(&text.at, what, "write the path out; {name} is the container's name");
            return Field::Bad;
        }
        let format = match format.map(|text| read_word::<Format>(&text, self.findings)) {
            None => None,
            Some(Some(format)) => Some(format),
            Some(None) => return Field::Bad,
        };
        let (path, format, owner, mode, apply) = match (file, base) {
            (Some(path), Some((_, of_all, owner, mode, apply))) => (path, format.unwrap_or(of_all), owner, mode, apply),
            (None, Some((path, of_all, owner, mode, apply))) => (path, format.unwrap_or(of_all), owner, mode, apply),
            (Some(path), None) => (path, format.unwrap_or(Format::Raw), None, delivery::MODE, Apply::Restart),
            (None, None) => {
                let hint = format!("add the label {FILE}, or `delivery` to [agent_defaults]");
                self.findings.error(&at, "it says how a file looks, and no file is named", hint);
                return Field::Bad;
            }
        };
        Field::Good(Placed { value: DeliveryText::File { path, format, owner, mode, apply }, at })
    }
}

/// The names of a list in a label. An empty label is an empty list.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.trim().is_empty())
}

/// What the labels of a container say that its agent in the config is not.
pub(super) fn contradictions(found: &FoundContainer, agent: &Agent) -> Vec<ContainerProblem> {
    if !found.labels.contains_key(ENABLE) {
        return Vec::new();
    }
    let mut problems = strangers(found);
    let file = match &agent.delivery {
        Delivery::File(file) => Some((file.path.display().to_string(), file.format)),
        Delivery::Env(_) | Delivery::Nothing => None,
    };
    let subscriptions: Vec<&str> = agent.subscriptions.iter().map(SubscriptionName::as_str).collect();
    for label in KNOWN {
        let Some(said) = found.labels.get(*label) else { continue };
        let container = container_of(agent).unwrap_or_default();
        let (is_so, is) = match *label {
            ENABLE => (said == "true", "an agent".to_owned()),
            AGENT => (said == agent.name.as_str(), format!("agent \"{}\"", agent.name)),
            TOOL => (said == agent.tool.as_str(), format!("{}", agent.tool)),
            SUBSCRIPTIONS => (listed(said).eq(subscriptions.iter().copied()), subscriptions.join(",")),
            FILE => match &file {
                Some((path, _)) => (said.replace(agent::NAME, container) == *path, path.clone()),
                None => (false, "no file".to_owned()),
            },
            FORMAT => match &file {
                Some((_, format)) => (said == format.as_str(), format.as_str().to_owned()),
                None => (false, "no file".to_owned()),
            },
            DRAIN => (duration::parse(said) == Ok(agent.drain), duration::format(agent.drain)),
            MONITOR_ONLY => (*said == agent.is_monitor_only.to_string(), agent.is_monitor_only.to_string()),
            _ => continue,
        };
        if !is_so {
            let what = format!("it says \"{said}\", and the config says otherwise: {is}");
            let hint = "the config holds: change it, or remove the label";
            problems.push(problem(&found.name, Some(label), &what, hint));
        }
    }
    problems
}
