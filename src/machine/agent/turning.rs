//! Turns and the phases of their agent: who is let in, what a switch waits for, when work is ended for want of a holder.
//!
//! Requests change the ledger; then [`see_to`], the last thing in every step, brings the world in line with it: it
//! serves who can be served, refuses who does not want to wait, ends or begins a fence, lets a drain go on that waits
//! for nobody any more, and arms the one timer of the ledger. So there is one place for each of these, whatever
//! happened.

use std::time::Duration;

use super::admission::{self, Admission};
use super::deciding::Deciding;
use super::event::{IgnoreReason, Reply};
use super::phase::{Phase, Ticket};
use super::{corroborating, draining, fencing};
use crate::domain::{
    Cancel, Change, Instance, IntentId, Lost, NotifyEvent, RuntimeState, SessionName, SessionRecord, Sighting, Turn,
    TurnEnd, TurnEnded, TurnId, TurnRecord, Wall,
};
use crate::machine::timer::Timer;
use crate::machine::turns::{
    Active, Begin, Ledger, Remembered, TurnRefusal, TurnReply, TurnRequest, Waiter, Withdrawn,
};

/// A turn that was granted and not taken lapses after this time: nobody knows of it.
pub const UNTAKEN_FOR: Duration = Duration::from_secs(10);

/// So much later than it was may an engine note the start of a life.
const NOTED_LATE: Duration = Duration::from_millis(100);

/// Callers that are remembered of one grant: one, and some that asked again.
const CALLERS_MAX: usize = 16;

pub(super) fn handle(d: &mut Deciding<'_>, ticket: Ticket, request: TurnRequest) {
    match request {
        TurnRequest::Begin(begin) => begin_turn(d, ticket, *begin),
        TurnRequest::Beat { turn } => with(d, ticket, turn, |d, ticket, turn| beat(d, ticket, turn.id.number)),
        TurnRequest::Complete { turn, is_ok } => with(d, ticket, turn, |d, ticket, turn| {
            complete(d, ticket, &turn, is_ok);
        }),
        TurnRequest::Cancel { turn, by } => with(d, ticket, turn, |d, ticket, turn| {
            let cancel = ask_to_stop(d, turn.id.number, by);
            if let Some((turn, cancel)) = cancel {
                answer(d, ticket, TurnReply::CancelAsked(turn, cancel));
            }
        }),
        TurnRequest::Cancelled { turn } => with(d, ticket, turn, |d, ticket, turn| {
            if turn.cancel.is_none() {
                return refuse(d, ticket, TurnRefusal::NoCancel(turn.id));
            }
            if let Some(ended) = end(d, turn.id.number, TurnEnd::Cancelled, None, None) {
                answer(d, ticket, TurnReply::Ended(ended));
            }
        }),
        TurnRequest::Fence { .. } if d.policy.is_monitor_only => refuse(d, ticket, TurnRefusal::MonitorOnly),
        TurnRequest::Fence { turn } => with(d, ticket, turn, |d, ticket, turn| {
            if turn.is_taken {
                lose(d, turn.id.number, Some(Lost::Operator));
            } else {
                // No work has begun: there is nothing that a fence would end.
                end(d, turn.id.number, TurnEnd::Cancelled, None, Some("an operator ended it".to_owned()));
            }
            let turn = d.state.turns.turn(turn.id.number).cloned().unwrap_or(turn);
            answer(d, ticket, TurnReply::Fencing(turn));
        }),
        TurnRequest::Close { session } => close(d, ticket, &session),
    }
}

/// Does something with a turn that has not ended; says so if it has, or if there never was one.
fn with(d: &mut Deciding<'_>, ticket: Ticket, number: u64, work: impl FnOnce(&mut Deciding<'_>, Ticket, Turn)) {
    if let Some(turn) = d.state.turns.turn(number).cloned() {
        return work(d, ticket, turn);
    }
    let (id, issued) = (turn_id(d, number), d.state.turns.issued());
    let refusal = if number > issued || number == 0 { TurnRefusal::NotFound(id) } else { TurnRefusal::Over(id) };
    refuse(d, ticket, refusal);
}

fn answer(d: &mut Deciding<'_>, ticket: Ticket, reply: TurnReply) {
    d.reply(ticket, Reply::Turn(Box::new(reply)));
}

fn refuse(d: &mut Deciding<'_>, ticket: Ticket, refusal: TurnRefusal) {
    answer(d, ticket, TurnReply::Refused(refusal));
}

