//! Sends reports as fast as they are answered, over connections that stay open, and says how fast that was.
//!
//! ```text
//! cargo run --release --example load -- --socket /run/switchman/switchman.sock --agent reviewer \
//!     --connections 64 --requests 100000 --ids unique --probe
//! ```
//!
//! Raw HTTP/1.1, prepared once per connection, so that the generator takes little of the machine it shares with
//! the service. Prints one JSON object. It knows nothing of what it talks to, and is the same for every service.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Sends failure reports and measures the answers")]
struct Options {
    /// The service's socket.
    #[arg(long)]
    socket: PathBuf,
    /// Whom the reports are about; given several times, connections take turns.
    #[arg(long, required = true)]
    agent: Vec<String>,
    /// Connections at once, each with one report under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Reports in all.
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// Stop after so many seconds, even if there are reports left.
    #[arg(long)]
    seconds: Option<f64>,
    /// Reports sent before the measured ones, not counted.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Whether every report has an id of its own, or none.
    #[arg(long, value_enum, default_value = "none")]
    ids: Ids,
    /// The kind that is reported.
    #[arg(long, default_value = "rate_limit")]
    kind: String,
    /// The generation that is reported.
    #[arg(long)]
    generation: Option<u64>,
    /// Ask `/healthz` all the while, on a connection of its own, and say how long that took.
    #[arg(long)]
    probe: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ids {
    Unique,
    None,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    statuses: BTreeMap<u16, u64>,
}

impl Seen {
    fn add(&mut self, status: u16, took: Duration) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        *self.statuses.entry(status).or_default() += 1;
    }

    fn merge(mut self, other: Self) -> Self {
        self.micros.extend(other.micros);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self
    }

    /// The time that this share of the answers did not exceed.
    fn micros_at(&mut self, percent: usize) -> Option<u32> {
        self.micros.sort_unstable();
        let last = self.micros.len().checked_sub(1)?;
        Some(self.micros[(self.micros.len() * percent / 100).min(last)])
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Arc::new(Options::parse());
    if options.warm_up > 0 {
        send_all(&options, "w", options.warm_up, None).await?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let probe = options.probe.then(|| tokio::spawn(probe(options.socket.clone(), stop.clone())));
    let began = Instant::now();
    let deadline = options.seconds.map(|seconds| began + Duration::from_secs_f64(seconds));
    let mut seen = send_all(&options, "m", options.requests, deadline).await?;
    let took = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut health = match probe {
        Some(probe) => Some(probe.await??),
        None => None,
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let per_second = seen.micros.len() as f64 / took;
    let statuses: BTreeMap<_, _> = seen.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
    let result = serde_json::json!({
        "reports": seen.micros.len(),
        "seconds": took,
        "per_second": per_second.round(),
        "p50_us": seen.micros_at(50),
        "p99_us": seen.micros_at(99),
        "max_us": seen.micros_at(100),
        "statuses": statuses,
        "healthz": health.as_mut().map(|health| serde_json::json!({
            "asked": health.micros.len(), "p99_us": health.micros_at(99), "max_us": health.micros_at(100),
        })),
    });
    println!("{result}");
    Ok(())
}

/// Sends `count` reports over all connections and waits for every answer.
async fn send_all(
    options: &Arc<Options>,
    run: &'static str,
    count: u64,
    deadline: Option<Instant>,
) -> Result<Seen, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let connections: Vec<_> = (0..options.connections)
        .map(|number| {
            let (options, next) = (options.clone(), next.clone());
            tokio::spawn(async move { send(&options, number, run, &next, count, deadline).await })
        })
        .collect();
    let mut seen = Seen::default();
    for connection in connections {
        seen = seen.merge(connection.await??);
    }
    Ok(seen)
}

async fn send(
    options: &Options,
    number: usize,
    run: &str,
    next: &AtomicU64,
    count: u64,
    deadline: Option<Instant>,
) -> Result<Seen, Failure> {
    let agent = &options.agent[number % options.agent.len()];
    let mut connection = Connection::open(&options.socket).await?;
    let mut seen = Seen::default();
    let generation = options.generation.map(|generation| format!(",\"generation\":{generation}")).unwrap_or_default();
    let process = std::process::id();
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= count || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(seen);
        }
        let id = if options.ids == Ids::Unique { format!("\"id\":\"{run}{process}-{id}\",") } else { String::new() };
        let body = format!("{{{id}\"kind\":\"{}\"{generation}}}", options.kind);
        let request = format!(
            "POST /v1/agents/{agent}/failures HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        let status = connection.exchange(request.as_bytes()).await?;
        seen.add(status, began.elapsed());
    }
}

/// Asks for the health, one answer after the other, with a short pause.
async fn probe(socket: PathBuf, stop: Arc<AtomicBool>) -> Result<Seen, Failure> {
    let mut connection = Connection::open(&socket).await?;
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let status = connection.exchange(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        seen.add(status, began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(seen)
}

struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(socket: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| format!("failed to connect to {}: {error}", socket.display()))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// One request, one answer; returns its status.
    async fn exchange(&mut self, request: &[u8]) -> Result<u16, Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the service closed the connection instead of answering".into());
            }
            if let Some((status, length)) = parse(&self.buffer)?
                && self.buffer.len() >= length
            {
                return Ok(status);
            }
        }
    }
}

/// The status and the whole length of an answer, once its head is there.
fn parse(answer: &[u8]) -> Result<Option<(u16, usize)>, Failure> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head])?;
    let status = text.get(9..12).ok_or("an answer without a status")?.parse()?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without a content-length")?;
    Ok(Some((status, head + 4 + length.1.trim().parse::<usize>()?)))
}
