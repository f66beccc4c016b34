//! A sentence, made plain and cut into numbers, words and signs: what every reader beside this file looks at.
//!
//! Nobody looks back at the text itself. So case, accents, kinds of blanks, colours of a terminal and full-width signs are settled
//! here once, and each reader is a walk over a short slice: linear, without backtracking.
//!
//! It must not know what a token means.
//!
//! Tests: below, and `reset_time/tests.rs`.

/// So much of a text is looked at. A tool's own sentence is far shorter.
const BYTES_MAX: usize = 2 * 1024;

/// Stands where a text was cut off here, so that its end is not taken for the end of the sentence.
const CUT: char = '\0';

/// What a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// ASCII digits.
    Number,
    /// Letters; a letter of a script without blanks between words is a word of its own.
    Word,
    /// One character that is neither.
    Sign,
}

/// A piece of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Whether nothing stands between it and the one before.
    pub(super) is_glued: bool,
    /// Whether a line begins with it.
    pub(super) starts_line: bool,
}

impl Token<'_> {
    /// Whether it is this word, number or sign.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Whether it is one of these.
    pub(super) fn is_any(&self, texts: &[&str]) -> bool {
        texts.contains(&self.text)
    }

    /// Its value if it is a number of at most `digits_max` digits.
    pub(super) fn number(&self, digits_max: usize) -> Option<i64> {
        (self.kind == Kind::Number && self.text.len() <= digits_max).then(|| self.text.parse().ok())?
    }

    /// Its text if it is a word.
    pub(super) fn word(&self) -> Option<&str> {
        (self.kind == Kind::Word).then_some(self.text)
    }
}

/// The beginning of a text in lower case, without accents and without what a terminal does not show.
pub(super) fn fold(text: &str) -> String {
    let end = if text.len() > BYTES_MAX { floor_boundary(text, BYTES_MAX) } else { text.len() };
    let mut folded = String::with_capacity(end + 1);
    let mut chars = text[..end].chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                chars.find(|char| ('\u{40}'..='\u{7e}').contains(char));
            }
            // What is left of text that was quoted once more than it was unquoted.
            '\\' => match chars.peek() {
                Some('n' | 'r') => {
                    chars.next();
                    folded.push('\n');
                }
                Some('t') => {
                    chars.next();
                    folded.push(' ');
                }
                _ => folded.push(' '),
            },
            '\n' | '\r' => folded.push('\n'),
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            char if char.is_whitespace() => folded.push(' '),
            char => folded.extend(wide(char).to_lowercase().map(plain)),
        }
    }
    if end < text.len() {
        // The last token may be half of one.
        folded.truncate(folded.trim_end_matches(char::is_alphanumeric).len());
        folded.push(CUT);
    }
    folded
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The ASCII sign that a full-width one stands for.
fn wide(char: char) -> char {
    match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xfee0).unwrap_or(char),
        char => char,
    }
}

fn plain(char: char) -> char {
    match char {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        'μ' | 'µ' => 'u',
        '’' | '‘' => '\'',
        '“' | '”' => '"',
        '−' | '‑' => '-',
        char => char,
    }
}

/// Cuts a folded text into its tokens.
pub(super) fn tokens(folded: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut chars = folded.char_indices().peekable();
    let (mut is_glued, mut starts_line) = (false, true);
    while let Some((start, char)) = chars.next() {
        if char.is_whitespace() {
            is_glued = false;
            starts_line |= char == '\n';
            continue;
        }
        let is_digit = |char: char| char.is_ascii_digit();
        let is_letter = |char: char| char.is_alphabetic() && !stands_alone(char);
        let kind = match char {
            char if is_digit(char) => Kind::Number,
            char if char.is_alphabetic() => Kind::Word,
            _ => Kind::Sign,
        };
        let mut end = start + char.len_utf8();
        let goes_on = |next: char| match kind {
            Kind::Number => is_digit(next),
            Kind::Word => is_letter(char) && is_letter(next),
            Kind::Sign => false,
        };
        while let Some((at, next)) = chars.next_if(|&(_, next)| goes_on(next)) {
            end = at + next.len_utf8();
        }
        tokens.push(Token { kind, text: &folded[start..end], is_glued, starts_line });
        (is_glued, starts_line) = (true, false);
    }
    tokens
}

/// Letters of scripts that put no blanks between words.
fn stands_alone(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(&fold(text)).iter().map(|token| token.text.to_owned()).collect()
    }

    #[test]
    fn a_sentence_is_cut_into_numbers_words_and_signs() {
        assert_eq!(
            texts("resets 8:30PM (Asia/Tokyo)"),
            ["resets", "8", ":", "30", "pm", "(", "asia", "/", "tokyo", ")"]
        );
        assert_eq!(texts("8h44m7s"), ["8", "h", "44", "m", "7", "s"]);
        assert_eq!(texts("5小时"), ["5", "小", "时"]);
    }

    #[test]
    fn what_only_a_screen_shows_makes_no_difference() {
        let plain = texts("resets 3:05 pm");
        assert_eq!(texts("\u{1b}[1;31mresets\u{1b}[0m 3:05\u{202f}PM"), plain);
        assert_eq!(texts("resets\u{a0}3：05 PM\u{200b}"), plain);
        assert_eq!(texts("Será às 8"), ["sera", "as", "8"]);
    }

    #[test]
    fn a_long_text_is_cut_at_a_whole_token_and_says_so() {
        for blanks in BYTES_MAX - 6..BYTES_MAX {
            let found = texts(&format!("{}é587 seconds", " ".repeat(blanks)));
            assert_eq!(found.last().map(String::as_str), Some("\0"), "{found:?}");
            assert!(!found.iter().any(|token| ["5", "58"].contains(&token.as_str())), "{found:?}");
        }
    }
}
