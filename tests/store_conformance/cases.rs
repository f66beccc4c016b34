//! What every store does.

use std::task::{Context, Waker};

use futures_util::future::join_all;
use switchman::domain::{
    AgentRecord, Cause, CauseBy, Change, CooldownSource, Deferred, FailureKind, FailureRecord, Fingerprint, Generation,
    IntentOutcome, IntentRecord, Issued, Model, NotifyEvent, OpenIntent, Origin, Outcome, ParkReason, Pause, Plan,
    Reach, Report, ReportId, Rest, Sign, Stamp, Trouble, Trust, TurnsRecord, Wall, Window,
};
use switchman::ports::store::{HistoryQuery, Store, StoreError};

use crate::rig::Rig;
use crate::rows::*;

pub(crate) async fn record(store: &dyn Store, name: &str) -> AgentRecord {
    store.load_agent(&agent(name)).await.unwrap().expect("the agent is known")
}

fn is_conflict(result: &Result<(), StoreError>, name: &str) -> bool {
    matches!(result, Err(StoreError::Conflict { agent }) if agent.as_str() == name)
}

pub(crate) async fn a_switch_from_adoption_to_its_end_reads_back(rig: &Rig) {
    let store = rig.open();
    assert_eq!(store.load_agent(&agent("web")).await.unwrap(), None);
    let (first, second) = (assignment("max-a", 1, T0), assignment("max-b", 2, T0 + 20));
    let mut saving = attributes();
    saving.issued = Generation(1);
    store.commit(vec![saved("web", &saving), assigned("web", &first, 0)]).await.unwrap();
    let adopted = AgentRecord {
        attributes: saving.clone(),
        assignment: Some(first),
        issued: vec![Issued { generation: Generation(1), subscription: sub("max-a"), is_used: true }],
        open: None,
        budget: Vec::new(),
        deferred: Vec::new(),
        last: None,
        turns: TurnsRecord::default(),
    };
    assert_eq!(record(&*store, "web").await, adopted);

    saving.issued = Generation(2);
    let failed = full_failure("web", 1, "r-1");
    let opened = intent("web", 1, 2, "max-b");
    let cooling = cooldown(Reach::All, "org-1", Some(T0 + DAY));
    store
        .commit(vec![
            Change::FailureRecorded(failed.clone()),
            Change::CooldownSet(cooling.clone()),
            Change::IntentOpened(opened.clone()),
            saved("web", &saving),
            Change::CredentialSeen(sub("max-b"), Fingerprint("0123456789abcdef".to_owned())),
        ])
        .await
        .unwrap();
    drop(store);

    let store = rig.open();
    let mut switching = AgentRecord { attributes: saving.clone(), budget: vec![opened.started_at], ..adopted };
    switching.issued.push(Issued { generation: Generation(2), subscription: sub("max-b"), is_used: false });
    switching.open = Some(OpenIntent { intent: opened.clone(), delivered: None, cut_off: 0 });
    assert_eq!(record(&*store, "web").await, switching);
    let pool = store.load_pool(Wall(T0)).await.unwrap();
    assert_eq!(pool.cooldowns, [cooling]);
    assert_eq!(pool.assignments, [(agent("web"), sub("max-a"))]);
    assert_eq!(pool.reservations, [(agent("web"), sub("max-b"))]);
    assert_eq!(pool.credentials, [(sub("max-b"), Fingerprint("0123456789abcdef".to_owned()))]);
    assert_eq!(store.intent(&opened.id).await.unwrap(), Some(IntentRecord { intent: opened.clone(), end: None }));

    for before in [None, Some(instance())] {
        let delivered = Change::IntentDelivered { id: opened.id.clone(), at: Wall(T0 + 10), before: before.clone() };
        store.commit(vec![delivered]).await.unwrap();
        let open = record(&*store, "web").await.open.unwrap();
        assert_eq!(open.delivered, Some((Wall(T0 + 10), before)));
    }

    let ended = end("web", 1, IntentOutcome::Ready, T0 + 30);
    store
        .commit(vec![assigned("web", &second, 1), Change::IntentClosed(ended.clone()), saved("web", &saving)])
        .await
        .unwrap();
    drop(store);

    let store = rig.open();
    let done = record(&*store, "web").await;
    switching.open = None;
    switching.assignment = Some(second);
    switching.issued[1].is_used = true;
    switching.last = Some(IntentRecord { intent: opened.clone(), end: Some(ended) });
    assert_eq!(done, switching);
    assert_eq!(store.intent(&opened.id).await.unwrap(), done.last);
    assert_eq!(store.intent(&intent_id("web", 2)).await.unwrap(), None);
    let pool = store.load_pool(Wall(T0)).await.unwrap();
    assert_eq!(pool.assignments, [(agent("web"), sub("max-b"))]);
    assert_eq!(pool.reservations, []);
}

