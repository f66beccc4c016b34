//! Rules as they are documented, against those that there are.
//!
//! After a change of the built-in rules, run `UPDATE_DOCS=1 cargo test --test rules` and commit what it wrote.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

use std::fmt::Write as _;
use std::path::Path;

use switchman::classify::Classifier;
use switchman::classify::rule::{Rule, Scope, Tools, When};
use switchman::config::Config;
use switchman::domain::Window;

const DOCUMENT: &str = "docs/rules.md";
const BEGIN: &str = "<!-- rules -->\n";
const END: &str = "<!-- /rules -->";

/// One row for each rule; the same row twice is one.
fn table() -> String {
    let mut rows = Vec::new();
    for rule in Classifier::built_in() {
        let row = row(&rule);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let head = "| id | tool | looks at | kind | scope | source |\n|---|---|---|---|---|---|\n";
    rows.into_iter().fold(head.to_owned(), |table, row| table + &row)
}

fn row(rule: &Rule) -> String {
    let tools = match &rule.tools {
        Tools::All => "every".to_owned(),
        Tools::Of(tools) => tools.iter().map(|tool| tool.as_str()).collect::<Vec<_>>().join(", "),
    };
    let sign = match &rule.when {
        When::Record(_) => "record",
        When::Answer(_) => "answer",
        When::Sentence(_) => "sentence",
        When::Exception(_) => "exception",
    };
    let kind = rule.says.kind.map_or("none", |kind| kind.as_str());
    let scope = match &rule.says.scope {
        _ if rule.says.kind.is_none_or(|kind| kind.as_str() != "rate_limit") => "",
        Scope::Is(Window::Unknown) => "unknown",
        Scope::Is(window) => window.as_str(),
        Scope::Member(_) => "as a member says",
        Scope::Headers => "as the headers say",
        Scope::Words => "as the words say",
    };
    let mut row = String::new();
    writeln!(row, "| `{}` | {tools} | {sign} | `{kind}` | {scope} | <{}> |", rule.id, rule.source).unwrap();
    row
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write the document")]
fn the_table_of_built_in_rules_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let found = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = found.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark behind the table");
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{DOCUMENT} is out of date; run `UPDATE_DOCS=1 cargo test --test rules` and commit it\nfirst difference (found, \
         expected): {differs:#?}"
    );
}

#[test]
fn the_examples_of_the_document_are_good_rules() {
    let found = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT)).unwrap();
    let examples: Vec<_> = found.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (config, _) = Config::parse(DOCUMENT, &examples.concat(), &|_| None).unwrap();
    assert_eq!(config.rules.len(), found.matches("[[rule]]\n").count());
    assert!(config.rules.len() >= 5);
}

#[test]
fn the_commented_rules_of_the_example_config_are_good_ones() {
    let example = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml")).unwrap();
    let start = example.find("# [[rule]]").unwrap();
    let rules: Vec<_> = example[start..].lines().map(|line| line.strip_prefix("# ").unwrap_or_default()).collect();
    let (config, _) = Config::parse("config.example.toml", &rules.join("\n"), &|_| None).unwrap();
    assert_eq!(config.rules.len(), 2);
}
