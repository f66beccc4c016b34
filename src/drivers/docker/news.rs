//! What an event of the engine says about an agent, if it is about one of ours.
//!
//! It must not decide anything: an event can be lost, late, or told twice, so each also means "look at this agent".
//!
//! | action | told as |
//! |---|---|
//! | `die` | `Ended`, with the exit code; out of memory, or told to end, if that was said of this container since its start |
//! | `health_status: healthy`, `health_status: unhealthy` | `Health` |
//! | `kill` | nothing, but the end after it is told as one that was asked for |
//! | any other | `Changed` |
//!
//! After a new connection the last seconds are told again; an end or a verdict that was told already is then a change
//! only.
//! What is remembered is bounded by the number of agents.
//!
//! Tests: below, `tests/runtime_conformance/docker_events.rs`.

use std::collections::BTreeMap;

use bollard::models::EventMessage;

use crate::domain::{AgentName, Wall};
use crate::ports::runtime::{Ended, RuntimeEvent};

/// The code of the main process: the engine's name for it, and Podman's.
const EXIT_CODE: [&str; 2] = ["exitCode", "containerExitCode"];

const NANOSECONDS: i64 = 1_000_000;

/// What earlier events said that later ones are read with.
#[derive(Default)]
pub(super) struct News {
    /// The container in which something was ended for want of memory since its start.
    out_of_memory: BTreeMap<AgentName, String>,
    /// The container that was sent a signal since its start which asks it to end.
    told_to_end: BTreeMap<AgentName, String>,
    /// What its health check said last.
    health: BTreeMap<AgentName, bool>,
    /// The end that was told last: whose, and when by the engine's clock in nanoseconds.
    told: BTreeMap<AgentName, (String, i64)>,
}

impl News {
    /// What an event about the container of this agent means.
    pub(super) fn of(&mut self, agent: AgentName, event: &EventMessage) -> RuntimeEvent {
        let id = event.actor.as_ref().and_then(|actor| actor.id.clone()).unwrap_or_default();
        match event.action.as_deref().map(str::trim) {
            Some("die") => return self.end(agent, id, event),
            Some("oom") => {
                self.out_of_memory.insert(agent.clone(), id);
            }
            Some("start") => {
                self.out_of_memory.remove(&agent);
                self.told_to_end.remove(&agent);
            }
            Some("health_status: healthy") => return self.health(agent, true),
            Some("health_status: unhealthy") => return self.health(agent, false),
            _ => {}
        }
        RuntimeEvent::Changed(agent)
    }

    /// Whether it tells of a signal: nothing has changed by that, but an end after it is none that comes by itself.
    pub(super) fn is_a_signal(&mut self, agent: &AgentName, event: &EventMessage) -> bool {
        let is_signal = event.action.as_deref().map(str::trim) == Some("kill");
        if is_signal && asks_to_end(event) {
            let id = event.actor.as_ref().and_then(|actor| actor.id.clone()).unwrap_or_default();
            self.told_to_end.insert(agent.clone(), id);
        }
        is_signal
    }

    fn health(&mut self, agent: AgentName, is_healthy: bool) -> RuntimeEvent {
        if self.health.insert(agent.clone(), is_healthy) == Some(is_healthy) {
            return RuntimeEvent::Changed(agent);
        }
        RuntimeEvent::Health { agent, is_healthy }
    }

    fn end(&mut self, agent: AgentName, id: String, event: &EventMessage) -> RuntimeEvent {
        let was_oom = self.out_of_memory.remove(&agent).is_some_and(|other| other == id);
        let was_told = self.told_to_end.remove(&agent).is_some_and(|other| other == id);
        if let Some(time) = event.time_nano {
            let this = (id.clone(), time);
            if self.told.get(&agent).is_some_and(|(told, at)| *told == id && *at >= time) {
                return RuntimeEvent::Changed(agent);
            }
            self.told.insert(agent.clone(), this);
        }
        let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        let said = attributes.and_then(|attributes| EXIT_CODE.iter().find_map(|name| attributes.get(*name)));
        let exit_code = said.and_then(|text| text.trim().parse().ok());
        let at = event.time_nano.map(|ns| ns / NANOSECONDS).or(event.time.map(|s| s.saturating_mul(1_000))).map(Wall);
        RuntimeEvent::Ended(Ended { agent, id, exit_code, was_oom, was_told, at })
    }
}

