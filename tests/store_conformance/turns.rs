//! Turns, their sessions and keys, and the budget of fences.

use switchman::domain::{
    AgentRecord, Cause, CauseBy, Change, IntentOutcome, KeyRecord, Lost, Plan, Turn, TurnEnd, TurnEnded, TurnRecord,
    TurnsRecord, Wall,
};
use switchman::ports::store::{HistoryQuery, Retention, Store, StoreError};

use crate::cases::record;
use crate::rig::Rig;
use crate::rows::*;

async fn turns(store: &dyn Store, name: &str) -> TurnsRecord {
    record(store, name).await.turns
}

async fn refused(store: &dyn Store, change: Change) {
    let result = store.commit(vec![change.clone()]).await;
    assert!(
        matches!(&result, Err(StoreError::Conflict { agent }) if agent.as_str() == "web"),
        "{change:?}: {result:?}"
    );
}

fn key_of(turn: &Turn) -> KeyRecord {
    let (key, digest) = turn.key.clone().unwrap();
    KeyRecord { key, digest, turn: turn.id.number }
}

pub(crate) async fn a_turn_reads_back_from_its_beginning_to_its_end(rig: &Rig) {
    let store = rig.open();
    let (plain, full) = (turn("web", 1, "x"), full_turn("web", 2, "y,z"));
    store.commit(vec![begun(&plain), begun(&full)]).await.unwrap();
    drop(store);

    let store = rig.open();
    let expected = TurnsRecord {
        issued: 2,
        active: vec![plain.clone(), full.clone()],
        sessions: Vec::new(),
        keys: vec![key_of(&full)],
        fences: Vec::new(),
    };
    assert_eq!(turns(&*store, "web").await, expected);
    assert_eq!(store.turn(&full.id).await.unwrap(), Some(TurnRecord { turn: full.clone(), ended: None }));
    assert_eq!(store.turn(&turn_id("web", 3)).await.unwrap(), None);
    assert_eq!(store.turn(&turn_id("db", 1)).await.unwrap(), None);

    // Each becomes what the other was, but for what it is known by.
    let swapped = |to: &Turn, of: &Turn| Turn {
        id: of.id.clone(),
        session: of.session.clone(),
        begun_at: of.begun_at,
        key: of.key.clone(),
        ..to.clone()
    };
    let (rich, poor) = (swapped(&full, &plain), swapped(&plain, &full));
    store.commit(vec![changed(&rich), changed(&poor)]).await.unwrap();
    assert_eq!(turns(&*store, "web").await, TurnsRecord { active: vec![rich.clone(), poor.clone()], ..expected });

    // What it was at its end is kept as well.
    let last = Turn { lost: Some(Lost::Operator), has_failed: false, ..rich };
    let ended = TurnEnded {
        end: TurnEnd::CutOff,
        at: Wall(T0 + 50),
        by: Some(intent_id("web", 4)),
        reason: Some("moved to \"max-b\"".to_owned()),
    };
    store.commit(vec![Change::TurnEnded { turn: Box::new(last.clone()), ended: ended.clone() }]).await.unwrap();
    drop(store);

    let store = rig.open();
    assert_eq!(turns(&*store, "web").await.active, [poor]);
    assert_eq!(turns(&*store, "web").await.issued, 2);
    assert_eq!(store.turn(&last.id).await.unwrap(), Some(TurnRecord { turn: last, ended: Some(ended) }));
}

pub(crate) async fn every_end_of_a_turn_reads_back(rig: &Rig) {
    let store = rig.open();
    for (number, end) in (1..).zip(TurnEnd::ALL) {
        let held = turn("web", number, "x");
        store.commit(vec![begun(&held), over(&held, *end, T0 + 90)]).await.unwrap();
        let ended = TurnEnded { end: *end, at: Wall(T0 + 90), by: None, reason: None };
        assert_eq!(store.turn(&held.id).await.unwrap(), Some(TurnRecord { turn: held, ended: Some(ended) }));
    }
    let loaded = turns(&*store, "web").await;
    assert_eq!((loaded.issued, loaded.active), (5, Vec::new()));
}

