//! The config: TOML in, a validated [`Config`] or all its problems at once out.
//!
//! It must not act on what it reads, read the environment itself (that comes in as a value), or echo a
//! secret. Reading goes in three steps:
//!
//! ```text
//! text ──parse──► spanned table ──sections──► drafts ──references──► Config
//!                      │              │                  │
//!                      └──────────────┴── Findings ──────┴──► every Problem, by place
//! ```
//!
//! and `check_files` is a separate look at the credential files, because a daemon starts without one of
//! them where `check` does not pass.
//!
//! Invariants: a key that no section asks for is an error · an error anywhere gives no `Config` · no problem
//! carries a value that may be a secret.
//!
//! Tests: in each file; whole configs in `config/tests.rs`.

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

mod address;
mod agent;
mod api;
mod apply;
mod carried;
mod command;
mod delivery;
mod discovery;
mod docker;
mod files;
mod history;
mod keys;
mod log;
mod login;
mod name;
mod notify;
mod owner;
mod path;
mod probe;
mod problem;
mod reader;
mod references;
mod render;
mod resolved;
mod rules;
mod secret;
mod size;
mod socket;
mod subscription;
mod switching;
mod terms;
#[cfg(test)]
mod tests;
mod turns;

pub use agent::{Agent, Origin, Target};
pub use api::Api;
pub use delivery::{Delivery, FileDelivery};
pub use discovery::{Discovered, Incumbents};
pub use docker::{Discover, Docker};
pub use files::Asked;
pub use history::History;
pub use log::{Log, LogFormat};
pub use notify::{Notify, NotifyTarget, PostAddress};
pub use owner::Owner;
pub use problem::{Problem, Severity};
pub use render::render;
pub use rules::{Condition, Does, Find, Meaning, Pattern, ResetFrom, Rule, Unit, Value, When};
pub use socket::socket;
pub use subscription::Subscription;
pub use switching::{Failback, Proactive, Strategy, Switching};
pub use turns::Turns;

use crate::domain::{AgentName, NotifyEvent, ProbePlan};
use crate::machine::policy::{FilePolicy, Policy, SubscriptionPolicy};
use path::Expansion;
use problem::{Findings, Source};
use reader::Section;

/// A config of more bytes than this is none.
pub const BYTES_MAX: u64 = 4 << 20;
/// After so many errors of syntax the rest are consequences.
const SYNTAX_ERRORS_MAX: usize = 5;

/// A config that can be used as it is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon keeps its state.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub api: Api,
    /// What it logs.
    pub log: Log,
    /// How much of the past it keeps.
    pub history: History,
    /// The engine that runs containers.
    pub docker: Docker,
    /// When agents are moved.
    pub switching: Switching,
    /// The subscriptions, in the order of the file.
    pub subscriptions: Vec<Subscription>,
    /// The agents, in the order of the file.
    pub agents: Vec<Agent>,
    /// Whom to tell.
    pub notify: Vec<Notify>,
    /// What is recognised besides what is built in, in the order of the file.
    pub rules: Vec<Rule>,
    /// What is made of each container whose name matches, in the order of the file: `{name}` is still in the paths.
    pub(in crate::config) patterns: Vec<Agent>,
    /// What holds for a container that says no more than that it is an agent.
    pub(in crate::config) defaults: Option<agent::Shared>,
    source: Source,
}

