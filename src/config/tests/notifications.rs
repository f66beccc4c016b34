//! What can be said of whom to tell.

use super::{bad, good};
use crate::config::{NotifyTarget, render};
use crate::domain::{Content, CredentialRef, NotifyEvent, Severity};

#[test]
fn every_check_of_notifications_has_a_case() {
    let hook = "webhook = \"https://h/CANARY\"";
    let cases = [
        (String::new(), "[[notify]] has no `webhook` | add webhook = \"https://example.org/hook\", or ntfy"),
        (format!("{hook}\nntfy = \"https://h/CANARY\""), "more than one of `webhook`, `ntfy` and `command` | keep one"),
        (format!("{hook}\ncommand = [\"tell\"]"), "more than one of `webhook`, `ntfy` and `command`"),
        ("command = []".to_owned(), "`command` has no program"),
        ("command = \"tell CANARY\"".to_owned(), "`command` in [[notify]] is a string, a list of strings is expected"),
        ("ntfy = \"h/CANARY\"".to_owned(), "`ntfy` is not an http or https address | write ntfy = "),
        (
            "ntfy = \"https://u:CANARY@h/t\"".to_owned(),
            "`ntfy` has a user name or password in it | write token = { file = ",
        ),
        (
            "webhook = \"https://u:CANARY@h/t\"".to_owned(),
            "`webhook` has a user name or password in it | use a webhook",
        ),
        ("ntfy = \"https://h/t\"\ntoken = \"tk_CANARY\"".to_owned(), "`token` in [[notify]] is a string, a table"),
        ("ntfy = \"https://h/t\"\ntoken = {}".to_owned(), "`token` refers to nothing | write token = { file ="),
        ("ntfy = \"https://h/t\"\ntoken = { command = [\"x\"] }".to_owned(), "`token` is not asked of a command"),
        ("ntfy = \"https://h/t\"\ntoken = { env = \"tk CANARY\" }".to_owned(), "`token.env` is not a name"),
        (format!("{hook}\ntoken = {{ file = \"/t\" }}"), "`token` belongs to `ntfy` | remove it"),
        ("command = [\"x\"]\ntemplate = \"x\"".to_owned(), "`template` belongs to `webhook` | remove it"),
        (
            format!("{hook}\ntemplate = \"{{agnet}}\""),
            "`template` has the placeholder {agnet}, which nothing is filled into | there are {id}, {event}, {severity}",
        ),
        (format!("{hook}\ncontent = \"json\""), "`content` is that of a `template` | add a `template`"),
        (format!("{hook}\ntemplate = \"x\"\ncontent = \"xml\""), "unknown content \"xml\" | one of text, json"),
        (
            format!("{hook}\ntemplate = '{{\"text\": {{text}}}}'\ncontent = \"json\""),
            "`template` does not make JSON | put every place between double quotes",
        ),
        (format!("{hook}\nseverity = \"fatal\""), "unknown severity \"fatal\" | one of info, warning, critical"),
        (format!("{hook}\nper_hour = 0"), "`per_hour` in [[notify]] is 0, out of its bounds | choose a number from 1"),
        (format!("{hook}\nevents = [\"wokken\"]"), "unknown event \"wokken\" | did you mean \"woken\"?"),
        (format!("{hook}\ntopic = \"CANARY\""), "unknown key `topic` in [[notify]]"),
        (format!("{hook}\n[[notify]]\n{hook}"), "this [[notify]] has the target of the one in line 1 | name all"),
        (
            "command = [\"x\", \"CANARY\"]\n[[notify]]\ncommand = [\"x\", \"CANARY\"]".to_owned(),
            "this [[notify]] has the target of the one in line 1",
        ),
    ];
    for (lines, expected) in cases {
        let problems = bad(&format!("[[notify]]\n{lines}\n"));
        let said = |problem: &crate::config::Problem| {
            format!("{} | {}", problem.what, problem.hint.as_deref().unwrap_or_default())
        };
        let all: Vec<_> = problems.iter().map(said).collect();
        assert!(all.iter().any(|said| said.contains(expected)), "{lines}: {all:#?}");
        // An argument of a command is shown: it stands in the process table, and is no place for a secret.
        let shown = format!("{}{}{problems:?}", render(&problems, false), render(&problems, true));
        assert!(!shown.contains("CANARY") || lines.contains("command = "), "{lines}: {shown}");
    }
}

#[test]
fn targets_are_read_with_their_defaults_and_shown_without_secrets() {
    let text = r#"
        [[notify]]
        webhook = "https://h/CANARY"
        template = '{"text": "{agent}: {text}"}'
        content = "json"
        [[notify]]
        ntfy = "https://ntfy.example.org/CANARY"
        token = { file = "/etc/switchman/ntfy" }
        severity = "warning"
        per_hour = 5
        events = ["exhausted", "recovered"]
        [[notify]]
        command = ["/usr/local/bin/tell", "--loud"]
    "#;
    let config = good(text);
    let [hook, ntfy, command] = &config.notify[..] else { panic!("{:?}", config.notify) };
    let NotifyTarget::Webhook { template: Some(template), .. } = &hook.target else { panic!("{hook:?}") };
    assert_eq!((template.content, template.to_string().as_str()), (Content::Json, "{\"text\": \"{agent}: {text}\"}"));
    assert_eq!((hook.severity, hook.per_hour, hook.events.len()), (Severity::Info, 60, NotifyEvent::ALL.len() - 1));
    let NotifyTarget::Ntfy { token: Some(CredentialRef::File(file)), .. } = &ntfy.target else { panic!("{ntfy:?}") };
    assert_eq!(file.to_str(), Some("/etc/switchman/ntfy"));
    let taste = ntfy.taste();
    assert_eq!((taste.severity, taste.per_hour), (Severity::Warning, 5));
    assert_eq!(taste.events, [NotifyEvent::Exhausted, NotifyEvent::Recovered].into());
    assert_eq!(command.target, NotifyTarget::Command(vec!["/usr/local/bin/tell".to_owned(), "--loud".to_owned()]));
    let resolved = config.resolved();
    assert!(!format!("{resolved}{config:?}").contains("CANARY"), "{resolved}");
    // A path that is hidden cannot be told from another one: two that stay are enough to read it again.
    assert_eq!(good(&resolved).resolved(), resolved);
}
