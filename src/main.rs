//! The switchman binary.
fn main() {}
