//! Whatever labels say: nothing panics, nobody is two agents, nobody's file is another's, nothing secret is shown.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;

use super::discovery::{config, container};
use super::{Delivery, Incumbents, Target};

const CONFIG: &str =
    "[docker]\ndiscover = true\n[agent_defaults]\ntool = \"claude-code\"\ndelivery = { file = \"/srv/{name}/c\" }\n";
const AGENTS: &str = "[[agent]]\nname = \"mine\"\ntool = \"codex\"\ncontainer = \"c0\"\ndelivery = { file = \"/srv/mine\" }\n\
    [[agent]]\ntool = \"claude-code\"\ncontainer = \"w*\"\ndelivery = { file = \"/srv/{name}/c\" }\n";

/// Values that hit: names, files and subscriptions that others have, and what breaks readers.
fn value() -> impl Strategy<Value = String> {
    let known: Vec<String> = [
        "true",
        "false",
        "mine",
        "c0",
        "c1",
        "w1",
        "claude-code",
        "codex",
        "custom",
        "a",
        "b",
        "me",
        "a,me",
        "gpt",
        "",
        "/srv/mine",
        "/srv/c1/c",
        "/srv/w1/c",
        "/srv/shared",
        "/srv/../keys/a",
        "/keys/a",
        "/etc/passwd",
        "/srv/{name}",
        "/srv/{name",
        "${HOME}/x",
        "raw",
        "dotenv",
        "claude-credentials",
        "5s",
        "-1s",
        "99999999999999999999d",
        "/\0",
    ]
    .map(str::to_owned)
    .to_vec();
    prop_oneof![6 => prop::sample::select(known), 1 => "\\PC{0,12}", 1 => Just("sk-ant-CANARY-0123456789".to_owned())]
}

fn label() -> impl Strategy<Value = String> {
    let known: Vec<String> =
        ["agent", "tool", "subscriptions", "delivery.file", "delivery.format", "drain", "monitor-only", "owner", "x"]
            .map(str::to_owned)
            .to_vec();
    prop_oneof![9 => prop::sample::select(known), 1 => "[a-z.]{0,8}"]
}

proptest! {
    #[test]
    fn no_set_of_labels_breaks_what_must_hold(
        sets in prop::collection::vec(
            (0..4_usize, any::<bool>(), 0..3_i64, prop::collection::vec((label(), value()), 0..5)),
            0..6,
        ),
    ) {
        let config = config(CONFIG, AGENTS);
        let mut found = Vec::new();
        for (index, (sort, says_true, age, labels)) in sets.iter().enumerate() {
            let name = format!("{}{index}", ["c", "w", "x", "mine"][*sort]);
            let mut labels: Vec<_> = labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
            labels.push(("enable", if *says_true { "true" } else { "maybe" }));
            let mut one = container(&name, &labels);
            one.created_at = crate::domain::Wall(*age);
            one.mounts = vec!["/srv".into(), "/etc".into(), "/keys".into()];
            found.push(one);
        }
        let first = config.with_found(&found, &Incumbents::new(), &|_| Some("CANARY".to_owned()));
        let agents = &first.config.agents;
        let mut names = BTreeSet::new();
        let mut containers = BTreeSet::new();
        let mut files: BTreeSet<PathBuf> = BTreeSet::new();
        for agent in agents {
            prop_assert!(names.insert(agent.name.clone()), "two agents are called {}", agent.name);
            let Target::Container { name } = &agent.target else { panic!("no container") };
            prop_assert!(containers.insert(name.clone()), "two agents are {name}");
            if let Delivery::File(file) = &agent.delivery {
                prop_assert!(files.insert(file.path.clone()), "two agents have {}", file.path.display());
                prop_assert!(file.path.starts_with("/srv") && !file.path.display().to_string().contains(".."));
            } else {
                prop_assert!(agent.is_monitor_only);
            }
            prop_assert!(first.config.policy(&agent.name).is_some());
        }
        prop_assert_eq!(agents[0].name.as_str(), "mine");
        for problem in &first.problems {
            let shown = format!("{problem} {:?}", problem.hint);
            prop_assert!(!shown.contains("CANARY") && !shown.chars().any(char::is_control), "{}", shown);
        }
        // Told of each container that is none, and nobody else.
        for one in &found {
            let is_agent = containers.contains(&one.name);
            let is_told = first.problems.iter().any(|problem| problem.container == one.name && problem.is_left_out);
            prop_assert_eq!(is_agent, !is_told, "{}", &one.name);
        }
        // The order of a listing says nothing, and who is an agent stays it.
        found.reverse();
        let again = config.with_found(&found, &first.config.containers(), &|_| None);
        prop_assert_eq!(again.config.resolved(), first.config.resolved());
        prop_assert_eq!(again.problems, first.problems);
        let _ = first.config.resolved();
    }
}
