//! Whose failure is it? (rules A1 to A8)
//!
//! Twice: [`stamp`] when a report arrives, against what is true at that moment; [`judge`] when it is handled, for
//! the generation may have moved while it waited. A report about the past can never touch the present: that is
//! what keeps a burst of failures from walking an agent through every subscription.
//!
//! Tests: `tests/machine_rules.rs`, `tests/machine_corners.rs` and the table of `tests/transition_table.rs`.

use super::agent::{AgentState, Phase, RanOn};
use super::policy::Policy;
use crate::domain::{Generation, Instance, Intent, Origin, Plan, Report, Stamp, SubscriptionName, Wall};

/// Why a report can be about nothing that ever was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// The generation was never issued.
    #[error("generation {given} was never issued: the highest is {highest}")]
    NeverIssued {
        /// What the report says.
        given: Generation,
        /// The highest that was issued.
        highest: Generation,
    },
    /// The generation ran on another subscription than the one named beside it.
    #[error("generation {generation} ran on \"{ran_on}\", not on \"{named}\"")]
    Mismatch {
        /// What the report says.
        generation: Generation,
        /// Where that generation ran.
        ran_on: SubscriptionName,
        /// What the report says.
        named: SubscriptionName,
    },
}

/// Whose failure a report is, at the moment it is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribution {
    /// The current assignment's, or that of an agent without one.
    Current,
    /// An older one's: nothing present is touched.
    Stale {
        /// The generation it ran in, if that is known.
        generation: Option<Generation>,
        /// The subscription it ran on, if that is known.
        subscription: Option<SubscriptionName>,
    },
    /// That of the generation being applied: it waits for the outcome.
    Held,
    /// Nobody's in particular, while a switch is under way.
    Repeat,
    /// Nobody's in particular, soon after a switch.
    Ambiguous,
}

/// Stamps a report with the work it is about, as far as that can be told.
///
/// # Errors
/// If it names a generation that was never issued, or one that ran on another subscription than it says.
pub fn stamp(report: &Report, state: &AgentState, policy: &Policy, now: Wall) -> Result<Stamp, StampError> {
    if let Some(given) = report.generation {
        if given > state.issued || given == Generation::NONE {
            return Err(StampError::NeverIssued { given, highest: state.issued });
        }
        if let (Some(ran_on), Some(named)) = (state.subscription_of(given), &report.subscription)
            && ran_on != named
        {
            return Err(StampError::Mismatch { generation: given, ran_on: ran_on.clone(), named: named.clone() });
        }
        return Ok(Stamp::Generation(given));
    }
    let keeps_the_life = policy.file.as_ref().is_some_and(|file| file.apply.keeps_the_life());
    match &report.origin {
        Origin::Life(life) if !keeps_the_life => return Ok(of_a_life(life, report, state)),
        Origin::EarlierLife if !keeps_the_life => return Ok(of_an_earlier_life(report, state)),
        // However an agent is told of its credential: what was written before the last switch is about what was before.
        Origin::Dated if is_of_the_past(report, state) => return Ok(Stamp::Generation(state.generation_before())),
        Origin::Life(_) | Origin::EarlierLife | Origin::Dated | Origin::Untold => {}
    }
    let pending = state.phase.intent();
    if let Some(named) = &report.subscription {
        let runs_on_it = state.assignment.as_ref().filter(|assignment| &assignment.subscription == named);
        return Ok(match (runs_on_it, pending) {
            (Some(current), _) if report.observed_at.is_none_or(|at| at >= current.since) => {
                Stamp::Generation(current.generation)
            }
            // Before the switch to it began, nothing ran on it but an earlier stay.
            (None, Some(intent))
                if &intent.to == named && report.observed_at.is_none_or(|at| at >= intent.started_at) =>
            {
                Stamp::Generation(intent.generation)
            }
            (None, None) if state.assignment.is_none() => Stamp::Unassigned,
            (Some(_) | None, _) => Stamp::Elsewhere(named.clone()),
        });
    }
    // What brings the present assignment up again is no answer to a failure of it: that is judged when it is done.
    let is_kept = pending
        .is_some_and(|intent| state.assignment.as_ref().is_some_and(|current| intent.generation == current.generation));
    if state.phase.is_moving() && !is_kept {
        return Ok(Stamp::DuringSwitch);
    }
    let Some(current) = &state.assignment else { return Ok(Stamp::Unassigned) };
    let is_settled = state.switched_at.is_none_or(|at| at.plus(policy.settle) <= now);
    Ok(if is_settled { Stamp::Generation(current.generation) } else { Stamp::Unsettled })
}

