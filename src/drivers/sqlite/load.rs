//! Everything durable about an agent, and about the pool, put together again after a start or a failed
//! commit.
//!
//! Tests: `tests/store_conformance.rs`.

use rusqlite::{Connection, Row, params};

use super::columns::Cells;
use super::{read, texts, turns};
use crate::domain::{
    AgentName, AgentRecord, Assignment, Attributes, Deferred, Fingerprint, Generation, Issued, LogPosition, OpenIntent,
    Pause, Plan, Rest, Trouble, TurnsRecord, Wall,
};
use crate::ports::store::StoreError;

/// Everything durable about an agent; `None` if no row names it.
pub(super) fn agent(conn: &Connection, agent: &AgentName) -> Result<Option<AgentRecord>, StoreError> {
    let _snapshot = conn.unchecked_transaction()?;
    let stored = conn
        .prepare_cached("SELECT * FROM agents WHERE agent = ?1")?
        .query_and_then([agent.as_str()], attributes)?
        .next()
        .transpose()?;
    let turns = turns::load(conn, agent)?;
    let known = stored.map_or_else(|| implied_attributes(conn, agent, &turns), |stored| Ok(Some(stored)))?;
    let Some(attributes) = known else { return Ok(None) };
    Ok(Some(AgentRecord {
        attributes,
        assignment: assignment(conn, agent)?,
        issued: issued(conn, agent)?,
        open: open_intent(conn, agent)?,
        budget: budget(conn, agent)?,
        deferred: deferred(conn, agent)?,
        last: read::last_ended(conn, agent)?,
        turns,
    }))
}

fn attributes(row: &Row<'_>) -> Result<Attributes, StoreError> {
    let cells = Cells::new("agents", row);
    let rest = match cells.get::<String>("rest")?.as_str() {
        "serving" => Rest::Serving,
        "exhausted" => {
            Rest::Exhausted { since: cells.wall("rest_since")?, earliest: cells.opt_wall("earliest_reset")? }
        }
        "parked" => Rest::Parked { reason: cells.word("park_reason")?, since: cells.wall("rest_since")? },
        _ => return Err(cells.fault("rest")),
    };
    let trouble = match cells.opt_word("trouble_kind")? {
        None => None,
        Some(kind) => Some(Trouble {
            kind,
            failure: cells.opt_failure("trouble_failure")?,
            observed_at: cells.wall("trouble_observed_at")?,
            until: cells.opt_wall("trouble_until")?,
        }),
    };
    let pause = if cells.get("paused")? { Some(Pause { until: cells.opt_wall("pause_until")? }) } else { None };
    Ok(Attributes {
        rest,
        trouble,
        wake_at: cells.opt_wall("wake_at")?,
        pause,
        pin: cells.opt_name("pin")?,
        issued: cells.generation("issued")?,
        failures: cells.number("failures")?,
        intents: cells.number("intents")?,
        apply_failures: cells.small("apply_failures")?,
        exclusions: texts::read_exclusions(&cells.get::<String>("exclusions")?)
            .ok_or_else(|| cells.fault("exclusions"))?,
        switched_at: cells.opt_wall("switched_at")?,
        credential: cells.get::<Option<String>>("credential")?.map(Fingerprint),
        replaced: cells.opt_instance("replaced_id", "replaced_started_at")?,
    })
}

/// What must hold of an agent whose own row was never written although others name it: above all, that no
/// number is given out twice.
fn implied_attributes(
    conn: &Connection,
    agent: &AgentName,
    turns: &TurnsRecord,
) -> Result<Option<Attributes>, StoreError> {
    let highest = |sql| -> Result<u64, StoreError> {
        let highest: Option<i64> = conn.prepare_cached(sql)?.query_row([agent.as_str()], |row| row.get(0))?;
        Ok(highest.unwrap_or(0).cast_unsigned())
    };
    let issued = Generation(highest("SELECT max(generation) FROM generations WHERE agent = ?1")?);
    let failures = highest("SELECT max(number) FROM failures WHERE agent = ?1")?;
    let intents = highest("SELECT max(number) FROM intents WHERE agent = ?1")?;
    let is_known = issued != Generation::NONE || failures > 0 || intents > 0 || *turns != TurnsRecord::default();
    Ok(is_known.then(|| Attributes::fresh(issued, failures, intents)))
}

