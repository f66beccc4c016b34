//! The running program as the whole content of an image: itself, and what the dynamic linker loads for it.
//!
//! The linker is asked itself: a program that is started with `LD_TRACE_LOADED_OBJECTS` lists what would be loaded
//! and does not run (`man 8 ld.so`). One that is linked statically has no linker to obey and prints its version
//! instead, which names no file.
//!
//! Tests: below, and `tests/demo/workshop.rs`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the program is in the image.
pub(super) const PROGRAM: &str = "/switchman";

/// Also when the file has been replaced or removed since the start.
const OWN: &str = "/proc/self/exe";

/// The content of an image, and where its libraries are.
pub(super) struct Archive {
    pub(super) bytes: Vec<u8>,
    /// What `LD_LIBRARY_PATH` has to be, for libraries that were found in no usual place; empty without any.
    pub(super) library_path: String,
}

/// Reads the program and its libraries.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn of_this_program() -> io::Result<Archive> {
    let libraries = libraries()?;
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, PROGRAM, Path::new(OWN))?;
    for library in &libraries {
        add(&mut builder, &library.to_string_lossy(), library)?;
    }
    let mut folders: Vec<_> = libraries.iter().filter_map(|path| path.parent()?.to_str()).collect();
    folders.sort_unstable();
    folders.dedup();
    Ok(Archive { library_path: folders.join(":"), bytes: builder.into_inner()? })
}

fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(file.metadata()?.len());
    header.set_mode(0o755);
    header.set_mtime(0);
    builder.append_data(&mut header, name.trim_start_matches('/'), file)
}

fn libraries() -> io::Result<Vec<PathBuf>> {
    let listed = Command::new(OWN)
        .arg("--version")
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    Ok(named(&String::from_utf8_lossy(&listed.stdout)))
}

/// The files in the linker's list: `libc.so.6 => /lib/libc.so.6 (0x7f…)`, `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn named(list: &str) -> Vec<PathBuf> {
    list.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_from_the_list_and_nothing_else() {
        let list =
            "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x7f)\n";
        assert_eq!(named(list), [PathBuf::from("/lib/x/libc.so.6"), PathBuf::from("/lib64/ld.so.2")]);
        assert_eq!(named("switchman 0.1.0\n"), Vec::<PathBuf>::new());
    }
}