/// Whatever was written before the credential was put in place is about the one before, whichever life wrote it: of the
/// lives that have come and gone only the newest are known.
fn of_a_life(life: &Instance, report: &Report, state: &AgentState) -> Stamp {
    let is_before = |at: Wall| report.observed_at.is_some_and(|observed| observed < at);
    match &state.phase {
        Phase::Applying(applying) => match (&applying.delivered, &state.assignment) {
            (Some(delivered), Some(current)) if is_before(delivered.at) => Stamp::Generation(current.generation),
            (Some(_) | None, _) => Stamp::Life(life.clone()),
        },
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            let before = state.generation_before();
            match &state.assignment {
                Some(current) if before != Generation::NONE && is_before(current.since) => Stamp::Generation(before),
                Some(_) | None => Stamp::Life(life.clone()),
            }
        }
    }
}

/// Whether something of a known time and an unknown life was written before the last switch was completed.
fn is_of_the_past(report: &Report, state: &AgentState) -> bool {
    let since = state.switched_at.or(state.assignment.as_ref().map(|current| current.since));
    let is_older = report.observed_at.zip(since).is_some_and(|(at, since)| at < since);
    is_older && state.generation_before() != Generation::NONE
}

/// What a life wrote that had ended when it was read: before the last switch was completed it ran on the assignment
/// before. Where a life was begun by hand since, that may be wrong by the moments between a start and its being seen.
fn of_an_earlier_life(report: &Report, state: &AgentState) -> Stamp {
    let Some(current) = &state.assignment else { return Stamp::Unassigned };
    let is_older = report.observed_at.is_none_or(|at| at < state.switched_at.unwrap_or(current.since));
    Stamp::Generation(if is_older { state.generation_before() } else { current.generation })
}

/// Holds a stamped report against the state as it is now.
#[must_use]
pub fn judge(stamp: &Stamp, state: &AgentState) -> Attribution {
    let current = state.assignment.as_ref().map(|assignment| assignment.generation);
    // A fence that has not begun to do anything gives way to a switch.
    let can_give_way = |intent: &&Intent| intent.plan == Plan::Fence && state.phase.applying().is_none();
    let pending = state.phase.intent().filter(|intent| !can_give_way(intent)).map(|intent| intent.generation);
    let older = |generation: Option<Generation>| Attribution::Stale {
        subscription: generation.and_then(|number| state.subscription_of(number)).cloned(),
        generation,
    };
    match stamp {
        // An intent that brings the current generation up again is about it as well: judged when it has.
        Stamp::Generation(generation) if Some(*generation) == pending => Attribution::Held,
        Stamp::Generation(generation) if Some(*generation) == current => Attribution::Current,
        Stamp::Generation(generation) => older(Some(*generation)),
        Stamp::Life(_) if current.is_none() && state.phase.is_moving() => Attribution::Repeat,
        Stamp::Life(_) if current.is_none() => Attribution::Current,
        Stamp::Life(life) => match state.ran_on(life) {
            RanOn::Current => Attribution::Current,
            RanOn::Pending => Attribution::Held,
            RanOn::Before => older(Some(state.generation_before()).filter(|before| *before != Generation::NONE)),
        },
        Stamp::Elsewhere(named) => {
            Attribution::Stale { generation: state.last_generation_on(named), subscription: Some(named.clone()) }
        }
        Stamp::DuringSwitch => Attribution::Repeat,
        Stamp::Unsettled if state.phase.is_moving() => Attribution::Repeat,
        Stamp::Unsettled => Attribution::Ambiguous,
        Stamp::Unassigned if state.phase.is_moving() => Attribution::Repeat,
        Stamp::Unassigned if current.is_none() => Attribution::Current,
        Stamp::Unassigned => older(None),
    }
}
