//! Turns and sessions as rows: how they are written, read, and put together again.
//!
//! It must not decide who goes next: a turn that does not fit is a conflict, as everything in `write` is.
//!
//! Invariants: numbers grow within an agent and are given out once; at most one turn of a session is under way; a turn ends once, and is never
//! changed again.
//!
//! Tests: `tests/store_conformance/turns.rs`; what a load costs, below; damaged columns in `tests/store_conformance/sqlite_only.rs`.

use rusqlite::{Connection, params};

use super::columns::{Cells, generation, number, shown, wall};
use super::load::limit;
use super::read::page;
use super::write::{move_on, run, run_for};
use crate::domain::{
    AgentName, AgentRecord, Cancel, CauseBy, IntentId, KeyRecord, SessionRecord, Turn, TurnEnd, TurnEnded, TurnId,
    TurnKey, TurnRecord, TurnsRecord, Wall,
};
use crate::ports::store::{HistoryQuery, Page, StoreError};

pub(super) fn begin(conn: &Connection, turn: &Turn) -> Result<(), StoreError> {
    let agent = &turn.id.agent;
    if issued(conn, agent)? >= turn.id.number {
        return Err(StoreError::Conflict { agent: agent.clone() });
    }
    run_for(
        conn,
        agent,
        "INSERT INTO turns (agent, number, session, class, holder, subscription, generation, begun_at, key, key_digest,
             life_id, life_started_at, taken, until, cancel_by, cancel_until, failed, lost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        params![
            agent.as_str(),
            number(turn.id.number),
            turn.session.as_str(),
            turn.class.as_str(),
            turn.holder,
            turn.subscription.as_str(),
            generation(turn.generation),
            turn.begun_at.0,
            turn.key.as_ref().map(|(key, _)| key.as_str()),
            turn.key.as_ref().map(|(_, digest)| number(*digest)),
            turn.life.as_ref().map(|life| &life.id),
            turn.life.as_ref().map(|life| &life.started_at),
            turn.is_taken,
            turn.until.0,
            turn.cancel.as_ref().map(|cancel| &cancel.by),
            turn.cancel.as_ref().map(|cancel| cancel.until.0),
            turn.has_failed,
            turn.lost.map(crate::domain::Lost::as_str),
        ],
    )
    .map(drop)
}

/// Replaces everything but the turn's identity, session, key and beginning, and ends it if it has ended.
pub(super) fn change(conn: &Connection, turn: &Turn, ended: Option<&TurnEnded>) -> Result<(), StoreError> {
    let agent = &turn.id.agent;
    move_on(
        conn,
        agent,
        "UPDATE turns SET class = ?3, holder = ?4, subscription = ?5, generation = ?6, life_id = ?7,
             life_started_at = ?8, taken = ?9, until = ?10, cancel_by = ?11, cancel_until = ?12, failed = ?13,
             lost = ?14, ended_at = ?15, outcome = ?16, ended_by = ?17, reason = ?18
         WHERE agent = ?1 AND number = ?2 AND ended_at IS NULL",
        params![
            agent.as_str(),
            number(turn.id.number),
            turn.class.as_str(),
            turn.holder,
            turn.subscription.as_str(),
            generation(turn.generation),
            turn.life.as_ref().map(|life| &life.id),
            turn.life.as_ref().map(|life| &life.started_at),
            turn.is_taken,
            turn.until.0,
            turn.cancel.as_ref().map(|cancel| &cancel.by),
            turn.cancel.as_ref().map(|cancel| cancel.until.0),
            turn.has_failed,
            turn.lost.map(crate::domain::Lost::as_str),
            wall(ended.map(|ended| ended.at)),
            ended.map(|ended| ended.end.as_str()),
            ended.and_then(|ended| shown(ended.by.as_ref())),
            ended.and_then(|ended| ended.reason.as_ref()),
        ],
    )
}

