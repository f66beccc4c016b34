//! The wire form of a message: one JSON object, or a template with its places filled in.
//!
//! Tests: below.

use serde::Serialize;

use crate::domain::{AgentName, Content, Message, NotifyEvent, Part, Placeholder, SubscriptionName, Template};

/// The wire form's version; grows only when a member changes its meaning.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Body<'a> {
    schema_version: u32,
    id: &'a str,
    event: &'static str,
    severity: &'static str,
    at: String,
    agent: Option<&'a str>,
    subscription: Option<&'a str>,
    generation: Option<u64>,
    switch: Option<String>,
    over: bool,
    text: &'a str,
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<serde_json::Map<String, serde_json::Value>>,
}

/// When it happened, as RFC 3339.
pub(super) fn time(message: &Message) -> String {
    jiff::Timestamp::from_millisecond(message.at.0).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// The message as one JSON object.
pub(super) fn json(message: &Message) -> Vec<u8> {
    let counted = |(event, count): (&NotifyEvent, &u64)| (event.to_string(), (*count).into());
    let body = Body {
        schema_version: SCHEMA_VERSION,
        id: &message.id,
        event: message.event,
        severity: message.severity.as_str(),
        at: time(message),
        agent: message.agent.as_ref().map(AgentName::as_str),
        subscription: message.subscription.as_ref().map(SubscriptionName::as_str),
        generation: message.generation.map(|generation| generation.0),
        switch: message.intent.as_ref().map(ToString::to_string),
        over: message.is_over,
        text: &message.text,
        action: message.action.as_deref(),
        counts: (!message.counts.is_empty()).then(|| message.counts.iter().map(counted).collect()),
    };
    serde_json::to_vec(&body).expect("strings and integers always have a JSON form")
}

/// The template with its places filled in. What is absent is empty.
pub(super) fn filled(template: &Template, message: &Message) -> Vec<u8> {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Place(place) => {
                let value = value(*place, message);
                match template.content {
                    Content::Text => text.push_str(&value),
                    Content::Json => {
                        let quoted = serde_json::Value::from(value).to_string();
                        text.push_str(&quoted[1..quoted.len() - 1]);
                    }
                }
            }
        }
    }
    text.into_bytes()
}

fn value(place: Placeholder, message: &Message) -> String {
    let shown = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string).unwrap_or_default();
    match place {
        Placeholder::Id => message.id.clone(),
        Placeholder::Event => message.event.to_owned(),
        Placeholder::Severity => message.severity.to_string(),
        Placeholder::At => time(message),
        Placeholder::Agent => shown(message.agent.as_ref().map(|agent| agent as _)),
        Placeholder::Subscription => shown(message.subscription.as_ref().map(|subscription| subscription as _)),
        Placeholder::Generation => shown(message.generation.as_ref().map(|generation| &generation.0 as _)),
        Placeholder::Switch => shown(message.intent.as_ref().map(|intent| intent as _)),
        Placeholder::Text => message.text.clone(),
        Placeholder::Action => message.action.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::message;
    use super::*;

    fn template(text: &str, content: Content) -> Template {
        Template::parse(text, content).unwrap()
    }

    #[test]
    fn a_template_is_filled_in_and_what_stands_in_json_is_escaped() {
        let message = Message { text: "it said \"no\"\n".to_owned(), ..message() };
        let text = template("{agent} ({severity}): {text}{action}|{generation}", Content::Text);
        assert_eq!(filled(&text, &message), b"reviewer (info): it said \"no\"\n|4");
        let json = template("{\"content\": \"{event}: {text}\", \"n\": {\"a\": {}}}", Content::Json);
        let filled: serde_json::Value = serde_json::from_slice(&filled(&json, &message)).unwrap();
        assert_eq!(filled["content"], "switch: it said \"no\"\n");
    }
}
