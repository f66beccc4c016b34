//! Containers as agents, by the patterns of the config and by their labels: the config and what an engine lists in, the
//! config that holds with them and what is wrong with each container out.
//!
//! It must not look at anything itself, and a container's labels are not believed: whoever may make containers writes
//! them, and that need not be the operator (`docs/decisions/0011-labels-are-not-the-operator.md`).
//!
//! ```text
//! containers ──name──► an [[agent]] names it ──► its labels may only say the same
//!                │──► a pattern matches     ──► the pattern's agent; its labels may only say the same
//!                └──► labels.rs: switchman.enable=true ──► defaults, laid under what its labels say
//!                                     │
//!                roll: one agent per name, one file per agent, nobody's credential overwritten
//! ```
//!
//! Invariants: an agent of the file is never changed or left out for a container · what is wrong with one container
//! leaves out that one alone · no two agents have one name, one container or one file · whoever was there first stays.
//!
//! Tests: `tests/discovery.rs` and `config/tests/hostile_labels.rs` beside the config's other tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::agent::{Agent, NAME, Origin, Target};
use super::delivery::Delivery;
use super::problem::shown;
use super::{Config, name, sources};
use crate::domain::container::matches;
use crate::domain::{AgentName, ContainerProblem, CredentialRef, FoundContainer, Sought};

mod labels;
mod place;

pub(super) use labels::ENABLE;

/// What people call a container's labels that are longer is nothing to look at.
const SHOWN_MAX: usize = 300;
/// More problems of one container say nothing more.
const PROBLEMS_MAX: usize = 12;

/// What is wrong with a container, cut to what can be shown.
fn problem(container: &str, label: Option<&str>, what: &str, hint: &str) -> ContainerProblem {
    let cut = |text: &str| shown(text).chars().take(SHOWN_MAX).collect::<String>();
    ContainerProblem {
        container: cut(container),
        label: label.map(cut),
        what: cut(what),
        hint: (!hint.is_empty()).then(|| cut(hint)),
        is_left_out: true,
    }
}

/// What holds with the containers that were found.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// The config with an agent for each container that is one.
    pub config: Config,
    /// What is wrong, in the order of the containers' names.
    pub problems: Vec<ContainerProblem>,
}

/// Which container is which agent: the container's name by the agent's.
pub type Incumbents = BTreeMap<AgentName, String>;

/// A container that wants to be an agent.
struct Candidate<'a> {
    found: &'a FoundContainer,
    agent: Agent,
    /// Its labels name the file that is delivered to.
    names_file: bool,
    /// Its labels name the agent.
    names_agent: bool,
    /// Its labels name the subscriptions.
    names_subscriptions: bool,
}

impl Config {
    /// Which containers have to be known; `None` if the file names every agent itself.
    #[must_use]
    pub fn sought(&self) -> Option<Sought> {
        let label = self.docker.discover.is_some().then_some(ENABLE);
        let patterns: Vec<String> = self.patterns.iter().filter_map(container_of).map(str::to_owned).collect();
        (label.is_some() || !patterns.is_empty()).then_some(Sought { label, patterns })
    }

    /// The container of each agent that has one, by the name of the agent.
    #[must_use]
    pub fn containers(&self) -> Incumbents {
        self.agents.iter().filter_map(|agent| Some((agent.name.clone(), container_of(agent)?.to_owned()))).collect()
    }

    /// The config that holds with these containers. `before` says which container was which agent until now: of two
    /// that want to be one agent, the one that is it stays it.
    #[must_use]
    pub fn with_found(
        &self,
        found: &[FoundContainer],
        before: &Incumbents,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Discovered {
        let mut problems = Vec::new();
        let mut candidates = Vec::new();
        let found: BTreeMap<&str, &FoundContainer> = found.iter().map(|one| (one.name.as_str(), one)).collect();
        for container in found.into_values() {
            let mut own = Vec::new();
            candidates.extend(self.candidate(container, env, &mut own));
            own.truncate(PROBLEMS_MAX);
            problems.append(&mut own);
        }
        let is_incumbent = |one: &Candidate<'_>| before.get(&one.agent.name) == Some(&one.found.name);
        candidates.sort_by_key(|one| {
            (one.agent.origin, !is_incumbent(one), one.names_agent, one.found.created_at, one.found.name.clone())
        });
        let mut roll = Roll::of(self);
        for candidate in candidates {
            match roll.objection(self, &candidate) {
                Some(objection) => problems.push(objection),
                None => roll.admit(candidate.agent),
            }
        }
        roll.discovered.sort_by(|one, other| one.name.cmp(&other.name));
        problems.sort();
        problems.dedup();
        let mut config = self.clone();
        config.agents.append(&mut roll.discovered);
        Discovered { config, problems }
    }

    fn candidate<'a>(
        &self,
        found: &'a FoundContainer,
        env: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<ContainerProblem>,
    ) -> Option<Candidate<'a>> {
        let is_named = |agent: &&Agent| container_of(agent) == Some(&found.name);
        if let Some(agent) = self.agents.iter().find(is_named) {
            self.hold_against(found, agent, problems);
            return None;
        }
        let is_matched = |agent: &&Agent| container_of(agent).is_some_and(|pattern| matches(pattern, &found.name));
        if let Some(pattern) = self.patterns.iter().find(is_matched) {
            if !name::is_plain(&found.name) {
                let what = "its name, which a pattern of the config matches, is not usable as the name of an agent";
                let hint = "write an [[agent]] with a `name` for it";
                problems.push(problem(&found.name, None, what, hint));
                return None;
            }
            let agent = instance(pattern, &found.name);
            self.hold_against(found, &agent, problems);
            return Some(Candidate { found, agent, names_file: false, names_agent: false, names_subscriptions: false });
        }
        self.docker.discover.as_ref()?;
        labels::read(self, found, env, problems)
    }

    /// The labels of a container that the file has an agent for can only say the same.
    fn hold_against(&self, found: &FoundContainer, agent: &Agent, problems: &mut Vec<ContainerProblem>) {
        if self.docker.discover.is_some() {
            let said = labels::contradictions(found, agent);
            problems.extend(said.into_iter().map(|said| ContainerProblem { is_left_out: false, ..said }));
        }
    }
}

