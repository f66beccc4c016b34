//! Telling an agent by an HTTP POST to read its credential again, wherever it runs.
//!
//! The POST has no body, and of the answer only the status is read. Redirects are not followed and no proxy is
//! asked: it is the agent that is meant. The address may hold a secret: it appears in no error.
//!
//! | the agent | we say | because |
//! |---|---|---|
//! | answers 200 to 299 | success | |
//! | answers anything else, or there is no connection | `Refused` | it was not told, and will not be |
//! | does not answer in time | `Timeout` | it may have been told |
//! | breaks off, answers nonsense | `Unknown` | it may have been told |
//!
//! Tests: below, against a small server of the test's own; `tests/runtime_conformance/reload_posts.rs`.

use std::time::Duration;

use ureq::http::Uri;

use crate::ports::runtime::RuntimeError;

const CALL: &str = "reload";

/// How the standard library begins to say so; it has no kind of its own for it.
const NOT_RESOLVED: &str = "failed to lookup address information";

/// Posts to the address, at most `timeout` long.
pub(super) async fn post(address: &str, timeout: Duration) -> Result<(), RuntimeError> {
    let Ok(uri) = address.parse::<Uri>() else { return refused("its address is not a URL") };
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(concat!("switchman/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let posting = tokio::task::spawn_blocking(move || agent.post(uri).send_empty().map(|answer| answer.status()));
    let unknown = |why: &str| Err(RuntimeError::Unknown { call: CALL, why: why.to_owned() });
    match posting.await {
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) if status.is_redirection() => {
            refused(&format!("it answered {}: redirects are not followed", status.as_u16()))
        }
        Ok(Ok(status)) => refused(&format!("it answered {}", status.as_u16())),
        Ok(Err(ureq::Error::Timeout(_))) => Err(RuntimeError::Timeout { call: CALL, after: timeout }),
        Ok(Err(error)) => match not_sent(&error) {
            Some(why) => refused(&why),
            None => unknown("the connection ended before an answer that can be read"),
        },
        Err(_) => unknown("the call was given up because the daemon stops"),
    }
}

/// Why nothing was sent, without the address; `None` if something may have been.
fn not_sent(error: &ureq::Error) -> Option<String> {
    use std::io::ErrorKind;
    match error {
        ureq::Error::HostNotFound => Some("its host is not known".to_owned()),
        ureq::Error::ConnectionFailed => Some("no connection".to_owned()),
        ureq::Error::Io(error) if error.to_string().starts_with(NOT_RESOLVED) => {
            Some("its host is not known".to_owned())
        }
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        )
        .then(|| format!("no connection: {error}")),
        ureq::Error::BadUri(_) => Some("its address cannot be posted to".to_owned()),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Some("no secure connection".to_owned()),
        _ => None,
    }
}

fn refused(why: &str) -> Result<(), RuntimeError> {
    Err(RuntimeError::Refused { call: CALL, why: why.to_owned() })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    const CALL_TIMEOUT: Duration = Duration::from_secs(20);

    /// Answers each request with `answer`, or with nothing if there is none, and returns the first one's head.
    async fn serve(answer: Option<&'static str>) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://user:pass@{}/reload/s3cr3t?token=hush", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0, "the request ended early");
            }
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
            String::from_utf8(head).unwrap()
        });
        (address, serving)
    }

    fn shows_no_secret(error: &RuntimeError) {
        for secret in ["s3cr3t", "hush", "pass"] {
            assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    }

    #[tokio::test]
    async fn it_is_a_post_without_a_body_and_the_answers_body_is_not_waited_for() {
        let (address, served) = serve(Some("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")).await;
        post(&address, CALL_TIMEOUT).await.unwrap();
        let head = served.await.unwrap().to_ascii_lowercase();
        assert!(head.starts_with("post /reload/s3cr3t?token=hush http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    }

    #[tokio::test]
    async fn every_other_status_is_a_refusal_that_names_it() {
        for (answer, status) in [
            ("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", "307"),
            ("HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n", "404"),
            ("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", "503"),
        ] {
            let (address, served) = serve(Some(answer)).await;
            let error = post(&address, CALL_TIMEOUT).await.unwrap_err();
            served.await.unwrap();
            assert!(matches!(&error, RuntimeError::Refused { why, .. } if why.contains(status)), "{error}");
            shows_no_secret(&error);
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_or_is_none_leaves_it_in_doubt() {
        let (address, serving) = serve(None).await;
        let error = post(&address, Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
        shows_no_secret(&error);
        serving.abort();
        for answer in ["", "nonsense\r\n\r\n"] {
            let (address, served) = serve(Some(answer)).await;
            let error = post(&address, CALL_TIMEOUT).await.unwrap_err();
            served.await.unwrap();
            assert!(matches!(error, RuntimeError::Unknown { .. }), "{answer}: {error}");
            shows_no_secret(&error);
        }
    }

    #[tokio::test]
    async fn nobody_there_and_no_address_are_refusals() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for address in [
            format!("http://user:pass@{nobody}/s3cr3t?token=hush"),
            "http://user:pass@nowhere.invalid/s3cr3t?hush".to_owned(),
            "ftp://user:pass@127.0.0.1/s3cr3t".to_owned(),
            "s3cr3t hush".to_owned(),
        ] {
            let error = post(&address, CALL_TIMEOUT).await.unwrap_err();
            assert!(matches!(error, RuntimeError::Refused { .. }), "{address}: {error}");
            shows_no_secret(&error);
        }
    }
}
