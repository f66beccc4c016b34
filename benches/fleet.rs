//! What one container in flood costs, and what the others notice of it, while all of a fleet are followed.
//!
//! | measured | yardstick | aim |
//! |---|---|---|
//! | processor time per line of the flood | a stream of the client library that reads the same flood alone | none |
//! | line of another container to durable decision while it floods, p99 | the same without the flood, in turns with it | ≤ 2 × |
//! | resident size while it floods | the same before | none |
//!
//! The flood is what the agent program prints for turn after turn, as fast as it can: records of stream-json, two of
//! three of which have to be parsed. It is halted by a signal to the container and goes on where it was. The containers
//! run the agent program of `examples/agent.rs` (`cargo build --release --example agent` first) and are removed at the
//! end. `cargo bench --bench fleet -- 100` takes 100 containers instead of 200.
//!
//! Docker takes an inotify instance for every follower of a json-file log, and polls the file a few times per second if it
//! gets none. Where `fs.inotify.max_user_instances` is below the containers and probes together, the delays are mostly
//! those of the polling.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "rig/containers.rs"]
mod containers;
#[path = "rig/followed.rs"]
mod followed;
#[path = "../tests/rig/image.rs"]
mod image;
#[path = "rig/resident.rs"]
mod resident;
#[path = "rig/results.rs"]
mod results;
#[path = "rig/times.rs"]
mod times;
#[path = "rig/voice.rs"]
mod voice;
#[path = "rig/witness.rs"]
mod witness;

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{KillContainerOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt as _;

use containers::{Containers, with_containers};
use followed::{Followed, Sample};
use resident::{asked, in_a_child, resident_kib};
use results::row;
use times::{at, ms, shown};
use voice::Voice;

const CONTAINERS: usize = 200;
/// Containers that print lines to be decided, in turns.
const PROBES: usize = 16;
/// Phases without the flood, and as many with it.
const ROUNDS: usize = 5;
/// Lines in one phase.
const LINES: usize = 40;
const CALM: Duration = Duration::from_millis(20);
/// From the begin of a flood until everybody is busy with it.
const SWELL: Duration = Duration::from_secs(1);
/// For so long the yardstick reads the flood.
const READ: Duration = Duration::from_secs(5);

fn main() {
    // As many workers as the daemon has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Docker::connect_with_defaults().expect("an engine's address");
        if let Some(what) = asked() {
            let (figure, name) = what.split_once(' ').expect("a figure and a container");
            return println!("{}", read_alone(&client, figure, name).await);
        }
        let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
        with_containers(&client, count.unwrap_or(CONTAINERS), async |containers| measure(&client, containers).await)
            .await;
    });
}

/// The yardstick, in a process of its own: lines per second, or microseconds of processor time per line.
async fn read_alone(client: &Docker, figure: &str, name: &str) -> f64 {
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true).tail("0");
    let mut stream = client.logs(name, Some(options.build()));
    stream.next().await.expect("a stream").expect("a line");
    let (began, used, mut lines) = (Instant::now(), processor_s(), 0_u32);
    while began.elapsed() < READ {
        stream.next().await.expect("a stream").expect("a line");
        lines += 1;
    }
    match figure {
        "rate" => f64::from(lines) / began.elapsed().as_secs_f64(),
        "processor" => (processor_s() - used) * 1e6 / f64::from(lines),
        other => panic!("no figure named {other}"),
    }
}

/// The container that floods.
struct Flood<'a> {
    client: &'a Docker,
    name: &'a str,
}

impl<'a> Flood<'a> {
    fn begin(client: &'a Docker, containers: &'a Containers) -> Self {
        let name = &containers.names[0];
        Voice::of(containers, name).say(&format!("burst {}", u64::MAX));
        Self { client, name }
    }

    async fn halt(&self) {
        self.signal("SIGSTOP").await;
    }

    async fn go_on(&self) {
        self.signal("SIGCONT").await;
    }

    async fn signal(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        self.client.kill_container(self.name, Some(options)).await.expect("a signal");
    }
}

/// What was measured in the phases of one sort.
#[derive(Default)]
struct Phases {
    samples: Vec<Sample>,
    lines: f64,
    processor_s: f64,
    seconds: f64,
    most_kib: f64,
}

