//! The owner of one agent: folds what comes in through the machine, commits, then lets the world know.
//!
//! One turn of the handler:
//!
//! 1. take what waits (a bounded number), fold it through `transition`;
//! 2. if the pool was asked, stop there: nothing is committed until it has answered;
//! 3. one commit with a deadline, the only await;
//! 4. publish the state, answer the callers, write the log, start the effect, arm the one sleep.
//!
//! If the commit fails nothing was decided: callers are told so, what was in memory is dropped, and the state is read
//! back from the store. An effect that is under way then is waited for before anything new is done.

mod callers;
mod life;
mod sleep;
mod span;

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use self::life::Life;
use super::effects::World;
use super::pool::PoolHandle;
use super::seat::Seat;
use crate::domain::Change;
use crate::machine::agent::{EffectOutcome, Event, Pick};
use crate::ports::clock::Clock;
use crate::ports::store::Store;
use crate::telemetry::Telemetry;

/// What an agent's mailbox carries: wake tokens, and answers to what it asked for itself.
pub(super) enum AgentMsg {
    /// Something waits in the intake.
    Wake,
    /// Effects of an earlier life have ended: begin.
    Begin { life: u64 },
    /// The pool has answered.
    Picked { selection: u64, pick: Pick },
    /// An effect has ended.
    Outcome { life: u64, attempt: u32, outcome: Box<EffectOutcome> },
    /// The sleep is over.
    Tick { sleep: u64 },
}

/// What an agent's actor is made of.
#[derive(Clone)]
pub(super) struct AgentParts {
    pub(super) seat: Arc<Seat>,
    pub(super) pool: PoolHandle,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: Arc<World>,
    pub(super) telemetry: Telemetry,
    pub(super) outbox: Arc<tokio::sync::Notify>,
}

/// The actor of one agent.
pub(super) struct AgentActor;

impl Actor for AgentActor {
    type Msg = AgentMsg;
    type State = Life;
    type Arguments = AgentParts;

    async fn pre_start(&self, _: ActorRef<AgentMsg>, parts: AgentParts) -> Result<Life, ActorProcessingErr> {
        let mut life = Life::new(parts);
        life.load().await;
        Ok(life)
    }

    async fn post_start(&self, myself: ActorRef<AgentMsg>, life: &mut Life) -> Result<(), ActorProcessingErr> {
        life.parts.seat.attach(myself.clone());
        life.begin_when_free(&myself);
        life.arm(&myself);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<AgentMsg>,
        message: AgentMsg,
        life: &mut Life,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            AgentMsg::Wake => life.take(),
            AgentMsg::Begin { life: number } if number == life.number => {
                life.begin();
                // What came in before is judged after the first look was ordered.
                life.take();
            }
            // The answer that everything waits for goes before everything.
            AgentMsg::Picked { selection, pick } => life.queue.push_front(Event::Picked { selection, pick }),
            AgentMsg::Outcome { life: number, attempt, outcome } if number == life.number => {
                life.end_effect(attempt);
                life.queue.push_back(Event::Outcome { attempt, outcome: *outcome });
            }
            AgentMsg::Begin { .. } | AgentMsg::Outcome { .. } => {
                life.parts.telemetry.metrics().transition_ignored("earlier_life");
            }
            AgentMsg::Tick { sleep } => life.tick(sleep, &myself).await,
        }
        life.turn(&myself).await;
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<AgentMsg>, life: &mut Life) -> Result<(), ActorProcessingErr> {
        let (counts, read_to) = life.parts.seat.desk(|intake| (intake.counts(), intake.counted_to()));
        let read_to = read_to.into_iter().map(|position| Change::LogRead(life.parts.seat.agent.clone(), position));
        let counts = counts.into_iter().map(|(id, count)| Change::FailureCounted { id, count });
        let changes: Vec<Change> = counts.chain(read_to).collect();
        if !changes.is_empty() {
            life.parts.store.commit(changes).await?;
        }
        Ok(())
    }
}
