//! The column of a target's notes: what it was told of, and what waits to be told.
//!
//! JSON, whose form belongs to the database and changes by migration only.
//!
//! Tests: below, and every round trip in `tests/store_conformance.rs`.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::domain::{
    AgentName, Gathered, Generation, IntentId, Notes, Notification, NotifyEvent, SubscriptionName, TroubleKey,
    TroubleNote, Wall,
};
use crate::ports::store::StoreError;

#[derive(Serialize, Deserialize)]
struct NotesText {
    troubles: Vec<TroubleText>,
    sent: Vec<i64>,
    gathered: Option<GatheredText>,
    closing: Option<GatheredText>,
}

#[derive(Serialize, Deserialize)]
struct TroubleText {
    event: String,
    agent: Option<String>,
    subscription: Option<String>,
    told_at: i64,
    severity: String,
    action: Option<String>,
    over: bool,
    waiting: Option<NotificationText>,
}

#[derive(Serialize, Deserialize)]
struct NotificationText {
    id: String,
    event: String,
    at: i64,
    agent: Option<String>,
    subscription: Option<String>,
    generation: Option<u64>,
    intent: Option<String>,
    text: String,
    action: Option<String>,
    over: bool,
}

#[derive(Serialize, Deserialize)]
struct GatheredText {
    first: String,
    at: i64,
    counts: BTreeMap<String, u64>,
}

/// The notes of a target; those of one that was never heard of are empty.
pub(super) fn read(conn: &Connection, target: &str) -> Result<Notes, StoreError> {
    let text: Option<Option<String>> = conn
        .prepare_cached("SELECT notes FROM targets WHERE target = ?1")?
        .query_row([target], |row| row.get(0))
        .optional()?;
    let Some(text) = text.flatten() else { return Ok(Notes::default()) };
    parse(&text).ok_or_else(|| StoreError::Damaged("column targets.notes holds a value that has no meaning".to_owned()))
}

/// Writes the notes, and moves the target's place in the outbox on, never back.
pub(super) fn write(conn: &Connection, target: &str, position: i64, notes: &Notes) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO targets (target, position, notes) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET position = max(position, excluded.position), notes = excluded.notes",
    )?
    .execute(params![target, position, shown(notes)])?;
    Ok(())
}

fn shown(notes: &Notes) -> String {
    let troubles = notes.troubles.iter().map(|(key, known)| TroubleText {
        event: key.event.to_string(),
        agent: key.agent.as_ref().map(ToString::to_string),
        subscription: key.subscription.as_ref().map(ToString::to_string),
        told_at: known.told_at.0,
        severity: known.severity.to_string(),
        action: known.action.clone(),
        over: known.is_over,
        waiting: known.waiting.as_deref().map(notification_text),
    });
    let text = NotesText {
        troubles: troubles.collect(),
        sent: notes.sent.iter().map(|at| at.0).collect(),
        gathered: notes.gathered.as_ref().map(gathered_text),
        closing: notes.closing.as_ref().map(gathered_text),
    };
    serde_json::to_string(&text).expect("strings and integers always have a JSON form")
}

fn notification_text(notification: &Notification) -> NotificationText {
    NotificationText {
        id: notification.id.clone(),
        event: notification.event.to_string(),
        at: notification.at.0,
        agent: notification.agent.as_ref().map(ToString::to_string),
        subscription: notification.subscription.as_ref().map(ToString::to_string),
        generation: notification.generation.map(|generation| generation.0),
        intent: notification.intent.as_ref().map(ToString::to_string),
        text: notification.text.clone(),
        action: notification.action.clone(),
        over: notification.is_over,
    }
}

fn gathered_text(gathered: &Gathered) -> GatheredText {
    GatheredText {
        first: gathered.first.clone(),
        at: gathered.at.0,
        counts: gathered.counts.iter().map(|(event, count)| (event.to_string(), *count)).collect(),
    }
}

fn parse(text: &str) -> Option<Notes> {
    let text: NotesText = serde_json::from_str(text).ok()?;
    Some(Notes {
        troubles: text.troubles.into_iter().map(trouble).collect::<Option<_>>()?,
        sent: text.sent.into_iter().map(Wall).collect(),
        gathered: text.gathered.map(|text| gathered(text).ok_or(())).transpose().ok()?,
        closing: text.closing.map(|text| gathered(text).ok_or(())).transpose().ok()?,
    })
}

fn trouble(text: TroubleText) -> Option<(TroubleKey, TroubleNote)> {
    let key = TroubleKey {
        event: text.event.parse().ok()?,
        agent: text.agent.map(AgentName::from),
        subscription: text.subscription.map(SubscriptionName::from),
    };
    let known = TroubleNote {
        told_at: Wall(text.told_at),
        severity: text.severity.parse().ok()?,
        action: text.action,
        is_over: text.over,
        waiting: text.waiting.map(|text| notification(text).map(Box::new).ok_or(())).transpose().ok()?,
    };
    Some((key, known))
}

fn notification(text: NotificationText) -> Option<Notification> {
    Some(Notification {
        id: text.id,
        event: text.event.parse().ok()?,
        at: Wall(text.at),
        agent: text.agent.map(AgentName::from),
        subscription: text.subscription.map(SubscriptionName::from),
        generation: text.generation.map(Generation),
        intent: text.intent.map(|id| IntentId::parse(&id).ok_or(())).transpose().ok()?,
        text: text.text,
        action: text.action,
        is_over: text.over,
    })
}

fn gathered(text: GatheredText) -> Option<Gathered> {
    let count = |(event, count): (String, u64)| Some((event.parse::<NotifyEvent>().ok()?, count));
    Some(Gathered {
        first: text.first,
        at: Wall(text.at),
        counts: text.counts.into_iter().map(count).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_another_form_is_no_notes() {
        assert_eq!(parse("{}"), None);
        assert_eq!(parse(&shown(&Notes::default()).replace("[]", "[\"soon\"]")), None);
    }
}
