//! Whole configs: good ones, bad ones, mutated ones.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::domain::{Apply, CredentialRef, Format, SubscriptionName, Tool};
use crate::machine::policy::RuntimeKind;

mod deliveries;
mod discovery;
mod hostile_labels;
mod notifications;
mod probes;
mod recognised;
mod rules;
mod terms;
mod turns;

const EXAMPLE: &str = include_str!("../../config.example.toml");
const MINIMAL: &str = r#"
subscription = [{ name = "a", provider = "anthropic", credential = { env = "TOKEN_A" } }]
[[agent]]
name = "web"
tool = "claude-code"
container = "web"
delivery = { file = "/srv/web/credential" }
"#;

fn file_policy(path: &str, format: Format, apply: Apply) -> FilePolicy {
    FilePolicy { path: path.into(), format, apply }
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn good(text: &str) -> Config {
    match Config::parse("config.toml", text, &no_env) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{}", render(&problems, false)),
    }
}

fn bad(text: &str) -> Vec<Problem> {
    match Config::parse("config.toml", text, &no_env) {
        Ok((config, _)) => panic!("accepted: {}", config.resolved()),
        Err(problems) => problems,
    }
}

/// The minimal config with some lines more in front.
fn with(lines: &str) -> String {
    format!("{lines}\n{MINIMAL}").replace("\nsubscription = [{", "\n[[subscription]]\n").replace(
        "name = \"a\", provider = \"anthropic\", credential = { env = \"TOKEN_A\" } }]",
        "name = \"a\"\nprovider = \"anthropic\"\ncredential = { env = \"TOKEN_A\" }",
    )
}

#[test]
fn a_minimal_config_has_the_defaults_of_the_contract() {
    let config = good(MINIMAL);
    insta::assert_snapshot!(config.resolved());
    assert_eq!(config.agents[0].tool, Tool::ClaudeCode);
    assert_eq!(config.subscriptions[0].credential, CredentialRef::Env("TOKEN_A".into()));
    let policy = config.policy(&AgentName::new("web")).unwrap();
    assert_eq!(policy.runtime, RuntimeKind::Container);
    assert_eq!(policy.subscriptions, [SubscriptionName::new("a")]);
    assert_eq!(policy.call_timeout, config.docker.timeout);
    assert_eq!(
        (policy.turns.sessions_max, policy.turns.lease.as_secs(), policy.turns.cancel_ack.as_secs()),
        (3, 60, 10)
    );
    assert!(config.policy(&AgentName::new("nobody")).is_none());
    assert_eq!(config.subscription_policies()[0].quota.as_str(), "a");
}

#[test]
fn the_example_is_accepted_as_it_is_and_passes_a_check() {
    let (config, warnings) = Config::parse("config.example.toml", EXAMPLE, &no_env).unwrap();
    assert_eq!((warnings, config.check_files(Asked::ByCheck)), (vec![], vec![]));
    let policy = config.policy(&AgentName::new("reviewer")).unwrap();
    assert_eq!(policy.file.unwrap(), file_policy("/srv/reviewer/credential", Format::Raw, Apply::Restart));
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    // Every `# key = value` line of the sections that have defaults, switched on, changes nothing.
    let mut shown = String::new();
    for line in EXAMPLE.lines().take_while(|line| !line.starts_with("[agent_defaults]")) {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        let is_key = inner.split_once(" = ").is_some_and(|(key, _)| name::is_variable(key));
        if inner.starts_with('[') || is_key {
            shown.push_str(inner);
            shown.push('\n');
        }
    }
    assert!(shown.lines().count() > 20, "{shown}");
    let rest = MINIMAL.replace("subscription = [{ name", "[[subscription]]\nname").replace(", provider", "\nprovider");
    let rest = rest.replace(", credential", "\ncredential").replace(" } }]", " }");
    assert_eq!(good(&format!("{shown}{rest}")).resolved(), good(MINIMAL).resolved());
}

