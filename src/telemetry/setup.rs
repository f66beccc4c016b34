//! Which form the log takes and where it goes, set up once per process.
//!
//! It must not read the environment: whoever starts the process passes in what it needs to know.
//!
//! Tests: below.

use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::lines::{LineStyle, Lines};
use crate::domain::UnknownWord;
use crate::ports::clock::Clock;

/// The form of the log, as the config names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal if standard error goes there, else text.
    #[default]
    Auto,
    /// Aligned text, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
    /// The journal, with native fields.
    Journald,
}

impl FromStr for LogFormat {
    type Err = UnknownWord;
    fn from_str(given: &str) -> Result<Self, UnknownWord> {
        match given {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "journald" => Ok(Self::Journald),
            _ => Err(UnknownWord {
                what: "log format",
                given: given.to_owned(),
                known: &["auto", "text", "json", "journald"],
            }),
        }
    }
}

/// What the process found when it was started.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The value of `JOURNAL_STREAM`.
    pub journal_stream: Option<String>,
    /// Whether standard error is a terminal that wants colours.
    pub is_terminal: bool,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The filter of the config is not one.
    #[error("read log filter \"{filter}\": {why}; examples: \"info\", \"warn,switchman=debug\"")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// The journal was asked for and is not there.
    #[error("open the journal: {0}; set log.format to \"auto\" to do without")]
    Journal(std::io::Error),
    /// Something has set up a log in this process already.
    #[error("set up the log: it is set up already")]
    Twice,
}

/// Sets up the log of this process, on standard error or in the journal.
pub fn install(
    format: LogFormat,
    filter: &str,
    surroundings: &Surroundings,
    clock: Arc<dyn Clock>,
) -> Result<(), SetupError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| SetupError::Filter { filter: filter.to_owned(), why: error.to_string() })?;
    let registry = tracing_subscriber::registry().with(filter);
    let done = match resolve(format, surroundings) {
        Resolved::Journal => {
            let journal = tracing_journald::layer()
                .map_err(SetupError::Journal)?
                .with_field_prefix(Some("SWITCHMAN".to_owned()))
                .with_syslog_identifier("switchman".to_owned());
            registry.with(journal).try_init()
        }
        Resolved::Lines(style) => registry.with(Lines::new(style, std::io::stderr, clock)).try_init(),
    };
    done.map_err(|_| SetupError::Twice)
}

#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    Journal,
    Lines(LineStyle),
}

fn resolve(format: LogFormat, surroundings: &Surroundings) -> Resolved {
    match format {
        LogFormat::Json => Resolved::Lines(LineStyle::Json),
        LogFormat::Journald => Resolved::Journal,
        LogFormat::Auto
            if surroundings.journal_stream.as_deref().is_some_and(|stream| leads_to(stream, std::io::stderr())) =>
        {
            Resolved::Journal
        }
        LogFormat::Auto | LogFormat::Text => Resolved::Lines(LineStyle::Text { colours: surroundings.is_terminal }),
    }
}

/// Whether `stream` (device and inode, as systemd writes it) is what `file` writes to. A service's child
/// inherits the variable but may have its standard error elsewhere.
fn leads_to(stream: &str, file: impl AsFd) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    rustix::fs::fstat(file).is_ok_and(|stat| stat.st_dev == device && stat.st_ino == inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_journal_only_if_standard_error_leads_there() {
        let stat = rustix::fs::fstat(std::io::stderr()).unwrap();
        let at =
            |journal_stream: &str| Surroundings { journal_stream: Some(journal_stream.to_owned()), is_terminal: false };
        let text = Resolved::Lines(LineStyle::Text { colours: false });
        let here = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert_eq!(resolve(LogFormat::Auto, &at(&here)), Resolved::Journal);
        assert_eq!(resolve(LogFormat::Auto, &at("1:2")), text);
        assert_eq!(resolve(LogFormat::Auto, &at("nonsense")), text);
        assert_eq!(resolve(LogFormat::Auto, &Surroundings::default()), text);
        assert_eq!(resolve(LogFormat::Text, &at(&here)), text, "text stays text");
    }

    #[test]
    fn a_wrong_format_names_the_right_ones() {
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(error.to_string(), "unknown log format \"xml\": one of auto, text, json, journald");
    }
}