/// Whether the signal of a `kill` asks the container to end: every one but those that tools take as a word about something
/// else. A stop is one as well, and a program that heeds it may well end with code 0.
fn asks_to_end(event: &EventMessage) -> bool {
    let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    let signal = attributes.and_then(|attributes| attributes.get("signal")).map(|signal| signal.trim());
    !matches!(signal, Some("1" | "10" | "12" | "28" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "SIGWINCH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> AgentName {
        AgentName::new("one")
    }

    fn event(action: &str, id: &str, attributes: &str, time_ns: i64) -> EventMessage {
        let json = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{{attributes}}}}},
                "time":{},"timeNano":{time_ns}}}"#,
            time_ns / 1_000_000_000
        );
        serde_json::from_str(&json).unwrap()
    }

    fn ended(exit_code: Option<i32>, was_oom: bool, at_ms: i64) -> RuntimeEvent {
        let (agent, id, at) = (one(), "c1".to_owned(), Some(Wall(at_ms)));
        RuntimeEvent::Ended(Ended { agent, id, exit_code, was_oom, was_told: false, at })
    }

    #[test]
    fn an_end_has_its_code_whatever_the_engine_calls_it() {
        let mut news = News::default();
        for (attributes, code) in [
            (r#""exitCode":"3""#, Some(3)),
            (r#""containerExitCode":"137""#, Some(137)),
            (r#""exitCode":"?""#, None),
            ("", None),
        ] {
            let told = news.of(one(), &event("die", "c1", attributes, 1_700_000_000_250_000_000));
            assert_eq!(told, ended(code, false, 1_700_000_000_250));
            news = News::default();
        }
    }

    #[test]
    fn want_of_memory_is_of_one_life_and_of_one_container() {
        let mut news = News::default();
        let die = |ns| event("die", "c1", r#""exitCode":"137""#, ns);
        assert_eq!(news.of(one(), &event("oom", "c1", "", 0)), RuntimeEvent::Changed(one()));
        assert_eq!(news.of(one(), &die(1_000_000)), ended(Some(137), true, 1));
        assert_eq!(news.of(one(), &die(2_000_000)), ended(Some(137), false, 2), "it was told once");
        news.of(one(), &event("oom", "c0", "", 0));
        assert_eq!(news.of(one(), &die(3_000_000)), ended(Some(137), false, 3), "it was another container");
        news.of(one(), &event("oom", "c1", "", 0));
        news.of(one(), &event("start", "c1", "", 0));
        assert_eq!(news.of(one(), &die(4_000_000)), ended(Some(137), false, 4), "it was an earlier life");
    }

    #[test]
    fn who_was_told_to_end_did_not_end_by_itself_whatever_its_code() {
        let was_told = |news: &mut News, ns| match news.of(one(), &event("die", "c1", r#""exitCode":"0""#, ns)) {
            RuntimeEvent::Ended(ended) => ended.was_told,
            other => panic!("{other:?}"),
        };
        let mut news = News::default();
        let kill = |signal: &str, id| event("kill", id, &format!(r#""signal":"{signal}""#), 0);
        assert!(!was_told(&mut news, 1_000_000));
        assert!(news.is_a_signal(&one(), &kill("15", "c1")));
        assert!(!news.is_a_signal(&one(), &event("start", "c0", "", 0)));
        assert!(was_told(&mut news, 2_000_000));
        assert!(!was_told(&mut news, 3_000_000), "it was about the life before");
        for harmless in [kill("1", "c1"), kill("SIGHUP", "c1"), kill("15", "c0")] {
            assert!(news.is_a_signal(&one(), &harmless));
        }
        assert!(!was_told(&mut news, 4_000_000), "one signal was no end, the other for another container");
        assert!(news.is_a_signal(&one(), &kill("15", "c1")));
        news.of(one(), &event("start", "c1", "", 0));
        assert!(!was_told(&mut news, 5_000_000));
    }

    #[test]
    fn an_end_that_is_told_again_is_a_change() {
        let mut news = News::default();
        let die = event("die", "c1", r#""exitCode":"3""#, 5_000_000);
        assert_eq!(news.of(one(), &die), ended(Some(3), false, 5));
        assert_eq!(news.of(one(), &die), RuntimeEvent::Changed(one()));
    }

    #[test]
    fn health_is_told_as_it_turns_and_what_is_not_understood_is_a_change() {
        let mut news = News::default();
        let health = |is_healthy| RuntimeEvent::Health { agent: one(), is_healthy };
        assert_eq!(news.of(one(), &event("health_status: healthy", "c1", "", 1)), health(true));
        assert_eq!(news.of(one(), &event("health_status: unhealthy", "c1", "", 1)), health(false));
        for other in ["health_status", "health_status: running", "rename", "destroy", "start", ""] {
            assert_eq!(news.of(one(), &event(other, "c1", "", 1)), RuntimeEvent::Changed(one()), "{other}");
        }
        assert_eq!(news.of(one(), &EventMessage::default()), RuntimeEvent::Changed(one()));
    }
}
