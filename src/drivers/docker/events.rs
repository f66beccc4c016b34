//! What the engine tells by itself, and whether it is there at all.
//!
//! It must not be believed: whatever an event says, it also says "look at this agent". The engine keeps few events
//! and forgets them when it ends, so after every new connection the caller is told to look at everything.
//!
//! ```text
//!            ┌──────── ping answered: EngineBack ────────┐
//!            │                                           ▼
//!        ┌───┴────┐  ping not answered: EngineLost   ┌───────┐ event of ours: news.rs
//!   ────►│ Absent │◄─────────────────────────────────│ Follow│──┐
//!        └───┬────┘◄── stream ended (told only if ───└───────┘◄─┘
//!            └──┘        the next ping fails)
//!         wait, ping
//! ```
//!
//! (`Absent` in the picture is two phases in the code: waiting for the next try, and waiting for its ping.)
//!
//! A stream that is silent may be dead: its body has no timeout, so the engine is pinged beside it, and with a ping
//! every now and then the stream is asked for anew. The state
//! lives here and not in the future, so a caller may drop the future at any time and lose nothing.
//!
//! Of a life that was killed the engine is asked once whether memory was wanted: where the kernel tells that by a
//! channel of its own, it can come after the end, or not at all.
//!
//! Tests: `tests/runtime_conformance/docker_events.rs`, `tests/runtime_conformance/docker_faults.rs`,
//! `tests/runtime_conformance.rs`.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use super::DockerRuntime;
use super::calls::in_words;
use super::news::News;
use crate::domain::{AgentName, Due, Moment};
use crate::ports::runtime::{Ended, RuntimeEvent};

const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT_MAX: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A connection that ended sooner was no better than none: the waits go on growing.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// The exit code of what was killed, by whomever.
const KILLED: i32 = 128 + 9;
/// A stream is used for so long: it may have died without a word, or never have begun, while pings are answered.
const STREAM_FOR: Duration = Duration::from_secs(20);
/// Events from so long before the connection are asked for, so that none falls between it and the ping.
const OVERLAP: Duration = Duration::from_secs(2);

const ACTIONS: [&str; 8] = ["create", "start", "kill", "die", "oom", "destroy", "rename", "health_status"];

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// A ping under way: kept, so that it goes on when the caller comes back.
type Ping = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// An end that is not told yet, and the question whether memory was wanted.
struct Asked {
    ended: Ended,
    was_oom: Pin<Box<dyn Future<Output = bool> + Send>>,
}

enum Phase {
    Absent { retry: Option<Due> },
    Asking { ping: Ping },
    Follow { events: Events, opened: Moment, next_ping: Due, ping: Option<Ping> },
}

/// Follows the engine.
pub(super) struct Follower {
    phase: Phase,
    /// Whether the caller has been told that the engine is lost.
    lost_told: bool,
    failures: u32,
    news: News,
    asked: Option<Asked>,
}

impl Default for Follower {
    fn default() -> Self {
        Self { phase: Phase::Absent { retry: None }, lost_told: false, failures: 0, news: News::default(), asked: None }
    }
}

enum Heard {
    Event(EventMessage),
    Ended,
    Silence,
    Pinged(Result<(), String>),
}

impl Follower {
    /// Whether the caller was told that the engine is lost, and not yet that it is back.
    pub(super) fn has_told_loss(&self) -> bool {
        self.lost_told
    }

    /// The next thing to tell.
    pub(super) async fn next(&mut self, docker: &DockerRuntime) -> RuntimeEvent {
        loop {
            if let Some(asked) = &mut self.asked {
                let was_oom = asked.was_oom.as_mut().await;
                let ended = asked.ended.clone();
                self.asked = None;
                return RuntimeEvent::Ended(Ended { was_oom, ..ended });
            }
            let told = match &mut self.phase {
                Phase::Absent { retry } => {
                    if let Some(due) = *retry {
                        docker.clock.sleep(due.remaining(docker.clock.now())).await;
                    }
                    self.phase = Phase::Asking { ping: docker.ping() };
                    None
                }
                Phase::Asking { ping } => {
                    let answer = ping.await;
                    self.answered(docker, answer)
                }
                Phase::Follow { events, next_ping, ping, .. } => {
                    let heard = tokio::select! {
                        biased;
                        item = events.next() => match item {
                            Some(Ok(event)) => Heard::Event(event),
                            Some(Err(_)) | None => Heard::Ended,
                        },
                        answer = answer_of(ping) => Heard::Pinged(answer),
                        () = docker.clock.sleep(next_ping.remaining(docker.clock.now())), if ping.is_none() => {
                            Heard::Silence
                        }
                    };
                    self.heard(docker, heard)
                }
            };
            if let Some(event) = told {
                return event;
            }
        }
    }

