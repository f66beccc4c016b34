//! Names and numbers that identify things. Cheap to clone: every name is a shared string.

use std::sync::Arc;

macro_rules! name {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it is; syntax is the business of whoever reads it from outside.
            #[must_use]
            pub fn new(name: impl Into<Arc<str>>) -> Self { Self(name.into()) }
            /// The name itself.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(&self.0) }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{:?}", &*self.0) }
        }
        impl From<&str> for $name { fn from(name: &str) -> Self { Self::new(name) } }
        impl From<String> for $name { fn from(name: String) -> Self { Self::new(name) } }
        impl std::borrow::Borrow<str> for $name { fn borrow(&self) -> &str { &self.0 } }
    };
}

name!(
    /// The thing that is kept working: one container or process that runs an AI coding tool.
    AgentName
);
name!(
    /// A paid account that agents can run on, with one credential.
    SubscriptionName
);
name!(
    /// What the provider counts against. Subscriptions can share one.
    QuotaIdentity
);
name!(
    /// Who sells the subscription: `anthropic`, `openai`, `google`, or a name of the user's own.
    Provider
);
name!(
    /// A model family that a limit can be about, for example `opus`.
    Model
);
name!(
    /// The idempotency key that a reporter chose for its report.
    ReportId
);
name!(
    /// What at most one turn at a time may run in: a name, or two whose order does not matter.
    SessionName
);
name!(
    /// The idempotency key that a caller chose for beginning a turn.
    TurnKey
);

/// A number as `Display` writes it: without a sign and without zeros in front, so that everything has one id.
fn number_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A recorded failure: the agent's name and a number that only grows within the agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureId {
    /// The agent that failed.
    pub agent: AgentName,
    /// Its n-th recorded failure, from 1.
    pub number: u64,
}

impl FailureId {
    /// Reads the form that `Display` writes; `None` if it is not of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (agent, number) = text.rsplit_once("-f")?;
        (!agent.is_empty()).then_some(())?;
        Some(Self { agent: AgentName::new(agent), number: number_of(number)? })
    }
}

impl std::fmt::Display for FailureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-f{}", self.agent, self.number)
    }
}

/// An intent (a switch, a recovery): the agent's name and a number that only grows within the agent.
/// It identifies the attempt to drivers, the history and notifications.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId {
    /// The agent it is about.
    pub agent: AgentName,
    /// Its n-th intent, from 1.
    pub number: u64,
}

impl IntentId {
    /// Reads the form that `Display` writes; `None` if it is not of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (agent, number) = text.rsplit_once("-s")?;
        (!agent.is_empty()).then_some(())?;
        Some(Self { agent: AgentName::new(agent), number: number_of(number)? })
    }
}

impl std::fmt::Display for IntentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-s{}", self.agent, self.number)
    }
}

/// A turn: the agent's name and a number that only grows within the agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId {
    /// The agent that is talked to.
    pub agent: AgentName,
    /// Its n-th turn, from 1.
    pub number: u64,
}

impl TurnId {
    /// Reads the form that `Display` writes; `None` if it is not of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (agent, number) = text.rsplit_once("-t")?;
        (!agent.is_empty()).then_some(())?;
        Some(Self { agent: AgentName::new(agent), number: number_of(number)? })
    }
}

impl std::fmt::Display for TurnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-t{}", self.agent, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_even_if_the_name_looks_like_one() {
        let id = IntentId { agent: AgentName::new("web-s1"), number: 12 };
        assert_eq!(IntentId::parse(&id.to_string()), Some(id));
        assert_eq!(IntentId::parse("-s1"), None);
        assert_eq!(IntentId::parse("web"), None);
        let id = FailureId { agent: AgentName::new("web-f1"), number: 12 };
        assert_eq!(FailureId::parse(&id.to_string()), Some(id));
        assert_eq!(FailureId::parse("-f1"), None);
    }

    #[test]
    fn an_id_has_one_spelling() {
        for number in ["", "01", "+1", "-1", " 1", "1 ", "1.0", "18446744073709551616"] {
            assert_eq!(TurnId::parse(&format!("web-t{number}")), None, "{number:?}");
            assert_eq!(IntentId::parse(&format!("web-s{number}")), None, "{number:?}");
            assert_eq!(FailureId::parse(&format!("web-f{number}")), None, "{number:?}");
        }
        assert_eq!(TurnId::parse("web-t0").map(|id| id.number), Some(0));
    }
}