/// The agent that a pattern makes of a container.
fn instance(pattern: &Agent, container: &str) -> Agent {
    let mut agent = pattern.clone();
    agent.name = AgentName::new(container);
    agent.target = Target::Container { name: container.to_owned() };
    agent.origin = Origin::Pattern;
    agent.sources = pattern.sources.iter().map(|source| sources::instance(source, container)).collect();
    if let Delivery::File(file) = &mut agent.delivery {
        file.path = PathBuf::from(file.path.to_string_lossy().replace(NAME, container));
    }
    agent
}

fn container_of(agent: &Agent) -> Option<&str> {
    match &agent.target {
        Target::Container { name } => Some(name),
        Target::Process { .. } => None,
    }
}

fn file_of(agent: &Agent) -> Option<&PathBuf> {
    match &agent.delivery {
        Delivery::File(file) => Some(&file.path),
        Delivery::Env(_) | Delivery::Nothing => None,
    }
}

/// Who is an agent already.
struct Roll<'a> {
    names: BTreeMap<AgentName, Option<String>>,
    files: BTreeMap<PathBuf, AgentName>,
    of_the_file: &'a [Agent],
    discovered: Vec<Agent>,
}

impl<'a> Roll<'a> {
    fn of(config: &'a Config) -> Self {
        let names = config.agents.iter().map(|agent| (agent.name.clone(), container_of(agent).map(str::to_owned)));
        let files = config.agents.iter().filter_map(|agent| Some((file_of(agent)?.clone(), agent.name.clone())));
        Self { names: names.collect(), files: files.collect(), of_the_file: &config.agents, discovered: Vec::new() }
    }

    fn admit(&mut self, agent: Agent) {
        self.names.insert(agent.name.clone(), container_of(&agent).map(str::to_owned));
        if let Some(file) = file_of(&agent) {
            self.files.insert(file.clone(), agent.name.clone());
        }
        self.discovered.push(agent);
    }

    /// Why a container cannot be an agent beside those who are.
    fn objection(&self, config: &Config, candidate: &Candidate<'_>) -> Option<ContainerProblem> {
        let Candidate { found, agent, names_file, names_agent, names_subscriptions } = candidate;
        let object = |is_label: bool, label: &'static str, what: &str, hint: &str| {
            Some(problem(&found.name, is_label.then_some(label), what, hint))
        };
        if let Some(holder) = self.names.get(&agent.name) {
            let holder = holder.as_ref().map_or_else(|| "a process".to_owned(), |name| format!("container \"{name}\""));
            let what = format!("agent \"{}\" is {holder} already", agent.name);
            let hint = format!("give it another name with the label {}", labels::AGENT);
            return object(*names_agent, labels::AGENT, &what, &hint);
        }
        if let Some(bytes) = config.api.too_long_for(agent.name.as_str()) {
            let what = format!("the socket of agent \"{}\" would have a path of {bytes} bytes", agent.name);
            let hint = "choose a shorter name, or a `socket` in a folder with a shorter path";
            return object(*names_agent, labels::AGENT, &what, hint);
        }
        if let Some(file) = file_of(agent) {
            let is_source =
                |one: &&super::Subscription| matches!(&one.credential, CredentialRef::File(path) if path == file);
            if let Some(one) = config.subscriptions.iter().find(is_source) {
                let what = format!(
                    "it would be delivered to {}, where a credential is kept: that of \"{}\"",
                    file.display(),
                    one.name
                );
                return object(*names_file, labels::FILE, &what, "deliver to a file of its own");
            }
            if let Some(holder) = self.files.get(file) {
                let what = format!("it would be delivered to {}, as agent \"{holder}\" already is", file.display());
                let hint = "each agent needs a file of its own; {name} in the path helps";
                return object(*names_file, labels::FILE, &what, hint);
            }
        }
        if *names_subscriptions && let Some((login, other)) = self.shared_login(config, agent) {
            let what =
                format!("it names the login \"{login}\", which \"{other}\" may run on: only one agent can use a login");
            return object(true, labels::SUBSCRIPTIONS, &what, "leave the login to one agent");
        }
        None
    }

    /// A login that this agent and another one may use.
    fn shared_login<'b>(&'b self, config: &Config, agent: &'b Agent) -> Option<(&'b str, &'b AgentName)> {
        use crate::domain::SubscriptionType::Login;
        let is_login = |name: &&crate::domain::SubscriptionName| {
            config.subscriptions.iter().any(|one| one.name == **name && one.kind == Login)
        };
        agent.subscriptions.iter().filter(is_login).find_map(|login| {
            let others = self.of_the_file.iter().chain(&self.discovered);
            let other = others.into_iter().find(|other| other.subscriptions.contains(login))?;
            Some((login.as_str(), &other.name))
        })
    }
}
