//! `probe` of a subscription: what it may say, and what it must not.

use std::time::Duration;

use super::{bad, good};
use crate::domain::{Model, ProbeForm, ProbePlan};

/// A subscription with these lines, and its agent.
fn with(lines: &str) -> String {
    format!(
        "[[subscription]]\nname = \"a\"\ncredential = {{ env = \"TOKEN_A\" }}\n{lines}\n[[agent]]\nname = \"w\"\n\
         tool = \"custom\"\nsubscriptions = [\"a\"]\ncontainer = \"w\"\ndelivery = {{ file = \"/w\" }}\n"
    )
}

fn anthropic(probe: &str) -> String {
    with(&format!("provider = \"anthropic\"\nprobe = {probe}"))
}

fn complaint(text: &str) -> String {
    let problems = bad(text);
    let of_probe = problems.iter().find(|problem| problem.line == Some(5)).expect("a problem with its place");
    format!("{} | {}", of_probe.what, of_probe.hint.as_deref().unwrap_or_default())
}

#[test]
fn nobody_is_probed_unless_the_config_says_so() {
    assert_eq!(good(&with("provider = \"anthropic\"")).probe_plans(), []);
}

#[test]
fn a_probe_is_read_and_written_back_with_the_providers_own_endpoint() {
    let config = good(&anthropic("{ every = \"15m\", model = \"claude-haiku-4-5\" }"));
    let plan = ProbePlan {
        subscription: "a".into(),
        form: ProbeForm::PlanToken,
        every: Duration::from_secs(900),
        model: Model::new("claude-haiku-4-5"),
        endpoint: "https://api.anthropic.com".to_owned(),
    };
    assert_eq!(config.probe_plans(), [plan]);
    let shown = "probe = { every = \"15m\", model = \"claude-haiku-4-5\", endpoint = \"https://api.anthropic.com\" }";
    let resolved = config.resolved();
    assert!(resolved.lines().any(|line| line == shown), "{resolved}");
    assert_eq!(good(&resolved).resolved(), resolved);

    let key = "provider = \"openai\"\ntype = \"api-key\"\nprobe = { every = \"1m\", model = \"openai/gpt-5-nano@1\" }";
    let plan = good(&with(key)).probe_plans().remove(0);
    assert_eq!((plan.form, plan.endpoint.as_str()), (ProbeForm::OpenAiKey, "https://api.openai.com"));
}

#[test]
fn a_gateway_may_stand_in_between_if_nobody_can_listen_in() {
    for (endpoint, used) in [
        ("https://gateway.example.org/anthropic/", "https://gateway.example.org/anthropic"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://LOCALHOST:4000/", "http://LOCALHOST:4000"),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ] {
        let probe = format!("{{ every = \"1m\", model = \"m\", endpoint = \"{endpoint}\" }}");
        assert_eq!(good(&anthropic(&probe)).probe_plans()[0].endpoint, used);
    }
    let safe = "`endpoint` would have the credential sent in clear text over a network | write https://; http:// is for a \
                gateway on this machine (127.0.0.1, [::1], localhost)";
    let plain = "write endpoint = \"https://api.anthropic.com\", without what follows in the provider's paths";
    for (endpoint, expected) in [
        ("http://api.anthropic.com", safe.to_owned()),
        ("http://localhost.example.org", safe.to_owned()),
        ("http://10.0.0.1:4000", safe.to_owned()),
        ("http://127.0.0.1.example.org", safe.to_owned()),
        ("api.anthropic.com", format!("`endpoint` is not an http or https address | {plain}")),
        ("https://", format!("`endpoint` is not a usable address | {plain}")),
        ("https://h/v1?key=s3cret", format!("`endpoint` has a query or a fragment | {plain}")),
        (
            "https://u:s3cret@h",
            "`endpoint` has a user name or password in it | the subscription's own credential is sent, nothing else"
                .to_owned(),
        ),
    ] {
        let text = anthropic(&format!("{{ every = \"1m\", model = \"m\", endpoint = \"{endpoint}\" }}"));
        assert_eq!(complaint(&text), expected, "{endpoint}");
        assert!(!crate::config::render(&bad(&text), false).contains("s3cret"));
    }
}

#[test]
fn what_is_missing_or_out_of_bounds_is_said_with_its_place() {
    for (probe, expected) in [
        ("{ model = \"m\" }", "has no `every` | add every = \"15m\": the pause between two probes, a minute at least"),
        (
            "{ every = \"15m\" }",
            "has no `model` | add model = \"claude-haiku-4-5\", the cheapest that the subscription may use",
        ),
        ("{ every = \"59s\", model = \"m\" }", "is \"59s\", out of its bounds | choose a duration from 1m to 1d"),
        ("{ every = \"2d\", model = \"m\" }", "is \"2d\", out of its bounds | choose a duration from 1m to 1d"),
        ("{ every = \"1m\", model = \"a model\" }", "is not the name of a model"),
        ("{ every = \"1m\", model = \"\" }", "is not the name of a model"),
        ("{ every = \"1m\", model = \"m\", modell = 1 }", "unknown key `modell`"),
        ("true", "`probe` in [[subscription]] \"a\" is true or false, a table is expected | write probe = { every"),
    ] {
        let said = complaint(&anthropic(probe));
        assert!(said.contains(expected), "{probe}: {said}");
    }
}

#[test]
fn who_cannot_be_asked_is_not_probed() {
    let probe = "probe = { every = \"15m\", model = \"m\" }";
    for (lines, why) in [
        ("provider = \"anthropic\"\ntype = \"login\"", "a login is renewed by the tool that uses it"),
        ("provider = \"openai\"\ntype = \"login\"", "a login is renewed by the tool that uses it"),
        ("provider = \"openai\"\ntype = \"setup-token\"", "this provider has no setup-token"),
        ("provider = \"google\"\ntype = \"api-key\"", "it is known how to ask anthropic and openai only"),
        ("provider = \"my-gateway\"\ntype = \"api-key\"", "it is known how to ask anthropic and openai only"),
    ] {
        let problems = bad(&with(&format!("{lines}\n{probe}")));
        let said = problems.iter().find(|problem| problem.what.contains("cannot be probed")).expect("a complaint");
        assert!(said.what.contains(why) && said.line == Some(6) && said.hint.is_some(), "{said:?}");
    }
}
