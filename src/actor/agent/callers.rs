//! Who waits for an answer of this life of the actor. Nobody waits for ever: what is left is told at the end.

use std::collections::HashMap;

use tokio::sync::oneshot;

use crate::actor::intake::{Asked, NotRecorded, Ordered, Posted};
use crate::actor::seat::Seat;
use crate::domain::Moment;
use crate::machine::agent::{Reply, Ticket};

/// Someone who waits.
enum Caller {
    Reporter(Box<Posted>),
    Operator(oneshot::Sender<Option<Reply>>),
}

/// Everyone who waits, by ticket.
#[derive(Default)]
pub(super) struct Callers(HashMap<Ticket, Caller>);

impl Callers {
    /// A reporter waits.
    pub(super) fn reporter(&mut self, posted: Posted) {
        self.0.insert(posted.ticket, Caller::Reporter(Box::new(posted)));
    }

    /// An operator waits.
    pub(super) fn operator(&mut self, ordered: Ordered) {
        self.0.insert(ordered.ticket, Caller::Operator(ordered.reply));
    }

    /// Somebody waits for an answer about a turn, which may take long.
    pub(super) fn turn(&mut self, asked: Asked) {
        self.0.insert(asked.ticket, Caller::Operator(asked.reply));
    }

    /// Somebody who waited has gone.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.0.remove(&ticket);
    }

    /// Hands out an answer, after the commit.
    pub(super) fn answer(&mut self, ticket: Ticket, reply: Reply, seat: &Seat, now: Moment) {
        match (self.0.remove(&ticket), reply) {
            (Some(Caller::Reporter(posted)), Reply::Report(answer)) => {
                seat.desk(|intake| intake.answer(*posted, Ok(*answer), now.steady, now.wall));
            }
            (Some(caller @ Caller::Operator(_)), reply) => tell(caller, Some(reply), seat, now),
            (
                Some(caller @ Caller::Reporter(_)),
                Reply::Done | Reply::Switching(_) | Reply::Refused(_) | Reply::Turn(_),
            ) => {
                tell(caller, None, seat, now);
            }
            (None, _) => tracing::debug!("an answer for nobody"),
        }
    }

    /// Tells everyone that nothing was recorded.
    pub(super) fn fail(&mut self, seat: &Seat, now: Moment) {
        for (_, caller) in self.0.drain() {
            tell(caller, None, seat, now);
        }
    }
}

fn tell(caller: Caller, reply: Option<Reply>, seat: &Seat, now: Moment) {
    match caller {
        Caller::Reporter(posted) => {
            seat.desk(|intake| intake.answer(*posted, Err(NotRecorded), now.steady, now.wall));
        }
        Caller::Operator(caller) => {
            if caller.send(reply).is_err() {
                tracing::debug!("an operator has gone before the answer");
            }
        }
    }
}
