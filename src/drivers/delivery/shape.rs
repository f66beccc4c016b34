//! What a delivered file looks like, and the credential in it read back.
//!
//! | shape | the file | read back |
//! |---|---|---|
//! | raw | the credential as it is | the whole; a login says whose it is |
//! | dotenv | `NAME=value`, one line, no quotes | the value, if this is the only line that assigns |
//! | claude-credentials | the document Claude Code reads, without a refresh token | the access token |
//!
//! A value is written without quotes because readers disagree about them: `docker --env-file` keeps them, a shell drops
//! them, and what splits at the first `=` keeps them as well. A credential is one line without control characters, so none are
//! needed.
//!
//! Tests: below.

use std::borrow::Cow;
use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::{Fingerprint, SubscriptionName, SubscriptionType, Wall};
use crate::drivers::fingerprint::{fingerprint, without_final_newline};
use crate::drivers::login;
use crate::ports::delivery::{Account, Consignment};

/// What a delivered file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// The credential as it is.
    Raw,
    /// One line `NAME=value`, with the name of each subscription's variable.
    Dotenv(BTreeMap<SubscriptionName, &'static str>),
    /// The JSON document of Claude Code.
    ClaudeCredentials,
}

/// A setup token is good for a year, and says nowhere since when. The tool only needs a time that has not passed.
const GOOD_FOR_MS: i64 = 365 * 24 * 3600 * 1000;
/// What a setup token may be used for, and what the tool wants to see before it takes a document for a login.
const SCOPES: [&str; 1] = ["user:inference"];

#[derive(Serialize, Deserialize)]
struct ClaudeDocument<'a> {
    #[serde(borrow, rename = "claudeAiOauth")]
    oauth: ClaudeOauth<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaudeOauth<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    // Always written, as null: the tool must not try to renew what cannot be renewed.
    #[serde(default, skip_deserializing)]
    refresh_token: Option<()>,
    #[serde(default, skip_deserializing)]
    expires_at: i64,
    #[serde(default, skip_deserializing)]
    scopes: [&'static str; 1],
}

impl Shape {
    /// The content of the file; the error says why this shape cannot hold this credential.
    pub(super) fn render(&self, consignment: &Consignment<'_>, now: Wall) -> Result<Zeroizing<Vec<u8>>, String> {
        let (subscription, credential) = (consignment.subscription, consignment.credential);
        let secret = credential.secret.expose_secret().as_bytes();
        if *self == Self::Raw {
            return Ok(Zeroizing::new(secret.to_vec()));
        }
        if credential.kind == SubscriptionType::Login {
            return Err(format!("\"{subscription}\" is a login, which only format \"raw\" leaves as it is"));
        }
        let value = std::str::from_utf8(without_final_newline(secret)).unwrap_or_default();
        if value.contains(char::is_control) {
            return Err(format!("the credential of \"{subscription}\" has more than one line"));
        }
        // Room for all of it, so that no copy is left behind when it grows.
        let mut content = Zeroizing::new(Vec::with_capacity(value.len() * 2 + 256));
        match self {
            Self::Raw => {}
            Self::Dotenv(names) => {
                let name = names.get(subscription);
                let name =
                    name.ok_or_else(|| format!("no variable is known for the credential of \"{subscription}\""))?;
                for part in [name.as_bytes(), b"=", value.as_bytes(), b"\n"] {
                    content.extend_from_slice(part);
                }
            }
            Self::ClaudeCredentials => {
                let oauth = ClaudeOauth {
                    access_token: Cow::Borrowed(value),
                    refresh_token: None,
                    expires_at: now.0.saturating_add(GOOD_FOR_MS),
                    scopes: SCOPES,
                };
                serde_json::to_writer(&mut *content, &ClaudeDocument { oauth }).map_err(|err| err.to_string())?;
                content.push(b'\n');
            }
        }
        Ok(content)
    }

    /// The credential in a file, and whose login it is if it is one; `None` if there is none in it.
    pub(super) fn read(&self, content: &[u8]) -> Option<(Fingerprint, Account)> {
        if without_final_newline(content).is_empty() {
            return None;
        }
        let whole = || (fingerprint(content), Account::NotALogin);
        match self {
            Self::Dotenv(names) => match only_assignment(content) {
                Some((name, value)) if names.values().any(|known| *known == name) => {
                    (!value.is_empty()).then(|| (fingerprint(value.as_bytes()), Account::NotALogin))
                }
                Some(_) | None => Some(whole()),
            },
            Self::Raw | Self::ClaudeCredentials => Some(match login::read(content) {
                // Also where a setup token was delivered: somebody may have logged in inside.
                Ok(login) => (login.content, login.account),
                Err(_) if *self == Self::Raw => whole(),
                Err(_) => match serde_json::from_slice::<ClaudeDocument<'_>>(content) {
                    Ok(document) => (fingerprint(document.oauth.access_token.as_bytes()), Account::NotALogin),
                    Err(_) => whole(),
                },
            }),
        }
    }
}