pub(crate) async fn a_failed_intent_leaves_its_number_taken_and_unused(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![assigned("web", &assignment("max-a", 1, T0), 0)]).await.unwrap();
    let failed = end("web", 1, IntentOutcome::Failed, T0 + 9);
    store.commit(vec![Change::IntentOpened(intent("web", 1, 2, "max-b")), Change::IntentClosed(failed)]).await.unwrap();
    let loaded = record(&*store, "web").await;
    assert_eq!(loaded.issued.iter().map(|issued| issued.is_used).collect::<Vec<_>>(), [true, false]);
    assert_eq!(loaded.assignment, Some(assignment("max-a", 1, T0)));
    // The number belongs to that subscription for good.
    let result = store.commit(vec![Change::IntentOpened(intent("web", 2, 2, "max-c"))]).await;
    assert!(is_conflict(&result, "web"), "{result:?}");
}

pub(crate) async fn attributes_read_back_in_every_form(rig: &Rig) {
    let store = rig.open();
    let mut forms = vec![attributes(), full_attributes()];
    for rest in [
        Rest::Exhausted { since: Wall(T0), earliest: None },
        Rest::Parked { reason: ParkReason::ApplyFailed, since: Wall(T0) },
        Rest::Parked { reason: ParkReason::Crashed, since: Wall(T0) },
        Rest::Serving,
    ] {
        forms.push(switchman::domain::Attributes { rest, ..full_attributes() });
    }
    let mut sparse = full_attributes();
    sparse.trouble = Some(Trouble { kind: FailureKind::Auth, failure: None, observed_at: Wall(T0), until: None });
    sparse.pause = Some(Pause { until: None });
    forms.push(sparse);
    for (number, form) in forms.iter().enumerate() {
        store.commit(vec![saved("web", form)]).await.unwrap();
        assert_eq!(record(&*store, "web").await.attributes, *form, "form {number}");
    }
}

