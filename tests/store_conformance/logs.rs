//! How far logs have been read.

use switchman::domain::{Change, ContainerPosition, LogPosition, SourceId, SourcePlace, Wall};
use switchman::ports::store::Retention;

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

/// A position in a source beside the log of a container.
fn place(source: &SourceId, place: SourcePlace, at: i64) -> LogPosition {
    LogPosition::Source { source: source.clone(), place, at: Wall(at) }
}

pub(crate) async fn how_far_each_file_of_a_source_was_read_is_kept_until_it_is_gone(rig: &Rig) {
    let store = rig.open();
    let files = SourceId::Files("/srv/\u{fc}/**/*.jsonl".to_owned());
    let unit = SourceId::Journal("web@1.service".to_owned());
    let file = |path: &str, offset| {
        let (path, file) = (path.to_owned(), (u64::MAX, 1 << 63));
        place(&files, SourcePlace::File { path, file, offset }, 5)
    };
    let known = place(&files, SourcePlace::Known, 1);
    let cursor = |text: &str| place(&unit, SourcePlace::Journal { cursor: text.to_owned() }, 6);
    let container = position("c1", 1, 1);
    let read = |position: &LogPosition| Change::LogRead(agent("web"), position.clone());
    let first = [&known, &file("/srv/\u{fc}/a", 1), &file("/srv/\u{fc}/b", u64::MAX), &cursor("s=1"), &container];
    store.commit(first.into_iter().map(read).collect()).await.unwrap();
    let gone = place(&files, SourcePlace::Gone { path: "/srv/\u{fc}/b".to_owned() }, 7);
    store.commit(vec![read(&file("/srv/\u{fc}/a", 1 << 63)), read(&gone), read(&cursor("s=2"))]).await.unwrap();
    let kept = [container, known, file("/srv/\u{fc}/a", 1 << 63), cursor("s=2")];
    let of_web = |position| (agent("web"), position);
    assert_eq!(store.log_positions().await.unwrap(), kept.clone().map(of_web));
    // What has not been read for as long as history is kept is forgotten; the log of a container never.
    let retention = Retention {
        keep_since: Wall(6),
        undelivered_since: Wall(0),
        answers_since: Wall(0),
        answers_max: 1000,
        bytes_max: u64::MAX,
    };
    store.sweep(retention).await.unwrap();
    let [container, _, _, cursor] = kept;
    assert_eq!(store.log_positions().await.unwrap(), [container, cursor].map(of_web));
}