fn refuse_waiter(d: &mut Deciding<'_>, waiter: Waiter, refusal: &TurnRefusal) {
    for ticket in waiter.callers {
        refuse(d, ticket, refusal.clone());
    }
}

fn turn_id(d: &Deciding<'_>, number: u64) -> TurnId {
    TurnId { agent: d.state.name.clone(), number }
}

fn begin_turn(d: &mut Deciding<'_>, ticket: Ticket, begin: Begin) {
    if repeats(d, ticket, &begin) {
        return;
    }
    if let Some(refusal) = out_of_place(d, &begin.session, begin.after.as_ref().map(|after| after.number)) {
        return refuse(d, ticket, refusal);
    }
    admission::forget_what_is_over(d);
    if let Admission::Closed(refusal) = admission::of(d) {
        return refuse(d, ticket, refusal);
    }
    if begin.wait.is_some() && d.state.turns.queued() >= Ledger::WAITING_MAX && must_wait(d, &begin.session) {
        return refuse(d, ticket, TurnRefusal::QueueFull);
    }
    let in_the_way = d.state.turns.turn_in(&begin.session).filter(|turn| turn.class > begin.class);
    if let Some(number) = in_the_way.filter(|_| begin.preempt).map(|turn| turn.id.number) {
        ask_to_stop(d, number, begin.holder.clone());
    }
    let Begin { session, class, holder, wait, after, key, .. } = begin;
    let until = wait.map(|wait| d.now.steady.plus(wait));
    let after = after.map(|after| after.number);
    d.state.turns.wait(Waiter { callers: vec![ticket], session, class, holder, after, key, since: d.now, until });
}

/// Whether somebody who asks for this session has to wait, whoever else does.
fn must_wait(d: &Deciding<'_>, session: &SessionName) -> bool {
    d.state.turns.turn_in(session).is_some()
        || d.state.turns.active().count() >= d.policy.turns.sessions_max as usize
        || !matches!(admission::of(d), Admission::Open)
}

/// A request that came before is answered as it was then, or with it.
fn repeats(d: &mut Deciding<'_>, ticket: Ticket, begin: &Begin) -> bool {
    let Some((key, digest)) = &begin.key else { return false };
    if let Some(waiter) = d.state.turns.waiting_with(key) {
        if waiter.key.as_ref().is_some_and(|(_, first)| first == digest) {
            d.state.turns.join(key, ticket);
        } else {
            refuse(d, ticket, TurnRefusal::KeyReused);
        }
        return true;
    }
    let Some(known) = d.state.turns.keyed(key) else { return false };
    if known.digest != *digest {
        refuse(d, ticket, TurnRefusal::KeyReused);
        return true;
    }
    if let Some(active) = d.state.turns.active_mut(known.turn) {
        // Once it is taken it lapses for nobody's going away.
        if !active.turn.is_taken && active.callers.len() < CALLERS_MAX {
            active.callers.push(ticket);
        }
        let turn = active.turn.clone();
        answer(d, ticket, TurnReply::Begun(turn));
    } else {
        let id = turn_id(d, known.turn);
        refuse(d, ticket, TurnRefusal::Over(id));
    }
    true
}

/// Why no turn may begin in this session, whoever holds it: it is closed, or has moved on (H8).
fn out_of_place(d: &Deciding<'_>, session: &SessionName, after: Option<u64>) -> Option<TurnRefusal> {
    let Remembered { last_completed, is_closed } = d.state.turns.remembered(session);
    if is_closed {
        return Some(TurnRefusal::SessionComplete);
    }
    let is_in_step = after.is_none() || after == last_completed;
    (!is_in_step).then(|| TurnRefusal::OutOfStep { last: last_completed.map(|number| turn_id(d, number)) })
}

/// The first heartbeat takes the turn. A holder that was believed lost and is back keeps it, as long as nothing was done
/// about it.
fn beat(d: &mut Deciding<'_>, ticket: Ticket, number: u64) {
    let (lease, now) = (d.policy.turns.lease, d.now);
    let (is_being_ended, life) = (fencing::is_ending(d, number), life(d));
    let Some(active) = d.state.turns.active_mut(number) else { return };
    let was_lost = active.turn.lost == Some(Lost::Silent) && !is_being_ended;
    let is_news = !active.turn.is_taken || was_lost;
    if !active.turn.is_taken {
        // Only now work may begin, whatever has become of the life in which it was granted.
        active.turn.life = life;
    }
    active.turn.is_taken = true;
    active.turn.until = now.wall.plus(lease);
    active.due = now.due_after(lease);
    if was_lost {
        active.turn.lost = None;
    }
    let turn = active.turn.clone();
    if is_news {
        d.change(Change::TurnChanged(Box::new(turn.clone())));
    }
    answer(d, ticket, TurnReply::Beaten(turn));
}

