//! Random orders of many things that callers do, each step held against a ledger that was written down a second time
//! (`simulated/ledger.rs`).

use std::time::Duration;

use proptest::prelude::*;
use switchman::domain::{Fence, Turn, TurnClass, TurnId};
use switchman::machine::agent::testing::{Rig, policy};
use switchman::machine::agent::{Decision, Event, Ticket};
use switchman::machine::turns::{Begin, TurnRequest};

#[path = "simulated/ledger.rs"]
#[expect(dead_code, reason = "only the model kills the daemon")]
mod ledger;

use ledger::Book;

/// The last of them can be closed.
const SESSIONS: [&str; 4] = ["s", "t", "u", "v"];

/// Something that a caller does, or time.
#[derive(Debug, Clone)]
enum Deed {
    Begin {
        session: usize,
        class: TurnClass,
        wait: Option<u64>,
        preempt: bool,
        /// So many turns ago.
        after: Option<u64>,
        key: Option<(u8, u64)>,
    },
    Beat(u64),
    Complete(u64, bool),
    Cancel(u64),
    Acknowledge(u64),
    Fence(u64),
    /// Whoever asked so many times ago has gone.
    Leave(u64),
    Close(usize),
    Pass(u64),
    TickNext,
}

/// A number as a source of choices; strategies within strategies cost more than everything that is tried.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        let choice = self.0 % bound;
        self.0 /= bound;
        choice
    }

    /// Something in so many of a hundred cases.
    fn perhaps(&mut self, percent: u64, bound: u64) -> Option<u64> {
        let is_so = self.below(100) < percent;
        let choice = self.below(bound);
        is_so.then_some(choice)
    }
}

impl Deed {
    fn chosen(number: u64) -> Self {
        let mut choose = Choices(number);
        let kind = choose.below(30);
        let ago = |choose: &mut Choices| choose.below(4);
        match kind {
            0..8 => Self::Begin {
                session: usize::try_from(choose.below(4)).expect("small"),
                class: if choose.below(2) == 0 { TurnClass::Interactive } else { TurnClass::Background },
                wait: choose.perhaps(80, 40),
                preempt: choose.below(2) == 0,
                after: choose.perhaps(10, 3),
                key: choose.perhaps(30, 8).map(|key| (u8::try_from(key / 2).expect("small"), key % 2)),
            },
            8..14 => Self::Beat(ago(&mut choose)),
            14..18 => Self::Complete(ago(&mut choose), choose.below(2) == 0),
            18 => Self::Cancel(ago(&mut choose)),
            19 => Self::Acknowledge(ago(&mut choose)),
            20 => Self::Fence(ago(&mut choose)),
            21..23 => Self::Leave(choose.below(8)),
            23 => Self::Close(3),
            24..27 => Self::Pass(choose.below(30_000)),
            _ => Self::TickNext,
        }
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    prop::collection::vec(any::<u64>(), 0..100).prop_map(|numbers| numbers.into_iter().map(Deed::chosen).collect())
}

/// An agent that serves and is never fenced by the daemon, and what its ledger should be.
struct Tried {
    rig: Rig,
    book: Book,
    asked: u64,
}

impl Tried {
    fn new() -> Self {
        let mut rig = Rig::kept(policy()).found_on("a");
        rig.policy.turns.fence = Fence::None;
        rig.policy.turns.sessions_max = 2;
        Self { rig, book: Book::default(), asked: 1_000 }
    }

    fn send(&mut self, event: &Event) -> Result<Decision, TestCaseError> {
        let before = self.rig.state.clone();
        let decision = self.rig.send(event.clone());
        let wrong = self.book.follow(&before, event, &decision, self.rig.now, &self.rig.policy);
        prop_assert_eq!(wrong, None, "after {:?}: {:#?}", event, decision.state.turns);
        Ok(decision)
    }

    fn ask(&mut self, request: TurnRequest) -> Result<(), TestCaseError> {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        let decision = self.send(&Event::Turn { ticket, request })?;
        let answers = decision.about_turns().iter().filter(|(to, _)| *to == ticket).count();
        let waits = self.rig.state.turns.waiters().filter(|waiter| waiter.callers.contains(&ticket)).count();
        prop_assert_eq!(answers + waits, 1, "{:?} is answered once, or waits", ticket);
        Ok(())
    }

