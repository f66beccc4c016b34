//! Which files a path or a pattern names, and how one of them is opened: never over a symbolic link, never anything but a
//! file, never so that one would have to wait.
//!
//! Whoever the agent is, it can put anything into its own folders while it is looked at. So every step from the root of the
//! file system on is taken by the kernel without links (`openat2`), each time anew; where the kernel or a filter of calls
//! does not know that call, folder by folder.
//!
//! Tests: below, and `tests/source_conformance/files.rs`.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use glob::MatchOptions;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use crate::domain::Wall;

/// So deep below the fixed part of a path files are looked for.
const DEPTH_MAX: usize = 16;
/// So many files of a source are followed. Sessions are deleted by their tools after a month or so.
pub(super) const FILES_MAX: usize = 10_000;
/// So many names are looked at: whatever lies there besides, it must not keep us busy.
const NAMES_MAX: usize = 200_000;

/// A path with `..` or a rename on the way may have to be resolved anew.
const TRIES_MAX: u32 = 8;

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Which files are meant.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The part without any pattern.
    fixed: PathBuf,
    /// The rest, name by name; empty if there is none.
    rest: Vec<Part>,
    whole: Option<glob::Pattern>,
}

#[derive(Debug)]
enum Part {
    Name(glob::Pattern),
    Folders,
}

/// A file that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) file: Identity,
    pub(super) len: u64,
}

/// Which file one is. An inode is used again once nothing holds the file that had it, so it does not say so alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Device and inode.
    pub(super) id: (u64, u64),
    /// When it came to be, where its file system tells.
    pub(super) born: Option<Wall>,
}

impl Identity {
    /// Whether a file that lies where the other one lay is that one. `None`: its file system does not tell.
    pub(super) fn is(self, other: Self) -> Option<bool> {
        if self.id != other.id {
            return Some(false);
        }
        Some(self.born? == other.born?)
    }
}

/// A file that has been opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) handle: File,
    pub(super) file: Identity,
    pub(super) len: u64,
    /// When it came to be; where its file system does not tell, when anything about it was last changed.
    pub(super) made_at: Wall,
}

/// What a look at all of it found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) files: Vec<Found>,
    /// The fixed part of the path is there.
    pub(super) is_there: bool,
    /// There is more than can be followed.
    pub(super) is_too_much: bool,
}

