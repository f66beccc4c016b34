//! Tables for people: no lines, one header in capitals, so that `grep` and `awk` can work on them as well.
//!
//! What others said (reasons, names of containers) is escaped on its way into a cell.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement};

use crate::telemetry::escape::Escaped;

/// A column this narrow (in characters) is not wrapped on a narrow terminal: names and words stay whole.
const UNBROKEN_MAX: u16 = 20;

/// How a cell is meant, where colours can say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// All is well.
    Good,
    /// It will pass by itself, or somebody asked for it.
    Mild,
    /// It needs a person.
    Bad,
}

/// Text with a tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String, Tone);

impl Text {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self(text.into(), tone)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text, Tone::Plain)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), Tone::Plain)
    }
}

impl From<Option<String>> for Text {
    /// What is absent is a dash.
    fn from(text: Option<String>) -> Self {
        Self(text.unwrap_or_else(|| "-".to_owned()), Tone::Plain)
    }
}

/// Who looks at a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether it is on a terminal and has to fit its width.
    pub(super) is_terminal: bool,
    /// Whether colours are wanted.
    pub(super) has_colours: bool,
}

/// A table in the making.
pub(super) struct Table {
    table: comfy_table::Table,
    look: Look,
}

impl Table {
    pub(super) fn new(look: Look, header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        let header: Vec<_> = header.iter().map(|name| Cell::new(Escaped(name))).collect();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
        if !look.is_terminal {
            table.force_no_tty();
        }
        Self { table, look }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [Text; N]) {
        let cell = |Text(text, tone): Text| {
            let cell = Cell::new(Escaped(&text));
            let colour = match tone {
                Tone::Plain => None,
                Tone::Good => Some(Color::Green),
                Tone::Mild => Some(Color::Yellow),
                Tone::Bad => Some(Color::Red),
            };
            match colour.filter(|_| self.look.has_colours) {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        };
        self.table.add_row(cells.map(cell));
    }

    /// The lines, each with its end.
    pub(super) fn into_text(mut self) -> String {
        for (index, width) in self.table.column_max_content_widths().into_iter().enumerate() {
            if let Some(column) = self.table.column_mut(index) {
                column.set_padding((0, 2));
                if width <= UNBROKEN_MAX {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        let mut text = String::new();
        for line in self.table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_narrow_terminal_only_long_columns_are_wrapped() {
        let look = Look { is_terminal: false, has_colours: false };
        let mut table = Table::new(look, &["AGENT", "NOTE"]);
        table.row(["a-name-of-an-agent".into(), "one two three four five six seven eight".into()]);
        table.table.set_width(36);
        let expected = "AGENT               NOTE\na-name-of-an-agent  one two three\n                    four five six\n                    \
                        seven eight\n";
        assert_eq!(table.into_text(), expected);
    }

    #[test]
    fn a_table_is_plain_text_with_nothing_to_steer_a_terminal() {
        let look = Look { is_terminal: false, has_colours: false };
        let mut table = Table::new(look, &["AGENT", "REASON"]);
        table.row(["a".into(), Text::toned("x\u{1b}[31m\ny", Tone::Bad)]);
        table.row(["longer".into(), None.into()]);
        assert_eq!(table.into_text(), "AGENT   REASON\na       x\\u{1b}[31m\\ny\nlonger  -\n");
    }
}
