//! The month as a picture: who ran on what, when they could not work, and when each subscription could serve nobody.
//!
//! Whole pixels and one path per colour keep it small: a column is a bit more than half an hour, and whatever filled most
//! of it is drawn.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::measures::{Measures, Stretch};
use crate::provider::{DAY, HOUR, Ms};
use crate::scenario::{AGENTS, DAYS, END, Incident, SUBSCRIPTIONS, Scenario};
use crate::table::{Month, NAMES, refusals};

/// Distinct also for most who see colours differently; ordered so that neighbours differ.
const COLOURS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8f7a00", "#7552a3"];

const COLUMNS: u64 = 1260;
const LEFT: u64 = 112;
const WIDTH: u64 = LEFT + COLUMNS + 28;
const ROW: u64 = 17;
const BAR: u64 = 9;
const BAND: u64 = 8;
const AGENTS_SHOWN: usize = 10;
const HEAD: u64 = 144;
const PANEL_HEAD: u64 = 26;
const PANEL: u64 = PANEL_HEAD + AGENTS_SHOWN as u64 * ROW + 10 + SUBSCRIPTIONS.len() as u64 * BAND + 26;
const HEIGHT: u64 = HEAD + 3 * PANEL + 6;

/// The picture of a month.
pub(crate) fn picture(scenario: &Scenario, month: &Month) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"28\" font-size=\"18\" font-weight=\"bold\">Thirty days, ten of {AGENTS} agents: the subscription \
         that each is on</text>"
    );
    legend(&mut svg);
    for (number, measures) in month.of.iter().enumerate() {
        panel(&mut svg, scenario, NAMES[number], measures, HEAD + number as u64 * PANEL);
    }
    events(&mut svg, scenario);
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    for (number, (name, colour)) in SUBSCRIPTIONS.iter().zip(COLOURS).enumerate() {
        let x = LEFT + number as u64 * 92;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"44\" width=\"14\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"54\">{name}</text>",
            x + 19
        );
    }
    let x = LEFT + 8 * 92 + 10;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"50\" width=\"22\" height=\"4\" fill=\"#111\"/><text x=\"{}\" y=\"54\">wants to work, cannot</text>\
         <rect x=\"{}\" y=\"44\" width=\"14\" height=\"12\" fill=\"#ddd\"/><text x=\"{}\" y=\"54\">outage</text>",
        x + 28,
        x + 172,
        x + 191
    );
}

/// What happened outside, above all panels.
fn events(svg: &mut String, scenario: &Scenario) {
    let mut last = [0; 3];
    for (at, incident) in &scenario.incidents {
        let what = match incident {
            Incident::Banned(number) => format!("{} banned", SUBSCRIPTIONS[*number]),
            Incident::Replaced(number) => format!("{} replaced", SUBSCRIPTIONS[*number]),
            Incident::Shadowed(agent) => format!("w{agent}: dead key"),
            Incident::Down(true) => "outage".to_owned(),
            Incident::Down(false) | Incident::Mended(_) => continue,
        };
        let x = column(*at) + LEFT;
        // In the first line that has room, else left out: the picture is for people.
        let width = what.len() as u64 * 6 + 14;
        let Some(line) = (0..last.len()).find(|line| last[*line] <= x) else { continue };
        last[line] = x + width;
        let y = 82 + line as u64 * 16;
        let _ = writeln!(
            svg,
            "<path d=\"M{x}.5 {}V{}\" stroke=\"#999\" fill=\"none\"/><text x=\"{}\" y=\"{y}\" font-size=\"11\" fill=\"#555\">{what}</text>",
            y - 9,
            HEAD - 6,
            x + 4
        );
    }
}

fn panel(svg: &mut String, scenario: &Scenario, name: &str, measures: &Measures, top: u64) {
    let lost = (measures.avoidable() + HOUR / 2) / HOUR;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-size=\"14\" font-weight=\"bold\">{name}</text><text x=\"{}\" y=\"{}\" fill=\"#555\">{} switches · \
         {} requests refused · {lost} agent-hours lost that could have been avoided</text>",
        top + 17,
        LEFT + 100,
        top + 17,
        measures.switches,
        refusals(measures),
    );
    let (rows, bands) = (top + PANEL_HEAD, top + PANEL_HEAD + AGENTS_SHOWN as u64 * ROW + 10);
    let bottom = bands + SUBSCRIPTIONS.len() as u64 * BAND;
    let mut outages = String::new();
    let mut began = None;
    for (at, incident) in &scenario.incidents {
        match (incident, began) {
            (Incident::Down(true), _) => began = Some(*at),
            (Incident::Down(false), Some(from)) => {
                let (x, until) = (column(from), column(*at).max(column(from) + 2));
                let _ = write!(outages, "M{} {rows}h{}V{bottom}H{}z", x + LEFT, until - x, x + LEFT);
            }
            _ => {}
        }
    }
    let _ = writeln!(svg, "<path d=\"{outages}\" fill=\"#ddd\"/>");
    days(svg, rows, bottom);
    stays(svg, measures, rows);
    droughts(svg, measures, bands);
}

