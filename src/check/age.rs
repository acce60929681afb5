//! Which findings are news to those who have the revision before: the same answer for reports, plans and the gate. Pure.

use std::collections::HashSet;

use gix::bstr::BString;

use super::verdict::{Baseline, Known};
use super::{Code, Finding, Severity};

/// How a finding stands to what a revision is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// There is nothing to compare with.
    Alone,
    /// It was not there before.
    New,
    /// It was there before.
    Old,
}

impl Age {
    /// In front of a severity, with a blank behind it; nothing where nothing is compared.
    pub fn adjective(self) -> &'static str {
        match self {
            Age::Alone => "",
            Age::New => "new ",
            Age::Old => "old ",
        }
    }

    /// Whether a finding of this severity is none that anybody has to act upon now. What stops Airflow always is.
    pub fn excuses(self, severity: Severity) -> bool {
        self == Age::Old && severity < Severity::Fatal
    }
}

/// The age of each finding over what was found `before`. An error is new if it would hold the revision back; `assumed` if nobody named
/// the Airflow. Everything else, which holds nothing back or always, is known again by its words: a line that moved is no news.
pub fn ages(found: &[Known], before: &[Known], assumed: bool) -> Vec<Age> {
    let baseline = if assumed { Baseline::of_assumed(before) } else { Baseline::of(before) };
    let errors: HashSet<&Finding> = baseline.new_errors(found).into_iter().collect();
    let words: HashSet<(&BString, Code, &str)> = before.iter().map(|(finding, _)| words(finding)).collect();
    let is_new = |finding: &Finding| match finding.severity {
        Severity::Error => errors.contains(finding),
        Severity::Warning | Severity::Fatal => !words.contains(&self::words(finding)),
    };
    found.iter().map(|(finding, _)| if is_new(finding) { Age::New } else { Age::Old }).collect()
}

fn words(finding: &Finding) -> (&BString, Code, &str) {
    (&finding.path, finding.issue.code, &finding.issue.message)
}

/// How many there are of each severity, the worst first, in words.
pub fn counts<'a>(found: impl Iterator<Item = (&'a Finding, Age)>) -> String {
    let found: Vec<(Severity, Age)> = found.map(|(finding, age)| (finding.severity, age)).collect();
    let mut parts = Vec::new();
    let words =
        [(Severity::Fatal, "fatal finding"), (Severity::Error, "error"), (Severity::Warning, "warning")];
    for (severity, word) in words {
        let count = |age: Age| found.iter().filter(|it| **it == (severity, age)).count();
        let named = |count: usize, age: Age| {
            format!("{count} {}{word}{}", age.adjective(), if count == 1 { "" } else { "s" })
        };
        match (count(Age::New), count(Age::Old)) {
            (0, 0) => {}
            (new, 0) => parts.push(named(new, Age::New)),
            (0, old) => parts.push(named(old, Age::Old)),
            (new, old) => parts.push(format!("{}, {old} old", named(new, Age::New))),
        }
        let alone = count(Age::Alone);
        parts.extend((alone > 0).then(|| named(alone, Age::Alone)));
    }
    if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::Issue;
    use super::*;

    fn found(path: &str, line: u32, code: Code) -> Known {
        (Finding::new(path, Issue::at(line, 1, code, "wrong")), None)
    }

    #[test]
    fn an_error_is_as_old_as_the_gate_has_it_and_a_warning_as_its_words() {
        let before = [
            found("a.py", 3, Code::PythonSyntax),
            found("a.py", 7, Code::NoDag),
            found("b", 0, Code::PathLoop),
        ];
        let now = [
            found("a.py", 9, Code::ConflictMarker),
            found("a.py", 8, Code::NoDag),
            found("b", 0, Code::PathLoop),
            found("c.py", 3, Code::PythonSyntax),
            found("c.py", 7, Code::NoDag),
        ];
        let ages = ages(&now, &before, false);
        assert_eq!(ages, [Age::Old, Age::Old, Age::Old, Age::New, Age::New]);
        let excused: Vec<bool> =
            now.iter().zip(&ages).map(|((finding, _), age)| age.excuses(finding.severity)).collect();
        assert_eq!(excused, [true, true, false, false, false]);
    }

    #[test]
    fn counts_say_what_is_new_where_something_is_compared() {
        let counted = |ages: &[(Code, Age)]| {
            let all: Vec<(Finding, Age)> =
                ages.iter().map(|(code, age)| (found("a.py", 1, *code).0, *age)).collect();
            counts(all.iter().map(|(finding, age)| (finding, *age)))
        };
        let (error, warning) = (Code::DagId, Code::NoDag);
        assert_eq!(counted(&[]), "nothing found");
        assert_eq!(counted(&[(error, Age::Alone), (error, Age::Alone)]), "2 errors");
        assert_eq!(counted(&[(error, Age::Old), (warning, Age::New)]), "1 old error, 1 new warning");
        let mixed = [(error, Age::New), (error, Age::Old), (error, Age::New), (Code::PathLoop, Age::Old)];
        assert_eq!(counted(&mixed), "1 old fatal finding, 2 new errors, 1 old");
    }
}
