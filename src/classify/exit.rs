//! How a process ended: a killed one says nothing about its subscription, whatever its last words.

use super::evidence::{Evidence, Verdict};
use crate::domain::FailureKind;

/// Exit codes from 129 on are signals, as a shell tells them; 64 is the highest signal there is.
const SIGNALS: std::ops::RangeInclusive<i32> = 129..=192;

pub(super) fn killed(evidence: &Evidence) -> Option<Verdict> {
    let killed = |rule, reason: String| Some(Verdict::of(FailureKind::Killed, rule, reason));
    if evidence.oom {
        return killed("exit.oom", "the process was ended for want of memory".to_owned());
    }
    if let Some(signal) = evidence.signal.as_deref().map(str::trim).filter(|signal| !matches!(*signal, "" | "0")) {
        let known: String = signal.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        return killed("exit.signal", format!("the process was ended by signal {known}"));
    }
    match evidence.exit_code {
        Some(code) if SIGNALS.contains(&code) => {
            killed("exit.signal", format!("exit code {code} means signal {}", code - 128))
        }
        Some(code @ -64..=-1) => killed("exit.signal", format!("exit code {code} means signal {}", -code)),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_of_a_kill_beats_words_of_a_refused_login() {
        let words = Evidence { status: Some(401), text: Some("unauthorized".into()), ..Evidence::default() };
        let kills = [
            Evidence { oom: true, ..words.clone() },
            Evidence { signal: Some("SIGKILL".into()), ..words.clone() },
            Evidence { signal: Some("9".into()), ..words.clone() },
            Evidence { exit_code: Some(137), ..words.clone() },
            Evidence { exit_code: Some(143), ..words.clone() },
            Evidence { exit_code: Some(134), ..words.clone() },
            Evidence { exit_code: Some(-9), ..words.clone() },
        ];
        for evidence in kills {
            assert_eq!(killed(&evidence).unwrap().kind, FailureKind::Killed, "{evidence:?}");
        }
        for code in [0, 1, 2, 127, 128, 255] {
            assert_eq!(killed(&Evidence { exit_code: Some(code), ..words.clone() }), None);
        }
        assert_eq!(killed(&Evidence { signal: Some("0".into()), ..words }), None);
    }
}
