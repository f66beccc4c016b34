//! What the actors refuse, as problems: each with its code, what stands in the way, and when to try again.

use std::time::Duration;

use crate::actor::turns::TurnError;
use crate::api::App;
use crate::api::problem::{Code, Facts, RETRY, Refusal};
use crate::api::v1::time::Time;
use crate::domain::{Turn, TurnEnded, TurnId, Wall};
use crate::machine::turns::TurnRefusal;

impl App {
    /// Why nothing came of a request about a turn.
    pub(in crate::api::v1) fn turn_refused(&self, error: TurnError) -> Refusal {
        let detail = error.to_string();
        match error {
            TurnError::NoSuchAgent(name) => Refusal::no_such_agent(&name),
            TurnError::Refused(refusal) => by_the_ledger(refusal, self.switchman.now().wall),
            TurnError::AlreadyComplete { id, ended } => over(Code::TurnAlreadyComplete, detail, &id, ended.as_deref()),
            TurnError::CutOff { id, ended } => over(Code::TurnCutOff, detail, &id, Some(&ended)),
            TurnError::NotTheHolder(id) => not_the_holder(&id, "the token is not the one of this turn"),
            TurnError::Busy => Refusal::new(Code::Busy, detail).retry(RETRY),
            TurnError::NotRecorded => Refusal::new(Code::StoreUnavailable, detail).retry(RETRY),
            TurnError::Store(error) => error.into(),
            TurnError::Report(error) => error.into(),
        }
    }

    /// Why a report cannot be about the turn that it names.
    pub(in crate::api::v1) fn not_about_that(&self, error: TurnError) -> Refusal {
        match error {
            TurnError::AlreadyComplete { .. } => no_longer_kept().at("turn"),
            error @ TurnError::Refused(_) => self.turn_refused(error).at("turn"),
            error => self.turn_refused(error),
        }
    }
}

/// How a turn ended is kept for as long as the history is.
pub(super) fn no_longer_kept() -> Refusal {
    Refusal::new(Code::TurnNotFound, "the turn has ended and is no longer kept")
}

/// Somebody who is not the holder, and why it is not believed to be.
pub(super) fn not_the_holder(id: &TurnId, why: &str) -> Refusal {
    let facts = Facts { turn: Some(id.to_string()), ..Facts::default() };
    Refusal::new(Code::NotTheHolder, format!("only the holder of turn {id} may do that: {why}")).with(facts)
}

/// There never was such a turn.
pub(super) fn unknown(id: &TurnId) -> Refusal {
    by_the_ledger(TurnRefusal::NotFound(id.clone()), Wall(0))
}

fn over(code: Code, detail: String, id: &TurnId, ended: Option<&TurnEnded>) -> Refusal {
    Refusal::new(code, detail).with(Facts {
        turn: Some(id.to_string()),
        end: ended.map(|ended| ended.end),
        ended_at: ended.map(|ended| ended.at),
        switch: ended.and_then(|ended| ended.by.as_ref()).map(ToString::to_string),
        ..Facts::default()
    })
}

fn by_the_ledger(refusal: TurnRefusal, now: Wall) -> Refusal {
    let detail = refusal.to_string();
    match refusal {
        TurnRefusal::InProgress { turn } => in_progress(&turn),
        TurnRefusal::SessionsFull { .. } => Refusal::new(Code::SessionsFull, detail),
        TurnRefusal::WaitExpired { .. } => Refusal::new(Code::WaitExpired, detail),
        TurnRefusal::OutOfStep { last } => {
            let last_completed = last.map(|id| id.to_string());
            Refusal::new(Code::OutOfStep, detail).with(Facts { last_completed, ..Facts::default() })
        }
        TurnRefusal::SessionComplete => Refusal::new(Code::SessionComplete, detail),
        TurnRefusal::Switching { retry_after, .. } => Refusal::new(Code::AgentSwitching, detail).retry(retry_after),
        TurnRefusal::Exhausted { until, .. } => {
            later(Refusal::new(Code::AgentExhausted, detail).until(until), until, now)
        }
        TurnRefusal::Parked { .. } => Refusal::new(Code::AgentParked, detail),
        TurnRefusal::Paused { until } => later(Refusal::new(Code::AgentPaused, detail), until, now),
        TurnRefusal::Braked { until } => later(Refusal::new(Code::AgentBraked, detail), Some(until), now),
        TurnRefusal::NotRunning => Refusal::new(Code::AgentNotRunning, detail),
        TurnRefusal::Unassigned => Refusal::new(Code::AgentUnassigned, detail),
        TurnRefusal::MonitorOnly => Refusal::new(Code::AgentMonitorOnly, detail),
        TurnRefusal::QueueFull => Refusal::new(Code::QueueFull, detail).retry(RETRY),
        TurnRefusal::KeyReused => {
            Refusal::new(Code::KeyReused, "the key was used before for another body: give each turn a key of its own")
                .at("key")
        }
        TurnRefusal::NotFound(_) => Refusal::new(Code::TurnNotFound, detail),
        TurnRefusal::Over(id) => over(Code::TurnAlreadyComplete, detail, &id, None),
        TurnRefusal::NoCancel(_) => Refusal::new(Code::NoCancelRequested, detail),
    }
}

/// Names who is in the way. The session itself is not repeated in words: the request may have named it.
fn in_progress(turn: &Turn) -> Refusal {
    let since = Time(turn.begun_at);
    let detail = format!("the session has a turn: {} of {}, since {since}", turn.id, turn.holder);
    Refusal::new(Code::TurnInProgress, detail).with(Facts {
        turn: Some(turn.id.to_string()),
        session: Some((&turn.session).into()),
        holder: Some(turn.holder.clone()),
        class: Some(turn.class),
        since: Some(turn.begun_at),
        ..Facts::default()
    })
}

/// It is worth trying again then, if that is known.
fn later(refusal: Refusal, until: Option<Wall>, now: Wall) -> Refusal {
    match until {
        Some(until) => refusal.retry(until.since(now).max(Duration::from_secs(1))),
        None => refusal,
    }
}
