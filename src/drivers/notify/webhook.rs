//! Tells people by an HTTP POST.
//!
//! The body is one JSON object, or what the user's template makes of it; the header `Idempotency-Key` carries the
//! message's id, so that a receiver can drop a repeat.
//!
//! Tests: below, against a small server of the test's own.

use secrecy::SecretString;

use super::form;
use super::posting::{Letter, Poster};
use crate::domain::{Content, Message, Template};
use crate::ports::Pending;
use crate::ports::notifier::{Notifier, NotifyError};

pub use super::posting::AddressError;

/// One address that messages are posted to.
#[derive(Debug)]
pub struct Webhook {
    poster: Poster,
    template: Option<Template>,
}

impl Webhook {
    /// Posts to `url`, in the words of the template if there is one.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub fn new(url: SecretString, template: Option<Template>) -> Result<Self, AddressError> {
        Ok(Self { poster: Poster::new(url)?, template })
    }
}

impl Notifier for Webhook {
    fn target(&self) -> &str {
        &self.poster.target
    }

    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>> {
        Box::pin(async move {
            let (content, body) = match &self.template {
                None => (Content::Json, form::json(message)),
                Some(template) => (template.content, form::filled(template, message)),
            };
            let content = match content {
                Content::Json => "application/json",
                Content::Text => "text/plain; charset=utf-8",
            };
            let headers = vec![("content-type", content.into()), ("idempotency-key", message.id.clone().into())];
            self.poster.post(Letter { headers, body }).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    use super::super::testing::{message, serve_once};
    use super::*;

    fn hook(address: SocketAddr) -> Webhook {
        let url = format!("http://user:pass@{address}/services/s3cr3t?token=hush");
        Webhook::new(url.into(), None).unwrap()
    }

    async fn send_to(answer: &'static str) -> Result<String, NotifyError> {
        let (address, served) = serve_once(answer, false);
        let result = hook(address).send(&message()).await;
        served.join().unwrap();
        result
    }

    #[tokio::test]
    async fn a_message_is_posted_whole_and_with_its_id() {
        let (address, served) = serve_once("HTTP/1.1 204 No Content\r\n\r\n", false);
        assert_eq!(hook(address).send(&message()).await.unwrap(), "it answered 204");
        let (head, body) = served.join().unwrap();
        assert!(head.starts_with("post /services/s3cr3t?token=hush http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nidempotency-key: reviewer-s3-switch\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "schema_version": 1, "id": "reviewer-s3-switch", "event": "switch", "severity": "info",
                "at": "2026-11-18T11:06:40.123Z", "agent": "reviewer", "subscription": "max-b", "generation": 4,
                "switch": "reviewer-s3", "over": false, "text": "reviewer moved to max-b", "action": null,
            })
        );
    }

    #[tokio::test]
    async fn a_template_is_posted_as_the_text_that_it_makes() {
        let (address, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false);
        let template = Template::parse("{agent}: {text}", Content::Text).unwrap();
        let hook = Webhook::new(format!("http://{address}/").into(), Some(template)).unwrap();
        hook.send(&message()).await.unwrap();
        let (head, body) = served.join().unwrap();
        assert!(head.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{head}");
        assert_eq!(body, "reviewer: reviewer moved to max-b");
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_trouble_is_not() {
        for (answer, is_final, later) in [
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", true, None),
            ("HTTP/1.1 410 Gone\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n", true, None),
            ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", false, None),
            ("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", false, None),
            ("HTTP/1.1 429 Too Many\r\nretry-after: 42\r\ncontent-length: 0\r\n\r\n", false, Some(42)),
            ("HTTP/1.1 429 Too Many\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n", false, Some(3600)),
            ("HTTP/1.1 429 Too Many\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", false, None),
            ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", false, None),
            ("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", false, None),
            ("nonsense\r\n\r\n", false, None),
        ] {
            let error = send_to(answer).await.unwrap_err();
            let expected = (is_final, later.map(Duration::from_secs));
            assert_eq!((error.is_final, error.retry_after), expected, "{answer}: {error}");
            for secret in ["s3cr3t", "hush", "pass"] {
                assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_waited_for() {
        let (address, served) = serve_once("HTTP/1.1 200 OK\r\n\r\n", true);
        assert_eq!(hook(address).send(&message()).await.unwrap(), "it answered 200");
        served.join().unwrap();
    }

    #[tokio::test]
    async fn nobody_there_is_not_final_and_shows_no_secret() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let hook = hook(address);
        let error = hook.send(&message()).await.unwrap_err();
        assert!(!error.is_final, "{error}");
        for secret in ["s3cr3t", "hush", "pass"] {
            assert!(!format!("{error} {error:?} {hook:?}").contains(secret), "{error:?} {hook:?}");
        }
    }
}
