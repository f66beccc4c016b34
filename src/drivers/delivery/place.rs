//! One file in one folder, replaced and read without being led astray.
//!
//! Every step goes through a handle of the folder that is opened without following a link at its end. The
//! temporary names are fixed, so what a crash left is found and removed by the next delivery.
//!
//! Tests: `tests/delivery_conformance.rs`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::domain::{Mount, Mounted};
use crate::ports::delivery::DeliveryError;

/// A credential is far smaller; a larger file is not one.
const CONTENT_MAX: u64 = 1024 * 1024;

const SECRET_MODE: Mode = Mode::from_raw_mode(0o600);
const SIDECAR_MODE: Mode = Mode::from_raw_mode(0o644);

/// Where a credential goes.
pub(super) struct Place {
    path: PathBuf,
}

/// The folder, held open, and the names in it.
struct Folder<'a> {
    place: &'a Place,
    handle: OwnedFd,
    stat: Stat,
    file: String,
}

/// Who is to own a new file; `None`: whoever makes it.
type Owner = Option<(Uid, Gid)>;

impl Place {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn unfit(&self, why: impl Into<String>) -> DeliveryError {
        DeliveryError::Unfit { path: self.path.display().to_string(), why: why.into() }
    }

    fn failed(&self, what: &str, errno: Errno) -> DeliveryError {
        let path = self.path.display().to_string();
        let why = format!("{what}: {}", std::io::Error::from(errno));
        let stays =
            [Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG];
        if stays.contains(&errno) { DeliveryError::Unfit { path, why } } else { DeliveryError::Failed { path, why } }
    }

