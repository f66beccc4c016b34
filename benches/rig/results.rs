//! How the benchmarks say what they found: rows of one Markdown table, whichever program prints them.

use std::ops::{Bound, RangeBounds};

/// Prints one row: what was measured, the figure, the yardstick's figure, what the aim is about (in `unit`), the
/// aim, and whether it was met. The aim `..` is none: the row is given for scale.
pub(crate) fn row(what: &str, figure: &str, yardstick: &str, measured: f64, unit: &str, aim: impl RangeBounds<f64>) {
    let wanted = match (aim.start_bound(), aim.end_bound()) {
        (Bound::Included(least), _) => format!("≥ {least}{unit}"),
        (_, Bound::Included(most)) => format!("≤ {most}{unit}"),
        _ => String::new(),
    };
    let verdict = match (wanted.is_empty(), aim.contains(&measured)) {
        (true, _) => "",
        (false, true) => "met",
        (false, false) => "**missed**",
    };
    println!("| {what} | {figure} | {yardstick} | {measured:.2}{unit} | {wanted} | {verdict} |");
}
