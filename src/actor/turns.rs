//! Turns, for whoever asks from outside: begin one, keep it, end it, look at them.
//!
//! What a holder asks for is checked here, before it is posted: it has to prove that it is the holder. What has ended
//! is looked up in the history, which says how. A caller that goes away while it waits, or before it could read its
//! answer, leaves by the [`Place`] that it holds.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::handle::{ANSWER_TIMEOUT, ReportError, Shared, Switchman};
use super::intake::Waited;
use super::seat::Seat;
use crate::domain::{Answer, Cancel, Generation, Report, SessionName, Turn, TurnEnd, TurnEnded, TurnId, TurnRecord};
use crate::machine::agent::{Reply, Ticket};
use crate::machine::turns::{Begin, TurnRefusal, TurnReply, TurnRequest};
use crate::ports::store::StoreError;
use crate::telemetry::events;

/// Why nothing came of a request about a turn.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The config has no such agent.
    #[error("no agent named \"{0}\"")]
    NoSuchAgent(String),
    /// The ledger says no.
    #[error(transparent)]
    Refused(TurnRefusal),
    /// The turn has ended by what its holder did, or was never taken.
    #[error("turn {} has ended: {}", .id, .ended.as_ref().map_or("long ago", |ended| ended.end.as_str()))]
    AlreadyComplete {
        /// Which turn.
        id: TurnId,
        /// How it ended; `None` if that is kept no longer.
        ended: Option<Box<TurnEnded>>,
    },
    /// The work was ended under its holder.
    #[error("turn {} was cut off: {}", .id, .ended.reason.as_deref().unwrap_or("the agent was restarted"))]
    CutOff {
        /// Which turn.
        id: TurnId,
        /// When, and by what.
        ended: Box<TurnEnded>,
    },
    /// The token is not the turn's.
    #[error("only the holder of turn {0} may do that")]
    NotTheHolder(TurnId),
    /// Too many requests of this agent wait.
    #[error("too many requests about turns of this agent wait to be handled")]
    Busy,
    /// It could not be written down, or nobody answered in time: whether it was done, the turn itself tells.
    #[error("the request could not be recorded")]
    NotRecorded,
    /// The history could not be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The report that came with the end of a turn was not taken, and the turn goes on.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// A turn that was begun.
pub struct Begun {
    /// The turn.
    pub turn: Turn,
    /// How its holder proves itself.
    pub token: SecretString,
    /// Without a heartbeat for so long it counts as lost.
    pub lease: Duration,
    /// To be kept until the answer is with the caller: dropped before, the turn lapses.
    pub place: Place,
}

/// What a heartbeat is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    /// The id and the author of the request to stop, if there is one.
    pub cancel: Option<(String, String)>,
    /// The next heartbeat is due within this time.
    pub lease: Duration,
}

/// A place in line, or a grant on its way: given up when it is dropped.
pub struct Place {
    seat: Option<Arc<Seat>>,
    ticket: Ticket,
}

impl Place {
    /// The caller has its answer.
    pub fn keep(mut self) {
        self.seat = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            seat.withdraw(self.ticket);
        }
    }
}

impl Switchman {
    /// Begins a turn, waiting for it as long as the request says.
    ///
    /// # Errors
    /// If it is refused, or could not be written down. Nothing is held then.
    pub async fn begin_turn(&self, agent: &str, begin: Begin) -> Result<Begun, TurnError> {
        let seat = self.seat(agent)?;
        let (session, holder) = (begin.session.clone(), begin.holder.clone());
        let wait = begin.wait.unwrap_or_default().saturating_add(ANSWER_TIMEOUT);
        let (ticket, reply) = seat.ask(TurnRequest::Begin(Box::new(begin))).ok_or(TurnError::Busy)?;
        let place = Place { seat: Some(Arc::clone(&seat)), ticket };
        let answered = self.answered((ticket, reply), wait).await;
        match answered {
            Ok(TurnReply::Begun(turn)) => {
                let (token, lease) = (self.shared().leases.token(&turn), seat.policy().turns.lease);
                Ok(Begun { turn, token, lease, place })
            }
            Ok(TurnReply::Refused(refusal)) => {
                place.keep();
                self.shared().telemetry.emit(events::TurnRefused {
                    agent: &seat.agent,
                    session: &session,
                    holder: &holder,
                    reason: &refusal.to_string(),
                });
                Err(self.why(refusal).await?)
            }
            Ok(_) | Err(_) if seat.is_retired() => Err(TurnError::NoSuchAgent(agent.to_owned())),
            Ok(_) => Err(TurnError::NotRecorded),
            Err(error) => Err(error),
        }
    }

