//! Containers that become agents while the daemon runs: listed at the start, after every hint, and now and then.
//!
//! ```text
//!   a hint ─► a moment ─► list ─► who is missing may come back ─► Living::found ─► agents come and go
//!   every 15 s ───────────┘ │
//!                           └─ cannot be listed: nobody comes or goes (B9)
//! ```
//!
//! A container that is removed and made again under its name within moments is the same agent all along: it is missed
//! for a while before it is gone. One that is there under another name was renamed, and is not missed.
//!
//! It must not decide who is an agent: that is the config's, and what comes of it the actors'.
//!
//! Tests: below, `tests/discovery.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::reload::Living;
use crate::actor::Switchman;
use crate::config::{Agent, Config, Origin, Target};
use crate::domain::{ContainerProblem, Due, FoundContainer, Moment, Sought};
use crate::drivers::docker::DockerHost;
use crate::drivers::docker::discovery::DockerDiscovery;
use crate::ports::clock::Clock;
use crate::ports::discovery::Discovery;
use crate::telemetry::{Telemetry, events};

/// After a hint more of them follow: one listing is for all that come within this time.
const GATHER: Duration = Duration::from_millis(250);

/// Hints are only hints.
const LIST_EVERY: Duration = Duration::from_secs(15);

/// How soon it is tried again what did not come off.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// For how long a container that is not there may come back before its agent is gone.
const MISSED_FOR: Duration = Duration::from_secs(10);

/// How long the start waits for the first listing.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// Keeps the agents in step with the containers.
pub(super) struct Discoverer {
    /// `None` if there is no engine that could be asked.
    source: Option<Arc<dyn Discovery>>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
}

impl Discoverer {
    pub(super) fn new(config: &Config, clock: &Arc<dyn Clock>, telemetry: &Telemetry) -> Self {
        let host = DockerHost::parse(&config.docker.host).ok();
        let source = |host| DockerDiscovery::new(host, config.docker.timeout, Arc::clone(clock));
        Self {
            source: host.map(|host| Arc::new(source(host)) as Arc<dyn Discovery>),
            clock: Arc::clone(clock),
            telemetry: telemetry.clone(),
        }
    }

    /// Those that are there at the start. An engine that does not answer soon is not waited for.
    pub(super) async fn first(&self, config: &Config) -> Vec<FoundContainer> {
        let (Some(source), Some(sought)) = (&self.source, config.sought()) else { return Vec::new() };
        tokio::select! {
            listed = source.list(&sought) => listed.map(|all| relevant(all, &sought)).unwrap_or_default(),
            () = self.clock.sleep(FIRST_LIST) => Vec::new(),
        }
    }

