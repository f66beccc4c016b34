//! Changes as rows, and batches of them as transactions.
//!
//! It must not repair what does not fit: a row that would move back or be written twice is a conflict,
//! for it means that someone else writes to this store, or that what is in memory is not what is stored.
//!
//! Invariants: at most one intent of an agent is open; an intent ends once; a generation is issued for one
//! subscription and becomes current only after the one it replaces; an answer to a report id is written
//! once. What holds of turns stands in `turns`.
//!
//! Tests: `tests/store_conformance.rs`, `tests/store_conformance/sqlite_only.rs`.

use std::ops::ControlFlow;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params, params};

use super::columns::{generation, number, shown, wall};
use super::{pool, texts, turns};
use crate::domain::{
    AgentName, Assignment, Attributes, Change, Cooldown, CooldownKey, FailureRecord, Generation, Instance, Intent,
    IntentEnd, IntentId, IntentOutcome, Notification, Reach, Rest, SubscriptionName, Wall,
};
use crate::ports::store::StoreError;

/// A transaction that did not come to its end: nothing of it is written.
enum Lost {
    /// It could not begin.
    NotBegun(StoreError),
    /// It was given up on the way, by SQLite or because COMMIT failed.
    GivenUp(StoreError),
}

/// Writes one batch in a transaction of its own.
pub(super) fn commit_one(conn: &mut Connection, changes: &[Change]) -> Result<(), StoreError> {
    commit_group(conn, &[changes]).pop().unwrap_or(Err(StoreError::Closed))
}

/// How far a batch that fails takes others with it.
#[derive(Clone, Copy)]
enum Guard {
    /// The whole transaction is lost. The cheapest, and enough while all is well.
    Transaction,
    /// Each batch has a savepoint to go back to.
    Savepoints,
}

/// Writes many batches with one sync; one result for each, in their order.
pub(super) fn commit_group(conn: &mut Connection, batches: &[&[Change]]) -> Vec<Result<(), StoreError>> {
    let together = |guard| match attempt(conn, batches, guard) {
        Ok(results) => ControlFlow::Break(results),
        // No batch is to blame, and none would fare better alone.
        Err(Lost::NotBegun(err)) => ControlFlow::Break(vec![Err(err); batches.len()]),
        Err(Lost::GivenUp(err)) if batches.len() == 1 => ControlFlow::Break(vec![Err(err)]),
        Err(Lost::GivenUp(_)) => ControlFlow::Continue(()),
    };
    // A savepoint per batch costs a tenth and more of the throughput, for failures that hardly ever happen.
    for guard in [Guard::Transaction, Guard::Savepoints] {
        if let ControlFlow::Break(results) = together(guard) {
            return results;
        }
    }
    // One batch can cost all of them their transaction (one that no longer fits on the disk, say). Each gets
    // one on its own, so that the others are not refused for it.
    batches
        .iter()
        .map(|batch| match attempt(conn, &[batch], Guard::Transaction) {
            Ok(_) => Ok(()),
            Err(Lost::NotBegun(err) | Lost::GivenUp(err)) => Err(err),
        })
        .collect()
}

fn attempt(conn: &Connection, batches: &[&[Change]], guard: Guard) -> Result<Vec<Result<(), StoreError>>, Lost> {
    run(conn, "BEGIN IMMEDIATE", ()).map_err(|err| Lost::NotBegun(err.into()))?;
    let written: Result<Vec<_>, StoreError> = match guard {
        Guard::Transaction => batches.iter().map(|batch| apply_all(conn, batch).map(Ok)).collect(),
        Guard::Savepoints => batches.iter().map(|batch| apply_guarded(conn, batch)).collect(),
    };
    let committed = written.and_then(|results| {
        run(conn, "COMMIT", ())?;
        Ok(results)
    });
    committed.map_err(|err| {
        if !conn.is_autocommit()
            && let Err(stuck) = run(conn, "ROLLBACK", ())
        {
            return Lost::GivenUp(stuck.into());
        }
        Lost::GivenUp(err)
    })
}

/// The outer error ends the whole transaction, the inner one is the batch's own.
fn apply_guarded(conn: &Connection, batch: &[Change]) -> Result<Result<(), StoreError>, StoreError> {
    run(conn, "SAVEPOINT batch", ())?;
    let result = apply_all(conn, batch);
    if let Err(err) = &result {
        // After some errors SQLite has already rolled everything back by itself.
        if conn.is_autocommit() {
            return Err(err.clone());
        }
        run(conn, "ROLLBACK TO batch", ())?;
    }
    run(conn, "RELEASE batch", ())?;
    Ok(result)
}

pub(super) fn run(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    conn.prepare_cached(sql)?.execute(params)
}

