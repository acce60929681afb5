//! What a plan tells of a revision: noted where the gate is shown it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::check::checker::Looked;
use crate::check::difference::{Change, Outline};
use crate::check::report::Report;
use crate::check::verdict::Baseline;
use crate::check::{Checker, Finding, Gate, Published, Revision, Settings, Severity, Unreadable};

/// What is in a revision, over what is published.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Files of the DAGs folder.
    pub(super) files: usize,
    /// Those that Airflow loads.
    pub(super) dag_files: usize,
    /// How many DAGs have ids that are known.
    pub(super) dags: usize,
    /// Which DAGs differ.
    pub(super) changes: Vec<Change>,
    /// What is found, and whether what is published has it not.
    pub(super) findings: Vec<(Finding, bool)>,
    /// What is published is there, and cannot be read any more: all seems new.
    pub(super) is_blind: bool,
}

impl Seen {
    /// How many findings of a severity are new, or are not.
    pub(super) fn count(&self, severity: Severity, new: bool) -> usize {
        let is = |(finding, is_new): &&(Finding, bool)| finding.severity == severity && *is_new == new;
        self.findings.iter().filter(is).count()
    }
}

/// The gate, with a look of its own at the first revision that it is asked about.
pub(super) struct Noting {
    checker: Checker,
    /// Nobody named the Airflow: as the gate has it then.
    assumed: bool,
    noted: Noted,
}

/// Where it is noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted(Arc<Mutex<Option<Seen>>>);

impl Noted {
    pub(super) fn take(&self) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Noting {
    pub(super) fn new(settings: Settings) -> (Noting, Noted) {
        let noted = Noted::default();
        let assumed = settings.assumed.airflow;
        (Noting { checker: Checker::new(settings), assumed, noted: noted.clone() }, noted)
    }

    fn see(&mut self, revision: Revision<'_>, published: Option<Published<'_>>) -> Result<Seen, Unreadable> {
        let checker = &mut self.checker;
        let mut before: Option<(Outline, Looked)> = None;
        if let Some(published) = published {
            (published.files)(&mut |files| {
                let seen =
                    checker.outline(files).and_then(|outline| Ok((outline, checker.look(files, None)?)));
                before = seen.ok();
                before.is_some()
            });
        }
        let is_blind = published.is_some() && before.is_none();
        let (was, had) = before.unwrap_or_default();
        let now = checker.outline(revision.files)?;
        let found = checker.look(revision.files, (!had.is_empty()).then_some(&had))?.found;
        let baseline = if self.assumed { Baseline::of_assumed(&had.found) } else { Baseline::of(&had.found) };
        let errors = baseline.new_errors(&found);
        let is_new = |finding: &Finding| match finding.severity {
            Severity::Error => errors.contains(&finding),
            // They hold nothing back, or always: a line that moved is no news.
            _ => !had.found.iter().any(|(old, _)| {
                (&old.path, old.issue.code, &old.issue.message)
                    == (&finding.path, finding.issue.code, &finding.issue.message)
            }),
        };
        let findings = found.iter().map(|(finding, _)| (finding.clone(), is_new(finding))).collect();
        Ok(Seen {
            files: revision.files.inside().len(),
            dag_files: now.files(),
            dags: now.dags(),
            changes: now.since(&was),
            findings,
            is_blind,
        })
    }
}

impl Gate for Noting {
    fn judge(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable> {
        let report = self.checker.check(revision, published)?;
        let is_first = self.noted.0.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if is_first {
            let seen = self.see(revision, published)?;
            *self.noted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Ok(report)
    }
}
