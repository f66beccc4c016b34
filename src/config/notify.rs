//! `[[notify]]`: whom to tell.

use super::address::{self, Fault, authority_end};
use super::reader::{Placed, Section, read_word};
use crate::domain::NotifyEvent;
use crate::domain::words::words;

words! {
    /// What can be told.
    pub enum Topic ("event") {
        /// An agent was moved.
        Switch = "switch",
        /// An agent has nobody to move to.
        Exhausted = "exhausted",
        /// An agent waits for a person.
        Parked = "parked",
        /// An agent that was exhausted works again.
        Recovered = "recovered",
        /// An agent has used up its switches.
        Braked = "braked",
        /// A provider has disabled an account.
        Banned = "banned",
        /// The engine was lost or came back.
        Engine = "engine",
    }
}

impl Topic {
    /// The topic of an event.
    #[must_use]
    pub const fn of(event: NotifyEvent) -> Self {
        match event {
            NotifyEvent::Switch => Self::Switch,
            NotifyEvent::Exhausted => Self::Exhausted,
            NotifyEvent::Parked => Self::Parked,
            NotifyEvent::Recovered => Self::Recovered,
            NotifyEvent::Braked => Self::Braked,
        }
    }
}

/// The address that notifications are posted to. Often it holds a secret, so only its host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(String);

impl Webhook {
    /// The whole address, for whoever posts to it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = authority_end(&self.0);
        f.write_str(&self.0[..end])?;
        if end < self.0.len() { f.write_str("/…") } else { Ok(()) }
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({self})")
    }
}

/// Whom to tell what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Where it is posted.
    pub webhook: Webhook,
    /// What is told.
    pub events: Vec<Topic>,
}

impl Notify {
    /// Whether it is to be told of this.
    #[must_use]
    pub fn wants(&self, event: NotifyEvent) -> bool {
        self.events.contains(&Topic::of(event))
    }
}

pub(super) const LATER: &[&str] = &["ntfy", "command", "template", "severity", "per_hour"];

fn address(text: &Placed<String>) -> Result<Webhook, (&'static str, &'static str)> {
    let example = "write webhook = \"https://example.org/hook\"";
    match address::check(&text.value, &["http://", "https://"]) {
        Ok(()) => Ok(Webhook(text.value.clone())),
        Err(Fault::Scheme) => Err(("`webhook` is not an http or https address", example)),
        Err(Fault::Userinfo) => Err(("`webhook` has a user name or password in it", "use a webhook that needs none")),
        Err(Fault::Unusable) => Err(("`webhook` is not a usable address", example)),
    }
}

pub(super) fn read(mut section: Section<'_>) -> Option<Notify> {
    let findings = section.findings();
    let webhook = section.text("webhook", "\"https://example.org/hook\"").and_then(|text| {
        // The path of a webhook is often all that protects it.
        let end = text.at.end;
        findings.hide(&((text.at.start + 1 + authority_end(&text.value)).min(end)..end));
        match address(&text) {
            Ok(webhook) => Some(webhook),
            Err((what, hint)) => {
                findings.hide(&text.at);
                findings.error(&text.at, what, hint);
                None
            }
        }
    });
    if webhook.is_absent() {
        section.missing("webhook", "add webhook = \"https://example.org/hook\"");
    }
    let events = section.texts("events", "[\"switch\", \"exhausted\"]").and_then(|list| {
        let topics: Vec<_> = list.value.iter().map(|text| read_word::<Topic>(text, findings)).collect();
        if topics.is_empty() {
            findings.warning(&list.at, "`events` is empty: nothing is ever told", "leave it out to be told everything");
        }
        topics.into_iter().collect::<Option<Vec<_>>>()
    });
    section.finish(true);
    Some(Notify { webhook: webhook.good()?, events: events.good().unwrap_or_else(|| Topic::ALL.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_address(url: &str) -> Result<Webhook, (&'static str, &'static str)> {
        address(&Placed { value: url.to_owned(), at: 0..0 })
    }

    #[test]
    fn usable_addresses_are_told_from_others() {
        for url in ["http://127.0.0.1:9000/x", "https://example.org/hook?x=1", "http://[::1]:80", "HTTP://h"] {
            assert!(read_address(url).is_ok(), "{url}");
        }
        for url in
            ["", "example.org", "ftp://x", "https://", "https:///x", "http://u:p@h/", "http://h:99999/", "http://a b"]
        {
            assert!(read_address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_the_host_of_a_webhook_is_shown() {
        let webhook = read_address("https://hooks.example.org/services/CANARY?token=CANARY").unwrap();
        assert_eq!(
            format!("{webhook} {webhook:?}"),
            "https://hooks.example.org/… Webhook(https://hooks.example.org/…)"
        );
        assert!(webhook.url().contains("CANARY"));
    }
}
