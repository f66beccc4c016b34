//! Whether a file could be a login: a JSON document that holds a refresh token somewhere. Nothing of it is copied.
//!
//! What a login says of itself is for the drivers to read; here it is only told from a file that is none.
//!
//! Tests: below.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::domain::credential::REFRESH_TOKEN;

/// Why a content is no login; `None` if it could be one.
pub(super) fn implausible(content: &[u8]) -> Option<&'static str> {
    let mut reader = serde_json::Deserializer::from_slice(content);
    let held = Look { is_refresh_token: false, is_top: true }.deserialize(&mut reader);
    match held.and_then(|held| reader.end().map(|()| held)) {
        Ok(true) => None,
        Ok(false) => Some("it holds no refresh token"),
        Err(_) => Some("it is no JSON document"),
    }
}

/// Looks for a refresh token in a value.
#[derive(Clone, Copy)]
struct Look {
    /// Whether the value stands under the name of one.
    is_refresh_token: bool,
    is_top: bool,
}

impl Look {
    const INSIDE: Self = Self { is_refresh_token: false, is_top: false };

    fn other<E: Error>(self) -> Result<bool, E> {
        if self.is_top { Err(E::custom("no object")) } else { Ok(false) }
    }
}

impl<'de> DeserializeSeed<'de> for Look {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        if self.is_refresh_token && !text.is_empty() { Ok(true) } else { self.other() }
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.other()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        self.other()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        self.other()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        self.other()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        self.other()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut held = false;
        while let Some(found) = items.next_element_seed(Self::INSIDE)? {
            held |= found;
        }
        if self.is_top { self.other() } else { Ok(held) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut held = false;
        while let Some(name) = members.next_key::<String>()? {
            let is_refresh_token = REFRESH_TOKEN.contains(&name.as_str());
            held |= members.next_value_seed(Self { is_refresh_token, is_top: false })?;
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_told_from_what_is_none() {
        for login in [
            r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1,"scopes":["user:inference"]}}"#,
            r#"{"OPENAI_API_KEY":null,"tokens":{"refresh_token":"r"},"last_refresh":"2026-01-01T00:00:00Z"}"#,
            "{\n  \"accounts\": [ { \"refresh_token\": \"r\" } ], \"n\": -1.5, \"is\": true\n}\n",
        ] {
            assert_eq!(implausible(login.as_bytes()), None, "{login}");
        }
        for other in ["{}", r#"{"refresh_token":""}"#, r#"{"refresh_token":null}"#, r#"{"token":"refresh_token"}"#] {
            assert_eq!(implausible(other.as_bytes()), Some("it holds no refresh token"), "{other}");
        }
        for broken in ["", "sk-ant-x", "\"refreshToken\"", "[{\"refresh_token\":\"r\"}]", "{\"a\":", "{} {}", "7"] {
            assert_eq!(implausible(broken.as_bytes()), Some("it is no JSON document"), "{broken}");
        }
    }
}