#[test]
fn the_resolved_config_reads_back_as_itself_and_holds_no_secret() {
    let text = r#"
        [[subscription]]
        name = "a"
        provider = "mine"
        credential = { command = ["pass", "show", "quoted \"a\""] }
        [[agent]]
        name = "p"
        tool = "custom"
        process = { command = ["./a.sh"], dir = "/srv/p", env = { K = "CANARY" } }
        subscriptions = ["a"]
        delivery = { env = "TOKEN" }
        [[notify]]
        webhook = "https://example.org/hook/CANARY"
        events = ["banned", "engine", "switch"]
    "#;
    let config = good(text);
    let NotifyTarget::Webhook { address, .. } = &config.notify[0].target else { panic!("{:?}", config.notify) };
    assert!(address.url().ends_with("/CANARY"));
    let resolved = config.resolved();
    assert!(!resolved.contains("CANARY") && !format!("{config:?}").contains("CANARY"), "{resolved}");
    assert_eq!(good(&resolved).resolved(), resolved);
}

#[test]
fn many_problems_are_reported_at_once() {
    let text = include_str!("tests/bad.toml");
    let problems = bad(text);
    let plain = render(&problems, false);
    assert!(!plain.contains("CANARY"), "{plain}");
    insta::assert_snapshot!("bad_plain", plain);
    let fancy = render(&problems, true);
    assert!(!fancy.contains("CANARY"), "{fancy}");
    assert!(fancy.contains("did you mean `cooldown`?") && fancy.contains("config.toml:"), "{fancy}");
    let json = serde_json::to_value(&problems[0]).unwrap();
    assert_eq!(json["severity"], "error");
    assert_eq!(json["line"], 2);
    assert!(json.get("span").is_none());
}

