//! The directory that holds everything durable: one daemon at a time, one identity for good.
//!
//! It must not guess: whether another daemon runs is decided by the kernel's lock alone, which ends with
//! the process that holds it, however it ends. What the lock file says is for people.
//!
//! Invariants: while a [`StateDir`] lives, no other process has one of the same directory (B7). The owner's
//! id is made once and never changes.
//!
//! Tests: below, and `tests/store_conformance/sqlite_only.rs` (a killed holder).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::system_clock::hold_up;
use crate::domain::Wall;

const OWNER_BYTES: usize = 16;
/// What is read of a lock file that another process wrote.
const HOLDER_BYTES_MAX: u64 = 8192;
/// A lock whose holder is dead is tried again after so long, and so often.
const LAST_MOMENT: Duration = Duration::from_millis(20);
const LAST_MOMENTS: u32 = 50;

/// A locked state directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    owner: String,
    lease_key: SecretString,
    // Closing the file is what releases the lock.
    _lock: File,
}

/// Who holds a state directory, as far as its lock file tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// When it took the directory.
    pub since: Option<Wall>,
    /// The config it runs on.
    pub config: Option<String>,
}

impl Holder {
    /// Whether the process that took it is there no more, as far as this machine shows.
    fn is_dead(&self) -> bool {
        let pid = self.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("a process that has not written its name yet")?,
        }
        if let Some(since) = self.since.and_then(|since| jiff::Timestamp::from_millisecond(since.0).ok()) {
            write!(f, ", since {since}")?;
        }
        if let Some(config) = &self.config {
            write!(f, ", config {config}")?;
        }
        Ok(())
    }
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another daemon has it.
    #[error("lock state directory {}: held by {holder}; stop that daemon, or give this one another `state_dir`",
        path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// By whom.
        holder: Holder,
    },
    /// It or a file in it cannot be made, read or written.
    #[error("use {}: {err}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        err: std::io::Error,
    },
    /// A file that identifies this directory is not as it was written.
    #[error("read {}: it does not hold 32 hexadecimal digits; put the backup of this file back, or remove it to begin \
        a new identity: {without}", path.display())]
    IdDamaged {
        /// The file.
        path: PathBuf,
        /// What it means to go on without the old one.
        without: &'static str,
    },
}

impl StateDirError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |err| Self::Io { path: path.to_owned(), err }
    }
}

impl StateDir {
    /// Makes the directory if it is not there (only for its owner) and locks it; writes into the lock file
    /// who holds it.
    pub fn claim(path: &Path, now: Wall, config: &Path) -> Result<Self, StateDirError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(StateDirError::io(path))?;
        let lock = claim_lock(path, now, config)?;
        let owner = kept_id(path, "owner", "containers that carry the old one are then left alone")?;
        let lease_key = kept_id(path, "lease.key", "who holds a turn then has to begin another one")?;
        Ok(Self { path: path.to_owned(), owner, lease_key: lease_key.into(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("switchman.db")
    }

    /// What the tokens of this state directory's turns are made with; as random as [`StateDir::owner`].
    #[must_use]
    pub fn lease_key(&self) -> SecretBox<[u8; 32]> {
        let mut key = Box::new([0; 32]);
        for (byte, digit) in key.iter_mut().zip(self.lease_key.expose_secret().bytes()) {
            *byte = digit;
        }
        SecretBox::new(key)
    }

    /// 128 random bits in hexadecimal that tell this state directory from every other.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

fn claim_lock(dir: &Path, now: Wall, config: &Path) -> Result<File, StateDirError> {
    let path = dir.join("lock");
    let io = |err| StateDirError::Io { path: path.clone(), err };
    let mut lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    let mut tries = 0;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                lock.rewind().map_err(io)?;
                // Only for the message: a holder that is just writing its name is named next time.
                if (&lock).take(HOLDER_BYTES_MAX).read_to_string(&mut text).is_err() {
                    text.clear();
                }
                let holder = read_holder(&text);
                // A daemon that was killed while it started a child lives on in it until that is another program.
                if tries == LAST_MOMENTS || !holder.is_dead() {
                    return Err(StateDirError::Held { path: dir.to_owned(), holder });
                }
                tries += 1;
                hold_up(LAST_MOMENT);
            }
            Err(TryLockError::Error(err)) => return Err(io(err)),
        }
    }
    let text = format!("pid={}\nsince_ms={}\nconfig={}\n", std::process::id(), now.0, config.display());
    lock.set_len(0).map_err(io)?;
    lock.rewind().map_err(io)?;
    lock.write_all(text.as_bytes()).map_err(io)?;
    Ok(lock)
}

fn read_holder(text: &str) -> Holder {
    let member = |name: &str| {
        text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    };
    Holder {
        pid: member("pid").and_then(|pid| pid.parse().ok()),
        since: member("since_ms").and_then(|since| since.parse().ok()).map(Wall),
        config: member("config").map(ToOwned::to_owned),
    }
}

/// Reads an id, or makes it: whole or not at all. `without` says what it means to go on without the old one.
fn kept_id(dir: &Path, name: &str, without: &'static str) -> Result<String, StateDirError> {
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim_end();
            let is_id =
                id.len() == 2 * OWNER_BYTES && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            return if is_id { Ok(id.to_owned()) } else { Err(StateDirError::IdDamaged { path, without }) };
        }
        Err(err) if err.kind() == ErrorKind::NotFound => {}
        Err(err) if err.kind() == ErrorKind::InvalidData => return Err(StateDirError::IdDamaged { path, without }),
        Err(err) => return Err(StateDirError::Io { path, err }),
    }
    let id = random_id().map_err(StateDirError::io(Path::new("/dev/urandom")))?;
    write_whole(dir, &path, &id).map_err(StateDirError::io(&path))?;
    Ok(id)
}

fn random_id() -> std::io::Result<String> {
    let mut bytes = [0; OWNER_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn write_whole(dir: &Path, path: &Path, id: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{id}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn claim(path: &Path) -> Result<StateDir, StateDirError> {
        StateDir::claim(path, Wall(1_700_000_000_000), Path::new("/etc/switchman/config.toml"))
    }

    #[test]
    fn the_second_is_told_who_the_first_is_and_may_have_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = claim(dir.path()).unwrap();
        let refused = claim(dir.path()).unwrap_err();
        let StateDirError::Held { holder, .. } = &refused else { panic!("{refused}") };
        assert_eq!(holder.pid, Some(std::process::id()));
        assert_eq!(holder.since, Some(Wall(1_700_000_000_000)));
        let said = refused.to_string();
        assert!(said.contains("since 2023-11-14T22:13:20Z, config /etc/switchman/config.toml"), "{said}");
        drop(first);
        claim(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_made_is_private_and_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state");
        let owner = claim(&path).unwrap().owner().to_owned();
        assert_eq!(owner.len(), 32);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        for file in ["lock", "owner"] {
            assert_eq!(std::fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        assert_eq!(claim(&path).unwrap().owner(), owner);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(claim(other.path()).unwrap().owner(), owner);
    }

    #[test]
    fn an_owner_that_was_cut_short_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("owner"), "12ab").unwrap();
        assert!(matches!(claim(dir.path()), Err(StateDirError::IdDamaged { .. })));
        assert_eq!(std::fs::read_to_string(dir.path().join("owner")).unwrap(), "12ab");
    }

    #[test]
    fn a_lock_file_without_sense_still_names_a_holder() {
        assert_eq!(read_holder("pid=x\nsince_ms=\n"), Holder::default());
        assert!(Holder::default().to_string().starts_with("a process that has not written"));
    }
}
