//! `[log]`: what is logged and how.

use super::reader::{Field, Section};
use crate::domain::words::words;

words! {
    /// The form of the log.
    pub enum LogFormat ("log format") {
        /// Journald under systemd, text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
        /// Native fields of the journal.
        Journald = "journald",
    }
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form.
    pub format: LogFormat,
    /// Which events: a level, or directives such as `info,switchman::actor=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

pub(super) fn read(section: Field<Section<'_>>) -> Log {
    let default = Log::default();
    let Some(mut section) = section.good() else { return default };
    let findings = section.findings();
    let format = section.word::<LogFormat>("format");
    let filter =
        section.text("filter", "\"info\"").and_then(|text| match tracing_subscriber::EnvFilter::try_new(&text.value) {
            Ok(_) if !text.value.trim().is_empty() => Some(text.value),
            Ok(_) => {
                findings.error(&text.at, "`filter` is empty", "write a level, for example \"info\"");
                None
            }
            Err(err) => {
                let what = format!("`filter` is not a log filter: {err}");
                findings.error(&text.at, what, "write a level (error, warn, info, debug, trace) or target=level");
                None
            }
        });
    section.finish(false);
    Log { format: format.unwrap_or(default.format), filter: filter.unwrap_or(default.filter) }
}
