//! What one line says, as of when it was written.
//!
//! It must not find anything of its own: the classifier says what a line means, and what it would come to is the rule of
//! the machine that a near reset is waited for.
//!
//! Tests: below, `tests/cli/classify.rs`.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use crate::classify::{Classifier, Context, Shape, Verdict, stated_time};
use crate::domain::{FailureKind, JUST_PAST, Wall};

/// The longest time that an engine writes before a line, with its blank.
const STAMP_LEN_MAX: usize = 40;

/// What is made of lines.
pub(super) struct Judge {
    pub(super) classifier: Classifier,
    /// Its time is that of lines which have none of their own.
    pub(super) context: Context,
    /// A reset that is nearer is waited for.
    pub(super) wait_out: Duration,
    /// Whether lines begin with the time at which they were written.
    pub(super) has_stamps: bool,
}

/// What one line says.
pub(super) struct Judged {
    /// When it was written, as far as that is known.
    pub(super) at: Wall,
    /// Whether the line says so itself.
    pub(super) has_own_time: bool,
    /// That something failed.
    pub(super) failure: Option<Verdict>,
    /// Whether that would move an agent that needs the model, once it is believed as far as is asked for.
    pub(super) switches: bool,
    /// That it looks like a limit and no rule knows it.
    pub(super) unclassified: Option<Shape>,
}

impl Judge {
    /// What a line says; relative times count from when it was written.
    pub(super) fn line(&mut self, line: &[u8]) -> Judged {
        let (stamp, text) = if self.has_stamps { split_stamp(line) } else { (None, line) };
        let at = self.context.at;
        self.context.at = stamp.unwrap_or(at);
        let mut said = self.classifier.line(text, &self.context);
        // A record's own time is looked for only where it makes a difference: almost no line says anything.
        let own = if stamp.is_none() && said.failure.is_some() { stated_time(text) } else { None };
        if let Some(own) = own {
            self.context.at = own;
            said = self.classifier.line(text, &self.context);
        }
        let judged = Judged {
            at: self.context.at,
            has_own_time: stamp.or(own).is_some(),
            switches: said.failure.as_ref().is_some_and(|verdict| self.switches(verdict)),
            failure: said.failure,
            unclassified: said.unclassified,
        };
        self.context.at = at;
        judged
    }

    /// The place of the first line of a block, from `from` on, that may say anything at all.
    pub(super) fn next_likely_line(&self, block: &[u8], from: usize) -> Option<Range<usize>> {
        self.classifier.next_likely_line(block, from)
    }

    fn switches(&self, verdict: &Verdict) -> bool {
        let at = self.context.at;
        let is_near = |reset: Wall| reset.since(at) <= self.wait_out && at.since(reset) <= JUST_PAST;
        let is_waited_out = verdict.kind == FailureKind::RateLimit && verdict.reset_at.is_some_and(is_near);
        verdict.moves() && !is_waited_out
    }
}

/// The time that an engine writes before a line when it is asked for it, and the line.
pub(super) fn split_stamp(line: &[u8]) -> (Option<Wall>, &[u8]) {
    let head = &line[..line.len().min(STAMP_LEN_MAX)];
    let Some(end) = memchr::memchr(b' ', head).or_else(|| (line.len() == head.len()).then_some(head.len())) else {
        return (None, line);
    };
    match std::str::from_utf8(&head[..end]).ok().and_then(time) {
        Some(at) => (Some(at), line.get(end + 1..).unwrap_or_default()),
        None => (None, line),
    }
}

fn time(text: &str) -> Option<Wall> {
    // Cheaper than to find out that it is none.
    if !text.starts_with(|char: char| char.is_ascii_digit()) {
        return None;
    }
    text.parse::<Timestamp>().ok().map(|time| Wall(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Tool;

    const AT: Wall = Wall(1_795_000_000_000);

    fn judge(has_stamps: bool) -> Judge {
        Judge {
            classifier: Classifier::default(),
            context: Context::new(Some(Tool::ClaudeCode), AT),
            wait_out: Duration::from_secs(120),
            has_stamps,
        }
    }

    fn limit(resets_in_s: i64, more: &str) -> String {
        let at = AT.0 / 1_000 + resets_in_s;
        format!(
            r#"{{"type":"rate_limit_event"{more},"rate_limit_info":{{"status":"rejected","resetsAt":{at},"rateLimitType":"five_hour"}}}}"#
        )
    }

    #[test]
    fn a_near_reset_is_waited_for() {
        for (resets_in_s, switches) in [(3_600, true), (121, true), (120, false), (30, false)] {
            assert_eq!(judge(false).line(limit(resets_in_s, "").as_bytes()).switches, switches, "{resets_in_s}");
        }
    }

    #[test]
    fn a_line_is_judged_as_of_when_it_was_written() {
        let own = r#","timestamp":"2026-11-18T12:05:30.5Z""#;
        let found = judge(false).line(limit(3_600, own).as_bytes());
        assert_eq!(found.at, Wall(1_795_003_530_500));
        assert!(found.failure.is_some() && !found.switches, "an hour from then is a moment from its own time");
        let stamped = format!("2026-11-18T12:05:30.000000001Z {}", limit(3_600, own));
        let found = judge(true).line(stamped.as_bytes());
        assert_eq!((found.at, found.switches), (Wall(1_795_003_530_000), false));
        let mut judge = judge(true);
        judge.line(stamped.as_bytes());
        assert_eq!(judge.line(limit(3_600, "").as_bytes()).at, AT, "the next line has none");
    }

    #[test]
    fn only_a_whole_time_is_taken_off_a_line() {
        assert_eq!(split_stamp(b"2026-11-18T12:00:00Z a b"), (Some(Wall(1_795_003_200_000)), &b"a b"[..]));
        assert_eq!(split_stamp(b"2026-11-18T13:00:00+01:00"), (Some(Wall(1_795_003_200_000)), &b""[..]));
        for line in [&b""[..], b" ", b"2026-11-18 x", b"now x", b"[2026-11-18T12:00:00Z] x", b"\xff\xff x"] {
            assert_eq!(split_stamp(line), (None, line));
        }
    }
}