pub(crate) async fn failures_read_back_in_every_form(rig: &Rig) {
    let store = rig.open();
    let mut plain_answer = answer("web", 3);
    (plain_answer.failure, plain_answer.subscription, plain_answer.generation) = (None, None, None);
    (plain_answer.switch, plain_answer.retry_after, plain_answer.earliest_reset) = (None, None, None);
    plain_answer.reason = None;
    let rows = [
        failure("web", 1),
        full_failure("web", 2, "r-2"),
        FailureRecord { answer: Some(Box::new(plain_answer)), ..full_failure("web", 3, "r-3") },
    ];
    store.commit(rows.iter().cloned().map(Change::FailureRecorded).collect()).await.unwrap();
    let page = store.failures(HistoryQuery { limit: 10, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(page.rows.into_iter().rev().collect::<Vec<_>>(), rows);
}

pub(crate) async fn a_batch_is_written_whole_or_not_at_all(rig: &Rig) {
    let store = rig.open();
    let before = attributes();
    store.commit(vec![saved("web", &before)]).await.unwrap();
    let result = store
        .commit(vec![
            saved("web", &full_attributes()),
            Change::FailureRecorded(full_failure("web", 1, "r-1")),
            Change::CooldownSet(cooldown(Reach::All, "org-1", None)),
            Change::CredentialSeen(sub("max-a"), Fingerprint("00".to_owned())),
            Change::IntentOpened(intent("web", 1, 2, "max-b")),
            // There is nothing that it could follow.
            assigned("web", &assignment("max-b", 2, T0), 1),
        ])
        .await;
    assert!(is_conflict(&result, "web"), "{result:?}");
    let loaded = record(&*store, "web").await;
    assert_eq!(loaded.attributes, before);
    assert_eq!((loaded.open, loaded.issued), (None, Vec::new()));
    let pool = store.load_pool(Wall(T0)).await.unwrap();
    assert!(pool.cooldowns.is_empty() && pool.credentials.is_empty() && pool.reservations.is_empty());
    assert_eq!(store.answer(&agent("web"), &ReportId::from("r-1")).await.unwrap(), None);
}

pub(crate) async fn an_assignment_follows_the_one_it_replaces(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![assigned("web", &assignment("max-a", 3, T0), 0)]).await.unwrap();
    for (generation, replaces) in [(4, 0), (4, 2), (4, 4), (3, 3), (2, 3)] {
        let result = store.commit(vec![assigned("web", &assignment("max-b", generation, T0), replaces)]).await;
        assert!(is_conflict(&result, "web"), "{generation} after {replaces}: {result:?}");
    }
    assert_eq!(record(&*store, "web").await.assignment, Some(assignment("max-a", 3, T0)));
    store.commit(vec![assigned("web", &assignment("max-b", 5, T0), 3)]).await.unwrap();
    assert_eq!(record(&*store, "web").await.assignment, Some(assignment("max-b", 5, T0)));
}

pub(crate) async fn an_intent_is_open_alone_and_ends_once(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![Change::IntentOpened(intent("web", 1, 2, "max-b"))]).await.unwrap();
    store.commit(vec![Change::IntentOpened(intent("db", 1, 2, "max-b"))]).await.unwrap();
    let second = Change::IntentOpened(intent("web", 2, 3, "max-c"));
    let result = store.commit(vec![second.clone()]).await;
    assert!(is_conflict(&result, "web"), "a second one beside it: {result:?}");
    let close = Change::IntentClosed(end("web", 1, IntentOutcome::Cancelled, T0 + 5));
    store.commit(vec![close.clone(), second]).await.unwrap();
    for late in [
        close,
        Change::IntentDelivered { id: intent_id("web", 1), at: Wall(T0), before: None },
        Change::IntentOpened(intent("web", 1, 2, "max-b")),
        Change::IntentClosed(end("web", 9, IntentOutcome::Failed, T0)),
    ] {
        let result = store.commit(vec![late.clone()]).await;
        assert!(is_conflict(&result, "web"), "{late:?}: {result:?}");
    }
    assert_eq!(record(&*store, "web").await.open.unwrap().intent, intent("web", 2, 3, "max-c"));
}

pub(crate) async fn another_pick_replaces_an_intent_until_it_is_delivered(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![Change::IntentOpened(intent("web", 1, 2, "max-b"))]).await.unwrap();
    let again = intent("web", 1, 3, "max-c");
    store.commit(vec![Change::IntentOpened(again.clone())]).await.unwrap();
    let loaded = record(&*store, "web").await;
    assert_eq!(loaded.open.unwrap().intent, again);
    assert_eq!(loaded.issued.len(), 2);
    store.commit(vec![Change::IntentDelivered { id: again.id.clone(), at: Wall(T0), before: None }]).await.unwrap();
    let result = store.commit(vec![Change::IntentOpened(intent("web", 1, 4, "max-d"))]).await;
    assert!(is_conflict(&result, "web"), "{result:?}");
}

