//! What goes with time, and what stays.

use switchman::domain::{
    Change, FailureRecord, Generation, IntentOutcome, Outcome, Reach, ReportId, Turn, TurnEnd, Wall,
};
use switchman::ports::store::{HistoryQuery, Retention, Store};

use crate::cases::record;
use crate::rig::Rig;
use crate::rows::*;

/// Everything that ended before this time goes.
const KEEP: i64 = T0 + 10 * DAY;

fn by_age() -> Retention {
    Retention {
        undelivered_since: Wall(0),
        keep_since: Wall(KEEP),
        answers_since: Wall(KEEP),
        answers_max: 1000,
        bytes_max: u64::MAX,
    }
}

async fn failure_numbers(store: &dyn Store) -> Vec<u64> {
    let page = store.failures(HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await.unwrap();
    page.rows.iter().rev().map(|row| row.id.number).collect()
}

pub(crate) async fn old_rows_go_and_what_is_in_use_stays(rig: &Rig) {
    let store = rig.open();
    let at = |number, at, outcome| {
        Change::FailureRecorded(FailureRecord { at: Wall(at), outcome, ..failure("web", number) })
    };
    store
        .commit(vec![
            saved("web", &full_attributes()),
            assigned("web", &assignment("max-a", 1, T0), 0),
            at(1, T0, Outcome::Ignored),
            at(2, T0, Outcome::Held),
            at(3, T0, Outcome::Ambiguous),
            at(4, KEEP - 1, Outcome::Stale),
            at(5, KEEP, Outcome::Stale),
            at(6, KEEP + 1, Outcome::Stale),
            Change::CooldownSet(cooldown(Reach::All, "ended", Some(KEEP - 1))),
            Change::CooldownSet(cooldown(Reach::All, "running", Some(KEEP + DAY))),
            Change::CooldownSet(cooldown(Reach::All, "quarantine", None)),
            Change::IntentOpened(intent("web", 1, 2, "max-b")),
            Change::IntentClosed(end("web", 1, IntentOutcome::Failed, KEEP - 1)),
            Change::IntentOpened(intent("web", 2, 3, "max-b")),
            Change::IntentClosed(end("web", 2, IntentOutcome::Failed, KEEP)),
            Change::IntentOpened(intent("web", 3, 4, "max-b")),
            Change::IntentClosed(end("web", 3, IntentOutcome::Failed, KEEP)),
            Change::IntentOpened(intent("web", 4, 5, "max-b")),
        ])
        .await
        .unwrap();
    let before = record(&*store, "web").await;
    store.sweep(by_age()).await.unwrap();
    assert_eq!(failure_numbers(&*store).await, [2, 3, 5, 6]);
    let intents = store.intents(HistoryQuery { limit: 10, ..HistoryQuery::default() }).await.unwrap().rows;
    assert_eq!(intents.iter().map(|row| row.intent.id.number).collect::<Vec<_>>(), [4, 3, 2]);
    let pool = store.load_pool(Wall(T0)).await.unwrap();
    let quotas: Vec<_> = pool.cooldowns.iter().map(|cooldown| cooldown.key.quota.to_string()).collect();
    assert_eq!(quotas, ["quarantine", "running"]);
    let mut expected = before;
    expected.budget.remove(0);
    assert_eq!(record(&*store, "web").await, expected);
}

pub(crate) async fn answers_are_forgotten_by_age_and_number(rig: &Rig) {
    let store = rig.open();
    for number in 1..=6_u64 {
        let reported = FailureRecord {
            at: Wall(T0 + number.cast_signed() * DAY),
            ..full_failure("web", number, &format!("r-{number}"))
        };
        store.commit(vec![Change::FailureRecorded(reported)]).await.unwrap();
    }
    store.commit(vec![Change::FailureRecorded(full_failure("db", 1, "r-1"))]).await.unwrap();
    let known = async || {
        let ids = store.report_ids(&agent("web"), Wall(0), 100).await.unwrap();
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let keep_all = Retention {
        undelivered_since: Wall(0),
        keep_since: Wall(0),
        answers_since: Wall(T0 + 3 * DAY),
        answers_max: 1000,
        bytes_max: u64::MAX,
    };
    store.sweep(keep_all).await.unwrap();
    assert_eq!(known().await, "r-3 r-4 r-5 r-6");
    assert_eq!(store.answer(&agent("web"), &ReportId::from("r-2")).await.unwrap(), None);
    assert!(store.answer(&agent("web"), &ReportId::from("r-3")).await.unwrap().is_some());
    store.sweep(Retention { answers_max: 2, ..keep_all }).await.unwrap();
    assert_eq!(known().await, "r-5 r-6");
    assert_eq!(failure_numbers(&*store).await.len(), 7, "the failures themselves stay");
    // A forgotten id is free again; a remembered one outlives its time in the history.
    store.commit(vec![Change::FailureRecorded(full_failure("web", 7, "r-1"))]).await.unwrap();
    let hard = Retention { keep_since: Wall(T0 + 30 * DAY), answers_since: Wall(T0 + 6 * DAY), ..keep_all };
    store.sweep(hard).await.unwrap();
    assert_eq!(failure_numbers(&*store).await, [6]);
    assert!(store.answer(&agent("web"), &ReportId::from("r-6")).await.unwrap().is_some());
}

pub(crate) async fn a_notification_waits_for_the_slowest_target(rig: &Rig) {
    let store = rig.open();
    assert!(store.outgoing("fast", 10).await.unwrap().is_empty());
    assert!(store.outgoing("slow", 10).await.unwrap().is_empty());
    for id in ["n-1", "n-2", "n-3"] {
        store.commit(vec![Change::Notified(notification(id, T0))]).await.unwrap();
    }
    let waiting = store.outgoing("fast", 10).await.unwrap();
    store.delivered("fast", waiting[2].position).await.unwrap();
    store.delivered("slow", waiting[0].position).await.unwrap();
    store.sweep(by_age()).await.unwrap();
    assert_eq!(store.outgoing("slow", 10).await.unwrap(), waiting[1..]);
    // A target that is told no more keeps nothing for ever.
    store.sweep(Retention { undelivered_since: Wall(T0), ..by_age() }).await.unwrap();
    assert_eq!(store.outgoing("slow", 10).await.unwrap(), waiting[1..]);
    store.sweep(Retention { undelivered_since: Wall(T0 + 1), ..by_age() }).await.unwrap();
    assert_eq!(store.outgoing("slow", 10).await.unwrap(), []);
    store.delivered("slow", waiting[2].position).await.unwrap();
    store.sweep(by_age()).await.unwrap();
    drop(store);

    // Places go on growing although the outbox is empty, or the next event would never be told.
    let store = rig.open();
    store.commit(vec![Change::Notified(notification("n-4", T0))]).await.unwrap();
    assert_eq!(store.outgoing("slow", 10).await.unwrap().len(), 1);
    assert_eq!(store.outgoing("new", 10).await.unwrap().len(), 0);
}

pub(crate) async fn the_newest_end_and_the_newest_generations_stay(rig: &Rig) {
    let store = rig.open();
    for number in 1..=100 {
        store
            .commit(vec![
                Change::IntentOpened(intent("web", number, number, "max-b")),
                Change::IntentClosed(end("web", number, IntentOutcome::Ready, T0)),
                assigned("web", &assignment("max-b", number, T0), number - 1),
            ])
            .await
            .unwrap();
    }
    let before = record(&*store, "web").await;
    store.sweep(by_age()).await.unwrap();
    let after = record(&*store, "web").await;
    assert_eq!(after.issued, before.issued);
    assert_eq!(after.issued.first().unwrap().generation, Generation(37));
    assert_eq!((after.last, after.assignment), (before.last, before.assignment));
    let intents = store.intents(HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await.unwrap().rows;
    assert_eq!(intents.len(), 1);
}

async fn turn_names(store: &dyn Store) -> Vec<String> {
    let page = store.turns(HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await.unwrap();
    page.rows.iter().rev().map(|row| row.turn.id.to_string()).collect()
}

pub(crate) async fn ended_turns_go_and_no_number_is_forgotten(rig: &Rig) {
    let store = rig.open();
    let held =
        |name, number, begun_at| Turn { begun_at: Wall(begun_at), ..turn(name, number, &format!("session-{number}")) };
    let written = [
        (held("web", 1, T0), Some(KEEP - 1)),
        (held("web", 2, T0), None),
        (held("web", 3, T0), Some(KEEP)),
        (held("web", 4, KEEP - 1), Some(KEEP - 1)),
        // Given out once and never again, however long ago that was.
        (held("db", 1, T0), Some(T0 + 1)),
        (held("db", 2, T0), Some(T0 + 2)),
        (held("web", 5, KEEP), Some(KEEP)),
        (held("web", 6, KEEP + 1), Some(KEEP + 1)),
    ];
    for (held, ended_at) in written {
        let mut changes = vec![begun(&held)];
        changes.extend(ended_at.map(|at| over(&held, TurnEnd::Complete, at)));
        store.commit(changes).await.unwrap();
    }
    store.commit(vec![Change::SessionSaved(agent("db"), session("session-1", Some(1), true))]).await.unwrap();
    let before = (record(&*store, "web").await, record(&*store, "db").await);
    assert_eq!((before.0.turns.issued, before.1.turns.issued), (6, 2));
    for _ in 0..2 {
        store.sweep(by_age()).await.unwrap();
        assert_eq!(turn_names(&*store).await, ["web-t2", "web-t3", "db-t2", "web-t5", "web-t6"]);
    }
    assert_eq!(store.turn(&turn_id("web", 1)).await.unwrap(), None);
    assert_eq!((record(&*store, "web").await, record(&*store, "db").await), before);
    let again = store.commit(vec![begun(&held("web", 1, KEEP + 1))]).await;
    assert!(again.is_err(), "a number that went is not free: {again:?}");
    // Once there is a newer one it goes as well.
    store.commit(vec![begun(&held("db", 3, KEEP + 1))]).await.unwrap();
    store.sweep(by_age()).await.unwrap();
    assert_eq!(turn_names(&*store).await, ["web-t2", "web-t3", "web-t5", "web-t6", "db-t3"]);
}

pub(crate) async fn a_turn_with_a_key_is_remembered_for_as_long_as_a_report_id(rig: &Rig) {
    let store = rig.open();
    for number in 1..=3 {
        let keyed = full_turn("web", number, "x");
        store.commit(vec![begun(&keyed), over(&keyed, TurnEnd::Complete, T0 + 9)]).await.unwrap();
    }
    store.commit(vec![begun(&turn("web", 4, "x"))]).await.unwrap();
    store.sweep(Retention { answers_since: Wall(T0 + 2), ..by_age() }).await.unwrap();
    assert_eq!(turn_names(&*store).await, ["web-t2", "web-t3", "web-t4"]);
    let keys = record(&*store, "web").await.turns.keys;
    assert_eq!(keys.iter().map(|known| known.turn).collect::<Vec<_>>(), [2, 3]);
}