impl Config {
    /// Reads a file. Gives the config and its warnings, or every problem. A blocking call.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(err) = read {
            let what = format!("cannot read the config: {err}");
            return Err(vec![Problem::nowhere(&file, what, "name another file with --config")]);
        }
        Self::from_bytes(&file, bytes, env)
    }

    /// Reads what a file holds; `file` is what its problems call it.
    pub fn from_bytes(
        file: &str,
        bytes: Vec<u8>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let refuse = |what: String, hint: &str| Err(vec![Problem::nowhere(file, what, hint)]);
        if bytes.len() as u64 > BYTES_MAX {
            return refuse("the config is larger than 4 MiB".to_owned(), "");
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(file, &text, env),
            Err(err) => {
                let readable = String::from_utf8_lossy(&err.as_bytes()[..err.utf8_error().valid_up_to()]);
                let line = readable.matches('\n').count() + 1;
                refuse(format!("the config is not UTF-8 text: line {line} cannot be read"), "")
            }
        }
    }

    /// Reads a text; `file` is what its problems call it.
    pub fn parse(
        file: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let findings = Findings::default();
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut is_readable = true;
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            let at = error.span().unwrap_or(text.len()..text.len());
            findings.error(&at, error.message(), "");
            // After a duplicate key the first one stands, and the rest can be read all the same.
            is_readable &= error.message().starts_with("duplicate key");
        }
        if !is_readable {
            for place in secret::likely_places(text) {
                findings.hide(&place);
            }
            return Err(findings.into_problems(file, text).1);
        }
        let draft = read(Section::new(keys::TOP, 0..0, table.get_ref(), &findings, &[]), text, env);
        let (source, mut problems) = findings.into_problems(file, text);
        let config = Self { source, ..draft };
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            // All at once: who mends the text wants to know of the files as well.
            problems.extend(config.check_files(Asked::ByCheck));
            return Err(problems);
        }
        Ok((config, problems))
    }

    /// What the decisions about an agent depend on; `None` if there is no such agent.
    #[must_use]
    pub fn policy(&self, agent: &AgentName) -> Option<Policy> {
        let agent = self.agents.iter().find(|candidate| candidate.name == *agent)?;
        let switching = &self.switching;
        // One that counts against its own name needs no entry.
        let shared = |subscription: &&Subscription| subscription.quota.as_str() != subscription.name.as_str();
        let quotas = self.subscriptions.iter().filter(shared);
        Some(Policy {
            quotas: quotas.map(|subscription| (subscription.name.clone(), subscription.quota.clone())).collect(),
            kinds: self.subscriptions.iter().map(|one| (one.name.clone(), one.kind)).collect(),
            runtime: agent.runtime(),
            tool: agent.tool,
            file: match &agent.delivery {
                Delivery::File(file) => {
                    Some(FilePolicy { path: file.path.clone(), format: file.format, apply: file.apply.clone() })
                }
                Delivery::Env(_) | Delivery::Nothing => None,
            },
            subscriptions: agent.subscriptions.clone(),
            models: agent.models.clone(),
            text: agent.text,
            switching: switching.enabled && !agent.is_monitor_only,
            is_monitor_only: agent.is_monitor_only,
            cooldown: switching.cooldown,
            cooldown_max: switching.cooldown_max,
            wait_out: switching.wait_out,
            settle: switching.settle,
            budget: switching.budget,
            jitter: switching.jitter,
            drain: agent.drain,
            stop_grace: agent.stop_grace,
            ready_timeout: switching.ready_timeout,
            call_timeout: self.docker.timeout,
            voluntary: switching.voluntary_moves(),
            turns: agent.turns.policy(self.notify.iter().any(|one| one.wants(NotifyEvent::TurnBegun))),
        })
    }

    /// What the pool knows of the subscriptions.
    #[must_use]
    pub fn subscription_policies(&self) -> Vec<SubscriptionPolicy> {
        let policy = |subscription: &Subscription| SubscriptionPolicy {
            name: subscription.name.clone(),
            provider: subscription.provider.clone(),
            kind: subscription.kind,
            quota: subscription.quota.clone(),
            agents_max: subscription.agents_max,
            terms: subscription.terms.clone(),
        };
        self.subscriptions.iter().map(policy).collect()
    }
}

impl Config {
    /// The subscriptions whose providers are asked about them.
    #[must_use]
    pub fn probe_plans(&self) -> Vec<ProbePlan> {
        self.subscriptions.iter().filter_map(|subscription| subscription.probe.clone()).collect()
    }
}

/// Reads all sections; complains into the findings of the section.
fn read(mut top: Section<'_>, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Config {
    let findings = top.findings();
    let with = Expansion { env, name: None };
    let line = |offset: usize| text.get(..offset).unwrap_or(text).matches('\n').count() + 1;

    let state_dir = top
        .text("state_dir", "\"/var/lib/switchman\"")
        .and_then(|text| path::read(&text, "state_dir", with, findings))
        .unwrap_or(PathBuf::from("/var/lib/switchman"));
    let api = api::read(top.section("api", api::LATER, "", false), with);
    let log = log::read(top.section("log", &[], "", false));
    let history = history::read(top.section("history", &[], "", false));
    let docker = docker::read(top.section("docker", &[], "", false), with, findings);
    let (switching, switching_at) = switching::read(top.section("switching", switching::LATER, "", false));
    let defaults = agent::read_defaults(top.section("agent_defaults", agent::LATER, "", false));
    let drafts: Vec<_> = top
        .sections("subscription", subscription::LATER)
        .into_iter()
        .map(|section| subscription::read(section, with))
        .collect();
    let agents: Vec<_> = top
        .sections("agent", agent::LATER)
        .into_iter()
        .map(|section| agent::read(section, defaults.as_ref(), with))
        .collect();
    let notify = top.sections("notify", notify::LATER).into_iter().map(|section| notify::read(section, with)).collect();
    let rules = rules::read(top.sections("rule", &[]), findings);
    top.finish(false);

    let (patterns, agents): (Vec<_>, Vec<_>) = agents.into_iter().partition(agent::Draft::is_pattern);
    if agents.is_empty() && patterns.is_empty() && docker.discover.is_none() {
        findings.nowhere(Severity::Warning, "the config defines no agent: nothing is kept working", "add an [[agent]]");
    }
    let subscriptions = references::subscriptions(&drafts, findings, &line);
    api::check_agents(&api, agents.iter().filter_map(|agent| agent.name.as_ref()), findings);
    // What else there will be is known when the containers are.
    let are_all = patterns.is_empty() && docker.discover.is_none();
    let defined = agents.len();
    let agents = references::agents(agents, &drafts, &switching, findings, &line);
    let all = (are_all && agents.len() == defined).then_some(agents.as_slice());
    terms::of_subscriptions(&drafts, all, &switching, &switching_at, findings);
    let patterns = references::patterns(patterns, &drafts, &switching, findings, &line);
    let notify = notify::finish(notify, findings, &line);
    let source = Source { file: "".into(), text: "".into() };
    Config {
        state_dir,
        api,
        log,
        history,
        docker,
        switching,
        subscriptions,
        agents,
        notify,
        rules,
        patterns,
        defaults,
        source,
    }
}
