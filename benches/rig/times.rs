//! Times of a run: their order, and how they are shown.

use std::time::Duration;

/// The time that this share of them did not exceed.
pub(crate) fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) fn shown(time: Duration) -> String {
    format!("{:.2} ms", ms(time))
}