pub(crate) async fn a_number_is_given_to_one_turn_and_a_session_to_one_at_a_time(rig: &Rig) {
    let store = rig.open();
    let (first, ended) = (turn("web", 1, "x"), turn("web", 2, "y"));
    store.commit(vec![begun(&first), begun(&ended), over(&ended, TurnEnd::Complete, T0 + 9)]).await.unwrap();
    let before = turns(&*store, "web").await;
    refused(&*store, begun(&turn("web", 1, "z"))).await;
    refused(&*store, begun(&turn("web", 2, "z"))).await;
    refused(&*store, begun(&turn("web", 0, "z"))).await;
    refused(&*store, begun(&turn("web", 3, "x"))).await;
    // A hand-over is one batch, and in this order only.
    let next = turn("web", 3, "x");
    let stolen = store.commit(vec![begun(&next), over(&first, TurnEnd::Complete, T0 + 9)]).await;
    assert!(matches!(stolen, Err(StoreError::Conflict { .. })), "{stolen:?}");
    assert_eq!(turns(&*store, "web").await, before);
    store.commit(vec![over(&first, TurnEnd::Complete, T0 + 9), begun(&next)]).await.unwrap();
    // Another agent has numbers and sessions of its own.
    let other = turn("db", 1, "x");
    store.commit(vec![begun(&other)]).await.unwrap();
    assert_eq!(turns(&*store, "web").await.active, [next]);
    assert_eq!(turns(&*store, "db").await.active, [other]);
}

pub(crate) async fn a_turn_that_has_ended_is_never_changed_again(rig: &Rig) {
    let store = rig.open();
    let held = full_turn("web", 1, "x");
    store.commit(vec![begun(&held), over(&held, TurnEnd::Failed, T0 + 9)]).await.unwrap();
    let before = store.turn(&held.id).await.unwrap();
    refused(&*store, changed(&turn("web", 1, "x"))).await;
    refused(&*store, over(&held, TurnEnd::Complete, T0 + 10)).await;
    assert_eq!(store.turn(&held.id).await.unwrap(), before);
    // One that never began is not begun by the way.
    refused(&*store, changed(&turn("web", 2, "y"))).await;
    refused(&*store, over(&turn("web", 2, "y"), TurnEnd::Complete, T0 + 10)).await;
    assert_eq!(store.turn(&turn_id("web", 2)).await.unwrap(), None);
}

pub(crate) async fn the_longest_untouched_session_comes_first(rig: &Rig) {
    let store = rig.open();
    let save = |session| Change::SessionSaved(agent("web"), session);
    store.commit(vec![save(session("x", None, false)), save(session("y,z", Some(3), true))]).await.unwrap();
    store.commit(vec![Change::SessionSaved(agent("db"), session("x", Some(u64::MAX), true))]).await.unwrap();
    store.commit(vec![save(session("w", Some(4), false)), save(session("x", Some(5), true))]).await.unwrap();
    drop(store);

    let store = rig.open();
    let kept = [session("y,z", Some(3), true), session("w", Some(4), false), session("x", Some(5), true)];
    assert_eq!(turns(&*store, "web").await.sessions, kept);
    assert_eq!(turns(&*store, "db").await.sessions, [session("x", Some(u64::MAX), true)]);
    // What was known of it is replaced as a whole.
    store.commit(vec![save(session("y,z", None, false))]).await.unwrap();
    let kept = [session("w", Some(4), false), session("x", Some(5), true), session("y,z", None, false)];
    assert_eq!(turns(&*store, "web").await.sessions, kept);
}

