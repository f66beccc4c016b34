//! Paths: `${VAR}` is expanded in all of them, `{name}` in those of an agent; all are absolute.

use std::path::{Component, Path, PathBuf};

use super::problem::Findings;
use super::reader::Placed;

/// What a path may refer to.
#[derive(Clone, Copy)]
pub(super) struct Expansion<'a> {
    /// The environment.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// The agent's name; absent outside of agents.
    pub(super) name: Option<&'a str>,
}

/// Expands and checks a path; complains and gives nothing if it is not usable.
pub(super) fn read(text: &Placed<String>, key: &str, with: Expansion<'_>, findings: &Findings) -> Option<PathBuf> {
    let expanded = match expand(&text.value, with) {
        Ok(expanded) => expanded,
        Err((what, hint)) => {
            findings.error(&text.at, format!("`{key}` {what}"), hint);
            return None;
        }
    };
    if expanded.contains('\0') {
        findings.error(&text.at, format!("`{key}` contains a NUL character"), "");
        return None;
    }
    let path = PathBuf::from(expanded);
    if !path.is_absolute() {
        findings.error(&text.at, format!("`{key}` is not an absolute path"), "begin it with a slash");
        return None;
    }
    Some(plain(&path))
}

/// The same, for something that must be a file.
pub(super) fn read_file(text: &Placed<String>, key: &str, with: Expansion<'_>, findings: &Findings) -> Option<PathBuf> {
    if text.value.ends_with('/') {
        findings.error(&text.at, format!("`{key}` names a directory"), "name a file in it");
        return None;
    }
    read(text, key, with, findings)
}

/// Without doubled slashes and `.`, so that two spellings of a path are seen to be one. Links and `..` stay:
/// they cannot be resolved without looking.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// Whether it goes down only: what it is below can be told by its text, as far as no link is on the way.
pub(super) fn is_straight(path: &Path) -> bool {
    path.components().all(|component| component != Component::ParentDir)
}

fn expand(text: &str, with: Expansion<'_>) -> Result<String, (String, String)> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("${") {
            let Some((name, tail)) = tail.split_once('}') else {
                return Err(("has a `${` without its `}`".to_owned(), "write ${VAR}".to_owned()));
            };
            let Some(value) = (with.env)(name) else {
                let hint = format!("set {name} where switchman starts, or write the path out");
                return Err((format!("refers to the variable {name}, which is not set"), hint));
            };
            expanded.push_str(&value);
            rest = tail;
        } else if let (Some(tail), Some(name)) = (rest.strip_prefix('{'), with.name) {
            match tail.split_once('}') {
                Some(("name", tail)) => {
                    expanded.push_str(name);
                    rest = tail;
                }
                Some((other, _)) => {
                    let hint = "only {name} and ${VAR} are expanded".to_owned();
                    return Err((format!("has the unknown placeholder {{{other}}}"), hint));
                }
                None => return Err(("has a `{` without its `}`".to_owned(), "write {name}".to_owned())),
            }
        } else {
            expanded.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: Option<&'static str>) -> Expansion<'static> {
        Expansion { env: &|key| (key == "HOME").then(|| "/home/me".to_owned()), name }
    }

    #[test]
    fn variables_and_the_name_are_expanded() {
        assert_eq!(expand("${HOME}/x", with(None)).unwrap(), "/home/me/x");
        assert_eq!(expand("/srv/{name}/c", with(Some("web"))).unwrap(), "/srv/web/c");
        assert_eq!(expand("/srv/{name}/$x/ü", with(None)).unwrap(), "/srv/{name}/$x/ü");
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        assert!(expand("${NOPE}/x", with(None)).unwrap_err().0.contains("NOPE"));
        assert!(expand("/${HOME", with(None)).unwrap_err().0.contains("without its"));
        assert!(expand("/{nmae}", with(Some("web"))).unwrap_err().0.contains("{nmae}"));
        assert!(expand("/{name", with(Some("web"))).is_err());
    }

    #[test]
    fn two_spellings_of_a_path_are_one() {
        assert_eq!(plain(Path::new("/srv//a/./b")), Path::new("/srv/a/b"));
    }
}
