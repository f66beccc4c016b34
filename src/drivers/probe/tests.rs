//! The prober against a server of the test's own, which speaks the documented shapes and some that nobody documented.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::domain::ProbeForm;

/// Stands for everything that must be seen nowhere but in its header.
const CANARY: &str = "sk-ant-oat01-canary-of-probes";

/// A server for one request: it hands out what was asked, and answers with what `answer` writes.
struct Provider {
    address: SocketAddr,
    served: JoinHandle<String>,
}

impl Provider {
    fn that(answer: impl FnOnce(&mut dyn Write) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut asked = String::new();
            while !asked.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut asked).unwrap() > 0, "the request ended early: {asked}");
            }
            let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
            let mut body = vec![0; asked.lines().find_map(length).unwrap()];
            reader.read_exact(&mut body).unwrap();
            asked.push_str(std::str::from_utf8(&body).unwrap());
            answer(reader.get_mut());
            asked
        });
        Self { address, served }
    }

    fn answers(head: &str, body: &str) -> Self {
        let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Self::that(move |out| out.write_all(text.as_bytes()).unwrap())
    }

    fn plan(&self, form: ProbeForm) -> ProbePlan {
        plan(format!("http://{}", self.address), form)
    }

    fn asked(self) -> String {
        self.served.join().unwrap()
    }
}

fn plan(endpoint: String, form: ProbeForm) -> ProbePlan {
    let (subscription, model) = ("max-a".into(), "small-1".into());
    ProbePlan { subscription, form, every: Duration::from_secs(900), model, endpoint }
}

async fn ask(plan: &ProbePlan) -> Result<ProbeAnswer, ProbeError> {
    let asked = HttpProber::default().probe(plan, &CANARY.to_owned().into()).await;
    let shown = match &asked {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains("canary"), "{shown}");
    asked
}

async fn answered(head: &str, body: &str) -> Result<ProbeAnswer, ProbeError> {
    let provider = Provider::answers(head, body);
    let answer = ask(&provider.plan(ProbeForm::PlanToken)).await;
    provider.asked();
    answer
}

