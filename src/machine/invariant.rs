//! What must always hold, as predicates: one source for unit tests, properties, the model, debug assertions and
//! a counter in production.
//!
//! | id | what |
//! |---|---|
//! | INV-1 | at most one effective restart per intent |
//! | INV-2 | an agent with a trouble is switching, has a wake-up time, or is parked, paused, pinned or switched off |
//! | INV-3 | generations only grow; the current one was issued and used |
//! | INV-4 | a switch goes somewhere else than it comes from |
//! | INV-5 | an exhausted agent has a wake-up time or a brake |
//! | INV-6 | no queue exceeds its bound |
//! | INV-7 | an intent past the point of no return has something delivered or is delivering |
//! | INV-8 | a reservation belongs to one agent (by construction of the pool) |
//! | INV-9 | nothing cooling is picked unforced (checked where a pick is made) |
//! | INV-10 | no session has two turns, and no number is given out twice |
//! | INV-11 | where turns may begin, nobody waits for what is free; so nobody in the background goes first |
//! | INV-12 | every turn has a deadline, or its work is to be ended |
//! | INV-13 | a drain that waits for turns has a deadline |
//! | INV-14 | text that waits for a second sign has a deadline |

use super::agent::{AgentState, Phase, Step};
use super::policy::{Policy, RuntimeKind};
use super::timer::Timer;
use crate::domain::{AgentRecord, Plan, RuntimeState};

/// A broken invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// INV-1
    OneRestart,
    /// INV-2
    NobodyForgotten,
    /// INV-3
    GenerationsGrow,
    /// INV-4
    SwitchMoves,
    /// INV-5
    ExhaustedWakes,
    /// INV-6
    Bounded,
    /// INV-7
    DeliveredFirst,
    /// INV-10
    OneTurnPerSession,
    /// INV-11
    NobodyOvertaken,
    /// INV-12
    LeasesEnd,
    /// INV-13
    DrainsEnd,
    /// INV-14
    ClaimsEnd,
}

impl Invariant {
    /// The number by which tests and the documentation know it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OneRestart => "INV-1",
            Self::NobodyForgotten => "INV-2",
            Self::GenerationsGrow => "INV-3",
            Self::SwitchMoves => "INV-4",
            Self::ExhaustedWakes => "INV-5",
            Self::Bounded => "INV-6",
            Self::DeliveredFirst => "INV-7",
            Self::OneTurnPerSession => "INV-10",
            Self::NobodyOvertaken => "INV-11",
            Self::LeasesEnd => "INV-12",
            Self::DrainsEnd => "INV-13",
            Self::ClaimsEnd => "INV-14",
        }
    }
}

/// Every invariant that the state breaks.
#[must_use]
pub fn broken(state: &AgentState, policy: &Policy) -> Vec<Invariant> {
    let checks = [
        (Invariant::OneRestart, has_one_restart(state)),
        (Invariant::NobodyForgotten, is_remembered(state, policy)),
        (Invariant::GenerationsGrow, has_growing_generations(state)),
        (Invariant::SwitchMoves, moves(state)),
        (Invariant::ExhaustedWakes, wakes(state)),
        (Invariant::Bounded, is_bounded(state)),
        (Invariant::DeliveredFirst, is_delivered_first(state)),
        (Invariant::OneTurnPerSession, state.turns.is_exclusive()),
        (Invariant::NobodyOvertaken, is_served(state, policy)),
        (Invariant::LeasesEnd, has_deadlines(state)),
        (Invariant::DrainsEnd, drains_end(state)),
        (Invariant::ClaimsEnd, claims_end(state)),
    ];
    checks.into_iter().filter(|(_, holds)| !holds).map(|(invariant, _)| invariant).collect()
}

fn has_one_restart(state: &AgentState) -> bool {
    match &state.phase {
        Phase::Applying(applying) => applying.restarts <= 1,
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            true
        }
    }
}

fn is_remembered(state: &AgentState, policy: &Policy) -> bool {
    let waits = [Timer::Wake, Timer::Brake, Timer::Retry].into_iter().any(|timer| state.timers.get(timer).is_some());
    // A look under way right after the start decides what comes next.
    let is_being_looked_at = state.sighting.is_none();
    state.trouble.is_none()
        || waits
        || is_being_looked_at
        || state.phase.is_switching()
        || state.pause.is_some()
        || state.pin.is_some()
        || !policy.switching
        || policy.is_monitor_only
        || matches!(state.phase, Phase::Parked { .. })
}

fn has_growing_generations(state: &AgentState) -> bool {
    let grows = state.recent.windows(2).all(|pair| pair[0].generation < pair[1].generation);
    let is_issued = state.recent.last().is_none_or(|newest| newest.generation <= state.issued);
    let is_current = state.assignment.as_ref().is_none_or(|current| {
        current.generation <= state.issued
            && state.recent.iter().all(|issued| issued.generation != current.generation || issued.is_used)
    });
    grows && is_issued && is_current
}

fn moves(state: &AgentState) -> bool {
    state.phase.intent().is_none_or(|intent| {
        let (is_elsewhere, is_newer) =
            (intent.from.as_ref() != Some(&intent.to), intent.generation > state.generation());
        match intent.plan {
            Plan::Switch => is_elsewhere && is_newer,
            Plan::Rollover => !is_elsewhere && is_newer,
            Plan::Fence => !is_elsewhere && intent.generation == state.generation(),
            Plan::Recover => true,
        }
    })
}

fn wakes(state: &AgentState) -> bool {
    !matches!(state.phase, Phase::Exhausted { .. })
        || state.timers.get(Timer::Wake).is_some()
        || state.timers.get(Timer::Brake).is_some()
}

fn is_bounded(state: &AgentState) -> bool {
    state.recent.len() <= AgentRecord::ISSUED_MAX
        && state.budget.len() <= AgentRecord::BUDGET_MAX
        && state.deferred.len() <= AgentRecord::DEFERRED_MAX
        && state.turns.is_bounded()
}

fn is_served(state: &AgentState, policy: &Policy) -> bool {
    let may_begin = matches!(state.phase, Phase::Serving)
        && state.assignment.is_some()
        && state.trouble.is_none()
        && state.shunned_until.is_none()
        && state.sighting.as_ref().is_some_and(|seen| seen.state == RuntimeState::Running)
        && (policy.runtime == RuntimeKind::Container || state.is_up);
    !may_begin || !state.turns.has_ready(policy.turns.sessions_max)
}

fn has_deadlines(state: &AgentState) -> bool {
    let is_selecting = matches!(state.phase, Phase::Selecting(_));
    let is_armed = state.timers.get(Timer::Turns).is_some();
    is_selecting || is_armed || state.turns.turns().all(|turn| turn.lost.is_some())
}

fn drains_end(state: &AgentState) -> bool {
    !state.phase.is_draining_turns() || state.timers.get(Timer::Drain).is_some()
}

fn claims_end(state: &AgentState) -> bool {
    state.claims().next().is_none() || state.timers.get(Timer::Claims).is_some()
}

fn is_delivered_first(state: &AgentState) -> bool {
    match &state.phase {
        Phase::Applying(applying) => match applying.step {
            Step::Delivering | Step::Looking => true,
            Step::Restarting | Step::Reloading | Step::Emptying | Step::Verifying => applying.delivered.is_some(),
        },
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            true
        }
    }
}
