//! Problems for people: drawn on a terminal, in compiler form everywhere else.
//!
//! The plain form begins each problem with `file:line:column:`, so that editors, `grep` and the journal can
//! do something with it.
//!
//! Tests: snapshots in `tests`.

use std::fmt::Write as _;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::problem::{Problem, Severity};

/// A longer line is not drawn: it is no line that a person wrote.
const LINE_MAX: usize = 200;

/// All problems and a count. `fancy` is for a terminal: lines, colours, Unicode.
#[must_use]
pub fn render(problems: &[Problem], fancy: bool) -> String {
    let mut out = String::new();
    for problem in problems {
        let is_short = problem.source.lines().all(|line| line.len() <= LINE_MAX);
        if !(fancy && is_short && draw(problem, &mut out)) {
            plain(problem, &mut out);
        }
    }
    let count = |severity: Severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(counted(errors, "error"));
    }
    if warnings > 0 {
        parts.push(counted(warnings, "warning"));
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "{}", parts.join(", "));
    }
    out
}

fn plain(problem: &Problem, out: &mut String) {
    let _ = writeln!(out, "{problem}");
    if let (Some(line), Some(column), Some(text)) = (problem.line, problem.column, &problem.text) {
        let gutter = line.to_string().len().max(3);
        // Far along a long line, what stands there matters, not how the line begins.
        let skipped = (column - 1).saturating_sub(LINE_MAX / 2);
        let shown: String = text.chars().skip(skipped).take(LINE_MAX).collect();
        let shown = shown.replace('\t', " ");
        let _ = writeln!(out, "{line:>gutter$} | {shown}");
        let width = problem.span.as_ref().map_or(1, |span| {
            let marked = problem.source.get(span.clone()).unwrap_or_default();
            marked.lines().next().unwrap_or_default().chars().count()
        });
        let most = shown.chars().count().saturating_sub(column - 1 - skipped).max(1);
        let marks = "^".repeat(width.clamp(1, most));
        let _ = writeln!(out, "{:gutter$} | {:indent$}{marks}", "", "", indent = column - 1 - skipped);
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "    hint: {hint}");
    }
    out.push('\n');
}

fn draw(problem: &Problem, out: &mut String) -> bool {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(120).with_context_lines(1);
    let source = NamedSource::new(&problem.file, problem.source.to_string());
    let drawn = Drawn { problem, source };
    let mut text = String::new();
    if handler.render_report(&mut text, &drawn).is_err() {
        return false;
    }
    out.push_str(text.trim_start_matches('\n'));
    out.push('\n');
    true
}

/// A problem in the form that miette draws.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
}

impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.what)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.problem.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}
