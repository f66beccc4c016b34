//! `[[rule]]`: what is read, and every way to write one that cannot be meant.

use super::*;
use crate::domain::{FailureKind, Trust, Window};

fn rule(lines: &str) -> Rule {
    let rules = good(&with(&format!("[[rule]]\n{lines}"))).rules;
    assert_eq!(rules.len(), 1);
    rules.into_iter().next().unwrap()
}

fn found(lines: &str) -> (When, Option<Meaning>) {
    match rule(lines).does {
        Does::Find(find) => (find.when, find.means),
        Does::Silence => panic!("it is off"),
    }
}

/// The complaints about a rule, each with what its place in the config says.
fn complaints(lines: &str) -> Vec<String> {
    let text = with(&format!("[[rule]]\n{lines}"));
    let told = |problem: Problem| {
        let at = problem.span.clone().map_or("", |span| &text[span]);
        format!("{} | {} | {at}", problem.what, problem.hint.unwrap_or_default())
    };
    bad(&text).into_iter().map(told).collect()
}

#[test]
fn a_rule_about_a_record_is_read_however_its_members_are_written() {
    let quoted = r#"
        id = "acme.quota"
        tool = ["codex", "custom"]
        when = { json = { "type" = "error", "error.code" = { regex = 'quota_.*' }, "error.status" = 429, "final" = true } }
        kind = "rate_limit"
        scope = "weekly"
        reset = { json = "error.resets_in", unit = "seconds" }
        source = "https://acme.example"
        note = "the gateway's own words"
    "#;
    let read = rule(quoted);
    assert_eq!((&*read.id, read.tools.as_slice()), ("acme.quota", &[Tool::Codex, Tool::Custom][..]));
    let Does::Find(find) = &read.does else { panic!("it is off") };
    let Find { when: When::Json(conditions), means: Some(meaning) } = &**find else { panic!("{find:?}") };
    let paths: Vec<_> = conditions.iter().map(|one| one.path.join("/")).collect();
    assert_eq!(paths, ["error/code", "error/status", "final", "type"]);
    let reset = Some(ResetFrom::Json { path: vec!["error".into(), "resets_in".into()], unit: Unit::Seconds });
    let expected =
        Meaning { kind: FailureKind::RateLimit, window: Window::Weekly, model: None, reset, trust: Trust::Structured };
    assert_eq!(*meaning, expected);
    let dotted = quoted.replace("\"error.code\"", "error.code").replace("\"error.status\"", "error.status");
    assert_eq!(found(&dotted).0, When::Json(conditions.clone()));
}

#[test]
fn a_line_is_described_as_a_whole_and_believed_as_text() {
    let (when, meaning) = found(
        "id = \"acme.line\"\nwhen = { line = 'quota gone, back (?<when>.+)' }\nkind = \"rate_limit\"\nreset = { group = \"when\" }",
    );
    let When::Line(line) = when else { panic!("no line") };
    assert!(
        line.made().is_match("quota gone, back at 3pm") && !line.made().is_match("he said: quota gone, back at 3pm")
    );
    let meaning = meaning.unwrap();
    assert_eq!((meaning.trust, meaning.window), (Trust::Text, Window::Unknown));
    assert_eq!(meaning.reset, Some(ResetFrom::Group("when".into())));
    let (_, meaning) = found("id = \"acme.line\"\nwhen = { line = 'gone' }\nkind = \"auth\"\ntrust = \"structured\"");
    assert_eq!(meaning.unwrap().trust, Trust::Structured, "the operator says so");
}

#[test]
fn an_answer_is_described_by_its_status_and_what_it_says() {
    let (when, meaning) = found(
        "id = \"acme.http\"\nwhen = { status = [429, 529], says = 'fair use' }\nkind = \"rate_limit\"\nmodel = \"opus\"\nreset = \"headers\"",
    );
    let When::Http { status, says: Some(says) } = when else { panic!("no answer") };
    assert_eq!(status, [429, 529]);
    assert!(says.made().is_match("over the fair use limit"), "anywhere in it");
    let meaning = meaning.unwrap();
    assert_eq!((meaning.window, meaning.reset), (Window::Model, Some(ResetFrom::Headers)));
}

#[test]
fn a_rule_can_say_that_it_is_nothing_and_silence_a_built_in_one() {
    let (_, meaning) = found("id = \"acme.noise\"\nwhen = { line = 'rate limit: 42 left' }\nkind = \"none\"");
    assert_eq!(meaning, None);
    let silenced = rule("id = \"claude-code.rate_limit_event\"\noff = true");
    assert_eq!(silenced.does, Does::Silence);
    let (_, meaning) =
        found("id = \"claude-code.rate_limit_event\"\nwhen = { json = { type = \"x\" } }\nkind = \"overload\"");
    assert_eq!(meaning.unwrap().kind, FailureKind::Overload, "one that is built in is replaced");
}

