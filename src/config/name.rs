//! Names: of agents, subscriptions, providers, containers, variables.

use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use crate::domain::Model;

const LENGTH_MAX: usize = 63;

/// Whether it can name an agent or a subscription: it becomes part of paths, labels, metrics and URLs.
pub(super) fn is_plain(name: &str) -> bool {
    name.len() <= LENGTH_MAX
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether it can name a container: as an engine takes it.
pub(super) fn is_container(name: &str) -> bool {
    name.len() <= 255
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether it can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name under a key. A missing one is complained about if the key is `name`.
pub(super) fn read(section: &mut Section<'_>, key: &'static str, example: &str) -> Field<String> {
    let findings = section.findings();
    let text = section.text(key, example);
    if text.is_absent() && key == "name" {
        section.missing(key, &format!("add name = {example}"));
    }
    text.and_then(|text| checked(&text, key, findings))
}

pub(super) fn checked(text: &Placed<String>, key: &str, findings: &Findings) -> Option<String> {
    if is_plain(&text.value) {
        return Some(text.value.clone());
    }
    let hint = "use up to 63 letters, digits, `_`, `.`, `-`, beginning with a letter or digit";
    findings.error(&text.at, format!("`{key}` \"{}\" is not a usable name", text.value), hint);
    None
}

/// Models as tools and providers name them.
pub(super) fn models(names: &Placed<Vec<Placed<String>>>, findings: &Findings) -> Option<Vec<Model>> {
    let mut models = Vec::with_capacity(names.value.len());
    for name in &names.value {
        if !is_plain(&name.value) {
            let hint = "as the tool names it, such as \"opus\": up to 63 letters, digits, `_`, `.`, `-`";
            findings.error(&name.at, format!("\"{}\" is not the name of a model", name.value), hint);
            return None;
        }
        models.push(Model::new(name.value.as_str()));
    }
    Some(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "max-a", "Team.1_x", "0", &"x".repeat(63)] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "-a", ".", "a b", "a/b", "ä", "a\n", &"x".repeat(64)] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn variables_are_what_a_shell_takes() {
        assert!(is_variable("SWITCHMAN_MAX_A"));
        for name in ["", "1A", "A-B", "A=B", "Ä"] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