fn complete(d: &mut Deciding<'_>, ticket: Ticket, turn: &Turn, is_ok: bool) {
    let number = turn.id.number;
    if is_ok {
        remember(d, &turn.session, |session| session.last_completed = Some(number));
    }
    if let Some(ended) = end(d, number, if is_ok { TurnEnd::Complete } else { TurnEnd::Failed }, None, None) {
        answer(d, ticket, TurnReply::Ended(ended));
        if is_ok { corroborating::succeeded(d, turn) } else { corroborating::failed(d, turn) }
    }
}

fn remember(d: &mut Deciding<'_>, session: &SessionName, change: impl FnOnce(&mut Remembered)) {
    let mut remembered = d.state.turns.remembered(session);
    change(&mut remembered);
    d.state.turns.save(session.clone(), remembered);
    let Remembered { last_completed, is_closed } = remembered;
    let saved = SessionRecord { session: session.clone(), last_completed, is_closed };
    d.change(Change::SessionSaved(d.state.name.clone(), saved));
}

/// Asks the holder to stop; asking again changes nothing.
fn ask_to_stop(d: &mut Deciding<'_>, number: u64, by: String) -> Option<(Turn, Cancel)> {
    let (cancel_ack, now) = (d.policy.turns.cancel_ack, d.now);
    let active = d.state.turns.active_mut(number)?;
    if let Some(cancel) = active.turn.cancel.clone() {
        return Some((active.turn.clone(), cancel));
    }
    let cancel = Cancel { by, until: now.wall.plus(cancel_ack) };
    active.turn.cancel = Some(cancel.clone());
    active.cancel_due = Some(now.due_after(cancel_ack));
    let turn = active.turn.clone();
    d.change(Change::TurnChanged(Box::new(turn.clone())));
    Some((turn, cancel))
}

/// The work of a turn has to be ended before its session can go on; or not, after all.
pub(super) fn lose(d: &mut Deciding<'_>, number: u64, lost: Option<Lost>) {
    let Some(active) = d.state.turns.active_mut(number) else { return };
    if active.turn.lost != lost {
        active.turn.lost = lost;
        let turn = active.turn.clone();
        d.change(Change::TurnChanged(Box::new(turn)));
    }
}

fn close(d: &mut Deciding<'_>, ticket: Ticket, session: &SessionName) {
    if !d.state.turns.remembered(session).is_closed {
        remember(d, session, |session| session.is_closed = true);
    }
    for waiter in d.state.turns.take_waiting_for(session) {
        refuse_waiter(d, waiter, &TurnRefusal::SessionComplete);
    }
    let last_completed = d.state.turns.remembered(session).last_completed.map(|number| turn_id(d, number));
    answer(d, ticket, TurnReply::Closed { last_completed });
}

/// A caller has gone. A turn that nobody else knows of lapses at once: no work has begun (H5).
pub(super) fn withdraw(d: &mut Deciding<'_>, ticket: Ticket) {
    match d.state.turns.withdraw(ticket) {
        Withdrawn::Waiting => {}
        Withdrawn::Untaken(number) => lapse(d, number, "its caller has gone"),
        Withdrawn::Unknown => d.ignore(IgnoreReason::NothingNew),
    }
}

fn lapse(d: &mut Deciding<'_>, number: u64, reason: &str) {
    if let Some(TurnRecord { turn, .. }) = end(d, number, TurnEnd::Lapsed, None, Some(reason.to_owned()))
        && let Some((key, _)) = &turn.key
    {
        d.state.turns.forget_key(key);
    }
}

/// Ends a turn, once. Its work has ended, or never began.
fn end(
    d: &mut Deciding<'_>,
    number: u64,
    end: TurnEnd,
    by: Option<IntentId>,
    reason: Option<String>,
) -> Option<TurnRecord> {
    let turn = d.state.turns.end(number)?;
    corroborating::ran(d, &turn);
    let ended = TurnEnded { end, at: d.wall(), by, reason };
    d.change(Change::TurnEnded { turn: Box::new(turn.clone()), ended: ended.clone() });
    Some(TurnRecord { turn, ended: Some(ended) })
}

