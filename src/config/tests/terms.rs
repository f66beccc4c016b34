//! On what terms subscriptions are picked: every key, and what keys say about each other.

use std::time::Duration;

use super::{bad, good, no_env};
use crate::config::{Config, Failback, Severity};
use crate::domain::{AgentName, Model, Utilisation, Window};
use crate::machine::policy::{Budget, Strategy};

/// Subscriptions `a` and `b`, each with lines of its own, and an agent `w` that may use both.
fn with(switching: &str, of_a: &str, of_b: &str, of_agent: &str) -> String {
    let one = |name: &str, lines: &str| {
        let variable = name.to_uppercase();
        format!(
            "[[subscription]]\nname = \"{name}\"\nprovider = \"anthropic\"\ncredential = {{ env = \"{variable}\" }}\n\
             {lines}\n"
        )
    };
    format!(
        "[switching]\n{switching}\n{}{}[[agent]]\nname = \"w\"\ntool = \"claude-code\"\ncontainer = \"w\"\n\
         delivery = {{ file = \"/w\" }}\n{of_agent}\n",
        one("a", of_a),
        one("b", of_b)
    )
}

/// Warnings, each with its line and its hint.
fn warned(text: &str) -> Vec<String> {
    let (_, warnings) = Config::parse("c", text, &no_env).expect("a good config");
    let said = |problem: &crate::config::Problem| {
        assert_eq!(problem.severity, Severity::Warning);
        assert!(problem.line.is_some() && problem.hint.is_some(), "{problem:?}");
        format!("{} | {}", problem.what, problem.hint.as_deref().unwrap_or_default())
    };
    warnings.iter().map(said).collect()
}

#[test]
fn every_key_is_read_and_written_back() {
    let text = with(
        "strategy = \"priority\"\nsplay = \"3s\"\nramp = \"7s\"\nreading_max_age = \"10m\"\nfailback = \"idle\"\n\
         proactive = { dwell = \"1h\", better_by = 25 }\nmetered = { switches = 2, per = \"2d\" }",
        "priority = 3\nmax_utilization = { five_hour = 90, weekly = 95, model = 80 }\nmodels = [\"opus\", \"haiku\"]",
        "priority = 0\nmetered = true\nreserve = true",
        "models = [\"opus\"]",
    );
    let config = good(&text);
    let settings = config.switching.pool_settings();
    assert_eq!((settings.strategy, settings.ramp.as_secs(), settings.better_by), (Strategy::Priority, 7, 250));
    assert_eq!(settings.reading_max_age, Duration::from_secs(600));
    assert_eq!(settings.metered, Some(Budget { switches: 2, per: Duration::from_secs(2 * 86_400) }));
    let voluntary = config.policy(&AgentName::new("w")).unwrap().voluntary;
    assert_eq!((voluntary.are_proactive, voluntary.fail_back, voluntary.dwell.as_secs()), (true, true, 3600));
    let policies = config.subscription_policies();
    let (a, b) = (&policies[0].terms, &policies[1].terms);
    assert_eq!((a.priority, a.is_metered, a.is_reserve), (3, false, false));
    let ceilings = [(Window::FiveHour, 900), (Window::Weekly, 950), (Window::Model, 800)];
    assert_eq!(a.ceilings, ceilings.map(|(window, most)| (window, Utilisation(most))).into());
    assert_eq!(a.models, ["opus", "haiku"].map(Model::new));
    assert_eq!((b.priority, b.is_metered, b.is_reserve), (0, true, true));
    let resolved = config.resolved();
    for line in [
        "strategy = \"priority\"",
        "splay = \"3s\"",
        "ramp = \"7s\"",
        "reading_max_age = \"10m\"",
        "proactive = { dwell = \"1h\", better_by = 25 }",
        "failback = \"idle\"",
        "metered = { switches = 2, per = \"2d\" }",
        "max_utilization = { five_hour = 90, weekly = 95, model = 80 }",
        "models = [\"opus\", \"haiku\"]",
        "metered = true",
        "reserve = true",
    ] {
        assert!(resolved.lines().any(|shown| shown == line), "no {line} in\n{resolved}");
    }
    assert_eq!(good(&resolved).resolved(), resolved);
}

#[test]
fn what_proactive_leaves_out_is_as_documented_and_it_may_say_how_old_a_reading_may_be() {
    let config = good(&with("proactive = { reading_max_age = \"20m\" }\nmetered = {}", "", "", ""));
    let proactive = config.switching.proactive.unwrap();
    assert_eq!((proactive.dwell.as_secs(), proactive.better_by), (45 * 60, 15));
    assert_eq!(config.switching.reading_max_age, Duration::from_secs(20 * 60));
    assert_eq!(config.switching.metered, Some(Budget { switches: 4, per: Duration::from_secs(86_400) }));
    let plain = good(&with("", "", "", ""));
    assert_eq!(
        (plain.switching.proactive, plain.switching.failback, plain.switching.metered),
        (None, Failback::Never, None)
    );
}