#[test]
fn every_check_has_a_case() {
    let cases: &[(&str, &str)] = &[
        // What stands in front of a minimal config; what the first problem says and hints.
        ("stat_dir = \"/x\"", "unknown key `stat_dir` in the top level | did you mean `state_dir`?"),
        ("cooldown = \"2h\"", "unknown key `cooldown` in the top level | `cooldown` belongs into [switching]"),
        ("state_dir = \"var\"", "`state_dir` is not an absolute path | begin it with a slash"),
        ("state_dir = \"${NOPE}/x\"", "`state_dir` refers to the variable NOPE, which is not set"),
        ("state_dir = 7", "`state_dir` in the top level is a whole number, a string is expected"),
        ("[api]\nlisten = \"127.0.0.1:1\"", "unknown key `listen` in [api] | not in this version"),
        ("[api]\nsocket_mode = \"0999\"", "`socket_mode` is not a file mode"),
        ("[api]\nsocket_mode = \"0060\"", "`socket_mode` keeps the owner out"),
        ("[api]\nsocket = \"/run/\"", "`socket` names a directory"),
        ("[log]\nformat = \"jsn\"", "unknown log format \"jsn\" | did you mean \"json\"?"),
        ("[log]\nfilter = \"a=b=c\"", "`filter` is not a log filter"),
        ("[history]\nkeep = \"1h\"", "`keep` in [history] is \"1h\", out of its bounds"),
        ("[history]\nsize_max = \"1\"", "`size_max` in [history] \"1\" has no unit"),
        (
            "[docker]\nhost = \"/run/docker.sock\"",
            "`host` in [docker] is not an address of an engine | write \"unix://",
        ),
        ("[docker]\nhost = \"ssh://me@host\"", "`host` in [docker] is not an address of an engine | ssh and TLS"),
        ("[docker]\ntimeout = 30", "`timeout` in [docker] is a whole number, a string is expected"),
        ("[docker]\ndiscover = \"yes\"", "`discover` in [docker] is a string, true or false is expected"),
        ("[docker]\ndiscover = { below = \"/srv\" }", "unknown key `below` in `discover` of [docker]"),
        ("[docker]\ndiscover = { delivery_below = [\"srv\"] }", "`delivery_below` is not an absolute path"),
        ("[docker]\ndiscover = { delivery_below = [\"/srv/../etc\"] }", "`delivery_below` goes up with `..`"),
        ("[switching]\nenabled = \"yes\"", "`enabled` in [switching] is a string, true or false is expected"),
        ("[switching]\nstrategy = \"headrom\"", "unknown strategy \"headrom\" | did you mean \"headroom\"?"),
        ("[switching]\nstrategy = \"fastest\"", "unknown strategy \"fastest\" | one of least_assigned"),
        ("[switching]\nramp = \"2h\"", "`ramp` in [switching] is \"2h\", out of its bounds"),
        ("[switching]\nsplay = 5", "`splay` in [switching] is a whole number, a string is expected"),
        ("[switching]\nreading_max_age = \"1s\"", "`reading_max_age` in [switching] is \"1s\", out of its bounds"),
        ("[switching]\nproactive = true", "`proactive` in [switching] is true or false, a table is expected | write"),
        ("[switching]\nproactive = { better_by = 0 }", "`better_by` in `proactive` of [switching] is 0, out of its"),
        ("[switching]\nproactive = { dwell = \"8d\" }", "`dwell` in `proactive` of [switching] is \"8d\", out of its"),
        (
            "[switching]\nreading_max_age = \"1h\"\nproactive = { reading_max_age = \"30m\" }",
            "`reading_max_age` stands in [switching] and in `proactive` | keep the one in [switching]",
        ),
        ("[switching]\nfailback = \"idl\"", "unknown failback \"idl\" | did you mean \"idle\"?"),
        ("[switching]\nmetered = { switches = 0 }", "`switches` in `metered` of [switching] is 0, out of its bounds"),
        ("[switching]\nmetered = { per = \"8d\" }", "`per` in `metered` of [switching] is \"8d\", out of its bounds"),
        ("[switching]\nmetered = true", "`metered` in [switching] is true or false, a table is expected | write"),
        ("ramp = \"5s\"", "unknown key `ramp` in the top level | `ramp` belongs into [switching]"),
        (
            "[switching]\nbetter_by = 15",
            "unknown key `better_by` in [switching] | `better_by` belongs into `proactive`",
        ),
        (
            "[switching]\npriority = 1",
            "unknown key `priority` in [switching] | `priority` belongs into [[subscription]]",
        ),
        ("[switching]\ncooldown = \"-2h\"", "`cooldown` in [switching] \"-2h\" is negative"),
        ("[switching]\ncooldown = \"0s\"", "`cooldown` in [switching] is \"0s\", out of its bounds"),
        ("[switching]\ncooldown = \"2 h\"", "`cooldown` in [switching] \"2 h\" has the unknown unit"),
        ("[switching]\ncooldown = \"30h\"", "`cooldown` is 1d6h, longer than `cooldown_max.other`, which is 1d"),
        ("[switching]\nwait_out = \"6h\"", "`wait_out` is 6h, not shorter than `cooldown_max.five_hour`"),
        ("[switching]\ncooldown_max = { weekly = \"2h\" }", "`cooldown_max.weekly` is 2h, shorter than"),
        ("[switching]\ncooldown_max = { wekly = \"2h\" }", "unknown key `wekly` in `cooldown_max` of [switching]"),
        ("[switching]\nbudget = { switches = 0 }", "`switches` in `budget` of [switching] is 0, out of its bounds"),
        ("[switching]\nbudget = 6", "`budget` in [switching] is a whole number, a table is expected"),
        ("[switching]\nsettle = \"2h\"", "`settle` in [switching] is \"2h\", out of its bounds"),
        (
            "[switching]\nrestarts_in_parallel = 1.5",
            "`restarts_in_parallel` in [switching] is a number with a fraction",
        ),
        ("[agent_defaults]\ncontainer = \"x\"", "`container` in [agent_defaults] would be the same for every agent"),
        ("[agent_defaults]\ndrain = \"25h\"", "`drain` in [agent_defaults] is \"25h\", out of its bounds"),
        ("[agent_defaults]\nmodels = [\"o pus\"]", "\"o pus\" is not the name of a model | as the tool names it"),
        (
            "[agent_defaults]\nmodels = \"opus\"",
            "`models` in [agent_defaults] is a string, a list of strings is expected",
        ),
        ("[notify]\nwebhook = \"https://x\"", "`notify` is one table, a list of tables is expected"),
        ("[[notify]]\nwebhook = \"ftp://x\"", "`webhook` is not an http or https address"),
        (
            "[[notify]]\nwebhook = \"https://x\"\nevents = [\"swich\"]",
            "unknown event \"swich\" | did you mean \"switch\"?",
        ),
        ("[[subscription]]\nprovider = \"x\"", "[[subscription]] has no `name`"),
        ("a = 1\na = 2", "unknown key `a` in the top level"),
    ];
    for (lines, expected) in cases {
        let problems = bad(&with(lines));
        let first = &problems[0];
        let said = format!("{} | {}", first.what, first.hint.as_deref().unwrap_or_default());
        assert!(said.starts_with(expected) || said.contains(expected), "{lines}\n  said {said}");
        assert!(first.line.is_some() && first.text.is_some(), "{lines}");
    }
}

