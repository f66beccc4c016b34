//! What can be said of a delivery, and of the logins that are delivered.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use super::{bad, file_policy, good, no_env};
use crate::config::{Asked, Config, Delivery, FileDelivery, Problem, Severity, render};
use crate::domain::credential::variable;
use crate::domain::{AgentName, Apply, Format, Reload, SubscriptionType, Tool};

/// One of each sort of subscription, and an agent `w` of this tool with this delivery.
fn with_delivery(tool: &str, subscriptions: &str, delivery: &str) -> String {
    let mut text = String::new();
    for (name, provider, kind, credential) in [
        ("token", "anthropic", "setup-token", "env = \"A\""),
        ("key", "anthropic", "api-key", "env = \"K\""),
        ("codex", "openai", "api-key", "env = \"O\""),
        ("mine", "mine", "api-key", "file = \"/srv/mine\""),
        ("login", "anthropic", "login", "file = \"/srv/logins/claude\""),
    ] {
        let _ = write!(
            text,
            "[[subscription]]\nname = \"{name}\"\nprovider = \"{provider}\"\ntype = \"{kind}\"\ncredential = {{ {credential} }}\n"
        );
    }
    let target = if delivery.contains("env =") { "process = { command = [\"x\"] }" } else { "container = \"w\"" };
    let _ = write!(
        text,
        "[[agent]]\nname = \"w\"\ntool = \"{tool}\"\n{target}\nsubscriptions = {subscriptions}\ndelivery = {{ {delivery} }}\n"
    );
    text
}

