//! How soon the next in line has a session that was given back.

use std::time::Duration;

use super::DURABLE_PEERS;
use super::line::Line;
use super::results::row;
use super::times::{at, ms, shown};
use super::turn_service::{Form, Service, Steps};

/// Callers in line at the beginning of each round.
const IN_LINE: usize = 1000;

/// Hand-overs in one round; who was served goes back to the end of the line after it.
const PASSES: usize = 100;

/// Rounds of each service, in alternation.
const ROUNDS: usize = 10;

pub(crate) async fn measure() {
    let forms = [Form::Disk, Form::Unkept, DURABLE_PEERS[0], DURABLE_PEERS[1], Form::Peer(Steps::Kept)];
    let mut services = Vec::new();
    for form in forms {
        services.push(Service::start(form, 1).await);
    }
    let mut lines = Vec::new();
    for service in &services {
        lines.push((Line::new(service).await, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (line, times) in &mut lines {
            line.fill(IN_LINE).await;
            for _ in 0..PASSES {
                times.push(line.pass().await);
            }
            line.beat().await;
        }
    }
    let of = |form: Form, percent: usize| {
        let index = forms.iter().position(|known| *known == form).expect("measured");
        let begun: Vec<Duration> = lines[index].1.iter().map(|passed| passed.begun).collect();
        at(&begun, percent)
    };
    for percent in [50, 99] {
        let what = |how: &str| format!("hand-over with {IN_LINE} in line, {how}, p{percent}");
        let compared = |how: &str, ours: Duration, theirs: Duration, all: &str| {
            let ratio = ms(ours) / ms(theirs);
            row(&what(how), &shown(ours), &format!("{}{all}", shown(theirs)), ratio, " ×", ..);
        };
        let [inline, thread] = DURABLE_PEERS.map(|peer| of(peer, percent));
        let both = format!(" (rows committed in its loop {}, in a thread {})", shown(inline), shown(thread));
        compared("durable", of(Form::Disk, percent), inline.min(thread), &both);
        compared("nothing kept", of(Form::Unkept, percent), of(Form::Peer(Steps::Kept), percent), " in memory");
    }
    let answered: Vec<Duration> = lines[0].1.iter().map(|passed| passed.answered).collect();
    let what = "until who ended the turn has its answer, durable, p50";
    row(what, &shown(at(&answered, 50)), "", ms(at(&answered, 50)), " ms", ..);
}