impl Pattern {
    /// `None` if it is none; the config has been checked.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_fixed = |part: &&str| !part.contains(['*', '?', '[']);
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let count = parts.iter().take_while(|part| is_fixed(part)).count();
        let (fixed, rest) = parts.split_at(count);
        let part = |part: &&str| {
            if *part == "**" { Some(Part::Folders) } else { glob::Pattern::new(part).ok().map(Part::Name) }
        };
        Some(Self {
            fixed: Path::new("/").join(fixed.join("/")),
            rest: rest.iter().map(part).collect::<Option<_>>()?,
            whole: if rest.is_empty() { None } else { Some(glob::Pattern::new(text).ok()?) },
        })
    }

    /// Whether a file in the folder that was named, or below it, is meant.
    pub(super) fn is_meant(&self, path: &str) -> bool {
        match &self.whole {
            Some(whole) => whole.matches_with(path, OPTIONS),
            // Of a folder the session files, and nothing that a tool keeps beside them.
            None => Path::new(path).extension().is_some_and(|end| end == "jsonl"),
        }
    }

    /// Whether a folder of this name, so deep below the fixed part, may lead to what is meant.
    fn leads_on(&self, name: &str, depth: usize) -> bool {
        if depth >= DEPTH_MAX {
            return false;
        }
        if self.rest.is_empty() || self.rest.iter().take(depth + 1).any(|part| matches!(part, Part::Folders)) {
            return true;
        }
        depth + 1 < self.rest.len()
            && self.rest.get(depth).is_some_and(|part| match part {
                Part::Name(pattern) => pattern.matches_with(name, OPTIONS),
                Part::Folders => true,
            })
    }

    /// Looks at everything there is. Each folder is told before it is looked at, so that nothing can come between.
    pub(super) fn look(&self, on_folder: &mut dyn FnMut(&Path)) -> Result<Looked, String> {
        let mut looked = Looked::default();
        let told = |errno: Errno| said(&self.fixed, errno);
        let fixed = match open(&self.fixed, OFlags::RDONLY) {
            Ok(fixed) => fixed,
            // It may come: then the folder that it is in tells.
            Err(Errno::NOENT) => {
                self.fixed.parent().into_iter().for_each(&mut *on_folder);
                return Ok(looked);
            }
            Err(errno) => return Err(told(errno)),
        };
        let stat = stat_of(&fixed).map_err(told)?;
        looked.is_there = true;
        match sort_of(&stat) {
            FileType::Directory => {}
            FileType::RegularFile if self.rest.is_empty() => {
                self.fixed.parent().into_iter().for_each(&mut *on_folder);
                looked.files.extend(self.fixed.to_str().map(|path| found(path.to_owned(), &stat)));
                return Ok(looked);
            }
            _ => return Err(format!("{} is neither a file nor a folder", self.fixed.display())),
        }
        drop(fixed);
        let mut names = 0_usize;
        let mut folders = vec![(self.fixed.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            on_folder(&folder);
            let handle = match open(&folder, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(handle) => handle,
                Err(errno) if folder == self.fixed => return Err(told(errno)),
                // It has gone meanwhile, or is nobody's business.
                Err(_) => continue,
            };
            let Ok(entries) = Dir::read_from(&handle) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().to_str() else { continue };
                if matches!(name, "." | "..") {
                    continue;
                }
                names += 1;
                if names > NAMES_MAX || looked.files.len() >= FILES_MAX {
                    looked.is_too_much = true;
                    return Ok(looked);
                }
                let path = folder.join(name);
                let Some(text) = path.to_str() else { continue };
                let (is_meant, leads_on) = (self.is_meant(text), self.leads_on(name, depth));
                if !is_meant && !leads_on || entry.file_type() == FileType::Symlink {
                    continue;
                }
                let Ok(stat) = rustix::fs::statx(&handle, name, AtFlags::SYMLINK_NOFOLLOW, WANTED) else { continue };
                match sort_of(&stat) {
                    FileType::RegularFile if is_meant => looked.files.push(found(text.to_owned(), &stat)),
                    FileType::Directory if leads_on => folders.push((path, depth + 1)),
                    _ => {}
                }
            }
        }
        Ok(looked)
    }
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn stat_of(handle: impl AsFd) -> Result<Statx, Errno> {
    rustix::fs::statx(handle, "", AtFlags::EMPTY_PATH, WANTED)
}

fn sort_of(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

fn wall(at: StatxTimestamp) -> Wall {
    Wall(at.tv_sec.saturating_mul(1000).saturating_add(i64::from(at.tv_nsec) / 1_000_000))
}

fn identity(stat: &Statx) -> Identity {
    let id = (rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino);
    let has_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    Identity { id, born: has_birth.then(|| wall(stat.stx_btime)) }
}

fn found(path: String, stat: &Statx) -> Found {
    Found { path, file: identity(stat), len: stat.stx_size }
}

/// Opens a file that is meant; nothing but a file is opened for good.
pub(super) fn open_file(path: &str) -> Result<Opened, String> {
    let path = Path::new(path);
    let handle = open(path, OFlags::RDONLY).map_err(|errno| said(path, errno))?;
    let stat = stat_of(&handle).map_err(|errno| said(path, errno))?;
    if sort_of(&stat) != FileType::RegularFile {
        return Err(format!("{} is no file", path.display()));
    }
    let file = identity(&stat);
    let made_at = file.born.unwrap_or_else(|| wall(stat.stx_ctime));
    Ok(Opened { handle: File::from(handle), file, len: stat.stx_size, made_at })
}

/// The length of an open file, and when it was last written to.
pub(super) fn len_and_written_at(file: &File) -> Option<(u64, Wall)> {
    stat_of(file).ok().map(|stat| (stat.stx_size, wall(stat.stx_mtime)))
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // A pipe without anybody at its other end is opened at once, and looked at before anything is read.
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::AGAIN) if tries < TRIES_MAX => tries += 1,
            // An old kernel, or a filter that does not know the call.
            Err(Errno::NOSYS) => return open_by_steps(path, flags),
            done => return done,
        }
    }
}