/// Makes the session the newest of its agent.
pub(super) fn save_session(conn: &Connection, agent: &AgentName, session: &SessionRecord) -> Result<(), StoreError> {
    run(
        conn,
        "INSERT INTO sessions (agent, session, position, last_completed, closed)
         VALUES (?1, ?2, 1 + coalesce((SELECT max(position) FROM sessions WHERE agent = ?1), 0), ?3, ?4)
         ON CONFLICT (agent, session) DO UPDATE SET position = excluded.position,
             last_completed = excluded.last_completed, closed = excluded.closed",
        params![agent.as_str(), session.session.as_str(), session.last_completed.map(number), session.is_closed],
    )?;
    Ok(())
}

fn turn_of(cells: &Cells<'_, '_>) -> Result<Turn, StoreError> {
    let key = match cells.opt_name("key")? {
        None => None,
        Some(key) => Some((key, cells.number("key_digest")?)),
    };
    let cancel = match cells.get("cancel_by")? {
        None => None,
        Some(by) => Some(Cancel { by, until: cells.wall("cancel_until")? }),
    };
    Ok(Turn {
        id: TurnId { agent: cells.name("agent")?, number: cells.number("number")? },
        session: cells.name("session")?,
        class: cells.word("class")?,
        holder: cells.get("holder")?,
        subscription: cells.name("subscription")?,
        generation: cells.generation("generation")?,
        begun_at: cells.wall("begun_at")?,
        key,
        life: cells.opt_instance("life_id", "life_started_at")?,
        is_taken: cells.get("taken")?,
        until: cells.wall("until")?,
        cancel,
        has_failed: cells.get("failed")?,
        lost: cells.opt_word("lost")?,
    })
}

fn record_of(cells: &Cells<'_, '_>) -> Result<TurnRecord, StoreError> {
    let ended = match cells.opt_wall("ended_at")? {
        None => None,
        Some(at) => Some(TurnEnded {
            end: cells.word("outcome")?,
            at,
            by: cells.opt_intent("ended_by")?,
            reason: cells.get("reason")?,
        }),
    };
    Ok(TurnRecord { turn: turn_of(cells)?, ended })
}

pub(super) fn turn(conn: &Connection, id: &TurnId) -> Result<Option<TurnRecord>, StoreError> {
    conn.prepare_cached("SELECT * FROM turns WHERE agent = ?1 AND number = ?2")?
        .query_and_then(params![id.agent.as_str(), number(id.number)], |row| record_of(&Cells::new("turns", row)))?
        .next()
        .transpose()
}

pub(super) fn turns(conn: &Connection, query: &HistoryQuery) -> Result<Page<TurnRecord>, StoreError> {
    page(conn, query, "turns", if query.since.is_none() { HISTORY } else { HISTORY_SINCE }, record_of)
}

const HISTORY: [&str; 2] = [
    "SELECT * FROM turns WHERE position < ?1 ORDER BY position DESC LIMIT ?3",
    "SELECT * FROM turns WHERE number < ?1 AND agent = ?4 ORDER BY number DESC LIMIT ?3",
];

/// There are many more turns than intents: the last page must not be looked for through all that is older.
const HISTORY_SINCE: [&str; 2] = [
    "SELECT * FROM turns WHERE position IN (SELECT position FROM turns INDEXED BY turns_by_time
         WHERE begun_at >= ?2 AND position < ?1 ORDER BY position DESC LIMIT ?3) ORDER BY position DESC",
    "SELECT * FROM turns WHERE agent = ?4 AND number IN (SELECT number FROM turns INDEXED BY turns_by_time
         WHERE begun_at >= ?2 AND agent = ?4 AND number < ?1 ORDER BY number DESC LIMIT ?3) ORDER BY number DESC",
];

const ISSUED: &str = "SELECT max(number) FROM turns WHERE agent = ?1";
const ACTIVE: &str =
    "SELECT * FROM turns INDEXED BY turns_active WHERE agent = ?1 AND ended_at IS NULL ORDER BY number";
const SESSIONS: &str =
    "SELECT session, last_completed, closed FROM sessions WHERE agent = ?1 ORDER BY position DESC LIMIT ?2";
