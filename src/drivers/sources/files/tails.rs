//! The files of one source, and how far each has been read. Everything here may block: it runs off the runtime.
//!
//! | what a look finds | what follows |
//! |---|---|
//! | a file that was read before, under its name or another | read on from there |
//! | one that is new since the source was known | read from its beginning |
//! | one that came to be after what was kept of its inode | another file, whatever its name: read from its beginning |
//! | one that was there before that | read from the end of its last whole line: history is no failure |
//! | one that is shorter than what was read of it | it was cut: a gap, and read from its beginning |
//! | another file under the name of one | the old one is read to its end while it can be, the new one from its beginning |
//! | none where one was | read to its end while it can be, then forgotten |
//!
//! A file that was cut and written again, up to where it had been read or further, between two looks is not noticed.
//! Where a file system does not tell when a file came to be, an inode that is used again under its old name is taken for the
//! same file, and under another name for a rename unless it is shorter than what was read.
//! It must not hold more of lines that have not ended than [`HELD_MAX`].
//!
//! Tests: `files/tails_tests.rs`, `tests/source_conformance/files.rs`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::split::{LINE_MAX, Splitter};
use super::kept::{Before, Kept, Place};
use super::tree::{self, FILES_MAX, Found, Identity, Opened, Pattern};
use crate::domain::{LogPosition, SourceId, SourcePlace, Wall};
use crate::ports::logs::{LineMark, LogBatch, LogLine, OutputOf};

/// One turn takes so much of one file at most.
const TURN_LEN: usize = 64 * 1024;

/// What is held of lines that have not ended, of all files together; what is beyond is cut.
const HELD_MAX: usize = 16 * LINE_MAX;

/// File systems are not as exact as the clock is.
const ROUGHLY: Duration = Duration::from_secs(60);

/// A file that has not been read for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// What one turn gave.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Lines of one file.
    pub(super) lines: LogBatch,
    /// Something is lost.
    pub(super) has_gap: bool,
    /// The tree is another one than at the last look.
    pub(super) wants_look: bool,
}

/// The files of one source.
pub(super) struct Tails {
    source: SourceId,
    pattern: Pattern,
    /// Where reading goes on, of files that were not found yet.
    from: Kept,
    /// What came to be later is read from its beginning; `None`: the source was never known.
    known_since: Option<Wall>,
    files: HashMap<u32, Tail>,
    by_path: HashMap<String, u32>,
    /// Those that have grown, each once.
    line: VecDeque<u32>,
    next: u32,
    has_looked: bool,
    /// Whatever is written to that is not known: the last look could not do anything with it.
    unreadable: HashSet<String>,
    is_too_much: bool,
    has_gap: bool,
    held: usize,
    moved: Vec<LogPosition>,
    places: Arc<Semaphore>,
    room: Vec<u8>,
}

/// One file.
struct Tail {
    path: String,
    file: Identity,
    /// Behind the last whole line.
    offset: u64,
    /// So much has been taken in; what is beyond `offset` is held by the splitter.
    taken: u64,
    splitter: Splitter,
    open: Option<(File, OwnedSemaphorePermit)>,
    is_in_line: bool,
    /// It could not be opened the last time: the next look tries it again, not each word of it.
    is_refused: bool,
    /// Nobody can find it any more.
    is_gone: bool,
    /// When it was last read.
    read_at: Wall,
}

impl Tails {
    /// Nothing is looked at yet. `None` if the text is no pattern.
    pub(super) fn new(pattern: &str, positions: &[LogPosition], now: Wall, places: Arc<Semaphore>) -> Option<Self> {
        let source = SourceId::Files(pattern.to_owned());
        let (mut from, mut since, mut newest) = (Kept::default(), None, None);
        for position in positions {
            let LogPosition::Source { source: of, place, at } = position else { continue };
            if *of != source {
                continue;
            }
            newest = newest.max(Some(*at));
            match place {
                SourcePlace::Known => since = Some(*at),
                SourcePlace::File { path, file, offset } => {
                    from.insert(path.clone(), Place { id: *file, offset: *offset, at: *at });
                }
                SourcePlace::Gone { .. } | SourcePlace::Journal { .. } => {}
            }
        }
        let mut moved = Vec::new();
        if since.is_none() {
            moved.push(LogPosition::Source { source: source.clone(), place: SourcePlace::Known, at: now });
        }
        Some(Self {
            source,
            pattern: Pattern::parse(pattern)?,
            from,
            known_since: since.or(newest),
            files: HashMap::new(),
            by_path: HashMap::new(),
            line: VecDeque::new(),
            next: 0,
            has_looked: false,
            unreadable: HashSet::new(),
            is_too_much: false,
            has_gap: false,
            held: 0,
            moved,
            places,
            room: Vec::new(),
        })
    }

