//! Foreign text made safe to print: what an agent, an engine or a caller said must not be able to forge a
//! line, colour a terminal or flood the log.
//!
//! Tests: below.

use std::fmt::{self, Write};

/// The most of one foreign text that is passed on, in bytes.
pub const TEXT_MAX: usize = 2048;

/// Shows a text with its control characters spelled out, cut after [`TEXT_MAX`] bytes. Showing the result
/// again changes nothing, so layers need not know of each other.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        // The mark of a cut text makes it longer than the limit; it is not cut a second time.
        let is_marked = text.len() <= TEXT_MAX + CUT_MARK_MAX && text.ends_with(CUT_MARK_END);
        if text.len() <= TEXT_MAX || is_marked {
            return escape(f, text);
        }
        let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        escape(f, &text[..end])?;
        write!(f, "… [{} bytes{CUT_MARK_END}", text.len() - end)
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const CUT_MARK_END: &str = " more]";
const CUT_MARK_MAX: usize = 48;

fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut clean_from = 0;
    for (at, c) in text.char_indices() {
        if is_plain(c) {
            continue;
        }
        f.write_str(&text[clean_from..at])?;
        match c {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c => write!(f, "\\u{{{:x}}}", u32::from(c))?,
        }
        clean_from = at + c.len_utf8();
    }
    f.write_str(&text[clean_from..])
}

/// Control characters, line separators and the marks that turn the reading direction are not plain.
const fn is_plain(c: char) -> bool {
    !matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes `text` as a JSON string.
pub(super) fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_forge_a_line_or_reach_the_terminal() {
        let shown = Escaped("limit\nts=now level=INFO\r\u{1b}[31mred\u{202e}\u{9b}31m").to_string();
        assert_eq!(shown, "limit\\nts=now level=INFO\\r\\u{1b}[31mred\\u{202e}\\u{9b}31m");
        assert!(shown.chars().all(is_plain));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        let text = format!("{}é{}", "x".repeat(TEXT_MAX - 1), "y".repeat(100));
        let shown = Escaped(&text).to_string();
        assert_eq!(shown, format!("{}… [102 bytes more]", "x".repeat(TEXT_MAX - 1)));
        assert_eq!(Escaped(&shown).to_string(), shown, "escaping twice changes nothing");
    }

    #[test]
    fn a_text_that_only_pretends_to_be_cut_is_cut() {
        let text = format!("{}{CUT_MARK_END}", "x".repeat(TEXT_MAX * 2));
        assert!(Escaped(&text).to_string().len() <= TEXT_MAX + CUT_MARK_MAX);
    }

    #[test]
    fn a_json_string_reads_back() {
        let text = "a\"b\\c\nd\u{1}e ü";
        let mut out = String::new();
        json_string(&mut out, text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }
}
