//! The policy: what findings mean for a revision. Pure.

use std::collections::{HashMap, HashSet};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::snapshot::Content;
use super::{Code, Finding, Severity};

/// What is done about findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Fatal findings hold a revision back, errors if they are new.
    #[default]
    Gate,
    /// Fatal findings hold a revision back; everything else is only told.
    Report,
    /// Nothing is checked.
    Off,
}

/// What follows from a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Publish it.
    Pass,
    /// Hold it back; what is published stays.
    Reject {
        /// A word for the metrics: `fatal`, `error`, `command`, `shrink`, `rewind`.
        because: &'static str,
        /// One line for people.
        reason: String,
    },
}

impl Verdict {
    /// As reports spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Reject { .. } => "reject",
        }
    }
}

/// A finding, and the content that the file had in which it was.
pub type Known = (Finding, Option<Content>);

/// What is broken already in what readers have: errors that no longer hold anything back.
///
/// Lines move and messages change while people work on a broken file, so an error is known by its path and its kind. A file that
/// does not load is broken as a whole: no other error in it makes that worse. A broken file that is only renamed is known by its
/// content.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// How many of each kind, at each path.
    at: HashMap<(BString, Kind), usize>,
    /// Contents that had an error of this kind.
    of: HashSet<(Content, Kind)>,
    /// It is for another Airflow than the one that was assumed: what that one does not have works all the same.
    is_for_another: bool,
}

/// Whether another Airflow might take it.
fn hangs_on_airflow(code: Code) -> bool {
    matches!(code, Code::AirflowModule | Code::DagArgument)
}

/// Whether it takes something from a DAG of another file. Any other error is of its own file alone, and no news in one that did not
/// load: it may have been there all the time, behind what was just mended.
fn hurts_others(code: Code) -> bool {
    matches!(code, Code::DuplicateDagId | Code::Command)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The file as a whole cannot be loaded.
    DoesNotLoad,
    /// One thing in it.
    Single(Code),
}

impl Kind {
    fn of(code: Code) -> Kind {
        match code {
            Code::PythonSyntax
            | Code::PythonEncoding
            | Code::ConflictMarker
            | Code::LfsPointer
            | Code::RelativeImport
            | Code::LocalModule
            | Code::AirflowModule => Kind::DoesNotLoad,
            code => Kind::Single(code),
        }
    }
}

impl Baseline {
    /// Of what is published.
    pub fn of(known: &[Known]) -> Baseline {
        let mut baseline = Baseline::default();
        for (finding, content) in known {
            if finding.severity == Severity::Error {
                let kind = Kind::of(finding.issue.code);
                baseline.of.extend(content.map(|content| (content, kind)));
                *baseline.at.entry((finding.path.clone(), kind)).or_default() += 1;
            }
        }
        baseline
    }

    /// Of what is published, when nobody said which Airflow reads it: what it uses and the newest has not shows that theirs is another.
    pub fn of_assumed(known: &[Known]) -> Baseline {
        let hangs = |(finding, _): &Known| {
            finding.severity == Severity::Error && hangs_on_airflow(finding.issue.code)
        };
        Baseline { is_for_another: known.iter().any(hangs), ..Baseline::of(known) }
    }

    /// The errors that were not there before.
    pub fn new_errors<'a>(&self, found: impl IntoIterator<Item = &'a Known>) -> Vec<&'a Finding> {
        let mut seen: HashMap<(&BString, Kind), usize> = HashMap::new();
        let is_new = |(finding, content): &&'a Known| {
            let kind = Kind::of(finding.issue.code);
            let known = self.at.get(&(finding.path.clone(), kind)).copied().unwrap_or(0);
            let count = seen.entry((&finding.path, kind)).or_default();
            *count += 1;
            let as_before = match kind {
                Kind::DoesNotLoad => known > 0,
                Kind::Single(_) => *count <= known,
            };
            let works = self.is_for_another && hangs_on_airflow(finding.issue.code);
            let broken = (finding.path.clone(), Kind::DoesNotLoad);
            let uncovered = !hurts_others(finding.issue.code) && self.at.contains_key(&broken);
            !as_before
                && !works
                && !uncovered
                && !content.is_some_and(|content| self.of.contains(&(content, kind)))
        };
        let errors = found.into_iter().filter(|(finding, _)| finding.severity == Severity::Error);
        errors.filter(is_new).map(|(finding, _)| finding).collect()
    }
}

