//! What every source of logs promises, held against the one in memory and the one of a real Docker Engine. What
//! only one of them can show is in the folder beside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use switchman::domain::{AgentName, LogPosition, SourceId};
use switchman::drivers::fake::logs::FakeLogs;
use switchman::ports::logs::{LogError, LogRead, LogSource};

#[path = "rig/image.rs"]
mod image;

#[path = "log_conformance/containers.rs"]
mod containers;
#[path = "log_conformance/docker.rs"]
mod docker;
#[path = "log_conformance/journal.rs"]
mod journal;
#[path = "log_conformance/reader.rs"]
mod reader;
#[path = "log_conformance/scripted.rs"]
mod scripted;

use self::reader::{Reader, texts};

fn one() -> AgentName {
    AgentName::new("one")
}

/// A source with a container of agent "one" that runs, and a hand in it.
trait Rig {
    async fn new() -> Self;
    fn source(&self) -> &dyn LogSource;
    /// Prints a line; it is in the log some time later.
    async fn print(&self, line: &str);
    /// The life ends; its log stays.
    async fn stop(&self);
    /// The next life of the same container.
    async fn start(&self);
    async fn remove(&self);
    /// A new container under the same name, running.
    async fn replace(&self);
}

async fn reading_on_gives_exactly_what_follows<R: Rig>() {
    let rig = R::new().await;
    for line in ["a", "b", "c"] {
        rig.print(line).await;
    }
    let mut whole = Reader::open(rig.source(), None, true).await.unwrap();
    let lines = whole.lines(3).await;
    assert_eq!(texts(&lines), ["a", "b", "c"]);
    for (place, line) in lines.iter().enumerate() {
        let from = line.position(&whole);
        let mut rest = Reader::open(rig.source(), Some(&from), false).await.unwrap();
        let marker = format!("marker {place}");
        rig.print(&marker).await;
        let mut expected: Vec<String> = lines[place + 1..].iter().map(reader::Read::text).collect();
        expected.extend((0..=place).map(|place| format!("marker {place}")));
        assert_eq!(texts(&rest.lines(expected.len()).await), expected);
    }
}

async fn without_a_position_only_what_comes_is_read<R: Rig>() {
    let rig = R::new().await;
    rig.print("old").await;
    // It is in the log before the next stream is opened.
    Reader::open(rig.source(), None, true).await.unwrap().lines(1).await;
    let mut stream = Reader::open(rig.source(), None, false).await.unwrap();
    rig.print("new").await;
    assert_eq!(texts(&stream.lines(1).await), ["new"]);
}

async fn a_restart_ends_the_stream_and_the_next_one_goes_on<R: Rig>() {
    let rig = R::new().await;
    rig.print("first life").await;
    let mut stream = Reader::open(rig.source(), None, true).await.unwrap();
    let lines = stream.lines(1).await;
    assert!(lines[0].line.is_of_this_life);
    let from = lines[0].position(&stream);
    rig.print("last words").await;
    rig.stop().await;
    let last = stream.until_the_end().await;
    assert_eq!(texts(&last), ["last words"]);
    assert_eq!(stream.read().await.unwrap(), LogRead::Ended, "and so again");
    rig.start().await;
    rig.print("second life").await;
    let mut next = Reader::open(rig.source(), Some(&from), false).await.unwrap();
    let lines = next.lines(2).await;
    assert_eq!(texts(&lines), ["last words", "second life"]);
    assert_eq!(lines.iter().map(|read| read.line.is_of_this_life).collect::<Vec<_>>(), [false, true]);
    assert_eq!(next.container(), stream.container());
    assert_ne!(next.stream.instance(), stream.stream.instance());
}

async fn the_log_of_what_stopped_can_be_read<R: Rig>() {
    let rig = R::new().await;
    rig.print("a").await;
    rig.stop().await;
    let mut stream = Reader::open(rig.source(), None, true).await.unwrap();
    let lines = stream.until_the_end().await;
    assert_eq!(texts(&lines), ["a"]);
    assert!(lines[0].line.is_of_this_life);
    let from = lines[0].position(&stream);
    let mut rest = Reader::open(rig.source(), Some(&from), false).await.unwrap();
    assert!(rest.until_the_end().await.is_empty());
}

async fn what_is_not_there_is_missing<R: Rig>() {
    let rig = R::new().await;
    let nobody = AgentName::new("nobody");
    let refused = rig.source().open(&nobody, &SourceId::Container, &[], true).await.err();
    assert_eq!(refused, Some(LogError::Missing(nobody.clone())));
    let mut stream = Reader::open(rig.source(), None, true).await.unwrap();
    rig.remove().await;
    assert!(stream.until_the_end().await.is_empty());
    assert_eq!(Reader::open(rig.source(), None, true).await.err(), Some(LogError::Missing(one())));
}

