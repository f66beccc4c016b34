//! Callers of one agent: they ask for turns, keep them alive, end them, and go away.

use std::time::Duration;

use super::rig::Rig;
use super::{report, sighting};
use crate::domain::{FailureKind, Report, RuntimeState, Turn, TurnClass, TurnId};
use crate::machine::agent::{Decision, Event, Reply, Ticket};
use crate::machine::turns::{Begin, TurnRefusal, TurnReply, TurnRequest};

/// Somebody sits in front of it, and wants to be refused rather than wait.
#[must_use]
pub fn wish(session: &str, holder: &str) -> Begin {
    Begin {
        session: session.into(),
        class: TurnClass::Interactive,
        holder: holder.to_owned(),
        wait: None,
        preempt: false,
        after: None,
        key: None,
    }
}

/// The same for somebody who waits for an hour if need be.
#[must_use]
pub fn patient(session: &str, holder: &str) -> Begin {
    Begin { wait: Some(Duration::from_secs(3600)), ..wish(session, holder) }
}

/// Work that can wait, for an hour if need be.
#[must_use]
pub fn background(session: &str, holder: &str) -> Begin {
    Begin { class: TurnClass::Background, ..patient(session, holder) }
}

impl Rig {
    /// Somebody asks about a turn.
    pub fn asks(&mut self, request: TurnRequest) -> Decision {
        let ticket = self.ticket();
        self.send(Event::Turn { ticket, request })
    }

    /// A caller wants a turn.
    pub fn begin(&mut self, begin: Begin) -> Decision {
        self.asks(TurnRequest::Begin(Box::new(begin)))
    }

    /// A turn is begun and taken. Its number.
    ///
    /// # Panics
    /// If it is not granted at once.
    pub fn holds(&mut self, session: &str, holder: &str) -> u64 {
        let begun = self.begin(wish(session, holder));
        let number = begun.begun().first().map(|turn| turn.id.number);
        let number = number.unwrap_or_else(|| panic!("not begun: {:?}", begun.replies));
        let _ = self.beat(number);
        number
    }

    /// The holder gives a heartbeat.
    pub fn beat(&mut self, turn: u64) -> Decision {
        self.asks(TurnRequest::Beat { turn })
    }

    /// The holder says that the turn came off.
    pub fn complete(&mut self, turn: u64) -> Decision {
        self.asks(TurnRequest::Complete { turn, is_ok: true })
    }

    /// Somebody asks the holder to stop.
    pub fn cancel(&mut self, turn: u64) -> Decision {
        self.asks(TurnRequest::Cancel { turn, by: "somebody".to_owned() })
    }

    /// The holder says that it has stopped, as it was asked to.
    pub fn acknowledge(&mut self, turn: u64) -> Decision {
        self.asks(TurnRequest::Cancelled { turn })
    }

    /// An operator wants the work of a turn ended.
    pub fn fence(&mut self, turn: u64) -> Decision {
        self.asks(TurnRequest::Fence { turn })
    }

    /// The caller who asked last has gone.
    pub fn last_caller_goes(&mut self) -> Decision {
        let ticket = self.last_ticket();
        self.send(Event::Withdrawn { ticket })
    }

    /// A limit is reported that this turn ran into.
    pub fn limit_of_turn(&mut self, number: u64) -> Decision {
        let generation = Some(self.state.generation());
        let turn = Some(TurnId { agent: self.state.name.clone(), number });
        self.report(Report { generation, turn, ..report(FailureKind::RateLimit) })
    }

    /// Others say that the subscription cannot serve the agent for so long, or that it can.
    pub fn shunned(&mut self, on: &str, time: Option<Duration>) -> Decision {
        let until = time.map(|time| self.now.wall.plus(time));
        self.send(Event::Shunned { subscription: on.into(), until })
    }

    /// The agent's container is seen running in this life, as a look shows that is asked for now.
    pub fn seen_in_life(&mut self, number: u32) -> Decision {
        let has = self.state.subscription().map_or_else(String::new, ToString::to_string);
        let _ = self.send(Event::RuntimeChanged);
        self.seen(sighting(RuntimeState::Running, number, &has))
    }

