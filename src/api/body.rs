//! Reads a body: bounded in size, time and number, and with an error that names the member and not its value.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Code, Refusal};

/// The largest body, in bytes.
pub const BYTES_MAX: usize = 256 * 1024;

/// So much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DISCARDED_MAX: usize = 4 * 1024 * 1024;

/// A body that says that it is not larger than this is read at once: as many of them as there are connections are no
/// burden.
const SMALL: u64 = 8 * 1024;

/// Bodies that may be larger and are in memory at the same time, at most.
const LARGE_AT_ONCE: usize = 256;

/// The members of a document and what each may be.
pub(super) type Members = &'static [(&'static str, &'static str)];

/// Reads bodies: all of them together take no more memory than is set aside for them.
pub(super) struct Bodies {
    timeout: Duration,
    large: Arc<Semaphore>,
}

/// A whole body. To be let go before a long wait: others wait for its place.
pub(super) struct Whole {
    bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl std::ops::Deref for Whole {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bodies {
    /// Bodies that have to be complete within this time.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, large: Arc::new(Semaphore::new(LARGE_AT_ONCE)) }
    }

    /// Reads all of a body.
    pub(super) async fn read(&self, body: Body) -> Result<Whole, Refusal> {
        let whole = async {
            let is_small = body.size_hint().upper().is_some_and(|upper| upper <= SMALL);
            // It is never closed.
            let place = if is_small { None } else { Arc::clone(&self.large).acquire_owned().await.ok() };
            Ok(Whole { bytes: collect(body).await?, _place: place })
        };
        let too_slow = |_| Refusal::new(Code::RequestTimeout, "the body did not arrive in time");
        tokio::time::timeout(self.timeout, whole).await.map_err(too_slow)?
    }
}

async fn collect(mut body: Body) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        // It ends in the middle: the connection is gone, and nobody reads the answer.
        let frame = frame.map_err(|_| Refusal::new(Code::MalformedJson, "the body ends in the middle"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen > DISCARDED_MAX {
            break;
        }
        if seen > BYTES_MAX {
            whole.clear();
        } else if first.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    if seen > BYTES_MAX {
        return Err(Refusal::new(Code::BodyTooLarge, "the body is larger than 256 KiB"));
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// Reads a document; no body at all is one without members.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], members: Members) -> Result<T, Refusal> {
    let body = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => b"{}",
        Some(b'{') => body,
        // What is no JSON at all is told apart from what is JSON and no object.
        Some(_) => match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
            Ok(_) => return Err(Refusal::new(Code::InvalidBody, "the body must be a JSON object")),
            Err(error) => return Err(malformed(&error)),
        },
    };
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => malformed(&error),
        Category::Data => invalid::<T>(body, members),
    })
}

fn malformed(error: &serde_json::Error) -> Refusal {
    let detail = format!("the body is not JSON: see line {}, column {}", error.line(), error.column());
    Refusal::new(Code::MalformedJson, detail)
}

/// Reads once more, to learn which member is at fault. The parser's own message is not used: it shows values.
fn invalid<T: DeserializeOwned>(body: &[u8], members: Members) -> Refusal {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return Refusal::new(Code::InvalidBody, "the body is not valid");
    };
    let (path, message) = (error.path().to_string(), error.inner().to_string());
    for (start, what) in [("missing field `", "is missing"), ("duplicate field `", "comes twice")] {
        // The name between the ticks is one of ours.
        if let Some((name, _)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            let parent = if path == "." { String::new() } else { format!("{path}.") };
            let name = format!("{parent}{name}");
            return Refusal::member(&name, format!("`{name}` {what}"));
        }
    }
    let known = members.iter().find(|(name, _)| *name == path || is_inside(&path, name));
    match known {
        Some((name, form)) => Refusal::member(name, format!("`{name}` must be {form}")),
        None => unknown(&path, members),
    }
}

/// Whether a path leads into a member: a list, or one whose own members are the sender's business.
fn is_inside(path: &str, member: &str) -> bool {
    let is_ours = |rest: &str| rest.starts_with('[') || (rest.starts_with('.') && member.ends_with("headers"));
    path.strip_prefix(member).is_some_and(is_ours)
}

