//! The first version of the API.

pub mod time;
pub mod wire;