const KEYS: &str = "SELECT key, key_digest, number FROM turns INDEXED BY turns_keyed
    WHERE agent = ?1 AND key IS NOT NULL AND outcome IS NOT ?2 ORDER BY number DESC LIMIT ?3";
const FENCES: &str = "SELECT started_at FROM intents INDEXED BY intents_fences
    WHERE agent = ?1 AND plan = 'fence' AND cause = ?2 ORDER BY number DESC LIMIT ?3";

/// Everything durable about an agent's turns. Of an agent that has none it costs one look into each index.
pub(super) fn load(conn: &Connection, agent: &AgentName) -> Result<TurnsRecord, StoreError> {
    Ok(TurnsRecord {
        issued: issued(conn, agent)?,
        active: active(conn, agent)?,
        sessions: sessions(conn, agent)?,
        keys: keys(conn, agent)?,
        fences: fences(conn, agent)?,
    })
}

fn issued(conn: &Connection, agent: &AgentName) -> Result<u64, StoreError> {
    let highest: Option<i64> = conn.prepare_cached(ISSUED)?.query_row([agent.as_str()], |row| row.get(0))?;
    Ok(highest.unwrap_or(0).cast_unsigned())
}

fn active(conn: &Connection, agent: &AgentName) -> Result<Vec<Turn>, StoreError> {
    conn.prepare_cached(ACTIVE)?.query_and_then([agent.as_str()], |row| turn_of(&Cells::new("turns", row)))?.collect()
}

