//! The rules about turns by their numbers, each as short stories about one agent and its callers.
//!
//! What is random is in `turn_properties.rs`, every order of a few things in `model.rs`.

#[path = "turn_rules/admission.rs"]
mod admission;
#[path = "turn_rules/beginning.rs"]
mod beginning;
#[path = "turn_rules/commands.rs"]
mod commands;
#[path = "turn_rules/draining.rs"]
mod draining;
#[path = "turn_rules/fences.rs"]
mod fences;
#[path = "turn_rules/holding.rs"]
mod holding;
#[path = "turn_rules/lives.rs"]
mod lives;
#[path = "turn_rules/order.rs"]
mod order;
#[path = "turn_rules/reloads.rs"]
mod reloads;
#[path = "turn_rules/restoring.rs"]
mod restoring;
#[path = "turn_rules/sessions.rs"]
mod sessions;
#[path = "turn_rules/words.rs"]
mod words;