    /// The holder is alive. The first heartbeat takes the turn.
    ///
    /// # Errors
    /// If the turn has ended, never was, or is somebody else's.
    pub async fn beat_turn(&self, id: &TurnId, token: &SecretString) -> Result<Beaten, TurnError> {
        let seat = self.held_by(id, token).await?;
        match self.asked(&seat, TurnRequest::Beat { turn: id.number }).await? {
            TurnReply::Beaten(turn) => Ok(beaten(&turn, &seat)),
            _ => Err(TurnError::NotRecorded),
        }
    }

    /// Waits until the holder is asked to stop or the turn has ended, at most so long.
    pub async fn cancel_asked(&self, id: &TurnId, wait: Duration) {
        let Ok(seat) = self.seat(id.agent.as_str()) else { return };
        let (mut states, clock) = (seat.watch(), self.clock());
        let is_told = states.wait_for(|state| state.turns.turn(id.number).is_none_or(|turn| turn.cancel.is_some()));
        tokio::select! {
            // The seat outlives everybody: its state can be watched as long as there is a daemon.
            _told = is_told => {}
            () = clock.sleep(wait) => {}
        }
    }

    /// The holder is done. With a report the failure is taken together with the end, and answered; the turn it is about
    /// holds up no switch.
    ///
    /// # Errors
    /// If the turn has ended, never was, or is somebody else's; or if the report is not taken, and then the turn goes on.
    pub async fn complete_turn(
        &self,
        id: &TurnId,
        token: &SecretString,
        is_ok: bool,
        failure: Option<(Report, u64)>,
    ) -> Result<(TurnRecord, Option<Answer>), TurnError> {
        let seat = self.held_by(id, token).await?;
        let request = TurnRequest::Complete { turn: id.number, is_ok };
        let Some((mut report, digest)) = failure else {
            return Ok((self.end(&seat, request).await?, None));
        };
        self.about_a_turn(&mut report, Some(id)).await?;
        let (answer, waited) = self.report_and_ask(&seat, report, digest, request).await?;
        let waited = waited.ok_or(TurnError::Busy)?;
        match self.replied(waited).await? {
            TurnReply::Ended(ended) => Ok((ended, Some(answer))),
            _ => Err(TurnError::NotRecorded),
        }
    }

    /// Asks the holder to stop. Anybody may; asking again is the same request.
    ///
    /// # Errors
    /// If the turn has ended or never was.
    pub async fn cancel_turn(&self, id: &TurnId, by: String) -> Result<(Turn, Cancel), TurnError> {
        let seat = self.seat_of(id)?;
        match self.asked(&seat, TurnRequest::Cancel { turn: id.number, by }).await? {
            TurnReply::CancelAsked(turn, cancel) => Ok((turn, cancel)),
            _ => Err(TurnError::NotRecorded),
        }
    }

    /// The holder has stopped, as it was asked to.
    ///
    /// # Errors
    /// If nobody asked, the turn has ended, never was, or is somebody else's.
    pub async fn cancelled_turn(&self, id: &TurnId, token: &SecretString) -> Result<TurnRecord, TurnError> {
        let seat = self.held_by(id, token).await?;
        self.end(&seat, TurnRequest::Cancelled { turn: id.number }).await
    }

    /// An operator wants the work of a turn ended, whatever its holder says.
    ///
    /// # Errors
    /// If the turn has ended or never was.
    pub async fn fence_turn(&self, id: &TurnId) -> Result<Turn, TurnError> {
        let seat = self.seat_of(id)?;
        match self.asked(&seat, TurnRequest::Fence { turn: id.number }).await? {
            TurnReply::Fencing(turn) => Ok(turn),
            _ => Err(TurnError::NotRecorded),
        }
    }

    /// No turn begins in the session any more. The last one in it that came off.
    ///
    /// # Errors
    /// If it could not be written down.
    pub async fn close_session(&self, agent: &str, session: SessionName) -> Result<Option<TurnId>, TurnError> {
        let seat = self.seat(agent)?;
        match self.asked(&seat, TurnRequest::Close { session }).await? {
            TurnReply::Closed { last_completed } => Ok(last_completed),
            _ => Err(TurnError::NotRecorded),
        }
    }

