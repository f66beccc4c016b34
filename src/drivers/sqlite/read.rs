//! Reads that change nothing: histories, answers by report id, the outbox.
//!
//! The place in a history is the row's own number: the agent's count where the history is one agent's, the
//! order of writing where it is everybody's.
//!
//! Tests: `tests/store_conformance.rs`.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{Cells, number};
use super::texts;
use crate::domain::{
    AgentName, Cause, FailureId, FailureRecord, Intent, IntentEnd, IntentId, IntentMarks, IntentRecord, Notification,
    ReportId, Wall,
};
use crate::ports::store::{HistoryQuery, Outgoing, Page, StoreError, StoredAnswer};

pub(super) fn failure_of(cells: &Cells<'_, '_>) -> Result<FailureRecord, StoreError> {
    let report = match cells.opt_name::<ReportId>("report_id")? {
        None => None,
        Some(id) => Some((id, cells.number("report_digest")?)),
    };
    let answer = match cells.get::<Option<String>>("answer")? {
        None => None,
        Some(text) => Some(Box::new(texts::read_answer(&text).ok_or_else(|| cells.fault("answer"))?)),
    };
    Ok(FailureRecord {
        id: FailureId { agent: cells.name("agent")?, number: cells.number("number")? },
        report,
        at: cells.wall("recorded_at")?,
        observed_at: cells.opt_wall("observed_at")?,
        kind: cells.word("kind")?,
        outcome: cells.word("outcome")?,
        subscription: cells.opt_name("subscription")?,
        generation: cells.opt_generation("generation")?,
        turn: cells.opt_turn("turn")?,
        model: cells.opt_name("model")?,
        window: cells.word("scope")?,
        reset_at: cells.opt_wall("reset_at")?,
        reporter: cells.word("reporter")?,
        sender: cells.get("sender")?,
        reason: cells.get("reason")?,
        count: cells.number("count")?,
        answer,
    })
}

pub(super) fn intent_of(cells: &Cells<'_, '_>) -> Result<Intent, StoreError> {
    Ok(Intent {
        id: IntentId { agent: cells.name("agent")?, number: cells.number("number")? },
        plan: cells.word("plan")?,
        generation: cells.generation("generation")?,
        from: cells.opt_name("from_subscription")?,
        to: cells.name("to_subscription")?,
        cause: Cause {
            by: cells.word("cause")?,
            kind: cells.opt_word("cause_kind")?,
            failure: cells.opt_failure("cause_failure")?,
            reason: cells.get("cause_reason")?,
        },
        observed_at: cells.wall("observed_at")?,
        started_at: cells.wall("started_at")?,
        turn: cells.opt_turn("turn")?,
    })
}

fn intent_record_of(cells: &Cells<'_, '_>) -> Result<IntentRecord, StoreError> {
    let intent = intent_of(cells)?;
    let end = match cells.opt_wall("finished_at")? {
        None => None,
        Some(finished_at) => Some(IntentEnd {
            id: intent.id.clone(),
            outcome: cells.word("outcome")?,
            finished_at,
            marks: IntentMarks {
                drained_at: cells.opt_wall("drained_at")?,
                delivered_at: cells.opt_wall("delivered_at")?,
                applied_at: cells.opt_wall("applied_at")?,
            },
            turns_cut_off: cells.small("turns_cut_off")?,
            restarts: cells.small("restarts")?,
            reason: cells.get("reason")?,
        }),
    };
    Ok(IntentRecord { intent, end })
}

/// The newest intent of an agent that has ended.
pub(super) fn last_ended(conn: &Connection, agent: &AgentName) -> Result<Option<IntentRecord>, StoreError> {
    conn.prepare_cached(
        "SELECT * FROM intents WHERE agent = ?1 AND finished_at IS NOT NULL ORDER BY number DESC LIMIT 1",
    )?
    .query_and_then([agent.as_str()], |row| intent_record_of(&Cells::new("intents", row)))?
    .next()
    .transpose()
}

pub(super) fn intent(conn: &Connection, id: &IntentId) -> Result<Option<IntentRecord>, StoreError> {
    conn.prepare_cached("SELECT * FROM intents WHERE agent = ?1 AND number = ?2")?
        .query_and_then(params![id.agent.as_str(), number(id.number)], |row| {
            intent_record_of(&Cells::new("intents", row))
        })?
        .next()
        .transpose()
}

pub(super) fn intents(conn: &Connection, query: &HistoryQuery) -> Result<Page<IntentRecord>, StoreError> {
    page(
        conn,
        query,
        "intents",
        [
            "SELECT * FROM intents WHERE position < ?1 AND started_at >= ?2 ORDER BY position DESC LIMIT ?3",
            "SELECT * FROM intents WHERE number < ?1 AND started_at >= ?2 AND agent = ?4
             ORDER BY number DESC LIMIT ?3",
        ],
        intent_record_of,
    )
}

