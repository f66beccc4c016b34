//! One engine call with a deadline, and what its failure means.
//!
//! | the engine | we say | because |
//! |---|---|---|
//! | refuses the connection, has no socket | `Unreachable` | nothing was done |
//! | does not answer in time | `Timeout` | a call that is given up goes on in the engine |
//! | drops the connection, answers 5xx or nonsense | `Unknown` | a 500 has been seen for work that was done |
//! | 409 | `Unknown` | another call about this container is under way: look, then decide |
//! | 304 | success | it is already so |
//! | 404 | `Missing` | |
//! | any other refusal | `Refused` | a proxy's 403, a request it does not understand |
//!
//! Tests: `tests/runtime_conformance/docker_faults.rs`, call by call.

use std::future::Future;
use std::time::Duration;

use bollard::errors::Error;

use crate::domain::AgentName;
use crate::ports::runtime::RuntimeError;

/// Makes one call about an agent. The deadline covers the whole answer, its body included.
pub(super) async fn call<T>(
    name: &'static str,
    agent: &AgentName,
    deadline: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, RuntimeError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(meaning(name, agent, &error)),
        Err(_) => Err(RuntimeError::Timeout { call: name, after: deadline }),
    }
}

fn meaning(call: &'static str, agent: &AgentName, error: &Error) -> RuntimeError {
    match error {
        Error::SocketNotFoundError(path) => RuntimeError::Unreachable(format!("{path} does not exist")),
        Error::HyperLegacyError { err } if err.is_connect() => RuntimeError::Unreachable(in_full(err)),
        Error::DockerResponseServerError { status_code: 404, .. } => RuntimeError::Missing(agent.clone()),
        Error::DockerResponseServerError { status_code, message }
            if (400..500).contains(status_code) && *status_code != 409 =>
        {
            RuntimeError::Refused { call, why: format!("{status_code}: {}", one_line(message)) }
        }
        Error::DockerResponseServerError { status_code, message } => {
            RuntimeError::Unknown { call, why: format!("{status_code}: {}", one_line(message)) }
        }
        other => RuntimeError::Unknown { call, why: in_words(other) },
    }
}

/// An error of the client as one sentence. One about an answer that cannot be read quotes the place where the
/// reading ended, and with a look that can be the value of a variable: it is not passed on.
pub(super) fn in_words(error: &Error) -> String {
    match error {
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => "the answer cannot be read".to_owned(),
        other => in_full(other),
    }
}

/// An error with its causes, as one sentence.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// What an engine says can be long and hold line breaks; an error is one line.
pub(super) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}
