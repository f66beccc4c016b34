//! What callers in line cost: memory, threads, and the time of others.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

use super::caller::Caller;
use super::line::Line;
use super::results::row;
use super::times::{at, ms, shown};
use super::turn_service::{Form, Service, Steps};

/// In line: at first, then more, then most.
const IN_LINE: [usize; 3] = [10, 1000, 5000];

/// Questions for the health, with a pause between two of them.
const QUESTIONS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);

/// What was seen of one service.
struct Seen {
    resident: [f64; 3],
    threads: [u32; 3],
    /// Times until the health was told: with few in line, with most, and with most while the session is handed over.
    health: [Vec<Duration>; 3],
}

pub(crate) async fn measure() {
    let ours = seen(Form::Disk).await;
    let peer = seen(Form::Peer(Steps::Row)).await;
    for more in [1, 2] {
        let each = |seen: &Seen| {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let callers = (IN_LINE[more] - IN_LINE[0]) as f64;
            (seen.resident[more] - seen.resident[0]) / callers
        };
        let what = format!("memory for each caller in line, {} to {}", IN_LINE[0], IN_LINE[more]);
        let (ours, peer) = (each(&ours), each(&peer));
        row(&what, &format!("{ours:.1} KiB"), &format!("{peer:.1} KiB"), ours / peer, " ×", ..);
    }
    let [few, more, most] = ours.threads;
    let what = format!("threads with {}, {}, {} callers in line", IN_LINE[0], IN_LINE[1], IN_LINE[2]);
    let grown = f64::from(more.max(most).saturating_sub(few));
    row(&what, &format!("{few}, {more}, {most}"), &format!("{}", peer.threads[2]), grown, " more", ..=0.0);
    let few = format!("/healthz with {} in line, p99", IN_LINE[0]);
    let most = format!("/healthz with {} in line, p99", IN_LINE[2]);
    let handed = format!("/healthz with {} in line and the session handed over all the while, p99", IN_LINE[2]);
    for (index, what) in [few, most, handed].into_iter().enumerate() {
        let (ours, peer) = (at(&ours.health[index], 99), at(&peer.health[index], 99));
        row(&what, &shown(ours), &shown(peer), ms(ours), " ms", ..=50.0);
    }
}

async fn seen(form: Form) -> Seen {
    let (service, clock) = (Service::start(form, 1).await, SystemClock::new());
    let mut line = Line::new(&service).await;
    let (mut resident, mut threads) = ([0.0; 3], [0; 3]);
    let mut health: [Vec<Duration>; 3] = std::array::from_fn(|_| Vec::new());
    for (index, length) in IN_LINE.into_iter().enumerate() {
        line.fill(length).await;
        clock.sleep(Duration::from_secs(1)).await;
        (resident[index], threads[index]) = (service.resident_kib(), service.threads());
        if index != 1 {
            line.beat().await;
            health[index / 2] = asked(&service).await;
        }
    }
    line.beat().await;
    let (is_over, service) = (Cell::new(false), &service);
    let asking = async {
        let times = asked(service).await;
        is_over.set(true);
        times
    };
    let passing = async {
        while !is_over.get() && line.length() > 0 {
            line.pass().await;
        }
        assert!(is_over.get(), "the line was long enough");
    };
    (health[2], ()) = join(asking, passing).await;
    Seen { resident, threads, health }
}

/// How long each of many questions for the health took.
async fn asked(service: &Service) -> Vec<Duration> {
    let (mut caller, clock) = (Caller::open(&service.socket).await, SystemClock::new());
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        caller.health().await;
        times.push(began.elapsed());
        clock.sleep(PAUSE).await;
    }
    times
}
