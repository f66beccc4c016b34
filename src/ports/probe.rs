//! Asking the provider itself how a subscription stands.
//!
//! A driver makes one minimal request and hands on what came back; what that means is found out elsewhere
//! (`classify::probed`). It must not try again, remember, or hand on a byte of the credential.
//!
//! Tests: `drivers/probe`, against a server of the test's own.

use secrecy::SecretString;

use super::{Disposition, Pending};
use crate::domain::ProbePlan;

/// What the provider answered, as far as it can say anything about limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The status.
    pub status: u16,
    /// The headers that speak of limits; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body of an answer that is no success, if it is a short text. It may repeat what was sent: it is read, and never
    /// shown.
    pub body: Option<SecretBody>,
}

/// A text that goes into no log, error or message.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBody(String);

impl SecretBody {
    /// Keeps a text from being shown.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever reads it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretBody({} bytes)", self.0.len())
    }
}

/// Why there is no answer. Says nothing of the credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ProbeError {
    /// The cause in words.
    pub why: String,
    /// Whether another try may have more luck.
    pub disposition: Disposition,
}

/// Asks providers.
pub trait Prober: Send + Sync + 'static {
    /// Asks once, within its own time limit.
    fn probe<'a>(
        &'a self,
        plan: &'a ProbePlan,
        credential: &'a SecretString,
    ) -> Pending<'a, Result<ProbeAnswer, ProbeError>>;
}
