//! The words of the table.

use std::fmt::Write;

use switchman::domain::{Change, Moment, SubscriptionName};
use switchman::machine::agent::testing::{effect_name, turn_word};
use switchman::machine::agent::{Decision, Refusal, Reply, Verdict};
use switchman::machine::timer::Timer;

use crate::situations::phase_kind;

/// What a step comes to, in one line.
pub(crate) fn render(decision: &Decision, now: Moment) -> String {
    let mut line = format!("{:18}", phase_kind(&decision.state));
    match decision.verdict {
        Verdict::Accepted => {}
        Verdict::Ignored(reason) => write!(line, " · ignored {}", reason.as_str()).expect("a string takes everything"),
    }
    let mut part = |title: &str, words: Vec<String>| {
        if !words.is_empty() {
            write!(line, " · {title} {}", words.join(" ")).expect("a string takes everything");
        }
    };
    part("writes", decision.changes.iter().map(change).collect());
    part("asks", decision.effects.iter().map(|effect| effect_name(effect).to_owned()).collect());
    part("answers", decision.replies.iter().map(|(_, reply)| answer(reply)).collect());
    let armed = Timer::ALL.into_iter().filter_map(|timer| {
        let due = decision.state.timers.get(timer)?;
        Some(format!("{timer:?} {}s", due.remaining(now).as_secs()).to_lowercase())
    });
    part("waits", armed.collect());
    line
}

fn change(change: &Change) -> String {
    match change {
        Change::FailureRecorded(record) => format!("failure:{}", record.outcome),
        Change::FailureCounted { .. } => "count".to_owned(),
        Change::FailureJudged { outcome, .. } => format!("judged:{outcome}"),
        Change::CooldownSet(row) => format!("cooldown({})", row.subscription),
        Change::CooldownLifted(_) => "lifted".to_owned(),
        Change::IntentOpened(intent) => format!("opened({} {}→{})", intent.plan, from(intent.from.as_ref()), intent.to),
        Change::IntentDelivered { before, .. } => {
            format!("before({})", before.as_ref().map_or("none", |before| before.started_at.as_str()))
        }
        Change::IntentClosed(end) => format!("closed:{}", end.outcome),
        Change::Assigned { assignment, .. } => {
            format!("assigned({} {})", assignment.generation, assignment.subscription)
        }
        Change::AgentSaved(..) => "saved".to_owned(),
        Change::Notified(notification) => format!("tells:{}", notification.event),
        Change::CredentialSeen(..) => "credential".to_owned(),
        Change::ReadingTaken(_) => "reading".to_owned(),
        Change::Halted(_) => "halted".to_owned(),
        Change::HaltLifted(_) => "halt lifted".to_owned(),
        Change::LogRead(..) => "read".to_owned(),
        Change::TurnBegun { .. } => "begun".to_owned(),
        Change::TurnChanged(_) => "turn".to_owned(),
        Change::TurnEnded { ended, .. } => format!("ended:{}", ended.end),
        Change::SessionSaved(..) => "session".to_owned(),
    }
}

fn from(from: Option<&SubscriptionName>) -> &str {
    from.map_or("nothing", SubscriptionName::as_str)
}

fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Report(answer) => answer.outcome.to_string(),
        Reply::Turn(reply) => turn_word(reply).to_owned(),
        Reply::Done => "done".to_owned(),
        Reply::Switching(_) => "switching".to_owned(),
        Reply::Refused(refusal) => {
            let word = match refusal {
                Refusal::SwitchInProgress => "in_progress",
                Refusal::NoSwitch => "no_switch",
                Refusal::TooLate => "too_late",
                Refusal::Pinned(_) => "pinned",
                Refusal::MonitorOnly => "monitor_only",
                Refusal::NotEligible { .. } => "not_eligible",
                Refusal::NotParked => "not_parked",
                Refusal::Unavailable => "unavailable",
            };
            format!("refused:{word}")
        }
    }
}