    /// Whether anything is to be read, or told.
    pub(super) fn has_work(&self) -> bool {
        !self.line.is_empty() || self.has_gap
    }

    /// Whether positions have come about without a line.
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Positions that have come about without a line.
    pub(super) fn moved(&mut self) -> Vec<LogPosition> {
        std::mem::take(&mut self.moved)
    }

    /// The position behind a line.
    pub(super) fn position(&self, line: &LogLine) -> Option<LogPosition> {
        let LineMark::Byte { file, upto } = line.position else { return None };
        let tail = self.files.get(&file)?;
        // Of a file whose name another one has by now there is no place to keep.
        if self.by_path.get(&tail.path).is_some_and(|known| *known != file) {
            return None;
        }
        // Not the time of the line: a file's own time can be set to anything.
        Some(self.place(tail, upto, tail.read_at))
    }

    /// Where a file has been read to without a line.
    fn note(&mut self, file: u32, now: Wall) {
        let place = self.files.get(&file).map(|tail| self.place(tail, tail.offset, now));
        self.moved.extend(place);
    }

    fn place(&self, tail: &Tail, offset: u64, at: Wall) -> LogPosition {
        let place = SourcePlace::File { path: tail.path.clone(), file: tail.file.id, offset };
        LogPosition::Source { source: self.source.clone(), place, at }
    }

    /// A file was written to; false if a look is to find out which.
    pub(super) fn has_grown(&mut self, path: &Path) -> bool {
        let Some(path) = path.to_str() else { return true };
        let Some(file) = self.by_path.get(path).copied() else {
            // What is nobody's business, or could not be read a moment ago, must not keep us looking.
            return self.is_too_much || !self.pattern.is_meant(path) || self.unreadable.contains(path);
        };
        if self.files.get(&file).is_some_and(|tail| !tail.is_refused) {
            self.put_in_line(file);
        }
        true
    }

    fn put_in_line(&mut self, file: u32) {
        if let Some(tail) = self.files.get_mut(&file)
            && !std::mem::replace(&mut tail.is_in_line, true)
        {
            self.line.push_back(file);
        }
    }

