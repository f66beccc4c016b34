//! `[[notify]]`: whom to tell what, how loud, and in which words.
//!
//! Tests: below and in `tests/notifications`.

use std::ops::Range;

use super::address::{self, Fault, authority_end};
use super::command;
use super::path::Expansion;
use super::problem::Findings;
use super::reader::{Field, Placed, Section, read_word};
use super::subscription;
use crate::domain::{Content, CredentialRef, NotifyEvent, Part, Severity, Template};
use crate::machine::notices::Taste;

/// Messages in an hour before they are gathered, where nothing is chosen.
const PER_HOUR: u32 = 60;

/// What is told where nothing is chosen: all but the turns that begin, which are too many.
fn usual() -> Vec<NotifyEvent> {
    NotifyEvent::ALL.iter().copied().filter(|event| *event != NotifyEvent::TurnBegun).collect()
}

/// An address that is posted to. Often it holds a secret, so only its host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PostAddress(String);

impl PostAddress {
    /// The whole address, for whoever posts to it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PostAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = authority_end(&self.0);
        f.write_str(&self.0[..end])?;
        if end < self.0.len() { f.write_str("/…") } else { Ok(()) }
    }
}

impl std::fmt::Debug for PostAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostAddress({self})")
    }
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyTarget {
    /// By a POST.
    Webhook {
        /// Where to.
        address: PostAddress,
        /// In these words, not as a JSON object of ours.
        template: Option<Template>,
    },
    /// Through an ntfy server.
    Ntfy {
        /// The topic.
        address: PostAddress,
        /// Where its access token is.
        token: Option<CredentialRef>,
    },
    /// By a program: the message is its standard input.
    Command(Vec<String>),
}

/// Whom to tell what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Whom, and how.
    pub target: NotifyTarget,
    /// What is told.
    pub events: Vec<NotifyEvent>,
    /// Nothing that matters less is told.
    pub severity: Severity,
    /// Messages in an hour; what is beyond is told in one.
    pub per_hour: u32,
}

impl Notify {
    /// Whether it is to be told of this.
    #[must_use]
    pub fn wants(&self, event: NotifyEvent) -> bool {
        self.events.contains(&event)
    }

    /// What the decisions about it depend on.
    #[must_use]
    pub fn taste(&self) -> Taste {
        Taste { events: self.events.iter().copied().collect(), severity: self.severity, per_hour: self.per_hour }
    }
}

/// Keys that stand for more than what is understood today: none.
pub(super) const LATER: &[&str] = &[];

fn address(key: &str, example: &'static str, text: &Placed<String>) -> Result<PostAddress, (String, String)> {
    let hint = || format!("write {key} = {example}");
    match address::check(&text.value, &["http://", "https://"]) {
        Ok(()) => Ok(PostAddress(text.value.clone())),
        Err(Fault::Scheme) => Err((format!("`{key}` is not an http or https address"), hint())),
        Err(Fault::Userinfo) => {
            let hint = if key == "ntfy" { "write token = { file = \"…\" }" } else { "use a webhook that needs none" };
            Err((format!("`{key}` has a user name or password in it"), hint.to_owned()))
        }
        Err(Fault::Unusable) => Err((format!("`{key}` is not a usable address"), hint())),
    }
}

fn read_address(section: &mut Section<'_>, key: &'static str, example: &'static str) -> Field<PostAddress> {
    let findings = section.findings();
    section.text(key, example).and_then(|text| {
        // The path of an address is often all that protects it.
        let end = text.at.end;
        findings.hide(&((text.at.start + 1 + authority_end(&text.value)).min(end)..end));
        match address(key, example, &text) {
            Ok(address) => Some(address),
            Err((what, hint)) => {
                findings.hide(&text.at);
                findings.error(&text.at, what, hint);
                None
            }
        }
    })
}

/// Everything that was read, and where.
pub(super) struct Draft {
    at: Range<usize>,
    notify: Option<Notify>,
}

pub(super) fn read(mut section: Section<'_>, with: Expansion<'_>) -> Draft {
    let findings = section.findings();
    let at = section.at.clone();
    let webhook = read_address(&mut section, "webhook", "\"https://example.org/hook\"");
    let ntfy = read_address(&mut section, "ntfy", "\"https://ntfy.example.org/topic\"");
    let argv = command::read(&mut section, "command", "command", "[\"/usr/local/bin/tell\"]");
    let token = read_token(&mut section, ntfy.is_absent(), with);
    let template = read_template(&mut section, webhook.is_absent());
    let given = [!webhook.is_absent(), !ntfy.is_absent(), !argv.is_absent()].iter().filter(|given| **given).count();
    if given == 0 {
        section.missing("webhook", "add webhook = \"https://example.org/hook\", or ntfy = \"…\", or command = [\"…\"]");
    } else if given > 1 {
        let what = "this [[notify]] has more than one of `webhook`, `ntfy` and `command`";
        findings.error(&at, what, "keep one, and write a [[notify]] for each of the others");
    }
    let target = match (webhook.good(), ntfy.good(), argv.placed()) {
        (Some(address), None, None) => template.ok().map(|template| NotifyTarget::Webhook { address, template }),
        (None, Some(address), None) => token.ok().map(|token| NotifyTarget::Ntfy { address, token }),
        (None, None, Some(argv)) => Some(NotifyTarget::Command(command::argv(argv))),
        _ => None,
    };
    let events = read_events(&mut section);
    let severity = section.word::<Severity>("severity").unwrap_or(Severity::Info);
    let per_hour = section.number("per_hour", 1..=3600).unwrap_or(PER_HOUR);
    section.finish(true);
    let notify = target.map(|target| Notify { target, events, severity, per_hour });
    Draft { at, notify }
}

