//! How soon a report becomes a durable decision, and how many of them per second, inside the process on the real
//! store.
//!
//! | measured | yardstick, in alternation with it | aim |
//! |---|---|---|
//! | one report at a time, until its switch is decided, p99 | 512 bytes appended and synced, p99 | ≤ 2.5 × |
//! | many agents at once, decisions per second | one event row and one state row per SQLite commit, one thread | ≥ 5 × |
//!
//! A decision is a report that opens an intent: the answer `switching` comes after it is on disk. Each takes an
//! agent that was not moved before, for an agent moves at most a few times per hour. The log is written as JSON and
//! thrown away. One part alone: `cargo bench --bench decide -- alone` or `flooded`.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/disk.rs"]
mod disk;
#[path = "rig/results.rs"]
mod results;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rusqlite::{Connection, params};
use switchman::actor::Switchman;
use switchman::domain::{FailureKind, Outcome, Report, ReportId};
use switchman::drivers::system_clock::SystemClock;
use switchman::machine::agent::testing;
use switchman::telemetry::lines::{LineStyle, Lines};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use daemon::{agent, start};
use disk::{disk, sqlite};
use results::row;

/// Reports that are decided one at a time.
const ALONE: usize = 2000;
/// Decisions in one round of the flood, one per agent.
const FLOOD: usize = 512;
/// Rounds, each followed by one of the yardstick.
const ROUNDS: usize = 8;
/// Reports with an id that each agent of a round gets.
const RECORDS: usize = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let lines = Lines::new(LineStyle::Json, std::io::sink, Arc::new(SystemClock::new()));
    tracing_subscriber::registry().with(EnvFilter::new("info")).with(lines).init();
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    runtime.block_on(async {
        if is_wanted("alone") {
            tokio::spawn(alone()).await.expect("measured");
        }
        if is_wanted("flooded") {
            tokio::spawn(flooded()).await.expect("measured");
        }
    });
}

/// The time that this share of them did not exceed.
fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

async fn alone() {
    let dir = disk();
    let root = start(ALONE, sqlite(dir.path()), true).await;
    let switchman = root.switchman();
    let mut file = File::create(dir.path().join("appended")).expect("a file");
    let (mut synced, mut decided) = (Vec::with_capacity(ALONE), Vec::with_capacity(ALONE));
    for number in 0..ALONE {
        let began = Instant::now();
        file.write_all(&[7; 512]).and_then(|()| file.sync_data()).expect("synced");
        synced.push(began.elapsed());
        let began = Instant::now();
        let answer =
            switchman.report(&agent(number), testing::report(FailureKind::RateLimit), 0).await.expect("decided");
        decided.push(began.elapsed());
        assert_eq!(answer.outcome, Outcome::Switching, "{answer:?}");
        let intent = answer.switch.expect("it switches").id;
        let ended = switchman.ended(&agent(number), &intent, Duration::from_secs(10)).await;
        ended.expect("the switch ends, and leaves the disk alone");
    }
    for percent in [50, 99] {
        let (decision, sync) = (at(&mut decided, percent), at(&mut synced, percent));
        let what = format!("report to durable decision, unloaded, p{percent}");
        let yardstick = format!("{} for one append with fdatasync", shown(sync));
        let ratio = decision.as_secs_f64() / sync.as_secs_f64();
        if percent == 99 {
            row(&what, &shown(decision), &yardstick, ratio, " ×", ..=2.5);
        } else {
            row(&what, &shown(decision), &yardstick, ratio, " ×", ..);
        }
    }
    root.stop(Duration::from_secs(1)).await;
}

async fn flooded() {
    let dir = disk();
    let root = start(ROUNDS * FLOOD, sqlite(dir.path()), false).await;
    let switchman = root.switchman();
    let bare = bare(&dir.path().join("bare.db"));
    let [mut commits, mut decisions, mut firsts, mut records] = [Duration::ZERO; 4];
    for round in 0..ROUNDS {
        let agents = round * FLOOD..(round + 1) * FLOOD;
        let began = Instant::now();
        for number in agents.clone() {
            commit(&bare, number);
        }
        commits += began.elapsed();

        let began = Instant::now();
        let decided = agents.clone().map(|number| {
            report(switchman.clone(), number, testing::report(FailureKind::RateLimit), Outcome::Switching)
        });
        join_all(decided.map(tokio::spawn)).await;
        decisions += began.elapsed();

        // The ids of an agent's reports are loaded once in the life of the daemon: counted apart.
        let began = Instant::now();
        let loaded = agents.clone().map(|number| {
            let id = Some(ReportId::from(format!("report-{number}")));
            report(switchman.clone(), number, Report { id, ..testing::report(FailureKind::RateLimit) }, Outcome::Repeat)
        });
        join_all(loaded.map(tokio::spawn)).await;
        firsts += began.elapsed();

        let began = Instant::now();
        let recorded = agents.flat_map(|number| (0..RECORDS).map(move |record| (number, record)));
        let recorded = recorded.map(|(number, record)| {
            let id = Some(ReportId::from(format!("report-{number}-{record}")));
            report(switchman.clone(), number, Report { id, ..testing::report(FailureKind::RateLimit) }, Outcome::Repeat)
        });
        join_all(recorded.map(tokio::spawn)).await;
        records += began.elapsed();
    }
    let yardstick = per_second(ROUNDS * FLOOD, commits);
    for (what, figure) in [
        ("decisions to switch per second, flooded", per_second(ROUNDS * FLOOD, decisions)),
        ("first reports with an id per second, each agent's ids loaded, flooded", per_second(ROUNDS * FLOOD, firsts)),
        ("further reports with ids decided per second, flooded", per_second(ROUNDS * FLOOD * RECORDS, records)),
    ] {
        row(
            what,
            &format!("{figure:.0}"),
            &format!("{yardstick:.0} single SQLite commits"),
            figure / yardstick,
            " ×",
            5.0..,
        );
    }
    root.stop(Duration::from_secs(1)).await;
}

async fn report(switchman: Switchman, number: usize, report: Report, outcome: Outcome) {
    let answer = switchman.report(&agent(number), report, 0).await.expect("decided");
    assert_eq!(answer.outcome, outcome, "{answer:?}");
}

fn per_second(count: usize, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are small")]
    let count = count as f64;
    count / time.as_secs_f64()
}

fn bare(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE events (id INTEGER PRIMARY KEY, agent TEXT, at INTEGER, kind TEXT, note TEXT);
         CREATE TABLE states (agent TEXT PRIMARY KEY, phase TEXT, subscription TEXT, generation INTEGER)",
    )
    .expect("its tables");
    conn
}

/// The yardstick: what a decision writes at the least, in a commit of its own.
fn commit(conn: &Connection, number: usize) {
    let agent = agent(number);
    let run = |sql, params: &[&dyn rusqlite::ToSql]| conn.prepare_cached(sql)?.execute(params);
    run("BEGIN IMMEDIATE", &[])
        .and_then(|_| {
            run(
                "INSERT INTO events (agent, at, kind, note) VALUES (?1, ?2, ?3, ?4)",
                params![agent, 1_700_000_000_000_i64, "rate_limit", "uid 1000 pid 4711"],
            )
        })
        .and_then(|_| {
            run(
                "INSERT INTO states VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET phase = excluded.phase,
                     subscription = excluded.subscription, generation = excluded.generation",
                params![agent, "draining", "b", 2],
            )
        })
        .and_then(|_| run("COMMIT", &[]))
        .expect("a commit");
}