    /// A fence goes well from its first look on, up to the order to restart: the agent runs in this life.
    pub fn fencing(&mut self, lives: u32) -> Decision {
        let has = self.state.subscription().map_or_else(String::new, ToString::to_string);
        let _ = self.seen(sighting(RuntimeState::Running, lives, &has));
        self.seen(sighting(RuntimeState::Running, lives, &has))
    }
}

/// What one decision says about turns.
impl Decision {
    /// What callers were answered, in order.
    #[must_use]
    pub fn about_turns(&self) -> Vec<(Ticket, &TurnReply)> {
        let replies = self.replies.iter().filter_map(|(ticket, reply)| match reply {
            Reply::Turn(reply) => Some((*ticket, &**reply)),
            Reply::Report(_) | Reply::Done | Reply::Switching(_) | Reply::Refused(_) => None,
        });
        replies.collect()
    }

    /// The words for what callers were answered, in order.
    #[must_use]
    pub fn turn_words(&self) -> Vec<&'static str> {
        self.about_turns().into_iter().map(|(_, reply)| turn_word(reply)).collect()
    }

    /// The turns that callers were told to hold, in order.
    #[must_use]
    pub fn begun(&self) -> Vec<&Turn> {
        let begun = self.about_turns().into_iter().filter_map(|(_, reply)| match reply {
            TurnReply::Begun(turn) => Some(turn),
            TurnReply::Beaten(_)
            | TurnReply::Ended(_)
            | TurnReply::CancelAsked(..)
            | TurnReply::Fencing(_)
            | TurnReply::Closed { .. }
            | TurnReply::Refused(_) => None,
        });
        begun.collect()
    }

    /// Why callers were refused, in order.
    #[must_use]
    pub fn refused(&self) -> Vec<&TurnRefusal> {
        let refused = self.about_turns().into_iter().filter_map(|(_, reply)| match reply {
            TurnReply::Refused(refusal) => Some(refusal),
            TurnReply::Begun(_)
            | TurnReply::Beaten(_)
            | TurnReply::Ended(_)
            | TurnReply::CancelAsked(..)
            | TurnReply::Fencing(_)
            | TurnReply::Closed { .. } => None,
        });
        refused.collect()
    }
}

/// The word for an answer about a turn.
#[must_use]
pub const fn turn_word(reply: &TurnReply) -> &'static str {
    match reply {
        TurnReply::Begun(_) => "begun",
        TurnReply::Beaten(_) => "beaten",
        TurnReply::Ended(_) => "ended",
        TurnReply::CancelAsked(..) => "cancel_asked",
        TurnReply::Fencing(_) => "fencing",
        TurnReply::Closed { .. } => "closed",
        TurnReply::Refused(refusal) => match refusal {
            TurnRefusal::InProgress { .. } => "in_progress",
            TurnRefusal::SessionsFull { .. } => "sessions_full",
            TurnRefusal::WaitExpired { .. } => "wait_expired",
            TurnRefusal::OutOfStep { .. } => "out_of_step",
            TurnRefusal::SessionComplete => "session_complete",
            TurnRefusal::Switching { .. } => "switching",
            TurnRefusal::Exhausted { .. } => "exhausted",
            TurnRefusal::Parked { .. } => "parked",
            TurnRefusal::Paused { .. } => "paused",
            TurnRefusal::Braked { .. } => "braked",
            TurnRefusal::NotRunning => "not_running",
            TurnRefusal::Unassigned => "unassigned",
            TurnRefusal::MonitorOnly => "monitor_only",
            TurnRefusal::QueueFull => "queue_full",
            TurnRefusal::KeyReused => "key_reused",
            TurnRefusal::NotFound(_) => "not_found",
            TurnRefusal::Over(_) => "over",
            TurnRefusal::NoCancel(_) => "no_cancel",
        },
    }
}
