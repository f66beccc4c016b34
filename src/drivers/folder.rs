//! Files of one folder, read and replaced without being led astray.
//!
//! It must not follow what somebody planted in the way. The folder is opened with no symbolic link anywhere on its path,
//! where the kernel can promise that (`openat2`), else with none at its end; from then on every step goes through that
//! handle, on single names, and a name that is a symbolic link, a FIFO, a folder or one of several hard links is refused.
//!
//! ```text
//!  what is left by a crash removed ──► temporary made (it must be new), owner, mode, content, synced ──► renamed ──► folder synced
//! ```
//!
//! The temporary names are fixed, so what a crash left is found and removed by the next one to write.
//!
//! Tests: below, `tests/delivery_conformance.rs`, and those of the credentials.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::domain::Wall;

/// Only its owner reads and writes it.
pub(super) const SECRET_MODE: u32 = 0o600;
/// A path with `..` may have to be resolved anew while folders are moved about.
const TRIES_MAX: u32 = 8;

/// Why something could not be done.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Whether it stays so until a person acts.
    pub(super) stays: bool,
    /// The cause in words.
    pub(super) why: String,
}

impl Trouble {
    pub(super) fn stays(why: impl Into<String>) -> Self {
        Self { stays: true, why: why.into() }
    }

    fn of(what: &str, errno: Errno) -> Self {
        let lasting =
            [Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG];
        Self { stays: lasting.contains(&errno), why: format!("{what}: {}", std::io::Error::from(errno)) }
    }
}

/// Who is to own a new file: a user, and a group unless it stays that of whoever makes it. `None`: whoever makes it.
pub(super) type Ownership = Option<(Uid, Option<Gid>)>;

/// A folder, held open.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    stat: Stat,
}

/// What a file holds, and what is known of it.
pub(super) struct Content {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) stat: Stat,
}

/// When a file was last written.
pub(super) fn written_at(stat: &Stat) -> Wall {
    let (secs, nanos) = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    Wall(secs.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

/// Whose a file is.
pub(super) fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

/// The name under which a file is written before it is renamed.
pub(super) fn temporary_name(file: &str) -> String {
    format!(".{file}.switchman-new")
}

/// A temporary file; removed unless it became the real one.
pub(super) struct Temporary<'a> {
    folder: &'a Folder,
    name: String,
    identity: Identity,
    is_placed: bool,
}

/// What tells a file from every other one of the machine, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

fn identity(stat: &Stat) -> Identity {
    Identity(stat.st_dev, stat.st_ino)
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            let _next_one_removes_it = rustix::fs::unlinkat(&self.folder.handle, &self.name, AtFlags::empty()).is_err();
        }
    }
}

