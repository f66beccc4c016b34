//! What can be said of turns, of the sockets that agents have of their own, and who is told of turns.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::{EXAMPLE, bad, good};
use crate::config::{Problem, Turns, render};
use crate::domain::{AgentName, Fence, NotifyEvent};
use crate::machine::policy::TurnPolicy;

/// These lines, and an agent `w` with these of its own.
fn with_agent(lines: &str, own: &str) -> String {
    format!(
        "{lines}\n[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredential = {{ env = \"A\" }}\n\
         [[agent]]\nname = \"w\"\ntool = \"claude-code\"\ncontainer = \"w\"\ndelivery = {{ file = \"/w\" }}\n{own}\n"
    )
}

/// An agent with these members of `turns`.
fn with_turns(members: &str) -> String {
    with_agent("", &format!("turns = {{ {members} }}"))
}

fn policy(text: &str) -> TurnPolicy {
    good(text).policy(&AgentName::new("w")).unwrap().turns
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| format!("{} | {}", problem.what, problem.hint.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn every_check_of_turns_has_a_case() {
    let of_w = "in `turns` of [[agent]] \"w\"";
    let cases = [
        (
            with_agent("", "turns = 3"),
            "`turns` in [[agent]] \"w\" is a whole number, a table is expected | write turns = {".to_owned(),
        ),
        (with_turns("session_max = 3"), format!("unknown key `session_max` {of_w} | did you mean `sessions_max`?")),
        (with_turns("leese = \"60s\""), format!("unknown key `leese` {of_w} | did you mean `lease`?")),
        (with_turns("drain = \"60s\""), format!("unknown key `drain` {of_w} | `drain` belongs into [[agent]]")),
        (
            with_agent("", "lease = \"60s\""),
            "unknown key `lease` in [[agent]] \"w\" | `lease` belongs into `turns`".to_owned(),
        ),
        (
            with_turns("sessions_max = 0"),
            format!("`sessions_max` {of_w} is 0, out of its bounds | choose a number from 1 to 1000"),
        ),
        (with_turns("sessions_max = 1001"), format!("`sessions_max` {of_w} is 1001, out of its bounds")),
        (with_turns("sessions_max = \"3\""), format!("`sessions_max` {of_w} is a string, a whole number is expected")),
        (
            with_turns("lease = \"0s\""),
            format!("`lease` {of_w} is \"0s\", out of its bounds | choose a duration from 1s to 1h"),
        ),
        (with_turns("lease = \"999ms\""), format!("`lease` {of_w} is \"999ms\", out of its bounds")),
        (with_turns("lease = \"61m\""), format!("`lease` {of_w} is \"61m\", out of its bounds")),
        (with_turns("lease = \"-1s\""), format!("`lease` {of_w} \"-1s\" is negative")),
        (with_turns("lease = 60"), format!("`lease` {of_w} is a whole number, a string is expected")),
        (
            with_turns("cancel_ack = \"0s\""),
            format!("`cancel_ack` {of_w} is \"0s\", out of its bounds | choose a duration from 1s to 1h"),
        ),
        (with_turns("cancel_ack = \"2h\""), format!("`cancel_ack` {of_w} is \"2h\", out of its bounds")),
        (with_turns("fence = \"restrat\""), "unknown fence \"restrat\" | did you mean \"restart\"?".to_owned()),
        (
            with_turns("fence = \"kill\""),
            "unknown fence \"kill\" | one of \"restart\", \"none\" or { exec =".to_owned(),
        ),
        (
            with_turns("fence = true"),
            format!("`fence` {of_w} is true or false, a string is expected | write fence = \"restart\""),
        ),
        (with_turns("fence = {}"), "`fence` says nothing | write fence = \"restart\"".to_owned()),
        (
            with_turns("fence = { exce = [\"x\"] }"),
            format!("unknown key `exce` in `fence` of {} | did you mean `exec`?", &of_w[3..]),
        ),
        (
            with_turns("fence = { exec = \"x\" }"),
            format!("`exec` in `fence` of {} is a string, a list of strings", &of_w[3..]),
        ),
        (with_turns("fence = { exec = [] }"), "`fence.exec` has no program | write [".to_owned()),
        (with_turns("fence = { exec = [\"\", \"{turn}\"] }"), "`fence.exec` has no program".to_owned()),
        (with_turns("fence = { exec = [\"x\", \"a\\u0000b\"] }"), "`fence.exec` contains a NUL character".to_owned()),
        (with_turns("fence = { exec = [\"{agent}\"] }"), "`fence.exec` has {agent} in its program".to_owned()),
        (
            with_turns("fence = { exec = [\"x\", \"{sesion}\"] }"),
            "`fence.exec` has the unknown placeholder {sesion} | an argument can be {session}, {turn} or {agent}"
                .to_owned(),
        ),
        (with_turns("fence = { exec = [\"x\", \"{}\"] }"), "`fence.exec` has the unknown placeholder {}".to_owned()),
        (
            with_turns("fence = { exec = [\"sh\", \"-c\", \"kill ${PID}\"] }"),
            "the unknown placeholder {PID}".to_owned(),
        ),
        (
            with_turns("fence = { exec = [\"x\", \"--session={session}\"] }"),
            "`fence.exec` has {session} as a part of an argument, where it is not replaced | make it an argument"
                .to_owned(),
        ),
        (
            with_agent("[agent_defaults]\nturns = { lease = \"2h\" }", ""),
            "`lease` in `turns` of [agent_defaults] is \"2h\", out of its bounds".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        let problems = bad(&text);
        assert!(
            said(&problems).iter().any(|said| said.contains(&expected)),
            "{text}\n{expected}\n{}",
            render(&problems, false)
        );
        assert!(problems.iter().all(|problem| problem.line.is_some()), "{problems:?}");
    }
}

#[test]
fn every_wrong_part_of_a_fence_is_named_where_it_stands() {
    let text = with_turns("fence = { exec = [\"{x}\", \"{y}\", \"{session}\", \"z{turn}\"] }");
    let problems = bad(&text);
    let marked: Vec<_> = problems.iter().map(|problem| &text[problem.span.clone().unwrap()]).collect();
    assert_eq!(marked, ["\"{x}\"", "\"{y}\"", "\"z{turn}\""]);
}

#[test]
fn turns_are_read_with_all_their_members_and_shown_as_they_are() {
    assert_eq!(policy(&with_agent("", "")), TurnPolicy::default());
    assert_eq!(policy(&with_turns("")), TurnPolicy::default());
    let exec = |argv: &[&str]| Fence::Exec(argv.iter().map(|part| (*part).to_owned()).collect());
    for (fence, expected) in [
        ("\"restart\"", Fence::Restart),
        ("\"none\"", Fence::None),
        ("{ exec = [\"/end session\"] }", exec(&["/end session"])),
        (
            "{ exec = [\"end\", \"{agent}\", \"{session}\", \"{turn}\", \"-{\", \"}\", \"\"] }",
            exec(&["end", "{agent}", "{session}", "{turn}", "-{", "}", ""]),
        ),
    ] {
        let text = with_turns(&format!("sessions_max = 1000, lease = \"1s\", cancel_ack = \"1h\", fence = {fence}"));
        let turns = policy(&text);
        assert_eq!((turns.sessions_max, turns.lease.as_secs(), turns.cancel_ack.as_secs()), (1_000, 1, 3_600));
        assert_eq!(turns.fence, expected);
        let resolved = good(&text).resolved();
        let line = format!("turns = {{ sessions_max = 1000, lease = \"1s\", cancel_ack = \"1h\", fence = {fence} }}\n");
        assert!(resolved.contains(&line), "{resolved}");
        assert_eq!(policy(&resolved), turns);
    }
}

#[test]
fn an_agent_takes_from_the_defaults_what_its_own_turns_do_not_say() {
    let defaults = "[agent_defaults]\nturns = { sessions_max = 7, lease = \"5m\", fence = \"none\" }";
    let turns = |own: &str| good(&with_agent(defaults, own)).agents[0].turns.clone();
    let all = Turns {
        sessions_max: 7,
        lease: Duration::from_secs(300),
        cancel_ack: Turns::default().cancel_ack,
        fence: Fence::None,
    };
    assert_eq!(turns(""), all);
    assert_eq!(turns("turns = {}"), all);
    assert_eq!(turns("turns = { sessions_max = 1 }"), Turns { sessions_max: 1, ..all.clone() });
    assert_eq!(turns("turns = { fence = \"restart\" }"), Turns { fence: Fence::Restart, ..all });
}

#[test]
fn turns_are_told_only_where_somebody_asks_for_it() {
    let notify = |events: &str| format!("[[notify]]\nwebhook = \"https://example.org/hook\"\n{events}");
    let twice = format!("{}\n{}", notify(""), notify("events = [\"turn_begun\"]").replace("/hook", "/other"));
    for (notify, expected) in [
        (String::new(), false),
        (notify(""), false),
        (notify("events = [\"fenced\", \"switch\"]"), false),
        (notify("events = [\"turn_begun\"]"), true),
        (twice, true),
    ] {
        assert_eq!(policy(&with_agent(&notify, "")).are_told, expected, "{notify}");
    }
    let told = good(&with_agent(&notify(""), "")).notify.remove(0);
    let left_out: Vec<_> = NotifyEvent::ALL.iter().filter(|topic| !told.events.contains(topic)).collect();
    assert_eq!(left_out, [&NotifyEvent::TurnBegun]);
    assert!(told.wants(NotifyEvent::Fenced) && !told.wants(NotifyEvent::TurnBegun));
}

#[test]
fn an_agent_has_a_socket_of_its_own_only_where_the_config_says_so() {
    let place = |api: &str| {
        let config = good(&with_agent(api, ""));
        assert_eq!(good(&config.resolved()).api, config.api);
        config.api.agent_socket(&AgentName::new("w")).map(|path| path.display().to_string())
    };
    assert_eq!(place(""), None);
    assert_eq!(place("[api]\nagent_sockets = false"), None);
    assert_eq!(place("[api]\nagent_sockets = true").unwrap(), "/run/switchman/agents/w/report.sock");
    assert_eq!(place("[api]\nagent_sockets = true\nsocket = \"/s\"").unwrap(), "/agents/w/report.sock");
}

#[test]
fn sockets_of_agents_that_could_not_be_bound_are_found() {
    // `/…/agents/w/report.sock` has 21 bytes more than its folder.
    let api = |folder: usize, more: &str| format!("[api]\nsocket = \"/{}/s\"\n{more}", "x".repeat(folder - 1));
    assert_eq!(good(&with_agent(&api(107 - 21, "agent_sockets = true"), "")).agents.len(), 1);
    let text = with_agent(&api(108 - 21, "agent_sockets = true"), "");
    let problems = bad(&text);
    let expected =
        "the socket of agent \"w\" would have a path of 108 bytes, and a socket's path has at most 107 | choose";
    assert!(said(&problems)[0].starts_with(expected), "{problems:?}");
    assert_eq!(&text[problems[0].span.clone().unwrap()], "\"w\"");
    // Nobody minds where agents have none.
    assert_eq!(good(&with_agent(&api(108 - 21, ""), "")).agents.len(), 1);

    let problems = bad(&with_agent("[api]\nagent_sockets = 1", ""));
    assert!(said(&problems)[0].starts_with("`agent_sockets` in [api] is a whole number, true or false is expected"));
    let in_the_way = "[api]\nsocket = \"/run/switchman/agents\"\nagent_sockets = true";
    assert!(
        said(&bad(&with_agent(in_the_way, "")))[0].starts_with("`agent_sockets` needs a folder where `socket` stands")
    );
    assert_eq!(good(&with_agent(&in_the_way.replace("true", "false"), "")).agents.len(), 1);
    let misspelt = said(&bad(&with_agent("[api]\nagent_socket = true", "")));
    assert_eq!(misspelt[0], "unknown key `agent_socket` in [api] | did you mean `agent_sockets`?");
}

#[test]
fn no_two_agents_share_a_socket() {
    let names = ["a", "A", "a.b", "a-b", "a_b", "agents", "report.sock", &"x".repeat(63)];
    let mut agents = String::new();
    for name in names {
        let _ = write!(
            agents,
            "[[agent]]\nname = \"{name}\"\ntool = \"claude-code\"\ncontainer = \"c{name}\"\n\
             delivery = {{ file = \"/{name}/c\" }}\n"
        );
    }
    let text = with_agent("[api]\nagent_sockets = true", &agents);
    let config = good(&text);
    let places: BTreeSet<_> = config.agents.iter().map(|agent| config.api.agent_socket(&agent.name).unwrap()).collect();
    assert_eq!(places.len(), names.len() + 1);
    assert!(!places.contains(&config.api.socket));
}

#[test]
fn the_example_shows_the_defaults_of_turns_and_a_fence_that_is_accepted() {
    let line = EXAMPLE.lines().find_map(|line| line.strip_prefix("# turns = ")).unwrap();
    assert_eq!(policy(&with_agent("", &format!("turns = {line}"))), TurnPolicy::default());
    let fence = EXAMPLE.split_once("{ exec = [\"end-session\"").unwrap().1.split_once('}').unwrap().0;
    let fence = format!("fence = {{ exec = [\"end-session\"{fence}}}\"] }}");
    assert_eq!(policy(&with_turns(&fence)).fence, Fence::Exec(vec!["end-session".into(), "{session}".into()]));
}
