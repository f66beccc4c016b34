//! What every source of lines beside the log of a container promises, on the real thing: files, a journal of our own.
//! Standard input is in `tests/sources.rs`, where there is a program that has one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "source_conformance/files.rs"]
mod files;
#[path = "source_conformance/follower.rs"]
mod follower;
#[path = "source_conformance/journal.rs"]
mod journal;

use switchman::domain::SourceId;
use switchman::ports::logs::LogSource;

use self::follower::Follower;

/// A source of agent "one" that is there, and a hand in it.
trait Rig {
    async fn new() -> Self;
    fn logs(&self) -> &dyn LogSource;
    fn source(&self) -> SourceId;
    /// Puts a line into it.
    async fn write(&self, line: &str);
}

async fn what_was_there_before_is_history_and_what_comes_is_read<R: Rig>() {
    let rig = R::new().await;
    rig.write("old").await;
    let mut first = Follower::open(rig.logs(), &rig.source(), &[]).await;
    for line in ["a", "b", "c"] {
        rig.write(line).await;
    }
    assert_eq!(first.texts(3).await, ["a", "b", "c"]);
}

async fn reading_on_gives_exactly_what_follows_each_line<R: Rig>() {
    let rig = R::new().await;
    rig.write("old").await;
    let mut first = Follower::open(rig.logs(), &rig.source(), &[]).await;
    for line in ["a", "b", "c", "d"] {
        rig.write(line).await;
    }
    let mut places = Vec::new();
    for expected in ["a", "b", "c", "d"] {
        let (text, known) = first.line().await;
        assert_eq!(text, expected);
        places.push(known);
    }
    drop(first);
    // Written while nobody follows.
    rig.write("e").await;
    for (place, known) in places.iter().enumerate() {
        let mut rest = Follower::open(rig.logs(), &rig.source(), known).await;
        let expected: Vec<&str> = ["a", "b", "c", "d", "e"][place + 1..].to_vec();
        assert_eq!(rest.texts(expected.len()).await, expected);
        assert_eq!(rest.gaps, 0);
    }
}

async fn a_source_that_was_known_is_read_on_although_nothing_had_come<R: Rig>() {
    let rig = R::new().await;
    rig.write("old").await;
    let first = Follower::open(rig.logs(), &rig.source(), &[]).await;
    let known = first.known.clone();
    assert!(!known.is_empty(), "that it is known is to be written down");
    drop(first);
    rig.write("while nobody looked").await;
    let mut next = Follower::open(rig.logs(), &rig.source(), &known).await;
    assert_eq!(next.texts(1).await, ["while nobody looked"]);
}

async fn who_gives_up_waiting_loses_nothing<R: Rig>() {
    let rig = R::new().await;
    let mut follower = Follower::open(rig.logs(), &rig.source(), &[]).await;
    let mut all = Vec::new();
    for number in 0..20 {
        rig.write(&number.to_string()).await;
        for _ in 0..number % 5 {
            all.extend(follower.poll_once().await);
        }
    }
    while all.len() < 20 {
        all.push(follower.line().await.0);
    }
    assert_eq!(all, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}