pub(crate) async fn a_report_id_is_answered_once_per_agent(rig: &Rig) {
    let store = rig.open();
    let id = ReportId::from("r-1");
    store.commit(vec![Change::FailureRecorded(full_failure("web", 1, "r-1"))]).await.unwrap();
    let result = store.commit(vec![Change::FailureRecorded(full_failure("web", 2, "r-1"))]).await;
    assert!(is_conflict(&result, "web"), "the same report id: {result:?}");
    let result = store.commit(vec![Change::FailureRecorded(full_failure("web", 1, "r-2"))]).await;
    assert!(is_conflict(&result, "web"), "the same failure number: {result:?}");
    store.commit(vec![Change::FailureRecorded(full_failure("db", 1, "r-1"))]).await.unwrap();
    drop(store);

    let store = rig.open();
    let stored = store.answer(&agent("web"), &id).await.unwrap().unwrap();
    assert_eq!(stored.answer, answer("web", 1));
    assert_eq!(stored.digest, u64::MAX - 1);
    assert_eq!(store.answer(&agent("db"), &id).await.unwrap().unwrap().answer, answer("db", 1));
    assert_eq!(store.answer(&agent("web"), &ReportId::from("r-2")).await.unwrap(), None);
}

pub(crate) async fn deferred_failures_wait_until_they_are_judged(rig: &Rig) {
    let store = rig.open();
    let held = FailureRecord {
        outcome: Outcome::Held,
        generation: Some(Generation(2)),
        answer: None,
        ..full_failure("web", 1, "r-1")
    };
    let ambiguous = FailureRecord { outcome: Outcome::Ambiguous, kind: FailureKind::Auth, ..failure("web", 2) };
    let text = FailureRecord {
        outcome: Outcome::Uncorroborated,
        generation: Some(Generation(2)),
        reason: Some("text.limit: a limit".to_owned()),
        ..failure("web", 4)
    };
    store
        .commit(vec![
            Change::FailureRecorded(held.clone()),
            Change::FailureRecorded(ambiguous.clone()),
            Change::FailureRecorded(failure("web", 3)),
            Change::FailureRecorded(text.clone()),
        ])
        .await
        .unwrap();
    let expected = |failure: &FailureRecord, stamp: Stamp| Deferred {
        failure: failure.id.clone(),
        at: failure.at,
        report: Report {
            id: failure.report.clone().map(|(id, _)| id),
            kind: failure.kind,
            subscription: failure.subscription.clone(),
            generation: failure.generation,
            turn: failure.turn.clone(),
            model: failure.model.clone(),
            window: failure.window,
            reset_at: failure.reset_at,
            trust: if failure.outcome == Outcome::Uncorroborated { Trust::Text } else { Trust::Structured },
            is_hearsay: false,
            observed_at: failure.observed_at,
            origin: Origin::Untold,
            read_to: None,
            reporter: failure.reporter,
            sender: failure.sender.clone(),
            reason: failure.reason.clone(),
        },
        stamp,
        outcome: failure.outcome,
    };
    assert_eq!(
        record(&*store, "web").await.deferred,
        [
            expected(&held, Stamp::Generation(Generation(2))),
            expected(&ambiguous, Stamp::Unsettled),
            expected(&text, Stamp::Generation(Generation(2))),
        ]
    );
    let judged = Change::FailureJudged {
        id: ambiguous.id.clone(),
        outcome: Outcome::Switching,
        generation: Some(Generation(2)),
        agreed: None,
        reason: None,
    };
    let judge = |number, outcome, agreed, reason: &str| Change::FailureJudged {
        id: failure_id("web", number),
        outcome,
        generation: None,
        agreed,
        reason: Some(reason.to_owned()),
    };
    let swept = judge(99, Outcome::Stale, None, "never was");
    let borne_out = judge(4, Outcome::Exhausted, Some(Sign::Exit), "text.limit: a limit; corroborated");
    store.commit(vec![judged, swept, borne_out]).await.unwrap();
    assert_eq!(record(&*store, "web").await.deferred, [expected(&held, Stamp::Generation(Generation(2)))]);
    let page = store.failures(HistoryQuery { limit: 3, ..HistoryQuery::default() }).await.unwrap();
    let reason = Some("text.limit: a limit; corroborated".to_owned());
    assert_eq!(page.rows[0], FailureRecord { outcome: Outcome::Exhausted, generation: None, reason, ..text });
    assert_eq!(
        page.rows[2],
        FailureRecord { outcome: Outcome::Switching, generation: Some(Generation(2)), ..ambiguous }
    );
}

