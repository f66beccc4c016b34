//! Files of sessions, as tools write, rename, cut and remove them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use switchman::domain::{LogPosition, Moment, SourceId, SourcePlace, Steady, Wall};
use switchman::drivers::sources::files::FileSources;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::Pending;
use switchman::ports::clock::Clock;
use switchman::ports::logs::{LogBatch, LogError, LogSource};

use super::Rig;
use super::follower::Follower;

/// The longest line that is read whole, in bytes.
const LINE_MAX: usize = 1 << 20;

struct Folder {
    root: PathBuf,
    logs: FileSources,
    _kept: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let root = kept.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("projects/-srv-web")).unwrap();
        Self { root, logs: FileSources::new(Arc::new(SystemClock::new())), _kept: kept }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join("projects").join(name)
    }

    fn add(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.file(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn all(&self) -> SourceId {
        SourceId::Files(format!("{}/projects/**/*.jsonl", self.root.display()))
    }

    async fn follow(&self) -> Follower {
        Follower::open(&self.logs, &self.all(), &[]).await
    }
}

impl Rig for Folder {
    async fn new() -> Self {
        Self::new()
    }

    fn logs(&self) -> &dyn LogSource {
        &self.logs
    }

    fn source(&self) -> SourceId {
        self.all()
    }

    async fn write(&self, line: &str) {
        self.add("-srv-web/s.jsonl", &format!("{line}\n"));
    }
}

macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            super::$promise::<Folder>().await;
        })+
    };
}

promises!(
    what_was_there_before_is_history_and_what_comes_is_read,
    reading_on_gives_exactly_what_follows_each_line,
    a_source_that_was_known_is_read_on_although_nothing_had_come,
    who_gives_up_waiting_loses_nothing,
);

#[tokio::test]
async fn a_session_that_begins_is_read_from_its_first_line_also_in_a_folder_that_is_new() {
    let folder = Folder::new();
    folder.add("-srv-web/old.jsonl", "history\n");
    let mut follower = folder.follow().await;
    folder.add("-srv-web/new.jsonl", "first\n");
    assert_eq!(follower.texts(1).await, ["first"]);
    fs::create_dir_all(folder.file("-srv-api/deep")).unwrap();
    folder.add("-srv-api/deep/s.jsonl", "second\n");
    assert_eq!(follower.texts(1).await, ["second"]);
    folder.add("-srv-web/notes.txt", "not a session\n");
    folder.add("-srv-web/old.jsonl", "third\n");
    assert_eq!(follower.texts(1).await, ["third"]);
}

#[tokio::test]
async fn a_session_that_began_while_nobody_looked_is_read_from_its_first_line() {
    let folder = Folder::new();
    folder.add("old.jsonl", "history\n");
    let known = folder.follow().await.known;
    folder.add("new.jsonl", "first\nsecond\n");
    let mut next = Follower::open(&folder.logs, &folder.all(), &known).await;
    assert_eq!(next.texts(2).await, ["first", "second"]);
}

#[tokio::test]
async fn a_line_waits_for_its_end_and_one_that_is_too_long_is_cut() {
    let folder = Folder::new();
    let mut follower = folder.follow().await;
    folder.add("s.jsonl", "whole\nhalf");
    assert_eq!(follower.texts(1).await, ["whole"]);
    // Nothing of it is lost with whoever had read it.
    let known = follower.known.clone();
    drop(follower);
    let mut follower = Follower::open(&folder.logs, &folder.all(), &known).await;
    folder.add("s.jsonl", " and half\r\n");
    assert_eq!(follower.texts(1).await, ["half and half"]);
    folder.add("s.jsonl", &format!("{}\nnext\n", "x".repeat(3 * LINE_MAX)));
    let (text, _) = follower.line().await;
    assert_eq!((text.len(), follower.cut), (LINE_MAX, 1));
    assert_eq!(follower.texts(1).await, ["next"]);
    assert_eq!((follower.cut, follower.gaps), (1, 0));
}

#[tokio::test]
async fn what_is_being_written_at_first_sight_is_no_history() {
    let folder = Folder::new();
    folder.add("s.jsonl", "old\nbeing wri");
    let mut follower = folder.follow().await;
    folder.add("s.jsonl", "tten\n");
    assert_eq!(follower.texts(1).await, ["being written"]);
}

