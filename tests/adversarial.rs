//! Everything that only looks like a failure: each line that a tool really said, as somebody else's words.
//!
//! An agent reads logs, writes tests about limits, greps this very project and talks about what happened to it. Each
//! positive line of `tests/data/signals.jsonl` is put where it then stands: below the top of a record, in a prompt, a diff,
//! a comment, a log viewer, a table, a string, a string in a string. None of that may move anybody, whatever runs in the
//! agent.

#![expect(clippy::unwrap_used, reason = "the code of a test, also outside of its functions")]

use std::sync::LazyLock;

use serde_json::{Value, json};
use switchman::classify::{Classifier, Context, Verdict};
use switchman::domain::{Tool, Wall};

static BUILT_IN: LazyLock<Classifier> = LazyLock::new(Classifier::default);

/// 2026-11-20 12:00:00 UTC.
const NOW: Wall = Wall(1_795_176_000_000);

fn moves(line: &str, tool: Option<Tool>) -> Option<Verdict> {
    BUILT_IN.line(line.as_bytes(), &Context::new(tool, NOW)).failure.filter(Verdict::moves)
}

/// What tools said when a subscription failed.
fn positives() -> Vec<String> {
    let rows = include_str!("data/signals.jsonl").lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    let positives: Vec<String> = rows
        .filter(|row| row["kind"].is_string() && row["ambiguous"] != true)
        .map(|row| row["line"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(positives.len(), 125);
    positives
}

/// The line in a string, as often escaped as asked for.
fn quoted(line: &str, times: usize) -> String {
    (0..times).fold(line.to_owned(), |text, _| serde_json::to_string(&text).unwrap())
}

/// The line as a JSON value: the record itself, if it is one.
fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
}

/// Records of tools with the line somewhere below their top.
fn records(line: &str) -> Vec<String> {
    let twice = quoted(line, 1);
    let thrice = quoted(line, 2);
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let records = [
        json!({"type": "assistant", "message": {"model": "claude-opus-4-5", "role": "assistant", "content": text(line)}}),
        json!({"type": "assistant", "message": {"model": "claude-opus-4-5", "content": text(&twice)}, "session_id": "x"}),
        json!({"type": "assistant", "message": {"model": "claude-opus-4-5", "content": [{"type": "tool_use", "name": "Bash", "input": {"command": format!("echo {twice}")}}]}}),
        json!({"type": "user", "message": {"role": "user", "content": [{"type": "tool_result", "is_error": true, "content": line}]}}),
        json!({"type": "user", "message": {"role": "user", "content": [{"type": "tool_result", "content": thrice}]}}),
        json!({"type": "user", "message": {"role": "user", "content": [value(line)]}}),
        json!({"type": "user", "message": {"content": line}, "toolUseResult": {"stdout": line, "error": value(line)}}),
        json!({"type": "user", "toolUseResult": value(line)}),
        json!({"type": "user", "rate_limit_info": {"status": "rejected"}, "is_error": true, "error": {"message": line}}),
        json!({"type": "stream_event", "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": line}}}),
        json!({"type": "system", "subtype": "init", "tools": [line], "error": null}),
        json!({"type": "result", "subtype": "success", "is_error": false, "result": line}),
        json!({"type": "item.completed", "item": {"type": "agent_message", "text": line}}),
        json!({"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": line, "exit_code": 1}}),
        json!({"type": "item.completed", "item": {"type": "error", "message": line}}),
        json!({"type": "error", "message": line}),
        json!({"timestamp": "2026-11-20T11:59:00Z", "type": "response_item", "payload": {"type": "message", "role": "assistant", "content": text(line)}}),
        json!({"timestamp": "2026-11-20T11:59:00Z", "type": "response_item", "payload": {"type": "function_call_output", "output": line}}),
        json!({"timestamp": "2026-11-20T11:59:00Z", "type": "event_msg", "payload": {"type": "agent_message", "message": line}}),
        json!({"type": "tool_use", "part": {"state": {"output": line, "error": value(line)}}}),
        json!({"type": "text", "part": {"type": "text", "text": line}}),
        json!({"role": "user", "content": line, "error": value(line)}),
        json!({"log": format!("{line}\n"), "stream": "stdout", "time": "2026-11-20T11:59:00Z"}),
        json!({"level": "error", "msg": line, "ts": 1}),
        json!({"text": line}),
        json!({"output": value(line)}),
        json!({"lines": [value(line), thrice]}),
        json!({"class": "rate_limit", "line": line, "source": "https://example.org/1"}),
    ];
    records.iter().map(Value::to_string).collect()
}