/// Runs a statement about an agent's row; a broken constraint is a conflict.
pub(super) fn run_for(
    conn: &Connection,
    agent: &AgentName,
    sql: &str,
    params: impl Params,
) -> Result<usize, StoreError> {
    run(conn, sql, params).map_err(|err| match err.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict { agent: agent.clone() },
        _ => err.into(),
    })
}

/// As [`run_for`], for statements that must find their row.
pub(super) fn move_on(conn: &Connection, agent: &AgentName, sql: &str, params: impl Params) -> Result<(), StoreError> {
    match run_for(conn, agent, sql, params)? {
        0 => Err(StoreError::Conflict { agent: agent.clone() }),
        _ => Ok(()),
    }
}

fn apply_all(conn: &Connection, changes: &[Change]) -> Result<(), StoreError> {
    changes.iter().try_for_each(|change| apply(conn, change))
}

fn apply(conn: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::FailureRecorded(failure) => record_failure(conn, failure),
        Change::FailureCounted { id, count } => run(
            conn,
            "UPDATE failures SET count = ?3 WHERE agent = ?1 AND number = ?2",
            params![id.agent.as_str(), number(id.number), number(*count)],
        )
        .map(drop)
        .map_err(Into::into),
        Change::FailureJudged { id, outcome, generation: held_against, reason, agreed: _ } => run(
            conn,
            "UPDATE failures SET outcome = ?3, generation = ?4, reason = coalesce(?5, reason)
             WHERE agent = ?1 AND number = ?2",
            params![id.agent.as_str(), number(id.number), outcome.as_str(), held_against.map(generation), reason],
        )
        .map(drop)
        .map_err(Into::into),
        Change::CooldownSet(cooldown) => set_cooldown(conn, cooldown),
        Change::CooldownLifted(key) => lift_cooldown(conn, key),
        Change::IntentOpened(intent) => open_intent(conn, intent),
        Change::IntentDelivered { id, at, before } => deliver_intent(conn, id, *at, before.as_ref()),
        Change::IntentClosed(end) => close_intent(conn, end),
        Change::Assigned { agent, assignment, replaces } => assign(conn, agent, assignment, *replaces),
        Change::AgentSaved(agent, attributes) => save_agent(conn, agent, attributes),
        Change::Notified(notification) => notify(conn, notification),
        Change::LogRead(agent, position) => run(
            conn,
            "INSERT OR REPLACE INTO logs (agent, container, at_ns, seen) VALUES (?1, ?2, ?3, ?4)",
            params![agent.as_str(), position.container, position.at_ns, position.seen],
        )
        .map(drop)
        .map_err(Into::into),
        Change::CredentialSeen(subscription, fingerprint) => run(
            conn,
            "INSERT INTO subscriptions (subscription, fingerprint) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint",
            params![subscription.as_str(), fingerprint.0],
        )
        .map(drop)
        .map_err(Into::into),
        Change::ReadingTaken(reading) => pool::take_reading(conn, reading),
        Change::Halted(halt) => pool::halted(conn, halt),
        Change::HaltLifted(at) => pool::lift_halt(conn, *at),
        Change::TurnBegun { turn, waited: _ } => turns::begin(conn, turn),
        Change::TurnChanged(turn) => turns::change(conn, turn, None),
        Change::TurnEnded { turn, ended } => turns::change(conn, turn, Some(ended)),
        Change::SessionSaved(agent, session) => turns::save_session(conn, agent, session),
    }
}

fn record_failure(conn: &Connection, failure: &FailureRecord) -> Result<(), StoreError> {
    let agent = &failure.id.agent;
    run_for(
        conn,
        agent,
        "INSERT INTO failures (agent, number, report_id, report_digest, recorded_at, observed_at, kind, outcome,
             subscription, generation, model, scope, reset_at, reporter, sender, reason, count, answer, turn)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            agent.as_str(),
            number(failure.id.number),
            failure.report.as_ref().map(|(id, _)| id.as_str()),
            failure.report.as_ref().map(|(_, digest)| number(*digest)),
            failure.at.0,
            wall(failure.observed_at),
            failure.kind.as_str(),
            failure.outcome.as_str(),
            failure.subscription.as_ref().map(SubscriptionName::as_str),
            failure.generation.map(generation),
            failure.model.as_ref().map(crate::domain::Model::as_str),
            failure.window.as_str(),
            wall(failure.reset_at),
            failure.reporter.as_str(),
            failure.sender,
            failure.reason,
            number(failure.count),
            failure.answer.as_deref().map(texts::write_answer),
            shown(failure.turn.as_ref()),
        ],
    )
    .map(drop)
}

/// The columns of a cooldown's key: the empty string stands for "all".
fn key_columns(key: &CooldownKey) -> (&str, &str, &str, &str, &str) {
    let reach = match &key.reach {
        Reach::Agent(agent) => agent.as_str(),
        Reach::All => "",
    };
    let credential = key.credential.as_ref().map_or("", SubscriptionName::as_str);
    let model = key.model.as_ref().map_or("", crate::domain::Model::as_str);
    (reach, key.quota.as_str(), credential, key.window.as_str(), model)
}

