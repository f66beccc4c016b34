//! Logins: the documents in which tools keep tokens that they renew themselves.
//!
//! A refresh token is good once. Whoever renews gets the next one, and every older copy of the document is worth nothing
//! from then on; so it must never be that an old copy replaces a newer one, and all that is said here serves to tell
//! which is which.
//!
//! | document | account | freshness |
//! |---|---|---|
//! | Claude Code, `.credentials.json` | the account's or the organisation's id, where there is one | `expiresAt` |
//! | Codex, `auth.json` | `account_id`, else what the identity token says | `last_refresh` |
//! | Gemini CLI, `oauth_creds.json` | what the identity token says | `expiry_date` |
//! | any other JSON with a refresh token | not named | that of the file |
//!
//! It must not hand out, keep or quote a byte of a document: what it says of one are fingerprints and times. An
//! identity token is read without being verified: it only tells two documents of one's own apart.
//!
//! Tests: below.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::fingerprint::fingerprint;
use crate::domain::credential::{REFRESH_TOKEN, implausible_text};
use crate::domain::{Fingerprint, SubscriptionName, Wall};
use crate::ports::credentials::TakenBack;
use crate::ports::delivery::Account;

/// What is known of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFacts {
    /// Of the document as it is.
    pub content: Fingerprint,
    /// Whose it is; never [`Account::NotALogin`].
    pub account: Account,
    shape: Shape,
    fresh_at: Option<Wall>,
}

/// Who writes such a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Claude,
    Codex,
    Gemini,
    Other,
}

/// Why a content is no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLogin {
    /// It cannot be one: empty, too large, not text.
    Implausible(&'static str),
    /// It is no whole JSON document; perhaps one that is just being written.
    Damaged,
    /// A whole document, and nothing in it to renew it with.
    NoRefreshToken,
}

impl std::fmt::Display for NoLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Implausible(why) => why,
            Self::Damaged => "it is no JSON document",
            Self::NoRefreshToken => "it holds no refresh token",
        })
    }
}

/// A parsed document whose texts are wiped in the end.
struct Document(Value);

impl Drop for Document {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A member that is a text and not an empty one.
fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// A time in milliseconds.
fn millis(value: &Value, member: &str) -> Option<Wall> {
    let number = value.get(member)?;
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a millisecond says nothing")]
    number.as_i64().or_else(|| number.as_f64().map(|millis| millis as i64)).map(Wall)
}

/// Reads what is known of a login.
///
/// # Errors
/// If it is none.
pub fn read(content: &[u8]) -> Result<LoginFacts, NoLogin> {
    if let Some(why) = implausible_text(content) {
        return Err(NoLogin::Implausible(why));
    }
    let document = Document(serde_json::from_slice(content).map_err(|_| NoLogin::Damaged)?);
    let top = &document.0;
    if !top.is_object() {
        return Err(NoLogin::Damaged);
    }
    if !has_refresh_token(top) {
        return Err(NoLogin::NoRefreshToken);
    }
    let (shape, id, fresh_at) = if let Some(oauth) = top.get("claudeAiOauth").filter(|oauth| oauth.is_object()) {
        (Shape::Claude, account_of_claude(top, oauth), millis(oauth, "expiresAt"))
    } else if let Some(tokens) = top.get("tokens").filter(|tokens| tokens.is_object()) {
        let at = text(top, "last_refresh").and_then(|text| text.parse::<Timestamp>().ok());
        (Shape::Codex, account_of_codex(tokens), at.map(|at| Wall(at.as_millisecond())))
    } else if text(top, "refresh_token").is_some() && top.get("expiry_date").is_some() {
        (Shape::Gemini, identity(top, &["sub", "email"]), millis(top, "expiry_date"))
    } else {
        (Shape::Other, None, None)
    };
    let account = id.map_or(Account::Unnamed, |id| Account::Of(of_account(shape, &id)));
    Ok(LoginFacts { content: fingerprint(content), account, shape, fresh_at })
}

fn has_refresh_token(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            REFRESH_TOKEN.iter().any(|name| text(value, name).is_some()) || members.values().any(has_refresh_token)
        }
        Value::Array(items) => items.iter().any(has_refresh_token),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn account_of_claude(top: &Value, oauth: &Value) -> Option<Zeroizing<String>> {
    let places = [Some(oauth), Some(top), oauth.get("oauthAccount"), top.get("oauthAccount")];
    let find =
        |names: [&str; 2]| places.into_iter().flatten().find_map(|at| names.iter().find_map(|name| text(at, name)));
    let id = find(["accountUuid", "account_uuid"]).or_else(|| find(["organizationUuid", "organization_uuid"]))?;
    Some(Zeroizing::new(id.to_owned()))
}

fn account_of_codex(tokens: &Value) -> Option<Zeroizing<String>> {
    match text(tokens, "account_id") {
        Some(id) => Some(Zeroizing::new(id.to_owned())),
        None => identity(tokens, &["chatgpt_account_id", "sub", "email"]),
    }
}

/// The first of these members in the payload of the `id_token`, or in a table of that payload.
fn identity(value: &Value, members: &[&str]) -> Option<Zeroizing<String>> {
    let token = text(value, "id_token")?;
    let payload = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?);
    let payload = Document(serde_json::from_slice(&payload).ok()?);
    let tables =
        || payload.0.as_object().into_iter().flat_map(|members| members.values()).filter(|one| one.is_object());
    let found = members
        .iter()
        .find_map(|member| text(&payload.0, member).or_else(|| tables().find_map(|table| text(table, member))))?;
    Some(Zeroizing::new(found.to_owned()))
}

