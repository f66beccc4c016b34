//! What travels: every document of the API, as it is read and written.
//!
//! These types are not the domain's: they are spelled as the contract spells them, keep their members for ever, and
//! convert from what the daemon knows. Requests refuse members that they do not know. Answers do not: a client of
//! yesterday reads an answer of tomorrow. A member without a value is `null`, never left out.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod agent;
mod command;
mod explanation;
mod history;
mod problem;
mod report;
mod subscription;

pub use agent::{Agent, AgentList, Assignment, Budget, Pending, Runtime, Turns};
pub use command::{CooldownRequest, PauseRequest, PinRequest, SwitchRequest};
pub use explanation::{Candidate, Explanation, Gates};
pub use history::{Failure, FailureList, Switch, SwitchCause, SwitchList};
pub use problem::Problem;
pub(in crate::api) use report::seconds_up;
pub use report::{AnswerSwitch, Evidence, FailureReport, ReportAnswer};
pub use subscription::{Cooldown, Credential, Failures, Subscription, SubscriptionList};

/// A word of a closed set in an answer: written without a copy, read as whatever it is.
pub type Word = Cow<'static, str>;

/// A word of a closed set in a request: one that is not known is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelled<T>(pub T);

impl<T: fmt::Display> Serialize for Spelled<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Spelled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromStr> Visitor<'_> for Reader<T> {
            type Value = Spelled<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Spelled<T>, E> {
                text.parse().map(Spelled).map_err(|_| E::custom("not a known word"))
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}
