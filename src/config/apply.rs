//! `delivery.apply`: what is done once a credential is in its file.
//!
//! Tests: `every_check_of_a_delivery_has_a_case` in `tests`.

use super::address::{self, Fault};
use super::reader::{Field, Placed, Section};
use super::{command, keys};
use crate::domain::{Apply, Reload};

/// What needs no more than a word.
const WORDS: &[&str] = &["restart", "written"];
/// The signals of this platform, without the two that no program can catch.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
    "SYS",
];
const EXAMPLE: &str = "\"restart\", \"written\", { signal = \"HUP\" }, { exec = [\"…\"] } or { http = \"http://…\" }";

/// The key `apply` of a `delivery`.
pub(super) fn read(section: &mut Section<'_>) -> Field<Apply> {
    let findings = section.findings();
    if !section.is_table("apply") {
        return section.text("apply", EXAMPLE).and_then(|text| match text.value.as_str() {
            "restart" => Some(Apply::Restart),
            "written" => Some(Apply::Written),
            other => {
                let hint = keys::nearest(other, WORDS)
                    .map_or_else(|| format!("one of {EXAMPLE}"), |near| format!("did you mean \"{near}\"?"));
                findings.error(&text.at, format!("unknown way to apply \"{other}\""), hint);
                None
            }
        });
    }
    section
        .section("apply", &[], EXAMPLE, false)
        .and_then(|table| read_reload(table.value))
        .and_then(|reload| Some(Apply::Reload(reload.value)))
}

fn read_reload(mut section: Section<'_>) -> Option<Reload> {
    let findings = section.findings();
    let at = section.at.clone();
    let signal = section.text("signal", "\"HUP\"").and_then(|text| match signal(&text) {
        Ok(signal) => Some(Reload::Signal(signal)),
        Err((what, hint)) => {
            findings.error(&text.at, what, hint);
            None
        }
    });
    let exec = command::read(&mut section, "exec", "apply.exec", "[\"program\", \"argument\"]")
        .and_then(|command| Some(Reload::Exec(command::argv(command))));
    let http = section.text("http", "\"http://127.0.0.1:8080/reload\"").and_then(|text| {
        let (what, hint) = match address::check(&text.value, &["http://"]) {
            Ok(()) => return Some(Reload::Http(text.value)),
            Err(Fault::Scheme) => {
                ("`apply.http` does not begin with http://", "write http = \"http://127.0.0.1:8080/reload\"")
            }
            Err(Fault::Userinfo) => {
                findings.hide(&text.at);
                ("`apply.http` has a user name or password in it", "use an address that needs none")
            }
            Err(Fault::Unusable) => {
                ("`apply.http` is not a usable address", "write http = \"http://127.0.0.1:8080/reload\"")
            }
        };
        findings.error(&text.at, what, hint);
        None
    });
    section.finish(false);
    let mut forms = [signal, exec, http].into_iter().filter(|form| !form.is_absent());
    match (forms.next(), forms.next()) {
        (Some(form), None) => form.good(),
        (None, _) => {
            findings.error(&at, "`apply` says nothing", format!("write apply = {EXAMPLE}"));
            None
        }
        (Some(_), Some(_)) => {
            findings.error(&at, "`apply` has more than one way", "keep one of signal, exec, http");
            None
        }
    }
}

/// The name of a signal without `SIG`.
fn signal(text: &Placed<String>) -> Result<String, (String, String)> {
    let upper = text.value.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if SIGNALS.contains(&name) {
        return Ok(name.to_owned());
    }
    let hint = "write a name such as \"HUP\" or \"USR1\"".to_owned();
    if ["KILL", "STOP"].contains(&name) {
        return Err((format!("the signal \"{}\" cannot be caught by any program", text.value), hint));
    }
    Err((format!("unknown signal \"{}\"", text.value), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_signal(text: &str) -> Result<String, (String, String)> {
        signal(&Placed { value: text.to_owned(), at: 0..0 })
    }

    #[test]
    fn a_signal_is_known_with_and_without_its_beginning() {
        for text in ["HUP", "SIGHUP", "hup", "SigHup"] {
            assert_eq!(read_signal(text).unwrap(), "HUP");
        }
        for text in ["KILL", "SIGSTOP", "kill"] {
            assert!(read_signal(text).unwrap_err().0.contains("cannot be caught"), "{text}");
        }
        for text in ["", "1", "SIG", "SIGSIGHUP", "NOPE"] {
            assert!(read_signal(text).unwrap_err().0.contains("unknown signal"), "{text}");
        }
    }
}
