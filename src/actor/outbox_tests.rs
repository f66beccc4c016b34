//! The outbox under a clock that jumps: order, retries, giving up, stopping.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::domain::{
    AgentName, AgentRecord, Change, FailureRecord, IntentId, IntentRecord, LogPosition, NotifyEvent, ReportId,
    Severity, TurnId, TurnRecord,
};
use crate::drivers::fake::clock::TestClock;
use crate::ports::Pending;
use crate::ports::notifier::NotifyError;
use crate::ports::store::{HistoryQuery, Page, PoolRecord, Retention, StoredAnswer};

const START: Wall = Wall(1_795_000_000_000);

/// A store of which only the outbox works.
#[derive(Default)]
struct OutboxStore {
    rows: Mutex<Vec<Outgoing>>,
    delivered: watch::Sender<i64>,
    notes: Mutex<Notes>,
    refusals: Mutex<u32>,
}

fn closed<'a, T: Send + 'a>() -> Pending<'a, Result<T, StoreError>> {
    Box::pin(async { Err(StoreError::Closed) })
}

impl Store for OutboxStore {
    fn commit(&self, _: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        closed()
    }
    fn load_agent<'a>(&'a self, _: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        closed()
    }
    fn load_pool(&self, _: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        closed()
    }
    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn report_ids<'a>(&'a self, _: &'a AgentName, _: Wall, _: u32) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        closed()
    }
    fn answer<'a>(
        &'a self,
        _: &'a AgentName,
        _: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        closed()
    }
    fn intents(&self, _: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        closed()
    }
    fn intent<'a>(&'a self, _: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        closed()
    }
    fn turn<'a>(&'a self, _: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        closed()
    }
    fn turns(&self, _: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        closed()
    }
    fn failures(&self, _: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        closed()
    }
    fn outgoing<'a>(&'a self, _: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        Box::pin(async move {
            let done = *self.delivered.borrow();
            let rows = self.rows.lock().unwrap();
            Ok(rows.iter().filter(|row| row.position > done).take(limit as usize).cloned().collect())
        })
    }
    fn delivered<'a>(&'a self, _: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(StoreError::Unavailable("disk full".to_owned()));
            }
            self.delivered.send_replace(position);
            Ok(())
        })
    }
    fn notes<'a>(&'a self, _: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        Box::pin(async { Ok(self.notes.lock().unwrap().clone()) })
    }
    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.delivered(target, position).await?;
            *self.notes.lock().unwrap() = notes;
            Ok(())
        })
    }
    fn sweep(&self, _: Retention) -> Pending<'_, Result<(), StoreError>> {
        closed()
    }
}

/// Takes everything, except what it was told to answer first.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Result<(), bool>>>,
    seen: Mutex<Vec<String>>,
}

impl Notifier for Told {
    fn target(&self) -> &'static str {
        "https://example.org#00000000"
    }
    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>> {
        Box::pin(async move {
            self.seen.lock().unwrap().push(message.id.clone());
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
            answer.map(|()| "it answered 200".to_owned()).map_err(|is_final| NotifyError {
                target: self.target().to_owned(),
                why: "it answered 500".to_owned(),
                is_final,
                retry_after: None,
            })
        })
    }
}

fn row(position: i64, event: NotifyEvent, at: Wall) -> Outgoing {
    let notification = Notification::new(event, format!("n{position}"), at, "text".to_owned());
    let notification = Notification { agent: Some("reviewer".into()), ..notification };
    Outgoing { position, notification }
}

