//! What only a real engine can show: its log drivers, its parts of lines, its rotation.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use switchman::drivers::docker::logs::DockerLogs;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::logs::{LogError, LogSource, OutputOf};

use super::containers::{Container, Shape, usual_host};
use super::reader::{Reader, texts};
use super::{Rig, one};

/// A shape with a name, so that a suite can be run for it.
pub(crate) trait OfShape {
    const SHAPE: Shape;
}

pub(crate) struct IsJsonFile;
pub(crate) struct IsLocal;
pub(crate) struct IsTerminal;

impl OfShape for IsJsonFile {
    const SHAPE: Shape = Shape { driver: "json-file", options: &[], has_terminal: false };
}

impl OfShape for IsLocal {
    const SHAPE: Shape = Shape { driver: "local", options: &[], has_terminal: false };
}

impl OfShape for IsTerminal {
    const SHAPE: Shape = Shape { driver: "json-file", options: &[], has_terminal: true };
}

pub(crate) type JsonFile = Engine<IsJsonFile>;
pub(crate) type Local = Engine<IsLocal>;
pub(crate) type Terminal = Engine<IsTerminal>;

pub(crate) struct Engine<S> {
    container: Container,
    logs: DockerLogs,
    shape: PhantomData<S>,
}

/// The driver for one container.
pub(crate) fn logs_of(container: &Container) -> DockerLogs {
    let names = BTreeMap::from([(one(), container.name.clone())]);
    DockerLogs::new(container.host.clone(), names, Duration::from_secs(20), Arc::new(SystemClock::new()))
}

impl<S: OfShape> Rig for Engine<S> {
    async fn new() -> Self {
        let container = Container::new(&usual_host(), &S::SHAPE).await;
        let logs = logs_of(&container);
        Self { container, logs, shape: PhantomData }
    }

    fn source(&self) -> &dyn LogSource {
        &self.logs
    }

    async fn print(&self, line: &str) {
        self.container.run(&format!("echo '{line}'"));
    }

    async fn stop(&self) {
        self.container.exit().await;
    }

    async fn start(&self) {
        self.container.start().await;
    }

    async fn remove(&self) {
        self.container.remove().await;
    }

    async fn replace(&self) {
        self.remove().await;
        self.container.create().await;
        self.container.start().await;
    }
}

/// What the shell does to have `x` in a variable so many times.
pub(crate) fn xs(variable: &str, count: usize) -> String {
    let doubling =
        format!("{variable}=x; n=1; while [ $n -lt {count} ]; do {variable}=${variable}${variable}; n=$((n*2)); done");
    assert!(count.is_power_of_two());
    doubling
}

