//! `classify --as-agent`: what the daemon would have done about a recorded log.
//!
//! Lines come from files, or from what the engine keeps of the container's log. Where a line does not say when it was
//! written, the last one that did does.
//!
//! Tests: `tests/cli/replay.rs`.

use std::collections::BTreeMap;

use super::blocks::{self, Blocks};
use super::judging::{Judge, split_stamp};
use super::sources::{Source, Unreadable};
use crate::classify::stated_time;
use crate::cli::Environment;
use crate::config::{Agent, Config, Target};
use crate::domain::{AgentName, FoundContainer, SubscriptionName, Wall};
use crate::drivers::docker::DockerHost;
use crate::drivers::docker::logs::DockerLogs;
use crate::error::{Exit, Failure};
use crate::ports::logs::{LogBatch, LogRead};
use crate::replay::{Replay, Rest, Setting, Told};

/// What a replay begins with.
pub(super) struct Subject {
    pub(super) setting: Setting,
    /// Its container, if it has one.
    pub(super) container: Option<String>,
    pub(super) tool: crate::domain::Tool,
}

/// The agent of this name, as the config has it; `on` is what it ran on when the log began.
pub(super) fn subject(
    config: &Config,
    name: &str,
    on: Option<&str>,
    environment: &Environment,
) -> Result<Subject, Failure> {
    let name = AgentName::from(name);
    let found;
    let config = if config.agents.iter().any(|agent| agent.name == name) {
        config
    } else {
        // One that a pattern makes of its container.
        let container = FoundContainer {
            id: name.to_string(),
            name: name.to_string(),
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            created_at: Wall(0),
        };
        found = config.with_found(&[container], &BTreeMap::new(), &*environment.variables).config;
        &found
    };
    let agent = config.agents.iter().find(|agent| agent.name == name);
    let (Some(agent), Some(policy)) = (agent, config.policy(&name)) else {
        let detail = format!("the config has no agent named \"{name}\"");
        return Err(Failure::new(Exit::Failed, "agent_not_found", detail).with_hint(known(config)));
    };
    let on = match on {
        Some(on) => agent.subscriptions.iter().find(|one| one.as_str() == on).ok_or_else(|| {
            let detail = format!("\"{name}\" may not use a subscription named \"{on}\"");
            let names: Vec<_> = agent.subscriptions.iter().map(SubscriptionName::as_str).collect();
            let hint = format!("one of {}", names.join(", "));
            Failure::new(Exit::Failed, "subscription_not_found", detail).with_hint(hint)
        })?,
        None => agent.subscriptions.first().ok_or_else(|| {
            let detail = format!("\"{name}\" may use no subscription at all");
            Failure::new(Exit::Failed, "subscription_not_found", detail)
        })?,
    };
    Ok(Subject {
        container: container(agent),
        tool: agent.tool,
        setting: Setting {
            agent: name,
            on: on.clone(),
            policy,
            subscriptions: config.subscription_policies(),
            pool: config.switching.pool_settings(),
        },
    })
}

fn known(config: &Config) -> String {
    let names: Vec<_> = config.agents.iter().map(|agent| agent.name.as_str()).collect();
    if names.is_empty() { "it has none".to_owned() } else { format!("one of {}", names.join(", ")) }
}

fn container(agent: &Agent) -> Option<String> {
    match &agent.target {
        Target::Container { name } => Some(name.clone()),
        Target::Process { .. } => None,
    }
}

/// A replay in the making: lines on their way into it.
pub(super) struct Reading {
    setting: Setting,
    judge: Judge,
    since: Option<Wall>,
    /// It begins with the first line that tells of a failure.
    replay: Option<Replay>,
    pub(super) lines: u64,
    pub(super) failures: u64,
    /// The names of the sources, with the number of lines before each of them.
    files: Vec<(String, u64)>,
    /// The last line in which a time stands.
    last_timed: Vec<u8>,
}

impl Reading {
    pub(super) fn new(setting: Setting, judge: Judge, since: Option<Wall>) -> Self {
        Self { setting, judge, since, replay: None, lines: 0, failures: 0, files: Vec::new(), last_timed: Vec::new() }
    }

