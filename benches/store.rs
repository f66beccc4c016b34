//! How fast batches become durable when many arrive at once, beside what one SQLite commit at a time gives
//! in the same run. Aim: the flooded store writes at least five times as many batches per second.
//!
//! One batch is what a decision about a report writes: a failure with its answer, and the agent's row.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rusqlite::{Connection, params};
use switchman::domain::{
    AgentName, Answer, Attributes, Change, FailureId, FailureKind, FailureRecord, Generation, Outcome, ReportId,
    Reporter, Rest, SubscriptionName, Wall, Window,
};
use switchman::drivers::sqlite::{Options, SqliteStore};
use switchman::ports::store::Store;

const AGENTS: u64 = 64;
const FLOOD: u64 = 4096;
const ALONE: u64 = 256;

/// Numbers failures across all measurements of one store.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn batch(&self) -> Vec<Change> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let agent = AgentName::from(format!("agent-{}", number % AGENTS));
        let failure = FailureRecord {
            id: FailureId { agent: agent.clone(), number },
            report: Some((ReportId::from(format!("report-{number}")), number)),
            at: Wall(1_700_000_000_000),
            observed_at: None,
            kind: FailureKind::RateLimit,
            outcome: Outcome::Repeat,
            subscription: Some(SubscriptionName::from("max-a")),
            generation: Some(Generation(7)),
            turn: None,
            model: None,
            window: Window::FiveHour,
            reset_at: Some(Wall(1_700_000_900_000)),
            reporter: Reporter::Trusted,
            sender: "uid 1000 pid 4711".to_owned(),
            reason: None,
            count: 1,
            answer: Some(Box::new(Answer {
                outcome: Outcome::Repeat,
                duplicate: false,
                failure: Some(FailureId { agent: agent.clone(), number }),
                kind: FailureKind::RateLimit,
                agent: agent.clone(),
                subscription: Some(SubscriptionName::from("max-a")),
                generation: Some(Generation(7)),
                switch: None,
                retry_after: None,
                earliest_reset: None,
                reason: None,
            })),
        };
        let attributes = Attributes {
            rest: Rest::Serving,
            trouble: None,
            wake_at: None,
            pause: None,
            pin: None,
            issued: Generation(7),
            failures: number,
            intents: 0,
            apply_failures: 0,
            exclusions: std::collections::BTreeMap::new(),
            switched_at: None,
            credential: None,
            replaced: None,
        };
        vec![Change::FailureRecorded(failure), Change::AgentSaved(agent, Box::new(attributes))]
    }

    fn batches(&self, count: u64) -> Vec<Vec<Change>> {
        (0..count).map(|_| self.batch()).collect()
    }
}

/// The yardstick: one row, one commit, one thread, nothing around it.
fn bare(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE rows (id INTEGER PRIMARY KEY, agent TEXT, at INTEGER, kind TEXT, note TEXT)",
    )
    .expect("a table");
    conn
}

fn commits(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a real disk");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let mut group = criterion.benchmark_group("store");
    group.sample_size(20);

    let conn = bare(&dir.path().join("bare.db"));
    group.throughput(Throughput::Elements(ALONE));
    group.bench_function("yardstick: one row per commit, one thread", |bencher| {
        bencher.iter(|| {
            for _ in 0..ALONE {
                conn.prepare_cached("INSERT INTO rows (agent, at, kind, note) VALUES (?1, ?2, ?3, ?4)")
                    .and_then(|mut row| row.execute(params!["agent-1", 1_700_000_000_000_i64, "rate_limit", "report"]))
                    .expect("a commit");
            }
        });
    });

    let inline = SqliteStore::open_inline(&dir.path().join("inline.db"), &Options::default()).expect("a store");
    let counter = Counter::default();
    group.bench_function("yardstick: one batch per commit, inline", |bencher| {
        bencher.iter_batched(
            || counter.batches(ALONE),
            |batches| {
                runtime.block_on(async {
                    for batch in batches {
                        inline.commit(batch).await.expect("a commit");
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });

    let threaded = SqliteStore::open(&dir.path().join("threaded.db"), &Options::default()).expect("a store");
    let counter = Counter::default();
    group.bench_function("threaded, one batch at a time", |bencher| {
        bencher.iter_batched(
            || counter.batches(ALONE),
            |batches| {
                runtime.block_on(async {
                    for batch in batches {
                        threaded.commit(batch).await.expect("a commit");
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(FLOOD));
    group.bench_function("threaded, flooded", |bencher| {
        bencher.iter_batched(
            || counter.batches(FLOOD),
            |batches| {
                runtime.block_on(async {
                    let mut waiting: FuturesUnordered<_> =
                        batches.into_iter().map(|batch| threaded.commit(batch)).collect();
                    while let Some(result) = waiting.next().await {
                        result.expect("a commit");
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("load of an agent with a long history", |bencher| {
        let agent = AgentName::from("agent-1");
        bencher.iter(|| black_box(runtime.block_on(threaded.load_agent(&agent)).expect("a load")));
    });
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
