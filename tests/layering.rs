//! The arrows of `docs/ARCHITECTURE.md`, held as a test: who may import whom, and what the pure part may not touch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module → modules of this crate that it may name. Everything may name itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("classify", &["domain"]),
    ("machine", &["domain"]),
    ("replay", &["domain", "machine", "classify"]),
    ("ports", &["domain"]),
    ("telemetry", &["domain", "ports"]),
    ("config", &["domain", "machine", "classify"]),
    ("drivers", &["domain", "ports", "telemetry"]),
    ("actor", &["domain", "ports", "machine", "classify", "telemetry"]),
    ("shutdown", &["domain", "ports"]),
    ("systemd", &["domain", "ports"]),
    ("api", &["domain", "ports", "machine", "classify", "telemetry", "actor", "shutdown"]),
    ("daemon", &["domain", "ports", "drivers", "actor", "api", "config", "telemetry", "shutdown", "systemd"]),
    ("error", &["telemetry"]),
    ("cli", &["domain", "classify", "replay", "config", "api", "daemon", "error", "drivers", "ports", "telemetry"]),
];

/// What the pure modules may not name at all.
const PURE: &[&str] = &["domain", "machine", "classify", "replay"];
const IMPURE: &[&str] = &[
    "tokio",
    "ractor",
    "tracing",
    "rand",
    "axum",
    "hyper",
    "bollard",
    "rusqlite",
    "ureq",
    "rustix",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
];

/// Without comments and without the test modules, which stand at the end of a file and may build what they like.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the source is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the module it belongs to.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    assert!(found.len() > 50, "only {} files found", found.len());
    found
        .into_iter()
        // Unit tests in a file of their own build what they like.
        .filter(|path| !path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")))
        .map(|path| {
            let inside = path.strip_prefix(&root).expect("below").to_owned();
            let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("text");
            (module, inside, text)
        })
        .collect()
}

/// The modules of this crate that a text names as `crate::name`.
fn named(text: &str) -> Vec<String> {
    text.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            let rest = rest.trim_start();
            match rest.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|name| name.trim().split("::").next().unwrap_or_default().to_owned())
                    .collect(),
                None => vec![rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()],
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn arrows_point_downwards_only() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(allowed) = arrows.get(module.as_str()) else {
            wrong.push(format!("{}: module `{module}` has no place in the picture", path.display()));
            continue;
        };
        for name in named(&code(&text)) {
            let is_module = arrows.contains_key(name.as_str());
            if is_module && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {module} → {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that are not in the picture:\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_modules_touch_nothing() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if !PURE.contains(&module.as_str()) {
            continue;
        }
        let code = code(&text);
        for name in IMPURE {
            let used = [format!("{name}::"), format!("use {name}"), format!("::{name}")];
            if used.iter().any(|used| code.contains(used)) {
                wrong.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the pure part reaches outside:\n{}", wrong.join("\n"));
}

#[test]
fn files_have_one_idea() {
    let names = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let mut wrong = Vec::new();
    for (_, path, text) in sources() {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if names.contains(&stem.as_str()) {
            wrong.push(format!("{}: a name that says nothing", path.display()));
        }
        if text.lines().count() > 600 {
            wrong.push(format!("{}: {} lines", path.display(), text.lines().count()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{}: no header that says what it is for", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_them() {
    assert_eq!(named("use crate::domain::{A, B}; crate::{actor::X, ports}"), ["domain", "actor", "ports"]);
}