pub(crate) async fn the_newest_sessions_and_keys_are_remembered(rig: &Rig) {
    let store = rig.open();
    let more = u64::try_from(TurnsRecord::KEYS_MAX).unwrap() + 1;
    assert_eq!(TurnsRecord::SESSIONS_MAX, TurnsRecord::KEYS_MAX);
    let mut changes = Vec::new();
    for number in 1..=more {
        let name = format!("s-{number}");
        let held = Turn { key: full_turn("web", number, "x").key, ..turn("web", number, &name) };
        changes.extend([begun(&held), over(&held, TurnEnd::Complete, T0 + 9)]);
        changes.push(Change::SessionSaved(agent("web"), session(&name, Some(number), false)));
    }
    // One that was touched again is not the longest untouched one.
    changes.push(Change::SessionSaved(agent("web"), session("s-1", Some(1), true)));
    // One without a key takes the place of none.
    let keyless = turn("web", more + 1, "x");
    changes.push(begun(&keyless));
    store.commit(changes).await.unwrap();
    drop(store);

    let store = rig.open();
    let loaded = turns(&*store, "web").await;
    assert_eq!(loaded.issued, more + 1);
    let keys: Vec<_> = loaded.keys.iter().map(|known| known.turn).collect();
    assert!(keys.iter().copied().eq(2..=more), "{} from {:?}", keys.len(), keys.first());
    let kept: Vec<_> = loaded.sessions.iter().map(|known| known.last_completed.unwrap()).collect();
    assert!(kept.iter().copied().eq((3..=more).chain([1])), "{} from {:?}", kept.len(), kept.first());
    assert!(loaded.sessions.last().unwrap().is_closed);
    let keep_all = Retention {
        undelivered_since: Wall(0),
        keep_since: Wall(0),
        answers_since: Wall(0),
        answers_max: 1000,
        bytes_max: u64::MAX,
    };
    store.sweep(keep_all).await.unwrap();
    assert!(turns(&*store, "web").await == loaded, "what is remembered is not swept");
}

pub(crate) async fn the_key_of_a_turn_that_lapsed_is_free(rig: &Rig) {
    let store = rig.open();
    let (lapsed, kept) = (full_turn("web", 1, "x"), full_turn("web", 2, "y"));
    store.commit(vec![begun(&lapsed), begun(&kept)]).await.unwrap();
    assert_eq!(turns(&*store, "web").await.keys, [key_of(&lapsed), key_of(&kept)]);
    store.commit(vec![over(&lapsed, TurnEnd::Lapsed, T0 + 9), over(&kept, TurnEnd::CutOff, T0 + 9)]).await.unwrap();
    assert_eq!(turns(&*store, "web").await.keys, [key_of(&kept)]);
    // The same request again, which is a turn of its own.
    let again = Turn { key: lapsed.key.clone(), ..turn("web", 3, "x") };
    store.commit(vec![begun(&again)]).await.unwrap();
    assert_eq!(turns(&*store, "web").await.keys, [key_of(&kept), key_of(&again)]);
    assert_eq!(store.turn(&lapsed.id).await.unwrap().unwrap().turn.key, lapsed.key, "the history still shows it");
}

pub(crate) async fn fences_and_switches_that_nobody_asked_for_are_counted_apart(rig: &Rig) {
    let store = rig.open();
    let (mut fences, mut switches) = (Vec::new(), Vec::new());
    let kinds: Vec<_> = Plan::ALL.iter().flat_map(|plan| CauseBy::ALL.iter().map(|by| (*plan, *by))).collect();
    let mut number = 0;
    for _ in 0..AgentRecord::BUDGET_MAX + 5 {
        let mut changes = Vec::new();
        for (plan, by) in &kinds {
            number += 1;
            let mut opened = intent("web", number, 2, "max-b");
            (opened.plan, opened.cause) = (*plan, Cause::of(*by));
            opened.turn = (*plan == Plan::Fence).then(|| turn_id("web", 7));
            match (plan, by) {
                (Plan::Fence, CauseBy::Turn) => fences.push(opened.started_at),
                (Plan::Switch, by) if by.is_budgeted() => switches.push(opened.started_at),
                _ => {}
            }
            changes.push(Change::IntentOpened(opened));
            changes.push(Change::IntentClosed(end("web", number, IntentOutcome::Failed, T0 + 9)));
        }
        store.commit(changes).await.unwrap();
        let loaded = record(&*store, "web").await;
        let newest = |all: &[Wall]| all[all.len().saturating_sub(AgentRecord::BUDGET_MAX)..].to_vec();
        assert_eq!(loaded.turns.fences, newest(&fences));
        assert_eq!(loaded.budget, newest(&switches));
    }
}