impl Phases {
    async fn add(&mut self, followed: &mut Followed) {
        let (began, lines, used) = (Instant::now(), lines_read(followed).await, processor_s());
        for number in 0..LINES {
            tokio::time::sleep(CALM).await;
            self.samples.push(followed.sample(number).await);
            self.most_kib = self.most_kib.max(resident_kib());
        }
        self.lines += lines_read(followed).await - lines;
        self.processor_s += processor_s() - used;
        self.seconds += began.elapsed().as_secs_f64();
    }

    fn at(&self, percent: usize, of: fn(&Sample) -> Duration) -> Duration {
        at(&self.samples.iter().map(of).collect::<Vec<_>>(), percent)
    }

    fn mib(&self) -> f64 {
        self.most_kib / 1024.0
    }

    /// Of one core, in percent.
    fn busy(&self) -> f64 {
        100.0 * self.processor_s / self.seconds
    }
}

async fn measure(client: &Docker, containers: &Containers) {
    let count = containers.names.len();
    let flood = Flood::begin(client, containers);
    tokio::time::sleep(SWELL).await;
    let alone = in_a_child(&format!("rate {}", flood.name));
    let alone_us = in_a_child(&format!("processor {}", flood.name));
    flood.halt().await;
    let mut followed = Followed::start(containers, PROBES).await;
    // What is paid once is paid before.
    for number in 0..PROBES {
        followed.sample(number).await;
    }
    let [mut quiet, mut flooded] = [Phases::default(), Phases::default()];
    for _ in 0..ROUNDS {
        quiet.add(&mut followed).await;
        flood.go_on().await;
        tokio::time::sleep(SWELL).await;
        flooded.add(&mut followed).await;
        flood.halt().await;
        caught_up(&followed).await;
    }
    followed.stop().await;
    let per_line = flooded.processor_s * 1e6 / flooded.lines;
    row(
        &format!("processor time per line of a flood, {count} containers followed"),
        &format!(
            "{per_line:.2} µs ({:.0} lines per second, {:.0} % of a core)",
            flooded.lines / flooded.seconds,
            flooded.busy()
        ),
        &format!("{alone_us:.2} µs for a bare follower alone ({alone:.0} lines per second)"),
        per_line / alone_us,
        " ×",
        ..,
    );
    for percent in [50, 99] {
        let [with, without] = [&flooded, &quiet].map(|phases| {
            let all = phases.at(percent, |sample| sample.decided);
            let [top, bare] =
                [Sample::on_top, |sample: &Sample| sample.delivered].map(|of| shown(phases.at(percent, of)));
            (all, format!("{} ({top} on top, {bare} until a bare follower has it)", shown(all)))
        });
        let what = format!("line of another container to decision while one of {count} floods, p{percent}");
        let measured = ms(with.0) / ms(without.0);
        let yardstick = format!("{} without the flood", without.1);
        if percent == 99 {
            row(&what, &with.1, &yardstick, measured, " ×", ..=2.0);
        } else {
            row(&what, &with.1, &yardstick, measured, " ×", ..);
        }
    }
    row(
        &format!("resident size while one of {count} floods, with {PROBES} bare followers in it"),
        &format!("{:.1} MiB", flooded.mib()),
        &format!("{:.1} MiB before the first flood or between two, {:.1} % of a core", quiet.mib(), quiet.busy()),
        flooded.mib(),
        " MiB",
        ..,
    );
}

/// Waits until what the flood has left behind is read.
async fn caught_up(followed: &Followed) {
    let mut read = lines_read(followed).await;
    loop {
        tokio::time::sleep(SWELL).await;
        let now = lines_read(followed).await;
        // The probes have told a handful; a flood is thousands.
        if now - read < 100.0 {
            return;
        }
        read = now;
    }
}

/// Lines of containers that were read so far.
async fn lines_read(followed: &Followed) -> f64 {
    let switchman = followed.switchman();
    let snapshot = switchman.snapshot().await.expect("the pool answers");
    let text = switchman.telemetry().metrics().render(&snapshot);
    let line = text.lines().find(|line| line.contains("log_lines") && line.contains(r#"source="container""#));
    let count = line.and_then(|line| line.split_whitespace().nth(1)).expect("a counter of lines");
    count.parse().unwrap_or_else(|_| panic!("{count} is no number of lines"))
}

/// Processor time that this process has taken, in seconds.
fn processor_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux /proc");
    // Behind the name, which may contain anything: 14th and 15th of all.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    // A hundred per second on every Linux that this runs on.
    ticks.sum::<f64>() / 100.0
}