async fn a_position_in_another_container_is_none<R: Rig>() {
    let rig = R::new().await;
    rig.print("a").await;
    let mut stream = Reader::open(rig.source(), None, true).await.unwrap();
    let from: LogPosition = stream.lines(1).await[0].position(&stream);
    rig.replace().await;
    rig.print("b").await;
    let mut whole = Reader::open(rig.source(), Some(&from), true).await.unwrap();
    assert_eq!(texts(&whole.lines(1).await), ["b"]);
    assert_ne!(Some(whole.container()), from.of_container().map(|at| at.container.clone()));
    let mut from_now = Reader::open(rig.source(), Some(&from), false).await.unwrap();
    rig.print("c").await;
    assert_eq!(texts(&from_now.lines(1).await), ["c"]);
}

async fn a_reader_that_gives_up_waiting_loses_nothing<R: Rig>() {
    let rig = R::new().await;
    let mut stream = Reader::open(rig.source(), None, true).await.unwrap();
    let mut all = Vec::new();
    for number in 0..20 {
        rig.print(&number.to_string()).await;
        // Polled a few times, and dropped wherever it stands.
        for _ in 0..number % 5 {
            all.extend(stream.poll_once().await);
        }
    }
    all.extend(stream.lines(20 - all.len()).await);
    assert_eq!(texts(&all), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

macro_rules! promises {
    ($rig:ty: $($promise:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            super::$promise::<$rig>().await;
        })+
    };
    ($module:ident, $rig:ty) => {
        mod $module {
            use super::*;
            promises!($rig:
                reading_on_gives_exactly_what_follows,
                without_a_position_only_what_comes_is_read,
                a_restart_ends_the_stream_and_the_next_one_goes_on,
                the_log_of_what_stopped_can_be_read,
                what_is_not_there_is_missing,
                a_position_in_another_container_is_none,
                a_reader_that_gives_up_waiting_loses_nothing,
            );
        }
    };
}

promises!(in_memory, memory::Memory);
promises!(json_file, docker::JsonFile);
promises!(local, docker::Local);
promises!(terminal, docker::Terminal);

mod memory {
    //! The source in memory.

    use std::sync::atomic::{AtomicU32, Ordering};

    use switchman::domain::Instance;

    use super::*;

    pub(crate) struct Memory {
        logs: FakeLogs,
        container: AtomicU32,
        life: AtomicU32,
    }

    impl Rig for Memory {
        async fn new() -> Self {
            let rig = Self { logs: FakeLogs::new(), container: AtomicU32::new(1), life: AtomicU32::new(0) };
            rig.start().await;
            rig
        }

        fn source(&self) -> &dyn LogSource {
            &self.logs
        }

        async fn print(&self, line: &str) {
            self.logs.print(&one(), line);
        }

        async fn stop(&self) {
            self.logs.stop(&one());
        }

        async fn start(&self) {
            let id = format!("c{}", self.container.load(Ordering::Relaxed));
            let started_at = format!("start-{}", self.life.fetch_add(1, Ordering::Relaxed));
            self.logs.start(&one(), &Instance { id, started_at });
        }

        async fn remove(&self) {
            self.logs.remove(&one());
        }

        async fn replace(&self) {
            self.remove().await;
            self.container.fetch_add(1, Ordering::Relaxed);
            self.start().await;
        }
    }

    #[tokio::test]
    async fn its_breaks_gaps_and_refusals_come_as_ordered() {
        let rig = Memory::new().await;
        let mut stream = Reader::open(&rig.logs, None, true).await.unwrap();
        rig.print("a").await;
        rig.logs.print_at(&one(), 0, "b");
        let from = stream.lines(2).await[0].position(&stream);
        rig.logs.break_streams(&one(), LogError::Broken("reset".to_owned()));
        assert_eq!(stream.read().await, Err(LogError::Broken("reset".to_owned())));
        assert_eq!(rig.logs.open_now(&one()), 1);
        drop(stream);
        rig.logs.until_open(&one()).await_not().await;
        rig.logs.fail_open(&one(), LogError::Timeout);
        assert_eq!(Reader::open(&rig.logs, Some(&from), false).await.err(), Some(LogError::Timeout));
        let mut stream = Reader::open(&rig.logs, Some(&from), false).await.unwrap();
        assert_eq!(texts(&stream.lines(1).await), ["b"]);
        rig.logs.end_streams(&one());
        assert!(stream.until_the_end().await.is_empty());
        rig.print("c").await;
        rig.logs.lose_first(&one(), 2);
        let mut stream = Reader::open(&rig.logs, Some(&from), false).await.unwrap();
        assert_eq!(stream.read().await, Ok(LogRead::Gap));
        assert_eq!(texts(&stream.took), ["c"]);
        assert_eq!(rig.logs.opened(&one()), [None, Some(from.clone()), Some(from.clone()), Some(from)]);
    }

    /// A future that must not be ready.
    trait AwaitNot {
        async fn await_not(self);
    }

    impl<F: Future<Output = ()>> AwaitNot for F {
        async fn await_not(self) {
            let mut future = std::pin::pin!(self);
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
    }
}