fn unknown(path: &str, members: Members) -> Refusal {
    let is_name = |part: &str| {
        part.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if path.len() > 64 || !path.split('.').all(is_name) {
        return Refusal::new(Code::InvalidBody, "the body has a member that is not known");
    }
    let near = members
        .iter()
        .map(|(name, _)| (strsim::damerau_levenshtein(name, path), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4);
    let hint = near.map_or_else(
        || format!("known are {}", members.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")),
        |(_, name)| format!("did you mean `{name}`?"),
    );
    Refusal::member(path, format!("there is no member `{path}`: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::wire::{FailureReport, PinRequest};

    const MEMBERS: Members = &[
        ("kind", "a kind"),
        ("generation", "a whole number"),
        ("evidence", "an object"),
        ("evidence.status", "an HTTP status"),
        ("evidence.headers", "an object of strings"),
    ];

    fn refused(body: &str) -> (Code, Option<String>, String) {
        let refusal = parse::<FailureReport>(body.as_bytes(), MEMBERS).unwrap_err();
        let document = refusal.document();
        (refusal.code, document.member, document.detail)
    }

    #[tokio::test]
    async fn a_large_body_waits_for_a_place_and_a_small_one_does_not() {
        let bodies = Bodies::new(Duration::from_secs(20));
        let large = || Body::from(vec![b' '; 9 * 1024]);
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(bodies.read(large()).await.unwrap());
        }
        let mut waits = Box::pin(bodies.read(large()));
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(bodies.read(Body::from("{}")).await.unwrap().len(), 2);
        held.pop();
        assert_eq!(waits.await.unwrap().len(), 9 * 1024);
    }

    #[test]
    fn the_member_at_fault_is_named() {
        let cases = [
            (r#"{"kind": 7}"#, "kind", "`kind` must be a kind"),
            (r#"{"kind": "rate-limit"}"#, "kind", "`kind` must be a kind"),
            (r#"{"generation": -1}"#, "generation", "`generation` must be a whole number"),
            (r#"{"kind": "auth", "kind": "auth"}"#, "kind", "`kind` comes twice"),
            (r#"{"evidence": []}"#, "evidence", "`evidence` must be an object"),
            (r#"{"evidence": {"status": "x"}}"#, "evidence.status", "`evidence.status` must be an HTTP status"),
            (r#"{"evidence": {"status": 1, "status": 2}}"#, "evidence.status", "`evidence.status` comes twice"),
            (
                r#"{"evidence": {"headers": {"a": "1", "a": "2"}}}"#,
                "evidence.headers",
                "`evidence.headers` must be an object of strings",
            ),
            (
                r#"{"evidence": {"headers": {"a": 1}}}"#,
                "evidence.headers",
                "`evidence.headers` must be an object of strings",
            ),
            (r#"{"genration": 1}"#, "genration", "there is no member `genration`: did you mean `generation`?"),
            (
                r#"{"evidence": {"state": 1}}"#,
                "evidence.state",
                "there is no member `evidence.state`: did you mean `evidence.status`?",
            ),
        ];
        for (body, member, detail) in cases {
            assert_eq!(refused(body), (Code::InvalidBody, Some(member.to_owned()), detail.to_owned()), "{body}");
        }
        let missing = parse::<PinRequest>(b"", &[("subscription", "a name")]).unwrap_err().document();
        assert_eq!(missing.detail, "`subscription` is missing");
    }

    #[test]
    fn a_member_that_is_no_name_is_not_shown() {
        let (code, member, detail) = refused(r#"{"sk-ant-oat01-canary": 1}"#);
        assert_eq!((code, member), (Code::InvalidBody, None));
        assert!(!detail.contains("canary"), "{detail}");
    }

    #[test]
    fn what_is_not_json_says_where_and_what_is_no_object_says_so() {
        assert_eq!(refused("{\"kind\":\n x}").2, "the body is not JSON: see line 2, column 2");
        assert_eq!(refused("{\"kind\"").0, Code::MalformedJson);
        assert_eq!(refused("{} {}").0, Code::MalformedJson);
        assert_eq!(refused("nonsense").0, Code::MalformedJson);
        for body in ["[]", "[\"id\"]", "7", "null", "\"text\""] {
            assert_eq!(refused(body).2, "the body must be a JSON object", "{body}");
        }
        assert_eq!(parse::<FailureReport>(b" \n", MEMBERS).unwrap(), FailureReport::default());
    }
}
