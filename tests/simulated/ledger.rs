//! What the turn ledger should do, written down a second time: plain lists, looked through from the front.
//!
//! Every step of the machine is held against it: who is answered what, who begins in which order, what ends and how.
//! Whether the agent may be used at all is taken from its state; what its turns are cut off by is the world's to judge.

use std::time::Duration;

use switchman::domain::{Change, TurnsRecord};
use switchman::domain::{Lost, Moment, Plan, RuntimeState, SessionName, Turn, TurnClass, TurnEnd, TurnKey};
use switchman::machine::agent::testing::turn_word;
use switchman::machine::agent::{AgentState, Decision, Event, Phase, Ticket, UNTAKEN_FOR};
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::timer::Timer;
use switchman::machine::turns::{Begin, TurnReply, TurnRequest};

/// Any word that says that the agent cannot be used now.
const UNUSABLE: &str = "not now";

/// A turn, as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    number: u64,
    session: SessionName,
    class: TurnClass,
    is_taken: bool,
    due: u64,
    cancel_due: Option<u64>,
    lost: Option<Lost>,
    callers: Vec<Ticket>,
}

/// Somebody in line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waits {
    callers: Vec<Ticket>,
    session: SessionName,
    class: TurnClass,
    holder: String,
    until: Option<u64>,
    after: Option<u64>,
    key: Option<(TurnKey, u64)>,
}

/// The ledger, as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Book {
    issued: u64,
    turns: Vec<Held>,
    line: Vec<Waits>,
    sessions: Vec<(SessionName, Option<u64>, bool)>,
    keys: Vec<(TurnKey, u64, u64)>,
}

/// What a step should come to.
#[derive(Debug, Default)]
struct Expected {
    replies: Vec<(Ticket, &'static str)>,
    begun: Vec<(u64, String)>,
    ended: Vec<(u64, TurnEnd)>,
}

impl Book {
    /// Holds a step against what it should have been. What is wrong with it, if anything is.
    pub(crate) fn follow(
        &mut self,
        before: &AgentState,
        event: &Event,
        decision: &Decision,
        now: Moment,
        policy: &Policy,
    ) -> Option<String> {
        let mut expected = Expected::default();
        let after = &decision.state;
        let said: Vec<(Ticket, &TurnReply)> = decision.about_turns();
        match event {
            Event::Turn { ticket, request: TurnRequest::Begin(begin) } => {
                let is_turned_away = begin.wait.is_some()
                    && !is_open(before, policy, now)
                    && said.iter().any(|(to, reply)| to == ticket && is_unusable(turn_word(reply)));
                self.begin(*ticket, begin, is_turned_away, now, policy, &mut expected);
                if begin.preempt && !is_open(before, policy, now) {
                    // Whoever is turned away for good asks nobody to stop.
                    for turn in &mut self.turns {
                        let is_asked = after.turns.turn(turn.number).is_some_and(|turn| turn.cancel.is_some());
                        turn.cancel_due = turn.cancel_due.filter(|_| is_asked);
                    }
                }
            }
            Event::Turn { ticket, request } => self.asked(*ticket, request, before, now, policy, &mut expected),
            Event::Withdrawn { ticket } => self.leaves(*ticket, &mut expected),
            Event::Tick if before.timers.get(Timer::Turns).is_some_and(|due| due.is_past(now)) => {
                self.expire(now.steady.0, &mut expected);
            }
            Event::Tick if !matches!(before.phase, Phase::Selecting(_)) && self.has_due(now.steady.0) => {
                return Some("a deadline has passed and nobody was woken".to_owned());
            }
            _ => {}
        }
        let ended: Vec<(u64, TurnEnd)> = decision.changes.iter().filter_map(end).collect();
        for (number, _) in ended.iter().filter(|(_, end)| *end == TurnEnd::CutOff) {
            let known = self.turns.len();
            self.turns.retain(|turn| turn.number != *number);
            if self.turns.len() == known {
                return Some(format!("turn {number} was cut off and had ended before"));
            }
            expected.ended.push((*number, TurnEnd::CutOff));
        }
        if !matches!(after.phase, Phase::Selecting(_)) {
            self.serve(after, now, policy, &mut expected);
        }
        self.compare(&expected, ended, decision).or_else(|| self.differs(after))
    }

