//! How a credential is written for an agent, and how the agent comes to use it.

use super::words::words;

words! {
    /// What the delivered file looks like.
    pub enum Format ("format") {
        /// The credential as it is.
        Raw = "raw",
        /// `NAME=value`, the name by the type of the subscription.
        Dotenv = "dotenv",
        /// The JSON document that Claude Code reads, made from a setup token.
        ClaudeCredentials = "claude-credentials",
    }
}

/// What is done once the file is in place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Apply {
    /// The agent is restarted.
    #[default]
    Restart,
    /// Nothing: the agent notices by itself. Running work keeps the old credential.
    Written,
    /// The agent is told to read it again; if that fails, it is restarted.
    Reload(Reload),
}

/// How an agent is told to read its credential again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// A signal to its main process, by name without `SIG`.
    Signal(String),
    /// A command: in the container, or beside the process. Success is exit code 0.
    Exec(Vec<String>),
    /// A POST without a body to this address. Success is a status of the two hundreds.
    Http(String),
}

impl Apply {
    /// Whether one life of the agent can work on several generations, so that a line of its log does not tell which.
    #[must_use]
    pub const fn keeps_the_life(&self) -> bool {
        match self {
            Self::Restart => false,
            Self::Written | Self::Reload(_) => true,
        }
    }
}