fn days(svg: &mut String, rows: u64, bottom: u64) {
    let mut lines = String::new();
    for day in 0..=DAYS {
        let x = LEFT + column(day * DAY);
        let _ = write!(lines, "M{x}.5 {rows}V{bottom}");
        if day % 2 == 0 && day < DAYS {
            let middle = LEFT + column(day * DAY + DAY / 2);
            let _ = writeln!(
                svg,
                "<text x=\"{middle}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\" fill=\"#777\">day {}</text>",
                bottom + 13,
                day + 1
            );
        }
    }
    let _ = writeln!(svg, "<path d=\"{lines}\" stroke=\"#e4e4e4\" fill=\"none\"/>");
}

fn stays(svg: &mut String, measures: &Measures, top: u64) {
    let mut lost = String::new();
    let mut by_colour: BTreeMap<usize, String> = BTreeMap::new();
    for row in 0..AGENTS_SHOWN {
        let agent = row * AGENTS / AGENTS_SHOWN;
        let y = top + row as u64 * ROW;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"10\">w{agent}</text>",
            LEFT - 6,
            y + 9
        );
        for (on, from, until) in runs(&measures.stays[&agent]) {
            // A stroke in the middle of the bar is the shortest way to write a rectangle.
            let _ = write!(by_colour.entry(on).or_default(), "M{} {}h{}", LEFT + from, y + BAR / 2, until - from);
        }
        for (from, until) in measures.losses.get(&agent).into_iter().flatten() {
            // Every restart takes a moment: only what can be seen is drawn.
            if until - from >= HOUR / 4 {
                let (from, until) = (column(*from), column(*until).max(column(*from) + 1));
                let _ = write!(lost, "M{} {}h{}", LEFT + from, y + BAR + 3, until - from);
            }
        }
    }
    for (on, path) in by_colour {
        let _ = writeln!(svg, "<path d=\"{path}\" stroke=\"{}\" stroke-width=\"{BAR}\" fill=\"none\"/>", COLOURS[on]);
    }
    let _ = writeln!(svg, "<path d=\"{lost}\" stroke=\"#111\" stroke-width=\"4\" fill=\"none\"/>");
}

fn droughts(svg: &mut String, measures: &Measures, top: u64) {
    for (number, (name, colour)) in SUBSCRIPTIONS.iter().zip(COLOURS).enumerate() {
        let y = top + number as u64 * BAND;
        let mut dry = String::new();
        for drought in measures.droughts.iter().filter(|drought| drought.on == number) {
            let (from, until) = (column(drought.from), column(drought.until).max(column(drought.from) + 1));
            let _ = write!(dry, "M{} {}h{}", LEFT + from, y + BAND / 2, until - from);
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"9\" fill=\"{colour}\">{name}</text>\
             <path d=\"M{LEFT} {}h{COLUMNS}\" stroke=\"{colour}\" stroke-opacity=\".13\" stroke-width=\"7\" fill=\"none\"/>\
             <path d=\"{dry}\" stroke=\"{colour}\" stroke-width=\"7\" fill=\"none\"/>",
            LEFT - 6,
            y + BAND - 1,
            y + BAND / 2,
        );
    }
}

/// Which column a time is drawn in.
fn column(at: Ms) -> u64 {
    at * COLUMNS / END
}

/// Runs of columns: what an agent was on for most of each.
fn runs(stays: &[Stretch]) -> Vec<(usize, u64, u64)> {
    let mut runs: Vec<(usize, u64, u64)> = Vec::new();
    let mut at = 0;
    for column in 0..COLUMNS {
        let (from, until) = (column * END / COLUMNS, (column + 1) * END / COLUMNS);
        let mut time: BTreeMap<usize, Ms> = BTreeMap::new();
        while stays[at].until <= from && at + 1 < stays.len() {
            at += 1;
        }
        for stay in stays[at..].iter().take_while(|stay| stay.from < until) {
            *time.entry(stay.on).or_default() += stay.until.min(until) - stay.from.max(from);
        }
        let Some((on, _)) = time.into_iter().max_by_key(|(on, time)| (*time, *on)) else { continue };
        match runs.last_mut() {
            Some(last) if last.0 == on && last.2 == column => last.2 = column + 1,
            Some(_) | None => runs.push((on, column, column + 1)),
        }
    }
    runs
}
