//! Containers as agents: what patterns and labels make of them, and every way in which they can be wrong.

use std::collections::BTreeMap;

use super::*;
use crate::config::Incumbents;
use crate::domain::{FoundContainer, Wall};

/// What everybody has who is found by labels; `{name}` is the container's.
const ON: &str = "[docker]\ndiscover = true\n\
    [agent_defaults]\ntool = \"claude-code\"\ndelivery = { file = \"/srv/{name}/credential\", mode = \"0640\" }\n";
const TWO: &str = "[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredential = { file = \"/keys/a\" }\n\
    [[subscription]]\nname = \"b\"\nprovider = \"anthropic\"\ncredential = { file = \"/keys/b\" }\n\
    [[subscription]]\nname = \"gpt\"\nprovider = \"openai\"\ncredential = { file = \"/keys/gpt\" }\n\
    [[subscription]]\nname = \"me\"\nprovider = \"anthropic\"\ntype = \"login\"\ncredential = { file = \"/keys/me\" }\n";

pub(super) fn config(lines: &str, agents: &str) -> Config {
    good(&format!("{lines}{TWO}{agents}"))
}

pub(super) fn container(name: &str, labels: &[(&str, &str)]) -> FoundContainer {
    let labels = labels.iter().map(|(label, value)| (format!("switchman.{label}"), (*value).to_owned()));
    FoundContainer {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
        labels: labels.collect::<BTreeMap<_, _>>(),
        mounts: vec![format!("/srv/{name}").into(), "/etc/agents".into()],
        created_at: Wall(1_000),
    }
}

fn enabled(name: &str, labels: &[(&str, &str)]) -> FoundContainer {
    container(name, &[&[("enable", "true")], labels].concat())
}

fn found(config: &Config, containers: &[FoundContainer]) -> Discovered {
    config.with_found(containers, &Incumbents::new(), &no_env)
}

fn names(found: &Discovered) -> Vec<&str> {
    found.config.agents.iter().map(|agent| agent.name.as_str()).collect()
}

fn file(agent: &Agent) -> &FileDelivery {
    match &agent.delivery {
        Delivery::File(file) => file,
        other => panic!("{other:?}"),
    }
}

fn said(found: &Discovered) -> Vec<String> {
    found
        .problems
        .iter()
        .map(|one| format!("{one}{}", one.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default()))
        .collect()
}

#[test]
fn one_label_is_enough_where_the_defaults_say_the_rest() {
    let config = config(ON, "");
    let found =
        found(&config, &[enabled("web", &[]), container("other", &[]), container("off", &[("enable", "false")])]);
    assert_eq!((names(&found), said(&found)), (vec!["web"], vec![]));
    let agent = &found.config.agents[0];
    assert_eq!((agent.tool, agent.origin), (Tool::ClaudeCode, Origin::Labels));
    assert_eq!(agent.target, Target::Container { name: "web".to_owned() });
    assert_eq!(file(agent).path, Path::new("/srv/web/credential"));
    let allowed: Vec<_> = agent.subscriptions.iter().map(SubscriptionName::as_str).collect();
    assert_eq!(allowed, ["a", "b", "me"], "all of the tool's provider");
    assert!(found.config.policy(&agent.name).unwrap().switching);
}

#[test]
fn labels_say_what_the_defaults_do_not() {
    let config = config("[docker]\ndiscover = true\n", "");
    let labels = [
        ("agent", "reviewer"),
        ("tool", "codex"),
        ("subscriptions", "gpt"),
        ("delivery.file", "/srv/web/{name}.env"),
        ("delivery.format", "dotenv"),
        ("drain", "5s"),
    ];
    let found = found(&config, &[enabled("web", &labels)]);
    assert_eq!((names(&found), said(&found)), (vec!["reviewer"], vec![]));
    let agent = &found.config.agents[0];
    assert_eq!((agent.tool, agent.drain.as_secs()), (Tool::Codex, 5));
    assert_eq!((file(agent).path.as_path(), file(agent).format), (Path::new("/srv/web/web.env"), Format::Dotenv));
    assert_eq!(agent.subscriptions, [SubscriptionName::new("gpt")]);
}

