//! What can be said of the sources of an agent's lines.

use super::{EXAMPLE, bad, good};
use crate::config::{Asked, Config, Problem, Severity, render};
use crate::domain::{AgentName, FoundContainer, SourceId, Wall};

/// An agent `w` in a container, with these lines of its own.
fn with_agent(lines: &str, own: &str) -> String {
    format!(
        "{lines}\n[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredential = {{ env = \"A\" }}\n\
         [[agent]]\nname = \"w\"\ntool = \"claude-code\"\ncontainer = \"w\"\ndelivery = {{ file = \"/w\" }}\n{own}\n"
    )
}

/// The same with these sources.
fn with(sources: &str) -> String {
    with_agent("", &format!("sources = {sources}"))
}

fn other(own: &str) -> String {
    format!(
        "[[agent]]\nname = \"x\"\ntool = \"claude-code\"\ncontainer = \"x\"\ndelivery = {{ file = \"/x\" }}\n{own}\n"
    )
}

fn read(text: &str, agent: &str) -> Vec<String> {
    let policy = good(text).policy(&AgentName::new(agent)).unwrap();
    policy.sources.iter().map(ToString::to_string).collect()
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| format!("{} | {}", problem.what, problem.hint.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn every_check_of_sources_has_a_case() {
    let cases = [
        (
            with("3"),
            "`sources` in [[agent]] \"w\" is a whole number, a list of tables is expected | write sources = [{",
        ),
        (with("[\"/srv\"]"), "`sources` in [[agent]] \"w\" is a string, a list of tables is expected"),
        (with("[{}]"), "one of `sources` says nothing | write { files = "),
        (with("[{ files = \"/a\", stdin = true }]"), "one of `sources` says several things"),
        (with("[{ file = \"/a\" }]"), "unknown key `file` in `sources` of [[agent]] \"w\" | did you mean `files`?"),
        (with("[{ files = 3 }]"), "`files` in `sources` of [[agent]] \"w\" is a whole number, a string is expected"),
        (with("[{ files = \"sessions/*.jsonl\" }]"), "`files` is not an absolute path"),
        (with("[{ files = \"/a/../b\" }]"), "`files` goes up with `..`"),
        (with("[{ files = \"/\" }]"), "`files` names everything there is"),
        (with("[{ files = \"/*/a\" }]"), "`files` begins with a pattern"),
        (with("[{ files = \"/a/[b\" }]"), "`files` is no pattern"),
        (with("[{ files = \"/a/b**\" }]"), "`files` is no pattern"),
        (with("[{ files = \"/a/{agent}\" }]"), "`files` has the unknown placeholder {agent}"),
        (with("[{ journald = \"web\" }]"), "`journald` \"web\" is not the name of a unit"),
        (with("[{ journald = \"web*.service\" }]"), "`journald` \"web*.service\" is not the name of a unit"),
        (with("[{ journald = \"-x.service\" }]"), "`journald` \"-x.service\" is not the name of a unit"),
        (with("[{ journald = \"x.mount\" }]"), "`journald` \"x.mount\" is not the name of a unit"),
        (with("[{ stdin = false }]"), "`stdin = false` is no source | leave it out"),
        (with("[{ stdin = \"yes\" }]"), "`stdin` in `sources` of [[agent]] \"w\" is a string, true or false"),
        (with("[{ files = \"/a\" }, { files = \"/a/.\" }]"), "`sources` names files:/a twice"),
        (with_agent("", "logs = \"no\""), "`logs` in [[agent]] \"w\" is a string, true or false is expected"),
        (with_agent("", "files = \"/a\""), "unknown key `files` in [[agent]] \"w\" | `files` belongs into `sources`"),
        (
            with("[{ stdin = true }]") + &other("sources = [{ stdin = true }]"),
            "[[agent]] \"x\" reads stdin, as the agent in line 11 does | the standard input of the daemon belongs",
        ),
        (
            with_agent("[agent_defaults]\nsources = [{ files = \"/a\" }]", "") + &other(""),
            "[[agent]] \"x\" reads files:/a, as the agent in line",
        ),
        (
            with_agent("", "").replace("name = \"w\"\n", "").replace("container = \"w\"", "container = \"w-*\"")
                + "sources = [{ files = \"/a\" }]\n",
            "would read files:/a for every container it matches | put {name} into it",
        ),
    ];
    for (text, expected) in cases {
        let problems = bad(&text);
        assert!(
            said(&problems).iter().any(|said| said.contains(expected)),
            "{text}\n{expected}\n{}",
            render(&problems, false)
        );
        assert!(problems.iter().all(|problem| problem.line.is_some()), "{problems:?}");
    }
}

#[test]
fn an_agent_reads_its_containers_log_and_what_is_named_for_it() {
    assert_eq!(read(&with_agent("", ""), "w"), ["container"]);
    let both = with("[{ files = \"/srv/{name}//s/**/*.jsonl\" }, { journald = \"agent@{name}.service\" }]");
    assert_eq!(read(&both, "w"), ["container", "files:/srv/w/s/**/*.jsonl", "journald:agent@w.service"]);
    assert_eq!(read(&with_agent("", "logs = false\nsources = [{ stdin = true }]"), "w"), ["stdin"]);
    let defaults = "[agent_defaults]\nsources = [{ files = \"/srv/{name}/s\" }]\nlogs = false";
    let all = with_agent(defaults, "") + &other("sources = []\nlogs = true");
    assert_eq!((read(&all, "w"), read(&all, "x")), (vec!["files:/srv/w/s".to_owned()], vec!["container".to_owned()]));
    let process = with_agent("", "").replace("container = \"w\"", "process = { command = [\"x\"] }");
    assert_eq!(read(&process, "w"), [""; 0]);
}

#[test]
fn each_container_of_a_pattern_and_of_labels_has_sources_of_its_own() {
    let text = with_agent(
        "[docker]\ndiscover = true\n[agent_defaults]\ntool = \"claude-code\"\nlogs = false\n\
         delivery = { file = \"/srv/{name}/c\" }\nsources = [{ files = \"/srv/{name}/s\" }]",
        "",
    )
    .replace("name = \"w\"\n", "")
    .replace("container = \"w\"", "container = \"w-*\"")
    .replace("delivery = { file = \"/w\" }", "logs = true");
    let config = good(&text);
    let found = |name: &str, label: &str| FoundContainer {
        id: name.to_owned(),
        name: name.to_owned(),
        labels: [(label.to_owned(), "true".to_owned())].into(),
        mounts: Vec::new(),
        created_at: Wall(0),
    };
    let found = [found("w-1", "other"), found("free", "switchman.enable")];
    let holds = config.with_found(&found, &config.containers(), &|_| None).config;
    let sources = |agent: &str| holds.policy(&AgentName::new(agent)).unwrap().sources;
    assert_eq!(sources("w-1"), [SourceId::Container, SourceId::Files("/srv/w-1/s".to_owned())]);
    assert_eq!(sources("free"), [SourceId::Files("/srv/free/s".to_owned())]);
}

#[test]
fn what_holds_is_a_config_that_says_the_same() {
    let text = with_agent(
        "[docker]\ndiscover = true\n[agent_defaults]\nsources = [{ files = \"/srv/{name}/s\" }]\nlogs = true",
        "logs = false\nsources = [{ files = \"/srv/w \\\"x\\\"/[[]/**/*.jsonl\" }, { journald = \"w.service\" }]",
    );
    let resolved = good(&text).resolved();
    assert_eq!(read(&resolved, "w"), read(&text, "w"), "{resolved}");
    assert_eq!(good(&resolved).resolved(), resolved);
    // The defaults hold for containers with labels.
    assert!(resolved.contains("sources = [{ files = \"/srv/{name}/s\" }]"), "{resolved}");
}

#[test]
fn what_is_not_there_yet_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let warned = |sources: &str| {
        let (config, _) = Config::parse("test", &with(sources), &|name| Some(name.to_owned())).unwrap();
        let found: Vec<_> = config.check_files(Asked::ByCheck);
        let found = found.into_iter().filter(|problem| problem.what.contains("source"));
        found.map(|problem| (problem.severity, problem.what, problem.line)).collect::<Vec<_>>()
    };
    assert_eq!(warned(&format!("[{{ files = \"{root}/*.jsonl\" }}, {{ files = \"{root}/file\" }}]")), []);
    let missing = warned(&format!("[{{ files = \"{root}/later/**/*.jsonl\" }}]"));
    let [(Severity::Warning, what, Some(_))] = &missing[..] else { panic!("{missing:?}") };
    assert!(what.contains(&format!("{root}/later: No such file")), "{what}");
    let silent = with_agent("", "logs = false");
    let (_, problems) = Config::parse("test", &silent, &|name| Some(name.to_owned())).unwrap();
    assert!(
        said(&problems).iter().any(|said| said.contains("nothing that [[agent]] \"w\" says is read")),
        "{problems:?}"
    );
    assert!(!EXAMPLE.contains("\nsources"), "the example reads nothing that is not there");
}

#[test]
fn the_example_of_the_document_is_accepted() {
    let document = include_str!("../../../docs/sources.md");
    let example = document.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let subscription = "[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredential = { env = \"A\" }\n";
    let own = "tool = \"claude-code\"\ncontainer = \"reviewer\"\ndelivery = { file = \"/w\" }\n";
    let read = read(&format!("{subscription}{example}{own}"), "reviewer");
    let files = "files:/srv/reviewer/.claude/projects/**/*.jsonl";
    assert_eq!(read, ["container", files, "journald:agent@reviewer.service", "stdin"]);
}
