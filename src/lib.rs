//! switchman keeps containerised AI coding agents working.
pub mod domain;
pub mod drivers;
pub mod machine;
pub mod ports;