/// What follows from findings. `baseline` is asked for when something depends on it; without one, errors hold nothing back.
pub fn judge(policy: Policy, found: &[Known], baseline: impl FnOnce() -> Option<Baseline>) -> Verdict {
    if policy == Policy::Off {
        return Verdict::Pass;
    }
    let fatal: Vec<&Finding> =
        found.iter().map(|(finding, _)| finding).filter(|it| it.severity == Severity::Fatal).collect();
    if let Some(reason) = sentence(&fatal, "would stop Airflow's parsing") {
        return Verdict::Reject { because: "fatal", reason };
    }
    if policy == Policy::Report || found.iter().all(|(finding, _)| finding.severity < Severity::Error) {
        return Verdict::Pass;
    }
    let Some(baseline) = baseline() else { return Verdict::Pass };
    match sentence(&baseline.new_errors(found), "new") {
        Some(reason) => Verdict::Reject { because: "error", reason },
        None => Verdict::Pass,
    }
}

/// What a commit message says on a line of its own when so many DAGs are meant to go.
const ALLOW_SHRINK: &str = "dagsync-allow: shrink";

/// Whether a commit message says that so many DAGs are meant to go.
pub fn is_shrink_meant(message: &BStr) -> bool {
    message.lines().any(|line| line.trim() == ALLOW_SHRINK.as_bytes())
}

/// Whether a revision that takes `gone` of `had` DAG files away is one that somebody meant. `most` is in percent. `missing` is the
/// DAGs folder if that is gone as a whole.
pub fn shrink(had: usize, gone: usize, missing: Option<&BStr>, most: u8, message: &BStr) -> Verdict {
    let too_many = most < 100 && gone > 0 && (gone == had || gone * 100 > had * usize::from(most));
    if !too_many || is_shrink_meant(message) {
        return Verdict::Pass;
    }
    let missing = missing.map(|folder| format!("there is no folder `{folder}`: ")).unwrap_or_default();
    let reason = format!(
        "{missing}{gone} of {had} DAG files would go, more than {most} %: say `{ALLOW_SHRINK}` in the commit message, on a line of its own, \
         if that is meant"
    );
    Verdict::Reject { because: "shrink", reason }
}

/// The first finding, and how many there are besides.
fn sentence(findings: &[&Finding], what: &str) -> Option<String> {
    let first = findings.first()?;
    let line = if first.issue.line > 0 { format!(":{}", first.issue.line) } else { String::new() };
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!("{}{line}: {} [{}] ({what}{more})", first.path, first.issue.message, first.issue.code))
}

#[cfg(test)]
mod tests {
    use super::super::Issue;
    use super::*;

    fn found(path: &str, line: u32, code: Code) -> Known {
        (Finding::new(path, Issue::at(line, 1, code, format!("wrong in line {line}"))), None)
    }

    fn verdict(policy: Policy, new: &[Known], old: &[Known]) -> Verdict {
        judge(policy, new, || Some(Baseline::of(old)))
    }

    fn rejected(new: &[Known], old: &[Known]) -> bool {
        matches!(verdict(Policy::Gate, new, old), Verdict::Reject { because: "error", .. })
    }

    #[test]
    fn a_fatal_finding_is_never_published_unless_nothing_is_checked() {
        let loops = [found("a", 0, Code::PathLoop)];
        for policy in [Policy::Gate, Policy::Report] {
            let verdict = verdict(policy, &loops, &loops);
            assert!(matches!(verdict, Verdict::Reject { because: "fatal", .. }), "{verdict:?}");
        }
        assert_eq!(verdict(Policy::Off, &loops, &[]), Verdict::Pass);
    }

    #[test]
    fn errors_hold_when_they_are_new_and_only_at_the_gate() {
        let syntax = [found("a.py", 3, Code::PythonSyntax)];
        assert!(rejected(&syntax, &[]));
        assert!(!rejected(&syntax, &syntax));
        assert!(!rejected(&[found("a.py", 0, Code::NoDag)], &[]));
        assert_eq!(verdict(Policy::Report, &syntax, &[]), Verdict::Pass);
    }