/// A config with one subscription `a` of Anthropic's, one `o` of `OpenAI`'s and the given agents.
fn with_agents(agents: &str) -> String {
    format!(
        "[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredential = {{ env = \"A\" }}\n\
         [[subscription]]\nname = \"o\"\nprovider = \"openai\"\ncredential = {{ env = \"O\" }}\n{agents}"
    )
}

#[test]
fn every_check_of_an_agent_has_a_case() {
    let web = "[[agent]]\nname = \"web\"\ntool = \"claude-code\"\ncontainer = \"web\"\ndelivery = { file = \"/w\" }\n";
    let cases: Vec<(String, &str)> = vec![
        (format!("{web}{web}"), "agent \"web\" is already defined in line 10"),
        (
            format!("{web}{}", web.replace("name = \"web\"", "name = \"b\"")),
            "container \"web\" already belongs to the agent in line 12",
        ),
        (
            format!("{web}{}", web.replace("\"web\"", "\"b\"").replace("/w", "/./w")),
            "[[agent]] \"b\" is delivered to /w, as the agent in line 13 already is",
        ),
        (web.replace("web\"\ntool", "a/b\"\ntool"), "`name` \"a/b\" is not a usable name"),
        (web.replace("claude-code", "claude"), "unknown tool \"claude\""),
        (web.replace("tool = \"claude-code\"\n", ""), "[[agent]] \"web\" has no `tool`"),
        (web.replace("container = \"web\"\n", ""), "[[agent]] \"web\" has no `container` or `process`"),
        (
            web.replace("container = \"web\"", "container = \"web-*\""),
            "`name` would be the same for every container that the pattern matches",
        ),
        (
            web.replace("container = \"web\"", "container = \"/web\""),
            "`container` \"/web\" is not the name of a container",
        ),
        (format!("{web}process = {{ command = [\"x\"] }}"), "[[agent]] \"web\" has both a `container` and a `process`"),
        (web.replace("delivery = { file = \"/w\" }", ""), "[[agent]] \"web\" has no `delivery`"),
        (web.replace("file = \"/w\"", "env = \"T\""), "`delivery.env` is for process agents only"),
        (web.replace("file = \"/w\"", "file = \"w\""), "`delivery.file` is not an absolute path"),
        (web.replace("file = \"/w\"", "file = \"/{nam}\""), "`delivery.file` has the unknown placeholder {nam}"),
        (web.replace("file = \"/w\"", ""), "`delivery` names no place"),
        (format!("{web}subscriptions = []"), "[[agent]] \"web\" has no subscription: its list is empty"),
        (format!("{web}subscriptions = [\"b\"]"), "[[agent]] \"web\" names the unknown subscription \"b\""),
        (format!("{web}subscriptions = [\"a\", \"a\"]"), "names the subscription \"a\" twice"),
        (
            format!("{web}subscriptions = [\"a\", \"o\"]"),
            "subscription \"o\" is of provider \"openai\", which claude-code cannot use",
        ),
        (
            web.replace("claude-code", "gemini-cli"),
            "[[agent]] \"web\" has no subscription: none is of provider \"google\"",
        ),
        (
            web.replace("claude-code", "aider"),
            "[[agent]] \"web\" has no `subscriptions`, and aider has no provider of its own",
        ),
        (format!("{web}stop_grace = \"2h\""), "`stop_grace` in [[agent]] \"web\" is \"2h\", out of its bounds"),
        (format!("{web}text = \"of\""), "unknown text \"of\""),
        (
            format!("text = \"off\"\n{web}"),
            "unknown key `text` in [[subscription]] \"o\" | `text` belongs into [[agent]]",
        ),
        (web.replace("container = \"web\"", "process = { command = [] }"), "`process.command` has no program"),
        (
            web.replace("container = \"web\"", "process = { command = [\"x\"], dir = \"y\" }"),
            "`process.dir` is not an absolute path",
        ),
        (
            web.replace("container = \"web\"", "process = { command = [\"x\"], env = { \"a b\" = \"c\" } }"),
            "`process.env` has `a b`, which cannot be a variable",
        ),
        (
            web.replace("container = \"web\"", "process = { command = [\"x\"], env = { T = \"c\" } }")
                .replace("file = \"/w\"", "env = \"T\""),
            "the variable T is both delivered and set in `process.env`",
        ),
    ];
    for (agents, expected) in cases {
        let problems = bad(&with_agents(&agents));
        assert!(
            problems.iter().any(|problem| problem.what.contains(expected)),
            "{agents}\n{}",
            render(&problems, false)
        );
    }
}

