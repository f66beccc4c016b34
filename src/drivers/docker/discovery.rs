//! What containers an engine has: one call for all of them, and its events as hints to make it again.
//!
//! Labels and mounts are in the engine's list, so nothing is inspected. What can be filtered by the engine is: by label
//! or by name, for its filters all have to hold at once.
//!
//! The stream of events has no timeout and may die without a word; it is asked for anew every minute, from a moment
//! before the last time. Whoever listens lists again now and then all the same.
//!
//! Tests: `tests/discovery_conformance.rs`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, EventMessage};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::{Stream, StreamExt};
use tokio::sync::Mutex;

use super::calls::in_words;
use super::client::{DockerHost, Engine};
use super::container::mount;
use crate::domain::{Due, FoundContainer, Moment, Sought, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::discovery::{Discovery, ListError};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A stream is used for so long.
const STREAM_FOR: Duration = Duration::from_secs(60);
/// Events from so long before are asked for, so that none falls between two streams.
const OVERLAP: Duration = Duration::from_secs(2);
/// What changes which containers there are, or what they are called.
const ACTIONS: [&str; 3] = ["create", "destroy", "rename"];

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// The containers of one engine.
pub struct DockerDiscovery {
    engine: Engine,
    call_timeout: Duration,
    clock: Arc<dyn Clock>,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    stream: Option<(Events, Moment)>,
    failures: u32,
    /// When the next stream is asked for.
    retry: Option<Due>,
}

enum Heard {
    Event,
    Ended,
    Old,
}

impl DockerDiscovery {
    /// The containers of the engine at `host`, which need not be there yet.
    #[must_use]
    pub fn new(host: DockerHost, call_timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { engine: Engine::new(host), call_timeout, clock, listening: Mutex::default() }
    }

    async fn all(&self, sought: &Sought) -> Result<Vec<FoundContainer>, ListError> {
        let client = self.engine.client().map_err(|error| ListError(error.to_string()))?;
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters(sought)).build();
        let listed = match tokio::time::timeout(self.call_timeout, client.list_containers(Some(options))).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return Err(ListError(format!("{}: {}", self.engine.host(), in_words(&error)))),
            Err(_) => {
                return Err(ListError(format!("{}: no answer within {:?}", self.engine.host(), self.call_timeout)));
            }
        };
        Ok(listed.into_iter().filter_map(read).collect())
    }

    fn events(&self, from: Moment) -> Option<Events> {
        let client = self.engine.client().ok()?;
        let since = from.wall.minus(OVERLAP).0 / 1_000;
        let filters = HashMap::from([("type", vec!["container"]), ("event", ACTIONS.to_vec())]);
        let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
        Some(client.events(Some(options)).boxed())
    }

    async fn hint(&self) {
        let mut listening = self.listening.lock().await;
        loop {
            let now = self.clock.now();
            let Some((events, opened)) = &mut listening.stream else {
                if let Some(retry) = listening.retry {
                    self.clock.sleep(retry.remaining(now)).await;
                }
                let opened = self.clock.now();
                listening.stream = self.events(opened).map(|events| (events, opened));
                if listening.stream.is_none() {
                    listening.wait(opened);
                }
                // Whatever happened while nobody listened is found by a listing.
                return;
            };
            let old = opened.due_after(STREAM_FOR);
            let heard = tokio::select! {
                biased;
                item = events.next() => match item {
                    Some(Ok(_)) => Heard::Event,
                    Some(Err(_)) | None => Heard::Ended,
                },
                () = self.clock.sleep(old.remaining(now)), if !old.is_past(now) => Heard::Old,
                () = std::future::ready(()), if old.is_past(now) => Heard::Old,
            };
            let opened = *opened;
            match heard {
                Heard::Event => {
                    listening.failures = 0;
                    return;
                }
                Heard::Old => listening.stream = self.events(opened).map(|events| (events, self.clock.now())),
                Heard::Ended => {
                    listening.stream = None;
                    listening.wait(self.clock.now());
                }
            }
        }
    }
}

impl Listening {
    fn wait(&mut self, now: Moment) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now.due_after(wait));
    }
}

/// By label or by names; with both, the engine would look for those that have both.
fn filters(sought: &Sought) -> HashMap<&'static str, Vec<String>> {
    match (sought.label, sought.patterns.is_empty()) {
        (Some(label), true) => HashMap::from([("label", vec![label.to_owned()])]),
        (None, false) => HashMap::from([("name", sought.patterns.iter().map(|pattern| expression(pattern)).collect())]),
        (Some(_), false) | (None, true) => HashMap::new(),
    }
}

/// A pattern as the engine's own: a regular expression that is looked for anywhere in the name.
fn expression(pattern: &str) -> String {
    format!("^/?{}$", pattern.replace('.', "\\.").replace('*', ".*"))
}

/// A container of the list; what has no name cannot be an agent.
fn read(listed: ContainerSummary) -> Option<FoundContainer> {
    // A container that others link to has their names for it as well: `/other/alias`.
    let own = |name: &String| name.strip_prefix('/').filter(|name| !name.contains('/')).map(str::to_owned);
    Some(FoundContainer {
        id: listed.id?,
        name: listed.names?.iter().find_map(own)?,
        labels: listed.labels.unwrap_or_default().into_iter().collect(),
        mounts: listed.mounts.unwrap_or_default().into_iter().filter_map(mount).map(|mount| mount.source).collect(),
        created_at: Wall(listed.created.unwrap_or_default().saturating_mul(1_000)),
    })
}

impl Discovery for DockerDiscovery {
    fn list<'a>(&'a self, sought: &'a Sought) -> Pending<'a, Result<Vec<FoundContainer>, ListError>> {
        Box::pin(self.all(sought))
    }

    fn next_hint(&self) -> Pending<'_, ()> {
        Box::pin(self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_others_link_to_has_its_own_name() {
        let json = r#"{"Id":"c1","Names":["/web/db","/db"],"Labels":{"a":"b"},"Created":7,
            "Mounts":[{"Type":"bind","Source":"/srv/a","Destination":"/a"},{"Type":"tmpfs","Destination":"/t"}]}"#;
        let found = read(serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!((found.name.as_str(), found.created_at), ("db", Wall(7_000)));
        assert_eq!(found.mounts, ["/srv/a"].map(std::path::PathBuf::from));
        assert_eq!(read(serde_json::from_str(r#"{"Id":"c1","Names":[]}"#).unwrap()), None);
    }

    #[test]
    fn the_engine_filters_where_one_filter_is_enough() {
        let sought =
            |label, patterns: &[&str]| Sought { label, patterns: patterns.iter().map(|p| (*p).to_owned()).collect() };
        assert_eq!(filters(&sought(Some("l"), &[])), HashMap::from([("label", vec!["l".to_owned()])]));
        assert_eq!(filters(&sought(None, &["a.b-*"])), HashMap::from([("name", vec!["^/?a\\.b-.*$".to_owned()])]));
        assert_eq!(filters(&sought(Some("l"), &["w*"])), HashMap::new());
    }
}