struct World {
    store: Arc<OutboxStore>,
    target: Arc<Told>,
    clock: Arc<TestClock>,
    wake: Arc<Notify>,
    telemetry: Telemetry,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl World {
    fn start(rows: Vec<Outgoing>, answers: Vec<Result<(), bool>>) -> Self {
        Self::limited(rows, answers, 60)
    }

    fn limited(rows: Vec<Outgoing>, answers: Vec<Result<(), bool>>, per_hour: u32) -> Self {
        let store = Arc::new(OutboxStore { rows: Mutex::new(rows), ..OutboxStore::default() });
        let target = Arc::new(Told { answers: Mutex::new(answers.into()), ..Told::default() });
        let clock = Arc::new(TestClock::new(START));
        let (wake, telemetry, stop) = (Arc::new(Notify::new()), Telemetry::new(), watch::Sender::new(false));
        let events = NotifyEvent::ALL.iter().copied().filter(|event| *event != NotifyEvent::Recovered).collect();
        let taste = Taste { events, severity: Severity::Info, per_hour };
        let task = tokio::spawn(run(
            store.clone(),
            Target { notifier: target.clone(), taste },
            clock.clone(),
            wake.clone(),
            telemetry.clone(),
            stop.subscribe(),
        ));
        Self { store, target, clock, wake, telemetry, stop, task }
    }

    async fn delivered(&self, position: i64) {
        let mut delivered = self.store.delivered.subscribe();
        let reached = delivered.wait_for(|at| *at >= position);
        tokio::time::timeout(Duration::from_secs(7 * 24 * 3600), reached).await.expect("delivered in a week").unwrap();
    }

    fn seen(&self) -> Vec<String> {
        self.target.seen.lock().unwrap().clone()
    }

    fn counted(&self, outcome: &str) -> u64 {
        let text = self.telemetry.metrics().render(&crate::telemetry::Snapshot::default());
        let start =
            format!("switchman_notifications_total{{target=\"https://example.org#00000000\",outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |count| count.parse().unwrap())
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().wall.since(START)
    }
}

#[tokio::test(start_paused = true)]
async fn everything_wanted_is_told_once_and_in_order_also_what_comes_later() {
    let rows = vec![
        row(1, NotifyEvent::Switch, START),
        row(2, NotifyEvent::Recovered, START),
        row(3, NotifyEvent::Parked, START),
        row(4, NotifyEvent::Recovered, START),
    ];
    let world = World::start(rows, vec![]);
    world.delivered(4).await;
    assert_eq!(world.seen(), ["n1", "n3"]);
    world.store.rows.lock().unwrap().push(row(5, NotifyEvent::Braked, START));
    world.wake.notify_waiters();
    world.delivered(5).await;
    assert_eq!(world.seen(), ["n1", "n3", "n5"]);
    assert_eq!(world.counted("sent"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_with_growing_waits_and_nothing_overtakes() {
    let rows = vec![row(1, NotifyEvent::Switch, START), row(2, NotifyEvent::Switch, START)];
    let world = World::start(rows, vec![Err(false); 12]);
    world.delivered(2).await;
    let mut expected = vec!["n1".to_owned(); 13];
    expected.push("n2".to_owned());
    assert_eq!(world.seen(), expected);
    // 1 + 2 + … + 256 s, then three times the most.
    assert_eq!(world.elapsed(), Duration::from_secs(511 + 3 * 300));
    assert_eq!((world.counted("retried"), world.counted("sent")), (12, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_one_is_given_up_at_once() {
    let rows = vec![row(1, NotifyEvent::Switch, START), row(2, NotifyEvent::Switch, START)];
    let world = World::start(rows, vec![Err(true)]);
    world.delivered(2).await;
    assert_eq!(world.seen(), ["n1", "n2"]);
    assert_eq!((world.counted("refused"), world.counted("sent")), (1, 1));
    assert_eq!(world.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn old_news_is_given_up_after_a_day() {
    let world = World::start(vec![row(1, NotifyEvent::Switch, START)], vec![Err(false); 1000]);
    world.delivered(1).await;
    assert_eq!((world.counted("given_up"), world.counted("sent")), (1, 0));
    let day = Duration::from_secs(24 * 3600);
    assert!(world.elapsed() > day && world.elapsed() <= day + BACKOFF_MAX, "{:?}", world.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_remember_does_not_make_it_tell_twice() {
    let world = World::start(vec![], vec![]);
    *world.store.refusals.lock().unwrap() = 3;
    world.store.rows.lock().unwrap().push(row(1, NotifyEvent::Switch, START));
    world.wake.notify_one();
    world.delivered(1).await;
    assert_eq!(world.seen(), ["n1"]);
    assert_eq!(world.elapsed(), Duration::from_secs(1 + 2 + 4));
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_while_it_waits() {
    for answers in [vec![], vec![Err(false); 100]] {
        let world = World::start(vec![row(1, NotifyEvent::Switch, START)], answers);
        tokio::task::yield_now().await;
        world.stop.send_replace(true);
        world.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_cap_comes_in_one_when_there_is_room() {
    let rows = (1..=5).map(|position| row(position, NotifyEvent::Switch, START)).collect();
    let world = World::limited(rows, vec![], 2);
    world.delivered(5).await;
    assert_eq!(world.seen(), ["n1", "n2"]);
    let told = async {
        while world.seen().len() < 3 {
            tokio::task::yield_now().await;
            world.clock.sleep(Duration::from_secs(60)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(7 * 24 * 3600), told).await.expect("in a week");
    assert_eq!(world.seen(), ["n1", "n2", "summary-n3"]);
    assert!(world.elapsed() >= Duration::from_secs(3600), "{:?}", world.elapsed());
    assert_eq!((world.counted("gathered"), world.counted("sent")), (3, 3));
}
