//! Removes what is older than it need be, a few hundred rows at a time.
//!
//! It must not remove open intents, the newest ended intent of an agent, current assignments, running
//! cooldowns, failures that wait for a judgement, turns under way, the newest turn of an agent (its number must
//! not be given out again), or notifications that a target has not taken and may still be handed. What is found to be removable is
//! looked at again by the statement that removes it, for commits go on in between.
//!
//! Tests: `tests/store_conformance.rs`, `tests/store_conformance/sqlite_only.rs`.

use rusqlite::{Connection, Params, TransactionBehavior, params};

use super::load::limit;
use crate::domain::{AgentRecord, TurnsRecord, Wall};
use crate::ports::store::{Retention, StoreError};

/// Rows that one step removes: it holds up commits for a few milliseconds.
const ROWS_MAX: usize = 500;
/// Pages that one step gives back to the file system.
const PAGES_MAX: u32 = 1000;

/// One step of a sweep: one short transaction.
#[derive(Debug)]
pub(super) enum Chore {
    /// Forget the answers of these failures; the ids may be used again.
    Answers(Vec<i64>),
    /// Remove these failures.
    Failures(Vec<i64>),
    /// Remove these intents.
    Intents(Vec<i64>),
    /// Remove these turns.
    Turns(Vec<i64>),
    /// Forget these sessions of an agent, unless they were touched meanwhile.
    Sessions { agent: String, positions: Vec<i64> },
    /// Remove a part of the oldest history because the file is too large.
    Oldest { failures: Vec<i64>, intents: Vec<i64>, turns: Vec<i64>, notifications_before: Told },
    /// Remove what ended before a time and is few.
    Ended(Told),
    /// Give free pages back.
    Shrink,
}

/// Notifications from before a time go once every target has taken them; those from before another one in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    before: Wall,
    in_any_case_before: Wall,
}

/// What is to be removed by age and number.
pub(super) fn plan(conn: &Connection, retention: &Retention) -> Result<Vec<Chore>, StoreError> {
    let _snapshot = conn.unchecked_transaction()?;
    let keep_since = retention.keep_since.0;
    let answers_since = retention.answers_since.0;
    let mut answers = positions(
        conn,
        "SELECT position FROM failures INDEXED BY failures_by_report
         WHERE report_id IS NOT NULL AND recorded_at < ?1",
        [answers_since],
    )?;
    answers.extend(surplus_answers(conn, retention.answers_max)?);
    // Failures are looked through from the oldest to the first that is young enough, and no further.
    let failures = positions(
        conn,
        "SELECT position FROM failures
         WHERE position < coalesce((SELECT position FROM failures WHERE recorded_at >= ?1 ORDER BY position LIMIT 1),
                                   9223372036854775807)
           AND (report_id IS NULL OR recorded_at < ?2) AND outcome NOT IN ('held', 'ambiguous')",
        [keep_since, answers_since],
    )?;
    let intents = positions(
        conn,
        "SELECT position FROM intents WHERE finished_at < ?1 AND number < (SELECT max(number) FROM intents AS newer
             WHERE newer.agent = intents.agent AND newer.finished_at IS NOT NULL)",
        [keep_since],
    )?;
    let turns = positions(
        conn,
        "SELECT position FROM turns NOT INDEXED
         WHERE position < coalesce((SELECT position FROM turns NOT INDEXED WHERE begun_at >= ?1
                                    ORDER BY position LIMIT 1), 9223372036854775807)
           AND (key IS NULL OR begun_at < ?2) AND ended_at < ?1
           AND number < (SELECT max(number) FROM turns AS newer WHERE newer.agent = turns.agent)",
        [keep_since, answers_since],
    )?;
    let mut chores = Vec::new();
    chores.extend(answers.chunks(ROWS_MAX).map(|part| Chore::Answers(part.to_vec())));
    chores.extend(failures.chunks(ROWS_MAX).map(|part| Chore::Failures(part.to_vec())));
    chores.extend(intents.chunks(ROWS_MAX).map(|part| Chore::Intents(part.to_vec())));
    chores.extend(turns.chunks(ROWS_MAX).map(|part| Chore::Turns(part.to_vec())));
    for (agent, positions) in surplus_sessions(conn)? {
        let part = |part: &[i64]| Chore::Sessions { agent: agent.clone(), positions: part.to_vec() };
        chores.extend(positions.chunks(ROWS_MAX).map(part));
    }
    chores.push(Chore::Ended(Told {
        before: retention.keep_since,
        in_any_case_before: retention.undelivered_since.min(retention.keep_since),
    }));
    Ok(chores)
}

