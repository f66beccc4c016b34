//! Looks at the credential files that a config refers to.
//!
//! A file that others may read is an error for everyone: the secret is out. One that cannot be read is an
//! error for `check`, which is asked whether all is well; a daemon starts all the same, leaves that
//! subscription out and says so, because the other agents need it.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::Config;
use super::problem::{Finding, Problem, Severity};
use crate::domain::CredentialRef;
use crate::domain::credential::{implausible, is_exposed, without_line_end};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `check`: whatever is not well is an error.
    ByCheck,
    /// The daemon, at its start or reload: what it can run without is a warning.
    ByDaemon,
}

impl Config {
    /// Looks at every credential file now. A blocking call.
    #[must_use]
    pub fn check_files(&self, asked: Asked) -> Vec<Problem> {
        let mut problems = Vec::new();
        for subscription in &self.subscriptions {
            let CredentialRef::File(path) = &subscription.credential else { continue };
            let Err((is_exposed, why, hint)) = look(path) else { continue };
            let severity = match asked {
                Asked::ByDaemon if !is_exposed => Severity::Warning,
                Asked::ByDaemon | Asked::ByCheck => Severity::Error,
            };
            problems.push(self.source.problem(Finding {
                severity,
                span: Some(subscription.credential_at.clone()),
                what: format!("credential of \"{}\" is not usable: {}: {why}", subscription.name, path.display()),
                hint: Some(hint),
            }));
        }
        problems
    }
}

/// Whether the file could serve as a credential; else whether others may read it, why not, and what to do.
fn look(path: &Path) -> Result<(), (bool, String, String)> {
    let readable = "let the user that runs switchman read it".to_owned();
    // Opening a FIFO must not wait for a writer that never comes.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|err| {
        let hint = match err.kind() {
            std::io::ErrorKind::NotFound => "put the credential there, readable by its owner only".to_owned(),
            _ => readable.clone(),
        };
        (false, err.to_string(), hint)
    })?;
    let metadata = file.metadata().map_err(|err| (false, err.to_string(), readable.clone()))?;
    if !metadata.is_file() {
        return Err((false, "it is not a file".to_owned(), "name the file that holds the credential".to_owned()));
    }
    if is_exposed(metadata.mode()) {
        let why = format!("others may open it (mode {:04o})", metadata.mode() & 0o7777);
        return Err((true, why, format!("chmod 600 {}", path.display())));
    }
    let most = CredentialRef::BYTES_MAX + 3;
    let mut content = Zeroizing::new(Vec::with_capacity(most));
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut content).map_err(|err| (false, err.to_string(), readable))?;
    match implausible(without_line_end(&content)) {
        None => Ok(()),
        Some(why) => Err((false, why.to_owned(), "put the credential there as one line of text".to_owned())),
    }
}