#[test]
fn every_check_of_a_subscription_has_a_case() {
    let agent = "[[agent]]\nname = \"w\"\ntool = \"custom\"\ncontainer = \"w\"\ndelivery = { file = \"/w\" }\nsubscriptions = [\"s\"]\n";
    let subscription =
        "[[subscription]]\nname = \"s\"\nprovider = \"mine\"\ntype = \"api-key\"\ncredential = { env = \"A\" }\n";
    let cases: Vec<(String, &str)> = vec![
        (format!("{subscription}{subscription}"), "subscription \"s\" is already defined in line 2"),
        (subscription.replace("provider = \"mine\"\n", ""), "[[subscription]] \"s\" has no `provider`"),
        (subscription.replace("api-key", "login"), "[[subscription]] \"s\" is a login, and its credential is no file"),
        (subscription.replace("api-key", "token"), "unknown subscription type \"token\""),
        (subscription.replace("credential = { env = \"A\" }\n", ""), "[[subscription]] \"s\" has no `credential`"),
        (
            subscription.replace("{ env = \"A\" }", "\"CANARY\""),
            "`credential` in [[subscription]] \"s\" is a string, a table is expected",
        ),
        (
            subscription.replace("env = \"A\"", "token = \"CANARY\""),
            "unknown key `token` in `credential` of [[subscription]] \"s\"",
        ),
        (subscription.replace("env = \"A\"", "env = \"sk-ant-CANARY-1234\""), "`credential.env` is not a name"),
        (subscription.replace("env = \"A\"", "systemd = \"CAN/ARY CANARY\""), "`credential.systemd` is not a name"),
        (subscription.replace("env = \"A\"", "file = \"CANARY\""), "`credential.file` is not an absolute path"),
        (subscription.replace("env = \"A\"", "command = []"), "`credential.command` has no program"),
        (
            subscription.replace("env = \"A\"", "env = \"A\", systemd = \"a\""),
            "`credential` has more than one reference",
        ),
        (subscription.replace("env = \"A\"", ""), "`credential` refers to nothing"),
        (format!("{subscription}agents_max = 0"), "`agents_max` in [[subscription]] \"s\" is 0, out of its bounds"),
        (format!("{subscription}priority = 1001"), "`priority` in [[subscription]] \"s\" is 1001, out of its bounds"),
        (format!("{subscription}metered = 1"), "`metered` in [[subscription]] \"s\" is a whole number"),
        (format!("{subscription}reserve = \"yes\""), "`reserve` in [[subscription]] \"s\" is a string"),
        (
            format!("{subscription}max_utilization = 90"),
            "`max_utilization` in [[subscription]] \"s\" is a whole number",
        ),
        (
            format!("{subscription}max_utilization = {{ weekly = 0 }}"),
            "`weekly` in `max_utilization` of [[subscription]] \"s\" is 0, out of its bounds",
        ),
        (
            format!("{subscription}max_utilization = {{ five_hours = 90 }}"),
            "unknown key `five_hours` in `max_utilization` of [[subscription]] \"s\"",
        ),
        (format!("{subscription}models = [\"o pus\"]"), "\"o pus\" is not the name of a model"),
        (format!("{subscription}models = [7]"), "`models` in [[subscription]] \"s\" is a whole number"),
        (format!("{subscription}note = \"CANARY\""), "unknown key `note` in [[subscription]] \"s\""),
    ];
    for (subscriptions, expected) in cases {
        let problems = bad(&format!("{subscriptions}\n{agent}"));
        let shown = format!("{}{}{problems:?}", render(&problems, false), render(&problems, true));
        assert!(problems.iter().any(|problem| problem.what.contains(expected)), "{subscriptions}\n{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

#[test]
fn errors_of_syntax_are_reported_with_their_place_and_without_secrets() {
    let problems = bad("[[subscription]]\nname = \"a\"\ncredential = CANARY-1\n");
    assert_eq!((problems[0].line, problems[0].column), (Some(3), Some(14)));
    let shown = format!("{}{}{problems:?}", render(&problems, false), render(&problems, true));
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(!bad("x = [").is_empty());
}

#[test]
fn a_config_without_agents_is_accepted_with_a_warning() {
    let (_, warnings) = Config::parse("c", "", &no_env).unwrap();
    assert_eq!(warnings[0].severity, Severity::Warning);
    assert_eq!(render(&warnings, false).lines().last(), Some("1 warning"));
}

#[test]
fn an_engine_is_taken_from_the_environment_unless_the_config_names_one() {
    let env = |key: &str| (key == "DOCKER_HOST").then(|| "tcp://127.0.0.1:2375".to_owned());
    let host = |text: &str| Config::parse("c", text, &env).unwrap().0.docker.host;
    assert_eq!(host(""), "tcp://127.0.0.1:2375");
    assert_eq!(host("[docker]\nhost = \"unix:///run/podman.sock\""), "unix:///run/podman.sock");
    assert_eq!(good("").docker.host, "unix:///var/run/docker.sock");
}

#[test]
fn an_agent_overrides_the_defaults() {
    let text = with_agents(
        "[agent_defaults]\ntool = \"claude-code\"\ndrain = \"5s\"\ndelivery = { file = \"/srv/{name}/c\", format = \"dotenv\" }\n\
         [[agent]]\nname = \"x\"\ncontainer = \"x\"\ndrain = \"7s\"\n\
         [[agent]]\nname = \"y\"\ncontainer = \"y\"\ndelivery = { file = \"/y\" }\n",
    );
    let config = good(&text);
    let shown: Vec<_> = config.agents.iter().map(|agent| (agent.drain.as_secs(), agent.delivery.clone())).collect();
    let file = |path: &str, format| {
        Delivery::File(FileDelivery { path: path.into(), format, owner: None, mode: 0o600, apply: Apply::Restart })
    };
    // A delivery of its own takes nothing from the defaults.
    assert_eq!(shown, [(7, file("/srv/x/c", Format::Dotenv)), (5, file("/y", Format::Raw))]);
}

#[test]
fn text_is_believed_as_the_agent_says_else_as_all_agents_do_else_with_a_second_sign() {
    use crate::machine::policy::TextPolicy::{Corroborated, Off, Trusted};
    let agent = |name: &str, more: &str| {
        format!(
            "[[agent]]\nname = \"{name}\"\ncontainer = \"{name}\"\ntool = \"codex\"\ndelivery = {{ file = \"/{name}\" }}\n{more}\n"
        )
    };
    let agents =
        format!("{}{}{}", agent("x", ""), agent("y", "text = \"trusted\""), agent("z", "text = \"corroborated\""));
    let texts = |defaults: &str| {
        let config = good(&with_agents(&format!("{defaults}{agents}")));
        ["x", "y", "z"].map(|name| {
            let found = config.agents.iter().find(|agent| agent.name.as_str() == name).unwrap();
            assert_eq!(config.policy(&found.name).unwrap().text, found.text);
            found.text
        })
    };
    assert_eq!(texts(""), [Corroborated, Trusted, Corroborated]);
    assert_eq!(texts("[agent_defaults]\ntext = \"off\"\n"), [Off, Trusted, Corroborated]);
}

#[test]
fn a_file_that_others_may_read_is_an_error_for_all_and_a_missing_one_only_for_check() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let write = |name: &str, content: &str, mode: u32| {
        std::fs::write(place(name), content).unwrap();
        std::fs::set_permissions(place(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("good", "CANARY\n", 0o600);
    write("exposed", "CANARY", 0o644);
    write("empty", "\n", 0o600);
    write("binary", "CANARY\u{1}", 0o400);
    std::os::unix::fs::symlink(place("good"), place("link")).unwrap();
    let env = |key: &str| (key == "DIR").then(|| dir.path().display().to_string());
    let mut text = String::new();
    for name in ["good", "link", "exposed", "missing", "empty", "binary", "."] {
        let subscription = name.replace('.', "dir");
        let _ = write!(
            text,
            "[[subscription]]\nname = \"{subscription}\"\nprovider = \"x\"\ncredential = {{ file = \"${{DIR}}/{name}\" }}\n"
        );
    }
    let (config, _) = Config::parse("c", &text, &env).unwrap();
    let seen = |asked: Asked| -> Vec<_> {
        let problems = config.check_files(asked);
        let shown = render(&problems, false);
        assert!(!shown.contains("CANARY"), "{shown}");
        problems
            .into_iter()
            .map(|p| (p.severity, p.line.unwrap(), p.what.rsplit_once(": ").unwrap().1.to_owned()))
            .collect()
    };
    let words = [
        (12, "others may open it (mode 0644)"),
        (16, "No such file or directory (os error 2)"),
        (20, "it is empty"),
        (24, "it contains a control character"),
        (28, "it is not a file"),
    ];
    let expected = |severities: [Severity; 5]| -> Vec<_> {
        severities.into_iter().zip(words).map(|(severity, (line, why))| (severity, line, why.to_owned())).collect()
    };
    assert_eq!(seen(Asked::ByCheck), expected([Severity::Error; 5]));
    assert_eq!(seen(Asked::ByDaemon), {
        let mut severities = [Severity::Warning; 5];
        severities[0] = Severity::Error;
        expected(severities)
    });
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_without_a_place() {
    let problems = Config::load(Path::new("/nonexistent/config.toml"), &no_env).unwrap_err();
    assert!(
        render(&problems, false).starts_with("/nonexistent/config.toml: error: cannot read the config: No such file")
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
    assert!(Config::load(&path, &no_env).unwrap_err()[0].what.ends_with("line 2 cannot be read"));
}

proptest! {
    #[test]
    fn mutated_configs_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "\\PC{0,6}"), 1..6),
        is_bad in any::<bool>(),
    ) {
        let mut text: Vec<char> = if is_bad { include_str!("tests/bad.toml") } else { EXAMPLE }.chars().collect();
        for (at, cut, insert) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let problems = match Config::parse("c", &text, &no_env) {
            Ok((config, warnings)) => { let _ = config.resolved(); warnings }
            Err(problems) => problems,
        };
        let _ = (render(&problems, false), render(&problems, true));
    }
}