pub(crate) async fn counts_are_kept(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![Change::FailureRecorded(failure("web", 1))]).await.unwrap();
    store
        .commit(vec![
            Change::FailureCounted { id: failure_id("web", 1), count: 1_000_000 },
            Change::FailureCounted { id: failure_id("web", 99), count: 5 },
        ])
        .await
        .unwrap();
    let page = store.failures(HistoryQuery { limit: 5, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!(page.rows, [FailureRecord { count: 1_000_000, ..failure("web", 1) }]);
}

pub(crate) async fn a_cooldown_is_replaced_by_key_and_lifted(rig: &Rig) {
    let store = rig.open();
    let everyone = cooldown(Reach::All, "org-1", Some(T0 + 10));
    let own = cooldown(Reach::Agent(agent("web")), "org-1", Some(T0 + 20));
    let mut credential = cooldown(Reach::All, "org-1", None);
    credential.key.credential = Some(sub("max-a"));
    credential.source = CooldownSource::Operator;
    credential.failure = None;
    let mut model = cooldown(Reach::All, "org-1", Some(T0 + 30));
    model.key.model = Some(Model::from("opus"));
    model.key.window = Window::Model;
    let mut expected = vec![everyone.clone(), own.clone(), credential.clone(), model.clone()];
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    store.commit(expected.iter().cloned().map(Change::CooldownSet).collect()).await.unwrap();
    drop(store);

    let store = rig.open();
    assert_eq!(store.load_pool(Wall(T0)).await.unwrap().cooldowns, expected);
    // At its end it has ended; a quarantine has none.
    expected.retain(|cooldown| cooldown.until.is_none_or(|until| until > Wall(T0 + 20)));
    assert_eq!(expected.len(), 2);
    assert_eq!(store.load_pool(Wall(T0 + 20)).await.unwrap().cooldowns, expected);

    let longer = switchman::domain::Cooldown { until: Some(Wall(T0 + 99)), kind: FailureKind::Banned, ..everyone };
    store
        .commit(vec![
            Change::CooldownSet(longer.clone()),
            Change::CooldownLifted(credential.key),
            Change::CooldownLifted(own.key.clone()),
            Change::CooldownLifted(own.key),
        ])
        .await
        .unwrap();
    let mut banned = cooldown(Reach::All, "org-1", None);
    (banned.key.credential, banned.kind) = (Some(sub("max-a")), FailureKind::Banned);
    let softer = switchman::domain::Cooldown { kind: FailureKind::Auth, ..banned.clone() };
    store.commit(vec![Change::CooldownSet(banned.clone()), Change::CooldownSet(softer)]).await.unwrap();
    let mut expected = vec![longer, model, banned];
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.load_pool(Wall(T0)).await.unwrap().cooldowns, expected);
}

pub(crate) async fn each_target_has_its_own_place_in_the_outbox(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![Change::Notified(notification("n-0", T0))]).await.unwrap();
    // A new target is not told what happened before it was there.
    assert_eq!(store.outgoing("a", 10).await.unwrap(), []);
    let mut sparse = notification("n-2", T0 + 2);
    (sparse.subscription, sparse.generation, sparse.intent) = (None, None, None);
    (sparse.event, sparse.agent) = (NotifyEvent::Engine, None);
    (sparse.action, sparse.is_over) = (Some("look at the engine: `docker info`".to_owned()), true);
    store
        .commit(vec![
            Change::Notified(notification("n-1", T0 + 1)),
            Change::Notified(sparse.clone()),
            Change::Notified(notification("n-1", T0 + 9)),
        ])
        .await
        .unwrap();
    let waiting = store.outgoing("a", 10).await.unwrap();
    assert_eq!(
        waiting.iter().map(|out| out.notification.clone()).collect::<Vec<_>>(),
        [notification("n-1", T0 + 1), sparse]
    );
    assert_eq!(store.outgoing("a", 1).await.unwrap(), waiting[..1]);
    assert_eq!(store.outgoing("b", 10).await.unwrap(), []);
    store.delivered("a", waiting[0].position).await.unwrap();
    drop(store);

    let store = rig.open();
    assert_eq!(store.outgoing("a", 10).await.unwrap(), waiting[1..]);
    store.delivered("a", waiting[1].position).await.unwrap();
    store.delivered("a", waiting[0].position).await.unwrap();
    assert_eq!(store.outgoing("a", 10).await.unwrap(), [], "a late word does not move it back");
    store.commit(vec![Change::Notified(notification("n-3", T0 + 3))]).await.unwrap();
    assert_eq!(store.outgoing("a", 10).await.unwrap().len(), 1);
    assert_eq!(store.outgoing("b", 10).await.unwrap().len(), 1);
}