    /// The file that a line stands in, where there are several, and its number there.
    pub(super) fn place(&self, line: u64) -> (Option<&str>, u64) {
        match self.files.iter().rev().find(|(_, before)| *before < line) {
            Some((file, before)) if self.files.len() > 1 => (Some(file), line - before),
            Some(_) | None => (None, line),
        }
    }

    /// Reads a file to its end. Whether the engine's times stand before its lines is seen by the first one.
    pub(super) fn read(&mut self, source: &Source, unreadable: &mut Unreadable) {
        let mut blocks = match source.open() {
            Ok(opened) => Blocks::new(opened),
            Err(error) => return unreadable.add(&source.name, &error),
        };
        self.files.push((source.name.clone(), self.lines));
        let (is_told, mut is_first) = (self.judge.has_stamps, true);
        loop {
            match blocks.next() {
                Ok(Some(block)) => {
                    for line in blocks::lines(block) {
                        if std::mem::take(&mut is_first) {
                            self.judge.has_stamps |= split_stamp(line).0.is_some();
                        }
                        self.line(line);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    unreadable.add(&source.name, &error);
                    break;
                }
            }
        }
        self.judge.has_stamps = is_told;
    }

    /// Reads what the engine keeps of the container's log.
    pub(super) async fn read_engine(
        &mut self,
        config: &Config,
        container: Option<String>,
        environment: &Environment,
    ) -> Result<(), Failure> {
        let agent = self.setting.agent.clone();
        let failed = |detail: String| Failure::new(Exit::Failed, "log_unreadable", detail).with_hint("name a FILE");
        let container =
            container.ok_or_else(|| failed(format!("\"{agent}\" runs in no container: nobody keeps its log")))?;
        let host = DockerHost::parse(&config.docker.host).map_err(|error| failed(error.to_string()))?;
        let containers = BTreeMap::from([(agent.clone(), container)]);
        let logs = DockerLogs::new(host, containers, config.docker.timeout, environment.clock.clone());
        let opened = logs.recorded(&agent, self.since).await;
        let mut stream = opened.map_err(|error| failed(format!("cannot read the log of \"{agent}\": {error}")))?;
        let mut batch = LogBatch::default();
        loop {
            let read = stream.next(&mut batch).await;
            let read = read.map_err(|error| failed(format!("cannot read on in the log of \"{agent}\": {error}")))?;
            for (text, line) in batch.iter() {
                self.judge.context.at = line.at;
                self.line_at(text, true);
            }
            if read == LogRead::Ended {
                return Ok(());
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        if !self.judge.has_stamps && memchr::memmem::find(line, b"\"timestamp\"").is_some() {
            self.last_timed.clear();
            self.last_timed.extend_from_slice(line);
        }
        self.line_at(line, false);
    }

    fn line_at(&mut self, line: &[u8], has_time: bool) {
        self.lines += 1;
        let mut judged = self.judge.line(line);
        if judged.failure.is_none() {
            return;
        }
        if !has_time && !judged.has_own_time {
            if let Some(last) = stated_time(&self.last_timed) {
                self.judge.context.at = last;
                judged = self.judge.line(line);
            }
        } else {
            self.judge.context.at = judged.at;
        }
        let Some(verdict) = judged.failure.filter(|_| self.since.is_none_or(|since| judged.at >= since)) else {
            return;
        };
        self.failures += 1;
        let told = Told { line: self.lines, at: judged.at, verdict };
        let setting = &self.setting;
        self.replay.get_or_insert_with(|| Replay::new(setting.clone(), told.at)).tell(&told);
    }

    /// Where the agent would be, and how it came there; also if nothing was ever told.
    pub(super) fn finish(&mut self) -> (Rest, Replay) {
        let at = self.judge.context.at;
        let mut replay = self.replay.take().unwrap_or_else(|| Replay::new(self.setting.clone(), at));
        (replay.finish(), replay)
    }
}