#[test]
fn an_agent_takes_the_models_of_the_defaults_unless_it_has_its_own() {
    let text = with("", "", "", "").replace("[[agent]]", "[agent_defaults]\nmodels = [\"opus\"]\n[[agent]]");
    let models = |text: &str| good(text).policy(&AgentName::new("w")).unwrap().models;
    assert_eq!(models(&text), [Model::new("opus")]);
    assert_eq!(models(&format!("{text}models = [\"haiku\"]")), [Model::new("haiku")]);
    assert_eq!(models(&format!("{text}models = []")), []);
}

#[test]
fn keys_that_change_nothing_are_warned_of() {
    let cases = [
        // What stands in [switching], at a, at b, at the agent; what is said.
        (
            ["", "priority = 2", "", ""],
            "`priority` of subscription \"a\" changes nothing: the strategy is \"least_assigned\" | write strategy = \
             \"priority\" in [switching]",
        ),
        (
            ["", "", "metered = true", ""],
            "subscription \"b\" is metered, and only operators move agents onto it | allow some moves with metered = {",
        ),
        (
            ["", "models = [\"opus\"]", "", "subscriptions = [\"a\", \"b\"]\nmodels = [\"haiku\"]"],
            "[[agent]] \"w\" names the subscription \"a\", which is kept for opus and never picked for it: it needs haiku \
             | give the agent the same `models`",
        ),
        (
            ["", "models = [\"opus\"]", "", "subscriptions = [\"a\", \"b\"]"],
            "[[agent]] \"w\" names the subscription \"a\", which is kept for opus and never picked for it: it names no \
             `models`",
        ),
        (
            ["", "models = [\"opus\"]", "", ""],
            "subscription \"a\" is kept for opus, and no agent that may use it needs just that | give the agents",
        ),
        (
            ["", "metered = true", "metered = true", ""],
            "[[agent]] \"w\" may use metered subscriptions only, and no automatic move onto one is allowed",
        ),
        (
            ["", "reserve = true", "reserve = true", ""],
            "[[agent]] \"w\" may use subscriptions in reserve only: among them `reserve` changes nothing",
        ),
        (
            ["failback = \"idle\"", "", "", ""],
            "`failback` never moves anybody: no subscription is preferred to another | use strategy = \"priority\"",
        ),
        (
            ["failback = \"idle\"", "priority = 1", "priority = 2", ""],
            "`failback` never moves anybody: no subscription is preferred to another",
        ),
    ];
    for ([switching, of_a, of_b, of_agent], expected) in cases {
        let warnings = warned(&with(switching, of_a, of_b, of_agent));
        assert!(warnings.iter().any(|said| said.starts_with(expected)), "{expected}\n{warnings:#?}");
    }
}

#[test]
fn what_makes_sense_is_not_warned_of() {
    for [switching, of_a, of_b, of_agent] in [
        ["strategy = \"priority\"\nfailback = \"idle\"", "priority = 1", "priority = 2", ""],
        ["failback = \"idle\"", "", "reserve = true", ""],
        ["metered = {}\nfailback = \"idle\"", "", "metered = true", ""],
        ["metered = {}", "metered = true", "metered = true", ""],
        // Nobody needs to read anything for this: it moves nobody until somebody does.
        ["proactive = {}", "", "", ""],
        ["", "models = [\"opus\", \"haiku\"]", "", "models = [\"opus\"]"],
        // One that is allowed by its provider alone may be meant for others.
        ["strategy = \"headroom\"", "max_utilization = { weekly = 90 }", "", ""],
        ["", "metered = false", "reserve = false", ""],
    ] {
        let warnings = warned(&with(switching, of_a, of_b, of_agent));
        assert_eq!(warnings, <[String; 0]>::default(), "{switching} {of_a} {of_b} {of_agent}");
    }
}

#[test]
fn an_agent_that_would_never_get_any_subscription_is_an_error() {
    let problems = bad(&with("", "models = [\"opus\"]", "models = [\"haiku\"]", "models = [\"opus\", \"haiku\"]"));
    let expected = "[[agent]] \"w\" has no subscription: all that it may use are kept for other models, and it needs opus, \
                    haiku";
    assert!(problems.iter().any(|problem| problem.what == expected), "{problems:#?}");
}
