//! What is read: files, directories of them, standard input.
//!
//! A directory is walked in the order of its names, so that the same logs give the same output. In one only regular files
//! are read, and no symbolic link is followed: what is found there was not asked for by name.
//!
//! Tests: `tests/cli/classify.rs`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Exit, Failure};
use crate::telemetry::escape::Escaped;

/// Directories below one another that are walked, at most.
const DEPTH_MAX: usize = 32;

/// Something that is read line by line.
pub(super) struct Source {
    /// As people know it: its path, or `-`.
    pub(super) name: String,
    path: Option<PathBuf>,
}

impl Source {
    pub(super) fn open(&self) -> io::Result<Box<dyn Read>> {
        match &self.path {
            None => Ok(Box::new(io::stdin().lock())),
            Some(path) => Ok(Box::new(File::open(path)?)),
        }
    }
}

/// What could not be read, and why.
#[derive(Default)]
pub(super) struct Unreadable(Vec<(String, String)>);

impl Unreadable {
    pub(super) fn add(&mut self, name: &str, error: &io::Error) {
        self.0.push((name.to_owned(), error.to_string()));
    }

    pub(super) fn document(&self) -> Value {
        let row = |(file, why): &(String, String)| json!({ "file": file, "why": why });
        self.0.iter().map(row).collect()
    }

    /// The end of a run that could not read everything.
    pub(super) fn conclude(self) -> Result<(), Failure> {
        let detail = match &*self.0 {
            [] => return Ok(()),
            [(name, why)] => format!("cannot read {name}: {why}"),
            [(name, why), rest @ ..] => format!("cannot read {name}: {why}, nor {} others", rest.len()),
        };
        let line =
            |(name, why): &(String, String)| format!("switchman: cannot read {}: {why} (unreadable)\n", Escaped(name));
        let text: String = self.0.iter().map(line).collect();
        Err(Failure::new(Exit::Failed, "unreadable", detail).with_member("unreadable", self.document()).with_text(text))
    }
}

/// What these arguments stand for, in their order; `-`, or none at all, is standard input.
pub(super) fn sources(arguments: &[PathBuf], unreadable: &mut Unreadable) -> Vec<Source> {
    let stdin = || Source { name: "-".to_owned(), path: None };
    if arguments.is_empty() {
        return vec![stdin()];
    }
    let mut sources = Vec::new();
    for path in arguments {
        if path == Path::new("-") {
            sources.push(stdin());
        } else if path.is_dir() {
            walk(path, DEPTH_MAX, &mut sources, unreadable);
        } else {
            sources.push(Source { name: path.display().to_string(), path: Some(path.clone()) });
        }
    }
    sources
}

fn walk(directory: &Path, depth: usize, sources: &mut Vec<Source>, unreadable: &mut Unreadable) {
    let name = directory.display().to_string();
    if depth == 0 {
        return unreadable.add(&name, &io::Error::other(format!("more than {DEPTH_MAX} directories deep")));
    }
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return unreadable.add(&name, &error),
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, depth - 1, sources, unreadable),
            Ok(kind) if kind.is_file() => {
                sources.push(Source { name: path.display().to_string(), path: Some(path) });
            }
            Ok(_) => {}
            Err(error) => unreadable.add(&path.display().to_string(), &error),
        }
    }
}
