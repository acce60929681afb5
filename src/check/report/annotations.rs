//! For the two big hosts: notes beside the lines of a merge request.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::fingerprint::fingerprints;
use super::{Place, Report};
use crate::check::{Age, Finding, Severity};
use crate::log::escape;

/// Workflow commands, one a line:
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
pub(super) fn github(report: &Report, place: &Place<'_>) -> String {
    let mut out = String::new();
    for (finding, age) in report.aged() {
        let issue = &finding.issue;
        let level = match finding.severity {
            // Of no concern to whoever changes something else, but there to be seen.
            severity if age.excuses(severity) => "notice",
            Severity::Warning => "warning",
            Severity::Error | Severity::Fatal => "error",
        };
        let mut properties = format!("file={}", property(&place.path(finding)));
        for (name, number) in [("line", issue.line), ("col", issue.column)] {
            if number > 0 {
                let _ = write!(properties, ",{name}={number}");
            }
        }
        let title = property(&format!("dagsync {}{}", mark(age), issue.code));
        let _ = writeln!(out, "::{level} {properties},title={title}::{}", data(&with_hint(finding)));
    }
    out
}

/// In front of a code: what is new needs no word there.
fn mark(age: Age) -> &'static str {
    if age == Age::Old { age.adjective() } else { "" }
}

fn with_hint(finding: &Finding) -> String {
    match &finding.issue.hint {
        Some(hint) => format!("{} (hint: {hint})", finding.issue.message),
        None => finding.issue.message.clone(),
    }
}

fn data(text: &str) -> String {
    let encoded = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    escape(&encoded).into_owned()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A Code Quality report: <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>.
pub(super) fn gitlab(report: &Report, place: &Place<'_>) -> Json {
    let one = |((finding, age), fingerprint): ((&Finding, Age), String)| {
        let path = place.path(finding);
        json!({
            "description": with_hint(finding),
            "check_name": finding.issue.code.name(),
            "fingerprint": fingerprint,
            "severity": match finding.severity {
                severity if age.excuses(severity) => "info",
                Severity::Warning => "minor",
                Severity::Error => "critical",
                Severity::Fatal => "blocker",
            },
            "location": {"path": path, "lines": {"begin": finding.issue.line.max(1)}},
        })
    };
    Json::Array(report.aged().zip(fingerprints(report, place)).map(one).collect())
}
