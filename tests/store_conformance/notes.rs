//! What a target remembers of what it was told.

use switchman::domain::{Change, Gathered, Notes, NotifyEvent, Severity, TroubleKey, TroubleNote, Wall};

use crate::rig::Rig;
use crate::rows::*;

pub(crate) async fn what_a_target_remembers_is_kept_with_its_place(rig: &Rig) {
    let store = rig.open();
    assert_eq!(store.notes("a").await.unwrap(), Notes::default());
    assert_eq!(store.outgoing("a", 10).await.unwrap(), []);
    assert_eq!(store.notes("a").await.unwrap(), Notes::default(), "known, and nothing to remember");
    for id in ["n-1", "n-2"] {
        store.commit(vec![Change::Notified(notification(id, T0))]).await.unwrap();
    }
    let waiting = store.outgoing("a", 10).await.unwrap();
    let key =
        |event, agent, subscription: Option<&str>| TroubleKey { event, agent, subscription: subscription.map(sub) };
    let known = |is_over, waiting| TroubleNote {
        told_at: Wall(T0),
        severity: Severity::Critical,
        action: Some("look \"there\"; -- \u{1f642}".to_owned()),
        is_over,
        waiting,
    };
    let gathered = |first: &str| Gathered {
        first: first.to_owned(),
        at: Wall(T0 + 5),
        counts: [(NotifyEvent::Switch, 7), (NotifyEvent::LoginExpiring, u64::MAX)].into(),
    };
    let full = Notes {
        troubles: [
            (
                key(NotifyEvent::Exhausted, Some(agent("web")), None),
                known(true, Some(Box::new(notification("n-0", T0)))),
            ),
            (key(NotifyEvent::Banned, None, Some("max-a")), known(false, None)),
        ]
        .into(),
        sent: vec![Wall(T0 - 1), Wall(T0)],
        gathered: Some(gathered("n-5")),
        closing: Some(gathered("n-1")),
    };
    store.noted("a", waiting[0].position, full.clone()).await.unwrap();
    store.noted("b", waiting[0].position, Notes::default()).await.unwrap();
    drop(store);

    let store = rig.open();
    assert_eq!(store.notes("a").await.unwrap(), full);
    assert_eq!(store.outgoing("a", 10).await.unwrap(), waiting[1..]);
    store.delivered("a", waiting[1].position).await.unwrap();
    assert_eq!(store.notes("a").await.unwrap(), full, "a place that moves on forgets nothing");
    store.noted("a", waiting[0].position, Notes::default()).await.unwrap();
    assert_eq!(store.notes("a").await.unwrap(), Notes::default());
    assert_eq!(store.outgoing("a", 10).await.unwrap(), [], "a late word does not move it back");
    assert_eq!(store.notes("b").await.unwrap(), Notes::default());
}
