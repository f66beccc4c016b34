//! The two forms in which an engine sends a log, taken apart into lines.
//!
//! Without a terminal every message has a head that tells its output and its length; with one the messages follow
//! each other bare. In both a message is a time, a space and text: a whole line, or a part of 16 KiB of a longer
//! one; all parts of a line begin with a time.
//!
//! ```text
//! framed    │ output 0 0 0 │ length, 4 bytes │ time ␠ text…⏎ │  Head → Time → Text ─┐
//!                                                                ▲──── length used ─┘
//! terminal  │ time ␠ text…⏎ │ time ␠ 16 KiB │ time ␠ rest…⏎ │     Time → Text ──⏎──► Time
//!                                                                      └─16 KiB─► Again → Text
//! ```
//!
//! Input may be cut anywhere; each byte is looked at a constant number of times; no input makes it panic.
//! A part that is shorter than the full size and has no end of a line is the end of a process's output, and of its
//! line. A full one is held until its rest comes; if the stream ends first, it will come again.
//!
//! Tests: below.

use super::lines::{Assembly, PART_LEN, TakesLines};
use super::time::{self, TIME_MAX};
use crate::ports::logs::OutputOf;

const HEAD_LEN: usize = 8;
/// No engine puts more into one message; a length above it is not a length.
const MESSAGE_MAX: u32 = 16 << 20;
/// The output on which an engine tells its own errors.
const ENGINES_ERRORS: u8 = 3;
/// What is kept of such an error, in bytes.
const ERROR_MAX: usize = 300;

/// What came is no log; in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nonsense(pub(super) String);

/// The beginning of a message, until it is whole.
#[derive(Debug, Clone, Copy)]
struct Few {
    bytes: [u8; TIME_MAX],
    length: usize,
}

impl Few {
    const NONE: Self = Self { bytes: [0; TIME_MAX], length: 0 };

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn is_full(&self) -> bool {
        self.length == TIME_MAX
    }
}

fn no_time(begins: &[u8]) -> Nonsense {
    // Whatever it is, it is the agent's own, and no business of a log of ours.
    Nonsense(format!("a message does not begin with a time ({} bytes)", begins.len()))
}

/// A log on its way from bytes to lines.
#[derive(Debug)]
pub(super) enum Framer {
    /// Messages with heads.
    Framed(Framed),
    /// Bare messages.
    Terminal(Terminal),
}

impl Framer {
    pub(super) fn new(has_terminal: bool) -> Self {
        if has_terminal {
            let line = Assembly::new(OutputOf::Console);
            Self::Terminal(Terminal { place: Bare::Time(Few::NONE), line })
        } else {
            let assemblies = [OutputOf::Stdout, OutputOf::Stderr].map(Assembly::new);
            Self::Framed(Framed { place: Place::Head(Few::NONE), assemblies, at: 0 })
        }
    }

    /// Takes in the next bytes of the log.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut impl TakesLines) -> Result<(), Nonsense> {
        match self {
            Self::Framed(framed) => framed.feed(input, out),
            Self::Terminal(terminal) => terminal.feed(input, out),
        }
    }

    /// The log ends here, in good order.
    pub(super) fn end(&mut self, out: &mut impl TakesLines) -> Result<(), Nonsense> {
        let is_between = match self {
            Self::Framed(framed) => matches!(&framed.place, Place::Head(few) if few.length == 0),
            Self::Terminal(terminal) => terminal.end(out),
        };
        if is_between { Ok(()) } else { Err(Nonsense("it ended inside a message".to_owned())) }
    }
}

/// Messages with heads.
#[derive(Debug)]
pub(super) struct Framed {
    place: Place,
    assemblies: [Assembly; 2],
    /// Which of them the message is for.
    at: usize,
}

#[derive(Debug)]
enum Place {
    Head(Few),
    Time { few: Few, left: u32 },
    Text { left: u32, length: usize },
    Error { text: Vec<u8>, left: u32 },
}

