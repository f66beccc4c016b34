//! Breaks a form: as bytes, and, where it is a document, as a document.

use serde_json::{Map, Value};

use super::forms::{LINES, PIECES, VALUES};
use super::random::Random;

/// A line of a case: one of the forms, changed a few times.
pub(crate) fn mutated(random: &mut Random) -> Vec<u8> {
    let form = random.one_of(LINES);
    let mut line = match serde_json::from_str::<Value>(form) {
        Ok(document) if !random.chance(3) => restructured(document, random).to_string().into_bytes(),
        _ => form.as_bytes().to_vec(),
    };
    // Many cases stay near their form, for what is all noise is dropped at once.
    for _ in 0..random.below(5) {
        edit(&mut line, random);
    }
    line
}

/// A header's value of a case.
pub(crate) fn value(random: &mut Random) -> Vec<u8> {
    let mut value = random.one_of(VALUES).as_bytes().to_vec();
    for _ in 0..random.below(3) {
        edit(&mut value, random);
    }
    value
}

fn edit(line: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(line.len() + 1);
    let end = (at + random.below(24)).min(line.len());
    match random.below(8) {
        0 => line.truncate(at),
        1 => drop(line.drain(at..end)),
        2 => insert(line, at, random.one_of(PIECES).as_bytes()),
        3 => {
            let byte = u8::try_from(random.below(256)).expect("a byte");
            if let Some(old) = line.get_mut(at) {
                *old = byte;
            }
        }
        4 => {
            let again = line[at..end].repeat(1 + random.below(40));
            insert(line, at, &again);
        }
        5 => {
            // The end of another form.
            let other = random.one_of(LINES).as_bytes();
            let from = random.below(other.len());
            line.truncate(at);
            line.extend_from_slice(&other[from..]);
        }
        6 => {
            // Wrapped in words, as a log or a person does.
            let before = random.one_of(PIECES).as_bytes().to_vec();
            insert(line, 0, &before);
        }
        _ => {
            // Digits into other digits: times, statuses and numbers are where the arithmetic is.
            for byte in &mut line[at..end] {
                if byte.is_ascii_digit() {
                    *byte = b'0' + u8::try_from(random.below(10)).expect("a digit");
                }
            }
        }
    }
}

fn insert(line: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(line.splice(at..at, piece.iter().copied()));
}

/// The document with some of its values, anywhere, made into others.
fn restructured(mut document: Value, random: &mut Random) -> Value {
    for _ in 0..random.below(3) {
        replace_somewhere(&mut document, random);
    }
    document
}

/// Goes as deep as it happens, and no deeper than the document.
fn replace_somewhere(place: &mut Value, random: &mut Random) {
    let is_far_enough = random.chance(4);
    match place {
        Value::Object(members) if !is_far_enough && !members.is_empty() => {
            let at = random.below(members.len());
            replace_somewhere(members.values_mut().nth(at).expect("a member"), random);
        }
        Value::Array(items) if !is_far_enough && !items.is_empty() => {
            let at = random.below(items.len());
            replace_somewhere(&mut items[at], random);
        }
        _ => {
            let old = place.take();
            *place = replaced(old, random);
        }
    }
}

fn replaced(old: Value, random: &mut Random) -> Value {
    let within = |name: &str, value: Value| Value::Object(Map::from_iter([(name.to_owned(), value)]));
    match random.below(10) {
        0 => Value::Null,
        1 => Value::Bool(random.chance(2)),
        2 => Value::from(random.next().cast_signed()),
        3 => serde_json::Number::from_f64(f64::from_bits(random.next())).map_or(Value::Null, Value::Number),
        4 => Value::String((random.one_of(PIECES)).to_owned()),
        5 => Value::String(old.to_string()),
        6 => Value::Array(vec![old; 1 + random.below(3)]),
        7 => within(random.one_of(&["error", "message", "result", "content", "type", "payload"]), old),
        8 => (0..random.below(200)).fold(old, |inner, _| within("error", inner)),
        _ => serde_json::from_str(random.one_of(LINES)).unwrap_or(old),
    }
}
