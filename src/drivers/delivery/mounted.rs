//! How a file of this machine is seen through the mounts of a container.
//!
//! What is mounted is told by identity (device and inode), for a path can be written in many ways and lead over links.
//!
//! Tests: below.

use std::path::Path;

use crate::domain::{Mount, Mounted};

/// By its folder, a folder above it, by itself, or not at all; unknown if the folder cannot be looked at.
pub(super) fn seen_through(path: &Path, mounts: &[Mount]) -> Mounted {
    let folder = path.parent().unwrap_or(path);
    let Ok(real) = std::fs::canonicalize(folder) else { return Mounted::Unknown };
    let folders: Vec<_> = real.ancestors().filter_map(identity).collect();
    let file = identity(path);
    let sources: Vec<_> = mounts.iter().filter_map(|mount| identity(&mount.source)).collect();
    if sources.iter().any(|source| folders.contains(source)) {
        Mounted::Folder
    } else if file.is_some_and(|file| sources.contains(&file)) {
        Mounted::SingleFile
    } else {
        Mounted::Nowhere
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(source: &Path) -> Mount {
        Mount { source: source.to_owned(), destination: "/inside".into() }
    }

    #[test]
    fn a_file_is_seen_by_its_folder_by_one_above_it_by_itself_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let (folder, other) = (root.path().join("agents/one"), root.path().join("other"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        let (file, link) = (folder.join("credential"), root.path().join("link"));
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let cases = |has_file: bool| {
            let by_itself = if has_file { Mounted::SingleFile } else { Mounted::Nowhere };
            [
                (vec![mount(&folder)], Mounted::Folder),
                (vec![mount(&root.path().join("agents"))], Mounted::Folder),
                (vec![mount(&link)], Mounted::Folder),
                (vec![mount(&file), mount(&folder)], Mounted::Folder),
                (vec![mount(&file)], by_itself),
                (vec![mount(&other), mount(Path::new("/nonexistent"))], Mounted::Nowhere),
                (vec![], Mounted::Nowhere),
            ]
        };
        for has_file in [false, true] {
            if has_file {
                std::fs::write(&file, "x").unwrap();
            }
            for (mounts, expected) in cases(has_file) {
                assert_eq!(seen_through(&file, &mounts), expected, "{mounts:?}");
                assert_eq!(seen_through(&link.join("credential"), &mounts), expected, "by a link: {mounts:?}");
            }
        }
        assert_eq!(seen_through(Path::new("/nonexistent/credential"), &[]), Mounted::Unknown);
    }
}
