//! One line as a JSON document, of which no more is kept than a rule can ask for.
//!
//! A line may be a megabyte of whatever an agent read or wrote. What is kept is bounded in number, so that a line made to
//! be expensive is only read, at the speed of its bytes; what lies beyond the bound is as if it were not there.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// So many values are kept. The largest records of tools have some hundreds.
const VALUES_MAX: usize = 4_096;

/// So deep.
const DEPTH_MAX: usize = 12;

/// Reads a line that is one JSON object; `None` if it is not.
pub(super) fn read(line: &[u8]) -> Option<Value> {
    if !line.starts_with(b"{") || !line.ends_with(b"}") {
        return None;
    }
    parse(std::str::from_utf8(line).ok()?)
}

/// Reads a document, whatever it is.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut left = VALUES_MAX;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Kept { left: &mut left, depth: 0 }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

/// The document at the beginning of a text, with whatever follows it.
pub(super) fn leading(text: &str) -> Option<(Value, &str)> {
    let mut left = VALUES_MAX;
    let mut stream = serde_json::Deserializer::from_str(text);
    let value = Kept { left: &mut left, depth: 0 }.deserialize(&mut stream).ok()?;
    let mut rest = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    rest.next()?.ok()?;
    Some((value, &text[rest.byte_offset()..]))
}

/// Keeps values as long as there is room.
struct Kept<'a> {
    left: &'a mut usize,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if *self.left == 0 || self.depth > DEPTH_MAX {
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        *self.left -= 1;
        deserializer.deserialize_any(self)
    }
}

use serde::Deserialize as _;

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while *self.left > 0 && self.depth < DEPTH_MAX {
            let Some(item) = items.next_element_seed(Kept { left: self.left, depth: self.depth + 1 })? else {
                return Ok(Value::Array(kept));
            };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while *self.left > 0 && self.depth < DEPTH_MAX {
            let Some(name) = members.next_key::<String>()? else { return Ok(Value::Object(kept)) };
            let value = members.next_value_seed(Kept { left: self.left, depth: self.depth + 1 })?;
            // A name that stands twice is somebody's trick: the first one stays.
            kept.entry(name).or_insert(value);
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_is_and_a_huge_one_only_in_part() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x\u0041"],"b":{"c":{}}}"#;
        assert_eq!(parse(text), serde_json::from_str(text).ok());
        assert_eq!(read(b"[1]"), None);
        assert_eq!(read(b"{\"a\":1} x"), None);
        assert_eq!(read(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(parse("{\"a\":1,\"a\":2}"), Some(serde_json::json!({"a": 1})));
        let many = format!("{{\"first\":1,\"many\":[{}0],\"last\":2}}", "{},".repeat(100_000));
        let kept = parse(&many).unwrap();
        assert_eq!(kept["first"], 1);
        assert!(kept["many"].as_array().unwrap().len() <= VALUES_MAX && kept["last"].is_null());
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert!(parse(&deep).is_some());
        let deeper = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert!(parse(&deeper).is_some());
        assert_eq!(leading("{\"a\":1} and more"), Some((serde_json::json!({"a": 1}), " and more")));
        assert_eq!(leading("and more"), None);
    }
}
