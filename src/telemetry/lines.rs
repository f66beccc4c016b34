//! The log as lines: JSON for programs, aligned text for people. One event, one line, one write.
//!
//! It must not read the clock (the time is asked of the port) and never write a raw control character. Lines
//! of libraries and of plain `tracing` calls come out too, as `event` `log` with their `target` and `message`.
//!
//! Tests: `tests/telemetry.rs`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

use super::escape::{Escaped, json_string};
use super::event::TARGET;
use super::member::Rfc3339;
use crate::ports::clock::Clock;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStyle {
    /// One JSON object.
    Json,
    /// Aligned text, with or without colours.
    Text {
        /// Whether the reader is a terminal.
        colours: bool,
    },
}

/// Writes every event as one line.
pub struct Lines<W> {
    style: LineStyle,
    writer: W,
    clock: Arc<dyn Clock>,
}

impl<W> Lines<W> {
    /// Lines of this style to `writer`, stamped by `clock`.
    pub fn new(style: LineStyle, writer: W, clock: Arc<dyn Clock>) -> Self {
        Self { style, writer, clock }
    }
}

impl<S: Subscriber, W: for<'w> MakeWriter<'w> + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut members = Members { is_event: event.metadata().target() == TARGET, ..Members::default() };
        event.record(&mut members);
        let ts = Rfc3339(self.clock.now().wall);
        let level = *event.metadata().level();
        let line = match self.style {
            LineStyle::Json => json(ts, level, event.metadata().target(), &members),
            LineStyle::Text { colours } => text(ts, level, event.metadata().target(), &members, colours),
        };
        // There is nowhere to report that the log cannot be written.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// The members of one event, rendered.
#[derive(Default)]
struct Members {
    /// Whether it is one of the catalogue.
    is_event: bool,
    event: Option<String>,
    message: Option<String>,
    /// Name, value, and whether the value is a JSON word as it stands (a number, `true`).
    rest: Vec<(&'static str, String, bool)>,
}

impl Members {
    fn take(&mut self, field: &Field, value: String, is_bare: bool) {
        match field.name() {
            "event" if self.is_event => self.event = Some(value),
            "message" => self.message = Some(value),
            name => self.rest.push((name, value, is_bare)),
        }
    }
}

impl Visit for Members {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Escaped(value).to_string(), false);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.to_string(), true);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.to_string(), true);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.to_string(), value.is_finite());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.to_string(), true);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // An event of ours repeats its members in the message, for the journal; a line does without.
        if field.name() == "message" && self.is_event {
            return;
        }
        self.take(field, Escaped(&format!("{value:?}")).to_string(), false);
    }
}

fn json(ts: Rfc3339, level: Level, target: &str, members: &Members) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(line, "{{\"ts\":\"{ts}\",\"level\":\"{}\",\"event\":", level_word(level));
    json_string(&mut line, members.event.as_deref().unwrap_or("log"));
    if !members.is_event {
        line.push_str(",\"target\":");
        json_string(&mut line, target);
    }
    if let Some(message) = &members.message {
        line.push_str(",\"message\":");
        json_string(&mut line, message);
    }
    for (name, value, is_bare) in &members.rest {
        line.push(',');
        // Others may use our fixed names for something else; an object must not name a member twice.
        if !members.is_event && matches!(*name, "ts" | "level" | "event" | "target") {
            json_string(&mut line, &format!("{name}_"));
        } else {
            json_string(&mut line, name);
        }
        line.push(':');
        if *is_bare {
            line.push_str(value);
        } else {
            json_string(&mut line, value);
        }
    }
    line.push_str("}\n");
    line
}

fn text(ts: Rfc3339, level: Level, target: &str, members: &Members, colours: bool) -> String {
    let (dim, bold, tint, reset) = if colours {
        let tint = match level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG | Level::TRACE => "\x1b[36m",
        };
        ("\x1b[2m", "\x1b[1m", tint, "\x1b[0m")
    } else {
        ("", "", "", "")
    };
    let mut line = String::with_capacity(256);
    let level = level_word(level);
    let _ = write!(line, "{dim}{ts}{reset} {tint}{level:<5}{reset} ");
    match (&members.event, &members.message) {
        (Some(event), _) => {
            let _ = write!(line, "{bold}{event:<22}{reset}");
        }
        (None, message) => {
            let _ = write!(line, "{dim}{target}:{reset} {}", message.as_deref().unwrap_or_default());
        }
    }
    for (name, value, is_bare) in &members.rest {
        let _ = write!(line, " {dim}{name}={reset}");
        if *is_bare || is_word(value) {
            line.push_str(value);
        } else {
            let _ = write!(line, "\"{}\"", value.replace('"', "\\\""));
        }
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// Whether a value can stand without quotes.
fn is_word(value: &str) -> bool {
    !value.is_empty() && !value.contains([' ', '"', '='])
}
