//! Keeps what looks like a secret out of everything that is shown about a config.
//!
//! Secrets do not belong into a config; this is for the one that stands there all the same, when it is
//! about to be printed to a terminal, a journal or a bug report.

use std::ops::Range;

/// How issued keys and tokens begin.
const PREFIXES: &[&str] = &["sk-", "sk_", "AIza", "ya29.", "ghp_", "github_pat_", "xoxb-", "xoxp-", "eyJ"];
/// A shorter word with such a beginning is no key.
const LENGTH_MIN: usize = 12;
/// Parts of the names that people give to secrets.
const NAMES: &[&str] = &["token", "secret", "password", "passwd", "key", "credential", "auth", "webhook", "env"];

/// Whether a value is a credential rather than a reference to one.
pub(super) fn is_credential(value: &str) -> bool {
    value.len() >= LENGTH_MIN && PREFIXES.iter().any(|prefix| value.starts_with(prefix))
}

/// Whether a key is named as if its value were a secret.
pub(super) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    NAMES.iter().any(|name| key.contains(name))
}

/// The text with everything that looks like a credential replaced, byte for byte.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let is_part = |char: char| char.is_ascii_alphanumeric() || "-_.+~".contains(char);
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(is_part).unwrap_or(rest.len());
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let word = &rest[..end];
        if is_credential(word) {
            masked.extend(std::iter::repeat_n('*', end));
        } else {
            masked.push_str(word);
        }
        rest = &rest[end..];
    }
    masked
}

/// The source as it may be shown: same length and lines, the hidden places, credentials and control
/// characters replaced.
pub(super) fn masked_source(text: &str, hidden: &[Range<usize>]) -> String {
    let mut masked = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        if char == '\n' || char == '\t' || char == '\r' {
            masked.push(char);
        } else if hidden.iter().any(|range| range.contains(&at)) {
            masked.extend(std::iter::repeat_n('*', char.len_utf8()));
        } else if char.is_control() {
            masked.extend(std::iter::repeat_n('?', char.len_utf8()));
        } else {
            masked.push(char);
        }
    }
    mask(&masked)
}

/// Where a text that is no TOML probably holds secrets: behind the first `=` of lines that name one.
pub(super) fn likely_places(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(equals) = line.find('=')
            && is_secret_name(line)
        {
            places.push(start + equals + 1..start + line.len());
        }
        start += line.len();
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_masked_wherever_it_stands() {
        assert_eq!(mask("x = \"sk-ant-oat01-CANARY\" # y"), "x = \"*******************\" # y");
        assert_eq!(mask("name = \"sk-1\" and max-a"), "name = \"sk-1\" and max-a");
        assert_eq!(mask("grüße sk-ant-oat01-CANARY"), "grüße *******************");
    }

    #[test]
    fn a_masked_source_keeps_its_lines_and_length() {
        let text = "a = \"geheim\"\nb = \"\u{1}ü\"\n";
        let masked = masked_source(text, &[std::ops::Range { start: 4, end: 12 }]);
        assert_eq!(masked, "a = ********\nb = \"?ü\"\n");
        assert_eq!(masked.len(), text.len());
    }

    #[test]
    fn lines_with_secret_names_are_likely_places() {
        let text = "name = x\napi_key = CANARY\n";
        assert_eq!(likely_places(text).into_iter().map(|at| &text[at]).collect::<Vec<_>>(), [" CANARY\n"]);
    }
}
