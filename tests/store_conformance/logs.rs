//! How far logs have been read.

use switchman::domain::{Change, ContainerPosition, LogPosition};

use crate::rig::Rig;
use crate::rows::{agent, failure};

fn position(container: &str, at_ns: i64, seen: u32) -> LogPosition {
    LogPosition::Container(ContainerPosition { container: container.to_owned(), at_ns, seen })
}

pub(crate) async fn how_far_a_log_was_read_is_kept_with_what_was_found_in_it(rig: &Rig) {
    let store = rig.open();
    assert_eq!(store.log_positions().await.unwrap(), []);
    let (first, later, others) = (position("c1", i64::MAX, 1), position("c2", -1, u32::MAX), position("c3", 0, 0));
    store.commit(vec![Change::LogRead(agent("web"), first)]).await.unwrap();
    store
        .commit(vec![
            Change::FailureRecorded(failure("web", 1)),
            Change::LogRead(agent("web"), later.clone()),
            Change::LogRead(agent("api"), others.clone()),
        ])
        .await
        .unwrap();
    let kept = [(agent("api"), others), (agent("web"), later)];
    assert_eq!(store.log_positions().await.unwrap(), kept);
    // A failure that is refused takes its place in the log with it: the line is read again.
    let again = vec![Change::LogRead(agent("web"), position("c2", 5, 1)), Change::FailureRecorded(failure("web", 1))];
    assert!(store.commit(again).await.is_err());
    assert_eq!(store.log_positions().await.unwrap(), kept);
}
