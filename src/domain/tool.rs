//! The tools that agents run.

use super::words::words;

words! {
    /// What runs inside an agent.
    pub enum Tool ("tool") {
        /// Claude Code.
        ClaudeCode = "claude-code",
        /// `OpenAI`'s Codex.
        Codex = "codex",
        /// Google's Gemini CLI.
        GeminiCli = "gemini-cli",
        /// opencode, which speaks to many providers.
        Opencode = "opencode",
        /// aider, which speaks to many providers.
        Aider = "aider",
        /// Anything else.
        Custom = "custom",
    }
}

impl Tool {
    /// The provider whose subscriptions the tool runs on, where it has one of its own.
    #[must_use]
    pub const fn provider(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("anthropic"),
            Self::Codex => Some("openai"),
            Self::GeminiCli => Some("google"),
            Self::Opencode | Self::Aider | Self::Custom => None,
        }
    }
}
