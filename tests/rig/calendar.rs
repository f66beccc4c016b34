//! A calendar that a test can set: the daemon's wall clock, while everything that does not step goes on as it is.
//!
//! libfaketime is loaded into the daemon and its commands and reads an offset from a file beside the config at every
//! look at the clock. Only the calendar is faked: not the monotonic clock, by which the runtime's timers run, nor
//! `CLOCK_BOOTTIME`, which the daemon asks the kernel for itself, nor the times of files.
//!
//! The daemon sleeps at most 30 s and looks again (F6): whoever sets the calendar waits for an event that long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

/// What the offset's file is called, beside the config.
const FILE: &str = "calendar";

/// The calendar of the daemon whose config lies in a folder.
#[derive(Debug)]
pub(crate) struct Calendar {
    folder: PathBuf,
    offset: SignedDuration,
}

impl Calendar {
    /// Begins at a time of the calendar, in a zone; before the daemon starts.
    pub(crate) fn at(config: &Path, begin: &str, zone: &str) -> Self {
        let folder = config.parent().expect("a config lies in a folder").to_owned();
        // Looked at every time; nothing but the calendar; nothing shared with anybody.
        let environment = format!(
            "LD_PRELOAD={}\nFAKETIME_TIMESTAMP_FILE={}\nFAKETIME_NO_CACHE=1\nFAKETIME_DONT_FAKE_MONOTONIC=1\n\
             NO_FAKE_STAT=1\nFAKETIME_DISABLE_SHM=1\nTZ={zone}\n",
            library().display(),
            folder.join(FILE).display()
        );
        std::fs::write(folder.join("environment"), environment).unwrap();
        let begin: Timestamp = begin.parse().unwrap();
        let mut calendar = Self { folder, offset: SignedDuration::ZERO };
        calendar.set(begin.duration_since(real()));
        calendar
    }

    /// What the daemon's calendar says now.
    pub(crate) fn now(&self) -> Timestamp {
        real() + self.offset
    }

    /// The calendar is set forward by so much.
    pub(crate) fn forward(&mut self, by: Duration) {
        self.set(self.offset + SignedDuration::try_from(by).unwrap());
    }

    /// The calendar is set back by so much.
    pub(crate) fn back(&mut self, by: Duration) {
        self.set(self.offset - SignedDuration::try_from(by).unwrap());
    }

    /// The calendar is set to a time, a fraction of a second behind it.
    pub(crate) fn to(&mut self, time: Timestamp) {
        self.set(time.duration_since(real()) + SignedDuration::from_millis(1));
    }

    fn set(&mut self, offset: SignedDuration) {
        // Replaced as a whole: it is read at any moment.
        let new = self.folder.join("calendar.new");
        std::fs::write(&new, format!("{:+.3}", offset.as_secs_f64())).unwrap();
        std::fs::rename(new, self.folder.join(FILE)).unwrap();
        self.offset = offset;
    }
}

/// The calendar of the machine.
fn real() -> Timestamp {
    Timestamp::from_millisecond(SystemClock::new().now().wall.0).unwrap()
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
    found.expect("libfaketime is there; as root: apt-get install faketime")
}
