//! The text of a message in the user's own words, with places to fill in.
//!
//! `{name}` is a place; any other brace stands for itself, so that JSON can be written as it is.
//!
//! Tests: below.

use super::UnknownWord;
use super::words::words;

words! {
    /// What can be filled in.
    pub enum Placeholder ("placeholder") {
        /// The id of the message.
        Id = "id",
        /// What it is about.
        Event = "event",
        /// How much it matters.
        Severity = "severity",
        /// When it happened.
        At = "at",
        /// Whom it is about.
        Agent = "agent",
        /// The subscription that it is about.
        Subscription = "subscription",
        /// The agent's generation.
        Generation = "generation",
        /// The id of the switch.
        Switch = "switch",
        /// What happened.
        Text = "text",
        /// What a person should do.
        Action = "action",
    }
}

words! {
    /// What a template makes.
    pub enum Content ("content") {
        /// Text.
        Text = "text",
        /// JSON: what is filled in is escaped.
        Json = "json",
    }
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What stands there.
    Text(String),
    /// What is filled in.
    Place(Placeholder),
}

/// A text with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its pieces, in order.
    pub parts: Vec<Part>,
    /// What it makes.
    pub content: Content,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If it has a place that nothing can be filled into.
    pub fn parse(text: &str, content: Content) -> Result<Self, UnknownWord> {
        let mut parts = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(open) = rest.find('{') {
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            plain.push_str(before);
            let name = &after[..after.find(|char: char| !char.is_ascii_lowercase() && char != '_').unwrap_or(0)];
            if name.is_empty() || !after[name.len()..].starts_with('}') {
                plain.push('{');
                rest = after;
                continue;
            }
            let place = name.parse()?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Place(place));
            rest = &after[name.len() + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts, content })
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Place(place) => write!(f, "{{{place}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_braces_and_unknown_ones_are_refused() {
        for text in ["", "{", "}", "{}", "{{agent}}", "{agent", "{\"a\": \"{text}\"}", "x {Agent} {event}", "{a b}"] {
            assert_eq!(Template::parse(text, Content::Text).unwrap().to_string(), text, "{text}");
        }
        let places = |text: &str| {
            let parts = Template::parse(text, Content::Json).unwrap().parts;
            parts.into_iter().filter(|part| matches!(part, Part::Place(_))).count()
        };
        assert_eq!((places("{{agent}}"), places("{\"a\": \"{text}{id}\"}"), places("{Agent}")), (1, 2, 0));
        let unknown = Template::parse("{agent} {agnet}", Content::Text).unwrap_err();
        assert!(unknown.to_string().starts_with("unknown placeholder \"agnet\": one of id, event"), "{unknown}");
    }
}
