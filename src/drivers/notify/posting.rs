//! One HTTP POST, and what its answer means.
//!
//! Of the answer only the head is read, however long its body is. Redirects are not followed, or a secret would go
//! where it was not meant to. Nothing that is said of a failure holds the address.
//!
//! Tests: in `webhook` and `ntfy`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use ureq::http::Uri;

use crate::ports::notifier::NotifyError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// A target that asks for more patience than this is asked again all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Why an address cannot be used. Says nothing of the address: it may be a secret as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL.
    #[error("the address is not a URL; expected for example \"https://example.org/hook\"")]
    NotAUrl,
    /// It is no HTTP URL.
    #[error("the address must begin with https:// or http://")]
    Scheme,
    /// It names no host.
    #[error("the address names no host")]
    Host,
}

/// Posts to one address.
#[derive(Debug)]
pub(super) struct Poster {
    /// The target as it may be shown.
    pub(super) target: String,
    url: SecretString,
    agent: ureq::Agent,
}

/// What is posted, besides the address.
pub(super) struct Letter {
    pub(super) headers: Vec<(&'static str, SecretString)>,
    pub(super) body: Vec<u8>,
}

impl Poster {
    pub(super) fn new(url: SecretString) -> Result<Self, AddressError> {
        let target = shown(url.expose_secret())?;
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TOTAL_TIMEOUT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("switchman/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { target, url, agent })
    }

    pub(super) fn failed(&self, why: String, is_final: bool, retry_after: Option<Duration>) -> NotifyError {
        NotifyError { target: self.target.clone(), why, is_final, retry_after }
    }

    /// Posts it; what came back, in words.
    pub(super) async fn post(&self, letter: Letter) -> Result<String, NotifyError> {
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let posted = tokio::task::spawn_blocking(move || {
            let mut request = agent.post(url.expose_secret());
            for (name, value) in &letter.headers {
                request = request.header(*name, value.expose_secret());
            }
            let response = request.send(&letter.body[..])?;
            let later = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            Ok((response.status().as_u16(), later.map(Duration::from_secs)))
        });
        match posted.await {
            Ok(Ok((status, later))) => judge(status).map_err(|(why, is_final)| {
                let later = later.filter(|_| !is_final).map(|later: Duration| later.min(RETRY_AFTER_MAX));
                self.failed(why, is_final, later)
            }),
            Ok(Err(error)) => Err(self.failed(in_words(&error), false, None)),
            Err(_) => Err(self.failed("the call was given up because the daemon stops".to_owned(), false, None)),
        }
    }
}

/// Scheme and host, and a few digits of a digest that tell two addresses on one host apart.
fn shown(url: &str) -> Result<String, AddressError> {
    let uri: Uri = url.parse().map_err(|_| AddressError::NotAUrl)?;
    let scheme = match uri.scheme_str() {
        Some(scheme @ ("http" | "https")) => scheme,
        Some(_) => return Err(AddressError::Scheme),
        None => return Err(AddressError::NotAUrl),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(AddressError::Host)?;
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let digest = Sha256::digest(url.as_bytes());
    Ok(format!("{scheme}://{host}{port}#{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]))
}

/// What a status means: taken, or why not and whether it never will be.
fn judge(status: u16) -> Result<String, (String, bool)> {
    match status {
        200..=299 => Ok(format!("it answered {status}")),
        300..=399 => {
            Err((format!("it answered {status}: redirects are not followed, configure the final address"), false))
        }
        // Whoever mends a token or its rights wants what was told meanwhile.
        401 | 403 | 407 => Err((format!("it answered {status}: it does not let us in"), false)),
        408 | 429 => Err((format!("it answered {status}: later"), false)),
        400..=499 => Err((format!("it answered {status}: it refuses the notification"), true)),
        _ => Err((format!("it answered {status}"), false)),
    }
}

/// The cause without the address: an error of the library may quote it.
fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(what) => format!("no answer in time ({what})"),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Tls(why) => format!("no secure connection: {why}"),
        ureq::Error::Rustls(error) => format!("no secure connection: {error}"),
        ureq::Error::Protocol(_) => "its answer is not HTTP".to_owned(),
        _ => "the request could not be made".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_shows_the_host_only_and_tells_two_hooks_apart() {
        let a = shown("https://example.org/hook/one?k=v").unwrap();
        let b = shown("https://example.org/hook/two").unwrap();
        assert!(a.starts_with("https://example.org#") && a.len() == "https://example.org#".len() + 8, "{a}");
        assert_ne!(a, b);
        assert_eq!(a, shown("https://example.org/hook/one?k=v").unwrap(), "stable");
        assert!(shown("http://u:p@host:8080/x").unwrap().starts_with("http://host:8080#"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_quoted() {
        assert_eq!(shown("ftp://host/x"), Err(AddressError::Scheme));
        assert_eq!(shown("example.org"), Err(AddressError::NotAUrl));
        assert_eq!(shown("https://a b/"), Err(AddressError::NotAUrl));
    }
}
