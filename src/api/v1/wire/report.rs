//! A failure report and its answer.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, SchemaType, Type};

use super::{Spelled, Word, one_of};
use crate::api::v1::time::Time;
use crate::domain::{Answer, FailureKind, Reporter, Window};

/// `POST /v1/agents/{agent}/failures`. Every member is optional; without `kind` the evidence is classified.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailureReport {
    /// Idempotency key: the same id for the same agent gets the first answer again.
    pub id: Option<String>,
    /// What the failure means.
    #[schema(schema_with = kinds)]
    pub kind: Option<Spelled<FailureKind>>,
    /// What was seen of it.
    #[serde(deserialize_with = "object")]
    pub evidence: Option<Evidence>,
    /// The subscription that the failed work ran on.
    pub subscription: Option<String>,
    /// The generation that the failed work was dispatched in.
    pub generation: Option<u64>,
    /// The turn that failed.
    pub turn: Option<String>,
    /// The model that the limit is about.
    pub model: Option<String>,
    /// The window that is used up.
    #[schema(schema_with = windows)]
    pub scope: Option<Spelled<Window>>,
    /// When the limit ends.
    pub reset_at: Option<Time>,
    /// The same, counted in seconds from `observed_at`.
    pub retry_after_s: Option<f64>,
    /// When it happened; now if absent.
    pub observed_at: Option<Time>,
    /// Whose word it is; `trusted` if absent.
    #[schema(schema_with = reporters)]
    pub reporter: Option<Spelled<Reporter>>,
}

/// What was seen of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// The HTTP status of the provider's answer.
    pub status: Option<u16>,
    /// Its headers.
    #[serde(deserialize_with = "headers")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Option<String>,
    /// Output of the tool, one or more lines.
    pub text: Option<String>,
    /// How the process ended.
    pub exit_code: Option<i32>,
    /// The signal that ended it, by name or number.
    #[serde(deserialize_with = "signal")]
    #[schema(schema_with = name_or_number)]
    pub signal: Option<String>,
    /// Whether the kernel ended it for want of memory.
    pub oom: Option<bool>,
}

fn kinds() -> Object {
    one_of("What the failure means.", FailureKind::ALL.iter().map(|word| word.as_str()))
}

fn windows() -> Object {
    one_of("The window that is used up.", Window::ALL.iter().map(|word| word.as_str()))
}

fn reporters() -> Object {
    one_of("Whose word it is; `trusted` if absent.", Reporter::ALL.iter().map(|word| word.as_str()))
}

fn name_or_number() -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Integer, Type::Null]);
    Object::builder().schema_type(types).description(Some("The signal that ended it, by name or number.")).build()
}

/// The answer to a failure report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportAnswer {
    /// What became of it.
    pub outcome: Word,
    /// Whether this is the first answer to the same id, given again.
    pub duplicate: bool,
    /// The id of its record.
    pub failure: Option<String>,
    /// What the failure means.
    pub kind: Word,
    /// The agent.
    pub agent: String,
    /// The subscription that it was held against.
    pub subscription: Option<String>,
    /// The generation that it was held against.
    pub generation: Option<u64>,
    /// The switch that it started or ran into.
    pub switch: Option<AnswerSwitch>,
    /// When it is worth trying again, in seconds, rounded up.
    pub retry_after_s: Option<u64>,
    /// When the first subscription comes back, if that is known.
    pub earliest_reset: Option<Time>,
    /// The reason in words, where the outcome does not say it all.
    pub reason: Option<String>,
}

/// The switch that an answer speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerSwitch {
    /// Which one.
    pub id: String,
    /// Where the agent was.
    pub from: Option<String>,
    /// Where it goes.
    pub to: String,
    /// The number it took.
    pub generation: u64,
    /// How it stands.
    pub outcome: Word,
}

impl From<&Answer> for ReportAnswer {
    fn from(answer: &Answer) -> Self {
        let switch = answer.switch.as_ref().map(|switch| AnswerSwitch {
            id: switch.id.to_string(),
            from: switch.from.as_ref().map(|name| name.as_str().to_owned()),
            to: switch.to.as_str().to_owned(),
            generation: switch.generation.0,
            outcome: switch.outcome.as_str().into(),
        });
        Self {
            outcome: answer.outcome.as_str().into(),
            duplicate: answer.duplicate,
            failure: answer.failure.as_ref().map(ToString::to_string),
            kind: answer.kind.as_str().into(),
            agent: answer.agent.as_str().to_owned(),
            subscription: answer.subscription.as_ref().map(|name| name.as_str().to_owned()),
            generation: answer.generation.map(|generation| generation.0),
            switch,
            retry_after_s: answer.retry_after.map(seconds_up),
            earliest_reset: answer.earliest_reset.map(Time),
            reason: answer.reason.clone(),
        }
    }
}

/// Whole seconds that are not too few.
pub(in crate::api) fn seconds_up(duration: std::time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// An object or nothing: a list of values without names is not taken for one.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Reader<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Reader(PhantomData))
}

/// Headers by name; a name that comes twice is refused, for it is not known which one was meant.
fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut headers = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                if headers.insert(name, value).is_some() {
                    return Err(A::Error::custom("a header comes twice"));
                }
            }
            Ok(headers)
        }
    }
    deserializer.deserialize_any(Reader)
}

/// A signal by name (`"SIGKILL"`) or by number (`9`).
fn signal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Reader;
    impl Visitor<'_> for Reader {
        type Value = Option<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a signal's name or number")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
            Ok(Some(name.to_owned()))
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }
    }
    deserializer.deserialize_any(Reader)
}
