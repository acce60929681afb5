//! For people: one finding after the other, as a good compiler shows them.

use std::fmt::Write as _;

use super::source::Source;
use super::{Place, Report};
use crate::check::verdict::Verdict;
use crate::check::{Finding, Severity, age};
use crate::log::escape;

/// The longest part of a line that is shown, in characters.
const WIDTH: usize = 120;

/// Whether the reader is a terminal that shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Text and nothing else.
    #[default]
    Plain,
    /// With ANSI's colours.
    Coloured,
}

impl Style {
    /// A text in one of ANSI's colours, if there are any.
    pub fn paint(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn severity(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Warning => "1;33",
            Severity::Error | Severity::Fatal => "1;31",
        };
        self.paint(code, severity.name())
    }
}

pub(super) fn render(report: &Report, place: &Place<'_>) -> String {
    let mut out = String::new();
    let mut source = Source::new(place);
    for (finding, age) in report.aged() {
        let (issue, style) = (&finding.issue, place.style);
        let mut at = escape(&place.path(finding)).into_owned();
        for number in [issue.line, issue.column].into_iter().take_while(|number| *number > 0) {
            let _ = write!(at, ":{number}");
        }
        let code = style.paint("2", &format!("[{}]", issue.code));
        let severity = format!("{}{}", age.adjective(), style.severity(finding.severity));
        let _ = writeln!(out, "{}: {severity}: {} {code}", style.paint("1", &at), escape(&issue.message));
        if let Some(line) = source.line(finding) {
            out += &excerpt(line, finding, style);
        }
        if let Some(hint) = &issue.hint {
            let _ = writeln!(out, "  {} {}", style.paint("1;36", "hint:"), escape(hint));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out += &summary(report, place.style);
    out
}

/// The line, and a caret under the column. Of a long line the part round the column.
fn excerpt(line: &str, finding: &Finding, style: Style) -> String {
    let column = finding.issue.column as usize;
    let skipped = if column > WIDTH { column - WIDTH / 2 } else { 0 };
    let (mut shown, mut caret, mut before) = (String::new(), String::new(), 0);
    for (at, c) in line.chars().enumerate().skip(skipped).take(WIDTH) {
        let piece = match c {
            '\t' => "    ".to_owned(),
            c => escape(c.encode_utf8(&mut [0; 4])).into_owned(),
        };
        if at + 1 < column {
            before += piece.chars().count();
        }
        shown += &piece;
    }
    let gutter = format!("{:>5} | ", finding.issue.line);
    let dots = if skipped > 0 { "…" } else { "" };
    let mut out = format!("{}{dots}{}\n", style.paint("2", &gutter), shown.trim_end());
    if column > 0 {
        caret += &" ".repeat(before + dots.chars().count());
        caret += &style.paint("1;31", "^");
        let _ = writeln!(out, "{}{caret}", style.paint("2", &format!("{:>5} | ", "")));
    }
    out
}

/// The last line: counts, what for, and what follows.
fn summary(report: &Report, style: Style) -> String {
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let found = age::counts(report.aged());
    let verdict = match &report.verdict {
        Verdict::Pass => style.paint("1;32", "pass"),
        Verdict::Reject { .. } => style.paint("1;31", "reject"),
    };
    format!(
        "{verdict}: {found} in {} of {} (Airflow {}, Python {})\n",
        counted(report.dag_files, "DAG file"),
        counted(report.files, "file"),
        report.target.airflow,
        report.target.python,
    )
}
