//! The guides against the program: every config in them is one that the parser takes, every command of ours is one
//! that the command line knows, and every file that they point to is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use switchman::config::{Asked, Config, Problem};

fn guides() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let guides: Vec<_> = paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(guides.len() >= 3, "only {} guides", guides.len());
    guides
}

/// The contents of the blocks of this language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let mut parts = text.split("\n```");
    parts.next();
    let blocks = parts.step_by(2).filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks.collect()
}

/// The config with its files in a folder of ours; the files are made.
fn fill_in(config: &str, folder: &Path) -> PathBuf {
    let mut text = config.to_owned();
    for place in ["/etc/switchman", "/srv"] {
        text = text.replace(&format!("\"{place}/"), &format!("\"{}{place}/", folder.display()));
    }
    for path in text.split('"').filter(|word| word.starts_with(folder.to_str().unwrap())) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        if path.contains("/etc/switchman/credentials/") {
            fs::write(path, credential(path)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let file = folder.join("config.toml");
    fs::write(&file, text).unwrap();
    file
}

/// Something of the right form, of an account that does not exist.
fn credential(path: &str) -> &'static str {
    if path.contains("chatgpt") {
        r#"{"auth_mode": "chatgpt", "tokens": {"id_token": "a.b.c", "access_token": "a.b.c", "refresh_token": "r",
            "account_id": "00000000-0000-0000-0000-000000000000"}, "last_refresh": "2026-11-21T10:00:00Z"}"#
    } else if Path::new(path).extension().is_some_and(|end| end == "json") {
        r#"{"claudeAiOauth": {"accessToken": "a", "refreshToken": "r", "expiresAt": 4102444800000,
            "scopes": ["user:inference"]}}"#
    } else {
        "a-token-for-tests\n"
    }
}

fn problems_of(config: &str) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    let file = fill_in(config, folder.path());
    match Config::load(&file, &|_| None) {
        Ok((config, warnings)) => warnings.into_iter().chain(config.check_files(Asked::ByCheck)).collect(),
        Err(problems) => problems,
    }
}

#[test]
fn every_config_of_the_guides_is_taken() {
    let mut wrong = Vec::new();
    for (path, text) in guides() {
        let configs = blocks(&text, "toml");
        assert!(!configs.is_empty(), "{} shows no config", path.display());
        for config in configs {
            wrong.extend(problems_of(config).iter().map(|problem| format!("{}: {problem}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_the_guides_is_known() {
    let mut count = 0;
    for (path, text) in guides() {
        for line in blocks(&text, "sh").iter().flat_map(|block| block.lines()) {
            let line = line.split(" #").next().unwrap().split("&&").next().unwrap();
            let Some(at) = line.find("switchman ").filter(|at| *at == 0 || line[..*at].ends_with("| ")) else {
                continue;
            };
            let words = line[at..].split_whitespace().skip(1).map(|word| if word.contains('$') { "1" } else { word });
            // The daemon is not there: 69 means that the line was understood.
            let ran = Command::new(env!("CARGO_BIN_EXE_switchman"))
                .args(["--socket", "/nonexistent/socket", "--config", "/nonexistent/config.toml"])
                .args(words)
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let understood = [Some(69), Some(78)].contains(&ran.status.code()) || line.contains("--evidence -");
            let told = String::from_utf8_lossy(&ran.stderr);
            assert!(understood && ran.status.code() != Some(2), "{}: {line}: {told}", path.display());
            count += 1;
        }
    }
    assert!(count > 10, "only {count} commands found");
}

#[test]
fn every_file_that_the_guides_point_to_is_there() {
    for (path, text) in guides() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.starts_with("http") {
                assert!(path.with_file_name(target).exists(), "{}: {target}", path.display());
            }
        }
        for name in text.split("][").skip(1).filter_map(|rest| rest.split(']').next()) {
            assert!(text.contains(&format!("\n[{name}]: https://")), "{}: [{name}] leads nowhere", path.display());
        }
    }
}

#[test]
fn a_mistake_in_a_guide_would_be_found() {
    let config = "[[subscription]]\nname = \"a\"\nprovider = \"anthropic\"\ncredental = { file = \"/etc/switchman/credentials/a\" }\n";
    let found: Vec<_> = problems_of(config).iter().map(ToString::to_string).collect();
    assert!(found.iter().any(|problem| problem.contains("unknown key")), "{found:?}");
    assert_eq!(blocks("x\n```toml\na = 1\n```\ny\n```sh\nb\n```\n", "toml"), ["a = 1"]);
}
