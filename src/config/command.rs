//! Commands: a program and its arguments, run as they are, without a shell.
//!
//! Tests: the cases of whoever has a command, in `tests`.

use super::reader::{Field, Placed, Section};

/// The command under a key; `called` is what people are told, for example `apply.exec`.
pub(super) fn read(
    section: &mut Section<'_>,
    key: &'static str,
    called: &str,
    example: &str,
) -> Field<Vec<Placed<String>>> {
    let findings = section.findings();
    section.texts(key, example).and_then(|argv| {
        if argv.value.first().is_none_or(|program| program.value.is_empty()) {
            findings.error(&argv.at, format!("`{called}` has no program"), "write [\"program\", \"argument\"]");
            return None;
        }
        if argv.value.iter().any(|part| part.value.contains('\0')) {
            findings.error(&argv.at, format!("`{called}` contains a NUL character"), "");
            return None;
        }
        Some(argv.value)
    })
}

/// What is run.
pub(super) fn argv(command: Placed<Vec<Placed<String>>>) -> Vec<String> {
    command.value.into_iter().map(|part| part.value).collect()
}
