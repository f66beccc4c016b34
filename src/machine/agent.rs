//! One agent: its phases, its intents, its timers.
//!
//! ```text
//!              failure, operator, pin            picked, intent committed
//!   Serving ───────────────────────► Selecting ───────────────────────────► Draining
//!     ▲  ▲                            │     ▲                                  │ preflight passed,
//!     │  │ the one it has serves again│     │ wake, pool changed               │ turns ended
//!     │  └────────────────────────────┤     │                                  ▼
//!     │                               ├─► Exhausted                        Applying
//!     │   delivered: ready, not_ready,│ nobody to move to          deliver → look → restart → verify
//!     ├───────────────────────────────┼─────────────────────────────────────────┤
//!     │   not delivered: failed, cancelled, no_container                        │
//!     │                               └─► Parked ◄──────────────────────────────┘
//!     └────────── unpark, operator's switch ─┘        third failure in a row
//! ```
//!
//! Contract of [`transition`]: total (every event has an answer in every phase), pure (same inputs, same step), and
//! complete (whoever carries out an effect chooses nothing). Write `changes` first, then give `replies` and carry out
//! `effects`. [`Event::Began`] is the first event of every life; [`Event::Tick`] may come at any time and any number of
//! times. While the phase is `Selecting` nothing may be committed: the pick completes the decision, and report,
//! intent and pick become one commit.
//!
//! Events that mean the same in every phase are handled in `anywhere`; then the match is on the phase, inside its
//! file on the event, with no wildcard.
//!
//! Invariants: `super::invariant`. Tests: `tests/transition_table.rs` (every phase with every event),
//! `tests/machine_rules.rs`, `tests/machine_corners.rs`, `tests/machine_properties.rs`, `tests/model.rs`.

mod admission;
mod anywhere;
mod applying;
mod corroborating;
mod deciding;
mod draining;
mod ending;
mod event;
mod exhausted;
mod fencing;
mod parked;
mod phase;
mod reconfigured;
mod reporting;
mod selecting;
mod serving;
mod signs;
mod state;
mod telling;
pub mod testing;
mod turning;
mod voluntary;

pub use corroborating::{LAST_WORDS, WINDOW};
pub use signs::Signs;
pub use turning::UNTAKEN_FOR;

use deciding::Deciding;

pub use event::Step as Decision;
pub use event::{
    About, Action, Command, Effect, EffectOutcome, Event, IgnoreReason, Obstacle, Pick, Readiness, Refusal, Reply,
    Start, Verdict,
};
pub use phase::{Applying, Delivered, Draining, Phase, RanOn, Selecting, Step, Ticket, Waiting};
pub use state::AgentState;

use super::policy::Policy;
use crate::domain::Moment;

/// What comes of an event.
pub fn transition(state: AgentState, event: Event, now: Moment, policy: &Policy) -> Decision {
    let mut deciding = Deciding::new(state, now, policy);
    anywhere::handle(&mut deciding, event);
    deciding.finish()
}