fn assignment(conn: &Connection, agent: &AgentName) -> Result<Option<Assignment>, StoreError> {
    conn.prepare_cached("SELECT subscription, generation, since FROM assignments WHERE agent = ?1")?
        .query_and_then([agent.as_str()], |row| {
            let cells = Cells::new("assignments", row);
            Ok(Assignment {
                subscription: cells.name("subscription")?,
                generation: cells.generation("generation")?,
                since: cells.wall("since")?,
            })
        })?
        .next()
        .transpose()
}

fn issued(conn: &Connection, agent: &AgentName) -> Result<Vec<Issued>, StoreError> {
    let mut issued = conn
        .prepare_cached(
            "SELECT generation, subscription, used_at FROM generations WHERE agent = ?1
             ORDER BY generation DESC LIMIT ?2",
        )?
        .query_and_then(params![agent.as_str(), limit(AgentRecord::ISSUED_MAX)], |row| {
            let cells = Cells::new("generations", row);
            Ok(Issued {
                generation: cells.generation("generation")?,
                subscription: cells.name("subscription")?,
                is_used: cells.opt_wall("used_at")?.is_some(),
            })
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    issued.reverse();
    Ok(issued)
}

pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn open_intent(conn: &Connection, agent: &AgentName) -> Result<Option<OpenIntent>, StoreError> {
    conn.prepare_cached("SELECT * FROM intents WHERE agent = ?1 AND finished_at IS NULL")?
        .query_and_then([agent.as_str()], |row| {
            let cells = Cells::new("intents", row);
            let before = cells.opt_instance("before_id", "before_started_at")?;
            let intent = read::intent_of(&cells)?;
            Ok(OpenIntent {
                cut_off: turns::cut_off_by(conn, &intent.id)?,
                intent,
                delivered: cells.opt_wall("delivered_at")?.map(|at| (at, before)),
            })
        })?
        .next()
        .transpose()
}

/// Switches that nobody asked for.
fn budget(conn: &Connection, agent: &AgentName) -> Result<Vec<Wall>, StoreError> {
    let mut started = conn
        .prepare_cached(
            "SELECT started_at FROM intents WHERE agent = ?1 AND plan = ?2
                 AND cause IN ('failure', 'wake', 'turn', 'proactive', 'failback')
             ORDER BY number DESC LIMIT ?3",
        )?
        .query_and_then(params![agent.as_str(), Plan::Switch.as_str(), limit(AgentRecord::BUDGET_MAX)], |row| {
            Cells::new("intents", row).wall("started_at")
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    started.reverse();
    Ok(started)
}

/// What waits for a judgement. A line of text waits for two minutes at most, so it is looked for among the newest alone:
/// there is no index for it.
fn deferred(conn: &Connection, agent: &AgentName) -> Result<Vec<Deferred>, StoreError> {
    conn.prepare_cached(
        "SELECT * FROM (
             SELECT * FROM failures WHERE agent = ?1 AND outcome IN ('held', 'ambiguous')
             UNION ALL
             SELECT * FROM (SELECT * FROM failures WHERE agent = ?1 ORDER BY number DESC LIMIT ?3)
                 WHERE outcome = 'uncorroborated'
         ) ORDER BY number LIMIT ?2",
    )?
    .query_and_then(params![agent.as_str(), limit(AgentRecord::DEFERRED_MAX), NEWEST], |row| {
        let cells = Cells::new("failures", row);
        Ok(read::failure_of(&cells)?.deferred())
    })?
    .collect()
}

/// So many failures are the newest ones.
const NEWEST: i64 = 1024;

/// How far each agent's log has been read.
pub(super) fn log_positions(conn: &Connection) -> Result<Vec<(AgentName, LogPosition)>, StoreError> {
    conn.prepare_cached("SELECT * FROM logs ORDER BY agent")?
        .query_and_then([], |row| {
            let cells = Cells::new("logs", row);
            let position = LogPosition {
                container: cells.get("container")?,
                at_ns: cells.get("at_ns")?,
                seen: cells.small("seen")?,
            };
            Ok((cells.name("agent")?, position))
        })?
        .collect()
}
