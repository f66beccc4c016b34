//! Holds answers against the document: as much of JSON Schema as it uses, and no more.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::client::Reply;

/// Where the document is kept.
pub(crate) const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// What is in no document of a call: it can happen to all of them.
const ANYWHERE: &[&str] = &["not_this_agent", "not_found", "method_not_allowed", "too_many_connections"];

/// The document as it is committed.
pub(crate) fn committed() -> &'static Value {
    static COMMITTED: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(&std::fs::read_to_string(Path::new(DOCUMENT)).unwrap()).unwrap());
    &COMMITTED
}

/// What is wrong with an answer to this call; nothing if the document says so of it.
pub(crate) fn complaints(document: &Value, method: &str, target: &str, body: &str, reply: &Reply) -> Vec<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let media = reply.header("content-type").unwrap_or_default();
    let code = (media == "application/problem+json").then(|| reply.problem().1);
    if code.as_deref().is_some_and(|code| ANYWHERE.contains(&code)) {
        return Vec::new();
    }
    let Some(operation) = operation(document, method, path) else {
        return vec![format!("{method} {path} is in no document, and answers {}", reply.status)];
    };
    let Some(answer) = operation["responses"].get(reply.status.to_string()) else {
        return vec![format!("{method} {path} has no answer {}", reply.status)];
    };
    let mut wrong = Vec::new();
    let Some(content) = answer["content"].get(media) else {
        return vec![format!("{method} {path} answers {} with no {media}", reply.status)];
    };
    if reply.header("retry-after").is_some() && answer["headers"].get("Retry-After").is_none() {
        wrong.push(format!("{method} {path} answers {} with no Retry-After", reply.status));
    }
    match code {
        Some(code) if !answer["description"].as_str().is_some_and(|text| text.contains(&format!("- `{code}`: "))) => {
            wrong.push(format!("{method} {path} is not refused as {} {code}", reply.status));
        }
        Some(_) | None => {}
    }
    if media.ends_with("json") {
        check(document, &content["schema"], &reply.json(), &mut wrong, "the answer");
    }
    if (200..300).contains(&reply.status) {
        // What was accepted is what may be asked.
        for name in query.split('&').filter(|part| !part.is_empty()).map(|part| part.split('=').next().unwrap()) {
            let is_known = |known: &Value| known["in"] == "query" && known["name"] == name;
            if !operation["parameters"].as_array().into_iter().flatten().any(is_known) {
                wrong.push(format!("{method} {path} has no parameter {name}"));
            }
        }
        let asked =
            if body.trim().is_empty() { Value::Object(Map::new()) } else { serde_json::from_str(body).unwrap() };
        match operation.get("requestBody") {
            Some(known) => {
                check(document, &known["content"]["application/json"]["schema"], &asked, &mut wrong, "the request");
            }
            None if body.trim().is_empty() => {}
            None => wrong.push(format!("{method} {path} takes no body")),
        }
    }
    wrong
}

/// What the document says of a call.
pub(crate) fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let paths = document["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (known, given) = (template.split('/'), path.split('/'));
        known.clone().count() == given.clone().count()
            && known.zip(given).all(|(known, given)| known == given || known.starts_with('{'))
    };
    let found = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item));
    found?.get(method.to_lowercase())
}

/// Adds what is wrong with a value.
fn check(document: &Value, schema: &Value, value: &Value, wrong: &mut Vec<String>, place: &str) {
    if let Some(name) = schema.get("$ref") {
        let pointer = name.as_str().and_then(|name| name.strip_prefix('#')).unwrap();
        let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{name} leads nowhere"));
        return check(document, schema, value, wrong, place);
    }
    if let Some(several) = schema.get("oneOf").and_then(Value::as_array) {
        let fits = several.iter().filter(|one| {
            let mut unfit = Vec::new();
            check(document, one, value, &mut unfit, place);
            unfit.is_empty()
        });
        if fits.count() != 1 {
            wrong.push(format!("{place} is not exactly one of {several:?}: {value}"));
        }
        return;
    }
    if let Some(types) = schema.get("type") {
        let is = |name: &Value| match name.as_str().unwrap() {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("the type {other}"),
        };
        if !types.as_array().map_or_else(|| is(types), |types| types.iter().any(is)) {
            return wrong.push(format!("{place} is no {types}: {value}"));
        }
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value)) {
        wrong.push(format!("{place} is none of {}: {value}", schema["enum"]));
    }
    let is_outside = |number: f64| {
        schema.get("minimum").and_then(Value::as_f64).is_some_and(|low| number < low)
            || schema.get("maximum").and_then(Value::as_f64).is_some_and(|high| number > high)
    };
    if value.as_f64().is_some_and(is_outside) {
        wrong.push(format!("{place} is out of its bounds: {value}"));
    }
    if schema.get("format").is_some_and(|format| format == "date-time")
        && value.as_str().is_some_and(|text| text.parse::<switchman::api::v1::time::Time>().is_err())
    {
        wrong.push(format!("{place} is no time: {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(schema) = schema.get("items") {
            check(document, schema, item, wrong, &format!("{place}[{index}]"));
        }
    }
    let Some(members) = value.as_object() else { return };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{place} has no member {name}"));
        }
    }
    for (name, member) in members {
        let place = format!("{place}.{name}");
        let others = schema.get("additionalProperties");
        match (schema.get("properties").and_then(|known| known.get(name)), others) {
            (Some(schema), _) => check(document, schema, member, wrong, &place),
            (None, Some(schema)) if schema.is_object() => check(document, schema, member, wrong, &place),
            // An answer may grow members; one of ours that is not described is an oversight.
            (None, _) if schema.get("properties").is_some() => wrong.push(format!("{place} is not described")),
            (None, _) => {}
        }
    }
}
