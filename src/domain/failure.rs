//! What can go wrong with a subscription, and what it is counted in.

use super::words::words;

words! {
    /// What a failure means. Five kinds may move an agent; the others never do.
    pub enum FailureKind ("failure kind") {
        /// A usage limit of the subscription is reached.
        RateLimit = "rate_limit",
        /// The login is refused.
        Auth = "auth",
        /// The account has no credit or is not paid.
        Billing = "billing",
        /// The account may not use this model or feature.
        Entitlement = "entitlement",
        /// The provider has disabled the account.
        Banned = "banned",
        /// The provider has no capacity: nobody's limit.
        Overload = "overload",
        /// The connection failed.
        Network = "network",
        /// The process was killed (signal, out of memory), whatever its last words.
        Killed = "killed",
        /// This one request was at fault.
        Request = "request",
        /// Nothing that is understood.
        Unknown = "unknown",
    }
}

impl FailureKind {
    /// Whether an agent may be moved for it.
    #[must_use]
    pub const fn moves(self) -> bool {
        match self {
            Self::RateLimit | Self::Auth | Self::Billing | Self::Entitlement | Self::Banned => true,
            Self::Overload | Self::Network | Self::Killed | Self::Request | Self::Unknown => false,
        }
    }
}

words! {
    /// How far the sign of a failure is believed, by what it is.
    pub enum Trust ("trust") {
        /// An answer of the provider, or a record of the tool's own with members that the model cannot set; also what
        /// somebody says in so many words. Acted on at once.
        Structured = "structured",
        /// A line of text. Anything in the agent can print one, so it needs a second sign of another kind.
        Text = "text",
    }
}

words! {
    /// What agrees with a line of text (the `by` of `failure.corroborated`).
    pub enum Sign ("sign") {
        /// The agent's process ended by itself after it.
        Exit = "exit",
        /// A turn of the agent failed.
        Turn = "turn",
        /// The same was reported in another way.
        Report = "report",
        /// Another agent says the same of the subscription.
        Agent = "agent",
        /// The config believes the agent's text since.
        Config = "config",
    }
}

words! {
    /// The window that a limit is counted in (the `scope` of a report).
    pub enum Window ("scope") {
        /// The rolling window of five hours.
        FiveHour = "five_hour",
        /// The window of seven days.
        Weekly = "weekly",
        /// A window that counts one model only.
        Model = "model",
        /// Requests or tokens per minute.
        Requests = "requests",
        /// Not stated.
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_kinds_move() {
        let movers: Vec<_> = FailureKind::ALL.iter().filter(|kind| kind.moves()).map(|kind| kind.as_str()).collect();
        assert_eq!(movers, ["rate_limit", "auth", "billing", "entitlement", "banned"]);
    }
}
