//! What stands around a tool's sentence on its line: terminal codes, the gutter, an error's name, a status, a log's prefix.
//!
//! A tool says one thing in many dresses: `⎿ You've hit your limit`, `Error: You've hit your limit`, `API Error (429
//! {…})`. Peeled, the sentence stands alone, and a rule can demand that it begins where the line begins. That is what
//! keeps words in the middle of somebody's prose from being a sign of anything.
//!
//! | peeled off | and then it is |
//! |---|---|
//! | colours, gutter glyphs, `Error:`, `API Error`, exception names, `[tag]`, a status | the tool's own line still |
//! | quotes around all of it, a prompt's `>`, a time, a level, a logger's name | hearsay: it tells what, and moves nobody |
//!
//! Marks of other people's text are never peeled: list and table marks, diffs, comments, anything unknown.
//!
//! Tests: below.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// So much of a line is looked at; the sentence stands at its beginning.
const BYTES_MAX: usize = 8 * 1024;

/// So many pieces are taken off at most.
const PIECES_MAX: usize = 8;

/// A line without what leads up to its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peeled<'a> {
    /// What is left: single blanks, straight apostrophes.
    pub(super) sentence: Cow<'a, str>,
    /// Where the sentence begins after nothing but glyphs and `Error:`; for rules about the lead itself.
    pub(super) whole: Cow<'a, str>,
    /// A status that was told on the way.
    pub(super) status: Option<u16>,
    /// The error's name, as an exception of a program tells it: `RateLimitError`.
    pub(super) exception: Option<Exception>,
    /// Whether an error was announced at all: by a word, a name or a status.
    pub(super) is_error: bool,
    /// Whether it was an error of a call to a provider, and not of anything.
    pub(super) is_api: bool,
    /// Whether the line only repeats what another one said.
    pub(super) is_hearsay: bool,
}

/// What kind of exception a program told, as libraries of several providers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// The rate is limited.
    RateLimit,
    /// The login is refused.
    Authentication,
    /// This call is not allowed.
    PermissionDenied,
    /// The request is at fault.
    BadRequest,
    /// The connection failed.
    Connection,
    /// The provider is in trouble.
    Server,
}

/// Exception names, by what they mean. The same classes in the libraries of providers and in litellm.
const EXCEPTIONS: &[(&str, Exception)] = &[
    ("RateLimitError", Exception::RateLimit),
    ("BudgetExceededError", Exception::BadRequest),
    ("AuthenticationError", Exception::Authentication),
    ("PermissionDeniedError", Exception::PermissionDenied),
    ("BadRequestError", Exception::BadRequest),
    ("InvalidRequestError", Exception::BadRequest),
    ("ContextWindowExceededError", Exception::BadRequest),
    ("ContentPolicyViolationError", Exception::BadRequest),
    ("NotFoundError", Exception::BadRequest),
    ("APIConnectionError", Exception::Connection),
    ("APITimeoutError", Exception::Connection),
    ("Timeout", Exception::Connection),
    ("InternalServerError", Exception::Server),
    ("ServiceUnavailableError", Exception::Server),
    ("OverloadedError", Exception::Server),
];

/// Libraries of providers, and those that speak to several. Exceptions of the same name are raised by everybody's.
const LIBRARIES: &[&str] =
    &["litellm.", "openai.", "anthropic.", "google.", "genai.", "groq.", "mistralai.", "openrouter.", "cohere."];

/// Exceptions of a call that do not tell which.
const API_EXCEPTIONS: &[&str] =
    &["APIError", "ApiError", "APIStatusError", "HttpError", "APICallError", "RetryError", "LLMError"];

/// Words that lead up to what a provider answered.
const API_LEADS: &[&str] = &[
    "api error",
    "llm provider error",
    "stream error",
    "provider error",
    "error from provider",
    "eror from provider",
    "error from anthropic",
    "error from openai",
    "error from google",
    "error from gemini",
    "error communicating",
    "execution failed",
    "model call failed",
    "api call failed",
    "failed to get response",
    "failed after",
    "stream disconnected",
    "unexpected status",
];

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of our own")
}

/// Terminal codes: colours, cursor, titles, links.
static CODES: LazyLock<Regex> =
    LazyLock::new(|| pattern("\x1b(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])"));

/// What tools put before a line of their own.
const GLYPHS: &[char] = &[
    '⎿', '⏺', '●', '■', '✕', '✖', '✗', '✘', '⚡', '⚠', '❌', '❗', '🛑', '⛔', '🚫', '∙', '⏳', '⏰', 'ℹ', '▲', '🖐',
    '\u{fe0f}',
];