#[tokio::test]
async fn a_file_that_is_rotated_away_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let folder = Folder::new();
    folder.add("s.jsonl", "old\n");
    let source = SourceId::Files(folder.file("s.jsonl").display().to_string());
    let mut follower = Follower::open(&folder.logs, &source, &[]).await;
    folder.add("s.jsonl", "a\n");
    assert_eq!(follower.texts(1).await, ["a"]);
    let mut writer = OpenOptions::new().append(true).open(folder.file("s.jsonl")).unwrap();
    fs::rename(folder.file("s.jsonl"), folder.file("s.1")).unwrap();
    writer.write_all(b"last words\n").unwrap();
    folder.add("s.jsonl", "new\n");
    let mut both = follower.texts(2).await;
    both.sort();
    assert_eq!(both, ["last words", "new"]);
    assert_eq!(follower.gaps, 0);
}

#[tokio::test]
async fn a_file_that_is_renamed_goes_on_under_its_new_name() {
    let folder = Folder::new();
    folder.add("a.jsonl", "old\n");
    let mut follower = folder.follow().await;
    folder.add("a.jsonl", "first\n");
    assert_eq!(follower.texts(1).await, ["first"]);
    fs::rename(folder.file("a.jsonl"), folder.file("b.jsonl")).unwrap();
    folder.add("b.jsonl", "second\n");
    assert_eq!(follower.texts(1).await, ["second"]);
    let known = follower.known.clone();
    drop(follower);
    // The same while nobody looks.
    fs::rename(folder.file("b.jsonl"), folder.file("c.jsonl")).unwrap();
    folder.add("c.jsonl", "third\n");
    let mut next = Follower::open(&folder.logs, &folder.all(), &known).await;
    assert_eq!(next.texts(1).await, ["third"]);
    let paths: Vec<&str> = next.known.iter().map(LogPosition::part).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths, [folder.file("c.jsonl").display().to_string()]);
}

#[tokio::test]
async fn a_file_that_was_cut_is_a_gap_and_read_from_its_beginning() {
    let folder = Folder::new();
    let mut follower = folder.follow().await;
    folder.add("s.jsonl", "one\ntwo\nthree\n");
    assert_eq!(follower.texts(3).await, ["one", "two", "three"]);
    fs::write(folder.file("s.jsonl"), "four\n").unwrap();
    assert_eq!(follower.texts(1).await, ["four"]);
    assert_eq!(follower.gaps, 1);
    let known = follower.known.clone();
    drop(follower);
    fs::write(folder.file("s.jsonl"), "5\n").unwrap();
    let mut next = Follower::open(&folder.logs, &folder.all(), &known).await;
    assert_eq!(next.texts(1).await, ["5"]);
    assert_eq!(next.gaps, 1);
}

#[tokio::test]
async fn a_file_that_is_gone_is_forgotten_and_may_come_back() {
    let folder = Folder::new();
    let mut follower = folder.follow().await;
    folder.add("s.jsonl", "one\n");
    assert_eq!(follower.texts(1).await, ["one"]);
    let has_file = |follower: &Follower| {
        let is_file = |at: &&LogPosition| !at.part().is_empty();
        follower.known.iter().filter(is_file).count() > 0
    };
    assert!(has_file(&follower));
    fs::remove_file(folder.file("s.jsonl")).unwrap();
    follower.until(|follower| !has_file(follower)).await;
    folder.add("s.jsonl", "two\n");
    assert_eq!(follower.texts(1).await, ["two"]);
    let known = follower.known.clone();
    drop(follower);
    fs::remove_file(folder.file("s.jsonl")).unwrap();
    let next = Follower::open(&folder.logs, &folder.all(), &known).await;
    assert!(!has_file(&next), "{next:?}");
}

#[tokio::test]
async fn nothing_is_read_over_a_link_or_out_of_a_pipe() {
    let folder = Folder::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.jsonl"), "").unwrap();
    symlink(outside.path(), folder.file("link")).unwrap();
    symlink(outside.path().join("secret.jsonl"), folder.file("link.jsonl")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.file("pipe.jsonl")).status().unwrap();
    assert!(made.success());
    let mut follower = folder.follow().await;
    fs::write(outside.path().join("secret.jsonl"), "secret\n").unwrap();
    // A file that is known is replaced by a link to another one.
    folder.add("s.jsonl", "one\n");
    assert_eq!(follower.texts(1).await, ["one"]);
    fs::remove_file(folder.file("s.jsonl")).unwrap();
    symlink(outside.path().join("secret.jsonl"), folder.file("s.jsonl")).unwrap();
    folder.add("t.jsonl", "two\n");
    assert_eq!(follower.texts(1).await, ["two"]);
    let over = SourceId::Files(format!("{}/projects/link/*.jsonl", folder.root.display()));
    let refused = Follower::try_open(&folder.logs, &over, &[]).await.unwrap_err();
    assert!(matches!(&refused, LogError::Unreadable { why, .. } if why.contains("symbolic link")), "{refused}");
    let pipe = SourceId::Files(folder.file("pipe.jsonl").display().to_string());
    let refused = Follower::try_open(&folder.logs, &pipe, &[]).await.unwrap_err();
    assert!(matches!(&refused, LogError::Unreadable { why, .. } if why.contains("neither a file")), "{refused}");
}