#[test]
fn every_check_of_a_rule_has_a_case() {
    let line = "when = { line = 'x' }\nkind = \"auth\"";
    let cases: &[(&str, &str)] = &[
        (line, "[[rule]] has no `id` | add id = \"acme.limit\""),
        (&format!("id = \"nodot\"\n{line}"), "\"nodot\" is not the id of a rule | write a prefix of your own"),
        (&format!("id = \"a b.c\"\n{line}"), "\"a b.c\" is not the id of a rule"),
        (&format!("id = \"a..c\"\n{line}"), "\"a..c\" is not the id of a rule"),
        (
            "id = \"claude-code.rate_limit_evnt\"\noff = true",
            "no rule that is built in has the id \"claude-code.rate_limit_evnt\" | did you mean \"claude-code.rate_limit_event\"? | \"claude-code.rate_limit_evnt\"",
        ),
        (
            &format!("id = \"claude-code.mine\"\n{line}"),
            "\"claude-code.\" is the prefix of some | a rule of your own needs a prefix of your own",
        ),
        ("id = \"acme.x\"\noff = true", "no rule that is built in has the id \"acme.x\""),
        (&format!("id = \"acme.x\"\noff = false\n{line}"), "`off = false` says nothing"),
        ("id = \"claude-code.rate_limit_event\"\noff = true\nkind = \"auth\"", "`kind` stands beside `off`"),
        (
            &format!("id = \"acme.x\"\nwehn = 1\n{line}"),
            "unknown key `wehn` in [[rule]] \"acme.x\" | did you mean `when`?",
        ),
        (&format!("id = \"acme.x\"\ntool = \"claude\"\n{line}"), "unknown tool \"claude\""),
        (&format!("id = \"acme.x\"\ntool = []\n{line}"), "`tool` is an empty list"),
        ("id = \"acme.x\"\nkind = \"auth\"", "[[rule]] \"acme.x\" has no `when`"),
        ("id = \"acme.x\"\nwhen = { line = 'x' }", "[[rule]] \"acme.x\" has no `kind`"),
        ("id = \"acme.x\"\nwhen = {}\nkind = \"auth\"", "`when` of [[rule]] \"acme.x\" looks for nothing"),
        ("id = \"acme.x\"\nwhen = { line = 'x', status = 429 }\nkind = \"auth\"", "looks for several things at once"),
        (
            "id = \"acme.x\"\nwhen = { says = 'x' }\nkind = \"auth\"",
            "`says` in `when` of [[rule]] \"acme.x\" stands without a `status`",
        ),
        (
            "id = \"acme.x\"\nwhen = { line = '(foo' }\nkind = \"auth\"",
            "`line` in `when` of [[rule]] \"acme.x\" is not a regular expression: unclosed group, at character 1 | write it in single quotes, in which a backslash stands for itself; look-arounds and back-references are not possible | '(foo'",
        ),
        ("id = \"acme.x\"\nwhen = { line = 'a(?=b)' }\nkind = \"auth\"", "look-around"),
        ("id = \"acme.x\"\nwhen = { line = '' }\nkind = \"auth\"", "`line` in `when` of [[rule]] \"acme.x\" is empty"),
        (
            "id = \"acme.x\"\nwhen = { line = '(x{1000}){1000}' }\nkind = \"auth\"",
            "it needs too much memory | make its repetitions smaller",
        ),
        (
            "id = \"acme.x\"\nwhen = { line = 'x)|(y' }\nkind = \"auth\"",
            "is not a regular expression: unopened group, at character 2",
        ),
        (
            "id = \"acme.x\"\nwhen = { status = 42 }\nkind = \"auth\"",
            "`status` in `when` of [[rule]] \"acme.x\" is 42, out of its bounds",
        ),
        ("id = \"acme.x\"\nwhen = { status = \"429\" }\nkind = \"auth\"", "a whole number is expected"),
        ("id = \"acme.x\"\nwhen = { status = [] }\nkind = \"auth\"", "`status` is an empty list"),
        ("id = \"acme.x\"\nwhen = { json = {} }\nkind = \"auth\"", "every record would do"),
        (
            "id = \"acme.x\"\nwhen = { json = { \"a..b\" = 1 } }\nkind = \"auth\"",
            "\"a..b\" in `when` of [[rule]] \"acme.x\" is not the path of a member",
        ),
        (
            "id = \"acme.x\"\nwhen = { json = { a = [1] } }\nkind = \"auth\"",
            "\"a\" in `when` of [[rule]] \"acme.x\" is a list",
        ),
        (
            "id = \"acme.x\"\nwhen = { json = { a = { regex = '[' } } }\nkind = \"auth\"",
            "is not a regular expression: unclosed character class",
        ),
        ("id = \"acme.x\"\nwhen = { json = { a = { regex = 'x', is = 1 } } }\nkind = \"auth\"", "unknown key `is`"),
        (
            "id = \"acme.x\"\nwhen = { line = 'x' }\nkind = \"nnoe\"",
            "unknown failure kind \"nnoe\" | did you mean \"none\"?",
        ),
        (
            "id = \"acme.x\"\nwhen = { line = 'x' }\nkind = \"ratelimit\"",
            "unknown failure kind \"ratelimit\" | did you mean \"rate_limit\"?",
        ),
        (
            "id = \"acme.x\"\nwhen = { line = 'x' }\nkind = \"none\"\nscope = \"weekly\"",
            "`scope` stands beside kind = \"none\"",
        ),
        (&format!("id = \"acme.x\"\nscope = \"monthly\"\n{line}"), "unknown scope \"monthly\""),
        (&format!("id = \"acme.x\"\ntrust = \"high\"\n{line}"), "unknown trust \"high\""),
        (&format!("id = \"acme.x\"\nmodel = \"o p\"\n{line}"), "\"o p\" is not the name of a model"),
        (
            &format!("id = \"acme.x\"\nreset = \"header\"\n{line}"),
            "`reset` \"header\" is not where a reset can be read",
        ),
        (&format!("id = \"acme.x\"\nreset = \"headers\"\n{line}"), "is about an HTTP answer"),
        (&format!("id = \"acme.x\"\nreset = {{}}\n{line}"), "`reset` of [[rule]] \"acme.x\" says nothing"),
        (
            &format!("id = \"acme.x\"\nreset = {{ group = \"when\" }}\n{line}"),
            "no group of the expression is named \"when\" | write (?<when>…)",
        ),
        (
            "id = \"acme.x\"\nreset = { group = \"wen\" }\nwhen = { line = 'x (?<when>.*)' }\nkind = \"auth\"",
            "| did you mean \"when\"?",
        ),
        (&format!("id = \"acme.x\"\nreset = {{ json = \"a\" }}\n{line}"), "a line of text has none"),
        (
            &format!("id = \"acme.x\"\nreset = {{ json = \"a\", group = \"b\" }}\n{line}"),
            "has both a `json` and a `group`",
        ),
        (
            "id = \"acme.x\"\nreset = { json = \"a.\" }\nwhen = { status = 429 }\nkind = \"auth\"",
            "\"a.\" in `reset` of [[rule]] \"acme.x\" is not the path of a member",
        ),
        (
            "id = \"acme.x\"\nreset = { json = \"a\", unit = \"days\" }\nwhen = { status = 429 }\nkind = \"auth\"",
            "unknown unit \"days\"",
        ),
    ];
    for (lines, expected) in cases {
        let found = complaints(lines);
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}\nexpected {expected}\nfound {found:#?}");
    }
}

