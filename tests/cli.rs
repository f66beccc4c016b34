//! The binary from outside: its arguments, what it prints, how it ends. The daemon is a script on a Unix socket that
//! records what it is asked and gives canned answers; the real one has tests of its own.

#[cfg(test)]
#[path = "cli/binary.rs"]
mod binary;
#[cfg(test)]
#[path = "cli/check.rs"]
mod check;
#[cfg(test)]
#[path = "cli/classify.rs"]
mod classify;
#[cfg(test)]
#[path = "cli/commands.rs"]
mod commands;
#[cfg(test)]
#[path = "cli/documents.rs"]
mod documents;
#[cfg(test)]
#[path = "cli/ends.rs"]
mod ends;
#[cfg(test)]
#[path = "cli/reading.rs"]
mod reading;
#[cfg(test)]
#[path = "cli/replay.rs"]
mod replay;
#[cfg(test)]
#[path = "cli/script.rs"]
mod script;
#[cfg(test)]
#[path = "cli/turns.rs"]
mod turns;
