//! `probe` of a `[[subscription]]`: how often its provider is asked how the subscription stands, and with which model.
//!
//! The credential goes where `endpoint` says, so that is held to be safe: https, or a gateway on this machine.
//!
//! Tests: `tests/probes.rs`.

use std::ops::Range;
use std::time::Duration;

use super::address::{self, Fault, authority_end};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use crate::domain::{Model, PROBE_EVERY_MIN, ProbeForm, ProbePlan, SubscriptionName, SubscriptionType};

const EXAMPLE: &str = "{ every = \"15m\", model = \"claude-haiku-4-5\" }";
const DAY: Duration = Duration::from_secs(86_400);
const MODEL_LENGTH_MAX: usize = 100;

/// What was read of it.
pub(super) struct Draft {
    at: Range<usize>,
    every: Option<Duration>,
    model: Option<Model>,
    endpoint: Field<String>,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Draft> {
    let Placed { value: mut section, at } = section.section("probe", &[], EXAMPLE, false).placed()?;
    let findings = section.findings();
    let every = section.duration("every", PROBE_EVERY_MIN..=DAY);
    if every.is_absent() {
        section.missing("every", "add every = \"15m\": the pause between two probes, a minute at least");
    }
    let model = section.text("model", "\"claude-haiku-4-5\"");
    if model.is_absent() {
        section.missing("model", "add model = \"claude-haiku-4-5\", the cheapest that the subscription may use");
    }
    let model = model.and_then(|text| {
        let is_name = is_model(&text.value);
        if !is_name {
            let hint = "as the provider names it: up to 100 letters, digits and . _ : / @ -";
            findings.error(&text.at, format!("`model` \"{}\" is not the name of a model", text.value), hint);
        }
        is_name.then(|| Model::new(text.value.as_str()))
    });
    let endpoint =
        section.text("endpoint", "\"https://api.anthropic.com\"").and_then(|text| read_endpoint(&text, findings));
    section.finish(false);
    Some(Draft { at, every: every.good(), model: model.good(), endpoint })
}

impl Draft {
    /// The plan, if it is whole and there is a way to ask about such a subscription.
    pub(super) fn plan(
        self,
        title: &str,
        name: &str,
        provider: &str,
        kind: SubscriptionType,
        findings: &Findings,
    ) -> Option<ProbePlan> {
        let form = match ProbeForm::of(provider, kind) {
            Ok(form) => form,
            Err(why) => {
                let what = format!("{title} cannot be probed: {why}");
                findings.error(&self.at, what, "remove `probe`; its agents' own output is read all the same");
                return None;
            }
        };
        let endpoint = match self.endpoint {
            Field::Absent => form.endpoint().to_owned(),
            Field::Bad => return None,
            Field::Good(endpoint) => endpoint.value,
        };
        Some(ProbePlan {
            subscription: SubscriptionName::new(name),
            form,
            every: self.every?,
            model: self.model?,
            endpoint,
        })
    }
}

fn is_model(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    (1..=MODEL_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_usual)
}

/// Scheme and host, and perhaps the path that a gateway has the API below.
fn read_endpoint(text: &Placed<String>, findings: &Findings) -> Option<String> {
    const HINT: &str = "write endpoint = \"https://api.anthropic.com\", without what follows in the provider's paths";
    let url = text.value.trim_end_matches('/');
    let refuse = |what: &str, hint: &str| {
        findings.hide(&text.at);
        findings.error(&text.at, format!("`endpoint` {what}"), hint);
        None
    };
    match address::check(&text.value, &["http://", "https://"]) {
        Err(Fault::Scheme) => return refuse("is not an http or https address", HINT),
        Err(Fault::Userinfo) => {
            return refuse(
                "has a user name or password in it",
                "the subscription's own credential is sent, nothing else",
            );
        }
        Err(Fault::Unusable) => return refuse("is not a usable address", HINT),
        Ok(()) => {}
    }
    if url.contains(['?', '#']) {
        return refuse("has a query or a fragment", HINT);
    }
    if url.to_ascii_lowercase().starts_with("http://") && !is_this_machine(url) {
        let hint = "write https://; http:// is for a gateway on this machine (127.0.0.1, [::1], localhost)";
        return refuse("would have the credential sent in clear text over a network", hint);
    }
    Some(url.to_owned())
}

fn is_this_machine(url: &str) -> bool {
    let authority = &url["http://".len()..authority_end(url)];
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let v4 = || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    host.eq_ignore_ascii_case("localhost") || host == "[::1]" || v4()
}