#[tokio::test]
async fn a_plans_token_is_sent_as_a_bearer_with_the_smallest_message() {
    let provider = Provider::answers("200 OK", "{}");
    ask(&provider.plan(ProbeForm::PlanToken)).await.unwrap();
    let asked = provider.asked();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    for header in [
        format!("authorization: Bearer {CANARY}"),
        "anthropic-version: 2023-06-01".to_owned(),
        "anthropic-beta: oauth-2025-04-20".to_owned(),
        "content-type: application/json".to_owned(),
    ] {
        assert!(head.lines().any(|line| line == header), "no {header} in {head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&"small-1".into(), &1.into()));
    assert_eq!(asked.matches("canary").count(), 1, "in one header only");
}

#[tokio::test]
async fn keys_are_sent_as_each_provider_wants_them() {
    for (form, path, header) in [
        (ProbeForm::AnthropicKey, "POST /v1/messages ", format!("x-api-key: {CANARY}")),
        (ProbeForm::OpenAiKey, "POST /v1/responses ", format!("authorization: Bearer {CANARY}")),
    ] {
        let server = Provider::answers("200 OK", "{}");
        ask(&server.plan(form)).await.unwrap();
        let asked = server.asked();
        assert!(asked.starts_with(path) && asked.lines().any(|line| line == header), "{asked}");
        assert!(!asked.contains("anthropic-beta"), "{asked}");
        assert_eq!(asked.matches("canary").count(), 1, "in one header only");
    }
}

#[tokio::test]
async fn a_credential_that_cannot_stand_in_a_header_is_not_sent() {
    let plan = plan("http://127.0.0.1:9".to_owned(), ProbeForm::AnthropicKey);
    let error = HttpProber::default().probe(&plan, &format!("{CANARY}\n").into()).await.unwrap_err();
    assert_eq!(
        (error.why.as_str(), error.disposition),
        ("the credential cannot stand in a header", Disposition::Permanent)
    );
}

#[tokio::test]
async fn headers_about_limits_are_handed_on_and_no_others() {
    let head = "200 OK\r\nAnthropic-RateLimit-Unified-5h-Utilization: 0.5\r\nset-cookie: a=b\r\nretry-after: 3\r\n\
                x-codex-primary-used-percent: 7\r\nrequest-id: r\r\nanthropic-ratelimit-unified-status: allowed";
    let answer = answered(head, r#"{"content":"what the model said"}"#).await.unwrap();
    let mut names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "anthropic-ratelimit-unified-5h-utilization",
            "anthropic-ratelimit-unified-status",
            "retry-after",
            "x-codex-primary-used-percent"
        ]
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.as_ref().map(SecretBody::expose), Some(r#"{"content":"what the model said"}"#));
}

#[tokio::test]
async fn a_refusal_keeps_its_body_and_shows_it_to_nobody() {
    let body = format!(r#"{{"error":{{"type":"authentication_error","message":"invalid token {CANARY}"}}}}"#);
    for head in ["401 Unauthorized", "429 Too Many Requests", "529 Overloaded"] {
        let answer = answered(head, &body).await.unwrap();
        assert_eq!(answer.body.as_ref().map(SecretBody::expose), Some(body.as_str()));
    }
    assert_eq!(answered("503 Service Unavailable", "").await.unwrap().body, None);
}

#[tokio::test]
async fn of_a_body_without_an_end_little_is_read() {
    for status in ["200 OK", "429 Too Many Requests"] {
        let (done, ended) = mpsc::channel();
        let head = format!("HTTP/1.1 {status}\r\nanthropic-ratelimit-unified-status: rejected\r\n\r\n");
        let provider = Provider::that(move |out| {
            out.write_all(head.as_bytes()).unwrap();
            let mut written = 0_usize;
            while out.write_all(&[b' '; 4096]).is_ok() {
                written += 4096;
            }
            done.send(written).unwrap();
        });
        let answer = ask(&provider.plan(ProbeForm::PlanToken)).await.unwrap();
        assert_eq!((answer.headers.len(), answer.body), (1, None));
        let written = ended.recv().unwrap();
        assert!(written < 32 << 20, "{written} bytes were taken");
        provider.asked();
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let head = format!("307 Temporary Redirect\r\nlocation: http://{}/v1/messages", elsewhere.local_addr().unwrap());
    let error = answered(&head, "").await.unwrap_err();
    assert_eq!(error.disposition, Disposition::Permanent);
    assert!(error.why.contains("redirects are not followed"), "{error}");
    assert!(elsewhere.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn who_is_slow_or_gone_or_speaks_no_http_is_told_apart_from_an_answer() {
    let (release, hold) = mpsc::channel::<()>();
    let slow = Provider::that(move |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        // The other end is dropped when the test is over.
        let _ = hold.recv();
    });
    let plan = slow.plan(ProbeForm::PlanToken);
    let prober = HttpProber::new(Duration::from_millis(200));
    let error = prober.probe(&plan, &CANARY.to_owned().into()).await.unwrap_err();
    assert!(error.why.starts_with("no answer in time"), "{error}");
    assert_eq!(error.disposition, Disposition::Transient);
    drop(release);
    slow.asked();

    let gone = Provider::that(|_| {});
    let error = ask(&gone.plan(ProbeForm::PlanToken)).await.unwrap_err();
    assert_eq!(error.disposition, Disposition::Transient, "{error}");
    let odd = Provider::that(|out| out.write_all(b"220 mail.example.org ESMTP\r\n\r\n").unwrap());
    let error = ask(&odd.plan(ProbeForm::PlanToken)).await.unwrap_err();
    assert_eq!(error.why, "what the endpoint answers is not HTTP");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = ask(&ProbePlan { endpoint: format!("http://{closed}"), ..plan }).await.unwrap_err();
    assert_eq!(error.disposition, Disposition::Transient, "{error}");
}
