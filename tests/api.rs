//! The API over a real socket: every outcome, every problem, and clients that do not behave.
//!
//! The actors run on fakes, in real time; nothing sleeps: what a test waits for is an answer, an end of file, or a state.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

#[path = "api/client.rs"]
mod client;
#[path = "api/clients.rs"]
mod clients;
#[path = "api/conformity.rs"]
mod conformity;
#[path = "api/documents.rs"]
mod documents;
#[path = "api/fuzz.rs"]
mod fuzz;
#[path = "api/fuzz_documents.rs"]
mod fuzz_documents;
#[path = "api/fuzz_paths.rs"]
mod fuzz_paths;
#[path = "api/fuzz_requests.rs"]
mod fuzz_requests;
#[path = "api/openapi.rs"]
mod openapi;
#[path = "api/outcomes.rs"]
mod outcomes;
#[path = "api/problems.rs"]
mod problems;
#[path = "api/readings.rs"]
mod readings;
#[path = "api/rig.rs"]
mod rig;
#[path = "api/turn_callers.rs"]
mod turn_callers;
#[path = "api/turn_problems.rs"]
mod turn_problems;
#[path = "api/turns.rs"]
mod turns;
