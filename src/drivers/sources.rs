//! Where lines of agents come from: a router over the log of a container, session files, the journal, standard input.
//!
//! It must not know anything of what it passes on.
//!
//! Tests: `tests/log_conformance.rs` and `tests/source_conformance.rs`, through each of them.

use std::sync::Arc;

pub mod files;
pub mod journal;
mod split;
pub mod stdin;

use self::files::FileSources;
use self::journal::JournalSources;
use self::stdin::StdinSource;
use crate::domain::{AgentName, LogPosition, SourceId};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::{LogError, LogSource, LogStream};

/// Every source that an agent can have.
pub struct Sources {
    containers: Option<Arc<dyn LogSource>>,
    files: FileSources,
    journal: JournalSources,
    stdin: StdinSource,
}

impl Sources {
    /// With the logs of these containers, if there are any.
    #[must_use]
    pub fn new(containers: Option<Arc<dyn LogSource>>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            containers,
            files: FileSources::new(Arc::clone(clock)),
            journal: JournalSources::new(Arc::clone(clock)),
            stdin: StdinSource::new(Arc::clone(clock)),
        }
    }
}

impl LogSource for Sources {
    fn open<'a>(
        &'a self,
        agent: &'a AgentName,
        source: &'a SourceId,
        from: &'a [LogPosition],
        whole: bool,
    ) -> Pending<'a, Result<Box<dyn LogStream>, LogError>> {
        match source {
            SourceId::Container => match &self.containers {
                Some(containers) => containers.open(agent, source, from, whole),
                None => Box::pin(async { Err(LogError::Missing(agent.clone())) }),
            },
            SourceId::Files(_) => self.files.open(agent, source, from, whole),
            SourceId::Journal(_) => self.journal.open(agent, source, from, whole),
            SourceId::Stdin => self.stdin.open(agent, source, from, whole),
        }
    }
}
