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
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, SchemaType, Type};

mod agent;
mod command;
mod explanation;
mod history;
mod notify;
mod problem;
mod reading;
mod report;
mod seconds;
mod session;
mod subscription;
mod turn;

pub use agent::{Agent, AgentList, Assignment, Budget, Claim, ContainerProblem, Pending, Runtime, Turns};
pub use command::{CooldownRequest, PauseRequest, PinRequest, SwitchRequest};
pub use explanation::{Candidate, Explanation, Gates};
pub use history::{Failure, FailureList, Switch, SwitchCause, SwitchList};
pub use notify::{NotifyTest, NotifyTested, TestedTarget};
pub use problem::Problem;
pub use reading::ReadingRequest;
pub(in crate::api) use reading::WINDOWS as READING_WINDOWS;
pub(in crate::api) use report::seconds_up;
pub use report::{AnswerSwitch, Evidence, FailureReport, ReportAnswer};
pub use seconds::Seconds;
pub use session::Session;
pub use subscription::{Cooldown, Credential, Failures, Reading, Subscription, SubscriptionList};
pub use turn::{
    AboutTurn, Beaten, BeginTurn, BegunTurn, CancelRequest, CancelTurn, ClosedSession, CompleteTurn, CompletedTurn,
    OnBusy, Turn, TurnList, TurnResult, WaitingCaller,
};

/// A word of a set that can grow, in an answer.
// Written without a copy, read as whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Word(Cow<'static, str>);

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self(word.into())
    }
}

impl std::ops::Deref for Word {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// How a word of a closed set in a request is described; it may be left out.
fn one_of(what: &str, words: impl Iterator<Item = &'static str>) -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    let words = words.map(Some).chain([None]);
    Object::builder().schema_type(types).description(Some(what)).enum_values(Some(words)).build()
}

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
