//! Where a credential is kept, and what its content cannot be. The content itself is never part of a word
//! of the field.
//!
//! The predicates stand here because the check of a config and the driver that reads the credential must
//! agree.

use std::path::PathBuf;

use super::{Format, SubscriptionType, Tool};

/// A reference to a credential: never the credential itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialRef {
    /// The content of a file that nobody but its owner may open.
    File(PathBuf),
    /// A variable of the daemon's own environment.
    Env(String),
    /// A credential that systemd handed to the service, by its name.
    Systemd(String),
    /// What a command prints: program and arguments.
    Command(Vec<String>),
}

impl CredentialRef {
    /// The largest credential, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;
}

impl std::fmt::Display for CredentialRef {
    /// The place in words: a path, a variable, a name, the program of a command (its arguments may hold what
    /// is nobody's business).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "variable {name}"),
            Self::Systemd(name) => write!(f, "systemd credential {name}"),
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
        }
    }
}

/// Whether a file of this mode can be opened by others than its owner.
#[must_use]
pub const fn is_exposed(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// The content without the line end that editors and `echo` put behind it.
#[must_use]
pub fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// What a member of a login document is called that holds the refresh token; every tool spells it in its way.
pub const REFRESH_TOKEN: [&str; 3] = ["refreshToken", "refresh_token", "refresh"];

/// Why this content can be neither a credential nor a login; `None` if it could be one. Whether a text is a login, a
/// JSON document with a refresh token, is for its reader to say.
#[must_use]
pub fn implausible_text(content: &[u8]) -> Option<&'static str> {
    if content.len() > CredentialRef::BYTES_MAX {
        return Some("it is larger than 64 KiB");
    }
    let Ok(text) = std::str::from_utf8(content) else { return Some("it is not UTF-8 text") };
    text.trim().is_empty().then_some("it is empty")
}

/// Why this content, already without its line end, cannot be a credential; `None` if it could be one.
#[must_use]
pub fn implausible(content: &[u8]) -> Option<&'static str> {
    if let Some(why) = implausible_text(content) {
        return Some(why);
    }
    let text = std::str::from_utf8(content).unwrap_or_default();
    if text.contains(['\n', '\r']) {
        return Some("it has more than one line");
    }
    if text.contains(char::is_control) {
        return Some("it contains a control character");
    }
    None
}

/// The variable from which a tool takes a credential of this sort; `None` where it has none. A provider that no tool
/// has for its own speaks the language of the tool's.
#[must_use]
pub fn variable(tool: Tool, provider: &str, kind: SubscriptionType) -> Option<&'static str> {
    let is_known = Tool::ALL.iter().any(|tool| tool.provider() == Some(provider));
    let provider = if is_known { provider } else { tool.provider()? };
    match (provider, kind) {
        ("anthropic", SubscriptionType::SetupToken) => Some("CLAUDE_CODE_OAUTH_TOKEN"),
        ("anthropic", SubscriptionType::ApiKey) => Some("ANTHROPIC_API_KEY"),
        ("openai", SubscriptionType::ApiKey) => Some("OPENAI_API_KEY"),
        ("google", SubscriptionType::ApiKey) => Some("GEMINI_API_KEY"),
        (_, SubscriptionType::SetupToken | SubscriptionType::ApiKey | SubscriptionType::Login) => None,
    }
}

