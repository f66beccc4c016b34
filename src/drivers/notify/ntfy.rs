//! Tells people through an ntfy server: a text, and headers that say how loud.
//!
//! | severity | priority | tag |
//! |---|---|---|
//! | info | 2: no sound | `information_source`; `white_check_mark` for the end of a trouble |
//! | warning | 3 | `warning` |
//! | critical | 5 | `rotating_light` |
//!
//! A token is read anew for every message, so one that was replaced is used at once.
//!
//! Tests: below, against a small server of the test's own.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::posting::{Letter, Poster};
use crate::domain::{CredentialRef, Message, Severity};
use crate::ports::Pending;
use crate::ports::notifier::{Notifier, NotifyError};

pub use super::posting::AddressError;

/// A longer token is none.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// Looks up a variable of the environment.
type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where tokens come from.
#[derive(Clone)]
pub struct Tokens {
    /// The daemon's environment.
    pub variables: Variables,
    /// Where systemd puts credentials.
    pub systemd: Option<PathBuf>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// One topic.
#[derive(Debug)]
pub struct Ntfy {
    poster: Poster,
    token: Option<CredentialRef>,
    tokens: Tokens,
}

impl Ntfy {
    /// Publishes to the topic at `url`.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub fn new(url: SecretString, token: Option<CredentialRef>, tokens: Tokens) -> Result<Self, AddressError> {
        Ok(Self { poster: Poster::new(url)?, token, tokens })
    }
}

impl Tokens {
    /// The token, or why there is none; never a part of it.
    async fn read(&self, reference: &CredentialRef) -> Result<SecretString, String> {
        let path = match reference {
            CredentialRef::File(path) => path.clone(),
            CredentialRef::Systemd(name) => match &self.systemd {
                Some(folder) => folder.join(name),
                None => return Err("its token is a credential of systemd, which did not start this daemon".to_owned()),
            },
            CredentialRef::Env(name) => {
                let token = (self.variables)(name).map(|token| token.trim().to_owned());
                return token.and_then(usable).ok_or_else(|| format!("its token is not in the variable {name}"));
            }
            CredentialRef::Command(_) => return Err("a token is not asked of a command".to_owned()),
        };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            use std::io::Read as _;
            let mut text = String::new();
            std::fs::File::open(path)?.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text).map(|_| text)
        });
        let read = read.await.map_err(|_| "its token was not read because the daemon stops".to_owned())?;
        let text = read.map_err(|error| format!("its token cannot be read from {shown}: {error}"))?;
        usable(text.trim().to_owned()).ok_or_else(|| format!("there is no token in {shown}"))
    }
}

/// One line of text that fits into a header.
fn usable(token: String) -> Option<SecretString> {
    let fits =
        !token.is_empty() && token.len() as u64 <= TOKEN_BYTES_MAX && token.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| token.into())
}

impl Notifier for Ntfy {
    fn target(&self) -> &str {
        &self.poster.target
    }

    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>> {
        Box::pin(async move {
            let mut headers = headers(message);
            if let Some(reference) = &self.token {
                let token = self.tokens.read(reference).await;
                let token = token.map_err(|why| self.poster.failed(why, false, None))?;
                headers.push(("authorization", format!("Bearer {}", token.expose_secret()).into()));
            }
            let body = match &message.action {
                Some(action) => format!("{}\n{action}", message.text),
                None => message.text.clone(),
            };
            self.poster.post(Letter { headers, body: body.into_bytes() }).await
        })
    }
}

fn headers(message: &Message) -> Vec<(&'static str, SecretString)> {
    let about = message.agent.as_ref().map(|agent| format!(" {agent}")).unwrap_or_default();
    let is_shown = |char: &char| char.is_ascii_graphic() || *char == ' ';
    let title: String = format!("switchman: {}{about}", message.event).chars().filter(is_shown).collect();
    let (priority, tag) = match message.severity {
        Severity::Info if message.is_over => ("2", "white_check_mark"),
        Severity::Info => ("2", "information_source"),
        Severity::Warning => ("3", "warning"),
        Severity::Critical => ("5", "rotating_light"),
    };
    vec![
        ("content-type", "text/plain; charset=utf-8".into()),
        ("title", title.into()),
        ("priority", priority.into()),
        ("tags", format!("{tag},{}", message.event).into()),
        ("idempotency-key", message.id.clone().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{message, serve_once};
    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    fn tokens() -> Tokens {
        let variables = |name: &str| (name == "NTFY_TOKEN").then(|| "tk_CANARY\n".to_owned());
        Tokens { variables: Arc::new(variables), systemd: None }
    }

    fn ntfy(address: std::net::SocketAddr, token: Option<CredentialRef>) -> Ntfy {
        Ntfy::new(format!("http://{address}/topic-CANARY").into(), token, tokens()).unwrap()
    }

    #[tokio::test]
    async fn a_message_is_a_text_with_headers_and_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "tk_CANARY\n").unwrap();
        for token in [CredentialRef::File(file), CredentialRef::Env("NTFY_TOKEN".to_owned())] {
            let (address, served) = serve_once(OK, false);
            let message = Message { action: Some("look".to_owned()), severity: Severity::Critical, ..message() };
            ntfy(address, Some(token)).send(&message).await.unwrap();
            let (head, body) = served.join().unwrap();
            assert!(head.starts_with("post /topic-canary http/1.1\r\n"), "{head}");
            for header in [
                "title: switchman: switch reviewer",
                "priority: 5",
                "tags: rotating_light,switch",
                "authorization: bearer tk_canary",
                "idempotency-key: reviewer-s3-switch",
            ] {
                assert!(head.contains(&format!("\r\n{header}\r\n")), "{header}: {head}");
            }
            assert_eq!(body, "reviewer moved to max-b\nlook");
        }
    }

    #[tokio::test]
    async fn a_token_that_is_not_there_is_told_with_its_place_and_nothing_is_sent() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("odd");
        std::fs::write(&odd, "CANARY one\nCANARY two\n").unwrap();
        for (token, said) in [
            (CredentialRef::File("/nonexistent/token".into()), "/nonexistent/token"),
            (CredentialRef::File(odd), "there is no token in"),
            (CredentialRef::Env("NOT_SET".to_owned()), "NOT_SET"),
            (CredentialRef::Systemd("token".to_owned()), "systemd"),
        ] {
            let error = ntfy(address, Some(token)).send(&message()).await.unwrap_err();
            assert!(!error.is_final && error.why.contains(said), "{error}");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_topic_and_a_token_are_shown_nowhere() {
        let (address, served) = serve_once("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", false);
        let ntfy = ntfy(address, Some(CredentialRef::Env("NTFY_TOKEN".to_owned())));
        let error = ntfy.send(&message()).await.unwrap_err();
        served.join().unwrap();
        assert!(!error.is_final, "a token can be mended: {error}");
        assert!(!format!("{error} {error:?} {ntfy:?} {}", ntfy.target()).contains("CANARY"), "{error:?} {ntfy:?}");
    }
}