/// The folder of a file, and the file's name in it.
pub(super) fn open(path: &Path) -> Result<(Folder, String), Trouble> {
    let names = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
    let (folder, file) = names.ok_or_else(|| Trouble::stays("the path names no file in a folder"))?;
    if !path.is_absolute() {
        return Err(Trouble::stays("the path is not absolute"));
    }
    let handle = match open_without_links(folder) {
        // An old kernel, or a filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_without_link_at_the_end(folder),
        other => other,
    };
    let handle = handle.map_err(|errno| match errno {
        Errno::NOENT => Trouble::stays(format!("the folder {} does not exist; create it", folder.display())),
        Errno::LOOP | Errno::NOTDIR => Trouble::stays(no_real_folder(folder)),
        other => Trouble::of("open its folder", other),
    })?;
    let stat = rustix::fs::fstat(&handle).map_err(|errno| Trouble::of("look at its folder", errno))?;
    Ok((Folder { handle, stat }, file.to_owned()))
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whoever owns a folder on the way could put a link in place of the next one.
fn open_without_links(folder: &Path) -> Result<OwnedFd, Errno> {
    let root = rustix::fs::openat(CWD, "/", FOLDER | OFlags::PATH, Mode::empty())?;
    let inside = folder.strip_prefix("/").unwrap_or(folder);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(&root, inside, FOLDER, Mode::empty(), how) {
            Err(Errno::AGAIN) if tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

fn open_without_link_at_the_end(folder: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, folder, FOLDER | OFlags::NOFOLLOW, Mode::empty())
}

/// What is wrong with a path that leads to no folder, or over a link to one.
fn no_real_folder(folder: &Path) -> String {
    let mut on_the_way: Vec<&Path> = folder.ancestors().collect();
    on_the_way.reverse();
    let is_link = |path: &&&Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    match on_the_way.iter().find(is_link) {
        Some(link) => {
            let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            format!("{} is a symbolic link; name the real folder: {}", link.display(), real.display())
        }
        None => format!("{} is no folder", folder.display()),
    }
}

impl Folder {
    /// Whose the folder is.
    pub(super) fn owner(&self) -> (Uid, Gid) {
        owner(&self.stat)
    }

    /// Whether files can be made in it.
    pub(super) fn check_writable(&self) -> Result<(), Trouble> {
        let may_write = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&self.handle, ".", may_write, AtFlags::EACCESS)
            .map_err(|errno| Trouble::of("write to its folder", errno))
    }

    /// What has this name, which must be a file of a single name if anything.
    pub(super) fn regular(&self, name: &str) -> Result<Option<Stat>, Trouble> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => regular_stat(name, &stat).map(|()| Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Trouble::of(&format!("look at {name}"), errno)),
        }
    }

    /// Makes the temporary of a file, whole and synced, as if it had been written at a certain time if one is given.
    pub(super) fn write(
        &self,
        file: &str,
        content: &[u8],
        mode: u32,
        ownership: Ownership,
        written_at: Option<Wall>,
    ) -> Result<Temporary<'_>, Trouble> {
        let name = temporary_name(file);
        let failed = |what: &str, errno| Trouble::of(&format!("{what} {name}"), errno);
        if self.regular(&name)?.is_some() {
            rustix::fs::unlinkat(&self.handle, &name, AtFlags::empty()).map_err(|errno| failed("remove", errno))?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, &name, flags, Mode::from_raw_mode(SECRET_MODE))
            .map_err(|errno| failed("create", errno))?;
        let stat = rustix::fs::fstat(&handle).map_err(|errno| failed("look at", errno))?;
        let temporary = Temporary { folder: self, name: name.clone(), identity: identity(&stat), is_placed: false };
        let fresh = owner(&stat);
        if let Some((user, group)) = ownership
            && fresh != (user, group.unwrap_or(fresh.1))
        {
            rustix::fs::fchown(&handle, Some(user), group).map_err(|errno| failed("give away", errno))?;
        }
        rustix::fs::fchmod(&handle, Mode::from_raw_mode(mode)).map_err(|errno| failed("set the mode of", errno))?;
        let mut out = File::from(handle);
        let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        out.write_all(content).map_err(|error| failed("write", errno(error)))?;
        if let Some(at) = written_at {
            let last_modification =
                Timespec { tv_sec: at.0.div_euclid(1000), tv_nsec: at.0.rem_euclid(1000) * 1_000_000 };
            let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            rustix::fs::futimens(&out, &Timestamps { last_access, last_modification })
                .map_err(|errno| failed("set the time of", errno))?;
        }
        out.sync_all().map_err(|error| failed("sync", errno(error)))?;
        Ok(temporary)
    }

    /// Puts a temporary in place of a file. Whoever may write to the folder may put something else there right after:
    /// [`Folder::check_placed`] finds that out.
    pub(super) fn rename(&self, mut temporary: Temporary<'_>, file: &str) -> Result<Identity, Trouble> {
        self.check_placed(temporary.identity, &temporary.name)?;
        rustix::fs::renameat(&self.handle, &temporary.name, &self.handle, file)
            .map_err(|errno| Trouble::of(&format!("rename to {file}"), errno))?;
        temporary.is_placed = true;
        Ok(temporary.identity)
    }

    /// Whether what has this name is the file that was written.
    pub(super) fn check_placed(&self, written: Identity, name: &str) -> Result<(), Trouble> {
        let found = self.regular(name)?.as_ref().map(identity);
        if found == Some(written) { Ok(()) } else { Err(Trouble::stays(format!("somebody else has replaced {name}"))) }
    }

    /// Makes renames durable.
    pub(super) fn sync(&self) -> Result<(), Trouble> {
        rustix::fs::fsync(&self.handle).map_err(|errno| Trouble::of("sync its folder", errno))
    }

    /// What a file holds, up to `most` bytes; `None` if there is none.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Option<Content>, Trouble> {
        let failed = |what: &str, errno| Trouble::of(&format!("{what} {name}"), errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused(name, "is a symbolic link")),
            Err(errno) => return Err(failed("open", errno)),
        };
        let stat = rustix::fs::fstat(&handle).map_err(|errno| failed("look at", errno))?;
        regular_stat(name, &stat)?;
        // Never grown as far as its size is true, so no copy of the content is left behind in memory.
        let room = usize::try_from(stat.st_size).unwrap_or(0).min(64 * 1024) + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        let read = File::from(handle).take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| failed("read", Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        if bytes.len() as u64 > most {
            return Err(Trouble::stays(format!("{name} is larger than {most} bytes; it is no credential")));
        }
        Ok(Some(Content { bytes, stat }))
    }
}

fn refused(name: &str, is: &str) -> Trouble {
    Trouble::stays(format!("{name} {is}; remove it, switchman does not"))
}

fn regular_stat(name: &str, stat: &Stat) -> Result<(), Trouble> {
    let is = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink <= 1 => return Ok(()),
        FileType::RegularFile => "has other hard links",
        FileType::Symlink => "is a symbolic link",
        FileType::Directory => "is a folder",
        FileType::Fifo => "is a FIFO",
        _ => "is no regular file",
    };
    Err(refused(name, is))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_anywhere_on_the_way_is_refused_and_the_real_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("real/inner")).unwrap();
        symlink(real.join("real"), real.join("link")).unwrap();
        assert!(open(&real.join("real/inner/c")).is_ok());
        assert!(open(&real.join("real/../real/inner/./c")).is_ok());
        let trouble = open(&real.join("link/inner/c")).unwrap_err();
        let named = format!("link is a symbolic link; name the real folder: {}", real.join("real/inner").display());
        assert!(trouble.stays && trouble.why.ends_with(&named), "{trouble:?}");
    }

    #[test]
    fn an_old_kernel_refuses_a_link_at_the_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("real/inner")).unwrap();
        symlink(real.join("real"), real.join("link")).unwrap();
        assert!(open_without_link_at_the_end(&real.join("link/inner")).is_ok());
        assert!(open_without_link_at_the_end(&real.join("link")).is_err());
        assert_eq!(open_without_links(&real.join("link/inner")).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn the_root_is_a_folder_like_any_other() {
        assert_eq!(open(Path::new("/file")).unwrap().1, "file");
        for (path, word) in [("/", "names no file"), ("relative/c", "not absolute"), ("/nowhere/at/all", "create it")] {
            assert!(open(Path::new(path)).unwrap_err().why.contains(word), "{path}");
        }
    }
}
