//! How soon a line that a container prints becomes a durable decision, beside the engine's own delivery of the same line.
//!
//! | measured, of the same line | yardstick | aim |
//! |---|---|---|
//! | until its decision is on disk, less the time until a bare follower has it, p99 | none: a difference | ≤ 1 ms |
//! | the same, p99 | 512 bytes appended and synced, in alternation, p99 | ≤ 2.5 × |
//!
//! Containers and engine are real; the actors run in this process on the real store, so that the end of a commit can be
//! seen. One line at a time. The containers run the agent program of `examples/agent.rs` (`cargo build --release
//! --example agent` first) and are removed at the end.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "rig/containers.rs"]
mod containers;
#[path = "rig/followed.rs"]
mod followed;
#[path = "../tests/rig/image.rs"]
mod image;
#[path = "rig/results.rs"]
mod results;
#[path = "rig/times.rs"]
mod times;
#[path = "rig/voice.rs"]
mod voice;
#[path = "rig/witness.rs"]
mod witness;

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use bollard::Docker;

use containers::{Containers, with_containers};
use followed::{Followed, Sample};
use results::row;
use times::{at, ms, shown};

/// Containers, which print in turns.
const CONTAINERS: usize = 4;
/// Lines that are not counted.
const WARM_UP: usize = 20;
const LINES: usize = 400;
/// Between two lines, for what the last one started to end.
const CALM: Duration = Duration::from_millis(20);

fn main() {
    // As many workers as the daemon has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Docker::connect_with_defaults().expect("an engine's address");
        with_containers(&client, CONTAINERS, measure).await;
    });
}

async fn measure(containers: &Containers) {
    let mut followed = Followed::start(containers, CONTAINERS).await;
    let mut file = File::create(containers.work().join("appended")).expect("a file");
    let (mut samples, mut synced) = (Vec::with_capacity(LINES), Vec::with_capacity(LINES));
    for number in 0..WARM_UP + LINES {
        tokio::time::sleep(CALM).await;
        let began = Instant::now();
        file.write_all(&[7; 512]).and_then(|()| file.sync_data()).expect("synced");
        let sync = began.elapsed();
        tokio::time::sleep(CALM).await;
        let sample = followed.sample(number).await;
        if number >= WARM_UP {
            synced.push(sync);
            samples.push(sample);
        }
    }
    followed.stop().await;
    let times = |of: fn(&Sample) -> Duration| samples.iter().map(of).collect::<Vec<_>>();
    let (delivered, decided) = (times(|sample| sample.delivered), times(|sample| sample.decided));
    let on_top = times(Sample::on_top);
    for percent in [50, 90, 99] {
        let [top, all, bare] = [&on_top, &decided, &delivered].map(|times| at(times, percent));
        let what = format!("line of a container to durable decision, unloaded, p{percent}");
        let figure = format!("{} on top, {} in all", shown(top), shown(all));
        let yardstick = format!("{} until a bare follower has the line", shown(bare));
        let sync = at(&synced, percent);
        let synced = format!("{} for one append with fdatasync", shown(sync));
        let again = format!("the same on top, p{percent}");
        if percent == 99 {
            row(&what, &figure, &yardstick, ms(top), " ms", ..=1.0);
            row(&again, &shown(top), &synced, ms(top) / ms(sync), " ×", ..=2.5);
        } else {
            row(&what, &figure, &yardstick, ms(top), " ms", ..);
            row(&again, &shown(top), &synced, ms(top) / ms(sync), " ×", ..);
        }
    }
}