fn of_account(shape: Shape, id: &str) -> Fingerprint {
    let provider = match shape {
        Shape::Claude => "anthropic",
        Shape::Codex => "openai",
        Shape::Gemini => "google",
        Shape::Other => "other",
    };
    fingerprint(Zeroizing::new(format!("login\0{provider}\0{id}")).as_bytes())
}

/// What a login is known by, however often it is renewed: its account, or where it names none the subscription.
#[must_use]
pub fn known_by(facts: &LoginFacts, subscription: &SubscriptionName) -> Fingerprint {
    match &facts.account {
        Account::Of(account) => account.clone(),
        Account::Unnamed | Account::NotALogin => fingerprint(format!("login\0{subscription}").as_bytes()),
    }
}

/// What an agent's login is beside the one in the source; each with the time its file was written.
///
/// Two that do not both name an account may be of one; two documents of different tools, or of accounts that are named
/// and differ, never are.
#[must_use]
pub fn compare(agents: (&LoginFacts, Wall), source: (&LoginFacts, Wall)) -> TakenBack {
    let ((agents, agents_at), (source, source_at)) = (agents, source);
    if agents.content == source.content {
        return TakenBack::Same;
    }
    let is_another = match (&agents.account, &source.account) {
        (Account::Of(one), Account::Of(other)) => one != other,
        (Account::Of(_) | Account::Unnamed | Account::NotALogin, _) => false,
    };
    if is_another || agents.shape != source.shape {
        return TakenBack::NotNewer;
    }
    let is_newer = match (agents.fresh_at, source.fresh_at) {
        (Some(agents), Some(source)) if agents != source => agents > source,
        (Some(_) | None, Some(_) | None) => agents_at > source_at,
    };
    if is_newer { TakenBack::Newer } else { TakenBack::NotNewer }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(document: &Value) -> LoginFacts {
        read(document.to_string().as_bytes()).unwrap()
    }

    fn claude(refresh: &str, expires_at: i64) -> Value {
        json!({"claudeAiOauth": {"accessToken": "CANARY", "refreshToken": refresh, "expiresAt": expires_at,
               "scopes": ["user:inference"], "subscriptionType": "max"}})
    }

    fn codex(account: &str, refresh: &str, at: &str) -> Value {
        json!({"OPENAI_API_KEY": null, "tokens": {"id_token": "x", "access_token": "CANARY", "refresh_token": refresh,
               "account_id": account}, "last_refresh": at})
    }

    fn token_of(payload: &Value) -> String {
        format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(payload.to_string()))
    }

    #[test]
    fn every_known_document_says_whose_it_is_and_how_fresh() {
        let of = |shape, id: &str| Account::Of(of_account(shape, id));
        let organised = |mut document: Value| {
            document["organizationUuid"] = json!("org-1");
            document
        };
        let nested = token_of(&json!({"https://api.openai.com/auth": {"chatgpt_account_id": "acc"}, "sub": "s"}));
        let without_id = json!({"tokens": {"refresh_token": "r", "id_token": nested}});
        let gemini = json!({"refresh_token": "r", "expiry_date": 7.0, "id_token": token_of(&json!({"sub": "12"}))});
        let unsigned = json!({"refresh_token": "r", "expiry_date": 7, "id_token": "not.a-token"});
        let cases = [
            (claude("r", 5), Shape::Claude, Account::Unnamed, Some(Wall(5))),
            (organised(claude("r", 5)), Shape::Claude, of(Shape::Claude, "org-1"), Some(Wall(5))),
            (codex("acc", "r", "1970-01-01T00:00:02.5Z"), Shape::Codex, of(Shape::Codex, "acc"), Some(Wall(2500))),
            (without_id, Shape::Codex, of(Shape::Codex, "acc"), None),
            (gemini, Shape::Gemini, of(Shape::Gemini, "12"), Some(Wall(7))),
            (unsigned, Shape::Gemini, Account::Unnamed, Some(Wall(7))),
            (json!({"a": [{"refresh": "r"}]}), Shape::Other, Account::Unnamed, None),
        ];
        for (document, shape, account, fresh_at) in cases {
            let facts = facts(&document);
            assert_eq!((facts.shape, &facts.account, facts.fresh_at), (shape, &account, fresh_at), "{document}");
            assert!(!format!("{facts:?}").contains("CANARY"));
        }
        assert_ne!(of_account(Shape::Claude, "1"), of_account(Shape::Codex, "1"));
    }

    #[test]
    fn what_is_no_login_is_told_apart() {
        for (content, why) in [
            ("", NoLogin::Implausible("it is empty")),
            ("sk-ant-CANARY", NoLogin::Damaged),
            ("{\"refresh_token\":\"CANARY", NoLogin::Damaged),
            ("[{\"refresh_token\":\"CANARY\"}]", NoLogin::Damaged),
            ("{\"refresh_token\":\"\",\"token\":\"CANARY\"}", NoLogin::NoRefreshToken),
            ("{\"claudeAiOauth\":{\"accessToken\":\"CANARY\",\"refreshToken\":null}}", NoLogin::NoRefreshToken),
        ] {
            let said = read(content.as_bytes()).unwrap_err();
            assert_eq!(said, why, "{content}");
            assert!(!format!("{said} {said:?}").contains("CANARY"));
        }
    }

    #[test]
    fn a_login_is_known_by_its_account_or_by_its_subscription_whatever_its_tokens() {
        let name = SubscriptionName::new("max-a");
        let known = |document: &Value| known_by(&facts(document), &name);
        assert_eq!(known(&claude("r1", 1)), known(&claude("r2", 2)));
        assert_ne!(known(&claude("r1", 1)), known_by(&facts(&claude("r1", 1)), &SubscriptionName::new("max-b")));
        let (one, other) = (codex("a", "r1", "2026-01-01T00:00:00Z"), codex("b", "r1", "2026-01-01T00:00:00Z"));
        assert_eq!(known(&one), known(&codex("a", "r2", "2026-01-02T00:00:00Z")));
        assert_ne!(known(&one), known(&other));
    }

    #[test]
    fn the_newer_of_two_is_the_fresher_and_of_two_as_fresh_the_later_written() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let at = |agents: &Value, agents_at, source: &Value, source_at| {
            compare((&facts(agents), Wall(agents_at)), (&facts(source), Wall(source_at)))
        };
        let (old, new) = (codex("a", "r1", early), codex("a", "r2", late));
        assert_eq!(at(&new, 1, &old, 9), TakenBack::Newer);
        assert_eq!(at(&old, 9, &new, 1), TakenBack::NotNewer);
        assert_eq!(at(&old, 9, &old, 1), TakenBack::Same);
        // As fresh, or not said: the file decides.
        let (one, other) = (json!({"refresh_token": "1"}), json!({"refresh_token": "2"}));
        assert_eq!(at(&one, 2, &other, 1), TakenBack::Newer);
        assert_eq!(at(&one, 1, &other, 1), TakenBack::NotNewer);
        assert_eq!(at(&claude("r1", 5), 2, &claude("r2", 5), 1), TakenBack::Newer);
        // Another account, another tool.
        assert_eq!(at(&codex("b", "r2", late), 9, &old, 1), TakenBack::NotNewer);
        assert_eq!(at(&claude("r2", i64::MAX), 9, &old, 1), TakenBack::NotNewer);
    }
}