pub(super) fn failures(conn: &Connection, query: &HistoryQuery) -> Result<Page<FailureRecord>, StoreError> {
    page(
        conn,
        query,
        "failures",
        [
            "SELECT * FROM failures WHERE position < ?1 AND recorded_at >= ?2 ORDER BY position DESC LIMIT ?3",
            "SELECT * FROM failures WHERE number < ?1 AND recorded_at >= ?2 AND agent = ?4
             ORDER BY number DESC LIMIT ?3",
        ],
        failure_of,
    )
}

/// Reads one row more than asked for, to know whether there is a next page. Of the two queries the first is about
/// everybody and the second about the agent `?4`; `?1` is the place that the rows come before, `?2` the time since when,
/// `?3` how many.
pub(super) fn page<T>(
    conn: &Connection,
    query: &HistoryQuery,
    table: &'static str,
    [of_all, of_one]: [&str; 2],
    read: impl Fn(&Cells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let before = query.before.unwrap_or(i64::MAX);
    let since = query.since.map_or(i64::MIN, |since| since.0);
    let limit = i64::from(query.limit) + 1;
    let read_row = |row: &Row<'_>| {
        let cells = Cells::new(table, row);
        let place = cells.get::<i64>(if query.agent.is_some() { "number" } else { "position" })?;
        Ok::<_, StoreError>((place, read(&cells)?))
    };
    let mut found: Vec<(i64, T)> = match &query.agent {
        None => conn
            .prepare_cached(of_all)?
            .query_and_then(params![before, since, limit], read_row)?
            .collect::<Result<_, _>>()?,
        Some(agent) => conn
            .prepare_cached(of_one)?
            .query_and_then(params![before, since, limit, agent.as_str()], read_row)?
            .collect::<Result<_, _>>()?,
    };
    let wanted = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let has_more = found.len() > wanted;
    found.truncate(wanted);
    let next = found.last().filter(|_| has_more).map(|(place, _)| *place);
    Ok(Page { rows: found.into_iter().map(|(_, row)| row).collect(), next })
}

/// The newest ids of an agent's reports, the newest last.
pub(super) fn report_ids(
    conn: &Connection,
    agent: &AgentName,
    since: Wall,
    limit: u32,
) -> Result<Vec<ReportId>, StoreError> {
    let mut ids = conn
        .prepare_cached(
            "SELECT report_id FROM failures WHERE agent = ?1 AND report_id IS NOT NULL AND recorded_at >= ?2
             ORDER BY number DESC LIMIT ?3",
        )?
        .query_and_then(params![agent.as_str(), since.0, limit], |row| Cells::new("failures", row).name("report_id"))?
        .collect::<Result<Vec<_>, StoreError>>()?;
    ids.reverse();
    Ok(ids)
}

pub(super) fn answer(conn: &Connection, agent: &AgentName, id: &ReportId) -> Result<Option<StoredAnswer>, StoreError> {
    conn.prepare_cached(
        "SELECT answer, report_digest FROM failures
         WHERE agent = ?1 AND report_id = ?2 AND report_id IS NOT NULL AND answer IS NOT NULL",
    )?
    .query_and_then([agent.as_str(), id.as_str()], |row| {
        let cells = Cells::new("failures", row);
        Ok(StoredAnswer {
            answer: texts::read_answer(&cells.get::<String>("answer")?).ok_or_else(|| cells.fault("answer"))?,
            digest: cells.number("report_digest")?,
        })
    })?
    .next()
    .transpose()
}

/// What the target has not taken yet; `None` if the target was never heard of.
pub(super) fn outgoing(conn: &Connection, target: &str, limit: u32) -> Result<Option<Vec<Outgoing>>, StoreError> {
    let taken: Option<i64> = conn
        .prepare_cached("SELECT position FROM targets WHERE target = ?1")?
        .query_row([target], |row| row.get(0))
        .optional()?;
    let Some(taken) = taken else { return Ok(None) };
    conn.prepare_cached("SELECT * FROM notifications WHERE position > ?1 ORDER BY position LIMIT ?2")?
        .query_and_then(params![taken, limit], outgoing_of)?
        .collect::<Result<Vec<_>, StoreError>>()
        .map(Some)
}

fn outgoing_of(row: &Row<'_>) -> Result<Outgoing, StoreError> {
    let cells = Cells::new("notifications", row);
    Ok(Outgoing {
        position: cells.get("position")?,
        notification: Notification {
            id: cells.get("id")?,
            event: cells.word("event")?,
            at: cells.wall("at")?,
            agent: cells.opt_name("agent")?,
            subscription: cells.opt_name("subscription")?,
            generation: cells.opt_generation("generation")?,
            intent: cells.opt_intent("intent")?,
            text: cells.get("text")?,
            action: cells.get("action")?,
            is_over: cells.get("over")?,
        },
    })
}
