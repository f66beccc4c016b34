//! One line of a tool's own output, as it stands in the log of its container.
//!
//! Only a line that is one JSON object of the tool's own is looked at, and of that only the top level: what an agent
//! talks about stands in a string further down. Almost every line is chatter, so words that such records must contain are
//! looked for before anything is parsed.
//!
//! Tests: below.

use memchr::memmem;
use serde_json::Value;

use super::evidence::Verdict;
use super::record;
use crate::domain::{FailureKind, Tool, Wall};

/// Of these words one stands in every record that can tell a failure.
const CLAUDE_CODE: &[&[u8]] = &[b"rate_limit_event", b"is_error", b"<synthetic>"];
const CODEX: &[&[u8]] = &[b"turn.failed"];

/// What a line says about a failure; `None` if it says nothing, or nothing that is understood. `at` is when it was
/// written: relative times count from then.
pub(super) fn classify_line(text: &[u8], tool: Option<Tool>, at: Wall) -> Option<Verdict> {
    let text = text.trim_ascii();
    if !text.starts_with(b"{") || !text.ends_with(b"}") || !may_tell(text, tool) {
        return None;
    }
    let line: Value = serde_json::from_slice(text).ok()?;
    record::one(&line, tool, at).filter(|verdict| verdict.kind != FailureKind::Unknown)
}

fn may_tell(text: &[u8], tool: Option<Tool>) -> bool {
    let words: &[&[&[u8]]] = match tool {
        Some(Tool::ClaudeCode) => &[CLAUDE_CODE],
        Some(Tool::Codex) => &[CODEX],
        Some(Tool::Custom) | None => &[CLAUDE_CODE, CODEX],
        Some(Tool::GeminiCli | Tool::Opencode | Tool::Aider) => &[],
    };
    words.iter().copied().flatten().any(|word| memmem::find(text, word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Window;

    const AT: Wall = Wall(1_800_000_000_000);
    const LIMIT: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1800003600,"rateLimitType":"five_hour"}}"#;

    fn kind(line: &str, tool: Tool) -> Option<FailureKind> {
        classify_line(line.as_bytes(), Some(tool), AT).map(|verdict| verdict.kind)
    }

    #[test]
    fn a_tools_own_record_is_understood_with_its_window_and_reset() {
        let verdict = classify_line(format!("  {LIMIT}\r").as_bytes(), Some(Tool::ClaudeCode), AT).unwrap();
        assert_eq!((verdict.kind, verdict.window), (FailureKind::RateLimit, Window::FiveHour));
        assert_eq!(verdict.reset_at, Some(Wall(1_800_003_600_000)));
        let synthetic = r#"{"type":"assistant","error":"rate_limit","message":{"model":"<synthetic>","content":[]}}"#;
        assert_eq!(kind(synthetic, Tool::ClaudeCode), Some(FailureKind::RateLimit));
        let result = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":401,"result":"API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"x\"}}"}"#;
        assert_eq!(kind(result, Tool::ClaudeCode), Some(FailureKind::Auth));
        let failed = r#"{"type":"turn.failed","error":{"message":"You've hit your usage limit. Try again later."}}"#;
        assert_eq!(kind(failed, Tool::Codex), Some(FailureKind::RateLimit));
    }

    #[test]
    fn a_record_in_whatever_the_agent_talks_about_says_nothing() {
        let quoted = serde_json::to_string(LIMIT).unwrap();
        let twice = serde_json::to_string(&quoted).unwrap();
        let nested = [
            format!(
                r#"{{"type":"assistant","message":{{"model":"opus","content":[{{"type":"text","text":{quoted}}}]}}}}"#
            ),
            format!(
                r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","is_error":true,"content":{quoted}}}]}}}}"#
            ),
            format!(r#"{{"type":"user","message":{{"content":{twice}}}}}"#),
            format!(r#"{{"type":"user","message":{{"content":[{LIMIT}]}}}}"#),
            format!("[{LIMIT}]"),
            format!("agent: {LIMIT}"),
            format!("{LIMIT} # as the log says"),
            r#"{"type":"user","rate_limit_info":{"status":"rejected"},"is_error":true}"#.to_owned(),
        ];
        for line in nested {
            assert_eq!(kind(&line, Tool::ClaudeCode), None, "{line}");
        }
    }

    #[test]
    fn heartbeats_and_another_tools_records_say_nothing() {
        for status in ["allowed", "allowed_warning"] {
            assert_eq!(kind(&LIMIT.replace("rejected", status), Tool::ClaudeCode), None);
        }
        for tool in [Tool::Codex, Tool::GeminiCli, Tool::Opencode, Tool::Aider] {
            assert_eq!(kind(LIMIT, tool), None, "{tool}");
        }
        assert_eq!(kind(LIMIT, Tool::Custom), Some(FailureKind::RateLimit));
        assert_eq!(classify_line(b"{\"type\":\"rate_limit_event\xff\"}", Some(Tool::ClaudeCode), AT), None);
        let deep = format!("{}rate_limit_event{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert_eq!(kind(&deep, Tool::ClaudeCode), None);
    }
}