/// Lines of text in which somebody repeats the line.
fn repetitions(line: &str) -> Vec<String> {
    let line = line.trim();
    let (once, twice) = (quoted(line, 1), quoted(line, 2));
    vec![
        format!("+{line}"),
        format!("-{line}"),
        format!("+ {line}"),
        format!("- {line}"),
        format!("@@ -1,2 +1,2 @@ {line}"),
        format!("// {line}"),
        format!("    // {line}"),
        format!("/// {line}"),
        format!("# {line}"),
        format!("## {line}"),
        format!("-- {line}"),
        format!("; {line}"),
        format!("/* {line} */"),
        format!("<!-- {line} -->"),
        format!("* {line}"),
        format!("1. {line}"),
        format!("| {line} |"),
        format!("| 2026-11-20 | {line} | yes |"),
        format!("│ {line} │"),
        format!("> {line}"),
        format!(">> {line}"),
        format!("**{line}**"),
        format!("`{line}`"),
        format!("<error>{line}</error>"),
        once.clone(),
        twice.clone(),
        format!("{once},"),
        format!("'{line}'"),
        format!("“{line}”"),
        format!("    let line = {once};"),
        format!("assert_eq!(line, {once});"),
        format!("expected: {once}"),
        format!("print({twice})"),
        format!("echo {once}"),
        format!("grep -n {once} src"),
        format!("src/limits.rs:42:{line}"),
        format!("src/limits.rs:42: {line}"),
        format!("    42\t{line}"),
        format!("    42→{line}"),
        format!("42: {line}"),
        format!("agent-1  | {line}"),
        format!("[agent-1] {line}"),
        format!("2026-11-20T11:59:00.123456789Z {line}"),
        format!("2026-11-20T11:59:00Z stdout F {line}"),
        format!("2026-11-20 11:59:00,123 INFO {line}"),
        format!("[2026-11-20 11:59:00] {line}"),
        format!("11:59:00 {line}"),
        format!("Nov 20 11:59:00 host agent[17]: {line}"),
        format!("level=error msg={once}"),
        format!("The log said: {line}"),
        format!("It keeps printing {once} and I do not know why"),
        format!("so {line}"),
        format!("fix(limits): {line}"),
        format!("If the tool prints {line}, wait"),
        format!("a1b2c3d {line}"),
        format!("assistant: {line}"),
        format!("User: {line}"),
        format!("• {line}"),
        format!("{{'text': {once}}}"),
        format!("b{once}"),
        format!("[{once}]"),
    ]
}

#[test]
fn what_a_tool_said_moves_nobody_as_somebody_elses_words() {
    let (mut cases, mut wrong) = (0_usize, Vec::new());
    let tools: Vec<Option<Tool>> = [None].into_iter().chain(Tool::ALL.iter().copied().map(Some)).collect();
    for line in positives() {
        for case in records(&line).into_iter().chain(repetitions(&line)) {
            cases += 1;
            for tool in &tools {
                if let Some(verdict) = moves(&case, *tool) {
                    wrong.push(format!("{tool:?} {}: {case}", verdict.rule));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
    assert!(cases > 10_000, "{cases}");
}

/// The rule that is at stake, taken away: whatever stands anywhere in a document is looked at as if it stood by itself.
fn moves_at_any_depth(line: &str) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::String(text) => text.lines().any(|line| moves(line, None).is_some() || moves_at_any_depth(line)),
            Value::Array(items) => items.iter().any(within),
            Value::Object(members) => moves(&value.to_string(), None).is_some() || members.values().any(within),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    serde_json::from_str::<Value>(line).is_ok_and(|document| within(&document))
}

#[test]
fn without_the_rule_about_depth_most_of_them_would() {
    let own: Vec<String> = positives().into_iter().filter(|line| moves(line, None).is_some()).collect();
    assert!(own.len() > 100, "{}", own.len());
    let cases: Vec<String> = own.iter().flat_map(|line| records(line)).collect();
    let fooled = cases.iter().filter(|case| moves_at_any_depth(case)).count();
    assert!(fooled * 10 > cases.len() * 8, "{fooled} of {}", cases.len());
}