    fn begin(
        &mut self,
        ticket: Ticket,
        begin: &Begin,
        is_turned_away: bool,
        now: Moment,
        policy: &Policy,
        expected: &mut Expected,
    ) {
        if let Some((key, digest)) = &begin.key {
            let is_same = |known: u64| if known == *digest { None } else { Some("key_reused") };
            if let Some(waits) = self.line.iter_mut().find(|waits| waits.key.as_ref().is_some_and(|it| it.0 == *key)) {
                match is_same(waits.key.as_ref().map_or(0, |key| key.1)) {
                    None => waits.callers.push(ticket),
                    Some(word) => expected.replies.push((ticket, word)),
                }
                return;
            }
            if let Some((_, known, number)) = self.keys.iter().find(|known| known.0 == *key).cloned() {
                let held = self.turns.iter_mut().find(|turn| turn.number == number);
                let word = is_same(known).unwrap_or(if held.is_some() { "begun" } else { "over" });
                if let (Some(held), "begun") = (held, word) {
                    held.callers.push(ticket);
                }
                return expected.replies.push((ticket, word));
            }
        }
        let after = begin.after.as_ref().map(|after| after.number);
        if let Some(word) = self.misplaced(&begin.session, after) {
            return expected.replies.push((ticket, word));
        }
        if is_turned_away {
            return expected.replies.push((ticket, UNUSABLE));
        }
        let ack = now.steady.plus(policy.turns.cancel_ack).0;
        let in_the_way = self.turns.iter_mut().find(|turn| turn.session == begin.session);
        if let Some(turn) = in_the_way.filter(|turn| begin.preempt && turn.class > begin.class) {
            turn.cancel_due.get_or_insert(ack);
        }
        self.line.push(Waits {
            callers: vec![ticket],
            session: begin.session.clone(),
            class: begin.class,
            holder: begin.holder.clone(),
            until: begin.wait.map(|wait| now.steady.plus(wait).0),
            after,
            key: begin.key.clone(),
        });
    }

    fn misplaced(&self, session: &SessionName, after: Option<u64>) -> Option<&'static str> {
        let (_, last, is_closed) = self.session(session);
        match (is_closed, after) {
            (true, _) => Some("session_complete"),
            (false, Some(_)) if after != last => Some("out_of_step"),
            (false, _) => None,
        }
    }

    fn session(&self, name: &SessionName) -> (SessionName, Option<u64>, bool) {
        self.sessions.iter().find(|known| known.0 == *name).cloned().unwrap_or((name.clone(), None, false))
    }

    fn remember(&mut self, session: (SessionName, Option<u64>, bool)) {
        self.sessions.retain(|known| known.0 != session.0);
        self.sessions.push(session);
    }

    fn asked(
        &mut self,
        ticket: Ticket,
        request: &TurnRequest,
        before: &AgentState,
        now: Moment,
        policy: &Policy,
        expected: &mut Expected,
    ) {
        let number = match request {
            TurnRequest::Begin(_) => return,
            TurnRequest::Close { session } => {
                let (name, last, _) = self.session(session);
                self.remember((name, last, true));
                for waits in self.line.iter().filter(|waits| waits.session == *session) {
                    expected.replies.extend(waits.callers.iter().map(|caller| (*caller, "session_complete")));
                }
                self.line.retain(|waits| waits.session != *session);
                return expected.replies.push((ticket, "closed"));
            }
            TurnRequest::Beat { turn }
            | TurnRequest::Complete { turn, .. }
            | TurnRequest::Cancel { turn, .. }
            | TurnRequest::Cancelled { turn }
            | TurnRequest::Fence { turn } => *turn,
        };
        let Some(at) = self.turns.iter().position(|turn| turn.number == number) else {
            let never_was = number == 0 || number > self.issued;
            return expected.replies.push((ticket, if never_was { "not_found" } else { "over" }));
        };
        let is_past_return = before.phase.applying().is_some_and(|applying| applying.intent.plan == Plan::Fence);
        let turn = &mut self.turns[at];
        let (word, end) = match request {
            TurnRequest::Begin(_) | TurnRequest::Close { .. } => return,
            TurnRequest::Beat { .. } => {
                turn.is_taken = true;
                turn.due = now.steady.plus(policy.turns.lease).0;
                if turn.lost == Some(Lost::Silent) && !is_past_return {
                    turn.lost = None;
                }
                ("beaten", None)
            }
            TurnRequest::Complete { is_ok: true, .. } => ("ended", Some(TurnEnd::Complete)),
            TurnRequest::Complete { is_ok: false, .. } => ("ended", Some(TurnEnd::Failed)),
            TurnRequest::Cancel { .. } => {
                turn.cancel_due.get_or_insert(now.steady.plus(policy.turns.cancel_ack).0);
                ("cancel_asked", None)
            }
            TurnRequest::Cancelled { .. } if turn.cancel_due.is_some() => ("ended", Some(TurnEnd::Cancelled)),
            TurnRequest::Cancelled { .. } => ("no_cancel", None),
            TurnRequest::Fence { .. } if turn.is_taken => {
                turn.lost = Some(Lost::Operator);
                ("fencing", None)
            }
            TurnRequest::Fence { .. } => ("fencing", Some(TurnEnd::Cancelled)),
        };
        expected.replies.push((ticket, word));
        if let Some(end) = end {
            let turn = self.turns.remove(at);
            if end == TurnEnd::Complete {
                let (name, _, is_closed) = self.session(&turn.session);
                self.remember((name, Some(number), is_closed));
            }
            expected.ended.push((number, end));
        }
    }