#[test]
fn how_a_file_is_written_stays_the_operators() {
    let config = config(ON, "");
    let with_file = enabled("web", &[("delivery.file", "/srv/web/other")]);
    let with_format = enabled("api", &[("delivery.format", "dotenv"), ("subscriptions", "a")]);
    let found = found(&config, &[with_file, with_format]);
    assert_eq!(said(&found), [""; 0]);
    let shown: Vec<_> = found
        .config
        .agents
        .iter()
        .map(|agent| (file(agent).path.display().to_string(), file(agent).format, file(agent).mode))
        .collect();
    assert_eq!(
        shown,
        [("/srv/api/credential".to_owned(), Format::Dotenv, 0o640), ("/srv/web/other".to_owned(), Format::Raw, 0o640)]
    );
}

#[test]
fn without_discover_no_label_is_looked_at() {
    for lines in ["", "[docker]\ndiscover = false\n"] {
        let config = config(
            lines,
            "[[agent]]\ntool = \"claude-code\"\ncontainer = \"w-*\"\ndelivery = { file = \"/srv/{name}/c\" }\n",
        );
        let sought = config.sought().unwrap();
        assert_eq!((sought.label, sought.patterns.as_slice()), (None, &["w-*".to_owned()][..]));
        let found = found(&config, &[enabled("web", &[]), enabled("w-1", &[("tool", "nonsense")])]);
        assert_eq!((names(&found), said(&found)), (vec!["w-1"], vec![]));
    }
    assert_eq!(good(MINIMAL).sought(), None);
}

#[test]
fn a_pattern_makes_an_agent_of_each_match_named_as_the_container() {
    let pattern = "[[agent]]\ntool = \"claude-code\"\ncontainer = \"worker-*\"\nsubscriptions = [\"b\", \"a\"]\ndrain = \"7s\"\n\
        delivery = { file = \"/srv/{name}/c\" }\n";
    let config = config("", pattern);
    let containers: Vec<_> =
        (0..20).map(|n| container(&format!("worker-{n:02}"), &[])).chain([container("else", &[])]).collect();
    let found = found(&config, &containers);
    assert_eq!(found.config.agents.len(), 20);
    for agent in &found.config.agents {
        assert_eq!(agent.target, Target::Container { name: agent.name.as_str().to_owned() });
        assert_eq!(file(agent).path, Path::new(&format!("/srv/{}/c", agent.name)));
        assert_eq!((agent.drain.as_secs(), agent.origin), (7, Origin::Pattern));
        assert_eq!(agent.subscriptions, [SubscriptionName::new("b"), SubscriptionName::new("a")]);
    }
    assert!(config.agents.is_empty(), "the pattern is no agent");
}

