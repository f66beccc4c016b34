//! What people are told about an agent: what happened, what was done, and what they should do.
//!
//! One or two sentences each, for somebody who is not looking at the daemon. It must not decide whether something is
//! told: a target's taste does (`machine::notices`).
//!
//! Tests: `tests/machine_rules.rs` (what is told when), `tests/notices.rs` (the words).

use crate::domain::{Intent, IntentOutcome, NotifyEvent, ParkReason};

/// What a person should do about it; `None` if nothing.
pub(super) fn action(event: NotifyEvent, agent: &str) -> Option<String> {
    match event {
        NotifyEvent::Exhausted => Some(format!(
            "it goes on by itself at the first reset; to go on sooner, add a subscription or lift a cooldown \
             (`switchman explain {agent}`)"
        )),
        NotifyEvent::Parked => {
            Some(format!("see `switchman explain {agent}` and its log, mend it, then run `switchman unpark {agent}`"))
        }
        NotifyEvent::Braked => Some(format!(
            "see `switchman history {agent}` for what moves it so often; an operator's `switchman switch {agent}` is not \
             held up"
        )),
        NotifyEvent::Banned => {
            Some("see to the account; then `switchman cooldown clear` lifts its quarantine".to_owned())
        }
        NotifyEvent::Halted => {
            Some("see to the accounts; then `switchman resume --all` lets agents move again".to_owned())
        }
        NotifyEvent::Engine => Some("look at the engine: `docker info`, `systemctl status docker`".to_owned()),
        NotifyEvent::LoginExpiring => Some("log in again before then".to_owned()),
        NotifyEvent::Switch
        | NotifyEvent::Recovered
        | NotifyEvent::Woken
        | NotifyEvent::Resumed
        | NotifyEvent::TurnBegun
        | NotifyEvent::Fenced => None,
    }
}

/// What became of a switch, and what a person should do about it.
pub(super) fn switched(intent: &Intent, outcome: IntentOutcome) -> (String, Option<String>) {
    let agent = &intent.id.agent;
    let from = intent.from.as_ref().map_or("nothing", |from| from.as_str());
    let why = intent.cause.kind.map_or_else(|| format!("by {}", intent.cause.by), |kind| format!("after {kind}"));
    let moved = format!("{agent} moved from {from} to {} {why}", intent.to);
    let failed = format!("{agent} could not be moved from {from} to {} {why}", intent.to);
    let look = || Some(format!("look at its log, and at `switchman status {agent}`"));
    match outcome {
        IntentOutcome::Ready => (format!("{moved} and runs again"), None),
        IntentOutcome::UnderWay => (format!("{moved}: under way"), None),
        IntentOutcome::NotReady => (format!("{moved}, was restarted and is not ready"), look()),
        IntentOutcome::NotRunning => (format!("{moved} and does not run"), look()),
        IntentOutcome::NoContainer => {
            (format!("{moved}; it has no container, and the next one will run on it"), Some(format!("start {agent}")))
        }
        IntentOutcome::RolledBack => (format!("{failed}: undone, it is as it was"), Some(history(agent.as_str()))),
        IntentOutcome::Failed => (format!("{failed}: nothing was touched"), Some(history(agent.as_str()))),
        IntentOutcome::Cancelled => (format!("{failed}: the switch was given up"), None),
    }
}

fn history(agent: &str) -> String {
    format!("`switchman history {agent}` says why; it is tried again by itself")
}

/// Why an agent is parked.
pub(super) const fn parked(reason: ParkReason) -> &'static str {
    match reason {
        ParkReason::ApplyFailed => "three switches in a row could not be applied",
        ParkReason::Crashed => "its actor failed too often",
        ParkReason::CredentialShadowed => {
            "logins were refused on two subscriptions in a row, and to nobody else, so a key in its own environment or files seems \
             to win over what it is given; look for it and remove it"
        }
    }
}
