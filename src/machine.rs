//! The decisions: what to do about an agent, and which subscription to pick for it.
//!
//! Everything here is pure and total: state and event and time go in, a step comes out. It must not read a
//! clock, a file, the environment or a random number, nor know of any runtime; `tests/layering.rs` holds it to that.
//!
//! ```text
//!             report · operator · pool · outcome · timer
//!                               │
//!                     agent::transition(state, event, now, policy)
//!                               │
//!             Step { state, changes, effects, replies, verdict }
//! ```
//!
//! - [`agent`] one agent: its phases, its intents, its timers;
//! - [`pool`] all subscriptions: who may use which, and which one is the best;
//! - [`attribution`] whose failure a report is;
//! - [`turns`] who holds a turn of the agent, and who waits for one;
//! - [`cooldown`] how long a failure keeps a subscription out of use;
//! - [`notices`] what people are told, what is merged, and what waits;
//! - [`invariant`] what must always hold, as predicates shared by tests, models and production.

pub mod agent;
pub mod attribution;
pub mod cooldown;
pub mod invariant;
pub mod notices;
pub mod policy;
pub mod pool;
pub mod preflight;
pub mod timer;
pub mod turns;