/// All but the newest so many answers of each agent.
fn surplus_answers(conn: &Connection, max: u32) -> Result<Vec<i64>, StoreError> {
    let crowded = conn
        .prepare_cached(
            "SELECT agent FROM failures INDEXED BY failures_by_report WHERE report_id IS NOT NULL
             GROUP BY agent HAVING count(*) > ?1",
        )?
        .query_map([max], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut surplus = Vec::new();
    for agent in crowded {
        surplus.extend(positions(
            conn,
            "SELECT position FROM failures WHERE agent = ?1 AND report_id IS NOT NULL
             ORDER BY number DESC LIMIT -1 OFFSET ?2",
            params![agent, max],
        )?);
    }
    Ok(surplus)
}

/// All but the newest sessions of each agent.
fn surplus_sessions(conn: &Connection) -> Result<Vec<(String, Vec<i64>)>, StoreError> {
    let max = limit(TurnsRecord::SESSIONS_MAX);
    let crowded = conn
        .prepare_cached("SELECT agent FROM sessions GROUP BY agent HAVING count(*) > ?1")?
        .query_map([max], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let surplus = |agent: String| {
        let sql = "SELECT position FROM sessions WHERE agent = ?1 ORDER BY position DESC LIMIT -1 OFFSET ?2";
        positions(conn, sql, params![agent, max]).map(|positions| (agent, positions))
    };
    crowded.into_iter().map(surplus).collect()
}

fn positions(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<i64>, StoreError> {
    Ok(conn.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The next part of the oldest history to remove, while what is stored is larger than `bytes_max`.
pub(super) fn oversize(conn: &Connection, retention: &Retention) -> Result<Option<Chore>, StoreError> {
    let bytes: i64 = conn.query_row(
        "SELECT (page_count - freelist_count) * page_size
         FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        [],
        |row| row.get(0),
    )?;
    if bytes.cast_unsigned() <= retention.bytes_max {
        return Ok(None);
    }
    let failures = oldest(
        conn,
        "SELECT position, recorded_at FROM failures WHERE outcome NOT IN ('held', 'ambiguous')
         ORDER BY position LIMIT ?1",
    )?;
    let turns = oldest(
        conn,
        "SELECT position, begun_at FROM turns NOT INDEXED WHERE ended_at IS NOT NULL
           AND number < (SELECT max(number) FROM turns AS newer WHERE newer.agent = turns.agent)
         ORDER BY position LIMIT ?1",
    )?;
    let reached = reached([&failures, &turns]);
    let intents = positions(
        conn,
        "SELECT position FROM intents WHERE finished_at <= ?1 AND number < (SELECT max(number) FROM intents AS newer
             WHERE newer.agent = intents.agent AND newer.finished_at IS NOT NULL)
         ORDER BY position LIMIT ?2",
        params![reached, limit(ROWS_MAX)],
    )?;
    let up_to = |rows: Vec<(i64, i64)>| {
        rows.into_iter().filter(|(_, at)| *at <= reached).map(|(position, _)| position).collect()
    };
    Ok(Some(Chore::Oldest {
        failures: up_to(failures),
        intents,
        turns: up_to(turns),
        notifications_before: Told {
            before: Wall(reached),
            in_any_case_before: retention.undelivered_since.min(Wall(reached)),
        },
    }))
}

/// Position and time of the oldest rows, as many as one step removes.
fn oldest(conn: &Connection, sql: &str) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map([limit(ROWS_MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// The time up to which all kinds of history go in one step, so that they go together, by age: that of the last row
/// of the kind that has the oldest rows to fill a step with.
fn reached(kinds: [&[(i64, i64)]; 2]) -> i64 {
    let last = |rows: &&[(i64, i64)]| rows.last().map(|(_, at)| *at);
    let full = kinds.iter().filter(|rows| rows.len() == ROWS_MAX).filter_map(last).min();
    full.or_else(|| kinds.iter().filter_map(last).max()).unwrap_or(i64::MAX)
}

/// Carries out one step; says how many rows or pages it freed.
pub(super) fn perform(conn: &mut Connection, chore: &Chore) -> Result<usize, StoreError> {
    if let Chore::Shrink = chore {
        return shrink(conn);
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = match chore {
        Chore::Answers(positions) => each(
            &transaction,
            "UPDATE failures SET report_id = NULL, report_digest = NULL, answer = NULL WHERE position = ?1",
            positions,
        )?,
        Chore::Failures(positions) => remove_failures(&transaction, positions)?,
        Chore::Intents(positions) => remove_intents(&transaction, positions)?,
        Chore::Turns(positions) => remove_turns(&transaction, positions)?,
        Chore::Sessions { agent, positions } => remove_sessions(&transaction, agent, positions)?,
        Chore::Oldest { failures, intents, turns, notifications_before } => {
            remove_failures(&transaction, failures)?
                + remove_intents(&transaction, intents)?
                + remove_turns(&transaction, turns)?
                + remove_delivered(&transaction, *notifications_before)?
        }
        Chore::Ended(told) => {
            transaction.execute("DELETE FROM cooldowns WHERE until < ?1", [told.before.0])?
                + transaction.execute("DELETE FROM sources WHERE at < ?1", [told.before.0])?
                + remove_generations(&transaction, told.before)?
                + remove_delivered(&transaction, *told)?
        }
        Chore::Shrink => 0,
    };
    transaction.commit()?;
    Ok(done)
}

fn each(conn: &Connection, sql: &str, positions: &[i64]) -> Result<usize, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    positions.iter().try_fold(0, |done, position| Ok(done + statement.execute([position])?))
}

fn remove_failures(conn: &Connection, positions: &[i64]) -> Result<usize, StoreError> {
    each(conn, "DELETE FROM failures WHERE position = ?1 AND outcome NOT IN ('held', 'ambiguous')", positions)
}

fn remove_intents(conn: &Connection, positions: &[i64]) -> Result<usize, StoreError> {
    each(conn, "DELETE FROM intents WHERE position = ?1 AND finished_at IS NOT NULL", positions)
}

/// A turn that was not the newest of its agent never becomes it.
fn remove_turns(conn: &Connection, positions: &[i64]) -> Result<usize, StoreError> {
    each(conn, "DELETE FROM turns WHERE position = ?1 AND ended_at IS NOT NULL", positions)
}

fn remove_sessions(conn: &Connection, agent: &str, positions: &[i64]) -> Result<usize, StoreError> {
    let mut statement = conn.prepare_cached("DELETE FROM sessions WHERE agent = ?1 AND position = ?2")?;
    positions.iter().try_fold(0, |done, position| Ok(done + statement.execute(params![agent, position])?))
}

/// What every target has taken; with no target at all there is nobody left to tell. One that is told no more, or never
/// takes anything, keeps nothing for ever.
fn remove_delivered(conn: &Connection, told: Told) -> Result<usize, StoreError> {
    Ok(conn.execute(
        "DELETE FROM notifications
         WHERE at < ?2 OR at < ?1 AND position <= coalesce((SELECT min(position) FROM targets), 9223372036854775807)",
        [told.before.0, told.in_any_case_before.0],
    )?)
}

/// A generation outlives its time while it is one of the newest of its agent.
fn remove_generations(conn: &Connection, before: Wall) -> Result<usize, StoreError> {
    let kept = limit(AgentRecord::ISSUED_MAX);
    Ok(conn.execute(
        "DELETE FROM generations WHERE issued_at < ?1
         AND generation <= (SELECT generation FROM assignments WHERE assignments.agent = generations.agent) - ?2",
        [before.0, kept],
    )?)
}

/// Every row of the pragma is a page given back; it stops where the rows are no longer read.
fn shrink(conn: &Connection) -> Result<usize, StoreError> {
    let free = || conn.query_row("SELECT freelist_count FROM pragma_freelist_count()", [], |row| row.get::<_, i64>(0));
    let before = free()?;
    if before == 0 {
        return Ok(0);
    }
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES_MAX})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(usize::try_from(before - free()?).unwrap_or(0))
}
