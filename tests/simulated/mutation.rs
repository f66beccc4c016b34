//! Bugs on demand, wrapped around the production machine: a search that does not find them proves nothing.

use switchman::domain::{AgentRecord, CauseBy, Lost, Moment, ParkReason, Stamp, TurnClass};
use switchman::machine::agent::{
    Action, AgentState, Decision, Effect, EffectOutcome, Event, Phase, Pick, Start, Step, Ticket, transition,
};
use switchman::machine::policy::Policy;
use switchman::machine::timer::Timer;
use switchman::machine::turns::TurnRequest;

/// Whoever is answered with this does not exist.
const NOBODY: Ticket = Ticket(u64::MAX);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mutation {
    None,
    /// After a restart that was answered, another one is ordered.
    SecondRestart,
    /// What was asked of the pool is answered with what has just failed elsewhere.
    PickOfCooling,
    /// Whatever a report names, it is held against the present.
    StaleActedOn,
    /// The wake-up of an agent that waits is lost.
    Forgotten,
    /// A lease that ends frees its session, and nothing ends the work.
    Unfenced,
    /// Those in the background are served first.
    BackgroundFirst,
    /// A heartbeat brings a holder back whose work is being ended.
    Revived,
    /// A restart of the daemon forgets a lease.
    LeaseForgotten,
}

impl Mutation {
    pub(crate) fn transition(self, state: AgentState, event: Event, now: Moment, policy: &Policy) -> Decision {
        match (self, event) {
            (Self::SecondRestart, Event::Outcome { attempt, outcome: EffectOutcome::Restarted(Ok(())) }) => {
                let outcome = EffectOutcome::Restarted(Ok(()));
                let mut decision = transition(state, Event::Outcome { attempt, outcome }, now, policy);
                if let Phase::Applying(applying) = &mut decision.state.phase {
                    applying.step = Step::Restarting;
                    let start = Start {
                        intent: applying.intent.id.clone(),
                        before: None,
                        grace: None,
                        call_timeout: policy.call_timeout,
                        to: applying.intent.to.clone(),
                        generation: applying.intent.generation,
                    };
                    let attempt = decision.state.attempt;
                    decision.effects = vec![Effect::Act { attempt, action: Action::Restart(start) }];
                }
                decision
            }
            (Self::PickOfCooling, Event::Picked { selection, pick: Pick::None { .. } }) => {
                let other = policy.subscriptions.iter().find(|other| Some(*other) != state.subscription()).cloned();
                let pick = other.map_or(Pick::Unavailable, Pick::To);
                transition(state, Event::Picked { selection, pick }, now, policy)
            }
            (Self::StaleActedOn, Event::Report { ticket, report, digest, count, .. }) => {
                let stamp = Stamp::Generation(state.generation());
                transition(state, Event::Report { ticket, report, digest, stamp, count }, now, policy)
            }
            (Self::Forgotten, event) => {
                let mut decision = transition(state, event, now, policy);
                if matches!(decision.state.phase, Phase::Exhausted { .. }) {
                    for timer in [Timer::Wake, Timer::Brake, Timer::Retry] {
                        decision.state.timers.stop(timer);
                    }
                }
                decision
            }
            (Self::Unfenced, event) => {
                let mut decision = transition(state, event, now, policy);
                let lost = decision.state.turns.turns().find(|turn| turn.lost == Some(Lost::Silent));
                if let Some(turn) = lost.map(|turn| turn.id.number) {
                    let request = TurnRequest::Complete { turn, is_ok: false };
                    let freed = transition(decision.state, Event::Turn { ticket: NOBODY, request }, now, policy);
                    decision.state = freed.state;
                    decision.changes.extend(freed.changes);
                    decision.effects.extend(freed.effects);
                    decision.replies.extend(freed.replies.into_iter().filter(|(ticket, _)| *ticket != NOBODY));
                }
                decision
            }
            (Self::BackgroundFirst, Event::Turn { ticket, request: TurnRequest::Begin(mut begin) }) => {
                begin.class = match begin.class {
                    TurnClass::Interactive => TurnClass::Background,
                    TurnClass::Background => TurnClass::Interactive,
                };
                transition(state, Event::Turn { ticket, request: TurnRequest::Begin(begin) }, now, policy)
            }
            (Self::Revived, event @ Event::Turn { request: TurnRequest::Beat { .. }, .. })
                if state.phase.applying().is_some() =>
            {
                // As if nothing were under way.
                let mut state = state;
                let rests = Phase::Parked { reason: ParkReason::ApplyFailed, since: now.wall };
                let phase = std::mem::replace(&mut state.phase, rests);
                let mut decision = transition(state, event, now, policy);
                decision.state.phase = phase;
                decision
            }
            (
                Self::None
                | Self::SecondRestart
                | Self::PickOfCooling
                | Self::StaleActedOn
                | Self::BackgroundFirst
                | Self::Revived
                | Self::LeaseForgotten,
                event,
            ) => transition(state, event, now, policy),
        }
    }

    /// What a restart of the daemon finds.
    pub(crate) fn loaded(self, mut record: AgentRecord) -> AgentRecord {
        if self == Self::LeaseForgotten {
            record.turns.active.pop();
        }
        record
    }
}

/// Whether somebody decided it who may override the pool.
pub(crate) fn is_forced(by: CauseBy) -> bool {
    !by.is_automatic()
}
