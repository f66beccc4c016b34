//! Where a holder's token comes from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::error::{Exit, Failure};

/// The variable that has it.
const VARIABLE: &str = "SWITCHMAN_LEASE";

/// A file with more bytes than this has no token.
const BYTES_MAX: u64 = 4096;

/// The option of every verb that is for the holder only.
#[derive(Debug, clap::Args)]
pub(super) struct Lease {
    /// A file with what `turn begin` printed, or with the token alone; `-` reads standard input [default: the variable
    /// `SWITCHMAN_LEASE`].
    #[arg(long, value_name = "FILE")]
    lease_file: Option<PathBuf>,
}

impl Lease {
    /// The token.
    pub(super) fn read(&self, variables: &dyn Fn(&str) -> Option<String>) -> Result<SecretString, Failure> {
        let text = match &self.lease_file {
            Some(file) => read_file(file)?,
            None => variables(VARIABLE).ok_or_else(missing)?,
        };
        match token(&text) {
            Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(SecretString::from(token)),
            Some(_) | None => Err(missing()),
        }
    }
}

/// Of what `turn begin` prints the second word, else the only one.
fn token(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(token), None, _) | (Some(_), Some(token), None) => Some(token),
        _ => None,
    }
}

fn missing() -> Failure {
    Failure::new(Exit::Usage, "no_lease", "there is no token of a lease")
        .with_hint("put what `switchman turn begin` printed into SWITCHMAN_LEASE, or name its file with --lease-file")
}

fn read_file(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(BYTES_MAX).read_to_string(&mut text))
    };
    let cannot = |err| Failure::new(Exit::Failed, "input_failed", format!("cannot read {}: {err}", file.display()));
    read.map(|_| text).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_alone_or_behind_its_turn() {
        for text in ["abc", "abc\n", "reviewer-t7 abc\n", " reviewer-t7\tabc"] {
            assert_eq!(token(text), Some("abc"), "{text:?}");
        }
        for text in ["", "\n", "three words here"] {
            assert_eq!(token(text), None, "{text:?}");
        }
    }
}
