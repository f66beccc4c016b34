//! What would keep an agent from using a credential that is delivered to its file, known before anything is stopped
//! (G1). Each hindrance is a sentence that says how to mend it.
//!
//! Which variables win over a file is the tools' own order: the documentation of Claude Code puts the two API
//! variables and the token variable before the credentials document, that of the Gemini CLI the two API keys before its
//! own login.
//!
//! Tests: below, and `tests/machine_rules.rs`.

use super::policy::{FilePolicy, Policy};
use crate::domain::{Apply, Facts, Format, Mounted, SubscriptionType, Tool};

/// Everything that stands in the way; empty if nothing is known to.
#[must_use]
pub fn hindrances(policy: &Policy, kind: Option<SubscriptionType>, facts: &Facts) -> Vec<String> {
    let Some(file) = &policy.file else { return Vec::new() };
    let mut found: Vec<String> = facts.unfit.iter().cloned().chain(mount(file, kind, facts.mounted)).collect();
    let kind = kind.unwrap_or(SubscriptionType::SetupToken);
    let set = facts.surroundings.as_ref().map_or(&[][..], |around| &around.variables);
    let stronger = stronger_variables(policy.tool, kind, file.format).iter();
    found.extend(stronger.filter(|variable| set.iter().any(|set| set == *variable)).map(|variable| {
        format!(
            "the variable {variable} in the container's environment wins over the delivered credential: create the \
             container without it"
        )
    }));
    found
}

fn mount(file: &FilePolicy, kind: Option<SubscriptionType>, mounted: Mounted) -> Option<String> {
    let path = file.path.display();
    if mounted == Mounted::SingleFile && kind == Some(SubscriptionType::Login) {
        return Some(format!(
            "{path} is mounted as a single file, where a login that its tool renews would be lost: mount its folder"
        ));
    }
    match (mounted, &file.apply) {
        (Mounted::Nowhere, _) => {
            Some(format!("{path} is not mounted into the container: mount the folder that it lies in"))
        }
        (Mounted::SingleFile, Apply::Written | Apply::Reload(_)) => Some(format!(
            "{path} is mounted as a single file, which shows a new credential only after a restart: mount its folder, \
             or leave `apply` out"
        )),
        (Mounted::SingleFile, Apply::Restart) | (Mounted::Unknown | Mounted::Folder, _) => None,
    }
}

/// The variables that the tool believes before it looks at what was delivered.
fn stronger_variables(tool: Tool, kind: SubscriptionType, format: Format) -> &'static [&'static str] {
    const API: &[&str] = &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];
    const ALL: &[&str] = &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
    match (tool, kind, format) {
        (Tool::ClaudeCode, SubscriptionType::Login, _)
        | (Tool::ClaudeCode, SubscriptionType::SetupToken, Format::ClaudeCredentials) => ALL,
        // Whoever reads the file sets the token's own variable from it.
        (Tool::ClaudeCode, SubscriptionType::SetupToken, Format::Raw | Format::Dotenv) => API,
        (Tool::GeminiCli, SubscriptionType::Login, _) => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        (Tool::ClaudeCode, SubscriptionType::ApiKey, _)
        | (Tool::GeminiCli, SubscriptionType::SetupToken | SubscriptionType::ApiKey, _)
        | (Tool::Codex | Tool::Opencode | Tool::Aider | Tool::Custom, _, _) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Reload, Surroundings};
    use crate::machine::agent::testing;

    fn facts(variables: &[&str], mounted: Mounted) -> Facts {
        let variables = variables.iter().map(|name| (*name).to_owned()).collect();
        Facts { surroundings: Some(Surroundings { variables, ..Surroundings::default() }), mounted, ..Facts::default() }
    }

    fn policy(tool: Tool, format: Format, apply: Apply) -> Policy {
        let path = "/srv/w/credential".into();
        Policy { tool, file: Some(FilePolicy { path, format, apply }), ..testing::policy() }
    }

    #[test]
    fn a_variable_that_wins_over_the_file_is_named_and_one_that_does_not_is_no_hindrance() {
        let all = ["PATH", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "GOOGLE_API_KEY"];
        let (token, key, login) = (SubscriptionType::SetupToken, SubscriptionType::ApiKey, SubscriptionType::Login);
        let cases: [(Tool, SubscriptionType, Format, &[&str]); 8] = [
            (Tool::ClaudeCode, token, Format::Raw, &["ANTHROPIC_API_KEY"]),
            (Tool::ClaudeCode, token, Format::Dotenv, &["ANTHROPIC_API_KEY"]),
            (Tool::ClaudeCode, token, Format::ClaudeCredentials, &["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]),
            (Tool::ClaudeCode, login, Format::Raw, &["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]),
            (Tool::ClaudeCode, key, Format::Raw, &[]),
            (Tool::GeminiCli, login, Format::Raw, &["GOOGLE_API_KEY"]),
            (Tool::Codex, login, Format::Raw, &[]),
            (Tool::Custom, token, Format::Raw, &[]),
        ];
        for (tool, kind, format, expected) in cases {
            let policy = policy(tool, format, Apply::Restart);
            let found = hindrances(&policy, Some(kind), &facts(&all, Mounted::Folder));
            assert_eq!(found.len(), expected.len(), "{tool} {kind} {format}: {found:?}");
            assert!(expected.iter().zip(&found).all(|(name, text)| text.contains(name)), "{found:?}");
        }
    }

    #[test]
    fn a_file_that_nobody_in_the_container_can_see_is_a_hindrance() {
        let reload = || Apply::Reload(Reload::Signal("HUP".to_owned()));
        let cases = [
            (Mounted::Nowhere, Apply::Restart, true),
            (Mounted::Folder, Apply::Restart, false),
            (Mounted::Folder, Apply::Written, false),
            (Mounted::SingleFile, Apply::Restart, false),
            (Mounted::SingleFile, Apply::Written, true),
            (Mounted::SingleFile, reload(), true),
            (Mounted::Unknown, reload(), false),
        ];
        for (mounted, apply, is_one) in cases {
            let policy = policy(Tool::ClaudeCode, Format::Raw, apply.clone());
            let found = hindrances(&policy, None, &facts(&[], mounted));
            assert_eq!(found.len(), usize::from(is_one), "{mounted:?} {apply:?}: {found:?}");
            assert!(found.iter().all(|text| text.contains("/srv/w/credential") && text.contains("mount")));
        }
    }
}
