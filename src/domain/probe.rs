//! What is needed to ask a provider how one subscription stands.
//!
//! A probe is one minimal request, made by the daemon itself with the subscription's credential. It is off unless the
//! config says otherwise. How it is made: `drivers::probe`; when: `actor::probes`; what its answer means: `classify`.

use std::time::Duration;

use super::words::words;
use super::{Model, SubscriptionName, SubscriptionType};

/// Two probes of one subscription are never nearer to each other than this.
pub const PROBE_EVERY_MIN: Duration = Duration::from_secs(60);

/// How one subscription is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// Which one.
    pub subscription: SubscriptionName,
    /// In what form.
    pub form: ProbeForm,
    /// The pause between two probes; at least [`PROBE_EVERY_MIN`].
    pub every: Duration,
    /// The model that is asked.
    pub model: Model,
    /// Where, without a slash at the end: `https://api.anthropic.com`. Holds no secret.
    pub endpoint: String,
}

/// In what form a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeForm {
    /// A message to Anthropic's API, with the long-lived token of a plan.
    PlanToken,
    /// The same with a key.
    AnthropicKey,
    /// A response of `OpenAI`'s API, with a key.
    OpenAiKey,
}

impl ProbeForm {
    /// The form for such a subscription.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(provider: &str, kind: SubscriptionType) -> Result<Self, &'static str> {
        match (provider, kind) {
            (_, SubscriptionType::Login) => {
                Err("a login is renewed by the tool that uses it, so the copy that is kept here is soon out of date")
            }
            ("anthropic", SubscriptionType::SetupToken) => Ok(Self::PlanToken),
            ("anthropic", SubscriptionType::ApiKey) => Ok(Self::AnthropicKey),
            ("openai", SubscriptionType::ApiKey) => Ok(Self::OpenAiKey),
            ("openai", SubscriptionType::SetupToken) => Err("this provider has no setup-token"),
            (_, SubscriptionType::SetupToken | SubscriptionType::ApiKey) => {
                Err("it is known how to ask anthropic and openai only")
            }
        }
    }

    /// Where the provider itself is asked.
    #[must_use]
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::PlanToken | Self::AnthropicKey => "https://api.anthropic.com",
            Self::OpenAiKey => "https://api.openai.com",
        }
    }
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
