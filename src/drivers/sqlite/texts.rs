//! The two columns that hold JSON: the first answer to a report, and the targets that are excluded.
//!
//! These forms belong to the database, not to the API: they change by migration only.
//!
//! Tests: below; damaged texts in `tests/store_conformance/sqlite_only.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{AgentName, Answer, AnswerSwitch, FailureId, Generation, IntentId, SubscriptionName, Wall};

#[derive(Serialize, Deserialize)]
struct AnswerText {
    outcome: String,
    duplicate: bool,
    failure: Option<String>,
    kind: String,
    agent: String,
    subscription: Option<String>,
    generation: Option<u64>,
    switch: Option<SwitchText>,
    retry_after_ms: Option<u64>,
    earliest_reset: Option<i64>,
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SwitchText {
    id: String,
    from: Option<String>,
    to: String,
    generation: u64,
    outcome: String,
}

/// The answer as text. A part of a millisecond in `retry_after` is rounded up.
pub(super) fn write_answer(answer: &Answer) -> String {
    let text = AnswerText {
        outcome: answer.outcome.to_string(),
        duplicate: answer.duplicate,
        failure: answer.failure.as_ref().map(ToString::to_string),
        kind: answer.kind.to_string(),
        agent: answer.agent.to_string(),
        subscription: answer.subscription.as_ref().map(ToString::to_string),
        generation: answer.generation.map(|generation| generation.0),
        switch: answer.switch.as_ref().map(|switch| SwitchText {
            id: switch.id.to_string(),
            from: switch.from.as_ref().map(ToString::to_string),
            to: switch.to.to_string(),
            generation: switch.generation.0,
            outcome: switch.outcome.to_string(),
        }),
        retry_after_ms: answer
            .retry_after
            .map(|wait| u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)),
        earliest_reset: answer.earliest_reset.map(|wall| wall.0),
        reason: answer.reason.clone(),
    };
    serde_json::to_string(&text).expect("strings and integers always have a JSON form")
}

/// The answer out of its text; `None` if it is not one.
pub(super) fn read_answer(text: &str) -> Option<Answer> {
    let text: AnswerText = serde_json::from_str(text).ok()?;
    Some(Answer {
        outcome: text.outcome.parse().ok()?,
        duplicate: text.duplicate,
        failure: text.failure.map(|id| FailureId::parse(&id).ok_or(())).transpose().ok()?,
        kind: text.kind.parse().ok()?,
        agent: AgentName::from(text.agent),
        subscription: text.subscription.map(SubscriptionName::from),
        generation: text.generation.map(Generation),
        switch: text.switch.map(|switch| read_switch(switch).ok_or(())).transpose().ok()?,
        retry_after: text.retry_after_ms.map(Duration::from_millis),
        earliest_reset: text.earliest_reset.map(Wall),
        reason: text.reason,
    })
}

fn read_switch(text: SwitchText) -> Option<AnswerSwitch> {
    Some(AnswerSwitch {
        id: IntentId::parse(&text.id)?,
        from: text.from.map(SubscriptionName::from),
        to: SubscriptionName::from(text.to),
        generation: Generation(text.generation),
        outcome: text.outcome.parse().ok()?,
    })
}

/// The exclusions as text.
pub(super) fn write_exclusions(exclusions: &BTreeMap<SubscriptionName, Wall>) -> String {
    if exclusions.is_empty() {
        return "{}".to_owned();
    }
    let text: BTreeMap<&str, i64> = exclusions.iter().map(|(name, until)| (name.as_str(), until.0)).collect();
    serde_json::to_string(&text).expect("strings and integers always have a JSON form")
}

/// The exclusions out of their text; `None` if it is not one.
pub(super) fn read_exclusions(text: &str) -> Option<BTreeMap<SubscriptionName, Wall>> {
    let text: BTreeMap<String, i64> = serde_json::from_str(text).ok()?;
    Some(text.into_iter().map(|(name, until)| (SubscriptionName::from(name), Wall(until))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureKind, Outcome};

    #[test]
    fn a_wait_is_never_shortened() {
        let answer = Answer {
            outcome: Outcome::Braked,
            duplicate: false,
            failure: None,
            kind: FailureKind::Auth,
            agent: AgentName::from("web"),
            subscription: None,
            generation: Some(Generation(u64::MAX)),
            switch: None,
            retry_after: Some(Duration::from_nanos(1_000_001)),
            earliest_reset: None,
            reason: Some("a \"quoted\" reason\n".to_owned()),
        };
        let read = read_answer(&write_answer(&answer)).unwrap();
        assert_eq!(read, Answer { retry_after: Some(Duration::from_millis(2)), ..answer });
    }

    #[test]
    fn text_of_another_form_is_no_answer() {
        assert_eq!(read_answer("{}"), None);
        assert_eq!(read_exclusions("{\"a\": \"soon\"}"), None);
    }
}
