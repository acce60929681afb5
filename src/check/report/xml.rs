//! JUnit's XML, as the CI systems read it: one case for each file with a finding, and one for all that have none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Place, Report};
use crate::check::{Age, Finding, Severity};

/// A finding, and how it stands to what was there before.
type Aged<'a> = (&'a Finding, Age);

pub(super) fn render(report: &Report, place: &Place<'_>) -> String {
    let mut files: BTreeMap<String, Vec<Aged<'_>>> = BTreeMap::new();
    for (finding, age) in report.aged() {
        files.entry(place.path(finding)).or_default().push((finding, age));
    }
    let failures = files.values().filter(|findings| findings.iter().any(is_failure)).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = files.len() + 1;
    let _ = writeln!(out, "<testsuites tests=\"{tests}\" failures=\"{failures}\">");
    let _ = writeln!(
        out,
        "  <testsuite name=\"dagsync\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">"
    );
    let _ = writeln!(out, "    <testcase classname=\"dagsync\" name=\"all other files\"/>");
    for (path, findings) in &files {
        let _ = writeln!(out, "    <testcase classname=\"dagsync\" name=\"{0}\" file=\"{0}\">", escape(path));
        let lines = |fails: bool| -> Vec<String> {
            findings.iter().filter(|it| is_failure(it) == fails).map(|it| line(path, it)).collect()
        };
        let errors = lines(true);
        // Readers want one failure a case.
        if let Some((first, _)) = findings.iter().find(|it| is_failure(it)) {
            let (code, message) = (first.issue.code, escape(&first.issue.message));
            let _ = writeln!(
                out,
                "      <failure type=\"{code}\" message=\"{message}\">{}</failure>",
                escape(&errors.join("\n"))
            );
        }
        let others = lines(false);
        if !others.is_empty() {
            let _ = writeln!(out, "      <system-out>{}</system-out>", escape(&others.join("\n")));
        }
        out += "    </testcase>\n";
    }
    out += "  </testsuite>\n</testsuites>\n";
    out
}

/// What was there before is for nobody to mend who changes something else.
fn is_failure((finding, age): &Aged<'_>) -> bool {
    finding.severity > Severity::Warning && !age.excuses(finding.severity)
}

fn line(path: &str, (finding, age): &Aged<'_>) -> String {
    let issue = &finding.issue;
    let hint = issue.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    format!(
        "{path}:{}:{}: {}{}: {} [{}]{hint}",
        issue.line,
        issue.column,
        age.adjective(),
        finding.severity,
        issue.message,
        issue.code
    )
}

/// What XML 1.0 cannot hold, escaped or not, becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