    /// Lists whenever it is worth it, for ever.
    pub(super) async fn run(self, living: &Living) {
        let Some(source) = &self.source else { return std::future::pending().await };
        let mut missed = BTreeMap::new();
        let mut has_failed = false;
        loop {
            let Some(sought) = living.sought().await else {
                // Whoever was found is none any more by the config itself.
                living.is_sought_anew().await;
                continue;
            };
            let wait = match source.list(&sought).await {
                Ok(listed) => {
                    has_failed = false;
                    let (found, again) =
                        miss(relevant(listed, &sought), &living.containers().await, &mut missed, self.clock.now());
                    match living.found(found).await {
                        Ok(()) => again.unwrap_or(LIST_EVERY).min(LIST_EVERY),
                        Err(error) => {
                            tracing::warn!(%error, "containers could not be made agents; tried again in a moment");
                            TRY_AGAIN
                        }
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        self.telemetry.emit(events::DiscoveryFailed { reason: &error.to_string() });
                    }
                    TRY_AGAIN
                }
            };
            tokio::select! {
                () = source.next_hint() => self.clock.sleep(GATHER).await,
                () = living.is_sought_anew() => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }
}

/// Those that were asked for, in the order of their names.
fn relevant(mut listed: Vec<FoundContainer>, sought: &Sought) -> Vec<FoundContainer> {
    listed.retain(|container| sought.is_met_by(container));
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// What is listed and what may come back, in the order of their names; and when the first of those is given up.
fn miss(
    mut listed: Vec<FoundContainer>,
    before: &[FoundContainer],
    missed: &mut BTreeMap<String, Due>,
    now: Moment,
) -> (Vec<FoundContainer>, Option<Duration>) {
    let is_there = |old: &FoundContainer| listed.iter().any(|one| one.name == old.name || one.id == old.id);
    let gone: Vec<&FoundContainer> = before.iter().filter(|old| !is_there(old)).collect();
    missed.retain(|name, _| gone.iter().any(|old| old.name == *name));
    let mut first: Option<Duration> = None;
    for old in gone {
        let due = *missed.entry(old.name.clone()).or_insert_with(|| now.due_after(MISSED_FOR));
        if due.is_past(now) {
            continue;
        }
        let wait = due.remaining(now);
        first = Some(first.map_or(wait, |known| known.min(wait)));
        listed.push(old.clone());
    }
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    (listed, first)
}

/// Says who was discovered and who is gone.
pub(super) fn tell_who_came_and_went(switchman: &Switchman, before: &Config, now: &Config) {
    let telemetry = switchman.telemetry();
    let discovered = |config: &Config| -> BTreeMap<_, _> {
        let discovered = config.agents.iter().filter(|agent| agent.origin != Origin::Config);
        discovered.map(|agent| (agent.name.clone(), agent.clone())).collect()
    };
    let (before, now) = (discovered(before), discovered(now));
    for (name, agent) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        telemetry.emit(events::AgentGone { agent: name, container: container(agent) });
    }
    for (name, agent) in now.iter().filter(|(name, _)| !before.contains_key(*name)) {
        let source = if agent.origin == Origin::Pattern { "pattern" } else { "labels" };
        telemetry.emit(events::AgentDiscovered { agent: name, container: container(agent), source });
    }
}

fn container(agent: &Agent) -> &str {
    match &agent.target {
        Target::Container { name } => name,
        Target::Process { .. } => "",
    }
}

/// Says what is wrong that was not before, and has all of it shown.
pub(super) fn tell_problems(switchman: &Switchman, before: &[ContainerProblem], now: &Arc<[ContainerProblem]>) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        switchman.telemetry().emit(events::ContainerRefused {
            container: &problem.container,
            label: problem.label.as_deref(),
            reason: &problem.what,
            hint: problem.hint.as_deref(),
            is_left_out: problem.is_left_out,
        });
    }
    switchman.containers_differ(Arc::clone(now));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Steady, Wall};

    fn at(second: u64) -> Moment {
        Moment { wall: Wall(0), steady: Steady(second * 1_000) }
    }

    fn one(id: &str, name: &str) -> FoundContainer {
        let (id, name) = (id.to_owned(), name.to_owned());
        FoundContainer { id, name, labels: BTreeMap::new(), mounts: Vec::new(), created_at: Wall(0) }
    }

    #[test]
    fn who_is_missing_may_come_back_for_a_while() {
        let (before, mut missed) = ([one("1", "a"), one("2", "b")], BTreeMap::new());
        let (kept, again) = miss(vec![one("2", "b")], &before, &mut missed, at(0));
        assert_eq!((kept.as_slice(), again), (&before[..], Some(MISSED_FOR)));
        let (kept, again) = miss(vec![one("2", "b")], &before, &mut missed, at(9));
        assert_eq!((kept.len(), again), (2, Some(Duration::from_secs(1))));
        let (back, again) = miss(vec![one("3", "a"), one("2", "b")], &before, &mut missed, at(9));
        assert_eq!((back.as_slice(), again), (&[one("3", "a"), one("2", "b")][..], None));
        let (kept, again) = miss(vec![one("2", "b")], &back, &mut missed, at(10));
        assert_eq!((kept.len(), again), (2, Some(MISSED_FOR)), "it is missed anew");
        let (gone, again) = miss(vec![one("2", "b")], &kept, &mut missed, at(20));
        assert_eq!((gone.as_slice(), again), (&[one("2", "b")][..], None));
    }

    #[test]
    fn who_has_another_name_is_not_missed() {
        let (renamed, again) = miss(vec![one("1", "new")], &[one("1", "old")], &mut BTreeMap::new(), at(0));
        assert_eq!((renamed.as_slice(), again), (&[one("1", "new")][..], None));
    }
}
