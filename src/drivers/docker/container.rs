//! What one look at a container shows us, and nothing else of it.
//!
//! An engine shows a container's environment with its values. They end here: a variable is kept by its name, its
//! value is overwritten, and nothing that has seen one can be printed.
//!
//! Tests: below, `tests/runtime_conformance/docker_faults.rs`, `tests/runtime_conformance/docker_containers.rs`.

use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{ContainerConfig, ContainerInspectResponse, HealthStatusEnum, MountPoint};
use zeroize::Zeroizing;

use crate::domain::{Instance, RuntimeState, Wall};
use crate::ports::runtime::{Mount, Seen, Surroundings};

/// The start time the engine shows for a container that was never started.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Says which daemon a container belongs to.
const OWNER_LABEL: &str = "switchman.owner";

/// A container as the engine shows it.
pub(super) struct Container {
    pub(super) id: String,
    pub(super) running: bool,
    pub(super) restarting: bool,
    pub(super) paused: bool,
    pub(super) started_at: Option<String>,
    pub(super) health: Option<HealthStatusEnum>,
    /// How long it is given to end, if that is configured in it.
    pub(super) stop_timeout: Option<Duration>,
    surroundings: Surroundings,
}

impl Container {
    /// `None` if the answer is about no container.
    pub(super) fn read(found: ContainerInspectResponse) -> Option<Self> {
        let state = found.state?;
        let config = found.config.unwrap_or_default();
        let stop_timeout = config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let started_at = state.started_at.filter(|at| !at.is_empty() && at != NEVER);
        let began_at = started_at.as_deref().and_then(moment);
        let around = surroundings(config, found.mounts.unwrap_or_default());
        Some(Self {
            id: found.id.filter(|id| !id.is_empty())?,
            running: state.running.unwrap_or(false),
            restarting: state.restarting.unwrap_or(false),
            paused: state.paused.unwrap_or(false),
            started_at,
            health: state.health.and_then(|health| health.status),
            stop_timeout,
            surroundings: Surroundings { began_at, stop_timeout, ..around },
        })
    }

    pub(super) fn seen(self) -> Seen {
        let state = if self.running { RuntimeState::Running } else { RuntimeState::Stopped };
        let id = self.id;
        let instance = self.started_at.map(|started_at| Instance { id, started_at });
        Seen { state, instance, surroundings: Some(self.surroundings) }
    }

    pub(super) fn is_another_life_than(&self, before: &Instance) -> bool {
        self.started_at.as_ref() != Some(&before.started_at)
    }
}

fn surroundings(config: ContainerConfig, mounts: Vec<MountPoint>) -> Surroundings {
    let variables = config.env.unwrap_or_default().into_iter().map(Zeroizing::new);
    let mut labels = config.labels.unwrap_or_default();
    Surroundings {
        variables: variables.filter_map(|variable| name_of(&variable)).collect(),
        mounts: mounts.into_iter().filter_map(mount).collect(),
        owner: labels.remove(OWNER_LABEL).filter(|owner| !owner.is_empty()),
        stop_timeout: None,
        began_at: None,
    }
}

/// A time as the engine writes it.
fn moment(text: &str) -> Option<Wall> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Wall(at.as_millisecond()))
}

/// The name of a variable that has a value.
fn name_of(variable: &str) -> Option<String> {
    let (name, value) = variable.split_once('=')?;
    (!name.is_empty() && !value.is_empty()).then(|| name.to_owned())
}

/// A path of this machine; what is only in memory, or only in an image, is none.
pub(super) fn mount(point: MountPoint) -> Option<Mount> {
    matches!(point.typ.as_deref(), Some("bind" | "volume")).then_some(())?;
    let source = point.source.filter(|path| !path.is_empty()).map(PathBuf::from)?;
    let destination = point.destination.filter(|path| !path.is_empty()).map(PathBuf::from)?;
    Some(Mount { source, destination })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Option<Seen> {
        Container::read(serde_json::from_str(json).unwrap()).map(Container::seen)
    }

    #[test]
    fn variables_are_kept_by_name_and_only_if_they_have_a_value() {
        let json = r#"{"Id":"c1","State":{},"Config":{"Env":["TOKEN=sk-hush=a","EMPTY=","BARE","=odd","PATH=/bin"]}}"#;
        let seen = seen(json).unwrap();
        assert!(!format!("{seen:?}").contains("hush"), "{seen:?}");
        assert_eq!(seen.surroundings.unwrap().variables, ["TOKEN", "PATH"]);
    }

    #[test]
    fn paths_of_this_machine_are_kept_and_what_is_in_memory_is_not() {
        let json = r#"{"Id":"c1","State":{},"Mounts":[
            {"Type":"bind","Source":"/srv/a","Destination":"/a"},
            {"Type":"volume","Name":"v","Source":"/var/lib/docker/volumes/v/_data","Destination":"/v"},
            {"Type":"tmpfs","Source":"","Destination":"/tmp"},
            {"Type":"image","Source":"/somewhere","Destination":"/image"},
            {"Type":"volume","Destination":"/without-a-source"}]}"#;
        let mount = |source: &str, destination: &str| Mount { source: source.into(), destination: destination.into() };
        let expected = [mount("/srv/a", "/a"), mount("/var/lib/docker/volumes/v/_data", "/v")];
        assert_eq!(seen(json).unwrap().surroundings.unwrap().mounts, expected);
    }

    #[test]
    fn the_owner_is_what_the_label_says() {
        let with = |labels: &str| format!(r#"{{"Id":"c1","State":{{}},"Config":{{"Labels":{labels}}}}}"#);
        let owner = |labels: &str| seen(&with(labels)).unwrap().surroundings.unwrap().owner;
        assert_eq!(owner(r#"{"switchman.owner":"/var/lib/switchman"}"#).as_deref(), Some("/var/lib/switchman"));
        assert_eq!(owner(r#"{"switchman.owner":""}"#), None);
        assert_eq!(owner("null"), None);
    }

    #[test]
    fn an_answer_about_no_container_is_none() {
        assert_eq!(seen(r#"{"State":{}}"#), None);
        assert_eq!(seen(r#"{"Id":"c1"}"#), None);
    }
}
