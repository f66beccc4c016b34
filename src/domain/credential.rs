//! Where a credential is kept, and what its content cannot be. The content itself is never part of a word
//! of the field.
//!
//! The predicates stand here because the check of a config and the driver that reads the credential must
//! agree.

use std::path::PathBuf;

/// A reference to a credential: never the credential itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialRef {
    /// The content of a file that nobody but its owner may open.
    File(PathBuf),
    /// A variable of the daemon's own environment.
    Env(String),
    /// A credential that systemd handed to the service, by its name.
    Systemd(String),
    /// What a command prints: program and arguments.
    Command(Vec<String>),
}

impl CredentialRef {
    /// The largest credential, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;
}

impl std::fmt::Display for CredentialRef {
    /// The place in words: a path, a variable, a name, the program of a command (its arguments may hold what
    /// is nobody's business).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "variable {name}"),
            Self::Systemd(name) => write!(f, "systemd credential {name}"),
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
        }
    }
}

/// Whether a file of this mode can be opened by others than its owner.
#[must_use]
pub const fn is_exposed(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// The content without the line end that editors and `echo` put behind it.
#[must_use]
pub fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Why this content, already without its line end, cannot be a credential; `None` if it could be one.
#[must_use]
pub fn implausible(content: &[u8]) -> Option<&'static str> {
    if content.len() > CredentialRef::BYTES_MAX {
        return Some("it is larger than 64 KiB");
    }
    let Ok(text) = std::str::from_utf8(content) else { return Some("it is not UTF-8 text") };
    if text.trim().is_empty() {
        return Some("it is empty");
    }
    if text.contains(['\n', '\r']) {
        return Some("it has more than one line");
    }
    if text.contains(char::is_control) {
        return Some("it contains a control character");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_credential_is_named() {
        let huge = vec![b'x'; CredentialRef::BYTES_MAX + 1];
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"sk-ant-oat01-x", None),
            (b"", Some("it is empty")),
            (b" \t ", Some("it is empty")),
            (b"a\0b", Some("it contains a control character")),
            (b"a\x1bb", Some("it contains a control character")),
            (b"a\nb", Some("it has more than one line")),
            (b"\xff\xfe", Some("it is not UTF-8 text")),
            (&huge, Some("it is larger than 64 KiB")),
        ];
        for (content, why) in cases {
            assert_eq!(implausible(content), why);
        }
    }

    #[test]
    fn exactly_one_line_end_is_taken_off() {
        assert_eq!(without_line_end(b"a\n"), b"a");
        assert_eq!(without_line_end(b"a\r\n"), b"a");
        assert_eq!(without_line_end(b"a\n\n"), b"a\n");
        assert_eq!(without_line_end(b"a"), b"a");
    }

    #[test]
    fn only_the_owner_may_open_it() {
        assert!(!is_exposed(0o100_600));
        assert!(!is_exposed(0o100_400));
        assert!(is_exposed(0o100_640));
        assert!(is_exposed(0o100_604));
    }

    #[test]
    fn a_command_is_named_without_its_arguments() {
        let reference = CredentialRef::Command(vec!["pass".into(), "show".into(), "canary".into()]);
        assert_eq!(reference.to_string(), "command pass");
    }
}