fn sessions(conn: &Connection, agent: &AgentName) -> Result<Vec<SessionRecord>, StoreError> {
    let mut sessions = conn
        .prepare_cached(SESSIONS)?
        .query_and_then(params![agent.as_str(), limit(TurnsRecord::SESSIONS_MAX)], |row| {
            let cells = Cells::new("sessions", row);
            Ok(SessionRecord {
                session: cells.name("session")?,
                last_completed: cells.get::<Option<i64>>("last_completed")?.map(i64::cast_unsigned),
                is_closed: cells.get("closed")?,
            })
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    sessions.reverse();
    Ok(sessions)
}

/// A turn that lapsed is as if it had never been asked for: the same request may begin another one.
fn keys(conn: &Connection, agent: &AgentName) -> Result<Vec<KeyRecord>, StoreError> {
    let mut keys = conn
        .prepare_cached(KEYS)?
        .query_and_then(params![agent.as_str(), TurnEnd::Lapsed.as_str(), limit(TurnsRecord::KEYS_MAX)], |row| {
            let cells = Cells::new("turns", row);
            Ok(KeyRecord {
                key: cells.name::<TurnKey>("key")?,
                digest: cells.number("key_digest")?,
                turn: cells.number("number")?,
            })
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    keys.reverse();
    Ok(keys)
}

/// Fences that nobody asked for.
fn fences(conn: &Connection, agent: &AgentName) -> Result<Vec<Wall>, StoreError> {
    let mut started = conn
        .prepare_cached(FENCES)?
        .query_and_then(params![agent.as_str(), CauseBy::Turn.as_str(), limit(AgentRecord::BUDGET_MAX)], |row| {
            Cells::new("intents", row).wall("started_at")
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    started.reverse();
    Ok(started)
}

/// How many turns an intent has cut off. Asked only of one that is open: it looks at every turn of the agent.
pub(super) fn cut_off_by(conn: &Connection, id: &IntentId) -> Result<u32, StoreError> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM turns WHERE agent = ?1 AND ended_by = ?2")?
        .query_row(params![id.agent.as_str(), id.to_string()], |row| row.get::<_, u32>(0))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::domain::{
        Cause, Change, Generation, Intent, IntentEnd, IntentId, IntentMarks, IntentOutcome, Plan, SessionName,
        SubscriptionName, TurnClass,
    };
    use crate::drivers::sqlite::{open, write};

    /// How much SQLite did for these statements.
    fn work(conn: &Connection, statements: &[&str], act: impl FnOnce(&Connection)) -> i32 {
        let count = || {
            let done = |sql: &&str| conn.prepare_cached(sql).unwrap().reset_status(StatementStatus::VmStep);
            statements.iter().map(done).sum()
        };
        let _before: i32 = count();
        act(conn);
        count()
    }

    fn turn(agent: &AgentName, number: u64) -> Change {
        let turn = Turn {
            id: TurnId { agent: agent.clone(), number },
            session: SessionName::from(format!("session-{number}")),
            class: TurnClass::Background,
            holder: String::new(),
            subscription: SubscriptionName::from("max-a"),
            generation: Generation(1),
            begun_at: Wall(number.cast_signed()),
            key: Some((TurnKey::from("key"), number)),
            life: None,
            is_taken: false,
            until: Wall(0),
            cancel: None,
            has_failed: false,
            lost: None,
        };
        Change::TurnBegun { turn: Box::new(turn), waited: std::time::Duration::ZERO }
    }

    fn intended(agent: &AgentName, number: u64, plan: Plan) -> [Change; 2] {
        let id = IntentId { agent: agent.clone(), number };
        let intent = Intent {
            id: id.clone(),
            plan,
            generation: Generation(1),
            from: None,
            to: SubscriptionName::from("max-a"),
            cause: Cause::of(CauseBy::Turn),
            observed_at: Wall(0),
            started_at: Wall(0),
            turn: None,
        };
        let end = IntentEnd {
            id,
            outcome: IntentOutcome::Failed,
            finished_at: Wall(0),
            marks: IntentMarks::default(),
            turns_cut_off: 0,
            restarts: 0,
            reason: None,
        };
        [Change::IntentOpened(intent), Change::IntentClosed(end)]
    }

    #[test]
    fn an_agent_without_turns_is_loaded_by_looks_into_indexes_whatever_others_have() {
        let mut conn = open::memory().unwrap();
        let (quiet, busy) = (AgentName::from("quiet"), AgentName::from("busy"));
        let statements = [ISSUED, ACTIVE, SESSIONS, KEYS, FENCES];
        let load_quiet = |conn: &Connection| assert_eq!(load(conn, &quiet).unwrap(), TurnsRecord::default());
        let empty = work(&conn, &statements, load_quiet);
        let mut changes = Vec::new();
        for number in 1..=1000 {
            let name = SessionName::from(format!("session-{number}"));
            let session = SessionRecord { session: name, last_completed: None, is_closed: false };
            changes.extend([turn(&busy, number), Change::SessionSaved(busy.clone(), session)]);
            changes.extend(intended(&busy, number, Plan::Fence));
            // What an agent did beside its turns is not looked through.
            changes.extend(intended(&quiet, number, Plan::Switch));
        }
        write::commit_one(&mut conn, &changes).unwrap();
        let full = work(&conn, &statements, load_quiet);
        assert!((1..=empty + 10).contains(&full), "{empty} steps in an empty database, {full} in a full one");
        let most = work(&conn, &statements, |conn| assert_eq!(load(conn, &busy).unwrap().active.len(), 1000));
        assert!(most > 100 * full, "what is measured is the work: {most} steps");
    }

    #[test]
    fn the_last_page_since_a_time_is_found_without_a_look_at_what_is_older() {
        let mut conn = open::memory().unwrap();
        let agent = AgentName::from("web");
        let changes: Vec<_> = (1..=2000).map(|number| turn(&agent, number)).collect();
        write::commit_one(&mut conn, &changes).unwrap();
        for (agent, sql) in [None, Some(agent)].into_iter().zip(HISTORY_SINCE) {
            let query = HistoryQuery { agent, since: Some(Wall(1999)), before: None, limit: 10 };
            let steps = work(&conn, &[sql], |conn| assert_eq!(turns(conn, &query).unwrap().rows.len(), 2));
            assert!((1..500).contains(&steps), "{steps} steps");
        }
    }
}