/// Why a file of this format cannot carry such a credential to this tool; `None` if it can.
#[must_use]
pub fn misfit(format: Format, tool: Tool, provider: &str, kind: SubscriptionType) -> Option<String> {
    match (format, kind) {
        (Format::Raw, SubscriptionType::SetupToken | SubscriptionType::ApiKey | SubscriptionType::Login) => None,
        (Format::Dotenv | Format::ClaudeCredentials, SubscriptionType::Login) => {
            Some("a login is a document of its own, which only format \"raw\" leaves as it is".to_owned())
        }
        (Format::Dotenv, SubscriptionType::SetupToken | SubscriptionType::ApiKey) => {
            let why = format!("no variable is known for type \"{kind}\" of provider \"{provider}\" in {tool}");
            variable(tool, provider, kind).is_none().then_some(why)
        }
        (Format::ClaudeCredentials, SubscriptionType::ApiKey) => {
            Some("the document that Claude Code reads holds a setup-token, no api-key".to_owned())
        }
        (Format::ClaudeCredentials, SubscriptionType::SetupToken) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_known_by_provider_and_sort() {
        use SubscriptionType::{ApiKey, Login, SetupToken};
        let cases = [
            (Tool::ClaudeCode, "anthropic", SetupToken, Some("CLAUDE_CODE_OAUTH_TOKEN")),
            (Tool::ClaudeCode, "anthropic", ApiKey, Some("ANTHROPIC_API_KEY")),
            (Tool::Codex, "openai", ApiKey, Some("OPENAI_API_KEY")),
            (Tool::GeminiCli, "google", ApiKey, Some("GEMINI_API_KEY")),
            (Tool::Opencode, "anthropic", ApiKey, Some("ANTHROPIC_API_KEY")),
            (Tool::ClaudeCode, "my-proxy", ApiKey, Some("ANTHROPIC_API_KEY")),
            (Tool::Codex, "openai", SetupToken, None),
            (Tool::Custom, "my-proxy", ApiKey, None),
            (Tool::ClaudeCode, "anthropic", Login, None),
        ];
        for (tool, provider, kind, name) in cases {
            assert_eq!(variable(tool, provider, kind), name, "{tool} {provider} {kind}");
            assert_eq!(misfit(Format::Dotenv, tool, provider, kind).is_none(), name.is_some(), "{tool} {provider}");
            assert_eq!(misfit(Format::Raw, tool, provider, kind), None);
            assert_eq!(misfit(Format::ClaudeCredentials, tool, provider, kind).is_none(), kind == SetupToken);
        }
    }

    #[test]
    fn a_text_of_several_lines_is_plausible_as_a_login_only() {
        let document = b"{\n  \"a\": 1\n}\n";
        assert_eq!(implausible_text(document), None);
        assert_eq!(implausible(document), Some("it has more than one line"));
        assert_eq!(implausible_text(b" \n"), Some("it is empty"));
    }

    #[test]
    fn what_cannot_be_a_credential_is_named() {
        let huge = vec![b'x'; CredentialRef::BYTES_MAX + 1];
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"sk-ant-oat01-x", None),
            (b"", Some("it is empty")),
            (b" \t ", Some("it is empty")),
            (b"a\0b", Some("it contains a control character")),
            (b"a\x1bb", Some("it contains a control character")),
            (b"a\nb", Some("it has more than one line")),
            (b"\xff\xfe", Some("it is not UTF-8 text")),
            (&huge, Some("it is larger than 64 KiB")),
        ];
        for (content, why) in cases {
            assert_eq!(implausible(content), why);
        }
    }

    #[test]
    fn exactly_one_line_end_is_taken_off() {
        assert_eq!(without_line_end(b"a\n"), b"a");
        assert_eq!(without_line_end(b"a\r\n"), b"a");
        assert_eq!(without_line_end(b"a\n\n"), b"a\n");
        assert_eq!(without_line_end(b"a"), b"a");
    }

    #[test]
    fn only_the_owner_may_open_it() {
        assert!(!is_exposed(0o100_600));
        assert!(!is_exposed(0o100_400));
        assert!(is_exposed(0o100_640));
        assert!(is_exposed(0o100_604));
    }

    #[test]
    fn a_command_is_named_without_its_arguments() {
        let reference = CredentialRef::Command(vec!["pass".into(), "show".into(), "canary".into()]);
        assert_eq!(reference.to_string(), "command pass");
    }
}
