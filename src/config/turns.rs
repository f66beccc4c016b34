//! `turns`: how callers share an agent.
//!
//! `[agent_defaults]` and `[[agent]]` are laid over each other member by member, so that an agent which says how its
//! work is ended keeps the lease that all have.
//!
//! Tests: `every_check_of_turns_has_a_case` and its neighbours in `tests`.

use std::time::Duration;

use super::reader::{Field, Placed, Section};
use super::{command, keys};
use crate::domain::Fence;
use crate::machine::policy::TurnPolicy;

/// How callers share an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// Sessions that may have a turn at the same time, at most.
    pub sessions_max: u32,
    /// Without a heartbeat for so long the holder of a turn counts as lost.
    pub lease: Duration,
    /// How long a holder that was asked to stop may take.
    pub cancel_ack: Duration,
    /// How the work of a turn is ended whose holder is lost or does not stop.
    pub fence: Fence,
}

impl Default for Turns {
    fn default() -> Self {
        let TurnPolicy { sessions_max, lease, cancel_ack, fence, are_told: _ } = TurnPolicy::default();
        Self { sessions_max, lease, cancel_ack, fence }
    }
}

impl Turns {
    /// What decisions depend on; `are_told`: somebody wants to know of every turn that begins.
    pub(super) fn policy(&self, are_told: bool) -> TurnPolicy {
        let Self { sessions_max, lease, cancel_ack, fence } = self.clone();
        TurnPolicy { sessions_max, lease, cancel_ack, fence, are_told }
    }
}

/// What stands in one section.
#[derive(Debug, Clone)]
pub(super) struct TurnsText {
    sessions_max: Field<u32>,
    lease: Field<Duration>,
    cancel_ack: Field<Duration>,
    fence: Field<Fence>,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const EXAMPLE: &str = "{ sessions_max = 3, lease = \"60s\", cancel_ack = \"10s\", fence = \"restart\" }";
const FENCE_EXAMPLE: &str = "\"restart\", \"none\" or { exec = [\"program\", \"argument\"] }";
/// What needs no more than a word.
const FENCES: &[&str] = &["restart", "none"];
/// Whole arguments that are replaced when the command is run.
const PLACEHOLDERS: &[&str] = &["{session}", "{turn}", "{agent}"];

/// The key `turns` of a section.
pub(super) fn read(section: &mut Section<'_>) -> TurnsText {
    let Some(mut table) = section.section("turns", &[], EXAMPLE, false).good() else {
        return TurnsText {
            sessions_max: Field::Absent,
            lease: Field::Absent,
            cancel_ack: Field::Absent,
            fence: Field::Absent,
        };
    };
    let sessions_max = table.number("sessions_max", 1..=1_000);
    // Heartbeats come several times in a lease, and a lost holder blocks its session for the whole of one.
    let lease = table.duration("lease", SECOND..=HOUR);
    let cancel_ack = table.duration("cancel_ack", SECOND..=HOUR);
    let fence = read_fence(&mut table);
    table.finish(false);
    TurnsText { sessions_max, lease, cancel_ack, fence }
}

impl TurnsText {
    /// What is not said here is taken from the defaults.
    pub(super) fn or(self, defaults: Self) -> Self {
        Self {
            sessions_max: self.sessions_max.or(defaults.sessions_max),
            lease: self.lease.or(defaults.lease),
            cancel_ack: self.cancel_ack.or(defaults.cancel_ack),
            fence: self.fence.or(defaults.fence),
        }
    }

    pub(super) fn resolved(self) -> Turns {
        let default = Turns::default();
        Turns {
            sessions_max: self.sessions_max.unwrap_or(default.sessions_max),
            lease: self.lease.unwrap_or(default.lease),
            cancel_ack: self.cancel_ack.unwrap_or(default.cancel_ack),
            fence: self.fence.unwrap_or(default.fence),
        }
    }
}

fn read_fence(section: &mut Section<'_>) -> Field<Fence> {
    let findings = section.findings();
    if !section.is_table("fence") {
        return section.text("fence", FENCE_EXAMPLE).and_then(|text| match text.value.as_str() {
            "restart" => Some(Fence::Restart),
            "none" => Some(Fence::None),
            other => {
                let hint = keys::nearest(other, FENCES)
                    .map_or_else(|| format!("one of {FENCE_EXAMPLE}"), |near| format!("did you mean \"{near}\"?"));
                findings.error(&text.at, format!("unknown fence \"{other}\""), hint);
                None
            }
        });
    }
    section.section("fence", &[], FENCE_EXAMPLE, false).and_then(|table| read_exec(table.value))
}

fn read_exec(mut section: Section<'_>) -> Option<Fence> {
    let findings = section.findings();
    let at = section.at.clone();
    let exec = command::read(&mut section, "exec", "fence.exec", "[\"program\", \"argument\"]").and_then(|command| {
        let wrong: Vec<_> = command.value.iter().enumerate().filter_map(|(at, part)| misplaced(at, part)).collect();
        for (part, what, hint) in &wrong {
            findings.error(&part.at, what, *hint);
        }
        wrong.is_empty().then(|| Fence::Exec(command::argv(command)))
    });
    section.finish(false);
    if exec.is_absent() {
        findings.error(&at, "`fence` says nothing", format!("write fence = {FENCE_EXAMPLE}"));
    }
    exec.good()
}

/// A part with braces that would reach the command as they are, where somebody meant them to be replaced.
fn misplaced(at: usize, part: &Placed<String>) -> Option<(&Placed<String>, String, &'static str)> {
    let (_, opened) = part.value.split_once('{')?;
    let (inner, _) = opened.split_once('}')?;
    if at == 0 {
        let what = format!("`fence.exec` has {{{inner}}} in its program, which is run as it is");
        return Some((part, what, "name the program; {session}, {turn} and {agent} are arguments"));
    }
    if PLACEHOLDERS.contains(&part.value.as_str()) {
        return None;
    }
    if PLACEHOLDERS.iter().any(|known| part.value.contains(known)) {
        let what = format!("`fence.exec` has {{{inner}}} as a part of an argument, where it is not replaced");
        return Some((part, what, "make it an argument of its own: \"{session}\", \"{turn}\", \"{agent}\""));
    }
    let what = format!("`fence.exec` has the unknown placeholder {{{inner}}}");
    Some((part, what, "an argument can be {session}, {turn} or {agent}; what needs braces goes into a script"))
}