/// Prints long lines, odd bytes and an unfinished line, and holds every line against what was printed; then cuts
/// after every line.
pub(crate) async fn every_line_comes_whole_and_once(container: &Container) {
    let Shape { driver, has_terminal, .. } = container.shape;
    let is_journal = driver == "journald";
    let logs = logs_of(container);
    container.run(&xs("a", 16 * 1024));
    // The journal leaves out an empty message, so that such a line is missing, and one of exactly
    // so many whole parts runs into the next one.
    if !is_journal {
        container.run(r#"printf '%s\n' "$a"; echo"#);
    }
    container.run(r"printf '\000 zero\n'");
    container.run(r#"printf '%s\n' "${a}y"; printf '%s\n' "$a$a$a${a}z"; echo short"#);
    container.run(&xs("b", 1 << 20));
    container.run(r#"printf '%s%sz\n' "$b" "$b$a""#);
    container.run(r"printf '\033[31mred\377 \303\050\r\n'; echo last; printf 'no end'");
    container.exit().await;
    let mut stream = Reader::open(&logs, None, true).await.unwrap();
    let lines = stream.until_the_end().await;
    let x = |count: usize| "x".repeat(count).into_bytes();
    let part = 16 * 1024;
    let mut odd = b"\x1b[31mred\xff \xc3(".to_vec();
    // What the engine cannot write into its file it has replaced already.
    if driver == "json-file" {
        odd = String::from_utf8_lossy(&odd).into_owned().into_bytes();
    }
    // A terminal makes a line's end of its own out of every one, after the one that was printed.
    if has_terminal {
        odd.push(b'\r');
    }
    let mut expected = vec![
        (b"\0 zero".to_vec(), false),
        ([x(part), b"y".to_vec()].concat(), false),
        ([x(4 * part), b"z".to_vec()].concat(), false),
        (b"short".to_vec(), false),
        (x(1 << 20), true),
        (odd, false),
        (b"last".to_vec(), false),
        (b"no end".to_vec(), false),
    ];
    if !is_journal {
        expected.splice(0..0, [(x(part), false), (Vec::new(), false)]);
    }
    let found: Vec<_> = lines.iter().map(|read| (read.bytes.clone(), read.line.is_cut)).collect();
    let lengths = |lines: &[(Vec<u8>, bool)]| lines.iter().map(|(text, cut)| (text.len(), *cut)).collect::<Vec<_>>();
    assert_eq!(lengths(&found), lengths(&expected));
    assert!(found == expected, "the lengths are right and the bytes are not");
    assert!(lines.iter().all(|read| read.line.is_of_this_life));
    for (place, read) in lines.iter().enumerate() {
        let from = read.position(&stream);
        let mut rest = Reader::open(&logs, Some(&from), false).await.unwrap();
        assert!(rest.until_the_end().await == lines[place + 1..], "after line {place}");
        assert_eq!(rest.gaps, 0, "after line {place}");
    }
    // The next life says something at once: after an unfinished line that is another line, and of this life.
    container.run("echo hello");
    container.start().await;
    let mut next = Reader::open(&logs, None, true).await.unwrap();
    let again = next.lines(lines.len() + 1).await;
    assert_eq!(again[lines.len()].text(), "hello");
    assert!(again[lines.len()].line.is_of_this_life);
    assert!(again[..lines.len()].iter().all(|read| !read.line.is_of_this_life));
    let from = lines.last().unwrap().position(&stream);
    let mut rest = Reader::open(&logs, Some(&from), false).await.unwrap();
    assert_eq!(texts(&rest.lines(1).await), ["hello"]);
}

#[tokio::test]
async fn every_line_of_a_json_file_comes_whole_and_once() {
    let container = Container::new(&usual_host(), &IsJsonFile::SHAPE).await;
    every_line_comes_whole_and_once(&container).await;
}

#[tokio::test]
async fn every_line_of_the_local_driver_comes_whole_and_once() {
    let container = Container::new(&usual_host(), &IsLocal::SHAPE).await;
    every_line_comes_whole_and_once(&container).await;
}

#[tokio::test]
async fn every_line_of_a_terminal_comes_whole_and_once() {
    for driver in ["json-file", "local"] {
        let shape = Shape { driver, options: &[], has_terminal: true };
        let container = Container::new(&usual_host(), &shape).await;
        every_line_comes_whole_and_once(&container).await;
    }
}

#[tokio::test]
async fn both_outputs_come_mixed_and_each_line_once_from_every_cut() {
    for driver in ["json-file", "local"] {
        let shape = Shape { driver, options: &[], has_terminal: false };
        let container = Container::new(&usual_host(), &shape).await;
        let logs = logs_of(&container);
        container.run("n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo out $n; echo err $n >&2; done");
        container.exit().await;
        let mut stream = Reader::open(&logs, None, true).await.unwrap();
        let lines = stream.until_the_end().await;
        for (output, word) in [(OutputOf::Stdout, "out"), (OutputOf::Stderr, "err")] {
            let of_it = lines.iter().filter(|read| read.line.stream == output).cloned().collect::<Vec<_>>();
            assert_eq!(texts(&of_it), (1..=300).map(|n| format!("{word} {n}")).collect::<Vec<_>>());
        }
        for (place, read) in lines.iter().enumerate().step_by(7) {
            let mut rest = Reader::open(&logs, Some(&read.position(&stream)), false).await.unwrap();
            assert!(rest.until_the_end().await == lines[place + 1..], "{driver}: after line {place}");
            assert_eq!(rest.gaps, 0, "{driver}: after line {place}");
        }
    }
}

#[tokio::test]
async fn lines_that_were_rotated_away_are_told_as_one_gap() {
    for driver in ["json-file", "local"] {
        let options = &[("max-size", "2k"), ("max-file", "2"), ("compress", "false")];
        let container = Container::new(&usual_host(), &Shape { driver, options, has_terminal: false }).await;
        let logs = logs_of(&container);
        container.run("echo first");
        let mut stream = Reader::open(&logs, None, true).await.unwrap();
        let from = stream.lines(1).await[0].position(&stream);
        drop(stream);
        container.run("n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo line $n; done");
        container.exit().await;
        let mut rest = Reader::open(&logs, Some(&from), false).await.unwrap();
        let lines = rest.until_the_end().await;
        assert_eq!(rest.gaps, 1, "{driver}");
        assert!(lines.len() < 200, "{driver}: {}", lines.len());
        let expected: Vec<_> = (201 - lines.len()..=200).map(|n| format!("line {n}")).collect();
        assert_eq!(texts(&lines), expected, "{driver}");
        // The last line is there: nothing is missing after it.
        let from = lines.last().unwrap().position(&rest);
        container.start().await;
        container.run("echo more");
        let mut rest = Reader::open(&logs, Some(&from), false).await.unwrap();
        assert_eq!(texts(&rest.lines(1).await), ["more"]);
        assert_eq!(rest.gaps, 0, "{driver}");
    }
}

#[tokio::test]
async fn a_follower_goes_on_through_rotation() {
    let options = &[("max-size", "8k"), ("max-file", "3")];
    let container = Container::new(&usual_host(), &Shape { driver: "json-file", options, has_terminal: false }).await;
    let logs = logs_of(&container);
    let mut stream = Reader::open(&logs, None, true).await.unwrap();
    for round in 0..10 {
        // Less than one file at a time, and read before the next: nothing can be lost.
        container.run(&format!("n=0; while [ $n -lt 20 ]; do n=$((n+1)); echo round {round} line $n; done"));
        let expected: Vec<_> = (1..=20).map(|n| format!("round {round} line {n}")).collect();
        assert_eq!(texts(&stream.lines(20).await), expected);
    }
}

#[tokio::test]
async fn a_life_that_prints_at_once_and_is_killed_keeps_its_lines_apart_from_the_next() {
    let container = Container::new(&usual_host(), &IsJsonFile::SHAPE).await;
    let logs = logs_of(&container);
    for life in 0..6 {
        // Taken when the next life begins, as its first words.
        container.kill().await;
        container.run(&format!("echo life {life}"));
        container.start().await;
        let mut stream = Reader::open(&logs, None, true).await.unwrap();
        let lines = stream.lines(life + 1).await;
        let is_of_this_life: Vec<_> = lines.iter().map(|read| read.line.is_of_this_life).collect();
        assert_eq!(is_of_this_life, (0..=life).map(|of| of == life).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_log_that_is_not_kept_is_unreadable_with_the_engines_words() {
    let container = Container::new(&usual_host(), &Shape { driver: "none", options: &[], has_terminal: false }).await;
    let error = Reader::open(&logs_of(&container), None, true).await.unwrap_err();
    assert!(matches!(&error, LogError::Unreadable { agent, .. } if *agent == one()), "{error}");
    let text = error.to_string();
    assert!(text.contains("log driver \"none\"") && text.contains("does not support reading"), "{text}");
}

#[tokio::test]
async fn what_a_log_holds_by_now_ends_there_though_the_container_runs() {
    for has_terminal in [false, true] {
        let container = Container::new(&usual_host(), &Shape { has_terminal, ..IsJsonFile::SHAPE }).await;
        let logs = logs_of(&container);
        container.run("echo a; echo b");
        let mut stream = Reader::open(&logs, None, true).await.unwrap();
        stream.lines(2).await;
        // A moment that the calendar tells apart from the one before.
        container.run("n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; echo c");
        let last = stream.lines(1).await.remove(0).line.at;
        let mut whole = Reader::of(logs.recorded(&one(), None).await.unwrap());
        assert_eq!(texts(&whole.until_the_end().await), ["a", "b", "c"]);
        let mut since = Reader::of(logs.recorded(&one(), Some(last)).await.unwrap());
        assert_eq!(texts(&since.until_the_end().await), ["c"]);
    }
    let container = Container::new(&usual_host(), &IsJsonFile::SHAPE).await;
    container.remove().await;
    assert_eq!(logs_of(&container).recorded(&one(), None).await.err(), Some(LogError::Missing(one())));
}

#[tokio::test]
async fn a_container_that_was_never_started_has_an_empty_log() {
    let container = Container::new(&usual_host(), &IsJsonFile::SHAPE).await;
    container.remove().await;
    container.create().await;
    let mut stream = Reader::open(&logs_of(&container), None, true).await.unwrap();
    assert!(stream.until_the_end().await.is_empty());
    assert_eq!(stream.stream.instance().started_at, "0001-01-01T00:00:00Z");
}
