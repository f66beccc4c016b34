//! How what happens to an agent is told: a failure as a report, a success as what its answer says of the windows.
//!
//! It depends on who tells: a trusted dispatcher, whoever follows the log, or the agent itself.

use switchman::domain::{AgentName, Generation, Origin, Reading, Report, Reporter, Teller, Trust, Utilisation, Window};
use switchman::machine::agent::testing::{life, report};

use crate::ours::wall;
use crate::scenario::{SUBSCRIPTIONS, Told};
use crate::stage::{Failure, Stage};

/// The report about a failure; `lives` is how often the agent has been started by now.
pub(crate) fn report_of(failure: &Failure, told: Told, lives: u32) -> Report {
    let base = Report {
        window: failure.refusal.window,
        reset_at: failure.refusal.reset_at.map(wall),
        trust: Trust::Structured,
        is_hearsay: false,
        observed_at: Some(wall(failure.at)),
        reporter: Reporter::Agent,
        ..report(failure.refusal.kind)
    };
    let (generation, ran_in) = failure.ran_in;
    match told {
        Told::Dispatcher => Report { generation: Some(Generation(generation)), reporter: Reporter::Trusted, ..base },
        Told::Log if ran_in == lives => Report { origin: Origin::Life(life(ran_in)), ..base },
        Told::Log => Report { origin: Origin::EarlierLife, ..base },
        Told::Itself => Report { subscription: Some(SUBSCRIPTIONS[failure.on].into()), ..base },
    }
}

/// What the answer to a request says of the windows. A dispatcher tells both, a log the short one; who speaks for itself
/// says nothing about it.
pub(crate) fn readings(world: &Stage, agent: usize, on: usize, told: Told) -> Vec<Reading> {
    let windows: &[Window] = match told {
        Told::Dispatcher => &[Window::FiveHour, Window::Weekly],
        Told::Log => &[Window::FiveHour],
        Told::Itself => &[],
    };
    let read = |window: &Window| {
        let (used, reset_at) = world.provider.reads(on, *window)?;
        Some(Reading {
            subscription: SUBSCRIPTIONS[on].into(),
            window: *window,
            model: None,
            utilisation: Some(Utilisation(used)),
            serves: true,
            reset_at: reset_at.map(wall),
            at: wall(world.now),
            told_by: match told {
                Told::Log => Teller::Agent(AgentName::from(format!("w{agent}"))),
                Told::Dispatcher | Told::Itself => Teller::Reporter,
            },
        })
    };
    windows.iter().filter_map(read).collect()
}
