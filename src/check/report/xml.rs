//! JUnit's XML, as the CI systems read it: one case for each file with a finding, and one for all that have none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Place, Report};
use crate::check::{Finding, Severity};

pub(super) fn render(report: &Report, place: &Place<'_>) -> String {
    let mut files: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        files.entry(place.path(finding)).or_default().push(finding);
    }
    let fails = |findings: &Vec<&Finding>| findings.iter().any(|it| it.severity > Severity::Warning);
    let failures = files.values().filter(|findings| fails(findings)).count();
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
        let lines = |severity: fn(&Severity) -> bool| -> Vec<String> {
            findings.iter().filter(|it| severity(&it.severity)).map(|it| line(path, it)).collect()
        };
        let errors = lines(|severity| *severity > Severity::Warning);
        // Readers want one failure a case.
        if let Some(first) = findings.iter().find(|it| it.severity > Severity::Warning) {
            let (code, message) = (first.issue.code, escape(&first.issue.message));
            let _ = writeln!(
                out,
                "      <failure type=\"{code}\" message=\"{message}\">{}</failure>",
                escape(&errors.join("\n"))
            );
        }
        let warnings = lines(|severity| *severity == Severity::Warning);
        if !warnings.is_empty() {
            let _ = writeln!(out, "      <system-out>{}</system-out>", escape(&warnings.join("\n")));
        }
        out += "    </testcase>\n";
    }
    out += "  </testsuite>\n</testsuites>\n";
    out
}

fn line(path: &str, finding: &Finding) -> String {
    let issue = &finding.issue;
    let hint = issue.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    format!(
        "{path}:{}:{}: {}: {} [{}]{hint}",
        issue.line, issue.column, finding.severity, issue.message, issue.code
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
