//! What of the tails no file system does at a test's word: inodes that are used again, files that cannot be opened.

use std::fs::{OpenOptions, create_dir_all, remove_file, rename, write};
use std::io::Write as _;
use std::path::PathBuf;

use super::*;

const AT: Wall = Wall(1_795_000_000_000);

struct Place {
    root: PathBuf,
    _kept: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let root = kept.path().canonicalize().unwrap();
        create_dir_all(&root).unwrap();
        Self { root, _kept: kept }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn add(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.file(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Looked at once. None is held open.
    fn tails(&self) -> Tails {
        let pattern = format!("{}/*.jsonl", self.root.display());
        let mut tails = Tails::new(&pattern, &[], AT, Arc::new(Semaphore::new(0))).unwrap();
        look(&mut tails);
        tails
    }
}

fn look(tails: &mut Tails) {
    tails.look(AT, &mut |_| {}).unwrap();
}

fn texts(tails: &mut Tails) -> Vec<String> {
    let mut texts = Vec::new();
    while tails.has_work() {
        let turn = tails.turn(AT);
        texts.extend(turn.lines.iter().map(|(text, _)| String::from_utf8(text.to_vec()).unwrap()));
    }
    texts
}

/// As if the file that is read had come to be at another time than the one that has its inode now.
fn born(tails: &mut Tails, change: impl Fn(Wall) -> Option<Wall>) {
    for tail in tails.files.values_mut() {
        let born = tail.file.born.expect("the file system of the tests tells");
        tail.file.born = change(born);
    }
}

#[test]
fn a_session_with_the_inode_of_one_that_is_gone_is_read_from_its_first_line() {
    for name in ["old.jsonl", "new.jsonl"] {
        let place = Place::new();
        let mut tails = place.tails();
        place.add("old.jsonl", "one\ntwo\n");
        look(&mut tails);
        assert_eq!(texts(&mut tails), ["one", "two"]);
        // What lies there now is a file that came to be later.
        rename(place.file("old.jsonl"), place.file(name)).unwrap();
        write(place.file(name), "first\nsecond\nthird\n").unwrap();
        born(&mut tails, |born| Some(born.minus(Duration::from_millis(1))));
        look(&mut tails);
        assert_eq!(texts(&mut tails), ["first", "second", "third"], "{name}");
    }
}

#[test]
fn where_no_birth_is_told_a_file_that_is_shorter_is_no_rename() {
    for (text, read) in [("one\ntwo\nthree\n", vec!["three"]), ("1\n", vec!["1"])] {
        let place = Place::new();
        let mut tails = place.tails();
        place.add("old.jsonl", "one\ntwo\n");
        look(&mut tails);
        assert_eq!(texts(&mut tails), ["one", "two"]);
        rename(place.file("old.jsonl"), place.file("new.jsonl")).unwrap();
        write(place.file("new.jsonl"), text).unwrap();
        born(&mut tails, |_| None);
        look(&mut tails);
        assert_eq!(texts(&mut tails), read);
    }
}

#[test]
fn a_file_that_cannot_be_opened_asks_for_one_look_however_much_it_grows() {
    let place = Place::new();
    let mut tails = place.tails();
    place.add("s.jsonl", "one\n");
    look(&mut tails);
    remove_file(place.file("s.jsonl")).unwrap();
    let turn = tails.turn(AT);
    assert!(turn.wants_look && turn.lines.is_empty());
    assert!(tails.has_grown(&place.file("s.jsonl")), "no look is wanted");
    assert!(!tails.has_work(), "and none of its words is waited for");
    // A look finds that it is there again, and another one.
    place.add("s.jsonl", "two\n");
    look(&mut tails);
    assert_eq!(texts(&mut tails), ["two"]);
}

#[test]
fn what_is_nobodys_business_asks_for_no_look() {
    let place = Place::new();
    let mut tails = place.tails();
    assert!(tails.has_grown(&place.file("notes.txt")));
    assert!(!tails.has_grown(&place.file("new.jsonl")), "it may have come since");
}