#[test]
fn ids_are_told_apart_and_there_is_an_end_to_rules() {
    let one = |number: usize| format!("[[rule]]\nid = \"acme.r{number}\"\nwhen = {{ line = 'x' }}\nkind = \"auth\"\n");
    let found = bad(&with(&format!("{}{}", one(1), one(1))));
    assert!(found.len() == 1 && found[0].what.contains("two rules with the id \"acme.r1\""), "{found:?}");
    let many: String = (0..201).map(one).collect();
    let found = bad(&with(&many));
    assert!(found.len() == 1 && found[0].what == "there are 201 rules, and at most 200 are possible", "{found:?}");
    assert_eq!(good(&with(&many.replace(&one(200), ""))).rules.len(), 200);
}

#[test]
fn the_effective_config_has_the_rules_as_they_are() {
    let text = r#"
[[rule]]
id = "acme.record"
tool = "custom"
when = { json = { "type" = "error", "error.code" = { regex = '\d+ "quota"' }, "n" = 1.5, "is" = false } }
kind = "rate_limit"
reset = { json = "error.resets_at" }

[[rule]]
id = "acme.answer"
when = { status = 429, says = 'fair\suse' }
kind = "rate_limit"
scope = "requests"
reset = "headers"

[[rule]]
id = "acme.line"
when = { line = 'gone until (?<when>.*)' }
kind = "billing"
reset = { group = "when" }
note = "a note"

[[rule]]
id = "acme.noise"
when = { line = 'noise' }
kind = "none"

[[rule]]
id = "claude-code.rate_limit_event"
off = true
"#;
    let config = good(&with(text));
    let again = good(&config.resolved());
    assert_eq!(again.rules, config.rules);
    assert_eq!(again.resolved(), config.resolved());
}
