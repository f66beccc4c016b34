//! A look at the container whose log is read: which one it is, which life of it, and how its log is framed.
//!
//! Tests: `tests/log_conformance/scripted.rs`, and on a real engine.

use serde::Deserialize;

use super::super::calls::one_line;
use super::super::client::DockerHost;
use super::super::may_be_a_name;
use super::http::{self, Answer};
use super::time::life_begins;
use crate::domain::{AgentName, Instance};
use crate::ports::logs::LogError;

/// Far more than a look ever shows.
const ANSWER_MAX: usize = 4 << 20;

/// The container.
pub(super) struct Subject {
    pub(super) id: String,
    /// As the engine tells it, also if the container was never started.
    pub(super) instance: Instance,
    /// From this time on lines are of this life.
    pub(super) life_begins: i64,
    pub(super) has_terminal: bool,
    pub(super) log_driver: String,
    /// The time zone that it keeps, as far as its environment says so.
    pub(super) zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    state: State,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    started_at: String,
    finished_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    tty: bool,
    #[serde(default, deserialize_with = "zone_of")]
    env: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    log_config: Option<LogConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(default)]
    r#type: String,
}

#[derive(Deserialize)]
struct Refused {
    message: String,
}

/// The value of `TZ`, and nothing else: what the others hold is nobody's business and is dropped here.
fn zone_of<'de, D: serde::Deserializer<'de>>(environment: D) -> Result<Option<String>, D::Error> {
    let variables: Option<Vec<String>> = Option::deserialize(environment)?;
    let zone = variables.iter().flatten().find_map(|variable| variable.strip_prefix("TZ=")).map(ToOwned::to_owned);
    Ok(zone.filter(|zone| !zone.is_empty()))
}

impl Subject {
    /// The container that has this name now.
    pub(super) async fn named(host: &DockerHost, agent: &AgentName, name: &str) -> Result<Self, LogError> {
        if !may_be_a_name(name) {
            let why = format!("\"{name}\" cannot be the name of a container");
            return Err(LogError::Unreadable { agent: agent.clone(), why });
        }
        let inspected = inspect(host, agent, name).await?;
        // The engine also finds a container by the beginning of its id: that one was not meant.
        if inspected.name.trim_start_matches('/') != name {
            return Err(LogError::Missing(agent.clone()));
        }
        Ok(inspected.into())
    }

    /// The container with this id, as it is now.
    pub(super) async fn with_id(host: &DockerHost, agent: &AgentName, id: &str) -> Result<Self, LogError> {
        Ok(inspect(host, agent, id).await?.into())
    }
}

impl From<Inspected> for Subject {
    fn from(found: Inspected) -> Self {
        let State { started_at, finished_at } = found.state;
        Self {
            life_begins: life_begins(&started_at, finished_at.as_deref()),
            id: found.id.clone(),
            instance: Instance { id: found.id, started_at },
            has_terminal: found.config.tty,
            zone: found.config.env,
            log_driver: found.host_config.log_config.map(|config| config.r#type).unwrap_or_default(),
        }
    }
}

async fn inspect(host: &DockerHost, agent: &AgentName, what: &str) -> Result<Inspected, LogError> {
    let answer = http::get(host, &format!("/containers/{what}/json")).await?;
    if answer.status != 200 {
        return Err(refusal(agent, answer, "").await);
    }
    let body = answer.collect(ANSWER_MAX).await?;
    let inspected: Inspected = serde_json::from_slice(&body)
        .map_err(|error| LogError::Broken(format!("the look at the container cannot be read: {error}")))?;
    // It becomes a part of a path.
    if inspected.id.is_empty() || !inspected.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(LogError::Broken("the look at the container shows no id".to_owned()));
    }
    Ok(inspected)
}

/// What an answer other than the wanted one means.
pub(super) async fn refusal(agent: &AgentName, answer: Answer, log_driver: &str) -> LogError {
    let status = answer.status;
    let message = match answer.collect(ANSWER_MAX).await {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(Refused { message }) => message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        },
        Err(error) => error.to_string(),
    };
    let message = one_line(&message);
    let cannot_be_read = status == 501 || message.contains("does not support reading");
    match status {
        404 | 409 => LogError::Missing(agent.clone()),
        _ if cannot_be_read && !log_driver.is_empty() => {
            LogError::Unreadable { agent: agent.clone(), why: format!("log driver \"{log_driver}\": {message}") }
        }
        _ if cannot_be_read => LogError::Unreadable { agent: agent.clone(), why: message },
        400..500 => LogError::Unreadable { agent: agent.clone(), why: format!("{status}: {message}") },
        _ => LogError::Broken(format!("{status}: {message}")),
    }
}