impl Framed {
    fn feed(&mut self, mut input: &[u8], out: &mut impl TakesLines) -> Result<(), Nonsense> {
        while !input.is_empty() {
            match &mut self.place {
                Place::Head(few) => {
                    few.push(input[0]);
                    input = &input[1..];
                    if few.length == HEAD_LEN {
                        let few = *few;
                        self.head(few.bytes())?;
                    }
                }
                Place::Time { few, left } => {
                    let byte = input[0];
                    input = &input[1..];
                    *left -= 1;
                    if byte != b' ' {
                        few.push(byte);
                        if *left == 0 || few.is_full() {
                            return Err(no_time(few.bytes()));
                        }
                        continue;
                    }
                    let (at_ns, left) = (time::parse(few.bytes()).ok_or_else(|| no_time(few.bytes()))?, *left);
                    self.assemblies[self.at].begin(at_ns);
                    self.place = Place::Text { left, length: 0 };
                    self.is_message_over(out);
                }
                Place::Text { left, length } => {
                    let text = split(&mut input, left);
                    *length += text.len();
                    self.assemblies[self.at].extend(text, out);
                    self.is_message_over(out);
                }
                Place::Error { text, left } => {
                    let more = split(&mut input, left);
                    text.extend_from_slice(&more[..more.len().min(ERROR_MAX - text.len())]);
                    if *left == 0 {
                        return Err(Nonsense(format!("the engine says: {}", String::from_utf8_lossy(text).trim())));
                    }
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, head: &[u8]) -> Result<(), Nonsense> {
        let left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if head[0] > ENGINES_ERRORS || head[1..4] != [0; 3] || left > MESSAGE_MAX {
            return Err(Nonsense(format!("{head:02x?} is not the head of a message")));
        }
        self.at = usize::from(head[0] == 2);
        self.place = match (head[0], left) {
            (_, 0) => Place::Head(Few::NONE),
            (ENGINES_ERRORS, _) => Place::Error { text: Vec::new(), left },
            _ => Place::Time { few: Few::NONE, left },
        };
        Ok(())
    }

    fn is_message_over(&mut self, out: &mut impl TakesLines) {
        if let Place::Text { left: 0, length } = self.place {
            if length < PART_LEN {
                self.assemblies[self.at].end(out);
            }
            self.place = Place::Head(Few::NONE);
        }
    }
}

/// As much of the input as is left of the message.
fn split<'a>(input: &mut &'a [u8], left: &mut u32) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (text, rest) = input.split_at(length);
    *input = rest;
    *left = left.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
    text
}

/// Bare messages.
#[derive(Debug)]
pub(super) struct Terminal {
    place: Bare,
    line: Assembly,
}

#[derive(Debug)]
enum Bare {
    Time(Few),
    /// So much text of the message has come; it goes on with a line or not.
    Text {
        length: usize,
        is_more: bool,
    },
    /// A carriage return has come in a message that goes on with a line. One driver leaves the end of such a line
    /// out, so that the next message may follow.
    Return {
        few: Few,
        length: usize,
    },
    /// A full part has come; what follows is the time again, or text of an engine that has larger parts.
    Again(Few),
    /// Text, until the end of the line.
    Rest,
}

impl Terminal {
    fn feed(&mut self, mut input: &[u8], out: &mut impl TakesLines) -> Result<(), Nonsense> {
        while !input.is_empty() {
            match &mut self.place {
                Bare::Time(few) => {
                    let byte = input[0];
                    input = &input[1..];
                    if byte != b' ' {
                        few.push(byte);
                        if few.is_full() || byte == b'\n' {
                            return Err(no_time(few.bytes()));
                        }
                        continue;
                    }
                    self.line.begin(time::parse(few.bytes()).ok_or_else(|| no_time(few.bytes()))?);
                    self.place = Bare::Text { length: 0, is_more: false };
                }
                Bare::Text { length, is_more } => {
                    let most = (PART_LEN - *length).min(input.len());
                    let end = memchr::memchr(b'\n', &input[..most]);
                    let turn = is_more.then(|| memchr::memchr(b'\r', &input[..end.unwrap_or(most)])).flatten();
                    if let Some(turn) = turn {
                        let (text, rest) = input.split_at(turn + 1);
                        input = rest;
                        let length = *length + text.len();
                        self.line.extend(text, out);
                        self.place = Bare::Return { few: Few::NONE, length };
                    } else if let Some(end) = end {
                        self.ends(&mut input, end, out);
                    } else {
                        let (text, rest) = input.split_at(most);
                        input = rest;
                        *length += most;
                        if *length == PART_LEN {
                            self.place = Bare::Again(Few::NONE);
                        }
                        self.line.extend(text, out);
                    }
                }
                Bare::Return { few, length } => {
                    let byte = input[0];
                    if byte == b' ' && time::is_dockers(few.bytes()) {
                        let at_ns = time::parse(few.bytes());
                        input = &input[1..];
                        self.line.end(out);
                        self.line.begin(at_ns.unwrap_or_default());
                        self.place = Bare::Text { length: 0, is_more: false };
                    } else if is_of_a_time(byte) && !few.is_full() && *length + few.length < PART_LEN {
                        few.push(byte);
                        input = &input[1..];
                    } else {
                        let (few, length) = (*few, *length + few.length);
                        self.line.extend(few.bytes(), out);
                        self.place = if length < PART_LEN {
                            Bare::Text { length, is_more: true }
                        } else {
                            Bare::Again(Few::NONE)
                        };
                    }
                }
                Bare::Again(few) => {
                    let byte = input[0];
                    if byte == b' ' && time::parse(few.bytes()).is_some() {
                        input = &input[1..];
                        self.place = Bare::Text { length: 0, is_more: true };
                    } else if is_of_a_time(byte) && !few.is_full() {
                        few.push(byte);
                        input = &input[1..];
                    } else {
                        let few = *few;
                        self.line.extend(few.bytes(), out);
                        self.place = Bare::Rest;
                    }
                }
                Bare::Rest => match memchr::memchr(b'\n', input) {
                    Some(end) => self.ends(&mut input, end, out),
                    None => self.line.extend(std::mem::take(&mut input), out),
                },
            }
        }
        Ok(())
    }

    fn ends(&mut self, input: &mut &[u8], end: usize, out: &mut impl TakesLines) {
        let (line, rest) = input.split_at(end + 1);
        *input = rest;
        self.line.extend(line, out);
        self.place = Bare::Time(Few::NONE);
    }

    /// Whether the log may end here. What has come of a line is one then, unless a full part was the last.
    fn end(&mut self, out: &mut impl TakesLines) -> bool {
        match &self.place {
            Bare::Time(few) => return few.length == 0,
            Bare::Again(few) if few.length == 0 => {}
            Bare::Again(few) | Bare::Return { few, .. } => {
                let few = *few;
                self.line.extend(few.bytes(), out);
                self.line.end(out);
            }
            Bare::Text { .. } | Bare::Rest => self.line.end(out),
        }
        true
    }
}

fn is_of_a_time(byte: u8) -> bool {
    byte.is_ascii_digit() || b"-:.+TZ".contains(&byte)
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