    #[test]
    fn a_broken_file_may_be_broken_in_another_way_but_not_another_file() {
        let old = [found("a.py", 3, Code::PythonSyntax)];
        assert!(!rejected(
            &[found("a.py", 9, Code::ConflictMarker), found("a.py", 10, Code::PythonSyntax)],
            &old
        ));
        assert!(rejected(&[found("b.py", 3, Code::PythonSyntax)], &old));
        assert!(rejected(&[found("a.py", 3, Code::DuplicateDagId)], &old), "the DAG of another file works");
    }

    #[test]
    fn what_a_mended_mistake_uncovers_is_no_news() {
        let old = [found("a.py", 3, Code::ConflictMarker)];
        for code in [Code::DagArgument, Code::DagId, Code::DuplicateTaskId, Code::TaskCycle, Code::Schedule] {
            assert!(!rejected(&[found("a.py", 4, code)], &old), "{code}");
            assert!(rejected(&[found("b.py", 4, code)], &old), "{code}");
            assert!(rejected(&[found("a.py", 4, Code::PythonSyntax)], &[found("a.py", 4, code)]), "{code}");
        }
    }

    #[test]
    fn one_more_of_the_same_kind_is_new() {
        let one = [found("a.py", 3, Code::DuplicateTaskId)];
        let two = [found("a.py", 3, Code::DuplicateTaskId), found("a.py", 8, Code::DuplicateTaskId)];
        assert!(rejected(&two, &one));
        assert!(!rejected(&one, &two));
    }

    #[test]
    fn a_broken_file_that_is_renamed_is_known_by_its_content() {
        let with = |path, content| (found(path, 3, Code::PythonSyntax).0, Some([content; 20]));
        assert!(!rejected(&[with("b.py", 1)], &[with("a.py", 1)]));
        assert!(rejected(&[with("b.py", 2)], &[with("a.py", 1)]));
    }

    #[test]
    fn what_readers_have_shows_that_nobody_named_their_airflow() {
        let module = |path: &str, module: &str| -> Known {
            let message = format!("Airflow 3.3 has no `{module}`");
            (Finding::new(path, Issue::at(1, 1, Code::AirflowModule, message)), None)
        };
        let old = [module("a.py", "airflow.hooks.http_hook")];
        let new = [module("b.py", "airflow.contrib"), found("b.py", 1, Code::DagArgument)];
        let held = |new: &[Known], old: Baseline| judge(Policy::Gate, new, || Some(old)) != Verdict::Pass;
        assert!(!held(&new, Baseline::of_assumed(&old)));
        assert!(held(&new, Baseline::of(&old)), "it was named");
        assert!(held(&new, Baseline::of_assumed(&[found("a.py", 1, Code::DagId)])), "nothing shows it");
        assert!(held(&[found("b.py", 1, Code::DagId)], Baseline::of_assumed(&old)), "in every Airflow");
        let elsewhere: Vec<Known> =
            old.iter().map(|(it, content)| (it.clone().elsewhere(), *content)).collect();
        assert!(held(&new, Baseline::of_assumed(&elsewhere)), "nobody loads it");
    }

    #[test]
    fn the_baseline_is_asked_for_only_when_something_depends_on_it() {
        let not_asked = || -> Option<Baseline> { panic!("asked") };
        assert_eq!(judge(Policy::Gate, &[found("a.py", 1, Code::NoDag)], not_asked), Verdict::Pass);
        assert_eq!(judge(Policy::Report, &[found("a.py", 1, Code::DagId)], not_asked), Verdict::Pass);
    }

    #[test]
    fn losing_most_dags_has_to_be_meant() {
        let held =
            |had, gone, most, message: &str| shrink(had, gone, None, most, message.into()) != Verdict::Pass;
        assert!(!held(10, 5, 50, "") && held(10, 6, 50, ""));
        assert!(held(1, 1, 99, "") && !held(1, 1, 100, "") && !held(0, 0, 0, "") && !held(9, 0, 0, ""));
        assert!(!held(10, 10, 50, "Retire everything\n\n  dagsync-allow: shrink \n"));
        assert!(held(10, 10, 50, "Not dagsync-allow: shrink"));
    }

    #[test]
    fn the_reason_names_the_first_and_counts_the_rest() {
        let two = [found("a.py", 3, Code::DagId), found("b.py", 0, Code::DagId)];
        let Verdict::Reject { reason, .. } = verdict(Policy::Gate, &two, &[]) else { panic!("passed") };
        assert_eq!(reason, "a.py:3: wrong in line 3 [dag-id] (new, and 1 more)");
    }
}
