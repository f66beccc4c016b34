//! What goes with time, and what stays.

use switchman::domain::{Change, FailureRecord, Generation, IntentOutcome, Outcome, Reach, ReportId, Wall};
use switchman::ports::store::{HistoryQuery, Retention, Store};

use crate::cases::record;
use crate::rig::Rig;
use crate::rows::*;

/// Everything that ended before this time goes.
const KEEP: i64 = T0 + 10 * DAY;

fn by_age() -> Retention {
    Retention { keep_since: Wall(KEEP), answers_since: Wall(KEEP), answers_max: 1000, bytes_max: u64::MAX }
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
    let keep_all =
        Retention { keep_since: Wall(0), answers_since: Wall(T0 + 3 * DAY), answers_max: 1000, bytes_max: u64::MAX };
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
