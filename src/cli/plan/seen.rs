//! What a plan tells of a revision: noted where the gate is shown it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::check::difference::{Change, Outline};
use crate::check::report::Report;
use crate::check::{Age, Checker, Finding, Gate, Published, Revision, Settings, Unreadable};

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
    /// What is found; where nothing can be compared, all is new.
    pub(super) findings: Vec<(Finding, Age)>,
    /// What is published is there, and cannot be read any more: all seems new.
    pub(super) is_blind: bool,
}

/// The gate, with a look of its own at the first revision that it is asked about.
pub(super) struct Noting {
    checker: Checker,
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
        (Noting { checker: Checker::new(settings), noted: noted.clone() }, noted)
    }

    fn see(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
        report: &Report,
    ) -> Result<Seen, Unreadable> {
        let checker = &mut self.checker;
        let mut before: Option<Outline> = None;
        if let Some(published) = published {
            (published.files)(&mut |files| {
                before = checker.outline(files).ok();
                before.is_some()
            });
        }
        let is_blind = published.is_some() && before.is_none();
        let now = checker.outline(revision.files)?;
        let age = |age| if age == Age::Alone { Age::New } else { age };
        Ok(Seen {
            files: report.files,
            dag_files: now.files(),
            dags: now.dags(),
            changes: now.since(&before.unwrap_or_default()),
            findings: report.aged().map(|(finding, it)| (finding.clone(), age(it))).collect(),
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
            let seen = self.see(revision, published, &report)?;
            *self.noted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Ok(report)
    }
}
