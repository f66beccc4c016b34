//! What the answer to a probe says of a subscription.
//!
//! ```text
//!   2xx ──► is the body an error?                          yes ──► nothing is said
//!           headers of a plan, or a JSON object for a body?  yes ──► it serves, and so do the windows that the headers tell
//!                                                            no ───► nothing is said
//!   4xx ──► headers or body name a window of the plan that is used up?  yes ──► exhausted: these windows refuse
//!                                                                      no ───► the credential, the credit? refused
//!   else ──► nothing is said                                                   else: nothing is said
//! ```
//!
//! A failed probe is no evidence against a subscription: only a 429 that says which windows are used up is. It must not
//! quote an answer, which may repeat what was sent.
//!
//! Tests: below.

use serde_json::{Map, Value};

use super::classifier::Classifier;
use super::context::Context;
use super::evidence::{Evidence, Verdict};
use super::readings;
use super::said::WindowReading;
use crate::domain::{FailureKind, Window};

/// What an answer to a probe says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// The provider served: what is known of its windows, and of the subscription as a whole.
    Served(Vec<WindowReading>),
    /// These windows are used up, says the provider.
    Exhausted(Vec<WindowReading>),
    /// The provider refuses the credential, or says that credit or entitlement is missing.
    Refused(Verdict),
    /// Nothing about the subscription; in words what it is instead. True if trying again later may help.
    Nothing(String, bool),
}

/// Judges an answer. The evidence has a status, headers, and a body where there is a short one.
#[must_use]
pub fn probed(classifier: &Classifier, answer: &Evidence, context: &Context) -> Probed {
    let Some(status) = answer.status else { return Probed::Nothing("the answer has no status".to_owned(), true) };
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let told = readings::of_headers(headers, context);
    let is_refusing = |reading: &WindowReading| !reading.serves;
    if (200..=299).contains(&status) {
        return match doubt(answer) {
            None => Probed::Served(served(told, answer)),
            Some(why) => Probed::Nothing(format!("status {status}, but {why}"), true),
        };
    }
    let verdict = classifier.evidence(answer, context);
    match status {
        429 if told.iter().any(is_refusing) => Probed::Exhausted(told),
        429 => exhausted_by_body(verdict),
        _ => match verdict.kind {
            FailureKind::Auth | FailureKind::Billing | FailureKind::Entitlement | FailureKind::Banned => {
                Probed::Refused(verdict)
            }
            FailureKind::RateLimit
            | FailureKind::Overload
            | FailureKind::Network
            | FailureKind::Killed
            | FailureKind::Request
            | FailureKind::Unknown => {
                let is_transient = status >= 500 || status == 408;
                Probed::Nothing(format!("status {status} says nothing about the subscription"), is_transient)
            }
        },
    }
}

/// Why a success is not believed: gateways wrap errors in one, or answer with a page of their own.
fn doubt(answer: &Evidence) -> Option<&'static str> {
    let body = answer.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
    let object = body.as_ref().and_then(Value::as_object);
    let is_error = |object: &Map<String, Value>| object.get("error").is_some_and(|error| !error.is_null());
    match object {
        // A response that serves may have the member, with nothing in it.
        Some(object) if is_error(object) => Some("its body is an error"),
        Some(_) => None,
        None if readings::speaks_of_a_plan(&answer.headers) => None,
        None => Some("neither its headers nor its body are those of the provider"),
    }
}

/// What is proved by an answer that served. The whole is among it, so that what refused before refuses no more, unless
/// something beside the plan has paid.
fn served(told: Vec<WindowReading>, answer: &Evidence) -> Vec<WindowReading> {
    let serving = told.into_iter().filter(|reading| reading.serves);
    let whole = WindowReading { window: Window::Unknown, model: None, utilisation: None, serves: true, reset_at: None };
    serving.chain((!readings::is_plan_used_up(&answer.headers)).then_some(whole)).collect()
}