/// Announces an error, and takes nothing away from whose word it is.
static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:",
        r"(?i:error running [a-z ]{3,40}) ?: ?|",
        // An exception, with the library before it: `litellm.exceptions.RateLimitError:`, `openai.AuthenticationError:`
        r"(?:[A-Za-z_][A-Za-z0-9_]*\.)*(?P<exception>[A-Z][A-Za-z]*(?:_[A-Z][A-Za-z]*)?(?:Error|Exception|Timeout))(?: code)? ?(?:[:\-]|$) ?",
        // The library's word for whose exception it was: `AnthropicException - `
        r"|[A-Z][A-Za-z]+Exception - ",
        r"|\[?(?i:api error|llm provider error|error|fatal error|fatal|stream error|request error|provider error|err|eror)(?i: code| from provider| from [A-Za-z ]{2,20}| communicating with [A-Za-z]{2,20})?(?: \([A-Za-z ]{2,20}\))? ?(?:: ?|\b(?P<bare>)|$)",
        r"|(?i:execution failed|model call failed|api call failed|request failed|stream disconnected before completion|failed to authenticate|authentication failed|last error|invalid status code|unexpected status(?: code)?|status code|returned error status|http error|http)\b(?: with message)? ?(?:: ?|$|(?P<words>))",
        r"|(?i:failed to get response from (?:the )?model(?: api)?)(?: returned unexpected status code)? ?:? ?",
        r"|(?i:please run /login) ?[·\-] ?",
        r"|(?i:failed after \d+ attempts?\.?) ",
        r"|(?i:attempt \d+ failed) ?: ?",
        r"|\[[a-z]+[._][a-z_.]+\] ",
        r"|\(?(?P<status>[45]\d\d)(?: (?:Too Many Requests|Unauthorized|Forbidden|Bad Request|Payment Required|Service Unavailable|Internal Server Error|Bad Gateway|UNAVAILABLE|RESOURCE_EXHAUSTED|UNAUTHENTICATED|PERMISSION_DENIED|Invalid Session))?\)? ?(?:[:\-—.,] ?|with message: ?)?",
        r"|\((?P<inner>[45]\d\d)\) ?(?:[:\-—·] ?)?",
        r")",
    ))
});

/// What a log or a quotation puts before a line: after it, the line is somebody's repetition.
static HEARSAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:",
        r"> ",
        r"|\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?\]?(?: - (?:[\w.\-]+ - )?|:? )",
        r"|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?(?: - |:? )",
        r"|(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING)(?::| -|\b) ",
        r"|\[(?i:error|warn|warning|info|debug|system error|fatal)\]:? ?",
        r#"|(?:Object )?\{ [\w: ,]{0,40}error: ""#,
        r"|[A-Za-z][\w.\-]*:(?:ERROR|WARNING|WARN|INFO|DEBUG): (?:[\w./\-]+:\d+ - )?",
        r")",
    ))
});

/// Peels a line; `None` if there is nothing on it that could be a sentence.
pub(super) fn peel(line: &str) -> Option<Peeled<'_>> {
    let mut text = plain(line);
    let mut is_hearsay = false;
    if let Some(inner) = unquoted(&text) {
        (text, is_hearsay) = (Cow::Owned(inner.to_owned()), true);
    }
    let glyphless = without_glyphs(&text);
    let mut begin = text.len() - glyphless.len();
    let mut whole_at = begin;
    let (mut status, mut exception, mut is_error, mut is_api) = (None, None, false, false);
    for _ in 0..PIECES_MAX {
        let rest = &text[begin..];
        if let Some(found) = HEARSAY.captures(rest) {
            begin += found[0].len();
            begin += text[begin..].len() - without_glyphs(&text[begin..]).len();
            (is_hearsay, whole_at) = (true, begin);
            continue;
        }
        let Some(found) = LEAD.captures(rest).filter(|found| !found[0].is_empty()) else { break };
        let told = found.name("status").or_else(|| found.name("inner"));
        // The beginning of a longer number is no status.
        if told.is_some_and(|told| {
            rest[told.end()..].starts_with(|next: char| next.is_ascii_digit() || "%.".contains(next))
        }) {
            break;
        }
        status = told.and_then(|told| told.as_str().parse().ok()).or(status);
        if let Some(name) = found.name("exception") {
            let module = &rest[..name.start()];
            let is_a_providers = module.is_empty() || LIBRARIES.iter().any(|known| module.starts_with(known));
            let kind = EXCEPTIONS.iter().find(|(word, _)| name.as_str() == *word).map(|(_, kind)| *kind);
            exception = kind.filter(|_| is_a_providers).or(exception);
            let is_one = kind.is_some() || API_EXCEPTIONS.iter().any(|known| name.as_str().ends_with(known));
            is_api |= is_one && is_a_providers;
        }
        let lead = found[0].to_lowercase();
        is_api |= API_LEADS.iter().any(|known| lead.trim_start_matches('[').starts_with(known));
        is_error = true;
        let len = found[0].len();
        begin += len + (rest[len..].len() - rest[len..].trim_start_matches([' ', '.', '·']).len());
        begin += text[begin..].len() - without_glyphs(&text[begin..]).len();
        if is_api {
            // Some quote what they were answered.
            begin += text[begin..].len() - text[begin..].trim_start_matches('"').len();
        }
    }
    if begin >= text.len() && status.is_none() && exception.is_none() {
        return None;
    }
    let cut = |from: usize| match &text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
        Cow::Owned(text) => Cow::Owned(text[from..].to_owned()),
    };
    // `[API Error: …]` has its bracket taken off in front.
    let end = if text[begin..].contains('[') { text.len() } else { text.trim_end_matches([']', ' ']).len().max(begin) };
    let sentence = match cut(begin) {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end - begin]),
        Cow::Owned(mut text) => {
            text.truncate(end - begin);
            Cow::Owned(text)
        }
    };
    Some(Peeled { sentence, whole: cut(whole_at), status, exception, is_error, is_api, is_hearsay })
}