#[tokio::test]
async fn a_folder_that_comes_later_is_found() {
    let folder = Folder::new();
    let source = SourceId::Files(format!("{}/later/below", folder.root.display()));
    let mut follower = Follower::open(&folder.logs, &source, &[]).await;
    fs::create_dir_all(folder.root.join("later/below")).unwrap();
    fs::write(folder.root.join("later/below/s.jsonl"), "here\n").unwrap();
    assert_eq!(follower.texts(1).await, ["here"]);
}

/// Every file at once, none starved by the one that never ends.
#[tokio::test]
async fn a_flood_in_one_file_does_not_hold_up_the_others() {
    let folder = Folder::new();
    let mut follower = folder.follow().await;
    let flood = format!("{}\n", "x".repeat(1000)).repeat(8 * 1024);
    folder.add("flood.jsonl", &flood);
    folder.add("quiet.jsonl", "a word\n");
    let mut before = 0;
    while follower.line().await.0 != "a word" {
        before += 1;
    }
    assert!(before < 8 * 1024, "it came last");
    for _ in before..8 * 1024 {
        assert_eq!(follower.line().await.0.len(), 1000);
    }
}

/// One instance for everybody: a user has 128 of them.
#[tokio::test]
async fn many_followers_share_one_instance_of_the_kernels_watch() {
    let folder = Folder::new();
    let mut followers = Vec::new();
    for number in 0..200 {
        fs::create_dir_all(folder.root.join(format!("agent-{number}"))).unwrap();
        let source = SourceId::Files(format!("{}/agent-{number}/*.jsonl", folder.root.display()));
        followers.push(Follower::open(&folder.logs, &source, &[]).await);
    }
    let own = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let instances = own.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("anon_inode:inotify")));
    // Other tests of this process may have one each.
    assert!(instances.count() < 50);
    for (number, follower) in followers.iter_mut().enumerate() {
        fs::write(folder.root.join(format!("agent-{number}/s.jsonl")), "hello\n").unwrap();
        assert_eq!(follower.texts(1).await, ["hello"]);
    }
}

#[tokio::test]
async fn a_source_that_may_not_be_read_says_why() {
    let folder = Folder::new();
    folder.add("s.jsonl", "one\n");
    let source = SourceId::Files(format!("{}/projects/s.jsonl/below/*.jsonl", folder.root.display()));
    let refused = Follower::try_open(&folder.logs, &source, &[]).await.unwrap_err();
    assert!(matches!(&refused, LogError::Unreadable { why, .. } if why.contains("Not a directory")), "{refused}");
    fs::set_permissions(folder.file("s.jsonl"), fs::Permissions::from_mode(0o000)).unwrap();
    // Whoever is root may read everything.
    let may_read_all = fs::File::open(folder.file("s.jsonl")).is_ok();
    let opened = Follower::try_open(&folder.logs, &folder.all(), &[]).await;
    assert_eq!(opened.is_ok(), may_read_all);
}

/// However it is written and whenever whoever reads it dies: each line once, in order.
#[tokio::test]
async fn reading_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    let folder = Folder::new();
    let mut known = folder.follow().await.known;
    let (mut read, mut written) = (Vec::new(), 0);
    for round in 0..40 {
        let mut piece = Vec::new();
        for _ in 0..round % 7 {
            writeln!(piece, "line {written}").unwrap();
            written += 1;
        }
        let (half, rest) = piece.split_at(piece.len() / 2);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        folder.add("s.jsonl", &text(half));
        let mut follower = Follower::open(&folder.logs, &folder.all(), &known).await;
        folder.add("s.jsonl", &text(rest));
        // Some of it, and then it is killed: what was written down is what counts.
        while read.len() < written - usize::from(round % 3 == 0 && round < 39) * (round % 7).min(2) {
            let (text, now) = follower.line().await;
            read.push(text);
            known = now;
        }
    }
    assert_eq!(read, (0..written).map(|number| format!("line {number}")).collect::<Vec<_>>());
    let is_file = |at: &&LogPosition| matches!(at, LogPosition::Source { place: SourcePlace::File { .. }, .. });
    assert_eq!(known.iter().filter(is_file).count(), 1);
    // Of the kernel's watches none is left open by those that were dropped.
    assert!(fs::File::open(folder.file("s.jsonl")).unwrap().as_raw_fd() < 1000);
}

/// The places as they would be, had they been written down so long before.
fn earlier(known: &[LogPosition], by: Duration) -> Vec<LogPosition> {
    let mut known = known.to_vec();
    for position in &mut known {
        if let LogPosition::Source { at, .. } = position {
            *at = at.minus(by);
        }
    }
    known
}