    /// Looks at the tree, and takes note of what is new, gone or another one.
    pub(super) fn look(&mut self, now: Wall, on_folder: &mut dyn FnMut(&Path)) -> Result<(), String> {
        let looked = self.pattern.look(on_folder)?;
        if looked.is_too_much {
            tracing::debug!(source = %self.source, "more files than {FILES_MAX} that are followed");
        }
        self.is_too_much = looked.is_too_much;
        self.unreadable.clear();
        // What was not reached is not gone.
        self.lose(&looked.files, looked.is_too_much, now);
        let mut refused = None;
        let mut can_read = false;
        for found in looked.files {
            if let Some(file) = self.by_path.get(&found.path).copied() {
                can_read |= self.look_again(file, found.len, now);
            } else {
                let path = found.path.clone();
                match self.add(found, now) {
                    Ok(()) => can_read = true,
                    Err(why) => {
                        self.unreadable.insert(path);
                        refused = Some(why);
                    }
                }
            }
        }
        if !self.has_looked {
            // Those that are not there any more.
            for path in self.from.rest() {
                self.forget(path, now);
            }
            self.has_looked = true;
        }
        for tail in self.files.values_mut() {
            if tail.read_at.plus(IDLE) < now && !tail.is_in_line && !tail.is_gone {
                // Nothing has come for a while: it is opened, and its last words are read, again when something does.
                self.held -= tail.splitter.held();
                tail.splitter.clear();
                (tail.taken, tail.open) = (tail.offset, None);
            }
        }
        self.known_since.get_or_insert(now);
        match refused {
            Some(why) if !can_read => Err(why),
            Some(why) => {
                tracing::debug!(source = %self.source, why, "a file cannot be read");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The place of a path is kept no longer, unless another file has it by now.
    fn forget(&mut self, path: String, now: Wall) {
        if !self.by_path.contains_key(&path) {
            let gone = self.gone(path, now);
            self.moved.push(gone);
        }
    }

    fn gone(&self, path: String, at: Wall) -> LogPosition {
        LogPosition::Source { source: self.source.clone(), place: SourcePlace::Gone { path }, at }
    }

    /// Files that are not where they were: renamed, or gone.
    fn lose(&mut self, found: &[Found], is_too_much: bool, now: Wall) {
        let by_id: HashMap<(u64, u64), &Found> = found.iter().map(|one| (one.file.id, one)).collect();
        let there: HashMap<&str, Identity> = found.iter().map(|one| (one.path.as_str(), one.file)).collect();
        let is_in_place =
            |path: &str, tail: &Tail| there.get(path).is_some_and(|file| tail.file.is(*file).unwrap_or(true));
        let lost: Vec<u32> = self
            .by_path
            .iter()
            .filter(|(path, file)| self.files.get(file).is_none_or(|tail| !is_in_place(path, tail)))
            .map(|(_, file)| *file)
            .collect();
        // All names are given up before any is taken: two files may have changed theirs.
        for file in &lost {
            if let Some(tail) = self.files.get(file) {
                let path = tail.path.clone();
                self.by_path.remove(&path);
            }
        }
        for file in lost {
            let Some(tail) = self.files.get_mut(&file) else { continue };
            let old = tail.path.clone();
            // Nobody takes over the inode of a file that is held open.
            let is_held = tail.open.is_some();
            let is_it = |one: &&&Found| tail.file.is(one.file).unwrap_or(is_held || one.len >= tail.taken);
            if let Some(one) = by_id.get(&tail.file.id).filter(is_it) {
                one.path.clone_into(&mut tail.path);
                self.by_path.insert(one.path.clone(), file);
                let gone = self.gone(old, now);
                self.moved.push(gone);
                self.note(file, now);
                continue;
            }
            if is_too_much && !found.iter().any(|one| one.path == old) && Path::new(&old).exists() {
                self.by_path.insert(old, file);
                continue;
            }
            tail.is_gone = true;
            // What was not read of it cannot be read any more, and nobody can say whether there was anything.
            self.has_gap |= !is_held && tail.is_in_line;
            self.put_in_line(file);
        }
    }

    /// A file that is known is still where it was. Says whether it can be read, as far as that is known.
    fn look_again(&mut self, file: u32, len: u64, now: Wall) -> bool {
        let Some(tail) = self.files.get_mut(&file) else { return false };
        if len < tail.taken {
            self.cut(file, now);
        } else if len > tail.taken {
            self.put_in_line(file);
        }
        true
    }

    /// The file is shorter than what was read of it.
    fn cut(&mut self, file: u32, now: Wall) {
        let Some(tail) = self.files.get_mut(&file) else { return };
        self.held -= tail.splitter.held();
        tail.splitter.clear();
        (tail.offset, tail.taken) = (0, 0);
        self.has_gap = true;
        self.note(file, now);
        self.put_in_line(file);
    }

    /// A file that is found for the first time.
    fn add(&mut self, found: Found, now: Wall) -> Result<(), String> {
        let Opened { handle, file: identity, len, made_at } = tree::open_file(&found.path)?;
        let (kept, came_since) = match self.from.find(&found.path, identity, len) {
            Before::Read { path, offset } => {
                if path != found.path {
                    self.forget(path, now);
                }
                (Some(offset), false)
            }
            Before::CameSince => (None, true),
            Before::Unknown => (None, false),
        };
        let is_cut = kept.is_some_and(|offset| offset > len);
        // Every file that was there at the first look has a place since; but places are not kept for ever.
        let is_young = |since: Wall| made_at.plus(ROUGHLY) >= since;
        let is_new = came_since || self.has_looked || self.known_since.is_some_and(is_young);
        let offset = match kept {
            Some(_) if is_cut => 0,
            Some(offset) => offset,
            None if is_new => 0,
            None => last_whole_line(&handle, len),
        };
        let file = self.next;
        self.next = self.next.wrapping_add(1);
        let tail = Tail {
            path: found.path.clone(),
            file: identity,
            offset,
            taken: offset,
            splitter: Splitter::default(),
            open: None,
            is_in_line: false,
            is_refused: false,
            is_gone: false,
            read_at: now,
        };
        self.files.insert(file, tail);
        self.by_path.insert(found.path, file);
        self.has_gap |= is_cut;
        if kept != Some(offset) {
            self.note(file, now);
        }
        if len > offset {
            self.put_in_line(file);
        }
        Ok(())
    }

    /// Reads a piece of the file whose turn it is.
    pub(super) fn turn(&mut self, now: Wall) -> Turn {
        let mut turn = Turn { has_gap: std::mem::take(&mut self.has_gap), ..Turn::default() };
        let Some(file) = self.line.pop_front() else { return turn };
        let Some(mut tail) = self.files.remove(&file) else { return turn };
        tail.is_in_line = false;
        let read = self.read(&mut tail, file, now, &mut turn);
        match read {
            Read::More => {
                tail.is_in_line = true;
                self.line.push_back(file);
            }
            Read::End if tail.is_gone => {
                self.held -= tail.splitter.held();
                tail.splitter.clear();
                self.forget(tail.path, now);
                return turn;
            }
            Read::End => {}
            // Once: one that nobody can open, and that grows, would be looked for without an end.
            Read::Another => turn.wants_look = !std::mem::replace(&mut tail.is_refused, true),
            Read::Cut => {
                self.files.insert(file, tail);
                self.cut(file, now);
                return turn;
            }
        }
        self.files.insert(file, tail);
        turn
    }

    fn read(&mut self, tail: &mut Tail, file: u32, now: Wall, turn: &mut Turn) -> Read {
        tail.read_at = now;
        let opened;
        let handle = match &tail.open {
            Some((handle, _)) => handle,
            None if tail.is_gone => return Read::End,
            None => match tree::open_file(&tail.path) {
                Ok(Opened { handle, file, .. }) if tail.file.is(file).unwrap_or(true) => {
                    tail.is_refused = false;
                    if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                        &tail.open.insert((handle, place)).0
                    } else {
                        // Too many are open: this one is for the turn.
                        opened = handle;
                        &opened
                    }
                }
                Ok(_) | Err(_) => return Read::Another,
            },
        };
        self.room.resize(TURN_LEN, 0);
        let Ok(len) = handle.read_at(&mut self.room, tail.taken) else { return Read::End };
        if len == 0 {
            let is_cut = tree::len_and_written_at(handle).is_some_and(|(len, _)| len < tail.taken);
            return if is_cut { Read::Cut } else { Read::End };
        }
        // What nobody dates was written before the file was last changed, however late it is read.
        let at = tree::len_and_written_at(handle).map_or(now, |(_, written_at)| written_at.min(now));
        let (begin, before) = (tail.taken, tail.splitter.held());
        let mut offset = tail.offset;
        tail.splitter.feed(&self.room[..len], |line| {
            offset = begin + u64::try_from(line.taken).unwrap_or(0);
            let position = LineMark::Byte { file, upto: offset };
            let stream = OutputOf::Console;
            let known = LogLine { at, position, is_of_this_life: false, is_cut: line.is_cut, stream };
            turn.lines.push(line.text, known);
        });
        tail.offset = offset;
        tail.taken = begin + u64::try_from(len).unwrap_or(0);
        self.held = self.held - before + tail.splitter.held();
        if self.held > HELD_MAX {
            self.held -= tail.splitter.held();
            tail.splitter.cut();
        }
        Read::More
    }
}

/// What reading a piece came to.
enum Read {
    /// There may be more.
    More,
    /// There is no more now.
    End,
    /// Another file lies there, or none that can be opened.
    Another,
    /// It is shorter than what was read of it.
    Cut,
}

/// Where the last line that has ended ends: what is being written is not history.
fn last_whole_line(file: &File, len: u64) -> u64 {
    let mut end = len;
    let mut room = vec![0; TURN_LEN];
    while end > 0 && len - end < u64::try_from(LINE_MAX).unwrap_or(u64::MAX) {
        let begin = end.saturating_sub(u64::try_from(TURN_LEN).unwrap_or(u64::MAX));
        let part = usize::try_from(end - begin).unwrap_or(0);
        if file.read_exact_at(&mut room[..part], begin).is_err() {
            return len;
        }
        if let Some(at) = memchr::memrchr(b'\n', &room[..part]) {
            return begin + u64::try_from(at).unwrap_or(0) + 1;
        }
        end = begin;
    }
    // A file without any end of a line has one line, which is being written; one that is too long is nobody's.
    if end == 0 { 0 } else { len }
}

#[cfg(test)]
#[path = "tails_tests.rs"]
mod tests;
