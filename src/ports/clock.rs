//! The only way to learn the time, and the only way to wait for it.

use std::time::Duration;

use super::Pending;
use crate::domain::Moment;

/// Reads the time and sleeps.
pub trait Clock: Send + Sync + 'static {
    /// The present moment on both scales.
    fn now(&self) -> Moment;
    /// Resolves after this much real time, suspend included as far as the platform tells.
    fn sleep(&self, duration: Duration) -> Pending<'_, ()>;
}
