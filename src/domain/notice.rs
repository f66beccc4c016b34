//! What people are told: how bad it is, what a target remembers of it, and the message that goes out.
//!
//! It must not decide what is told: that is `machine::notices`.
//!
//! Tests: of the severities below; of everything else in `machine::notices`.

use std::collections::BTreeMap;

use super::words::words;
use super::{AgentName, Generation, IntentId, Notification, NotifyEvent, SubscriptionName, Wall};

words! {
    /// How much something matters.
    pub enum Severity ("severity") {
        /// Good to know.
        Info = "info",
        /// Something does not work as it should; it may mend itself.
        Warning = "warning",
        /// Nothing goes on until a person has seen to it, or everything is hit.
        Critical = "critical",
    }
}

impl Notification {
    /// How much it matters. The end of a trouble is good to know, however bad the trouble was.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        if self.is_over {
            return Severity::Info;
        }
        match self.event {
            // Only a switch that did not go well asks something of a person.
            NotifyEvent::Switch if self.action.is_some() => Severity::Warning,
            NotifyEvent::Switch
            | NotifyEvent::Recovered
            | NotifyEvent::Woken
            | NotifyEvent::Resumed
            | NotifyEvent::TurnBegun => Severity::Info,
            NotifyEvent::Exhausted | NotifyEvent::Braked | NotifyEvent::LoginExpiring | NotifyEvent::Fenced => {
                Severity::Warning
            }
            NotifyEvent::Parked | NotifyEvent::Banned | NotifyEvent::Engine | NotifyEvent::Halted => Severity::Critical,
        }
    }
}

/// What a message says, ready for any target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Stable: the same message has the same id, however often it is sent.
    pub id: String,
    /// What it is about: a [`NotifyEvent`], `summary` or `test`.
    pub event: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened.
    pub at: Wall,
    /// Whom it is about; `None` if it is about no single agent.
    pub agent: Option<AgentName>,
    /// The subscription that it is about.
    pub subscription: Option<SubscriptionName>,
    /// The agent's generation.
    pub generation: Option<Generation>,
    /// The intent behind it.
    pub intent: Option<IntentId>,
    /// What happened and what was done about it.
    pub text: String,
    /// What a person should do.
    pub action: Option<String>,
    /// Whether the trouble that it names is over.
    pub is_over: bool,
    /// Of a summary: how many messages of each event it stands for.
    pub counts: BTreeMap<NotifyEvent, u64>,
}

impl From<&Notification> for Message {
    fn from(notification: &Notification) -> Self {
        Self {
            id: notification.id.clone(),
            event: notification.event.as_str(),
            severity: notification.severity(),
            at: notification.at,
            agent: notification.agent.clone(),
            subscription: notification.subscription.clone(),
            generation: notification.generation,
            intent: notification.intent.clone(),
            text: notification.text.clone(),
            action: notification.action.clone(),
            is_over: notification.is_over,
            counts: BTreeMap::new(),
        }
    }
}

/// What tells one trouble from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TroubleKey {
    /// What kind it is.
    pub event: NotifyEvent,
    /// Whose it is; `None` if no single agent's.
    pub agent: Option<AgentName>,
    /// The subscription, where it is the subscription's trouble and not the agent's.
    pub subscription: Option<SubscriptionName>,
}

/// What a target was told of a trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleNote {
    /// When the trouble was that it was told of last.
    pub told_at: Wall,
    /// How much it mattered.
    pub severity: Severity,
    /// What a person should do about it, as it was told.
    pub action: Option<String>,
    /// Whether it is over, and that was told as well.
    pub is_over: bool,
    /// It is back too soon: told when some time has passed, if it is still there.
    pub waiting: Option<Box<Notification>>,
}

/// Messages that are told in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// The id of the first: names the summary.
    pub first: String,
    /// When the newest was.
    pub at: Wall,
    /// How many there are of each event.
    pub counts: BTreeMap<NotifyEvent, u64>,
}

/// What a target remembers between messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Troubles that it was told of.
    pub troubles: BTreeMap<TroubleKey, TroubleNote>,
    /// When the messages of the last hour were sent, oldest first.
    pub sent: Vec<Wall>,
    /// What waits until there is room.
    pub gathered: Option<Gathered>,
    /// The summary that is being sent: what comes from now on goes into the next.
    pub closing: Option<Gathered>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_severity_and_its_end_is_no_trouble() {
        let of = |event| Notification::new(event, "n".to_owned(), Wall(0), String::new());
        let of_severity = |severity| {
            let events = NotifyEvent::ALL.iter().filter(|event| of(**event).severity() == severity);
            events.map(|event| event.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of_severity(Severity::Critical), ["parked", "banned", "engine", "halted"]);
        assert_eq!(of_severity(Severity::Warning), ["exhausted", "braked", "login_expiring", "fenced"]);
        assert_eq!(of_severity(Severity::Info), ["switch", "recovered", "woken", "resumed", "turn_begun"]);
        for event in NotifyEvent::ALL {
            assert_eq!(Notification { is_over: true, ..of(*event) }.severity(), Severity::Info, "{event}");
        }
        let failed = Notification { action: Some("look".to_owned()), ..of(NotifyEvent::Switch) };
        assert_eq!(failed.severity(), Severity::Warning);
    }
}
