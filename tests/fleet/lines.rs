//! What Claude Code prints with `--output-format stream-json`, a line each.

use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

/// The second that it is now.
pub(crate) fn now_s() -> u64 {
    SystemClock::new().now().wall.0.unsigned_abs() / 1000
}

/// The five-hour window is used up, for so long.
pub(crate) fn limit(resets_in_s: u64) -> String {
    let info = json!({"status": "rejected", "resetsAt": now_s() + resets_in_s, "rateLimitType": "five_hour"});
    json!({"type": "rate_limit_event", "rate_limit_info": info}).to_string()
}

fn synthetic(error: &str, text: &str) -> String {
    let message = json!({"role": "assistant", "model": "<synthetic>", "content": [{"type": "text", "text": text}]});
    json!({"type": "assistant", "error": error, "isApiErrorMessage": true, "message": message}).to_string()
}

/// What the tool puts in the place of an answer.
pub(crate) fn refused() -> String {
    synthetic("rate_limit", "You've hit your limit")
}

/// The end of a turn that failed.
pub(crate) fn failed() -> String {
    let result = json!({
        "type": "result", "subtype": "success", "is_error": true, "api_error_status": 429, "num_turns": 1,
        "result": "You've hit your limit",
    });
    result.to_string()
}

/// So many lines that tell a limit, of all the forms that there are.
pub(crate) fn burst(count: usize) -> Vec<String> {
    let forms = [limit(3600), refused(), failed()];
    forms.iter().cycle().take(count).cloned().collect()
}

/// A failure that moves nobody, and so a sign that everything before it has been read.
pub(crate) fn overload() -> String {
    synthetic("overloaded", "API Error: 529 Overloaded")
}

/// A turn that went well.
pub(crate) fn chatter(number: usize) -> String {
    let content = json!([{"type": "text", "text": format!("Turn {number} done.")}]);
    json!({"type": "assistant", "message": {"role": "assistant", "model": "claude-opus-4-6", "content": content}})
        .to_string()
}

/// Lines in which a limit is only talked about.
pub(crate) fn nested() -> Vec<String> {
    let mut lines = Vec::new();
    for told in [limit(3600), refused(), failed()] {
        let raw: Value = serde_json::from_str(&told).unwrap();
        let result = json!([{"type": "tool_result", "is_error": true, "tool_use_id": "toolu_1", "content": told}]);
        let text = json!([{"type": "text", "text": format!("The log says:\n{told}\n")}]);
        lines.extend([
            json!({"type": "user", "message": {"role": "user", "content": result}}).to_string(),
            json!({"type": "user", "message": {"role": "user", "content": [raw]}, "is_error": true}).to_string(),
            json!({"type": "user", "message": {"role": "user", "content": told}}).to_string(),
            json!({"type": "assistant", "message": {"role": "assistant", "model": "claude-opus-4-6", "content": text}})
                .to_string(),
            json!({"type": "result", "subtype": "success", "is_error": false, "result": told}).to_string(),
            format!("$ cat limits.jsonl: {told}"),
            format!("[{told}]"),
        ]);
    }
    lines
}
