//! How many turns are begun and completed per second.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rusqlite::{Connection, params};

use super::DURABLE_PEERS;
use super::caller::{Caller, OnBusy};
use super::daemon::agent;
use super::disk::disk;
use super::results::row;
use super::turn_service::{Form, Service, Steps};

/// For so long each service is loaded before the next one's turn comes.
const SLICE: Duration = Duration::from_millis(1500);

/// Slices of each service that count; one more comes first and does not.
const SLICES: u32 = 5;

/// Callers at the same time.
const CALLERS: usize = 64;

/// Agents, and sessions of each.
const FLEET: (usize, usize) = (1000, 10);

/// At least so many times the yardstick.
const AIM: f64 = 3.0;

/// Who wants what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// One caller, one session.
    Alone,
    /// Many callers queue for one session.
    Contended,
    /// Many callers, each with sessions of its own at all agents.
    Fleet,
}

impl Load {
    fn callers(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Contended | Self::Fleet => CALLERS,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Alone => "one session, one caller".to_owned(),
            Self::Contended => format!("one session, {CALLERS} callers queue"),
            Self::Fleet => format!("{} agents with {} sessions each, {CALLERS} callers", FLEET.0, FLEET.1),
        }
    }
}

/// What a service did in its slices.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    pairs: u64,
    time: Duration,
}

impl Tally {
    fn per_second(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a run are small")]
        let pairs = self.pairs as f64;
        pairs / self.time.as_secs_f64()
    }
}

pub(crate) async fn measure() {
    let ours = [Form::Disk, Form::Shared, Form::Unkept];
    let peers = [DURABLE_PEERS[0], DURABLE_PEERS[1], Form::Peer(Steps::Kept)];
    let mut services = Vec::new();
    for form in ours.into_iter().chain([Form::Daemon]).chain(peers) {
        services.push(Service::start(form, 1).await);
    }
    for load in [Load::Alone, Load::Contended] {
        compare(&services, load).await;
    }
    services.clear();
    for form in ours.into_iter().chain(peers) {
        services.push(Service::start(form, FLEET.0).await);
    }
    compare(&services, Load::Fleet).await;
}

async fn compare(services: &[Service], load: Load) {
    let mut tallies = vec![Tally::default(); services.len()];
    let (dir, mut bare) = (disk(), Tally::default());
    let rows = Rows::open(&dir.path().join("bare.db"));
    for slice in 0..=SLICES {
        for (service, tally) in services.iter().zip(&mut tallies) {
            let done = loaded(service, load).await;
            if slice > 0 {
                *tally = Tally { pairs: tally.pairs + done.pairs, time: tally.time + done.time };
            }
        }
        let done = rows.commit_for(SLICE / 2);
        bare = Tally { pairs: bare.pairs + done.pairs, time: bare.time + done.time };
    }
    let of = |form: Form| {
        let found = services.iter().position(|service| service.form == form);
        found.map(|index| tallies[index].per_second())
    };
    let commits = bare.per_second();
    report(load, of, commits);
}

/// The rows of one load.
fn report(load: Load, of: impl Fn(Form) -> Option<f64>, commits: f64) {
    let what = |how: &str| format!("turns begun and completed per second, {}, {how}", load.name());
    let (Some(disk), Some(shared), Some(unkept)) = (of(Form::Disk), of(Form::Shared), of(Form::Unkept)) else { return };
    let [inline, thread] = DURABLE_PEERS.map(|peer| of(peer).unwrap_or_default());
    let peer = inline.max(thread);
    let beside = format!("{peer:.0} (rows committed in its loop {inline:.0}, in a thread {thread:.0})");
    row(&what("durable"), &format!("{disk:.0}"), &beside, disk / peer, " ×", AIM..);
    if let Some(daemon) = of(Form::Daemon) {
        let what = what("durable, the daemon's own binary with a process agent");
        row(&what, &format!("{daemon:.0}"), &format!("{peer:.0}"), daemon / peer, " ×", AIM..);
    }
    let kept = of(Form::Peer(Steps::Kept)).unwrap_or_default();
    row(&what("nothing kept"), &format!("{unkept:.0}"), &format!("{kept:.0} in memory"), unkept / kept, " ×", ..);
    let cost = format!("{disk:.0} on disk");
    row(&what("the database in memory"), &format!("{shared:.0}"), &cost, shared / disk, " ×", ..);
    let single = format!("{commits:.0} single SQLite commits of one row, one thread");
    row(&what("durable"), &format!("{disk:.0}"), &single, disk / commits, " ×", ..);
}

/// One slice.
async fn loaded(service: &Service, load: Load) -> Tally {
    let callers = (0..load.callers()).map(|_| Caller::open(&service.socket));
    let callers = join_all(callers).await;
    let began = Instant::now();
    let until = began + SLICE;
    let work = callers.into_iter().enumerate().map(|(number, caller)| tokio::spawn(work(caller, load, number, until)));
    let done = join_all(work).await;
    Tally { pairs: done.into_iter().map(|pairs| pairs.expect("served")).sum(), time: began.elapsed() }
}

async fn work(mut caller: Caller, load: Load, number: usize, until: Instant) -> u64 {
    let (mut pairs, mut at) = (0, number);
    while Instant::now() < until {
        match load {
            Load::Alone => caller.pair(&agent(0), "one", OnBusy::Fail).await,
            Load::Contended => caller.pair(&agent(0), "one", OnBusy::Queue).await,
            Load::Fleet => {
                let (name, session) = place(at);
                caller.pair(&name, &session, OnBusy::Fail).await;
                at = (at + CALLERS) % (FLEET.0 * FLEET.1 / CALLERS * CALLERS);
            }
        }
        pairs += 1;
    }
    pairs
}

/// The n-th session of all, in an order in which neighbours are far from each other. No two callers share one.
fn place(number: usize) -> (String, String) {
    // Prime, and no divisor of the number of sessions: every session comes once.
    let scattered = number * 7919 % (FLEET.0 * FLEET.1);
    (agent(scattered / FLEET.1), format!("session-{}", scattered % FLEET.1))
}

/// What the disk gives: one row per commit, nobody between.
struct Rows(Connection);

impl Rows {
    fn open(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a database");
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE step (turn TEXT, session TEXT, holder TEXT, what TEXT)",
        )
        .expect("its table");
        Self(conn)
    }

    fn commit_for(&self, time: Duration) -> Tally {
        let (began, mut pairs) = (Instant::now(), 0);
        while began.elapsed() < time {
            let row = params![format!("agent-00000-t{pairs}"), "one", "a caller", "begun"];
            let mut insert = self.0.prepare_cached("INSERT INTO step VALUES (?1, ?2, ?3, ?4)").expect("a statement");
            insert.execute(row).expect("a row");
            pairs += 1;
        }
        Tally { pairs, time: began.elapsed() }
    }
}