#[test]
fn a_pattern_is_held_to_what_a_template_can_be() {
    let pattern = |more: &str| format!("{TWO}[[agent]]\ntool = \"claude-code\"\ncontainer = \"w-*\"\n{more}\n");
    let told = |more: &str| {
        bad(&pattern(more))
            .into_iter()
            .map(|one| format!("{} | {}", one.what, one.hint.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("delivery = { file = \"/srv/c\" }")[0],
        "[[agent]] \"w-*\" would deliver to /srv/c for every container it matches | put {name} into the path"
    );
    let named = told("name = \"x\"\ndelivery = { file = \"/srv/{name}/c\" }");
    assert_eq!(
        named[0],
        "`name` would be the same for every container that the pattern matches | remove it: each agent is named as its container"
    );
    let unknown = told("subscriptions = [\"c\"]\ndelivery = { file = \"/srv/{name}/c\" }");
    assert!(unknown[0].starts_with("[[agent]] \"w-*\" names the unknown subscription \"c\""), "{unknown:?}");
    assert!(told("")[0].starts_with("[[agent]] \"w-*\" has no `delivery`"));
    let twice = format!(
        "{}[[agent]]\ntool = \"codex\"\ncontainer = \"w-*\"\ndelivery = {{ file = \"/x/{{name}}\" }}\n",
        pattern("delivery = { file = \"/srv/{name}/c\" }")
    );
    assert_eq!(bad(&twice)[0].what, "container \"w-*\" already belongs to the agent in line 20");
    let odd = pattern("delivery = { file = \"/srv/{name}/c\" }").replace("w-*", "w*/..");
    assert!(bad(&odd).iter().any(|one| one.what.contains("is not the name of a container")));
}

#[test]
fn the_file_goes_before_a_pattern_and_a_pattern_before_labels() {
    let agents = "[[agent]]\nname = \"mine\"\ntool = \"codex\"\ncontainer = \"w-1\"\ndelivery = { file = \"/srv/mine\" }\n\
        [[agent]]\ntool = \"claude-code\"\ncontainer = \"w-*\"\ndelivery = { file = \"/srv/{name}/c\" }\n\
        [[agent]]\ntool = \"claude-code\"\ncontainer = \"*\"\ndelivery = { file = \"/any/{name}/c\" }\n";
    let config = config("[docker]\ndiscover = true\n", agents);
    let found = found(&config, &[enabled("w-1", &[]), enabled("w-2", &[]), enabled("x", &[])]);
    assert_eq!((names(&found), said(&found)), (vec!["mine", "w-2", "x"], vec![]));
    assert_eq!(file(&found.config.agents[1]).path, Path::new("/srv/w-2/c"));
    assert_eq!(file(&found.config.agents[2]).path, Path::new("/any/x/c"));
}

#[test]
fn labels_that_contradict_the_file_are_told_and_change_nothing() {
    let agents = "[[agent]]\nname = \"mine\"\ntool = \"claude-code\"\ncontainer = \"w-1\"\nsubscriptions = [\"a\"]\ndrain = \"30s\"\ndelivery = { file = \"/srv/w-1/c\" }\n\
        [[agent]]\ntool = \"claude-code\"\ncontainer = \"w-*\"\ndelivery = { file = \"/srv/{name}/c\" }\n";
    let config = config("[docker]\ndiscover = true\n", agents);
    let same = [
        ("agent", "mine"),
        ("tool", "claude-code"),
        ("subscriptions", "a"),
        ("delivery.file", "/srv/{name}/c"),
        ("delivery.format", "raw"),
        ("drain", "30000ms"),
        ("monitor-only", "false"),
        ("generation", "3"),
    ];
    assert_eq!(said(&found(&config, &[enabled("w-1", &same)])), [""; 0]);
    for (label, value, is) in [
        ("agent", "other", "agent \"mine\""),
        ("tool", "codex", "claude-code"),
        ("subscriptions", "a,b", "a"),
        ("delivery.file", "/etc/passwd", "/srv/w-1/c"),
        ("delivery.format", "dotenv", "raw"),
        ("drain", "1h", "30s"),
        ("monitor-only", "true", "false"),
    ] {
        let found = found(&config, &[enabled("w-1", &[(label, value)])]);
        let hint = "the config holds: change it, or remove the label";
        let what = format!("it says \"{value}\", and the config says otherwise: {is}");
        assert_eq!(said(&found), [format!("container \"w-1\", label switchman.{label}: {what} | {hint}")]);
        assert!(!found.problems[0].is_left_out, "the agent of the file stays");
        assert_eq!(found.config.resolved(), config.resolved());
    }
    let off = found(&config, &[container("w-2", &[("enable", "false")])]);
    assert_eq!((names(&off), off.problems.len()), (vec!["mine", "w-2"], 1));
}

#[test]
fn every_way_in_which_labels_can_be_wrong_is_told_with_its_place() {
    let config = config("[docker]\ndiscover = true\n", "");
    let whole = [("tool", "claude-code"), ("delivery.file", "/srv/web/c")];
    for (label, value, what) in [
        (
            "enable",
            "yes",
            "label switchman.enable: \"yes\" is neither \"true\" nor \"false\" | write switchman.enable=true",
        ),
        ("agent", "a/b", "label switchman.agent: `switchman.agent` \"a/b\" is not a usable name | use up to 63"),
        ("tool", "claude_code", "label switchman.tool: unknown tool \"claude_code\" | did you mean \"claude-code\"?"),
        (
            "subscriptions",
            "a,bb",
            "label switchman.subscriptions: this container names the unknown subscription \"bb\" | did you mean",
        ),
        ("subscriptions", "", "label switchman.subscriptions: this container has no subscription: its list is empty"),
        ("subscriptions", "a,a", "names the subscription \"a\" twice | remove one"),
        (
            "subscriptions",
            "gpt",
            "label switchman.subscriptions: subscription \"gpt\" is of provider \"openai\", which claude-code cannot use",
        ),
        (
            "delivery.file",
            "c",
            "label switchman.delivery.file: `delivery.file` is not an absolute path | begin it with a slash",
        ),
        ("delivery.file", "/srv/web/", "label switchman.delivery.file: `delivery.file` names a directory"),
        ("delivery.file", "/srv/{agent}/c", "`delivery.file` has the unknown placeholder {agent}"),
        (
            "delivery.file",
            "/srv/web/${HOME}",
            "`${` stands for a variable of the daemon, and a label cannot read these",
        ),
        ("delivery.format", "env", "label switchman.delivery.format: unknown"),
        ("drain", "5", "label switchman.drain: `drain` in this container \"5\" has no unit"),
        ("drain", "25h", "label switchman.drain: `drain` in this container is \"25h\", out of its bounds"),
        ("monitor-only", "1", "label switchman.monitor-only: \"1\" is neither \"true\" nor \"false\""),
        ("subscription", "a", ""),
        ("subcriptions", "a", "label switchman.subcriptions: unknown label | did you mean switchman.subscriptions?"),
        ("monitoronly", "true", "label switchman.monitoronly: unknown label | did you mean switchman.monitor-only?"),
    ] {
        let labels: Vec<_> =
            whole.iter().copied().filter(|(known, _)| *known != label).chain([(label, value)]).collect();
        let mut web = enabled("web", &labels);
        web.labels.insert(format!("switchman.{label}"), value.to_owned());
        let found = found(&config, &[web, enabled("fine", &[("tool", "codex"), ("delivery.file", "/srv/fine/c")])]);
        let told = said(&found);
        if what.is_empty() {
            assert_eq!((told, names(&found)), (vec![], vec!["fine", "web"]), "{label}");
            continue;
        }
        assert!(
            told.iter().any(|one| one.starts_with("container \"web\"") && one.contains(what)),
            "{label}={value}: {told:#?}"
        );
        assert_eq!(names(&found), ["fine"], "{label}: the others go on");
        assert!(found.problems.iter().all(|one| one.is_left_out));
    }
}

#[test]
fn a_label_that_is_like_none_of_ours_is_told_and_leaves_nobody_out() {
    let found = found(&config(ON, ""), &[enabled("web", &[("colour", "red")])]);
    let what = "container \"web\", label switchman.colour: unknown label | known labels: switchman.enable";
    assert!(said(&found)[0].starts_with(what), "{:?}", said(&found));
    assert_eq!((names(&found), found.problems[0].is_left_out), (vec!["web"], false));
}

#[test]
fn what_nobody_said_is_asked_for() {
    let config = config("[docker]\ndiscover = true\n", "");
    let bare = said(&found(&config, &[enabled("web", &[])]));
    assert!(bare[0].contains("nothing says where its credential is delivered to"), "{bare:#?}");
    assert!(bare[1].contains("nothing says which tool runs in it | add the label switchman.tool"), "{bare:#?}");
    let custom = said(&found(&config, &[enabled("web", &[("tool", "custom"), ("delivery.file", "/srv/web/c")])]));
    assert!(custom[0].contains("nothing says which subscriptions it may use"), "{custom:#?}");
    let form = said(&found(&config, &[enabled("web", &[("tool", "codex"), ("delivery.format", "raw")])]));
    assert!(form[0].contains("it says how a file looks, and no file is named"), "{form:#?}");
    let long = "x".repeat(64);
    assert!(
        said(&found(&config, &[enabled(&long, &[("tool", "codex")])]))
            .iter()
            .any(|one| one.contains("add the label switchman.agent"))
    );
}

#[test]
fn two_that_want_to_be_one_agent_are_told_apart_by_who_was_there_first() {
    let config = config(
        ON,
        "[[agent]]\nname = \"mine\"\ntool = \"codex\"\ncontainer = \"c\"\ndelivery = { file = \"/srv/mine\" }\n",
    );
    let (one, two) = (enabled("one", &[("agent", "x")]), enabled("two", &[("agent", "x")]));
    let first = found(&config, &[one.clone(), two.clone()]);
    let hint = "give it another name with the label switchman.agent";
    assert_eq!(
        said(&first),
        [format!("container \"two\", label switchman.agent: agent \"x\" is container \"one\" already | {hint}")]
    );
    let older = FoundContainer { created_at: Wall(1), ..two.clone() };
    let by_age = found(&config, &[one.clone(), older]);
    assert_eq!(by_age.problems[0].container, "one");
    // It was made anew and is younger now; it is the agent all the same.
    let younger = FoundContainer { created_at: Wall(9_000), ..one };
    let again = config.with_found(&[younger, two], &first.config.containers(), &no_env);
    assert_eq!(again.problems[0].container, "two");
    let named = found(&config, &[enabled("a", &[("agent", "x")]), enabled("x", &[])]);
    assert_eq!(named.problems[0].container, "a", "who is called so goes before who wants to be");
    let mine = found(&config, &[enabled("z", &[("agent", "mine")])]);
    assert!(said(&mine)[0].contains("agent \"mine\" is container \"c\" already"));
}

#[test]
fn no_two_agents_share_a_file_and_no_credential_is_overwritten() {
    let mut config = config(
        ON,
        "[[agent]]\nname = \"mine\"\ntool = \"codex\"\ncontainer = \"c\"\ndelivery = { file = \"/srv/mine/c\" }\n",
    );
    config.docker.discover = Some(Discover { delivery_below: vec!["/srv".into(), "/keys".into()] });
    let at = |name: &str, file: &str| {
        let mut container = enabled(name, &[("delivery.file", file)]);
        container.mounts = vec!["/srv".into(), "/keys".into()];
        container
    };
    let found = found(
        &config,
        &[
            at("p", "/srv/mine/./c"),
            at("q", "/keys//b"),
            at("r", "/srv/x"),
            at("s", "/srv/x"),
            at("t", "/srv/x.switchman.json"),
        ],
    );
    let told = said(&found);
    assert_eq!(names(&found), ["mine", "r"]);
    assert!(
        told[0].contains(
            "\"p\", label switchman.delivery.file: it would be delivered to /srv/mine/c, as agent \"mine\" already is"
        ),
        "{told:#?}"
    );
    assert!(told[1].contains("delivered to /keys/b, where the credential of \"b\" is kept"), "{told:#?}");
    assert!(
        told[2].contains(
            "\"s\", label switchman.delivery.file: it would be delivered to /srv/x, as agent \"r\" already is"
        ),
        "{told:#?}"
    );
    assert!(told[3].contains("named as what lies beside a credential"), "{told:#?}");
}

#[test]
fn the_file_of_a_label_is_bounded() {
    let narrow = config(
        "state_dir = \"/srv/state\"\n[api]\nsocket = \"/srv/run/s.sock\"\n[docker]\ndiscover = { delivery_below = [\"/srv/agents\", \"/etc/agents\"] }\n",
        "",
    );
    let wide =
        config("state_dir = \"/srv/state\"\n[api]\nsocket = \"/srv/run/s.sock\"\n[docker]\ndiscover = true\n", "");
    let objection = |config: &Config, file: &str, mounts: &[&str]| {
        let mut web = enabled("web", &[("tool", "codex"), ("delivery.file", file)]);
        web.mounts = mounts.iter().map(Into::into).collect();
        let found = found(config, &[web]);
        assert_eq!(found.config.agents.len() + found.problems.len(), 1, "{file}: {:?}", said(&found));
        said(&found).pop()
    };
    for (config, file, mounts) in [
        (&wide, "/srv/web/c", &["/srv/web"][..]),
        (&wide, "/srv/web/c", &["/srv/web/c"]),
        (&narrow, "/srv/agents/web/c", &["/srv/agents/web"]),
        (&narrow, "/etc/agents/c", &["/etc/agents"]),
    ] {
        assert_eq!(objection(config, file, mounts), None, "{file}");
    }
    for (config, file, mounts, why) in [
        (&wide, "/srv/web/c", &[][..], "is not in a folder that the container mounts"),
        (&wide, "/srv/web/c", &["/"], "is not in a folder that the container mounts"),
        (&wide, "/srv/web-2/c", &["/srv/web"], "is not in a folder that the container mounts"),
        (&wide, "/srv/web/../other/c", &["/srv"], "goes up with `..`"),
        (&wide, "/etc/passwd", &["/etc"], "is a place of the system"),
        (&wide, "/run/x/report.sock", &["/run"], "is a place of the system"),
        (&wide, "/srv/state/switchman.db", &["/srv"], "belongs to the daemon"),
        (&wide, "/srv/run/s.sock", &["/srv"], "belongs to the daemon"),
        (&wide, "/srv/run/agents/x/report.sock", &["/srv"], "belongs to the daemon"),
        (&narrow, "/srv/web/c", &["/srv"], "is in no folder of `delivery_below`"),
        (&narrow, "/srv/agents/web/c", &["/srv/other"], "is not in a folder that the container mounts"),
        (&narrow, "/srv/agents", &["/srv"], "is in no folder of `delivery_below`"),
    ] {
        let told = objection(config, file, mounts);
        assert!(
            told.as_ref().is_some_and(|told| told.contains("label switchman.delivery.file") && told.contains(why)),
            "{file}: {told:?}"
        );
    }
}

#[test]
fn a_login_that_a_label_names_has_one_agent() {
    let config = config(ON, "");
    let on_it = |name: &str| enabled(name, &[("subscriptions", "me")]);
    let found = found(&config, &[on_it("one"), on_it("two")]);
    assert_eq!(names(&found), ["one"]);
    assert!(
        said(&found)[0]
            .contains("\"two\", label switchman.subscriptions: it names the login \"me\", which \"one\" may run on")
    );
}

#[test]
fn who_is_only_observed_needs_no_delivery() {
    let agents = "[[agent]]\nname = \"w\"\ntool = \"claude-code\"\ncontainer = \"w\"\nmonitor_only = true\n";
    let config = config("[docker]\ndiscover = true\n", agents);
    let found = found(&config, &[enabled("l", &[("tool", "codex"), ("monitor-only", "true")])]);
    assert_eq!((names(&found), said(&found)), (vec!["w", "l"], vec![]));
    for agent in &found.config.agents {
        assert_eq!((agent.is_monitor_only, &agent.delivery), (true, &Delivery::Nothing));
        let policy = found.config.policy(&agent.name).unwrap();
        assert!(policy.is_monitor_only && !policy.switching && policy.file.is_none());
    }
    let process =
        "[[agent]]\nname = \"p\"\ntool = \"claude-code\"\nprocess = { command = [\"x\"] }\nmonitor_only = true\n";
    assert!(
        bad(&format!("{TWO}{process}"))[0]
            .what
            .contains("is `monitor_only`, and a process is started by the daemon itself")
    );
}

#[test]
fn what_is_resolved_can_be_read_again() {
    let agents = "[[agent]]\ntool = \"claude-code\"\ncontainer = \"w-*\"\ndelivery = { file = \"/srv/{name}/c\" }\nmonitor_only = true\n";
    let lines = ON.replace("discover = true", "discover = { delivery_below = [\"/srv\"] }");
    let config = config(&lines, agents);
    let again = good(&config.resolved());
    assert_eq!(again.resolved(), config.resolved());
    assert_eq!(again.sought(), config.sought());
    let containers = [container("w-1", &[]), enabled("x", &[])];
    assert_eq!(found(&again, &containers).config.resolved(), found(&config, &containers).config.resolved());
}
