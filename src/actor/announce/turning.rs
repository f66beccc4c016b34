//! What a committed step means for turns.

use crate::domain::{Change, Turn, TurnEnd, TurnEnded};
use crate::machine::agent::AgentState;
use crate::telemetry::{Telemetry, events};

/// Says what has become of turns and sessions; other changes are none of its business.
pub(super) fn say(telemetry: &Telemetry, before: &AgentState, change: &Change) {
    match change {
        Change::TurnBegun { turn, waited } => telemetry.emit(events::TurnBegun {
            agent: &turn.id.agent,
            turn: &turn.id,
            session: &turn.session,
            class: turn.class,
            holder: &turn.holder,
            subscription: &turn.subscription,
            generation: turn.generation,
            wait_ms: *waited,
        }),
        Change::TurnChanged(turn) => say_changed(telemetry, before, turn),
        Change::TurnEnded { turn, ended } => say_ended(telemetry, turn, ended),
        Change::SessionSaved(agent, saved) if saved.is_closed && !before.turns.remembered(&saved.session).is_closed => {
            telemetry.emit(events::SessionClosed { agent, session: &saved.session });
        }
        _ => {}
    }
}

fn say_changed(telemetry: &Telemetry, before: &AgentState, turn: &Turn) {
    let was = before.turns.turn(turn.id.number);
    if let Some(cancel) = &turn.cancel
        && was.is_none_or(|was| was.cancel.is_none())
    {
        telemetry.emit(events::TurnCancelRequested {
            agent: &turn.id.agent,
            turn: &turn.id,
            session: &turn.session,
            holder: &turn.holder,
            sender: &cancel.by,
        });
    }
    if let Some(reason) = turn.lost
        && was.is_none_or(|was| was.lost != turn.lost)
    {
        telemetry.emit(events::TurnLost {
            agent: &turn.id.agent,
            turn: &turn.id,
            session: &turn.session,
            holder: &turn.holder,
            reason,
        });
    }
}

fn say_ended(telemetry: &Telemetry, turn: &Turn, ended: &TurnEnded) {
    let held_ms = ended.at.since(turn.begun_at);
    match ended.end {
        TurnEnd::CutOff => telemetry.emit(events::TurnCutOff {
            agent: &turn.id.agent,
            turn: &turn.id,
            session: &turn.session,
            class: turn.class,
            holder: &turn.holder,
            generation: turn.generation,
            switch: ended.by.as_ref(),
            held_ms,
            reason: ended.reason.as_deref(),
        }),
        TurnEnd::Complete | TurnEnd::Failed | TurnEnd::Cancelled | TurnEnd::Lapsed => {
            telemetry.emit(events::TurnCompleted {
                agent: &turn.id.agent,
                turn: &turn.id,
                session: &turn.session,
                class: turn.class,
                holder: &turn.holder,
                generation: turn.generation,
                end: ended.end,
                held_ms,
                reason: ended.reason.as_deref(),
            });
        }
    }
}