pub(crate) async fn histories_are_paged_newest_first(rig: &Rig) {
    let store = rig.open();
    for number in 1..=5 {
        for name in ["web", "db"] {
            store
                .commit(vec![
                    Change::FailureRecorded(failure(name, number)),
                    Change::IntentOpened(intent(name, number, number + 1, "max-b")),
                    Change::IntentClosed(end(name, number, IntentOutcome::Failed, T0 + 100)),
                ])
                .await
                .unwrap();
        }
    }
    let all = HistoryQuery { limit: 4, ..HistoryQuery::default() };
    let one = HistoryQuery { agent: Some(agent("web")), limit: 2, ..HistoryQuery::default() };
    let late = HistoryQuery { since: Some(Wall(T0 + 4)), ..all.clone() };
    for (query, expected) in [
        (all, vec!["db5 web5 db4 web4", "db3 web3 db2 web2", "db1 web1"]),
        (one, vec!["web5 web4", "web3 web2", "web1"]),
        (late, vec!["db5 web5 db4 web4"]),
        (HistoryQuery { agent: Some(agent("none")), limit: 3, ..HistoryQuery::default() }, vec![""]),
    ] {
        let (mut failures, mut intents) = (Vec::new(), Vec::new());
        let mut place = query.clone();
        loop {
            let page = store.failures(place.clone()).await.unwrap();
            let shown = page.rows.iter().map(|row| format!("{}{}", row.id.agent, row.id.number));
            failures.push(shown.collect::<Vec<_>>().join(" "));
            place.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        place.before = None;
        loop {
            let page = store.intents(place.clone()).await.unwrap();
            let shown = page.rows.iter().map(|row| format!("{}{}", row.intent.id.agent, row.intent.id.number));
            intents.push(shown.collect::<Vec<_>>().join(" "));
            place.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(failures, expected, "{query:?}");
        assert_eq!(intents, expected, "{query:?}");
    }
}

pub(crate) async fn the_newest_report_ids_come_newest_last(rig: &Rig) {
    let store = rig.open();
    for number in 1..=5 {
        let reported = full_failure("web", number, &format!("r-{number}"));
        store.commit(vec![Change::FailureRecorded(reported)]).await.unwrap();
    }
    store.commit(vec![Change::FailureRecorded(failure("web", 6))]).await.unwrap();
    let ids = async |since, limit| {
        let ids = store.report_ids(&agent("web"), Wall(since), limit).await.unwrap();
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(T0, 10).await, "r-1 r-2 r-3 r-4 r-5");
    assert_eq!(ids(T0, 2).await, "r-4 r-5");
    assert_eq!(ids(T0 + 3, 10).await, "r-3 r-4 r-5");
    assert!(store.report_ids(&agent("db"), Wall(T0), 10).await.unwrap().is_empty());
}

pub(crate) async fn an_agent_is_loaded_with_its_newest_rows_only(rig: &Rig) {
    let store = rig.open();
    for number in 1..=120 {
        let mut opened = intent("web", number, number, "max-b");
        match number % 10 {
            0 => opened.cause = Cause::of(CauseBy::Operator),
            1 => opened.cause = Cause::of(CauseBy::Pin),
            2 => opened.plan = Plan::Recover,
            _ => {}
        }
        let closed = end("web", number, IntentOutcome::Failed, T0 + number.cast_signed());
        store.commit(vec![Change::IntentOpened(opened), Change::IntentClosed(closed)]).await.unwrap();
    }
    for number in 1..=70 {
        let held = FailureRecord { outcome: Outcome::Ambiguous, ..failure("web", number) };
        store.commit(vec![Change::FailureRecorded(held)]).await.unwrap();
    }
    let loaded = record(&*store, "web").await;
    assert_eq!(
        loaded.issued.iter().map(|issued| issued.generation.0).collect::<Vec<_>>(),
        (57..=120).collect::<Vec<_>>()
    );
    let counted: Vec<Wall> = (1..=120).filter(|number| number % 10 > 2).map(|number| Wall(T0 + number)).collect();
    assert_eq!(loaded.budget, counted[counted.len().saturating_sub(AgentRecord::BUDGET_MAX)..]);
    assert_eq!(loaded.deferred.len(), AgentRecord::DEFERRED_MAX);
    assert_eq!(loaded.deferred[0].failure, failure_id("web", 1));
    assert_eq!(loaded.last.unwrap().intent.id.number, 120);
}

pub(crate) async fn an_agent_is_known_by_any_row_that_names_it(rig: &Rig) {
    let store = rig.open();
    store
        .commit(vec![Change::FailureRecorded(failure("web", 4)), Change::IntentOpened(intent("web", 3, 9, "max-b"))])
        .await
        .unwrap();
    let loaded = record(&*store, "web").await;
    let expected = switchman::domain::Attributes { issued: Generation(9), failures: 4, intents: 3, ..attributes() };
    assert_eq!(loaded.attributes, expected, "no number may be given out twice");
    assert!(loaded.open.is_some());
    assert_eq!(store.load_agent(&agent("db")).await.unwrap(), None);
}

pub(crate) async fn one_bad_batch_among_many_fails_alone(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![assigned("bad", &assignment("max-a", 1, T0), 0)]).await.unwrap();
    let results = join_all((1..=300).map(|number| {
        let store = &store;
        async move {
            if number % 100 == 0 {
                let changes =
                    vec![Change::FailureRecorded(failure("bad", number)), assigned("bad", &assignment("b", 9, T0), 7)];
                store.commit(changes).await
            } else {
                store.commit(vec![Change::FailureRecorded(failure("web", number))]).await
            }
        }
    }))
    .await;
    for (result, number) in results.iter().zip(1..) {
        if number % 100 == 0 {
            assert!(is_conflict(result, "bad"), "{number}: {result:?}");
        } else {
            assert!(result.is_ok(), "{number}: {result:?}");
        }
    }
    let page = store.failures(HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!(page.rows.len(), 297);
    assert!(page.rows.iter().all(|row| row.id.agent.as_str() == "web"));
}

pub(crate) async fn a_load_sees_what_became_of_an_abandoned_commit(rig: &Rig) {
    let store = rig.open();
    store.commit(vec![saved("web", &attributes())]).await.unwrap();
    for round in 1..=50 {
        let mut abandoned = store.commit(vec![Change::IntentOpened(intent("web", round, round, "max-b"))]);
        let _ = abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(abandoned);
        // Whatever is loaded now stays true: what follows from it is accepted.
        let next = match record(&*store, "web").await.open {
            Some(open) => Change::IntentClosed(end("web", open.intent.id.number, IntentOutcome::Failed, T0)),
            None => Change::IntentOpened(intent("web", round, round, "max-b")),
        };
        let is_opened = matches!(next, Change::IntentOpened(_));
        store.commit(vec![next]).await.unwrap();
        if is_opened {
            let closed = Change::IntentClosed(end("web", round, IntentOutcome::Failed, T0));
            store.commit(vec![closed]).await.unwrap();
        }
    }
}
