//! Asks a provider how a subscription stands: the smallest request that is answered with its limits.
//!
//! | provider | request | credential in |
//! |---|---|---|
//! | `anthropic`, `setup-token` | `POST …/v1/messages`, one token | `authorization: Bearer …`, with the beta header for such tokens |
//! | `anthropic`, `api-key` | the same | `x-api-key` |
//! | `openai`, `api-key` | `POST …/v1/responses`, the fewest tokens that it takes | `authorization: Bearer …` |
//!
//! The form of the requests stands in `form.rs`. Redirects are not followed and no proxy of the environment is used, or
//! the credential would go where it was not meant to. Of an answer the head is read and a short
//! body: a success may be an error that a gateway has wrapped. Nothing that is said of a failure holds a byte of the credential.
//!
//! It must not try again, or judge what was answered.
//!
//! Tests: `drivers/probe/tests.rs`, against a server of the test's own.

mod form;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::time::Duration;

use secrecy::SecretString;
use ureq::http::{HeaderMap, Response};

use crate::domain::{Disposition, ProbePlan};
use crate::ports::Pending;
use crate::ports::probe::{ProbeAnswer, ProbeError, Prober, SecretBody};

/// How long all of it may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// So much of a body is read. One that is longer is not the short document that says why.
const BODY_MAX: usize = 64 * 1024;

/// Headers that speak of limits begin like one of these.
const HEADERS: [&str; 4] = ["anthropic-ratelimit-", "x-codex-", "x-ratelimit-", "retry-after"];

/// More headers than this, or longer ones, are not kept.
const HEADERS_MAX: usize = 64;
const VALUE_MAX: usize = 256;

/// Probes over HTTP.
#[derive(Debug)]
pub struct HttpProber {
    agent: ureq::Agent,
}

impl Default for HttpProber {
    fn default() -> Self {
        Self::new(TIME_LIMIT)
    }
}

impl HttpProber {
    /// Each probe may take so long.
    #[must_use]
    pub fn new(time_limit: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT.min(time_limit)))
            .timeout_global(Some(time_limit))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            // A probe is rare: no connection waits for the next one.
            .max_idle_connections(0)
            .user_agent(concat!("switchman/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent }
    }
}

impl Prober for HttpProber {
    fn probe<'a>(
        &'a self,
        plan: &'a ProbePlan,
        credential: &'a SecretString,
    ) -> Pending<'a, Result<ProbeAnswer, ProbeError>> {
        Box::pin(async move {
            let request = form::request(plan, credential).map_err(|why| permanent(why.to_owned()))?;
            let agent = self.agent.clone();
            let asked = tokio::task::spawn_blocking(move || agent.run(request).map(answer));
            match asked.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => Err(in_words(&error)),
                Err(_) => Err(transient("the call was given up because the daemon stops".to_owned())),
            }
        })
    }
}

const fn permanent(why: String) -> ProbeError {
    ProbeError { why, disposition: Disposition::Permanent }
}

const fn transient(why: String) -> ProbeError {
    ProbeError { why, disposition: Disposition::Transient }
}

/// What of an answer is handed on.
fn answer(response: Response<ureq::Body>) -> Result<ProbeAnswer, ProbeError> {
    let status = response.status().as_u16();
    if (300..=399).contains(&status) {
        return Err(permanent(format!(
            "it answered {status}: redirects are not followed, configure the final endpoint"
        )));
    }
    let headers = limits(response.headers());
    Ok(ProbeAnswer { status, headers, body: short(response) })
}

fn limits(headers: &HeaderMap) -> Vec<(String, String)> {
    let speaks = |name: &str| HEADERS.iter().any(|start| name.starts_with(start));
    let pairs = headers.iter().filter(|(name, _)| speaks(name.as_str()));
    let text = pairs.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    text.filter(|(_, value)| value.len() <= VALUE_MAX).take(HEADERS_MAX).collect()
}

/// The body, if it is a short text. That it cannot be read says nothing: the status stands.
fn short(response: Response<ureq::Body>) -> Option<SecretBody> {
    let mut bytes = Vec::new();
    let most = u64::try_from(BODY_MAX).unwrap_or(u64::MAX);
    response.into_body().into_reader().take(most + 1).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.len() <= BODY_MAX).then(|| SecretBody::new(text))
}

/// The cause without what was sent: an error of the library may quote it.
fn in_words(error: &ureq::Error) -> ProbeError {
    match error {
        ureq::Error::Timeout(what) => transient(format!("no answer in time ({what})")),
        ureq::Error::HostNotFound => transient("the host of the endpoint is not known".to_owned()),
        ureq::Error::ConnectionFailed => transient("no connection to the endpoint".to_owned()),
        ureq::Error::Io(error) => transient(format!("no answer from the endpoint: {}", error.kind())),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => permanent("no secure connection to the endpoint".to_owned()),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            permanent("what the endpoint answers is not HTTP".to_owned())
        }
        _ => permanent("the request could not be made".to_owned()),
    }
}
