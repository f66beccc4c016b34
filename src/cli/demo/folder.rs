//! The folder of one run of the demo, under a name that no other run has, and what killed runs left of theirs.
//!
//! It must not remove a folder of a run that may still go on, or of another user.
//!
//! Tests: below.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::drivers::fingerprint::fingerprint;
use crate::drivers::process::Maker;

const PREFIX: &str = "switchman-demo-";
/// The file that says whose run it is.
const MAKER: &str = "maker";

/// A word for this run: its process id, and a few digits for the case that another machine shares the engine.
pub(super) fn run_of(maker: &Maker) -> String {
    let digits = fingerprint(maker.to_string().as_bytes()).0;
    format!("{}-{}", std::process::id(), digits.get(..6).unwrap_or_default())
}

/// Makes the folder of a run.
pub(super) fn make(under: &Path, run: &str, maker: &Maker) -> io::Result<PathBuf> {
    let dir = under.join(format!("{PREFIX}{run}"));
    DirBuilder::new().mode(0o700).create(&dir)?;
    write(&dir.join(MAKER), &maker.to_string()).inspect_err(|_| remove(&dir))?;
    Ok(dir)
}

/// Removes the folders of runs that have certainly ended.
pub(super) fn sweep(under: &Path, own: &Maker) {
    let Ok(entries) = fs::read_dir(under) else { return };
    let ours = rustix::process::geteuid().as_raw();
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let is_ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == ours);
        let maker = || Maker::read(fs::read_to_string(entry.path().join(MAKER)).ok()?.as_str());
        if is_ours && maker().is_some_and(|maker| own.saw_the_end_of(&maker)) {
            remove(&entry.path());
        }
    }
}

pub(super) fn remove(dir: &Path) {
    if let Err(why) = fs::remove_dir_all(dir) {
        tracing::debug!("{} stays: {why}", dir.display());
    }
}

/// Writes a new file that only we may read.
pub(super) fn write(path: &Path, content: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_runs_that_have_ended_are_swept() {
        let under = tempfile::tempdir().unwrap();
        let own = Maker::own().unwrap();
        let mut parts: Vec<String> = own.to_string().split('/').map(str::to_owned).collect();
        parts[4] = "1".to_owned();
        let earlier = Maker::read(&parts.join("/")).unwrap();
        let alive = make(under.path(), "alive", &own).unwrap();
        let ended = make(under.path(), "ended", &earlier).unwrap();
        write(&ended.join("config.toml"), "x").unwrap();
        let nameless = under.path().join(format!("{PREFIX}x"));
        fs::create_dir(&nameless).unwrap();
        let foreign = under.path().join("other");
        fs::create_dir(&foreign).unwrap();
        write(&foreign.join(MAKER), &earlier.to_string()).unwrap();
        std::os::unix::fs::symlink(&foreign, under.path().join(format!("{PREFIX}link"))).unwrap();
        sweep(under.path(), &own);
        assert!(!ended.exists());
        assert!(alive.exists() && nameless.exists() && foreign.join(MAKER).exists());
    }

    #[test]
    fn two_runs_never_have_the_same_word() {
        let own = Maker::own().unwrap();
        let other = Maker::read(&format!("{own}0")).unwrap();
        assert_eq!(run_of(&own), run_of(&own));
        assert_ne!(run_of(&own), run_of(&other));
    }
}
