//! `check`: good, bad and missing files, as text and as a document.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Ran, command};

const GOOD: &str = r#"
[[subscription]]
name = "max-a"
provider = "anthropic"
type = "setup-token"
credential = { file = "CREDENTIAL" }

[[agent]]
name = "reviewer"
tool = "claude-code"
container = "reviewer"
delivery = { file = "/srv/reviewer/credential" }
"#;

const BAD: &str = r#"
[swiching]
enabled = true

[[agent]]
name = "reviewer"
tool = "claude-code"
container = "reviewer"
delivery = { file = "/srv/reviewer/credential" }
drain = "30"
subscriptions = ["max-z"]
"#;

/// A config beside a credential, and the binary run where they are.
struct Place(TempDir);

impl Place {
    fn new(config: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let credential = place.0.path().join("credential");
        std::fs::write(&credential, "sk-ant-oat01-abcdefghijklmnop\n").unwrap();
        std::fs::set_permissions(&credential, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = config.replace("CREDENTIAL", credential.to_str().unwrap());
        std::fs::write(place.0.path().join("config.toml"), config).unwrap();
        place
    }

    fn check(&self, arguments: &[&str]) -> Ran {
        let line = [&["--config", "config.toml", "check"], arguments].concat();
        Ran::of(&command(&line).current_dir(self.0.path()).output().unwrap())
    }
}

#[test]
fn a_good_config_is_counted() {
    let place = Place::new(GOOD);
    assert_eq!(place.check(&[]).shown(), "ok: 1 agent, 1 subscription\n--- stderr\n--- exit 0");
    let document = place.check(&["--json"]).document();
    let expected = json!({
        "schema_version": 1, "file": "config.toml", "valid": true, "agents": 1, "subscriptions": 1, "problems": []
    });
    assert_eq!(document, expected);
}

#[test]
fn the_effective_config_is_a_config_without_secrets() {
    let place = Place::new(GOOD);
    let ran = place.check(&["--resolve"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert!(ran.out.starts_with("# ok: 1 agent, 1 subscription\n"), "{}", ran.out);
    assert!(!ran.out.contains("sk-ant"), "{}", ran.out);
    let again = Place::new(&ran.out).check(&["--resolve"]);
    assert_eq!(again.out, ran.out, "{}", again.err);
    let document = place.check(&["--resolve", "--json"]).document();
    assert_eq!(document["config"]["switching"]["cooldown"], "2h");
    assert_eq!(document["config"]["agent"][0]["name"], "reviewer");
}

#[test]
fn every_problem_of_a_bad_config_is_told_at_once() {
    let place = Place::new(BAD);
    assert_snapshot!(place.check(&[]).shown());
    let ran = place.check(&["--json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &document["valid"], &document["agents"]), (Some(78), &json!(false), &Value::Null));
    let lines: Vec<_> = document["problems"].as_array().unwrap().iter().map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, [Some(2), Some(10), Some(11)], "{document:#}");
    let problem = ran.problem();
    assert_eq!((&problem["code"], &problem["problems"]), (&json!("config_invalid"), &document["problems"]));
}

#[test]
fn a_credential_that_others_may_read_is_an_error() {
    let place = Place::new(GOOD);
    let credential = place.0.path().join("credential");
    std::fs::set_permissions(&credential, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.check(&[]);
    assert!(ran.code == Some(78) && ran.out.is_empty(), "{}", ran.shown());
    assert!(ran.err.contains("config.toml:6:") && ran.err.contains("hint: chmod 600"), "{}", ran.err);
}

#[test]
fn a_config_that_is_not_there_is_not_valid() {
    let ran = Ran::of(&command(&["check", "--config", "/nowhere/config.toml"]).output().unwrap());
    assert_snapshot!(ran.shown(), @r"
    --- stderr
    /nowhere/config.toml: error: cannot read the config: No such file or directory (os error 2)
        hint: name another file with --config

    1 error
    --- exit 78
    ");
    let mut command = command(&["check", "--json"]);
    let ran = Ran::of(&command.env("SWITCHMAN_CONFIG", "/nowhere/config.toml").output().unwrap());
    assert_eq!((ran.code, &ran.problem()["code"]), (Some(78), &json!("config_invalid")));
}
