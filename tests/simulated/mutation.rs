//! Bugs on demand, wrapped around the production machine: a search that does not find them proves nothing.

use switchman::domain::{CauseBy, Moment, Stamp};
use switchman::machine::agent::{
    Action, AgentState, Decision, Effect, EffectOutcome, Event, Phase, Pick, Start, Step, transition,
};
use switchman::machine::policy::Policy;
use switchman::machine::timer::Timer;

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
            (Self::None | Self::SecondRestart | Self::PickOfCooling | Self::StaleActedOn, event) => {
                transition(state, event, now, policy)
            }
        }
    }
}

/// Whether somebody decided it who may override the pool.
pub(crate) fn is_forced(by: CauseBy) -> bool {
    match by {
        CauseBy::Operator | CauseBy::Pin | CauseBy::Rollover | CauseBy::Recovery => true,
        CauseBy::Failure | CauseBy::Wake => false,
    }
}
