//! Tells people by an HTTP POST.
//!
//! The body is one JSON object; the header `Idempotency-Key` carries the notification's id, so that a receiver
//! can drop a repeat. The path and the query of the address may hold a secret: they appear in no error, no log
//! line and no label. Redirects are not followed, or the secret would go where it was not meant to.
//!
//! Tests: below, against a small server of the test's own.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use ureq::http::Uri;

use crate::domain::{Notification, NotifyEvent};
use crate::ports::Pending;
use crate::ports::notifier::{Notifier, NotifyError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The wire form's version; grows only when a member changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// Why an address cannot be used. Says nothing of the address: it may be a secret as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL.
    #[error("the webhook address is not a URL; expected for example \"https://example.org/hook\"")]
    NotAUrl,
    /// It is no HTTP URL.
    #[error("the webhook address must begin with https:// or http://")]
    Scheme,
    /// It names no host.
    #[error("the webhook address names no host")]
    Host,
}

/// One address that notifications are posted to.
#[derive(Debug)]
pub struct Webhook {
    target: String,
    url: SecretString,
    events: Vec<NotifyEvent>,
    agent: ureq::Agent,
}

impl Webhook {
    /// Posts the notifications about `events` to `url`.
    pub fn new(url: SecretString, events: Vec<NotifyEvent>) -> Result<Self, AddressError> {
        let target = target(url.expose_secret())?;
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TOTAL_TIMEOUT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("switchman/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { target, url, events, agent })
    }
}

/// Scheme and host, and a few digits of a digest that tell two hooks on one host apart.
fn target(url: &str) -> Result<String, AddressError> {
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

impl Notifier for Webhook {
    fn target(&self) -> &str {
        &self.target
    }

    fn wants(&self, notification: &Notification) -> bool {
        self.events.contains(&notification.event)
    }

    fn send<'a>(&'a self, notification: &'a Notification) -> Pending<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let failed = |why: String, is_final| NotifyError { target: self.target.clone(), why, is_final };
            let body = serde_json::to_vec(&Body::from(notification))
                .map_err(|error| failed(format!("cannot be written as JSON: {error}"), true))?;
            let (agent, url, id) = (self.agent.clone(), self.url.clone(), notification.id.clone());
            let posted = tokio::task::spawn_blocking(move || post(&agent, &url, &id, &body)).await;
            match posted {
                Ok(Ok(status)) => judge(status).map_err(|(why, is_final)| failed(why, is_final)),
                Ok(Err(error)) => Err(failed(in_words(&error), false)),
                Err(_) => Err(failed("the call was given up because the daemon stops".to_owned(), false)),
            }
        })
    }
}

fn post(agent: &ureq::Agent, url: &SecretString, id: &str, body: &[u8]) -> Result<u16, ureq::Error> {
    let response = agent
        .post(url.expose_secret())
        .header("content-type", "application/json")
        .header("idempotency-key", id)
        .send(body)?;
    Ok(response.status().as_u16())
}

/// What a status means: taken, or why not and whether it never will be.
fn judge(status: u16) -> Result<(), (String, bool)> {
    match status {
        200..=299 => Ok(()),
        300..=399 => {
            Err((format!("it answered {status}: redirects are not followed, configure the final address"), false))
        }
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

/// The wire form.
#[derive(Serialize)]
struct Body<'a> {
    schema_version: u32,
    id: &'a str,
    event: &'static str,
    at: String,
    agent: &'a str,
    subscription: Option<&'a str>,
    generation: Option<u64>,
    switch: Option<String>,
    text: &'a str,
}

impl<'a> From<&'a Notification> for Body<'a> {
    fn from(notification: &'a Notification) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            id: &notification.id,
            event: notification.event.as_str(),
            at: jiff::Timestamp::from_millisecond(notification.at.0).map(|at| format!("{at:.3}")).unwrap_or_default(),
            agent: notification.agent.as_str(),
            subscription: notification.subscription.as_ref().map(crate::domain::SubscriptionName::as_str),
            generation: notification.generation.map(|generation| generation.0),
            switch: notification.intent.as_ref().map(ToString::to_string),
            text: &notification.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::JoinHandle;

    use super::*;
    use crate::domain::{Generation, IntentId, Wall};

    /// Answers one request with `answer` and returns what was asked: the head in lower case, and the body.
    fn serve_once(answer: &'static str) -> (SocketAddr, JoinHandle<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "the request ended early: {head}");
            }
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            (head, String::from_utf8(body).unwrap())
        });
        (address, served)
    }

    fn notification() -> Notification {
        Notification {
            id: "reviewer-s3-switch".to_owned(),
            event: NotifyEvent::Switch,
            at: Wall(1_795_000_000_123),
            agent: "reviewer".into(),
            subscription: Some("max-b".into()),
            generation: Some(Generation(4)),
            intent: Some(IntentId { agent: "reviewer".into(), number: 3 }),
            text: "reviewer moved to max-b".to_owned(),
        }
    }

    fn hook(address: SocketAddr) -> Webhook {
        let url = format!("http://user:pass@{address}/services/s3cr3t?token=hush");
        Webhook::new(url.into(), vec![NotifyEvent::Switch]).unwrap()
    }

    async fn send_to(answer: &'static str) -> Result<(), NotifyError> {
        let (address, served) = serve_once(answer);
        let result = hook(address).send(&notification()).await;
        served.join().unwrap();
        result
    }

    #[tokio::test]
    async fn a_notification_is_posted_whole_and_with_its_id() {
        let (address, served) = serve_once("HTTP/1.1 204 No Content\r\n\r\n");
        hook(address).send(&notification()).await.unwrap();
        let (head, body) = served.join().unwrap();
        assert!(head.starts_with("post /services/s3cr3t?token=hush http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nidempotency-key: reviewer-s3-switch\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "schema_version": 1, "id": "reviewer-s3-switch", "event": "switch", "at": "2026-11-18T11:06:40.123Z",
                "agent": "reviewer", "subscription": "max-b", "generation": 4, "switch": "reviewer-s3",
                "text": "reviewer moved to max-b",
            })
        );
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_trouble_is_not() {
        for (answer, is_final) in [
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", false),
            ("nonsense\r\n\r\n", false),
        ] {
            let error = send_to(answer).await.unwrap_err();
            assert_eq!(error.is_final, is_final, "{answer}: {error}");
            for secret in ["s3cr3t", "hush", "pass"] {
                assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_there_is_not_final_and_shows_no_secret() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let hook = hook(address);
        let error = hook.send(&notification()).await.unwrap_err();
        assert!(!error.is_final, "{error}");
        for secret in ["s3cr3t", "hush", "pass"] {
            assert!(!format!("{error} {error:?} {hook:?}").contains(secret), "{error:?} {hook:?}");
        }
    }

    #[test]
    fn a_target_shows_the_host_only_and_tells_two_hooks_apart() {
        let a = target("https://example.org/hook/one?k=v").unwrap();
        let b = target("https://example.org/hook/two").unwrap();
        assert!(a.starts_with("https://example.org#") && a.len() == "https://example.org#".len() + 8, "{a}");
        assert_ne!(a, b);
        assert_eq!(a, target("https://example.org/hook/one?k=v").unwrap(), "stable");
        assert!(target("http://u:p@host:8080/x").unwrap().starts_with("http://host:8080#"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_quoted() {
        assert_eq!(target("ftp://host/x"), Err(AddressError::Scheme));
        assert_eq!(target("example.org"), Err(AddressError::NotAUrl));
        assert_eq!(target("https://a b/"), Err(AddressError::NotAUrl));
    }
}