    /// The first answer after an absence.
    fn answered(&mut self, docker: &DockerRuntime, answer: Result<(), String>) -> Option<RuntimeEvent> {
        let now = docker.clock.now();
        match answer.and_then(|()| docker.events(now)) {
            Ok(events) => {
                self.phase = Phase::Follow { events, opened: now, next_ping: now.due_after(PING_EVERY), ping: None };
                self.lost_told = false;
                Some(RuntimeEvent::EngineBack)
            }
            Err(why) => {
                self.wait(docker);
                (!std::mem::replace(&mut self.lost_told, true)).then_some(RuntimeEvent::EngineLost(why))
            }
        }
    }

    fn heard(&mut self, docker: &DockerRuntime, heard: Heard) -> Option<RuntimeEvent> {
        let now = docker.clock.now();
        if let Phase::Follow { events, opened, next_ping, ping } = &mut self.phase {
            if opened.due_after(GOOD_CONNECTION).is_past(now) {
                self.failures = 0;
            }
            match heard {
                Heard::Event(event) => {
                    let agent = docker.agent_of(&event).filter(|agent| !self.news.is_a_signal(agent, &event));
                    let told = agent.map(|agent| self.news.of(agent, &event));
                    return match told {
                        Some(RuntimeEvent::Ended(ended)) if ended.exit_code == Some(KILLED) && !ended.was_oom => {
                            self.asked = Some(Asked { was_oom: docker.wanted_memory(&ended.id), ended });
                            None
                        }
                        told => told,
                    };
                }
                Heard::Silence => *ping = Some(docker.ping()),
                Heard::Pinged(Ok(())) => {
                    (*ping, *next_ping) = (None, now.due_after(PING_EVERY));
                    // What was told since the old stream was opened is told once more by the new one.
                    if opened.due_after(STREAM_FOR).is_past(now)
                        && let Ok(fresh) = docker.events(*opened)
                    {
                        (*events, *opened) = (fresh, now);
                    }
                }
                Heard::Pinged(Err(why)) => {
                    self.wait(docker);
                    self.lost_told = true;
                    return Some(RuntimeEvent::EngineLost(why));
                }
                Heard::Ended => self.wait(docker),
            }
        }
        None
    }

    fn wait(&mut self, docker: &DockerRuntime) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Absent { retry: Some(docker.clock.now().due_after(wait)) };
    }
}

async fn answer_of(ping: &mut Option<Ping>) -> Result<(), String> {
    match ping {
        Some(ping) => ping.await,
        None => std::future::pending().await,
    }
}

impl DockerRuntime {
    fn ping(&self) -> Ping {
        let client = self.engine.client().cloned().map_err(|error| error.to_string());
        let (host, deadline) = (self.engine.host().clone(), self.call_timeout.min(PING_TIMEOUT_MAX));
        Box::pin(async move {
            match tokio::time::timeout(deadline, client?.ping()).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("{host}: {}", in_words(&error))),
                Err(_) => Err(format!("{host}: no answer to a ping within {deadline:?}")),
            }
        })
    }

    /// Whether the last life of this container wanted memory; no answer is a no. The next life begins without it.
    fn wanted_memory(&self, id: &str) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let client = self.engine.client().ok().cloned();
        let (id, deadline) = (id.to_owned(), self.call_timeout.min(PING_TIMEOUT_MAX));
        Box::pin(async move {
            let Some(client) = client else { return false };
            let found = tokio::time::timeout(deadline, client.inspect_container(&id, None)).await;
            let state = found.ok().and_then(Result::ok).and_then(|found| found.state);
            state.and_then(|state| state.oom_killed) == Some(true)
        })
    }

    /// What has happened since then, and what will.
    fn events(&self, from: Moment) -> Result<Events, String> {
        let client = self.engine.client().map_err(|error| error.to_string())?;
        let since = from.wall.minus(OVERLAP).0 / 1_000;
        let filters = HashMap::from([("type", vec!["container"]), ("event", ACTIONS.to_vec())]);
        let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
        Ok(client.events(Some(options)).boxed())
    }

    /// Whose container an event is about: by its name, or by the one it had before a rename.
    fn agent_of(&self, event: &EventMessage) -> Option<AgentName> {
        let attributes = event.actor.as_ref()?.attributes.as_ref()?;
        let names = [attributes.get("name"), attributes.get("oldName")];
        let is_named = |container: &str| names.iter().flatten().any(|name| name.trim_start_matches('/') == container);
        let containers = self.containers.borrow();
        containers.iter().find(|(_, container)| is_named(container)).map(|(agent, _)| agent.clone())
    }
}
