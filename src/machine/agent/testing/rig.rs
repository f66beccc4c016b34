//! One agent driven by hand, event by event, under a clock that only moves when told to.

use std::time::Duration;

use super::{RecordFold, START, given, report, sighting};
use crate::domain::{Due, FailureKind, Generation, Moment, Outcome, Report, RuntimeState, Sighting, SubscriptionName};
use crate::machine::agent::{
    Action, AgentState, Command, Decision, Effect, EffectOutcome, Event, Pick, Readiness, Reply, Ticket, transition,
};
use crate::machine::attribution::stamp;
use crate::machine::invariant;
use crate::machine::policy::Policy;
use crate::machine::timer::Timer;

/// One agent, its policy and its clock. Every step is held against the invariants.
#[derive(Debug, Clone)]
pub struct Rig {
    /// The agent.
    pub state: AgentState,
    /// Its policy.
    pub policy: Policy,
    /// The time.
    pub now: Moment,
    /// What a store would have of it, if that is kept.
    pub stored: Option<RecordFold>,
    tickets: u64,
}

impl Rig {
    /// An agent named `worker` that nobody has looked at yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { state: AgentState::new("worker".into()), policy, now: START, stored: None, tickets: 0 }
    }

    /// The same, and what it writes is kept, so that it can be killed.
    #[must_use]
    pub fn kept(policy: Policy) -> Self {
        let rig = Self::new(policy);
        Self { stored: Some(RecordFold::new(rig.state.name.clone(), START)), ..rig }
    }

    /// A container in its first life, found running on `has` and adopted.
    #[must_use]
    pub fn serving(has: &str) -> Self {
        Self::new(super::policy()).found_on(has)
    }

    /// A container in its first life is found running on `has`, and adopted.
    #[must_use]
    pub fn found_on(mut self, has: &str) -> Self {
        let _ = self.send(Event::Began);
        let _ = self.seen(sighting(RuntimeState::Running, 1, has));
        self
    }

    /// What comes of an event, right now.
    ///
    /// # Panics
    /// If the state that it leads to breaks an invariant.
    pub fn send(&mut self, event: Event) -> Decision {
        let said = format!("{event:?}");
        let decision = transition(self.state.clone(), event, self.now, &self.policy);
        let broken = invariant::broken(&decision.state, &self.policy);
        assert!(broken.is_empty(), "{broken:?} broken by {said}: {:#?}", decision.state);
        self.state = decision.state.clone();
        if let Some(stored) = &mut self.stored {
            stored.apply(&decision.changes);
        }
        decision
    }

    /// Time passes; nobody asks for the timers.
    pub fn pass(&mut self, time: Duration) {
        self.now = Moment { wall: self.now.wall.plus(time), steady: self.now.steady.plus(time) };
    }

    /// Time passes, then the timers are seen to.
    pub fn tick_after(&mut self, time: Duration) -> Decision {
        self.pass(time);
        self.send(Event::Tick)
    }

    /// Jumps to the nearest deadline and sees to it.
    ///
    /// # Panics
    /// If no timer is armed.
    pub fn tick_next(&mut self) -> Decision {
        let wait = self.state.timers.next(self.now);
        self.tick_after(wait.unwrap_or_else(|| panic!("no timer is armed in {:#?}", self.state)))
    }

    /// How long until a timer is due; `None` if it is not armed.
    #[must_use]
    pub fn due_in(&self, timer: Timer) -> Option<Duration> {
        self.state.timers.get(timer).map(|due: Due| due.remaining(self.now))
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// The ticket of whoever asked last.
    #[must_use]
    pub fn last_ticket(&self) -> Ticket {
        Ticket(self.tickets)
    }

    /// A report arrives and is handled at once.
    ///
    /// # Panics
    /// If it can be about nothing that ever was.
    pub fn report(&mut self, report: Report) -> Decision {
        let stamp = stamp(&report, &self.state, &self.policy, self.now.wall)
            .unwrap_or_else(|refusal| panic!("refused at the door: {refusal}"));
        let ticket = self.ticket();
        self.send(Event::Report { ticket, report: Box::new(report), digest: 0, stamp, count: 1 })
    }

    /// A limit is reported that the agent ran into in this generation.
    pub fn limit_in(&mut self, generation: u64) -> Decision {
        self.report(Report { generation: Some(Generation(generation)), ..report(FailureKind::RateLimit) })
    }

    /// An operator speaks.
    pub fn operator(&mut self, command: Command) -> Decision {
        let ticket = self.ticket();
        self.send(Event::Operator { ticket, command })
    }

    /// The pool answers the newest question.
    pub fn picked(&mut self, pick: Pick) -> Decision {
        let selection = self.state.selection;
        self.send(Event::Picked { selection, pick })
    }

    /// The pool picks this one.
    pub fn pick(&mut self, to: &str) -> Decision {
        self.picked(Pick::To(SubscriptionName::from(to)))
    }

    /// The newest effect ends.
    pub fn outcome(&mut self, outcome: EffectOutcome) -> Decision {
        let attempt = self.state.attempt;
        self.send(Event::Outcome { attempt, outcome })
    }

    /// The look under way shows this.
    pub fn seen(&mut self, sighting: Sighting) -> Decision {
        self.outcome(EffectOutcome::Seen(Ok(sighting)))
    }

    /// A switch to `to` goes well from its preflight on: the agent runs in its `lives`-th life before and in the
    /// next one after it.
    pub fn switch_completes(&mut self, to: &str, lives: u32) -> Decision {
        self.restarting(to, lives);
        let _ = self.outcome(EffectOutcome::Restarted(Ok(())));
        self.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)))
    }

    /// A switch to `to` goes well up to the order to restart, which is given and not answered.
    pub fn restarting(&mut self, to: &str, lives: u32) {
        let _ = self.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, lives, "other"))));
        self.delivering(to, lives);
    }

    /// The same for one whose preflight has passed.
    pub fn delivering(&mut self, to: &str, lives: u32) {
        let _ = self.outcome(EffectOutcome::Delivered(Ok(given())));
        let _ = self.seen(sighting(RuntimeState::Running, lives, to));
    }

    /// A switch whose preflight has passed goes well from there on, in the agent's first life and the next.
    pub fn switch_completes_from_delivery(&mut self, to: &str) -> Decision {
        self.delivering(to, 1);
        let _ = self.outcome(EffectOutcome::Restarted(Ok(())));
        self.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)))
    }

    /// The same agent after the daemon was killed: what was only seen is forgotten.
    #[must_use]
    pub fn restored(&self, record: crate::domain::AgentRecord) -> Self {
        let state = AgentState::restore(self.state.name.clone(), record, self.now, &self.policy);
        Self { state, ..self.clone() }
    }

    /// The daemon is killed and started again.
    ///
    /// # Panics
    /// If what it wrote was not kept.
    pub fn is_killed(&mut self) -> Decision {
        let stored = self.stored.as_ref().map(|stored| stored.record.clone());
        *self = self.restored(stored.unwrap_or_else(|| panic!("nothing was kept of {:#?}", self.state)));
        self.send(Event::Began)
    }
}

/// What one decision says, in the words that tests compare.
impl Decision {
    /// What the reporters were answered, in order.
    #[must_use]
    pub fn answers(&self) -> Vec<Outcome> {
        let answers = self.replies.iter().filter_map(|(_, reply)| match reply {
            Reply::Report(answer) => Some(answer.outcome),
            Reply::Done | Reply::Switching(_) | Reply::Refused(_) | Reply::Turn(_) => None,
        });
        answers.collect()
    }

    /// The names of the effects, in order.
    #[must_use]
    pub fn effect_names(&self) -> Vec<&'static str> {
        self.effects.iter().map(effect_name).collect()
    }
}

/// The name of an effect.
#[must_use]
pub fn effect_name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Reserve { .. } => "reserve",
        Effect::Release => "release",
        Effect::Act { action, .. } => match action {
            Action::Look { .. } => "look",
            Action::Reload { .. } => "reload",
            Action::Preflight { .. } => "preflight",
            Action::Deliver { .. } => "deliver",
            Action::Restart(_) => "restart",
            Action::Start(_) => "start",
            Action::AwaitReady { .. } => "await_ready",
        },
    }
}
