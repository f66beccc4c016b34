//! What the pool is rebuilt from, and the rows that belong to no agent: cooldowns, readings, halts.
//!
//! Tests: `tests/store_conformance.rs`.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::columns::{Cells, wall};
use super::load::limit;
use super::write::run;
use crate::domain::{
    Cooldown, CooldownKey, Fingerprint, Halt, Reach, Reading, SubscriptionName, Teller, Utilisation, Wall,
};
use crate::ports::store::{PoolRecord, StoreError};

/// Moves that began earlier than this before now are of no interest: no budget is longer.
const MOVES_SINCE: Duration = Duration::from_secs(7 * 86_400);

/// More of them than this are not read back.
const MOVES_MAX: usize = 1_000;

/// Everything durable about the pool.
pub(super) fn load(conn: &Connection, now: Wall) -> Result<PoolRecord, StoreError> {
    let _snapshot = conn.unchecked_transaction()?;
    Ok(PoolRecord {
        cooldowns: cooldowns(conn, now)?,
        assignments: pairs(conn, "SELECT agent AS a, subscription AS b FROM assignments ORDER BY agent")?,
        reservations: pairs(
            conn,
            "SELECT agent AS a, to_subscription AS b FROM intents WHERE finished_at IS NULL ORDER BY agent",
        )?,
        credentials: pairs::<_, String>(
            conn,
            "SELECT subscription AS a, fingerprint AS b FROM subscriptions ORDER BY subscription",
        )?
        .into_iter()
        .map(|(subscription, fingerprint)| (subscription, Fingerprint(fingerprint)))
        .collect(),
        readings: readings(conn)?,
        halt: halt(conn)?,
        seen_until: conn
            .query_row("SELECT max(lifted_at) FROM halts", [], |row| row.get::<_, Option<i64>>(0))?
            .map(Wall),
        moves: moves(conn, now)?,
    })
}

fn pairs<A: From<String>, B: From<String>>(conn: &Connection, sql: &str) -> Result<Vec<(A, B)>, StoreError> {
    conn.prepare_cached(sql)?
        .query_and_then([], |row| {
            let cells = Cells::new("assignments, intents or subscriptions", row);
            Ok((cells.name("a")?, cells.name("b")?))
        })?
        .collect()
}

fn cooldowns(conn: &Connection, now: Wall) -> Result<Vec<Cooldown>, StoreError> {
    let mut cooldowns = conn
        .prepare_cached("SELECT * FROM cooldowns WHERE until IS NULL OR until > ?1")?
        .query_and_then([now.0], |row| {
            let cells = Cells::new("cooldowns", row);
            let named =
                |column| Ok::<_, StoreError>(Some(cells.get::<String>(column)?).filter(|name| !name.is_empty()));
            Ok(Cooldown {
                key: CooldownKey {
                    reach: named("agent")?.map_or(Reach::All, |agent| Reach::Agent(agent.into())),
                    quota: cells.name("quota")?,
                    credential: named("credential")?.map(Into::into),
                    window: cells.word("scope")?,
                    model: named("model")?.map(Into::into),
                },
                subscription: cells.name("subscription")?,
                kind: cells.word("kind")?,
                source: cells.word("source")?,
                since: cells.wall("since")?,
                until: cells.opt_wall("until")?,
                failure: cells.opt_failure("failure")?,
            })
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    cooldowns.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(cooldowns)
}

fn readings(conn: &Connection) -> Result<Vec<Reading>, StoreError> {
    conn.prepare_cached("SELECT * FROM readings ORDER BY subscription, scope, model, agent")?
        .query_and_then([], |row| {
            let cells = Cells::new("readings", row);
            let named =
                |column| Ok::<_, StoreError>(Some(cells.get::<String>(column)?).filter(|name| !name.is_empty()));
            Ok(Reading {
                subscription: cells.name("subscription")?,
                window: cells.word("scope")?,
                model: named("model")?.map(Into::into),
                utilisation: cells.get::<Option<u16>>("utilisation")?.map(Utilisation),
                serves: cells.get("serves")?,
                reset_at: cells.opt_wall("reset_at")?,
                at: cells.wall("at")?,
                told_by: match (named("agent")?, cells.get("probed")?) {
                    (Some(agent), _) => Teller::Agent(agent.into()),
                    (None, true) => Teller::Probe,
                    (None, false) => Teller::Reporter,
                },
            })
        })?
        .collect()
}

fn halt(conn: &Connection) -> Result<Option<Halt>, StoreError> {
    conn.prepare_cached("SELECT * FROM halts WHERE lifted_at IS NULL")?
        .query_and_then([], |row| {
            let cells = Cells::new("halts", row);
            let names: String = cells.get("subscriptions")?;
            let subscriptions = names.split(',').filter(|name| !name.is_empty()).map(SubscriptionName::from).collect();
            Ok(Halt { since: cells.wall("since")?, subscriptions })
        })?
        .next()
        .transpose()
}

/// Where agents were moved lately that nobody asked for, oldest first.
fn moves(conn: &Connection, now: Wall) -> Result<Vec<(SubscriptionName, Wall)>, StoreError> {
    let mut moves = conn
        .prepare_cached(
            "SELECT to_subscription, started_at FROM intents
             WHERE started_at > ?1 AND cause NOT IN ('operator', 'pin') AND from_subscription IS NOT to_subscription
             ORDER BY started_at DESC, position DESC LIMIT ?2",
        )?
        .query_and_then(params![now.minus(MOVES_SINCE).0, limit(MOVES_MAX)], |row| {
            let cells = Cells::new("intents", row);
            Ok((cells.name("to_subscription")?, cells.wall("started_at")?))
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    moves.reverse();
    Ok(moves)
}

/// Takes note of what was read of a window, unless something newer is known of it.
pub(super) fn take_reading(conn: &Connection, reading: &Reading) -> Result<(), StoreError> {
    run(
        conn,
        "INSERT INTO readings (subscription, scope, model, agent, utilisation, serves, reset_at, at, probed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET
             utilisation = excluded.utilisation, serves = excluded.serves, reset_at = excluded.reset_at, at = excluded.at,
             probed = excluded.probed
         WHERE excluded.at >= readings.at",
        params![
            reading.subscription.as_str(),
            reading.window.as_str(),
            reading.model.as_ref().map_or("", |model| model.as_str()),
            reading.told_by.agent().map_or("", |agent| agent.as_str()),
            reading.utilisation.map(|used| used.0),
            reading.serves,
            wall(reading.reset_at),
            reading.at.0,
            reading.told_by == Teller::Probe,
        ],
    )?;
    Ok(())
}

/// Nothing is switched by itself from now on. One halt stands at a time.
pub(super) fn halted(conn: &Connection, halt: &Halt) -> Result<(), StoreError> {
    let names: Vec<&str> = halt.subscriptions.iter().map(SubscriptionName::as_str).collect();
    run(
        conn,
        "INSERT INTO halts (since, subscriptions) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![halt.since.0, names.join(",")],
    )?;
    Ok(())
}

/// A person has seen it.
pub(super) fn lift_halt(conn: &Connection, at: Wall) -> Result<(), StoreError> {
    run(conn, "UPDATE halts SET lifted_at = ?1 WHERE lifted_at IS NULL", params![at.0])?;
    Ok(())
}
