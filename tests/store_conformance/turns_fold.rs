//! Random lives of turns: after each batch every store gives what the fold of the changes gives, and refuses what must
//! not be written.

use std::future::Future;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use switchman::domain::{
    Cancel, Cause, CauseBy, Change, IntentOutcome, Lost, Moment, Plan, Steady, Turn, TurnClass, TurnEnd, TurnKey, Wall,
};
use switchman::drivers::fake::store::FakeStore;
use switchman::drivers::sqlite::SqliteStore;
use switchman::machine::agent::testing::RecordFold;
use switchman::ports::store::{HistoryQuery, Store, StoreError};

use crate::rows::*;

const AGENTS: [&str; 2] = ["web", "db"];
const SESSIONS: [&str; 3] = ["x", "y", "x,y"];

/// What is tried, whether it is allowed or not.
#[derive(Debug, Clone)]
enum Try {
    Begin {
        number: Number,
        session: usize,
        key: Option<u8>,
    },
    /// Its holder takes it, is asked to stop, fails, is lost: a bit for each.
    Change {
        turn: Number,
        what: u8,
    },
    End {
        turn: Number,
        end: usize,
        is_handed_over: bool,
    },
    Save {
        session: usize,
        last_completed: Option<u64>,
        is_closed: bool,
    },
    Intend {
        plan: usize,
        by: usize,
    },
}

/// The next number that was not given out, or one that may have been; if not, it is the next one.
#[derive(Debug, Clone, Copy)]
enum Number {
    Next,
    Known(u64),
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![3 => Just(Number::Next), 1 => (1_u64..12).prop_map(Number::Known)]
}

fn tries() -> impl Strategy<Value = Vec<(usize, Try)>> {
    let known = || prop_oneof![3 => (1_u64..12).prop_map(Number::Known), 1 => Just(Number::Next)];
    let one = prop_oneof![
        4 => (number(), 0..SESSIONS.len(), prop::option::of(0_u8..3))
            .prop_map(|(number, session, key)| Try::Begin { number, session, key }),
        3 => (known(), any::<u8>()).prop_map(|(turn, what)| Try::Change { turn, what }),
        4 => (known(), 0..TurnEnd::ALL.len(), any::<bool>())
            .prop_map(|(turn, end, is_handed_over)| Try::End { turn, end, is_handed_over }),
        1 => (0..SESSIONS.len(), prop::option::of(1_u64..9), any::<bool>())
            .prop_map(|(session, last_completed, is_closed)| Try::Save { session, last_completed, is_closed }),
        1 => (0..Plan::ALL.len(), 0..CauseBy::ALL.len()).prop_map(|(plan, by)| Try::Intend { plan, by }),
    ];
    prop::collection::vec((0..AGENTS.len(), one), 0..40)
}

/// One agent's changes so far.
struct Life {
    name: &'static str,
    fold: RecordFold,
    /// Every turn that ever was, by number from 1.
    turns: Vec<Turn>,
    intents: u64,
}

impl Life {
    fn new(name: &'static str) -> Self {
        let fold = RecordFold::new(agent(name), Moment { wall: Wall(T0), steady: Steady(0) });
        Self { name, fold, turns: Vec::new(), intents: 0 }
    }

    fn number(&self, number: Number) -> u64 {
        let next = u64::try_from(self.turns.len()).unwrap() + 1;
        match number {
            Number::Next => next,
            Number::Known(number) => number.min(next),
        }
    }

    fn is_active(&self, number: u64) -> bool {
        self.fold.record.turns.active.iter().any(|turn| turn.id.number == number)
    }

    fn is_busy(&self, session: &str) -> bool {
        self.fold.record.turns.active.iter().any(|turn| turn.session.as_str() == session)
    }

    /// The turn of a number as it is known, or one that never was.
    fn turn(&self, number: u64) -> Turn {
        let known = self.fold.record.turns.active.iter().find(|turn| turn.id.number == number);
        let past = || self.turns.get(usize::try_from(number).unwrap() - 1);
        known.or_else(past).cloned().unwrap_or_else(|| turn(self.name, number, "z"))
    }

