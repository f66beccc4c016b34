//! A session on the wire: `"name"`, or `["x", "y"]` in whatever order.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::SessionName;

/// What at most one turn at a time may run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A name.
    One(String),
    /// Two names, in the order in which they were given.
    Pair(String, String),
}

impl Session {
    /// The longest name, in characters.
    pub const NAME_MAX: usize = 128;

    /// The session of this name or pair; `None` if a name is empty, too long, or has a comma or a control character in
    /// it, or if both are the same.
    #[must_use]
    pub fn to_name(&self) -> Option<SessionName> {
        match self {
            Self::One(name) => is_name(name).then(|| SessionName::from(name.as_str())),
            Self::Pair(one, other) => {
                (is_name(one) && is_name(other) && one != other).then(|| SessionName::pair(one, other))
            }
        }
    }

    /// The session of a path: a name, or two with a comma between them.
    #[must_use]
    pub fn in_path(text: &str) -> Self {
        match text.split_once(SessionName::BETWEEN) {
            Some((one, other)) => Self::Pair(one.to_owned(), other.to_owned()),
            None => Self::One(text.to_owned()),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |char: char| !char.is_control() && char != SessionName::BETWEEN;
    (1..=Session::NAME_MAX).contains(&name.chars().count()) && name.chars().all(is_plain)
}

impl From<&SessionName> for Session {
    fn from(session: &SessionName) -> Self {
        Self::in_path(session.as_str())
    }
}

impl PartialSchema for Session {
    fn schema() -> RefOr<Schema> {
        let two = Array::builder().items(String::schema()).min_items(Some(2)).max_items(Some(2));
        let either = OneOf::builder().item(String::schema()).item(two).description(Some(
            "A name of 1 to 128 characters without commas and control characters, or a pair of them in whatever order.",
        ));
        Schema::OneOf(either.build()).into()
    }
}

impl ToSchema for Session {}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => serializer.serialize_str(name),
            Self::Pair(one, other) => [one, other].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Session;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a list of two")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Session, E> {
                Ok(Session::One(name.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Session, A::Error> {
                let two = (names.next_element::<String>()?, names.next_element::<String>()?);
                match (two, names.next_element::<String>()?) {
                    ((Some(one), Some(other)), None) => Ok(Session::Pair(one, other)),
                    _ => Err(A::Error::custom("not two names")),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_the_same_whatever_its_order_and_none_of_its_names() {
        let name = |text: &str| serde_json::from_str::<Session>(text).unwrap().to_name();
        assert_eq!(name(r#"["x","y"]"#), name(r#"["y","x"]"#));
        assert_eq!(name(r#"["x","y"]"#), Session::in_path("y,x").to_name());
        assert_ne!(name(r#"["x","y"]"#), name(r#""x""#));
        let shown = Session::from(&name(r#"["y","x"]"#).unwrap());
        assert_eq!(serde_json::to_string(&shown).unwrap(), r#"["x","y"]"#);
    }

    #[test]
    fn what_is_no_session_is_refused() {
        let long = format!("\"{}\"", "x".repeat(129));
        for text in [r#""""#, r#""a,b""#, "\"a\\n\"", &long, r#"["x","x"]"#, r#"["x",""]"#, r#"["x","a,b"]"#] {
            assert_eq!(serde_json::from_str::<Session>(text).unwrap().to_name(), None, "{text}");
        }
        for text in ["7", "null", "{}", "[]", r#"["x"]"#, r#"["x","y","z"]"#, r#"["x",7]"#] {
            assert!(serde_json::from_str::<Session>(text).is_err(), "{text}");
        }
        let widest = format!("\"{}\"", "ü".repeat(128));
        assert!(serde_json::from_str::<Session>(&widest).unwrap().to_name().is_some());
        assert_eq!(Session::in_path("a,b,c").to_name(), None);
    }
}