/// The same without `openat2`: each folder on the way is opened in the one before, and is none if it is a link.
fn open_by_steps(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, "/", step, Mode::empty())?;
    let mut steps = path.components().filter(|step| !matches!(step, Component::RootDir | Component::CurDir)).peekable();
    while let Some(name) = steps.next() {
        if steps.peek().is_none() {
            return rustix::fs::openat(&folder, name.as_os_str(), flags, Mode::empty());
        }
        let next = rustix::fs::openat(&folder, name.as_os_str(), step, Mode::empty())?;
        if sort_of(&stat_of(&next)?) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        folder = next;
    }
    rustix::fs::openat(CWD, "/", flags, Mode::empty())
}

fn said(path: &Path, errno: Errno) -> String {
    let on_the_way = path.ancestors().find(|part| std::fs::symlink_metadata(part).is_ok_and(|one| one.is_symlink()));
    match on_the_way {
        Some(link) if errno == Errno::LOOP => {
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            format!("{} is a symbolic link; name the real place: {}", link.display(), real.display())
        }
        _ => format!("{}: {}", path.display(), std::io::Error::from(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    fn names(root: &Path, pattern: &str) -> Vec<String> {
        let text = format!("{}/{pattern}", root.display());
        let looked = Pattern::parse(text.trim_end_matches('/')).unwrap().look(&mut |_| {}).unwrap();
        let prefix = format!("{}/", root.display());
        let mut names: Vec<_> = looked.files.into_iter().map(|one| one.path.replace(&prefix, "")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_pattern_names_files_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        create_dir_all(root.join("p/-srv-web/deep/er")).unwrap();
        create_dir_all(root.join("q")).unwrap();
        for file in ["p/-srv-web/a.jsonl", "p/-srv-web/deep/er/b.jsonl", "p/notes.txt", "q/c.jsonl", "top.jsonl"] {
            write(root.join(file), "x\n").unwrap();
        }
        std::os::unix::fs::symlink(root.join("q"), root.join("p/link")).unwrap();
        std::os::unix::fs::symlink(root.join("q/c.jsonl"), root.join("p/c.jsonl")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(root.join("p/pipe.jsonl")).status().unwrap();
        assert!(made.success());
        assert_eq!(names(&root, "p"), ["p/-srv-web/a.jsonl", "p/-srv-web/deep/er/b.jsonl"]);
        assert_eq!(names(&root, "p/**/*.jsonl"), ["p/-srv-web/a.jsonl", "p/-srv-web/deep/er/b.jsonl"]);
        assert_eq!(names(&root, "p/*/*.jsonl"), ["p/-srv-web/a.jsonl"]);
        assert_eq!(names(&root, "*/[a-c].jsonl"), ["q/c.jsonl"]);
        assert_eq!(names(&root, "p/*"), ["p/notes.txt"]);
        assert_eq!(names(&root, "top.jsonl"), ["top.jsonl"]);
        assert_eq!(names(&root, "p/notes.txt"), ["p/notes.txt"]);
        assert!(names(&root, "nothing/here/*.jsonl").is_empty());
        let link = Pattern::parse(&format!("{}/p/link/*.jsonl", root.display())).unwrap();
        let refused = link.look(&mut |_| {}).unwrap_err();
        assert!(refused.contains("is a symbolic link; name the real place"), "{refused}");
        assert!(open_file(&format!("{}/p/pipe.jsonl", root.display())).unwrap_err().contains("is no file"));
        assert!(open_file(&format!("{}/p/link/c.jsonl", root.display())).is_err());
    }
    #[test]
    fn without_the_call_that_follows_no_link_none_is_followed_either() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        create_dir_all(root.join("real/deep")).unwrap();
        write(root.join("real/deep/s.jsonl"), "x\n").unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("real/deep/s.jsonl"), root.join("real/link.jsonl")).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let by_steps =
            |name: &str| open_by_steps(&root.join(name), flags).map(|handle| stat_of(handle).unwrap().stx_ino);
        let at_once = |name: &str| open(&root.join(name), flags).map(|handle| stat_of(handle).unwrap().stx_ino);
        for name in [
            "real/deep/s.jsonl",
            "real/../real/deep",
            "link/deep/s.jsonl",
            "link/deep",
            "link",
            "real/link.jsonl",
            "real/none",
            "none/s.jsonl",
            "real/deep/s.jsonl/below",
        ] {
            assert_eq!(by_steps(name), at_once(name), "{name}");
        }
        assert_eq!(by_steps("link/deep/s.jsonl"), Err(Errno::LOOP));
        assert!(open_by_steps(Path::new("/"), flags).is_ok());
    }
}
