//! Hints that something has changed in a folder, from the kernel: one inotify instance for every folder of every agent,
//! since a user has 128 of them.
//!
//! A hint is no more than that: what is true, a look at the files shows, and there are looks without any hint. So a folder
//! that cannot be watched is looked at more often, and nothing else.
//!
//! Tests: `tests/source_conformance/files.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// More changed files than this are all of them.
const PATHS_MAX: usize = 1024;

/// What a folder is watched for.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// What has changed for one follower since it last asked.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Files that were written to.
    pub(super) written: BTreeSet<PathBuf>,
    /// Files or folders came, went or were renamed; or too much has happened to say what.
    pub(super) is_otherwise: bool,
}

/// Where a follower hears of changes.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    changed: Mutex<Changed>,
    news: Notify,
}

impl Mailbox {
    /// What has changed.
    pub(super) fn take(&self) -> Changed {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when something has, or has had since this was last asked.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    fn put(&self, change: impl FnOnce(&mut Changed)) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut changed);
        if changed.written.len() > PATHS_MAX {
            changed.written.clear();
            changed.is_otherwise = true;
        }
        drop(changed);
        self.news.notify_one();
    }
}

/// The one instance.
pub(super) struct Watch {
    kernel: Option<Arc<AsyncFd<OwnedFd>>>,
    folders: Arc<Mutex<Folders>>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Folders {
    watched: HashMap<i32, Folder>,
    followers: u64,
}

struct Folder {
    path: PathBuf,
    followers: BTreeMap<u64, Weak<Mailbox>>,
}

impl Watch {
    /// Needs a runtime. Without the kernel's help nobody hears anything.
    pub(super) fn new() -> Self {
        let folders: Arc<Mutex<Folders>> = Arc::default();
        let made = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(std::io::Error::from);
        #[expect(deprecated, reason = "what takes its place is unsafe; a descriptor that is owned is what it asks for")]
        let kernel = match made.and_then(AsyncFd::new) {
            Ok(kernel) => Some(Arc::new(kernel)),
            Err(error) => {
                tracing::warn!(%error, "changes of files are not told by the kernel (fs.inotify.max_user_instances): they are looked at every two seconds");
                None
            }
        };
        let listening = kernel.as_ref().map(|kernel| tokio::spawn(listen(Arc::clone(kernel), Arc::clone(&folders))));
        Self { kernel, folders, listening }
    }

    /// A follower, and where it hears of changes.
    pub(super) fn follower(&self) -> (u64, Arc<Mailbox>) {
        let mut folders = lock(&self.folders);
        folders.followers += 1;
        (folders.followers, Arc::default())
    }

    /// Watches a folder for a follower; false if it cannot be watched.
    pub(super) fn add(&self, path: &Path, follower: u64, mailbox: &Arc<Mailbox>) -> bool {
        let Some(kernel) = &self.kernel else { return false };
        let mut folders = lock(&self.folders);
        let Ok(watch) = inotify::add_watch(kernel.get_ref(), path, EVENTS) else { return false };
        let new = || Folder { path: path.to_owned(), followers: BTreeMap::new() };
        let folder = folders.watched.entry(watch).or_insert_with(new);
        // It may have been renamed: a watch stays with the folder itself.
        path.clone_into(&mut folder.path);
        folder.followers.insert(follower, Arc::downgrade(mailbox));
        true
    }

    /// A follower wants to hear no more.
    pub(super) fn forget(&self, follower: u64) {
        let mut folders = lock(&self.folders);
        let kernel = self.kernel.as_ref();
        folders.watched.retain(|watch, folder| {
            folder.followers.remove(&follower);
            let is_wanted = !folder.followers.is_empty();
            if !is_wanted && let Some(kernel) = kernel {
                let _it_may_be_gone = inotify::remove_watch(kernel.get_ref(), *watch).is_err();
            }
            is_wanted
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

fn lock(folders: &Mutex<Folders>) -> MutexGuard<'_, Folders> {
    folders.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(kernel: Arc<AsyncFd<OwnedFd>>, folders: Arc<Mutex<Folders>>) {
    let mut room = [MaybeUninit::uninit(); 16 * 1024];
    loop {
        let Ok(mut ready) = kernel.readable().await else { return };
        let mut events = inotify::Reader::new(kernel.get_ref(), &mut room);
        let mut folders = lock(&folders);
        while let Ok(event) = events.next() {
            folders.pass_on(event.wd(), event.events(), event.file_name());
        }
        drop(folders);
        ready.clear_ready();
    }
}

impl Folders {
    fn pass_on(&mut self, watch: i32, events: ReadFlags, name: Option<&CStr>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            for mailbox in self.watched.values().flat_map(|folder| folder.followers.values()) {
                tell(mailbox, |changed| changed.is_otherwise = true);
            }
            return;
        }
        let Some(folder) = self.watched.get(&watch) else { return };
        let written = events.contains(ReadFlags::MODIFY).then_some(name).flatten();
        let path = written.and_then(|name| name.to_str().ok()).map(|name| folder.path.join(name));
        for mailbox in folder.followers.values() {
            tell(mailbox, |changed| match &path {
                Some(path) => drop(changed.written.insert(path.clone())),
                None => changed.is_otherwise = true,
            });
        }
        if events.contains(ReadFlags::IGNORED) {
            self.watched.remove(&watch);
        }
    }
}

fn tell(mailbox: &Weak<Mailbox>, change: impl FnOnce(&mut Changed)) {
    if let Some(mailbox) = mailbox.upgrade() {
        mailbox.put(change);
    }
}
