//! What a check found, for people and for the programs that show it in a merge request.
//!
//! A renderer gets the report and a way to read a line of a file; it writes nothing itself.

mod annotations;
mod fingerprint;
mod sarif;
mod source;
mod text;
mod xml;

use gix::bstr::{BStr, ByteSlice as _};
use serde_json::{Value as Json, json};

use super::verdict::Verdict;
use super::{Age, Finding, Severity, Target};

pub use text::Style;

/// What a check of a revision or a folder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it was checked for.
    pub target: Target,
    /// Files and links that were there.
    pub files: usize,
    /// Those that Airflow loads.
    pub dag_files: usize,
    /// Ordered by path and place.
    pub findings: Vec<Finding>,
    /// The age of each of them, if the revision was compared with another one.
    pub ages: Option<Vec<Age>>,
    /// What follows.
    pub verdict: Verdict,
}

impl Report {
    /// The findings, each with its age.
    pub fn aged(&self) -> impl Iterator<Item = (&Finding, Age)> {
        let age = |at: usize| self.ages.as_ref().and_then(|ages| ages.get(at)).copied();
        self.findings.iter().enumerate().map(move |(at, it)| (it, age(at).unwrap_or(Age::Alone)))
    }

    /// Whether anything that is worse than a warning was found, whatever the policy makes of it: what a command's exit code says.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity > Severity::Warning)
    }
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people, like a compiler's.
    Text,
    /// Ours.
    Json,
    /// SARIF 2.1.0: code scanning.
    Sarif,
    /// JUnit's XML: test reports of most CI systems.
    Junit,
    /// Workflow commands of GitHub Actions.
    Github,
    /// GitLab's Code Quality.
    Gitlab,
}

impl Format {
    /// Names and values.
    pub const ALL: &[(&str, Format)] = &[
        ("text", Format::Text),
        ("json", Format::Json),
        ("sarif", Format::Sarif),
        ("junit", Format::Junit),
        ("github", Format::Github),
        ("gitlab", Format::Gitlab),
    ];

    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

/// Where a report is about: readers of it look for files below their repository's top.
pub struct Place<'a> {
    /// The folder below the top of the repository from which paths are seen; the top is empty.
    pub seen_from: &'a BStr,
    /// What the reader calls that folder, in front of paths below it; empty if it is where the reader is.
    pub named: &'a BStr,
    /// The bytes of a file, for the line a finding is about.
    pub read: &'a dyn Fn(&BStr) -> Option<Vec<u8>>,
    /// How text looks.
    pub style: Style,
}

impl Place<'_> {
    fn path(&self, finding: &Finding) -> String {
        let path = self.below(finding);
        let (mut named, mut rest) = (self.named.as_bstr(), path.as_str());
        // What leads out of the folder leaves its name.
        while let Some(outer) = rest.strip_prefix("../").filter(|_| !named.is_empty()) {
            rest = outer;
            named = named.rfind_byte(b'/').map_or("".into(), |at| named[..at].as_bstr());
        }
        if named.is_empty() { rest.to_owned() } else { format!("{named}/{rest}") }
    }

    fn below(&self, finding: &Finding) -> String {
        let mut path = finding.path.as_slice();
        if self.seen_from.is_empty() {
            return path.as_bstr().to_string();
        }
        let mut up = String::new();
        let mut folders = self.seen_from.split(|byte| *byte == b'/');
        // What both have is left out; then up, and down again.
        for folder in folders.by_ref() {
            match path.strip_prefix(folder).and_then(|rest| rest.strip_prefix(b"/")) {
                Some(rest) => path = rest,
                None => {
                    up += "../";
                    break;
                }
            }
        }
        folders.for_each(|_| up += "../");
        format!("{up}{}", path.as_bstr())
    }
}

/// Writes a report. Ends with a newline unless it is empty.
pub fn render(report: &Report, format: Format, place: &Place<'_>) -> String {
    match format {
        Format::Text => text::render(report, place),
        Format::Json => pretty(&ours(report, place)),
        Format::Sarif => pretty(&sarif::render(report, place)),
        Format::Junit => xml::render(report, place),
        Format::Github => annotations::github(report, place),
        Format::Gitlab => pretty(&annotations::gitlab(report, place)),
    }
}

fn pretty(value: &Json) -> String {
    format!("{value:#}\n")
}

/// A finding as our JSON has it, with its path as its readers see it.
pub fn finding(path: String, finding: &Finding, age: Age) -> Json {
    json!({
        "path": path,
        "line": finding.issue.line,
        "column": finding.issue.column,
        "severity": finding.severity.name(),
        "code": finding.issue.code.name(),
        "message": finding.issue.message,
        "hint": finding.issue.hint,
        "new": age != Age::Old,
    })
}

/// The shape is a contract: `version` changes when a reader of the old one would go wrong.
fn ours(report: &Report, place: &Place<'_>) -> Json {
    let finding = |(it, age): (&Finding, Age)| finding(place.path(it), it, age);
    json!({
        "version": 1,
        "python": report.target.python.to_string(),
        "airflow": report.target.airflow.to_string(),
        "files": report.files,
        "dag_files": report.dag_files,
        "findings": report.aged().map(finding).collect::<Vec<_>>(),
        "verdict": report.verdict.name(),
    })
}

#[cfg(test)]
mod tests;