    fn open(&self) -> Result<Folder<'_>, DeliveryError> {
        let names = self.path.parent().zip(self.path.file_name().and_then(|name| name.to_str()));
        let (folder, file) = names.ok_or_else(|| self.unfit("the path names no file in a folder"))?;
        if !self.path.is_absolute() {
            return Err(self.unfit("the path is not absolute"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(|errno| {
            let folder = folder.display();
            match errno {
                Errno::NOENT => self.unfit(format!("the folder {folder} does not exist; create it")),
                Errno::LOOP | Errno::NOTDIR => {
                    self.unfit(format!("{folder} is no folder, or a symbolic link; name the real folder"))
                }
                other => self.failed("open its folder", other),
            }
        })?;
        let stat = rustix::fs::fstat(&handle).map_err(|errno| self.failed("look at its folder", errno))?;
        Ok(Folder { place: self, handle, stat, file: file.to_owned() })
    }

    /// Whether a delivery could succeed; changes nothing.
    pub(super) fn check(&self) -> Result<(), DeliveryError> {
        let folder = self.open()?;
        let owner = folder.owner_of_the_next()?;
        folder.regular(&folder.sidecar())?;
        for temporary in [temporary_name(&folder.file), temporary_name(&folder.sidecar())] {
            folder.regular(&temporary)?;
        }
        let may_write = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&folder.handle, ".", may_write, AtFlags::EACCESS)
            .map_err(|errno| self.failed("write to its folder", errno))?;
        let us = rustix::process::geteuid();
        match owner {
            Some((user, _)) if !us.is_root() && user != us => Err(self.unfit(format!(
                "it belongs to user {user}, and switchman (user {us}) may not give files away; run it as that user or as root"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Puts content and sidecar in place of the old ones.
    pub(super) fn replace(&self, content: &[u8], sidecar: &str) -> Result<(), DeliveryError> {
        let folder = self.open()?;
        let owner = folder.owner_of_the_next()?;
        let beside = folder.sidecar();
        folder.regular(&beside)?;
        let new = folder.write(&folder.file, content, SECRET_MODE, owner)?;
        let new_sidecar = folder.write(&beside, sidecar.as_bytes(), SIDECAR_MODE, owner)?;
        folder.rename(new, &folder.file)?;
        // From here on whoever starts may read the new credential, whatever else goes wrong.
        let rest = folder.sync().and_then(|()| folder.rename(new_sidecar, &beside)).and_then(|()| folder.sync());
        rest.map_err(DeliveryError::after_the_rename)
    }

    /// The content; `None` if there is no file.
    pub(super) fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, DeliveryError> {
        let folder = self.open()?;
        folder.read(&folder.file)
    }

    /// How the file is seen through these mounts: by its folder, a folder above it, or by itself. What is mounted is
    /// told by identity, for a path can be written in many ways.
    pub(super) fn mounted(&self, mounts: &[Mount]) -> Result<Mounted, DeliveryError> {
        let identity = |path: &Path| {
            let stat = rustix::fs::stat(path).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        let folder = self.path.parent().unwrap_or(&self.path);
        let real = std::fs::canonicalize(folder)
            .map_err(|error| self.failed("look at its folder", Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let folders: Vec<_> = real.ancestors().filter_map(identity).collect();
        let file = identity(&self.path);
        let mut seen = Mounted::Nowhere;
        for mounted in mounts.iter().filter_map(|mount| identity(&mount.source)) {
            if folders.contains(&mounted) {
                return Ok(Mounted::Folder);
            }
            if file == Some(mounted) {
                seen = Mounted::SingleFile;
            }
        }
        Ok(seen)
    }

    pub(super) fn read_sidecar(&self) -> Result<Option<Zeroizing<Vec<u8>>>, DeliveryError> {
        let folder = self.open()?;
        folder.read(&folder.sidecar())
    }
}

fn temporary_name(file: &str) -> String {
    format!(".{file}.switchman-new")
}

/// A temporary file; removed unless it became the real one.
struct Temporary<'a> {
    folder: &'a Folder<'a>,
    name: String,
    is_placed: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            let _next_delivery_removes_it =
                rustix::fs::unlinkat(&self.folder.handle, &self.name, AtFlags::empty()).is_err();
        }
    }
}

impl<'a> Folder<'a> {
    fn sidecar(&self) -> String {
        format!("{}.switchman.json", self.file)
    }

    /// What has this name, which must be a file of a single name if anything.
    fn regular(&self, name: &str) -> Result<Option<Stat>, DeliveryError> {
        let stat = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.place.failed(&format!("look at {name}"), errno)),
        };
        self.regular_stat(name, &stat)?;
        Ok(Some(stat))
    }

    fn regular_stat(&self, name: &str, stat: &Stat) -> Result<(), DeliveryError> {
        let is = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_nlink <= 1 => return Ok(()),
            FileType::RegularFile => "has other hard links",
            FileType::Symlink => "is a symbolic link",
            FileType::Directory => "is a folder",
            FileType::Fifo => "is a FIFO",
            _ => "is no regular file",
        };
        Err(self.place.unfit(format!("{name} {is}; remove it, switchman does not")))
    }

    fn owner_of_the_next(&self) -> Result<Owner, DeliveryError> {
        let owner_in = |stat: &Stat| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        Ok(match self.regular(&self.file)? {
            Some(old) => Some(owner_in(&old)),
            None => rustix::process::geteuid().is_root().then(|| owner_in(&self.stat)),
        })
    }

    fn write(&'a self, file: &str, content: &[u8], mode: Mode, owner: Owner) -> Result<Temporary<'a>, DeliveryError> {
        let name = temporary_name(file);
        let failed = |what: &str, errno| self.place.failed(&format!("{what} {name}"), errno);
        if self.regular(&name)?.is_some() {
            rustix::fs::unlinkat(&self.handle, &name, AtFlags::empty()).map_err(|errno| failed("remove", errno))?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle =
            rustix::fs::openat(&self.handle, &name, flags, SECRET_MODE).map_err(|errno| failed("create", errno))?;
        let temporary = Temporary { folder: self, name: name.clone(), is_placed: false };
        let fresh = rustix::fs::fstat(&handle).map_err(|errno| failed("look at", errno))?;
        if let Some((user, group)) = owner
            && (fresh.st_uid, fresh.st_gid) != (user.as_raw(), group.as_raw())
        {
            rustix::fs::fchown(&handle, Some(user), Some(group)).map_err(|errno| failed("give away", errno))?;
        }
        rustix::fs::fchmod(&handle, mode).map_err(|errno| failed("set the mode of", errno))?;
        let mut out = File::from(handle);
        let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        out.write_all(content).map_err(|error| failed("write", errno(error)))?;
        out.sync_all().map_err(|error| failed("sync", errno(error)))?;
        Ok(temporary)
    }

    fn rename(&self, mut temporary: Temporary<'_>, file: &str) -> Result<(), DeliveryError> {
        rustix::fs::renameat(&self.handle, &temporary.name, &self.handle, file)
            .map_err(|errno| self.place.failed(&format!("rename to {file}"), errno))?;
        temporary.is_placed = true;
        Ok(())
    }

    fn sync(&self) -> Result<(), DeliveryError> {
        rustix::fs::fsync(&self.handle).map_err(|errno| self.place.failed("sync its folder", errno))
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, DeliveryError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => {
                return Err(self.place.unfit(format!("{name} is a symbolic link; remove it, switchman does not")));
            }
            Err(errno) => return Err(self.place.failed(&format!("open {name}"), errno)),
        };
        let stat = rustix::fs::fstat(&handle).map_err(|errno| self.place.failed(&format!("look at {name}"), errno))?;
        self.regular_stat(name, &stat)?;
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(64 * 1024)));
        let read = File::from(handle).take(CONTENT_MAX + 1).read_to_end(&mut content);
        read.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.place.failed(&format!("read {name}"), errno)
        })?;
        if content.len() as u64 > CONTENT_MAX {
            return Err(self.place.unfit(format!("{name} is larger than {CONTENT_MAX} bytes; it is no credential")));
        }
        Ok(Some(content))
    }
}
