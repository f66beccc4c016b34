//! The socket: never more open than asked, never in place of something else, gone when the daemon is.
//!
//! | what is at the path | what happens |
//! |---|---|
//! | nothing | it is bound |
//! | a socket that nobody answers on | it is replaced |
//! | a socket that somebody answers on | [`ListenError::AlreadyServed`] |
//! | a symbolic link, a file, a directory | [`ListenError::Unfit`]; nothing is followed or removed |
//!
//! The mode is set on the socket before it has a name, and widened to what was asked only afterwards.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

/// Connections that wait to be accepted, at most: a burst of thousands comes in; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon answers there.
    #[error("another daemon answers on {0}: stop it, or set another `socket` in [api]")]
    AlreadyServed(PathBuf),
    /// Something is there that is not ours to remove.
    #[error("{path} is {what}, not a socket: remove it, or set another `socket` in [api]")]
    Unfit {
        /// The socket's path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// A call to the system failed.
    #[error("{call} {path}: {source}")]
    System {
        /// What was tried, in words.
        call: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl ListenError {
    /// Whether it is another daemon that stands in the way.
    #[must_use]
    pub fn is_already_served(&self) -> bool {
        matches!(self, Self::AlreadyServed(_))
    }
}

/// A bound socket; its name is removed with it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    pub(super) name: SocketName,
}

/// The name of a socket that we made. Removes it when dropped, unless it is somebody else's by then.
#[derive(Debug)]
pub(super) struct SocketName {
    path: PathBuf,
    identity: (u64, u64),
}

/// Binds the socket.
pub(super) fn bind(path: &Path, mode: u32) -> Result<Bound, ListenError> {
    let failed = |call: &'static str, at: &Path| {
        let path = at.to_owned();
        move |source: io::Error| ListenError::System { call, path, source }
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let parents = fs::DirBuilder::new().recursive(true).mode(0o755).create(parent);
        parents.map_err(failed("cannot make the directory", parent))?;
    }
    clear(path)?;
    let mode = Mode::from_raw_mode(mode & 0o777);
    let socket = socket().map_err(failed("cannot make a socket for", path))?;
    let address = SocketAddrUnix::new(path).map_err(io::Error::from).map_err(failed("cannot use the path", path))?;
    let bound = rustix::fs::fchmod(&socket, mode).and_then(|()| rustix::net::bind(&socket, &address));
    bound.map_err(io::Error::from).map_err(failed("cannot bind", path))?;
    let metadata = widen(path, mode).map_err(failed("cannot set the mode of", path))?;
    let name = SocketName { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
    let listening = rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from);
    let listener = listening
        .and_then(|()| UnixListener::from_std(std::os::unix::net::UnixListener::from(socket)))
        .map_err(failed("cannot listen on", path))?;
    Ok(Bound { listener, name })
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Makes the path free, if what is there is the socket of a daemon that is gone.
pub(super) fn clear(path: &Path) -> Result<(), ListenError> {
    let system = |call, source| ListenError::System { call, path: path.to_owned(), source };
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("cannot look at", error)),
    };
    if !kind.is_socket() {
        let what = if kind.is_symlink() {
            "a symbolic link"
        } else if kind.is_dir() {
            "a directory"
        } else {
            "a file"
        };
        return Err(ListenError::Unfit { path: path.to_owned(), what });
    }
    let probe = socket().map_err(|error| system("cannot make a socket for", error))?;
    let address = SocketAddrUnix::new(path).map_err(|error| system("cannot use the path", error.into()))?;
    match rustix::net::connect(&probe, &address) {
        // Whoever has a full backlog is there.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(ListenError::AlreadyServed(path.to_owned())),
        Err(Errno::CONNREFUSED) => match fs::remove_file(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(system("cannot remove the old socket", error)),
        },
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(system("cannot find out who answers on", error.into())),
    }
}

/// Gives the socket the bits that the umask has taken, by a handle on the socket itself: the name may be anything by
/// now, the handle is a socket or nothing.
fn widen(path: &Path, mode: Mode) -> io::Result<fs::Metadata> {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let handle = fs::File::from(handle);
    let metadata = handle.metadata()?;
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other("it was replaced meanwhile"));
    }
    if metadata.permissions().mode() & 0o777 != mode.as_raw_mode() {
        use std::os::fd::AsRawFd as _;
        let through = format!("/proc/self/fd/{}", handle.as_raw_fd());
        fs::set_permissions(through, fs::Permissions::from_mode(mode.as_raw_mode()))?;
    }
    Ok(metadata)
}

impl Drop for SocketName {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_mode_is_what_was_asked_and_the_name_goes_with_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o660, 0o666] {
            let path = dir.path().join("made/on/the/way/api.sock");
            let bound = bind(&path, mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
            drop(bound);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_live_socket_is_left_alone_and_a_stale_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let live = bind(&path, 0o600).unwrap();
        let error = bind(&path, 0o600).err().unwrap();
        assert!(error.is_already_served(), "{error}");
        assert!(path.exists());
        drop(live);
        // What a killed daemon leaves behind: a name without a listener.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let again = bind(&path, 0o600).unwrap();
        assert!(path.exists());
        drop(again);
    }

    #[tokio::test]
    async fn what_is_not_a_socket_is_neither_followed_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link, file) = (dir.path().join("target"), dir.path().join("link"), dir.path().join("file"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fs::write(&file, "x").unwrap();
        for (path, what) in [(&link, "a symbolic link"), (&file, "a file"), (&dir.path().to_owned(), "a directory")] {
            let error = bind(path, 0o600).err().unwrap();
            assert!(error.to_string().contains(what), "{error}");
            assert!(fs::symlink_metadata(path).is_ok());
        }
        assert!(!target.exists());
    }

    #[tokio::test]
    async fn a_name_that_is_somebody_elses_by_now_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let ours = bind(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = bind(&path, 0o600).unwrap();
        drop(ours);
        assert!(path.exists());
        drop(theirs);
    }
}
