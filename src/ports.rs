//! What the daemon needs from the world, as traits: one file per port.
//!
//! A port has a fake and a real driver, and one conformance suite that both pass. It must not contain
//! behaviour. Every error says what it means for whoever decides: [`Disposition`].

use std::future::Future;
use std::pin::Pin;

pub mod clock;
pub mod credentials;
pub mod delivery;
pub mod discovery;
pub mod logs;
pub mod notifier;
pub mod probe;
pub mod runtime;
pub mod store;

/// A call to a port that has not answered yet. Boxed, so that drivers can be chosen at run time.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub use crate::domain::Disposition;
