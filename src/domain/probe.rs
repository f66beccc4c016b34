//! What is needed to ask a provider how one subscription stands.
//!
//! A probe is one minimal request, made by the daemon itself with the subscription's credential. It is off unless the
//! config says otherwise. How it is made: `drivers::probe`; when: `actor::probes`; what its answer means: `classify`.

use std::time::Duration;

use super::words::words;
use super::{Model, Provider, SubscriptionName, SubscriptionType};

/// Two probes of one subscription are never nearer to each other than this.
pub const PROBE_EVERY_MIN: Duration = Duration::from_secs(60);

/// How one subscription is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// Which one.
    pub subscription: SubscriptionName,
    /// Who sells it: decides the form of the request.
    pub provider: Provider,
    /// What sort of credential it has: decides the header it goes into.
    pub kind: SubscriptionType,
    /// The pause between two probes; at least [`PROBE_EVERY_MIN`].
    pub every: Duration,
    /// The model that is asked.
    pub model: Model,
    /// Where, without a slash at the end: `https://api.anthropic.com`. Holds no secret.
    pub endpoint: String,
}

words! {
    /// What a probe came to.
    pub enum ProbeOutcome ("outcome of a probe") {
        /// The provider served.
        Served = "served",
        /// The provider said that windows are used up.
        Exhausted = "exhausted",
        /// The provider did not let the credential in, or says that it has no credit or entitlement. Nobody is kept off
        /// for it: the agents' own failures decide that.
        Refused = "refused",
        /// No answer, or one that says nothing about the subscription.
        Failed = "failed",
    }
}