    fn leaves(&mut self, ticket: Ticket, expected: &mut Expected) {
        for waits in &mut self.line {
            waits.callers.retain(|caller| *caller != ticket);
        }
        self.line.retain(|waits| !waits.callers.is_empty());
        let known = self.turns.iter_mut().find(|turn| turn.callers.contains(&ticket));
        let Some(turn) = known else { return };
        turn.callers.retain(|caller| *caller != ticket);
        if turn.callers.is_empty() && !turn.is_taken {
            let number = turn.number;
            self.lapses(number, expected);
        }
    }

    fn lapses(&mut self, number: u64, expected: &mut Expected) {
        self.turns.retain(|turn| turn.number != number);
        self.keys.retain(|known| known.2 != number);
        expected.ended.push((number, TurnEnd::Lapsed));
    }

    fn has_due(&self, now: u64) -> bool {
        let is_due = |turn: &Held| turn.due <= now || turn.cancel_due.is_some_and(|due| due <= now);
        self.turns.iter().any(|turn| turn.lost.is_none() && is_due(turn))
            || self.line.iter().any(|waits| waits.until.is_some_and(|until| until <= now))
    }

    fn expire(&mut self, now: u64, expected: &mut Expected) {
        let mut lapsed = Vec::new();
        let mut unanswered = Vec::new();
        for turn in self.turns.iter_mut().filter(|turn| turn.lost.is_none()) {
            let is_unacknowledged = turn.cancel_due.is_some_and(|due| due <= now);
            match (turn.is_taken, is_unacknowledged, turn.due <= now) {
                (_, false, false) => {}
                (true, true, _) => turn.lost = Some(Lost::Unacknowledged),
                (true, false, true) => turn.lost = Some(Lost::Silent),
                (false, true, _) => unanswered.push(turn.number),
                (false, false, true) => lapsed.push(turn.number),
            }
        }
        for number in lapsed {
            self.lapses(number, expected);
        }
        for number in unanswered {
            self.turns.retain(|turn| turn.number != number);
            expected.ended.push((number, TurnEnd::Cancelled));
        }
        let is_over = |waits: &Waits| waits.until.is_some_and(|until| until <= now);
        for waits in self.line.iter().filter(|waits| is_over(waits)) {
            expected.replies.extend(waits.callers.iter().map(|caller| (*caller, "wait_expired")));
        }
        self.line.retain(|waits| !is_over(waits));
    }

    /// The next one to begin: the first of the interactive ones whose session is free, else of the others.
    fn next(&self, sessions_max: u32) -> Option<usize> {
        let is_free = |session: &SessionName| self.turns.iter().all(|turn| turn.session != *session);
        let first = |class| self.line.iter().position(|waits| waits.class == class && is_free(&waits.session));
        if self.turns.len() >= sessions_max as usize {
            return None;
        }
        first(TurnClass::Interactive).or_else(|| first(TurnClass::Background))
    }

    fn serve(&mut self, after: &AgentState, now: Moment, policy: &Policy, expected: &mut Expected) {
        let is_open = is_open(after, policy, now);
        while let Some(at) = self.next(policy.turns.sessions_max).filter(|_| is_open) {
            let waits = self.line.remove(at);
            if let Some(word) = self.misplaced(&waits.session, waits.after) {
                expected.replies.extend(waits.callers.iter().map(|caller| (*caller, word)));
                continue;
            }
            self.issued += 1;
            let number = self.issued;
            expected.begun.push((number, waits.holder));
            expected.replies.extend(waits.callers.iter().map(|caller| (*caller, "begun")));
            self.keys.extend(waits.key.map(|(key, digest)| (key, digest, number)));
            self.turns.push(Held {
                number,
                session: waits.session,
                class: waits.class,
                is_taken: false,
                due: now.steady.plus(UNTAKEN_FOR).0,
                cancel_due: None,
                lost: None,
                callers: waits.callers,
            });
        }
        let is_hopeless = matches!(after.phase, Phase::Exhausted { .. });
        let (leave, stay) =
            std::mem::take(&mut self.line).into_iter().partition(|waits| waits.until.is_none() || is_hopeless);
        self.line = stay;
        for waits in leave {
            let is_busy = self.turns.iter().any(|turn| turn.session == waits.session);
            let word = match (is_open, is_busy) {
                (false, _) => UNUSABLE,
                (true, true) => "in_progress",
                (true, false) => "sessions_full",
            };
            expected.replies.extend(waits.callers.iter().map(|caller| (*caller, word)));
        }
    }

