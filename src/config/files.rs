//! Looks at the credential files that a config refers to, and at the ways to the files that are delivered.
//!
//! A file that others may read is an error for everyone: the secret is out. One that cannot be read is an
//! error for `check`, which is asked whether all is well; a daemon starts all the same, leaves that
//! subscription out and says so, because the other agents need it.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::problem::{Finding, Problem, Severity};
use super::{Config, Delivery, Origin, login};
use crate::domain::credential::{implausible, implausible_text, is_exposed, without_line_end};
use crate::domain::{CredentialRef, SourceId, SubscriptionType};

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
            let Err((is_exposed, why, hint)) = look(path, subscription.kind) else { continue };
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
        problems.extend(self.agents.iter().filter(|agent| agent.origin == Origin::Config).filter_map(|agent| {
            let Delivery::File(file) = &agent.delivery else { return None };
            let real = link_on_the_way(&file.path)?;
            Some(self.source.problem(Finding {
                severity: if asked == Asked::ByCheck { Severity::Error } else { Severity::Warning },
                span: Some(agent.delivery_at.clone()),
                what: format!(
                    "nothing can be delivered to \"{}\": a part of {} is a symbolic link",
                    agent.name,
                    file.path.display()
                ),
                hint: Some(format!("name the real file: {}", real.display())),
            }))
        }));
        for agent in self.agents.iter().filter(|agent| agent.origin == Origin::Config) {
            for (source, at) in agent.sources.iter().zip(&agent.sources_at) {
                let Some((what, hint)) = nothing_there(source, agent.name.as_str()) else { continue };
                let (severity, span) = (Severity::Warning, Some(at.clone()));
                problems.push(self.source.problem(Finding { severity, span, what, hint: Some(hint) }));
            }
        }
        problems
    }
}

/// What keeps a source of files from being read now: it may come, so it is no error.
fn nothing_there(source: &SourceId, agent: &str) -> Option<(String, String)> {
    let SourceId::Files(pattern) = source else { return None };
    let has_wildcard = |part: &&str| part.contains(['*', '?', '[']);
    let fixed: Vec<&str> = pattern.split('/').take_while(|part| !has_wildcard(part)).collect();
    let path = PathBuf::from(format!("/{}", fixed.join("/").trim_start_matches('/')));
    // A pipe is not opened: that could wait for ever.
    let error = match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() || found.is_file() => std::fs::File::open(&path).err()?,
        Ok(_) => std::io::Error::other("it is neither a file nor a folder"),
        Err(error) => error,
    };
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "it is read as soon as it is there; check the path".to_owned(),
        _ => "let the user that runs switchman read it; a unit with ProtectHome= cannot look below /home".to_owned(),
    };
    Some((format!("a source of \"{agent}\" cannot be read: {}: {error}", path.display()), hint))
}

/// The real path, if the folder of a file is reached over a symbolic link: whoever delivers or puts back does not
/// follow one. A folder that is not there yet leads nowhere.
fn link_on_the_way(path: &Path) -> Option<PathBuf> {
    let (folder, file) = (path.parent()?, path.file_name()?);
    let is_link = |part: &Path| std::fs::symlink_metadata(part).is_ok_and(|found| found.is_symlink());
    folder.ancestors().any(is_link).then(|| folder.canonicalize().ok()).flatten().map(|real| real.join(file))
}

/// Whether the file could serve as a credential; else whether others may read it, why not, and what to do.
fn look(path: &Path, kind: SubscriptionType) -> Result<(), (bool, String, String)> {
    if kind == SubscriptionType::Login {
        look_at_place(path)?;
    }
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
    let (why, hint) = match kind {
        SubscriptionType::SetupToken | SubscriptionType::ApiKey => {
            (implausible(without_line_end(&content)), "put the credential there as one line of text")
        }
        SubscriptionType::Login => (
            implausible_text(&content).or_else(|| login::implausible(&content)),
            "put the file there that the tool wrote when you logged in",
        ),
    };
    why.map_or(Ok(()), |why| Err((false, why.to_owned(), hint.to_owned())))
}

/// What a tool has renewed is put in place of the old login: there must be a folder that can be written to, and no
/// link that would be replaced.
fn look_at_place(path: &Path) -> Result<(), (bool, String, String)> {
    let folder = path.parent().unwrap_or(path);
    let may_write = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let at = (rustix::fs::CWD, folder, may_write, rustix::fs::AtFlags::EACCESS);
    rustix::fs::accessat(at.0, at.1, at.2, at.3).map_err(|errno| {
        let why = format!("its folder cannot be written to ({})", std::io::Error::from(errno));
        (false, why, "keep a login in a folder that switchman may write to: renewed tokens are put back".to_owned())
    })?;
    if let Some(real) = link_on_the_way(path) {
        return Err((
            false,
            "a part of its path is a symbolic link".to_owned(),
            format!("name the real file: {}", real.display()),
        ));
    }
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err((false, "it is a symbolic link".to_owned(), "name the file itself".to_owned()));
    }
    Ok(())
}