/// Without terminal codes; single blanks, straight apostrophes and quotes, nothing around it.
fn plain(line: &str) -> Cow<'_, str> {
    let mut end = line.len().min(BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let line = &line[..end];
    let line = if line.contains('\x1b') { CODES.replace_all(line, "") } else { Cow::Borrowed(line) };
    let trimmed = line.trim();
    let is_plain =
        |text: &str| text.is_ascii() && !text.contains("  ") && !text.bytes().any(|byte| byte.is_ascii_control());
    if is_plain(trimmed) {
        return match line {
            Cow::Borrowed(line) => Cow::Borrowed(line.trim()),
            Cow::Owned(ref line) => Cow::Owned(line.trim().to_owned()),
        };
    }
    let mut out = String::with_capacity(trimmed.len());
    for char in trimmed.chars() {
        let char = match char {
            '’' | '‘' | '`' | '´' => '\'',
            '“' | '”' => '"',
            char if char.is_whitespace() || char.is_control() => ' ',
            char => char,
        };
        if char != ' ' || !out.ends_with(' ') {
            out.push(char);
        }
    }
    Cow::Owned(out.trim().to_owned())
}

/// What stands between quotes that enclose all of it.
fn unquoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.trim_end_matches([',', ';']).strip_suffix('"')?;
    (!inner.contains('"') && !inner.is_empty()).then_some(inner)
}

fn without_glyphs(text: &str) -> &str {
    text.trim_start_matches(|char: char| GLYPHS.contains(&char) || char == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(line: &str) -> (String, Option<u16>, bool) {
        let peeled = peel(line).unwrap();
        (peeled.sentence.into_owned(), peeled.status, peeled.is_hearsay)
    }

    #[test]
    fn a_tools_own_dress_is_taken_off() {
        let limit = "You've hit your limit - resets 3pm";
        let own =
            |line: &str, status: Option<u16>| assert_eq!(sentence(line), (limit.to_owned(), status, false), "{line}");
        own("You've hit your limit - resets 3pm", None);
        own("  ⎿  You’ve hit your  limit - resets 3pm \r", None);
        own("\x1b[31m⏺ You've hit your limit - resets 3pm\x1b[0m", None);
        own("Error: You've hit your limit - resets 3pm", None);
        own("Error : You've hit your limit - resets 3pm", None);
        own("API Error: 429 You've hit your limit - resets 3pm", Some(429));
        own("✕ [API Error: You've hit your limit - resets 3pm]", None);
        own("Error: [provider.auth_error] 403 You've hit your limit - resets 3pm", Some(403));
        own(
            "litellm.exceptions.RateLimitError: litellm.RateLimitError: AnthropicException - You've hit your limit - resets 3pm",
            None,
        );
        own(
            "HttpError: Invalid status code 429 Too Many Requests with message: You've hit your limit - resets 3pm",
            Some(429),
        );
    }

    #[test]
    fn a_repetition_is_known_as_one_and_other_peoples_marks_stay() {
        for line in [
            "> You've hit your limit",
            "\"You've hit your limit\"",
            "2026-11-20T12:00:00.123Z You've hit your limit",
            "[2026-11-20 12:00:00] ERROR: You've hit your limit",
            "01:57:20 - openhands:ERROR: retry_mixin.py:47 - You've hit your limit",
            "[System Error] You've hit your limit",
        ] {
            assert_eq!(sentence(line), ("You've hit your limit".to_owned(), None, true), "{line}");
        }
        for line in [
            "- You've hit your limit",
            "+ You've hit your limit",
            "| You've hit your limit |",
            "│ You've hit your limit │",
            "// You've hit your limit",
            "# You've hit your limit",
            "* You've hit your limit",
            "    12\tYou've hit your limit",
            "src/a.rs:12: You've hit your limit",
            "agent-1  | You've hit your limit",
        ] {
            assert!(!sentence(line).0.starts_with("You"), "{line}");
        }
    }

    #[test]
    fn an_exception_is_known_by_its_name() {
        let name = |line: &str| peel(line).unwrap().exception;
        assert_eq!(name("openai.RateLimitError: Error code: 429 - {'error': 1}"), Some(Exception::RateLimit));
        assert_eq!(name("litellm.AuthenticationError: nope"), Some(Exception::Authentication));
        assert_eq!(name("ValueError: nope"), None);
        assert_eq!(peel("  \x1b[0m "), None);
    }
}
