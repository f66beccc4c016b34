//! Lines made to be expensive to read: each is one kind of trouble, as long as is wanted.
//!
//! Every one has a word in it that makes the classifier look (else the whole line costs one search), and would be costly for a reader that
//! goes back, recurses, copies, or begins anew at each of many places.

/// A kind of trouble, and a line of about `bytes` of it.
pub(crate) fn lines(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let fill = |piece: &str, around: usize| piece.repeat(bytes.saturating_sub(around) / piece.len());
    let between = |begin: &str, piece: &str, end: &str| {
        format!("{begin}{}{end}", fill(piece, begin.len() + end.len())).into_bytes()
    };
    let half = |piece: &str| piece.repeat(bytes / 2 / piece.len());
    let nested = |open: &str, close: &str| {
        let times = bytes / (open.len() + close.len());
        format!("{}1{}", open.repeat(times), close.repeat(times)).into_bytes()
    };
    let members = (0..bytes / 24).map(|at| format!(r#","member-{at}":{{"a":[]}}"#)).collect::<Vec<_>>().concat();
    let padding = "resets at the ".repeat(30);
    let mut broken = between("API Error: 429 rate_limit_error ", "\0", "");
    broken.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = 0xff);
    vec![
        ("objects within objects", nested(r#"{"error":"#, "}")),
        ("lists within lists", between(r#"{"type":"turn.failed","error":"#, "[", "}")),
        ("an object that never ends", between("API Error: 429 ", r#"{"error":"#, "")),
        ("braces", between("API Error: rate_limit ", "{", "}")),
        ("pairs of braces", between("API Error: rate_limit ", "{}", "")),
        ("many members", format!(r#"{{"type":"result","is_error":true{members}}}"#).into_bytes()),
        ("one member many times", between(r#"{"is_error":true"#, r#","error":{}"#, "}")),
        ("a number of many digits", between(r#"{"is_error":true,"n":"#, "7", "}")),
        ("a fraction of many digits", between(r#"{"is_error":true,"n":0."#, "0", "1e9}")),
        ("backslashes in a record", between(r#"{"type":"turn.failed","error":{"message":""#, r"\\", r#""}}"#)),
        ("escaped letters in a record", between(r#"{"type":"turn.failed","error":{"message":""#, r"\u0041", r#""}}"#)),
        ("lines in a record", between(r#"{"type":"turn.failed","error":{"message":""#, r"usage limit\n", r#""}}"#)),
        (
            "a record in a record, quoted",
            between(r#"{"type":"result","is_error":true,"result":""#, r#"{\"error\":"#, r#""}"#),
        ),
        ("backslashes in a sentence", between("API Error: rate_limit ", "\\", "")),
        ("words that are looked for", between("", "rate_limit_error usage limit quota ", "")),
        ("one such word at the end", between("", "nothing to see here, ", "usage limit")),
        ("beginnings of such words", between("rate limit ", "rate_limi usage limi quot overloa ", "")),
        ("leads", between("", "Error: ", "You've hit your usage limit")),
        ("leads with a status", between("", "API Error: 429 ", "usage limit")),
        ("tags", between("", "[provider.error] ", "usage limit")),
        ("times of a log", between("", "2026-11-21T12:00:00.000Z ", "usage limit")),
        ("a name with many dots", between("", "a.", "RateLimitError: usage limit")),
        ("a long name", between("A", "a", "RateLimitError: usage limit")),
        ("glyphs", between("", "⎿ ", "You've hit your usage limit")),
        ("blanks", between("You've hit your", " ", "usage limit")),
        ("colours", between("", "\u{1b}[31m", "You've hit your usage limit")),
        ("a title that never ends", between("usage limit \u{1b}]0;", "x", "")),
        ("openings of titles", between("usage limit ", "\u{1b}]", "")),
        ("quotes", between("\"", "\"", " usage limit \"")),
        ("bytes that are no text", broken),
        ("wide letters", between("You've hit your usage limit ", "限", "")),
        ("words of a reset", between("You've hit your usage limit · ", "resets at ", "")),
        ("small words after a reset", between("You've hit your usage limit · resets ", "at the ", "3pm")),
        ("numbers after a reset", between("You've hit your usage limit. Try again in ", "5 days 22 hours ", "11")),
        ("days after a reset", between("You've hit your usage limit · resets ", "10 de jul. de ", "2026")),
        ("zones after a reset", between("You've hit your usage limit · resets 3pm (", "Asia/", "Tokyo)")),
        ("digits after a bar", between("Claude AI usage limit reached|", "1", "")),
        // As the text of a report: each of them is looked at.
        (
            "lines that are all telling",
            between("", &format!("API Error: 429 You've hit your usage limit {padding}\n"), ""),
        ),
        (
            "records that are all telling",
            between("", &format!("{{\"type\":\"turn.failed\",\"error\":{{\"message\":\"{padding}\"}}}}\n"), ""),
        ),
        (
            "bodies in lines",
            between("", &format!("API Error: 429 {{\"error\":{{\"message\":\"{padding}\"}}}} {padding}\n"), ""),
        ),
        ("short lines", between("", "usage limit\n", "")),
        ("a limit, and half of it a brace", format!("{{\"error\":\"{}rate_limit{}", half("{"), half("}")).into_bytes()),
    ]
}