/// Puts a new file there that has this inode. A file system gives the inodes of removed files out again, but perhaps to
/// somebody else first: then the place is changed by hand, to what it would be.
fn take_over(folder: &Folder, name: &str, text: &str, known: &mut [LogPosition]) {
    let wanted = known.iter().find_map(inode).unwrap();
    for attempt in 0..200 {
        folder.add(name, text);
        if fs::metadata(folder.file(name)).unwrap().ino() == wanted {
            return;
        }
        // It keeps its inode until the right one has come.
        fs::rename(folder.file(name), folder.file(&format!("{attempt}.other"))).unwrap();
    }
    folder.add(name, text);
    let now = fs::metadata(folder.file(name)).unwrap();
    for position in known {
        if let LogPosition::Source { place: SourcePlace::File { file, .. }, .. } = position {
            *file = (now.dev(), now.ino());
        }
    }
}

fn inode(position: &LogPosition) -> Option<u64> {
    match position {
        LogPosition::Source { place: SourcePlace::File { file, .. }, .. } => Some(file.1),
        _ => None,
    }
}

/// Sessions are deleted and begun while the daemon is down, and inodes are used again.
#[tokio::test]
async fn a_session_that_was_begun_on_the_inode_of_a_deleted_one_is_read_from_its_first_line() {
    for name in ["old.jsonl", "new.jsonl"] {
        let folder = Folder::new();
        let mut follower = folder.follow().await;
        folder.add("old.jsonl", "one\ntwo\n");
        assert_eq!(follower.texts(2).await, ["one", "two"]);
        let mut known = earlier(&follower.known, Duration::from_secs(3600));
        drop(follower);
        fs::remove_file(folder.file("old.jsonl")).unwrap();
        take_over(&folder, name, "first\nsecond\nthird\n", &mut known);
        let mut next = Follower::open(&folder.logs, &folder.all(), &known).await;
        assert_eq!(next.texts(3).await, ["first", "second", "third"], "{name}");
        assert_eq!(next.gaps, 0);
    }
}

#[tokio::test]
async fn a_file_that_was_rotated_while_nobody_looked_is_read_on_and_the_new_one_from_its_beginning() {
    let folder = Folder::new();
    let mut follower = folder.follow().await;
    folder.add("a.jsonl", "one\n");
    assert_eq!(follower.texts(1).await, ["one"]);
    let known = follower.known.clone();
    drop(follower);
    folder.add("a.jsonl", "last words\n");
    fs::rename(folder.file("a.jsonl"), folder.file("b.jsonl")).unwrap();
    folder.add("a.jsonl", "new\n");
    let mut next = Follower::open(&folder.logs, &folder.all(), &known).await;
    let mut both = next.texts(2).await;
    both.sort();
    assert_eq!(both, ["last words", "new"]);
    let known = next.known.clone();
    assert_eq!(known.iter().filter_map(inode).count(), 2, "{known:?}");
}

/// A clock on which everything takes ten minutes.
#[derive(Default)]
struct Slow(AtomicU64);

impl Clock for Slow {
    fn now(&self) -> Moment {
        let steady = self.0.fetch_add(600_000, Ordering::Relaxed);
        Moment { wall: SystemClock::new().now().wall, steady: Steady(steady) }
    }

    fn sleep(&self, _: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_tree_that_takes_longer_to_look_at_than_looks_are_apart_is_read_all_the_same() {
    let mut folder = Folder::new();
    folder.logs = FileSources::new(Arc::new(Slow::default()));
    let mut follower = folder.follow().await;
    for line in ["one", "two", "three"] {
        folder.add("s.jsonl", &format!("{line}\n"));
        assert_eq!(follower.texts(1).await, [line]);
    }
}

#[tokio::test]
async fn a_line_is_dated_no_later_than_its_file_was_last_written_to() {
    let folder = Folder::new();
    let mut stream = {
        let known = folder.follow().await.known;
        folder.add("s.jsonl", "one\n");
        let written = SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_123);
        fs::File::options().append(true).open(folder.file("s.jsonl")).unwrap().set_modified(written).unwrap();
        folder.logs.open(&switchman::domain::AgentName::new("one"), &folder.all(), &known, true).await.unwrap()
    };
    let mut batch = LogBatch::default();
    while batch.is_empty() {
        stream.next(&mut batch).await.unwrap();
    }
    let (_, line) = batch.iter().next().unwrap();
    assert_eq!(line.at, Wall(1_600_000_000_123));
    let Some(LogPosition::Source { at, .. }) = stream.position(line) else { panic!("it has a place") };
    assert!(at > line.at, "when it was read is another time");
}