/// The work of these turns has ended under their holders.
pub(super) fn cut_off(d: &mut Deciding<'_>, which: impl Fn(&Turn) -> bool, by: Option<&IntentId>, reason: &str) {
    let numbers: Vec<u64> = d.state.turns.turns().filter(|turn| which(turn)).map(|turn| turn.id.number).collect();
    for number in &numbers {
        end(d, *number, TurnEnd::CutOff, by.cloned(), Some(reason.to_owned()));
    }
    if by.is_some() {
        d.state.phase.note_cut_off(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    }
}

/// Takes note of a look at an agent that rests.
pub(super) fn seen(d: &mut Deciding<'_>, sighting: &Sighting, began_at: Option<Wall>) {
    d.state.is_sighting_old = false;
    end_with_life(d, sighting, began_at);
    let Some(life) = sighting.instance.clone().filter(|_| sighting.state == RuntimeState::Running) else { return };
    let is_unknown = |turn: &&Turn| turn.is_taken && turn.life.as_ref() != Some(&life);
    let unknown: Vec<u64> = d.state.turns.turns().filter(is_unknown).map(|turn| turn.id.number).collect();
    for number in unknown {
        if let Some(active) = d.state.turns.active_mut(number) {
            active.turn.life = Some(life.clone());
            let turn = active.turn.clone();
            d.change(Change::TurnChanged(Box::new(turn)));
        }
    }
}

/// What ran in a life that has ended has ended with it. What began after the life that runs did runs in that one, although
/// nobody had seen it yet.
pub(super) fn end_with_life(d: &mut Deciding<'_>, sighting: &Sighting, began_at: Option<Wall>) {
    match (sighting.state, &sighting.instance) {
        (RuntimeState::Running, Some(life)) => {
            let is_older = |turn: &Turn| {
                turn.life.as_ref().is_some_and(|its| its != life)
                    && began_at.is_none_or(|began_at| turn.begun_at.plus(NOTED_LATE) < began_at)
            };
            cut_off(d, is_older, None, "the agent was restarted, not by switchman");
        }
        (RuntimeState::Stopped | RuntimeState::Missing, _) => {
            cut_off(d, |_| true, None, "the agent does not run any more");
        }
        (RuntimeState::Running, None) | (RuntimeState::Unknown, _) => {}
    }
}

/// A failure of its work was reported: no switch waits for it (G2).
pub(super) fn has_failed(d: &mut Deciding<'_>, turn: &TurnId) {
    if let Some(active) = d.state.turns.active_mut(turn.number)
        && !active.turn.has_failed
    {
        active.turn.has_failed = true;
        let turn = active.turn.clone();
        d.change(Change::TurnChanged(Box::new(turn)));
    }
}

/// Whether there are turns that a restart waits for: not those that have failed, nor those whose holder is lost.
pub(super) fn is_busy(d: &Deciding<'_>) -> bool {
    d.state.turns.turns().any(|turn| !turn.has_failed && turn.lost.is_none())
}

/// The ledger's timer is due.
pub(super) fn expire(d: &mut Deciding<'_>) {
    let (now, mut due) = (d.now, Vec::new());
    for Active { turn, due: at, cancel_due, .. } in d.state.turns.active().filter(|active| active.turn.lost.is_none()) {
        let is_unacknowledged = cancel_due.is_some_and(|due| due.is_past(now));
        if is_unacknowledged || at.is_past(now) {
            due.push((turn.id.number, turn.is_taken, is_unacknowledged));
        }
    }
    for (number, is_taken, is_unacknowledged) in due {
        match (is_taken, is_unacknowledged) {
            (true, true) => lose(d, number, Some(Lost::Unacknowledged)),
            (true, false) => lose(d, number, Some(Lost::Silent)),
            (false, true) => {
                end(d, number, TurnEnd::Cancelled, None, Some("it was never taken".to_owned()));
            }
            (false, false) => lapse(d, number, "it was never taken"),
        }
    }
    while let Some(waiter) = d.state.turns.take_expired(now) {
        let because = why(d, &waiter).map(|refusal| refusal.to_string());
        refuse_waiter(d, waiter, &TurnRefusal::WaitExpired { because });
    }
}

/// Brings everything in line with the ledger.
pub(super) fn see_to(d: &mut Deciding<'_>) {
    if matches!(d.state.phase, Phase::Selecting(_)) {
        return;
    }
    // What is under way may have waited for the last turn to end.
    if d.state.turns.is_quiet() && d.state.phase.intent().is_none() {
        return d.state.timers.stop(Timer::Turns);
    }
    // First, for nobody begins while work is being ended, and everybody may as soon as that is called off.
    fencing::see_to(d);
    if d.state.turns.queued() > 0 {
        admission::forget_what_is_over(d);
    }
    serve(d);
    // The pool is asked on their behalf: they are answered when it has answered.
    if matches!(d.state.phase, Phase::Selecting(_)) {
        return;
    }
    // A switch that failed is tried again, and is worth waiting for; this comes to nothing until a limit ends (H9).
    let is_hopeless = matches!(d.state.phase, Phase::Exhausted { .. });
    let unserved = if is_hopeless { d.state.turns.take_all_waiting() } else { d.state.turns.take_impatient() };
    for waiter in unserved {
        let refusal = why(d, &waiter).unwrap_or(TurnRefusal::SessionsFull { of: d.policy.turns.sessions_max });
        refuse_waiter(d, waiter, &refusal);
    }
    draining::go_on_if_idle(d);
    let dues = [d.state.turns.next_due(d.now), admission::opens_at(d)];
    match dues.into_iter().flatten().min_by_key(|due| due.remaining(d.now)) {
        Some(due) => d.state.timers.set(Timer::Turns, due),
        None => d.state.timers.stop(Timer::Turns),
    }
}

/// Grants what is free, in order (H3).
fn serve(d: &mut Deciding<'_>) {
    let sessions_max = d.policy.turns.sessions_max;
    while d.state.turns.has_ready(sessions_max) {
        match admission::of(d) {
            Admission::Open => {}
            Admission::Shut(_) | Admission::Closed(_) => break,
            Admission::Ask => return admission::ask(d),
        }
        let Some(waiter) = d.state.turns.next(sessions_max) else { break };
        match out_of_place(d, &waiter.session, waiter.after) {
            Some(refusal) => refuse_waiter(d, waiter, &refusal),
            None => grant(d, waiter),
        }
    }
}

/// What keeps a caller waiting.
fn why(d: &Deciding<'_>, waiter: &Waiter) -> Option<TurnRefusal> {
    match admission::of(d) {
        Admission::Shut(refusal) | Admission::Closed(refusal) => return Some(refusal),
        Admission::Open | Admission::Ask => {}
    }
    match d.state.turns.turn_in(&waiter.session) {
        Some(turn) => Some(TurnRefusal::InProgress { turn: Box::new(turn.clone()) }),
        None if d.state.turns.active().count() >= d.policy.turns.sessions_max as usize => {
            Some(TurnRefusal::SessionsFull { of: d.policy.turns.sessions_max })
        }
        None => None,
    }
}

fn grant(d: &mut Deciding<'_>, waiter: Waiter) {
    let Some(assignment) = d.state.assignment.clone() else { return };
    // Whoever begins now has the whole time of the next drain.
    d.state.drain_until = None;
    let Waiter { callers, session, class, holder, key, since, .. } = waiter;
    let number = d.state.turns.next_number();
    let turn = Turn {
        id: turn_id(d, number),
        session,
        class,
        holder,
        subscription: assignment.subscription,
        generation: assignment.generation,
        begun_at: d.wall(),
        key,
        life: None,
        is_taken: false,
        until: d.wall().plus(UNTAKEN_FOR),
        cancel: None,
        has_failed: false,
        lost: None,
    };
    let waited_for = Duration::from_millis(d.now.steady.0.saturating_sub(since.steady.0));
    d.change(Change::TurnBegun { turn: Box::new(turn.clone()), waited: waited_for });
    if d.policy.turns.are_told {
        let text = format!("{} has begun a turn in session {} of {}", turn.holder, turn.session, d.state.name);
        super::serving::notify(d, NotifyEvent::TurnBegun, &format!("turn-{number}"), text);
    }
    for ticket in &callers {
        answer(d, *ticket, TurnReply::Begun(turn.clone()));
    }
    d.state.turns.hold(Active { turn, due: d.now.due_after(UNTAKEN_FOR), cancel_due: None, callers });
}

/// The life that works on what is taken now; `None` if another one may have begun since the last look.
fn life(d: &Deciding<'_>) -> Option<Instance> {
    let seen = d.state.sighting.as_ref().filter(|_| !d.state.is_sighting_old)?;
    seen.instance.clone().filter(|_| seen.state == RuntimeState::Running)
}