/// Name and value, if exactly one line assigns one.
fn only_assignment(content: &[u8]) -> Option<(&str, &str)> {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = std::str::from_utf8(content).ok()?.lines().filter(is_said);
    let only = lines.next().filter(|_| lines.next().is_none())?;
    only.split_once('=')
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{AgentName, Generation};
    use crate::ports::credentials::Credential;

    fn dotenv() -> Shape {
        let names = [("max-a", "CLAUDE_CODE_OAUTH_TOKEN"), ("key-a", "ANTHROPIC_API_KEY")];
        Shape::Dotenv(names.map(|(name, variable)| (SubscriptionName::new(name), variable)).into())
    }

    fn render(shape: &Shape, subscription: &str, secret: &str, kind: SubscriptionType) -> Result<String, String> {
        let credential = Credential::of_static(SecretString::from(secret), fingerprint(secret.as_bytes()), kind);
        let consignment = Consignment {
            agent: &AgentName::new("w"),
            subscription: &SubscriptionName::new(subscription),
            generation: Generation(1),
            credential: &credential,
        };
        shape.render(&consignment, Wall(1000)).map(|content| String::from_utf8(content.to_vec()).unwrap())
    }

    const STATIC: SubscriptionType = SubscriptionType::SetupToken;

    #[test]
    fn every_shape_is_written_and_the_credential_in_it_found_again() {
        for shape in [Shape::Raw, dotenv(), Shape::ClaudeCredentials] {
            for secret in ["sk-ant-oat01-a=b", "with \"quotes\" and $x \\ ü #"] {
                let content = render(&shape, "max-a", secret, STATIC).unwrap();
                let found = shape.read(content.as_bytes());
                assert_eq!(found, Some((fingerprint(secret.as_bytes()), Account::NotALogin)), "{content}");
            }
            assert_eq!(shape.read(b"\n"), None);
        }
        assert_eq!(render(&dotenv(), "max-a", "a=b", STATIC).unwrap(), "CLAUDE_CODE_OAUTH_TOKEN=a=b\n");
        assert_eq!(render(&dotenv(), "key-a", "k\n", STATIC).unwrap(), "ANTHROPIC_API_KEY=k\n");
        let document: Value =
            serde_json::from_str(&render(&Shape::ClaudeCredentials, "max-a", "t", STATIC).unwrap()).unwrap();
        let expected = json!({"claudeAiOauth": {"accessToken": "t", "refreshToken": null,
            "expiresAt": 1000 + GOOD_FOR_MS, "scopes": ["user:inference"]}});
        assert_eq!(document, expected);
    }

    #[test]
    fn what_a_shape_cannot_hold_is_refused_without_showing_it() {
        for (shape, subscription, secret, kind, why) in [
            (dotenv(), "other", "CANARY", STATIC, "no variable is known for the credential of \"other\""),
            (dotenv(), "max-a", "CANARY\nCANARY=1", STATIC, "has more than one line"),
            (Shape::ClaudeCredentials, "max-a", "CANARY\nx", STATIC, "has more than one line"),
            (dotenv(), "max-a", "{\"CANARY\":1}", SubscriptionType::Login, "is a login"),
            (Shape::ClaudeCredentials, "max-a", "{\"CANARY\":1}", SubscriptionType::Login, "is a login"),
        ] {
            let said = render(&shape, subscription, secret, kind).unwrap_err();
            assert!(said.contains(why) && !said.contains("CANARY"), "{said}");
        }
    }

    #[test]
    fn what_a_person_wrote_is_recognised_where_it_says_the_same() {
        let print = |text: &str| fingerprint(text.as_bytes());
        let of = |shape: &Shape, content: &str| shape.read(content.as_bytes()).map(|(print, _)| print);
        assert_eq!(of(&dotenv(), "# mine\n\nANTHROPIC_API_KEY=k\n"), Some(print("k")));
        assert_eq!(of(&dotenv(), "ANTHROPIC_API_KEY=\n"), None);
        for other in ["ANTHROPIC_API_KEY=k\nCLAUDE_CODE_OAUTH_TOKEN=t\n", "PATH=/bin\n", "k\n"] {
            assert_eq!(of(&dotenv(), other), Some(print(other)), "{other}");
        }
        let claude = r#"{"mcpOAuth":{},"claudeAiOauth":{"accessToken":"\u0074","expiresAt":null,"scopes":[]}}"#;
        assert_eq!(of(&Shape::ClaudeCredentials, claude), Some(print("t")));
        assert_eq!(of(&Shape::ClaudeCredentials, "t"), Some(print("t")));
    }

    #[test]
    fn a_login_is_found_where_somebody_logged_in() {
        let document = r#"{"tokens":{"refresh_token":"r","account_id":"a"}}"#;
        for shape in [Shape::Raw, Shape::ClaudeCredentials] {
            let (content, account) = shape.read(document.as_bytes()).unwrap();
            assert_eq!(content, fingerprint(document.as_bytes()));
            assert!(matches!(account, Account::Of(_)));
        }
        assert_eq!(dotenv().read(document.as_bytes()).unwrap().1, Account::NotALogin);
    }
}
