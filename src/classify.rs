//! From evidence to a verdict: what went wrong, how far it reaches, when it ends, how far it is believed.
//!
//! Pure: no clock, no environment, no I/O. It must not decide what is done about a failure. Rules are data (`rule.rs`,
//! `rules/`, and the user's own); how they are asked is in `classifier.rs`:
//!
//! ```text
//! evidence:  killed? ──► status, headers, body ──► the text, line by line ──► unknown
//!            signal,     5xx, busy: overload       as below
//!            137, OOM    429, 401, 403, 402 by
//!                        what the body says
//!
//! line:      prefilter ──► one JSON object: members at its top, never below ──► trust: structured
//!            almost all ─► a line of text, peeled: its whole sentence ────────► trust: text
//!            end here      somebody's repetition of one ──────────────────────► hearsay: moves nobody
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `classifier.rs`, `ruling.rs` | which rule holds, and what it says then |
//! | `rule.rs`, `pattern.rs`, `rules/` | what a rule is; those that are built in |
//! | `prefilter.rs`, `document.rs`, `peel.rs` | from bytes to what a rule can be asked about, in linear time |
//! | `http.rs`, `exit.rs` | a provider's answer, the end of a process |
//! | `windows.rs`, `reset_time.rs` | which limit, and until when |
//! | `shape.rs` | what looks like a limit and is none that is known |
//!
//! Invariants: kill evidence beats everything · what stands below the top of a record, or in the middle of a line, is
//! never a sign · text is never more than text · every line takes time in proportion to its length.
//!
//! Tests: in each file, `classify/tests.rs`; real lines in `tests/signals.rs`.

mod classifier;
mod context;
mod document;
mod evidence;
mod exit;
mod http;
pub mod pattern;
mod peel;
mod prefilter;
mod probed;
pub mod readings;
#[cfg(test)]
mod readings_tests;
mod reset_time;
pub mod rule;
mod rules;
mod ruling;
mod said;
mod shape;
#[cfg(test)]
mod tests;
mod windows;

pub use classifier::Classifier;
pub use context::Context;
pub use evidence::{Evidence, RuleId, Verdict};
pub use probed::{Probed, probed};
pub use reset_time::Zone;
pub use said::{Said, Shape, WindowReading};