    /// A turn, ended or not.
    ///
    /// # Errors
    /// If there never was one, or the history cannot be read.
    pub async fn turn(&self, id: &TurnId) -> Result<TurnRecord, TurnError> {
        let state = self.seat_of(id)?.state();
        if let Some(turn) = state.turns.turn(id.number) {
            return Ok(TurnRecord { turn: turn.clone(), ended: None });
        }
        if !self.seat_of(id)?.is_known() {
            return Err(TurnError::NotRecorded);
        }
        if id.number == 0 || id.number > state.turns.issued() {
            return Err(TurnError::Refused(TurnRefusal::NotFound(id.clone())));
        }
        let ended = self.store().turn(id).await?;
        ended.ok_or(TurnError::AlreadyComplete { id: id.clone(), ended: None })
    }

    /// Completes a report that names a turn: its generation is the one that the turn was dispatched in (A2).
    ///
    /// # Errors
    /// If there never was such a turn of this agent, or it ran in another generation than the report says.
    pub async fn about_a_turn(&self, report: &mut Report, id: Option<&TurnId>) -> Result<(), TurnError> {
        let Some(id) = id else { return Ok(()) };
        let TurnRecord { turn, .. } = self.turn(id).await?;
        let generation: Generation = *report.generation.get_or_insert(turn.generation);
        if generation != turn.generation {
            return Err(TurnError::Report(ReportError::TurnMismatch {
                turn: id.clone(),
                ran_in: turn.generation,
                given: generation,
            }));
        }
        report.turn = Some(turn.id);
        Ok(())
    }

    fn seat(&self, agent: &str) -> Result<Arc<Seat>, TurnError> {
        self.shared().seat(agent).ok_or_else(|| TurnError::NoSuchAgent(agent.to_owned()))
    }

    fn shared(&self) -> &Shared {
        &self.0
    }

    /// An agent that is not in the config has no turns, whatever it once had.
    fn seat_of(&self, id: &TurnId) -> Result<Arc<Seat>, TurnError> {
        self.seat(id.agent.as_str()).map_err(|_| TurnError::Refused(TurnRefusal::NotFound(id.clone())))
    }

    /// The seat of a turn that is under way, for its holder only.
    async fn held_by(&self, id: &TurnId, token: &SecretString) -> Result<Arc<Seat>, TurnError> {
        let seat = self.seat_of(id)?;
        let state = seat.state();
        match state.turns.turn(id.number) {
            Some(turn) if self.shared().leases.proves(turn, token) => Ok(seat),
            Some(_) => Err(TurnError::NotTheHolder(id.clone())),
            None => Err(self.gone(id).await?),
        }
    }

    /// How a turn has ended.
    async fn gone(&self, id: &TurnId) -> Result<TurnError, TurnError> {
        let TurnRecord { ended, .. } = self.turn(id).await?;
        Ok(match ended {
            Some(ended) if ended.end == TurnEnd::CutOff => TurnError::CutOff { id: id.clone(), ended: Box::new(ended) },
            ended => TurnError::AlreadyComplete { id: id.clone(), ended: ended.map(Box::new) },
        })
    }

    async fn why(&self, refusal: TurnRefusal) -> Result<TurnError, TurnError> {
        match refusal {
            TurnRefusal::Over(id) => self.gone(&id).await,
            other => Ok(TurnError::Refused(other)),
        }
    }

    async fn end(&self, seat: &Arc<Seat>, request: TurnRequest) -> Result<TurnRecord, TurnError> {
        match self.asked(seat, request).await? {
            TurnReply::Ended(ended) => Ok(ended),
            _ => Err(TurnError::NotRecorded),
        }
    }

    async fn asked(&self, seat: &Arc<Seat>, request: TurnRequest) -> Result<TurnReply, TurnError> {
        let waited = seat.ask(request).ok_or(TurnError::Busy)?;
        self.replied(waited).await
    }

    async fn replied(&self, waited: Waited) -> Result<TurnReply, TurnError> {
        match self.answered(waited, ANSWER_TIMEOUT).await? {
            TurnReply::Refused(refusal) => Err(self.why(refusal).await?),
            reply => Ok(reply),
        }
    }

    async fn answered(&self, (_, reply): Waited, wait: Duration) -> Result<TurnReply, TurnError> {
        match tokio::time::timeout(wait, reply).await {
            Ok(Ok(Some(Reply::Turn(reply)))) => Ok(*reply),
            Ok(Ok(Some(Reply::Report(_) | Reply::Done | Reply::Switching(_) | Reply::Refused(_)) | None) | Err(_))
            | Err(_) => Err(TurnError::NotRecorded),
        }
    }
}

fn beaten(turn: &Turn, seat: &Seat) -> Beaten {
    let cancel = turn.cancel.as_ref().map(|cancel| (turn.cancel_id(), cancel.by.clone()));
    Beaten { cancel, lease: seat.policy().turns.lease }
}