#[test]
fn every_check_of_a_delivery_has_a_case() {
    let anthropic = "[\"token\", \"key\"]";
    let file = |more: &str| format!("file = \"/srv/w/c\"{more}");
    let of_claude = |more: &str| with_delivery("claude-code", anthropic, &file(more));
    let cases = [
        (of_claude(", format = \"env\""), "unknown format \"env\""),
        (of_claude(", format = \"dotnev\""), "unknown format \"dotnev\" | did you mean \"dotenv\"?"),
        (of_claude(", owner = 1000"), "`owner` in `delivery` of [[agent]] \"w\" is a whole number"),
        (of_claude(", owner = \"nobody-here\""), "`owner` names the user \"nobody-here\", who is not in /etc/passwd"),
        (of_claude(", owner = \"5:\""), "`owner` names no group"),
        (of_claude(", mode = 384"), "`mode` in `delivery` of [[agent]] \"w\" is a whole number"),
        (of_claude(", mode = \"rw\""), "`mode` is not a file mode"),
        (of_claude(", mode = \"+600\""), "`mode` is not a file mode"),
        (of_claude(", mode = \"4600\""), "`mode` is not a file mode"),
        (of_claude(", mode = \"0200\""), "`mode` keeps the owner from reading"),
        (of_claude(", mode = \"0620\""), "`mode` lets others write the credential"),
        (of_claude(", mode = \"0602\""), "`mode` lets others write the credential"),
        (of_claude(", mode = \"0700\""), "`mode` makes a program of the credential"),
        (of_claude(", apply = \"reload\""), "unknown way to apply \"reload\" | one of \"restart\", \"written\""),
        (of_claude(", apply = \"writen\""), "unknown way to apply \"writen\" | did you mean \"written\"?"),
        (of_claude(", apply = []"), "`apply` in `delivery` of [[agent]] \"w\" is a list, a string is expected"),
        (of_claude(", apply = {}"), "`apply` says nothing"),
        (of_claude(", apply = { signal = \"KILL\" }"), "the signal \"KILL\" cannot be caught"),
        (of_claude(", apply = { signal = \"SIGFOO\" }"), "unknown signal \"SIGFOO\""),
        (
            of_claude(", apply = { signal = 1 }"),
            "`signal` in `apply` of `delivery` of [[agent]] \"w\" is a whole number",
        ),
        (of_claude(", apply = { exec = [] }"), "`apply.exec` has no program"),
        (of_claude(", apply = { http = \"https://h/\" }"), "`apply.http` does not begin with http://"),
        (of_claude(", apply = { http = \"http://u:CANARY@h/\" }"), "`apply.http` has a user name or password"),
        (of_claude(", apply = { http = \"http://h:0/\" }"), "`apply.http` is not a usable address"),
        (of_claude(", apply = { signal = \"HUP\", exec = [\"x\"] }"), "`apply` has more than one way"),
        (of_claude(", apply = { sginal = \"HUP\" }"), "unknown key `sginal` in `apply`"),
        (
            of_claude(", recreate = \"force\""),
            "unknown key `recreate` in `delivery` of [[agent]] \"w\" | not in this version",
        ),
        (
            with_delivery("claude-code", "[\"token\"]", "env = \"T\", apply = \"written\""),
            "`apply` says something about a file, and this credential goes into a variable",
        ),
        (with_delivery("claude-code", "[\"token\"]", "env = \"T\", format = \"raw\""), "`format` says something about"),
        (of_claude(", format = \"claude-credentials\""), "may run on \"key\", but the document that Claude Code reads"),
        (
            with_delivery("codex", "[\"codex\"]", &file(", format = \"claude-credentials\"")),
            "[[agent]] \"w\" runs codex, and format \"claude-credentials\" is read by Claude Code",
        ),
        (
            with_delivery("custom", "[\"mine\"]", &file(", format = \"dotenv\"")),
            "may run on \"mine\", but no variable is known for type \"api-key\" of provider \"mine\" in custom",
        ),
        (
            with_delivery("claude-code", "[\"login\"]", &file(", format = \"claude-credentials\"")),
            "may run on \"login\", but a login is a document of its own",
        ),
        (
            with_delivery("claude-code", "[\"token\", \"login\"]", &file(", format = \"dotenv\"")),
            "may run on \"login\", but a login is a document of its own",
        ),
        (
            with_delivery("claude-code", "[\"login\"]", &file(", mode = \"0400\"")),
            "may run on \"login\", a login, and `mode` keeps the tool from renewing it",
        ),
        (
            with_delivery("claude-code", "[\"login\"]", "env = \"T\""),
            "may run on \"login\", a login, which is a document that its tool rewrites",
        ),
        (
            with_delivery("claude-code", anthropic, "file = \"/srv/logins/./claude\""),
            "is delivered to /srv/logins/claude, where the credential of \"login\" is kept",
        ),
    ];
    for (text, expected) in cases {
        let problems = bad(&text);
        let shown = format!("{}{}{problems:?}", render(&problems, false), render(&problems, true));
        let said = |problem: &Problem| format!("{} | {}", problem.what, problem.hint.as_deref().unwrap_or_default());
        assert!(problems.iter().any(|problem| said(problem).contains(expected)), "{text}\n{expected}\n{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

#[test]
fn a_delivery_is_read_with_all_its_keys_and_shown_as_it_is() {
    let policy = |text: &str| {
        let config = good(text);
        assert_eq!(good(&config.resolved()).resolved(), config.resolved());
        config.policy(&AgentName::new("w")).unwrap().file.unwrap()
    };
    let of_custom = |more: &str| with_delivery("custom", "[\"token\"]", &format!("file = \"/srv/w/c\"{more}"));
    let reload = |reload| file_policy("/srv/w/c", Format::Raw, Apply::Reload(reload));
    for (more, expected) in [
        (", format = \"dotenv\"", file_policy("/srv/w/c", Format::Dotenv, Apply::Restart)),
        (
            ", format = \"claude-credentials\", apply = \"written\"",
            file_policy("/srv/w/c", Format::ClaudeCredentials, Apply::Written),
        ),
        (", apply = \"restart\"", file_policy("/srv/w/c", Format::Raw, Apply::Restart)),
        (", apply = { signal = \"SIGUSR1\" }", reload(Reload::Signal("USR1".to_owned()))),
        (", apply = { exec = [\"kill\", \"\\\"x\\\"\"] }", reload(Reload::Exec(vec!["kill".into(), "\"x\"".into()]))),
        (", apply = { http = \"http://127.0.0.1:1/r\" }", reload(Reload::Http("http://127.0.0.1:1/r".to_owned()))),
    ] {
        assert_eq!(policy(&of_custom(more)), expected);
    }
    let resolved = good(&of_custom(", owner = \"root:7\", mode = \"640\"")).resolved();
    let line =
        "delivery = { file = \"/srv/w/c\", format = \"raw\", owner = \"0:7\", mode = \"0640\", apply = \"restart\" }";
    assert!(resolved.contains(line), "{resolved}");
    let (_, warnings) = Config::parse("c", &of_custom(", mode = \"0640\""), &no_env).unwrap();
    assert!(warnings[0].what.contains("lets others than the owner read"), "{warnings:?}");
}

#[test]
fn a_login_has_one_agent_whatever_is_written() {
    let text = with_delivery("claude-code", "[\"login\"]", "file = \"/srv/w/c\"");
    let agents_max = |text: &str| {
        let (config, warnings) = Config::parse("c", text, &no_env).unwrap();
        let login = config.subscription_policies().into_iter().find(|one| one.kind == SubscriptionType::Login).unwrap();
        (login.agents_max, warnings.len())
    };
    let with = |line: &str| text.replace("type = \"login\"", &format!("type = \"login\"\n{line}"));
    assert_eq!(agents_max(&text), (1, 0));
    assert_eq!(agents_max(&with("agents_max = 1")), (1, 0));
    assert_eq!(agents_max(&with("agents_max = 2")), (1, 1));
}

#[test]
fn a_login_is_looked_at_with_the_folder_it_is_put_back_into() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("way")).unwrap();
    let document = "{\n \"tokens\": { \"refresh_token\": \"CANARY\" }\n}\n";
    let place = |name: &str| dir.path().join(name).display().to_string();
    for (name, content) in [("good", document), ("token", "CANARY"), ("keyless", "{\"access_token\":\"CANARY\"}")] {
        std::fs::write(place(name), content).unwrap();
        std::fs::set_permissions(place(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::os::unix::fs::symlink(place("good"), place("link")).unwrap();
    let seen = |name: &str| {
        let text = with_delivery("claude-code", "[\"login\"]", "file = \"/srv/w/c\"");
        let config = good(&text.replace("/srv/logins/claude", name));
        let problems = config.check_files(Asked::ByCheck);
        let shown = render(&problems, false);
        assert!(!shown.contains("CANARY"), "{shown}");
        let of_the_login: Vec<_> = problems.into_iter().filter(|problem| problem.what.contains("\"login\"")).collect();
        of_the_login.into_iter().map(|problem| problem.what.rsplit_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&place("good")), Vec::<String>::new());
    assert_eq!(seen(&place("token")), ["it is no JSON document"]);
    assert_eq!(seen(&place("keyless")), ["it holds no refresh token"]);
    assert_eq!(seen(&place("way/good")), ["a part of its path is a symbolic link"]);
    assert_eq!(seen(&place("link")), ["it is a symbolic link"]);
    assert_eq!(seen(&place("missing")), ["No such file or directory (os error 2)"]);
    assert_eq!(
        seen(&place("nowhere/login")),
        ["its folder cannot be written to (No such file or directory (os error 2))"]
    );
}

#[test]
fn a_delivery_over_a_link_is_an_error_for_check_and_a_warning_for_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    std::fs::create_dir(real.join("real")).unwrap();
    std::os::unix::fs::symlink(real.join("real"), real.join("way")).unwrap();
    let checked = |file: &str, asked| {
        let delivery = format!("file = \"{}\"", real.join(file).display());
        good(&with_delivery("claude-code", "[\"token\"]", &delivery)).check_files(asked)
    };
    let of_the_delivery = |file: &str, asked| {
        let found = checked(file, asked).into_iter().filter(|problem| problem.what.contains("delivered"));
        found.map(|problem| (problem.severity, problem.line, problem.hint.unwrap())).collect::<Vec<_>>()
    };
    let hint = format!("name the real file: {}", real.join("real/c").display());
    assert_eq!(of_the_delivery("way/c", Asked::ByCheck), [(Severity::Error, Some(31), hint.clone())]);
    assert_eq!(of_the_delivery("way/c", Asked::ByDaemon), [(Severity::Warning, Some(31), hint)]);
    assert_eq!(of_the_delivery("real/c", Asked::ByCheck), []);
    assert_eq!(of_the_delivery("absent/c", Asked::ByCheck), []);
}

const DOC: &str = include_str!("../../../docs/delivery.md");

#[test]
fn the_examples_of_the_document_are_accepted_and_its_defaults_are_the_defaults() {
    let blocks: Vec<_> = DOC.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let token = "[[subscription]]\nname = \"t\"\nprovider = \"anthropic\"\ncredential = { env = \"T\" }\n";
    let shown = good(&format!("{token}{}", blocks.concat()));
    let file = |config: &Config| match &config.agents[0].delivery {
        Delivery::File(file) => file.clone(),
        Delivery::Env(_) | Delivery::Nothing => panic!("no file"),
    };
    let brief = blocks[0].lines().map(|line| match line.split_once(", format") {
        Some((beginning, _)) => format!("{beginning} }}\n"),
        None => format!("{line}\n"),
    });
    let brief = good(&format!("{token}{}", brief.collect::<String>()));
    assert_eq!(FileDelivery { owner: None, ..file(&shown) }, file(&brief));
    assert!(file(&shown).owner.is_some());
}

#[test]
fn the_document_lists_every_variable() {
    for provider in ["anthropic", "openai", "google"] {
        let row = DOC.lines().find(|line| line.starts_with(&format!("| `{provider}` |"))).unwrap();
        let cells: Vec<_> = row.split('|').skip(2).take(2).map(|cell| cell.trim().trim_matches('`')).collect();
        let known = [SubscriptionType::SetupToken, SubscriptionType::ApiKey]
            .map(|kind| variable(Tool::Custom, provider, kind).unwrap_or_default());
        assert_eq!(cells, known, "{provider}");
    }
}
