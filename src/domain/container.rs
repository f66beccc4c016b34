//! Containers as a listing of the engine shows them, for those that may become agents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Wall;

/// Which containers are worth listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Those with this label, whatever its value.
    pub label: Option<&'static str>,
    /// Those whose names match one of these; `*` stands for any run of characters.
    pub patterns: Vec<String>,
}

/// A container of the engine, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContainer {
    /// The engine's id: another one after a recreate.
    pub id: String,
    /// Its name, without the slash in front.
    pub name: String,
    /// Its labels. Written by whoever made it, which need not be the operator.
    pub labels: BTreeMap<String, String>,
    /// The paths of this machine that are mounted into it.
    pub mounts: Vec<PathBuf>,
    /// When it was made, by the engine's clock.
    pub created_at: Wall,
}

/// Something that is wrong with a container that would be an agent, or is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerProblem {
    /// The name of the container.
    pub container: String,
    /// The label that it is about; absent if it is about the container as a whole.
    pub label: Option<String>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// The container is no agent for it. Otherwise its labels are ignored, and it is what the config says.
    pub is_left_out: bool,
}

impl std::fmt::Display for ContainerProblem {
    /// One line: place and complaint.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "container \"{}\"", self.container)?;
        if let Some(label) = &self.label {
            write!(f, ", label {label}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Sought {
    /// Whether a container is one of those that were asked for.
    #[must_use]
    pub fn is_met_by(&self, container: &FoundContainer) -> bool {
        self.label.is_some_and(|label| container.labels.contains_key(label))
            || self.patterns.iter().any(|pattern| matches(pattern, &container.name))
    }
}

/// Whether a name matches a pattern, in which `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, name) in [
            ("worker-*", "worker-1"),
            ("worker-*", "worker-"),
            ("*", "a"),
            ("a*b*c", "a-b-b-c"),
            ("*-x", "a-x"),
            ("a", "a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("worker-*", "worker"), ("a*a", "a"), ("a*b*c", "a-c-b"), ("*-x", "a-x-y"), ("a", "ab"), ("a.c*", "abc1")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
