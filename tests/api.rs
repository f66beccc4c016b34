//! The API over a real socket: every outcome, every problem, and clients that do not behave.
//!
//! The actors run on fakes, in real time; nothing sleeps: what a test waits for is an answer, an end of file, or a state.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

#[path = "api/client.rs"]
mod client;
#[path = "api/clients.rs"]
mod clients;
#[path = "api/documents.rs"]
mod documents;
#[path = "api/outcomes.rs"]
mod outcomes;
#[path = "api/problems.rs"]
mod problems;
#[path = "api/rig.rs"]
mod rig;