pub(crate) async fn a_fence_names_its_turn(rig: &Rig) {
    let store = rig.open();
    let held = turn("web", 1, "x");
    let mut opened = intent("web", 1, 1, "max-a");
    (opened.plan, opened.cause, opened.turn) = (Plan::Fence, Cause::of(CauseBy::Turn), Some(turn_id("web-t9", 1)));
    store.commit(vec![begun(&held), Change::IntentOpened(opened.clone())]).await.unwrap();
    assert_eq!(record(&*store, "web").await.open.unwrap().intent, opened);
    // Another pick within the same intent is about another turn.
    opened.turn = Some(held.id.clone());
    store.commit(vec![Change::IntentOpened(opened.clone())]).await.unwrap();
    assert_eq!(record(&*store, "web").await.open.unwrap().intent, opened);
    let ended = TurnEnded { end: TurnEnd::CutOff, at: Wall(T0 + 9), by: Some(opened.id.clone()), reason: None };
    store
        .commit(vec![
            Change::TurnEnded { turn: Box::new(held), ended },
            Change::IntentClosed(end("web", 1, IntentOutcome::Ready, T0 + 9)),
        ])
        .await
        .unwrap();
    let loaded = record(&*store, "web").await;
    assert_eq!(loaded.last.unwrap().intent, opened);
    assert_eq!((loaded.turns.active, loaded.turns.fences), (Vec::new(), vec![opened.started_at]));
}

pub(crate) async fn turns_are_paged_newest_first(rig: &Rig) {
    let store = rig.open();
    for number in 1..=5 {
        for name in ["web", "db"] {
            let held = turn(name, number, "x");
            store.commit(vec![begun(&held)]).await.unwrap();
            if number < 5 {
                store.commit(vec![over(&held, TurnEnd::Complete, T0 + 100)]).await.unwrap();
            }
        }
    }
    let all = HistoryQuery { limit: 4, ..HistoryQuery::default() };
    let one = HistoryQuery { agent: Some(agent("web")), limit: 2, ..HistoryQuery::default() };
    let since = |at, query: &HistoryQuery| HistoryQuery { since: Some(Wall(T0 + at)), ..query.clone() };
    for (query, expected) in [
        (since(4, &all), vec!["db5 web5 db4 web4"]),
        (since(3, &all), vec!["db5 web5 db4 web4", "db3 web3"]),
        (since(3, &one), vec!["web5 web4", "web3"]),
        (since(6, &one), vec![""]),
        (all, vec!["db5 web5 db4 web4", "db3 web3 db2 web2", "db1 web1"]),
        (one, vec!["web5 web4", "web3 web2", "web1"]),
        (HistoryQuery { agent: Some(agent("none")), limit: 3, ..HistoryQuery::default() }, vec![""]),
    ] {
        let mut pages = Vec::new();
        let mut place = query.clone();
        loop {
            let page = store.turns(place.clone()).await.unwrap();
            for row in &page.rows {
                assert_eq!(row.ended.is_none(), row.turn.id.number == 5, "{row:?}");
            }
            let shown = page.rows.iter().map(|row| format!("{}{}", row.turn.id.agent, row.turn.id.number));
            pages.push(shown.collect::<Vec<_>>().join(" "));
            place.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected, "{query:?}");
    }
}

/// The calendar may be set back: a later turn began earlier. The order is that of the turns all the same.
pub(crate) async fn turns_since_a_time_are_found_across_a_step_of_the_clock(rig: &Rig) {
    let store = rig.open();
    for (number, at) in [(1, 10), (2, 50), (3, 20), (4, 60)] {
        let held = Turn { begun_at: Wall(T0 + at), ..turn("web", number, &number.to_string()) };
        store.commit(vec![begun(&held)]).await.unwrap();
    }
    for agent in [None, Some(agent("web"))] {
        let query = HistoryQuery { agent, since: Some(Wall(T0 + 50)), limit: 1, ..HistoryQuery::default() };
        let first = store.turns(query.clone()).await.unwrap();
        let second = store.turns(HistoryQuery { before: first.next, ..query }).await.unwrap();
        let numbers: Vec<_> = [first.rows, second.rows].concat().iter().map(|row| row.turn.id.number).collect();
        assert_eq!((numbers, second.next), (vec![4, 2], None));
    }
}

pub(crate) async fn an_agent_is_known_by_its_turns_alone(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![begun(&turn("web", 8, "x"))]).await.unwrap();
    store.commit(vec![Change::SessionSaved(agent("db"), session("x", None, true))]).await.unwrap();
    assert_eq!(record(&*store, "web").await.attributes, attributes());
    assert_eq!(turns(&*store, "web").await.issued, 8);
    assert_eq!(record(&*store, "db").await.attributes, attributes());
    assert_eq!(store.load_agent(&agent("none")).await.unwrap(), None);
}