    /// The batch that tries it, and whether it may be written.
    fn batch(&mut self, what: &Try) -> (Vec<Change>, bool) {
        match what {
            Try::Begin { number, session, key } => {
                let number = self.number(*number);
                let session = SESSIONS[*session];
                let held = Turn {
                    key: key.map(|key| (TurnKey::from(format!("key-{key}")), u64::from(key))),
                    ..turn(self.name, number, session)
                };
                let is_new = number == self.number(Number::Next);
                (vec![begun(&held)], is_new && !self.is_busy(session))
            }
            Try::Change { turn, what } => {
                let number = self.number(*turn);
                let is = |bit: u8| what & (1 << bit) != 0;
                let new = Turn {
                    is_taken: is(0),
                    cancel: is(1).then(|| Cancel { by: "operator".to_owned(), until: Wall(T0 + 9) }),
                    has_failed: is(2),
                    lost: is(3).then_some(Lost::Silent),
                    life: is(4).then(instance),
                    class: if is(5) { TurnClass::Interactive } else { TurnClass::Background },
                    until: Wall(T0 + i64::from(*what)),
                    ..self.turn(number)
                };
                (vec![changed(&new)], self.is_active(number))
            }
            Try::End { turn, end, is_handed_over } => {
                let number = self.number(*turn);
                let (old, end) = (self.turn(number), TurnEnd::ALL[*end]);
                let mut changes = vec![over(&old, end, T0 + 99)];
                if end == TurnEnd::Complete {
                    let saved = session(old.session.as_str(), Some(number), false);
                    changes.push(Change::SessionSaved(agent(self.name), saved));
                }
                if *is_handed_over {
                    let next = self.number(Number::Next);
                    changes.push(begun(&super::rows::turn(self.name, next, old.session.as_str())));
                }
                (changes, self.is_active(number))
            }
            Try::Save { session: name, last_completed, is_closed } => {
                let saved = session(SESSIONS[*name], *last_completed, *is_closed);
                (vec![Change::SessionSaved(agent(self.name), saved)], true)
            }
            Try::Intend { plan, by } => {
                self.intents += 1;
                let mut opened = intent(self.name, self.intents, 1, "max-a");
                (opened.plan, opened.cause) = (Plan::ALL[*plan], Cause::of(CauseBy::ALL[*by]));
                opened.turn = (opened.plan == Plan::Fence).then(|| turn_id(self.name, 1));
                let closed = Change::IntentClosed(end(self.name, self.intents, IntentOutcome::Failed, T0 + 9));
                (vec![Change::IntentOpened(opened), closed], true)
            }
        }
    }

    fn apply(&mut self, changes: &[Change]) {
        self.fold.apply(changes);
        for change in changes {
            if let Change::TurnBegun { turn, .. } = change {
                self.turns.push((**turn).clone());
            }
        }
    }
}

/// What a store answers that does its work within the first poll.
fn now<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().expect("it never waits")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_store_gives_what_the_fold_of_the_changes_gives(tries in tries()) {
        let stores: [Box<dyn Store>; 2] = [Box::new(FakeStore::new()), Box::new(SqliteStore::in_memory().unwrap())];
        let mut lives = AGENTS.map(Life::new);
        for (which, what) in &tries {
            let life = &mut lives[*which];
            let (changes, is_allowed) = life.batch(what);
            for store in &stores {
                let result = now(store.commit(changes.clone()));
                let is_conflict = matches!(&result, Err(StoreError::Conflict { agent }) if agent.as_str() == life.name);
                prop_assert!(if is_allowed { result.is_ok() } else { is_conflict }, "{:?}: {:?}", what, result);
            }
            if is_allowed {
                life.apply(&changes);
            }
            for (store, life) in stores.iter().flat_map(|store| lives.iter().map(move |life| (store, life))) {
                let loaded = now(store.load_agent(&agent(life.name))).unwrap();
                let (turns, budget) = loaded.map(|loaded| (loaded.turns, loaded.budget)).unwrap_or_default();
                prop_assert_eq!(&turns, &life.fold.record.turns, "{:?}", what);
                prop_assert_eq!(&budget, &life.fold.record.budget, "{:?}", what);
            }
        }
        for agent in AGENTS.map(agent).map(Some).into_iter().chain([None]) {
            let query = HistoryQuery { agent, limit: 1000, ..HistoryQuery::default() };
            let [fake, sqlite] = stores.each_ref().map(|store| now(store.turns(query.clone())).unwrap());
            prop_assert_eq!(&fake.rows, &sqlite.rows);
            for row in fake.rows {
                prop_assert_eq!(now(stores[1].turn(&row.turn.id)).unwrap(), Some(row));
            }
        }
    }
}