    fn compare(&self, expected: &Expected, ended: Vec<(u64, TurnEnd)>, decision: &Decision) -> Option<String> {
        let begun = decision.changes.iter().filter_map(|change| match change {
            Change::TurnBegun { turn, .. } => Some((turn.id.number, turn.holder.clone())),
            _ => None,
        });
        let begun: Vec<(u64, String)> = begun.collect();
        if begun != expected.begun {
            return Some(format!("{begun:?} began, and {:?} should have", expected.begun));
        }
        let mut said: Vec<_> = decision.about_turns().iter().map(|(to, reply)| (*to, turn_word(reply))).collect();
        let mut due = expected.replies.clone();
        said.sort_unstable();
        due.sort_unstable();
        let is_as_due = |((to, word), (due_to, due_word)): (&(Ticket, &str), &(Ticket, &str))| {
            to == due_to && (word == due_word || (*due_word == UNUSABLE && is_unusable(word)))
        };
        if said.len() != due.len() || !said.iter().zip(&due).all(is_as_due) {
            return Some(format!("{said:?} was said, and {due:?} should have been"));
        }
        let (mut ended, mut ends) = (ended, expected.ended.clone());
        ended.sort_unstable_by_key(|(number, _)| *number);
        ends.sort_unstable_by_key(|(number, _)| *number);
        (ended != ends).then(|| format!("{ended:?} ended, and {ends:?} should have; {self:?}"))
    }

    /// Holds the two ledgers against each other. What only an operator wanted ended may go on after all.
    fn differs(&mut self, state: &AgentState) -> Option<String> {
        for turn in self.turns.iter_mut().filter(|turn| turn.lost == Some(Lost::Operator)) {
            if state.turns.turn(turn.number).is_some_and(|its| its.lost.is_none()) {
                turn.lost = None;
            }
        }
        let of = |turn: &Turn| (turn.id.number, turn.session.clone(), turn.is_taken, turn.cancel.is_some(), turn.lost);
        let is: Vec<_> = state.turns.turns().map(of).collect();
        let mut should: Vec<_> = self
            .turns
            .iter()
            .map(|turn| (turn.number, turn.session.clone(), turn.is_taken, turn.cancel_due.is_some(), turn.lost))
            .collect();
        should.sort_unstable_by_key(|(number, ..)| *number);
        if is != should {
            return Some(format!("the turns are {is:?}, and should be {should:?}"));
        }
        let waiting: usize = self.line.len();
        (state.turns.queued() != waiting).then(|| format!("{} wait instead of {waiting}", state.turns.queued()))
    }

    /// The daemon was killed: those who waited have gone, every lease is there and has a lease of time.
    pub(crate) fn restart(&mut self, record: &TurnsRecord, lease: Duration, now: Moment) -> Option<&'static str> {
        self.line.clear();
        let later = |until: switchman::domain::Wall| now.steady.plus(until.since(now.wall).max(lease)).0;
        for turn in &mut self.turns {
            let Some(stored) = record.active.iter().find(|stored| stored.id.number == turn.number) else {
                return Some("a lease was not written");
            };
            turn.due = later(stored.until);
            turn.cancel_due = stored.cancel.as_ref().map(|cancel| later(cancel.until));
            turn.callers.clear();
        }
        None
    }
}

fn end(change: &Change) -> Option<(u64, TurnEnd)> {
    match change {
        Change::TurnEnded { turn, ended } => Some((turn.id.number, ended.end)),
        _ => None,
    }
}

fn is_unusable(word: &str) -> bool {
    ["switching", "exhausted", "parked", "paused", "braked", "not_running", "unassigned"].contains(&word)
}

/// Whether turns may begin: on an agent that is left alone, runs as far as is known, and has what can serve it (H9).
pub(crate) fn is_open(state: &AgentState, policy: &Policy, now: Moment) -> bool {
    let is_down =
        matches!(state.sighting.as_ref().map(|seen| seen.state), Some(RuntimeState::Stopped | RuntimeState::Missing));
    matches!(state.phase, Phase::Serving)
        && state.assignment.is_some()
        && state.trouble.as_ref().is_none_or(|trouble| trouble.until.is_some_and(|until| until <= now.wall))
        && state.shunned_until.is_none_or(|until| until <= now.wall)
        && !is_down
        && (policy.runtime == RuntimeKind::Container || state.is_up)
}
