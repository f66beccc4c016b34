//! Every phase with every event: where it leads, what is written, asked of the world and answered.
//!
//! The table is the snapshot beside this file. Within a phase, events that lead to the same are one row. It was
//! read row by row against the rules; whoever changes it reads the changed rows again. What a rule says in so many
//! words is in `machine_rules.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use switchman::domain::{Change, Due, FailureKind, Outcome};
use switchman::machine::agent::testing::{Rig, report};
use switchman::machine::agent::{Event, Phase, Ticket};
use switchman::machine::timer::Timer;

#[path = "transition_table/events.rs"]
mod events;
#[path = "transition_table/situations.rs"]
mod situations;
#[path = "transition_table/words.rs"]
mod words;

use events::{EVENT_KINDS, event_kind, events};
use situations::{Begin, PHASE_KINDS, PHASES, phase_kind};
use words::render;

/// Every event and every timer in one phase: what they lead to, and which of them.
fn check(begin: Begin) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, event) in events(&begin()) {
        let mut rig = begin();
        let decision = rig.send(event);
        rows.entry(render(&decision, rig.now)).or_default().push(name.to_owned());
    }
    for timer in Timer::ALL {
        let mut rig = begin();
        rig.state.timers.set(timer, Due::At(rig.now.wall));
        let decision = rig.send(Event::Tick);
        rows.entry(render(&decision, rig.now)).or_default().push(format!("{timer:?} is due").to_lowercase());
    }
    rows
}

#[test]
fn the_table() {
    let mut table = String::new();
    for (name, begin) in PHASES {
        writeln!(table, "== {name}").expect("a string takes everything");
        for (leads_to, events) in check(begin) {
            writeln!(table, "{leads_to}\n    {}", events.join(" | ")).expect("a string takes everything");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_phase_and_every_event_has_rows() {
    let phases: BTreeSet<&str> = PHASES.iter().map(|(_, begin)| phase_kind(&begin().state)).collect();
    assert_eq!(phases, PHASE_KINDS.into());
    let kinds: BTreeSet<&str> = events(&Rig::serving("a")).iter().map(|(_, event)| event_kind(event)).collect();
    assert_eq!(kinds, EVENT_KINDS.into());
}

#[test]
fn nobody_is_answered_twice_or_left_without_an_answer() {
    for (name, begin) in PHASES {
        for (event_name, event) in events(&begin()) {
            let is_asked = matches!(event, Event::Report { .. } | Event::Operator { .. } | Event::Turn { .. });
            let mut rig = begin();
            let decision = rig.send(event);
            let answers = decision.replies.iter().filter(|(ticket, _)| ticket.0 >= 900).count();
            let is_in_line = |ticket: &Ticket| rig.state.turns.waiters().any(|waiter| waiter.callers.contains(ticket));
            let is_selecting = matches!(rig.state.phase, Phase::Selecting(_)) && is_asked;
            let waits = usize::from(is_selecting || is_in_line(&Ticket(902)));
            assert!(answers + waits >= usize::from(is_asked), "{event_name} in {name} is not answered");
            assert!(answers <= usize::from(is_asked), "{event_name} in {name} is answered twice");
        }
    }
}

#[test]
fn a_report_is_recorded_whatever_the_phase() {
    for (name, begin) in PHASES {
        let mut rig = begin();
        let decision = rig.report(report(FailureKind::Overload));
        assert_eq!(decision.answers(), [Outcome::Ignored], "{name}");
        assert!(decision.changes.iter().any(|change| matches!(change, Change::FailureRecorded(_))), "{name}");
    }
}
