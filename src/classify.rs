//! From evidence to a verdict: what went wrong, how far it reaches, when it ends.
//!
//! Pure: no clock, no environment, no I/O. It must not decide what is done about a failure, nor believe text
//! that could be anybody's: only a status, headers, a body, how the process ended, and the tool's own
//! top-level JSON records make a kind that may move an agent. Everything else is `unknown`.
//!
//! The order is the rule (C2–C5):
//!
//! ```text
//! killed?  ──► status, headers, body ──► records of the tool in the text ──► harmless words ──► unknown
//! signal,      529, 5xx, busy: overload   top-level keys only; of several     network, killed:
//! 137, OOM     429, 401, 403, 402 by      the one that says most              never a mover
//!              what the body says
//! ```
//!
//! Invariants: kill evidence beats everything · no free text gives a kind that moves · a reset outside
//! yesterday … 40 days is not one.
//!
//! Tests: in each file; rows of real output in `classify/tests.rs`.

mod classifier;
mod claude_code;
mod codex;
mod context;
mod event_time;
mod evidence;
mod exit;
mod http;
mod line;
mod record;
mod reset_time;
mod said;
#[cfg(test)]
mod tests;

pub use classifier::Classifier;
pub use context::Context;
pub use event_time::stated_time;
pub use evidence::{Evidence, RuleId, Verdict};
pub use reset_time::Zone;
pub use said::{Said, Shape, WindowReading};