    fn turn(&self, ago: u64) -> u64 {
        (self.rig.state.turns.issued() + 1).saturating_sub(ago)
    }

    fn does(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        match deed {
            Deed::Begin { session, class, wait, preempt, after, key } => {
                let after = after.map(|ago| TurnId { agent: "worker".into(), number: self.turn(ago + 1) });
                self.ask(TurnRequest::Begin(Box::new(Begin {
                    session: SESSIONS[*session].into(),
                    class: *class,
                    holder: format!("caller {}", self.asked),
                    wait: wait.map(Duration::from_secs),
                    preempt: *preempt,
                    after,
                    key: key.map(|(key, digest)| (key.to_string().into(), digest)),
                })))
            }
            Deed::Beat(ago) => self.ask(TurnRequest::Beat { turn: self.turn(*ago) }),
            Deed::Complete(ago, is_ok) => self.ask(TurnRequest::Complete { turn: self.turn(*ago), is_ok: *is_ok }),
            Deed::Cancel(ago) => self.ask(TurnRequest::Cancel { turn: self.turn(*ago), by: "somebody".to_owned() }),
            Deed::Acknowledge(ago) => self.ask(TurnRequest::Cancelled { turn: self.turn(*ago) }),
            Deed::Fence(ago) => {
                let turn = self.turn(*ago);
                // One that was taken would lead out of serving; that is for the world to try.
                if self.rig.state.turns.turn(turn).is_some_and(|turn| turn.is_taken) {
                    return Ok(());
                }
                self.ask(TurnRequest::Fence { turn })
            }
            Deed::Leave(ago) => {
                let ticket = Ticket(self.asked.saturating_sub(*ago));
                self.send(&Event::Withdrawn { ticket }).map(|_| ())
            }
            Deed::Close(session) => self.ask(TurnRequest::Close { session: SESSIONS[*session].into() }),
            Deed::Pass(millis) => {
                self.rig.pass(Duration::from_millis(*millis));
                self.send(&Event::Tick).map(|_| ())
            }
            Deed::TickNext => {
                self.rig.pass(self.rig.state.timers.next(self.rig.now).unwrap_or_default());
                self.send(&Event::Tick).map(|_| ())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn callers_are_served_as_the_other_ledger_says(deeds in deeds()) {
        let mut tried = Tried::new();
        for deed in &deeds {
            tried.does(deed)?;
        }
    }

    #[test]
    fn what_is_written_is_the_ledger(deeds in deeds()) {
        let mut tried = Tried::new();
        for deed in &deeds {
            tried.does(deed)?;
        }
        let record = tried.rig.stored.clone().expect("kept").record;
        let (is, was) = (&tried.rig.state.turns, &tried.rig.restored(record).state.turns);
        prop_assert_eq!(is.issued(), was.issued());
        // A heartbeat renews a lease in memory alone.
        let durable = |turn: &Turn| Turn { until: tried.rig.now.wall, ..turn.clone() };
        prop_assert_eq!(is.turns().map(durable).collect::<Vec<_>>(), was.turns().map(durable).collect::<Vec<_>>());
        for session in SESSIONS {
            prop_assert_eq!(is.remembered(&session.into()), was.remembered(&session.into()));
        }
        for key in 0..4_u8 {
            prop_assert_eq!(is.keyed(&key.to_string().into()), was.keyed(&key.to_string().into()));
        }
        prop_assert_eq!(was.queued(), 0);
        prop_assert!(was.active().all(|active| active.due.remaining(tried.rig.now) >= tried.rig.policy.turns.lease));
    }

    #[test]
    fn whatever_was_done_everybody_in_line_is_answered_when_time_passes(
        deeds in deeds(),
    ) {
        let mut tried = Tried::new();
        for deed in &deeds {
            tried.does(deed)?;
        }
        for _ in 0..40 {
            tried.does(&Deed::Pass(1_000))?;
        }
        prop_assert_eq!(tried.rig.state.turns.queued(), 0);
    }
}