/// A 429 without headers: its body may say that a plan is used up.
fn exhausted_by_body(verdict: Verdict) -> Probed {
    let is_of_the_plan = match verdict.window {
        Window::FiveHour | Window::Weekly => true,
        Window::Model => verdict.model.is_some(),
        // The one body that says "the plan" without a window.
        Window::Unknown => verdict.rule.as_str() == "codex.usage_limit_reached",
        Window::Requests => false,
    };
    match verdict.kind {
        FailureKind::RateLimit if is_of_the_plan => Probed::Exhausted(vec![WindowReading {
            window: verdict.window,
            model: verdict.model,
            utilisation: None,
            serves: false,
            reset_at: verdict.reset_at,
        }]),
        FailureKind::Auth | FailureKind::Billing | FailureKind::Entitlement | FailureKind::Banned => {
            Probed::Refused(verdict)
        }
        FailureKind::RateLimit
        | FailureKind::Overload
        | FailureKind::Network
        | FailureKind::Killed
        | FailureKind::Request
        | FailureKind::Unknown => {
            Probed::Nothing("status 429 that names no window of the plan: a throttle".to_owned(), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Utilisation, Wall};

    const AT: Wall = Wall(1_790_164_800_000);

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> Probed {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let evidence = Evidence { status: Some(status), headers, body: Some(body.to_owned()), ..Evidence::default() };
        probed(&Classifier::default(), &evidence, &Context::new(None, AT))
    }

    fn windows(probed: &Probed) -> Vec<(Window, bool, Option<Utilisation>)> {
        let (Probed::Served(readings) | Probed::Exhausted(readings)) = probed else { panic!("{probed:?}") };
        readings.iter().map(|reading| (reading.window, reading.serves, reading.utilisation)).collect()
    }

    const FIVE: (&str, &str) = ("anthropic-ratelimit-unified-5h-utilization", "0.25");
    const REJECTED: [(&str, &str); 2] =
        [("anthropic-ratelimit-unified-status", "rejected"), ("anthropic-ratelimit-unified-7d-status", "rejected")];

    #[test]
    fn an_answer_that_serves_speaks_of_its_windows_and_of_the_whole() {
        let served = answered(200, &[("anthropic-ratelimit-unified-status", "allowed"), FIVE], "");
        assert!(matches!(served, Probed::Served(_)));
        let whole = (Window::Unknown, true, None);
        assert_eq!(windows(&served), [(Window::FiveHour, true, Some(Utilisation(250))), whole]);
        assert_eq!(windows(&answered(201, &[], r#"{"id":"msg_1","error":null}"#)), [whole], "a key has no windows");
    }

    #[test]
    fn a_success_that_is_none_lifts_nothing() {
        let allowed = ("anthropic-ratelimit-unified-status", "allowed");
        let error = r#"{"type":"error","error":{"type":"overloaded_error"}}"#;
        for (headers, body) in [
            (&[][..], error),
            (&[allowed], error),
            (&[], r#"{"error":"quota exceeded"}"#),
            (&[], ""),
            (&[], "<html>sign in</html>"),
            (&[], r#"[{"id":"msg_1"}]"#),
            (&[("x-ratelimit-limit-requests", "60")], "ok"),
        ] {
            let nothing = answered(200, headers, body);
            assert!(matches!(nothing, Probed::Nothing(_, true)), "{headers:?} {body}: {nothing:?}");
        }
        for (headers, body) in
            [(&[allowed][..], "cut off"), (&[("X-Codex-Primary-Used-Percent", "7")], ""), (&[], "{}")]
        {
            assert!(matches!(answered(200, headers, body), Probed::Served(_)), "{headers:?} {body}");
        }
    }

    #[test]
    fn an_answer_that_something_else_paid_for_does_not_speak_of_the_whole() {
        let full = ("anthropic-ratelimit-unified-7d-utilization", "1");
        let allowed = ("anthropic-ratelimit-unified-status", "allowed");
        let rejected = ("anthropic-ratelimit-unified-7d-status", "rejected");
        for beside in [full, rejected] {
            let served = answered(200, &[allowed, FIVE, beside], "");
            assert!(windows(&served).iter().all(|(window, _, _)| *window != Window::Unknown), "{served:?}");
        }
        // A limit of one model beside it is none of the plan's.
        let model = ("anthropic-ratelimit-unified-7d_opus-status", "rejected");
        assert_eq!(windows(&answered(200, &[allowed, model], "")), [(Window::Unknown, true, None)]);
    }

    #[test]
    fn only_a_429_that_names_a_window_says_that_it_is_used_up() {
        let exhausted = answered(429, &REJECTED, "");
        assert!(matches!(exhausted, Probed::Exhausted(_)));
        assert_eq!(windows(&exhausted), [(Window::Weekly, false, None)]);
        let codex = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":600}}"#;
        assert_eq!(windows(&answered(429, &[], codex)), [(Window::Unknown, false, None)]);
        let throttles = [
            (429, &[][..], ""),
            (429, &[("retry-after", "30")], r#"{"error":{"type":"rate_limit_error","message":"Rate limited"}}"#),
            (429, &[("anthropic-ratelimit-unified-status", "allowed"), FIVE], ""),
            (429, &[], r#"{"error":{"code":"rate_limit_exceeded","message":"Limit 3 requests per minute"}}"#),
            (429, &[], "<html>too many requests</html>"),
            // The words of a refusal with another status prove nothing.
            (529, &REJECTED, r#"{"error":{"type":"overloaded_error"}}"#),
            (503, &REJECTED, ""),
            (403, &REJECTED, ""),
            (404, &REJECTED, ""),
            (400, &[], r#"{"error":{"type":"invalid_request_error","message":"no such model"}}"#),
            (301, &REJECTED, ""),
        ];
        for (status, headers, body) in throttles {
            let nothing = answered(status, headers, body);
            assert!(matches!(nothing, Probed::Nothing(..)), "{status} {headers:?} {body}: {nothing:?}");
        }
    }

    #[test]
    fn a_refused_credential_and_a_lack_of_credit_are_told_apart_from_a_limit() {
        for (status, body, kind) in [
            (401, "", FailureKind::Auth),
            (
                403,
                r#"{"error":{"type":"permission_error","message":"OAuth token has been revoked"}}"#,
                FailureKind::Auth,
            ),
            (400, r#"{"error":{"message":"Your credit balance is too low"}}"#, FailureKind::Billing),
            (429, r#"{"error":{"code":"insufficient_quota","message":"check your plan"}}"#, FailureKind::Billing),
        ] {
            let refused = answered(status, &[], body);
            assert!(
                matches!(&refused, Probed::Refused(verdict) if verdict.kind == kind),
                "{status} {body}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_gateway_that_is_in_trouble_may_be_better_later_and_a_wrong_address_is_not() {
        for (status, is_transient) in [(500, true), (502, true), (408, true), (404, false), (400, false)] {
            let nothing = answered(status, &[], "");
            assert!(matches!(nothing, Probed::Nothing(_, later) if later == is_transient), "{status}: {nothing:?}");
        }
    }
}
