//! Telling people: one file per way to do it.
//!
//! | target | gets |
//! |---|---|
//! | [`webhook`] | an HTTP POST of one JSON object, or of a template |
//! | [`ntfy`] | a text and headers, as an ntfy server takes them |
//! | [`command`] | the JSON object on the standard input of a program |
//!
//! A driver sends one message once and says what came of it. It must not retry, choose or remember: that is the
//! outbox's. Addresses and tokens are secrets: they stand in no error, no log line and no argument.
//!
//! Tests: in each file, against servers and programs of the test's own; `tests/notices.rs` with the whole daemon.

pub mod command;
mod form;
pub mod ntfy;
mod posting;
pub mod webhook;

#[cfg(test)]
mod testing;