/// Without the drafts that are of no use. Two that go to one target are one too many: it could not be told how far each
/// of them got.
pub(super) fn finish(drafts: Vec<Draft>, findings: &Findings, line: &impl Fn(usize) -> usize) -> Vec<Notify> {
    let mut known: Vec<(Notify, usize)> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let Some(notify) = draft.notify else { continue };
        if let Some((_, first)) = known.iter().find(|(known, _)| is_same(&known.target, &notify.target)) {
            let what = format!("this [[notify]] has the target of the one in line {first}");
            findings.error(&draft.at, what, "name all `events` in one of them, and remove the other");
        } else {
            let line = line(draft.at.start);
            known.push((notify, line));
        }
    }
    known.into_iter().map(|(notify, _)| notify).collect()
}

fn is_same(one: &NotifyTarget, other: &NotifyTarget) -> bool {
    use NotifyTarget::{Command, Ntfy, Webhook};
    match (one, other) {
        (Webhook { address: one, .. } | Ntfy { address: one, .. }, Webhook { address, .. } | Ntfy { address, .. }) => {
            one == address
        }
        (Command(one), Command(other)) => one == other,
        (Webhook { .. } | Ntfy { .. }, Command(_)) | (Command(_), Webhook { .. } | Ntfy { .. }) => false,
    }
}

fn read_events(section: &mut Section<'_>) -> Vec<NotifyEvent> {
    let findings = section.findings();
    let events = section.texts("events", "[\"switch\", \"exhausted\"]").and_then(|list| {
        let topics: Vec<_> = list.value.iter().map(|text| read_word::<NotifyEvent>(text, findings)).collect();
        if topics.is_empty() {
            findings.warning(
                &list.at,
                "`events` is empty: nothing is ever told",
                "leave it out to be told of everything but `turn_begun`",
            );
        }
        topics.into_iter().collect::<Option<Vec<_>>>()
    });
    events.good().unwrap_or_else(usual)
}

/// Something is there that cannot be used; it was complained about.
struct Unusable;

/// Where the token is, if there is one.
fn read_token(
    section: &mut Section<'_>,
    is_pointless: bool,
    with: Expansion<'_>,
) -> Result<Option<CredentialRef>, Unusable> {
    const EXAMPLE: &str = "{ file = \"/etc/switchman/ntfy-token\" }";
    let findings = section.findings();
    let at = section.key_at("token");
    let token = section.section("token", &[], EXAMPLE, true);
    if token.is_absent() {
        return Ok(None);
    }
    if is_pointless {
        findings.error(&at, "`token` belongs to `ntfy`", "remove it");
    }
    let reference = token.and_then(|table| subscription::read_reference("token", EXAMPLE, table.value, with)).good();
    let reference = reference.ok_or(Unusable)?;
    if let CredentialRef::Command(_) = reference {
        findings.error(&at, "`token` is not asked of a command", format!("write token = {EXAMPLE}"));
        return Err(Unusable);
    }
    Ok(Some(reference))
}

/// The template, if there is one.
fn read_template(section: &mut Section<'_>, is_pointless: bool) -> Result<Option<Template>, Unusable> {
    let findings = section.findings();
    let content = section.word::<Content>("content");
    if !content.is_absent() && !section.has("template") {
        findings.error(
            &section.key_at("content"),
            "`content` is that of a `template`",
            "add a `template`, or remove it",
        );
    }
    let content = content.unwrap_or(Content::Text);
    let template = section.text("template", "\"{agent}: {text}\"");
    if template.is_absent() {
        return Ok(None);
    }
    let template = template.and_then(|text| {
        if is_pointless {
            findings.error(&text.at, "`template` belongs to `webhook`", "remove it");
        }
        match Template::parse(&text.value, content) {
            Err(unknown) => {
                let what =
                    format!("`template` has the {} {{{}}}, which nothing is filled into", unknown.what, unknown.given);
                findings.error(&text.at, what, format!("there are {{{}}}", unknown.known.join("}, {")));
                None
            }
            Ok(template) if content == Content::Json && !is_json(&template) => {
                let hint = "put every place between double quotes: {\"text\": \"{text}\"}";
                findings.error(&text.at, "`template` does not make JSON", hint);
                None
            }
            Ok(template) => Some(template),
        }
    });
    template.good().map(Some).ok_or(Unusable)
}

/// Whether the template is JSON once its places are filled in.
fn is_json(template: &Template) -> bool {
    let filled: String = template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Place(_) => "x",
        })
        .collect();
    serde_json::from_str::<serde::de::IgnoredAny>(&filled).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_address(url: &str) -> Result<PostAddress, (String, String)> {
        address("webhook", "\"https://example.org/hook\"", &Placed { value: url.to_owned(), at: 0..0 })
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
    fn only_the_host_of_an_address_is_shown() {
        let address = read_address("https://hooks.example.org/services/CANARY?token=CANARY").unwrap();
        assert_eq!(
            format!("{address} {address:?}"),
            "https://hooks.example.org/… PostAddress(https://hooks.example.org/…)"
        );
        assert!(address.url().contains("CANARY"));
    }
}
