//! The way in for people and programs: JSON over a Unix socket.
//!
//! It must not decide anything, hold an `ActorRef`, or show what a request contained: a body can hold tokens.
//! What travels ([`v1::wire`]) has types of its own, so that the domain can change without anybody noticing.

pub mod v1;
