//! `docs/reliability.md` against the tree: every fault has its row, every test that a row names is there, and no row says
//! more than it names. And every test file that the source points to exists.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

const FAULTS: usize = 40;

/// One row of the tables.
struct Row {
    number: usize,
    /// Suite and name of each test.
    tests: Vec<(String, String)>,
    state: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of every Rust file at or below a path.
fn sources(at: &Path, found: &mut Vec<(PathBuf, String)>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if at.extension().is_some_and(|end| end == "rs") {
        found.push((at.to_owned(), fs::read_to_string(at).unwrap()));
    }
}

fn suite(name: &str) -> String {
    let mut found = Vec::new();
    if name == "unit" {
        sources(&root().join("src"), &mut found);
    } else {
        let file = root().join(format!("tests/{name}.rs"));
        assert!(file.exists(), "there is no suite {name}");
        sources(&file, &mut found);
        let folder = root().join("tests").join(name);
        if folder.exists() {
            sources(&folder, &mut found);
        }
    }
    found.into_iter().map(|(_, text)| text).collect()
}

fn rows(page: &str) -> Vec<Row> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells[0].parse::<usize>().is_ok())
        .map(|cells| {
            let [number, _, _, tests, state] = cells[..] else { panic!("not five cells: {cells:?}") };
            let of_suite = |part: &str| {
                let (suite, names) = part.split_once(": ").unwrap_or_else(|| panic!("no suite: {part}"));
                let names = names.split(", ").map(|name| name.trim_matches('`').to_owned());
                names.map(|name| (suite.to_owned(), name)).collect::<Vec<_>>()
            };
            let parts = tests.split("; ").filter(|part| !part.is_empty());
            Row {
                number: number.parse().unwrap(),
                tests: parts.flat_map(of_suite).collect(),
                state: state.split(':').next().unwrap().to_owned(),
            }
        })
        .collect()
}

/// Whether the text defines a test of this name: marked as one, or named in a list that makes tests of functions.
fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = [format!("fn {name}("), format!("fn {name}<")].iter().find_map(|what| text.find(what)) else {
        return false;
    };
    let before = text[..at].trim_end_matches(|c: char| c != ']' && c != '}' && c != ';');
    let attributes: Vec<&str> = before.lines().rev().take_while(|line| line.trim_start().starts_with("#[")).collect();
    let is_marked = attributes.iter().any(|line| line.contains("test]") || line.contains("::test("));
    let is_ignored = attributes.iter().any(|line| line.contains("ignore"));
    let lists = text.match_indices(name).filter(|(place, _)| {
        let (before, after) = (&text[..*place], &text[place + name.len()..]);
        !before.ends_with("fn ") && (after.starts_with(',') || after.starts_with('\n') || after.starts_with(';'))
    });
    (is_marked || lists.count() > 0) && !is_ignored
}

fn page() -> String {
    fs::read_to_string(root().join("docs/reliability.md")).unwrap()
}

#[test]
fn every_fault_has_a_row_and_every_row_a_state() {
    let rows = rows(&page());
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=FAULTS).collect::<Vec<_>>());
    for Row { number, tests, state } in rows {
        match state.as_str() {
            "shown" | "partly" => assert!(!tests.is_empty(), "{number} is {state} by nothing"),
            "not yet" => {}
            other => panic!("{number}: {other} is no state"),
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut missing = Vec::new();
    for Row { number, tests, .. } in rows(&page()) {
        for (of, name) in tests {
            if !has_test(&suite(&of), &name) {
                missing.push(format!("{number}: {of}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let text = "#[test]\nfn marked() {}\n\nfn helper() {}\n\nasync fn promised<R: Rig>() {}\nall!(promised, );\n\n\
                #[test]\n#[ignore = \"why\"]\nfn put_aside() {}\n";
    let found = ["marked", "promised", "helper", "put_aside", "absent"].map(|name| has_test(text, name));
    assert_eq!(found, [true, true, false, false, false]);
}

#[test]
fn every_test_file_that_a_header_points_to_is_there() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root().join(folder), &mut found);
    }
    let mut missing = Vec::new();
    for (path, text) in found {
        for line in text.lines().filter(|line| line.trim_start().starts_with("//!")) {
            for name in line.split('`').filter(|word| word.starts_with("tests/")) {
                let is_source = Path::new(name).extension().is_some_and(|end| end == "rs");
                if is_source && !root().join(name).exists() {
                    missing.push(format!("{}: {name}", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no such files:\n{}", missing.join("\n"));
}