fn set_cooldown(conn: &Connection, cooldown: &Cooldown) -> Result<(), StoreError> {
    let (reach, quota, credential, scope, model) = key_columns(&cooldown.key);
    run(
        conn,
        // `Cooldown::supersedes`, in SQL.
        "INSERT INTO cooldowns
             (agent, quota, credential, scope, model, subscription, kind, source, since, until, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (agent, quota, credential, scope, model) DO UPDATE SET
             subscription = excluded.subscription, kind = excluded.kind, source = excluded.source,
             since = excluded.since, until = excluded.until, failure = excluded.failure
         WHERE excluded.source = 'operator' OR NOT (cooldowns.kind = 'banned' AND excluded.kind = 'auth')
             AND (excluded.until IS NULL OR excluded.until >= cooldowns.until OR cooldowns.until <= excluded.since)",
        params![
            reach,
            quota,
            credential,
            scope,
            model,
            cooldown.subscription.as_str(),
            cooldown.kind.as_str(),
            cooldown.source.as_str(),
            cooldown.since.0,
            wall(cooldown.until),
            shown(cooldown.failure.as_ref()),
        ],
    )?;
    Ok(())
}

fn lift_cooldown(conn: &Connection, key: &CooldownKey) -> Result<(), StoreError> {
    run(
        conn,
        "DELETE FROM cooldowns WHERE agent = ?1 AND quota = ?2 AND credential = ?3 AND scope = ?4 AND model = ?5",
        key_columns(key),
    )?;
    Ok(())
}

/// Takes a number for a subscription. Taking it again for the same one changes nothing.
fn issue(
    conn: &Connection,
    agent: &AgentName,
    taken: Generation,
    subscription: &SubscriptionName,
    at: Wall,
) -> Result<(), StoreError> {
    move_on(
        conn,
        agent,
        "INSERT INTO generations (agent, generation, subscription, issued_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET subscription = excluded.subscription
         WHERE subscription = excluded.subscription",
        params![agent.as_str(), generation(taken), subscription.as_str(), at.0],
    )
}

fn open_intent(conn: &Connection, intent: &Intent) -> Result<(), StoreError> {
    let agent = &intent.id.agent;
    issue(conn, agent, intent.generation, &intent.to, intent.started_at)?;
    // Opening it again, before anything was delivered, is another pick within the same intent.
    move_on(
        conn,
        agent,
        "INSERT INTO intents (agent, number, plan, generation, from_subscription, to_subscription, cause, cause_kind,
             cause_failure, cause_reason, observed_at, started_at, outcome, turn)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (agent, number) DO UPDATE SET plan = excluded.plan, generation = excluded.generation,
             from_subscription = excluded.from_subscription, to_subscription = excluded.to_subscription,
             cause = excluded.cause, cause_kind = excluded.cause_kind, cause_failure = excluded.cause_failure,
             cause_reason = excluded.cause_reason, observed_at = excluded.observed_at,
             started_at = excluded.started_at, turn = excluded.turn
         WHERE finished_at IS NULL AND delivered_at IS NULL",
        params![
            agent.as_str(),
            number(intent.id.number),
            intent.plan.as_str(),
            generation(intent.generation),
            intent.from.as_ref().map(SubscriptionName::as_str),
            intent.to.as_str(),
            intent.cause.by.as_str(),
            intent.cause.kind.map(crate::domain::FailureKind::as_str),
            shown(intent.cause.failure.as_ref()),
            intent.cause.reason,
            intent.observed_at.0,
            intent.started_at.0,
            IntentOutcome::UnderWay.as_str(),
            shown(intent.turn.as_ref()),
        ],
    )
}

fn deliver_intent(conn: &Connection, id: &IntentId, at: Wall, before: Option<&Instance>) -> Result<(), StoreError> {
    move_on(
        conn,
        &id.agent,
        "UPDATE intents SET delivered_at = ?3, before_id = ?4, before_started_at = ?5
         WHERE agent = ?1 AND number = ?2 AND finished_at IS NULL",
        params![
            id.agent.as_str(),
            number(id.number),
            at.0,
            before.map(|instance| &instance.id),
            before.map(|instance| &instance.started_at),
        ],
    )
}

fn close_intent(conn: &Connection, end: &IntentEnd) -> Result<(), StoreError> {
    move_on(
        conn,
        &end.id.agent,
        "UPDATE intents SET outcome = ?3, finished_at = ?4, drained_at = ?5, delivered_at = ?6, applied_at = ?7,
             turns_cut_off = ?8, restarts = ?9, reason = ?10
         WHERE agent = ?1 AND number = ?2 AND finished_at IS NULL",
        params![
            end.id.agent.as_str(),
            number(end.id.number),
            end.outcome.as_str(),
            end.finished_at.0,
            wall(end.marks.drained_at),
            wall(end.marks.delivered_at),
            wall(end.marks.applied_at),
            end.turns_cut_off,
            end.restarts,
            end.reason,
        ],
    )
}

