//! What the rules of a config make of lines and answers.

use super::*;
use crate::classify::{Classifier, Context, Evidence, Said};
use crate::domain::{FailureKind, Trust, Wall, Window};

/// 2026-11-20 12:00:00 UTC.
const AT: Wall = Wall(1_795_176_000_000);
const EVENT: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795179600,"rateLimitType":"five_hour"}}"#;

fn classifier(rules: &str) -> Classifier {
    good(&with(rules)).classifier()
}

fn line(rules: &str, line: &str) -> Said {
    classifier(rules).line(line.as_bytes(), &Context::new(Some(Tool::ClaudeCode), AT))
}

fn kind(rules: &str, text: &str) -> Option<FailureKind> {
    line(rules, text).failure.map(|verdict| verdict.kind)
}

#[test]
fn a_line_of_the_users_own_is_held_against_the_line_as_it_stands() {
    let rules = r#"
[[rule]]
id = "acme.line"
when = { line = 'gw\[\d+\]: no budget, back (?<when>.+)' }
kind = "rate_limit"
scope = "weekly"
reset = { group = "when" }
"#;
    let verdict = line(rules, "gw[12]: no budget, back in 2 hours").failure.unwrap();
    assert_eq!((verdict.kind, verdict.window, verdict.trust), (FailureKind::RateLimit, Window::Weekly, Trust::Text));
    assert_eq!((verdict.rule.as_str(), verdict.reset_at), ("acme.line", Some(Wall(AT.0 + 7_200_000))));
    assert!(verdict.moves());
    for other in
        ["> gw[12]: no budget, back in 2 hours", "gw[12]: no budget, back", "he said gw[1]: no budget, back at 3pm"]
    {
        assert!(!line(rules, other).failure.is_some_and(|verdict| verdict.moves()), "{other}");
    }
    let trusted = format!("{rules}trust = \"structured\"");
    assert_eq!(line(&trusted, "gw[12]: no budget, back at 3pm").failure.unwrap().trust, Trust::Structured);
}

#[test]
fn a_line_that_is_nothing_is_no_limit_that_nobody_knows_either() {
    let sentence = "You've hit your limit · resets 3pm (UTC)";
    assert_eq!(kind("", sentence), Some(FailureKind::RateLimit));
    let rules = "[[rule]]\nid = \"acme.noise\"\nwhen = { line = \"You've hit your limit.*\" }\nkind = \"none\"\n";
    assert_eq!(line(rules, sentence), Said::default());
}

#[test]
fn a_record_of_the_users_own_counts_from_its_top_only() {
    let rules = r#"
[[rule]]
id = "acme.record"
tool = ["claude-code", "codex"]
when = { json = { "event" = "quota", "data.code" = { regex = 'out_.*' } } }
kind = "billing"
reset = { json = "data.in", unit = "seconds" }
"#;
    let record = r#"{"event":"quota","data":{"code":"out_of_money","in":60}}"#;
    let verdict = line(rules, record).failure.unwrap();
    assert_eq!((verdict.kind, verdict.trust), (FailureKind::Billing, Trust::Structured));
    assert_eq!(verdict.reset_at, Some(Wall(AT.0 + 60_000)));
    let quoted = serde_json::to_string(record).unwrap();
    for other in [
        format!(r#"{{"type":"user","message":{{"content":{quoted}}}}}"#),
        format!(r#"{{"type":"user","message":{record}}}"#),
        record.replace("out_of_money", "not out_of_money"),
        record.replace("quota", "quotas"),
    ] {
        assert_eq!(kind(rules, &other), None, "{other}");
    }
    let elsewhere = classifier(rules).line(record.as_bytes(), &Context::new(Some(Tool::Aider), AT));
    assert_eq!(elsewhere.failure, None, "another tool's");
}

#[test]
fn an_answer_is_recognised_by_its_status_and_words_with_the_reset_of_its_body_or_headers() {
    let rules = r#"
[[rule]]
id = "acme.answer"
when = { status = [418, 429], says = 'fair.use' }
kind = "rate_limit"
scope = "requests"
reset = { json = "error.resets_at" }
"#;
    let body = r#"{"error":{"message":"Over the Fair Use limit","resets_at":1795179600}}"#;
    let evidence = Evidence { status: Some(418), body: Some(body.to_owned()), ..Evidence::default() };
    let verdict = classifier(rules).evidence(&evidence, &Context::new(None, AT));
    assert_eq!((verdict.kind, verdict.rule.as_str()), (FailureKind::RateLimit, "acme.answer"));
    assert_eq!((verdict.window, verdict.reset_at), (Window::Requests, Some(Wall(1_795_179_600_000))));
    let by_headers = rules.replace("{ json = \"error.resets_at\" }", "\"headers\"");
    let headers = vec![("Retry-After".to_owned(), "60".to_owned())];
    let body = Some(body.replace("resets_at", "at"));
    let with_headers = Evidence { headers, body, ..evidence.clone() };
    let verdict = classifier(&by_headers).evidence(&with_headers, &Context::new(None, AT));
    assert_eq!(verdict.reset_at, Some(Wall(AT.0 + 60_000)));
    let other = Evidence { status: Some(400), ..evidence };
    assert_ne!(classifier(rules).evidence(&other, &Context::new(None, AT)).rule.as_str(), "acme.answer");
}

#[test]
fn a_built_in_rule_is_silenced_or_replaced_by_its_id() {
    assert_eq!(kind("", EVENT), Some(FailureKind::RateLimit));
    let off = "[[rule]]\nid = \"claude-code.rate_limit_event\"\noff = true\n";
    assert_eq!(kind(off, EVENT), None);
    let instead = r#"
[[rule]]
id = "claude-code.rate_limit_event"
when = { json = { "type" = "rate_limit_event", "rate_limit_info.rateLimitType" = "five_hour" } }
kind = "overload"
"#;
    let verdict = line(instead, EVENT).failure.unwrap();
    assert_eq!((verdict.kind, verdict.rule.as_str()), (FailureKind::Overload, "claude-code.rate_limit_event"));
}
