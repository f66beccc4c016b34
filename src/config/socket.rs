//! The socket alone, of a config that may otherwise be wrong: a client must reach a running daemon while
//! somebody edits the file.

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::api::{self, Api};
use super::path::Expansion;
use super::problem::Findings;
use super::reader::Section;
use super::{BYTES_MAX, keys};

/// Where a daemon with this config listens: its `api.socket`, or the default if it names none that can be used.
/// A blocking call.
///
/// # Errors
/// If the file cannot be read.
pub fn socket(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> std::io::Result<PathBuf> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(named(&String::from_utf8_lossy(&bytes), env))
}

fn named(text: &str, env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let findings = Findings::default();
    let (table, _) = DeTable::parse_recoverable(text);
    let mut top = Section::new(keys::TOP, 0..0, table.get_ref(), &findings, &[]);
    let api: Api = api::read(top.section("api", api::LATER, "", false), Expansion { env, name: None });
    api.socket
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> String {
        let env = |key: &str| (key == "RUN").then(|| "/run/user/7".to_owned());
        named(text, &env).display().to_string()
    }

    #[test]
    fn a_config_that_is_wrong_elsewhere_still_names_its_socket() {
        assert_eq!(with("nonsense = 1\n[api]\nsocket = \"/tmp/a.sock\"\n[[agent]]\n"), "/tmp/a.sock");
        assert_eq!(with("[api]\nsocket = \"${RUN}/a.sock\"\n[switching]\ncooldown = 3 3\n"), "/run/user/7/a.sock");
    }

    #[test]
    fn one_that_names_none_has_the_default() {
        for text in ["", "[api]\nsocket = 3", "[api]\nsocket = \"relative.sock\"", "api = 1", "\u{0}\u{1}[[["] {
            assert_eq!(with(text), "/run/switchman/switchman.sock", "{text:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let err = socket(Path::new("/nowhere/config.toml"), &|_| None).unwrap_err();
        assert_eq!(err.kind(), std::io::ErrorKind::NotFound);
    }
}