fn assign(
    conn: &Connection,
    agent: &AgentName,
    assignment: &Assignment,
    replaces: Generation,
) -> Result<(), StoreError> {
    let stored: i64 = conn
        .prepare_cached("SELECT generation FROM assignments WHERE agent = ?1")?
        .query_row([agent.as_str()], |row| row.get(0))
        .optional()?
        .unwrap_or(generation(Generation::NONE));
    if stored != generation(replaces) || assignment.generation <= replaces {
        return Err(StoreError::Conflict { agent: agent.clone() });
    }
    // An adopted agent's first generation was never issued by an intent.
    issue(conn, agent, assignment.generation, &assignment.subscription, assignment.since)?;
    run_for(
        conn,
        agent,
        "UPDATE generations SET used_at = ?3 WHERE agent = ?1 AND generation = ?2",
        params![agent.as_str(), generation(assignment.generation), assignment.since.0],
    )?;
    run_for(
        conn,
        agent,
        "INSERT OR REPLACE INTO assignments (agent, subscription, generation, since) VALUES (?1, ?2, ?3, ?4)",
        params![
            agent.as_str(),
            assignment.subscription.as_str(),
            generation(assignment.generation),
            assignment.since.0
        ],
    )
    .map(drop)
}

fn save_agent(conn: &Connection, agent: &AgentName, attributes: &Attributes) -> Result<(), StoreError> {
    let (rest, rest_since, earliest_reset, park_reason) = match attributes.rest {
        Rest::Serving => ("serving", None, None, None),
        Rest::Exhausted { since, earliest } => ("exhausted", Some(since), earliest, None),
        Rest::Parked { reason, since } => ("parked", Some(since), None, Some(reason)),
    };
    let trouble = attributes.trouble.as_ref();
    run(
        conn,
        "INSERT OR REPLACE INTO agents (agent, rest, rest_since, earliest_reset, park_reason, trouble_kind,
             trouble_failure, trouble_observed_at, trouble_until, wake_at, paused, pause_until, pin, issued,
             failures, intents, apply_failures, exclusions, switched_at,
             credential, replaced_id, replaced_started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        params![
            agent.as_str(),
            rest,
            wall(rest_since),
            wall(earliest_reset),
            park_reason.map(crate::domain::ParkReason::as_str),
            trouble.map(|trouble| trouble.kind.as_str()),
            trouble.and_then(|trouble| shown(trouble.failure.as_ref())),
            trouble.map(|trouble| trouble.observed_at.0),
            trouble.and_then(|trouble| wall(trouble.until)),
            wall(attributes.wake_at),
            attributes.pause.is_some(),
            attributes.pause.and_then(|pause| wall(pause.until)),
            attributes.pin.as_ref().map(SubscriptionName::as_str),
            generation(attributes.issued),
            number(attributes.failures),
            number(attributes.intents),
            attributes.apply_failures,
            texts::write_exclusions(&attributes.exclusions),
            wall(attributes.switched_at),
            attributes.credential.as_ref().map(|credential| &credential.0),
            attributes.replaced.as_ref().map(|life| &life.id),
            attributes.replaced.as_ref().map(|life| &life.started_at),
        ],
    )?;
    Ok(())
}

/// The same event is told once: a second row of its id is not written.
fn notify(conn: &Connection, notification: &Notification) -> Result<(), StoreError> {
    run(
        conn,
        "INSERT INTO notifications (id, event, at, agent, subscription, generation, intent, text, action, over)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING",
        params![
            notification.id,
            notification.event.as_str(),
            notification.at.0,
            notification.agent.as_ref().map(AgentName::as_str),
            notification.subscription.as_ref().map(SubscriptionName::as_str),
            notification.generation.map(generation),
            shown(notification.intent.as_ref()),
            notification.text,
            notification.action,
            notification.is_over,
        ],
    )?;
    Ok(())
}

/// Makes a new target begin at the present end of the outbox, which may have been swept.
pub(super) fn register_target(conn: &Connection, target: &str) -> Result<(), StoreError> {
    run(
        conn,
        "INSERT OR IGNORE INTO targets (target, position)
         VALUES (?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'notifications'), 0))",
        [target],
    )?;
    Ok(())
}

/// Moves a target's place in the outbox on, never back.
pub(super) fn advance_target(conn: &Connection, target: &str, position: i64) -> Result<(), StoreError> {
    run(
        conn,
        "INSERT INTO targets (target, position) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
        params![target, position],
    )?;
    Ok(())
}
