//! Is this revision fit to publish?
//!
//! The pass asks a [`Gate`] about every new revision, after its objects are here and before anything of it is on disk; the command
//! `check` asks the same of a folder. Knows no disk and no remote: what it sees of a revision is a [`Snapshot`], paths and bytes,
//! and nothing of it is ever run.
//!
//! - [`target`]: which Airflow, on which Python.
//! - [`discover`]: which files that Airflow would load.
//! - [`python`]: whether Python can compile them, and their syntax trees.
//! - [`dag`]: what a DAG file says, as facts, and what is wrong with it.
//! - [`finding`]: the table of all that can be found.
//! - [`checker`]: the check itself.
//! - [`verdict`]: the policy.
//! - [`report`]: what is written about it.

pub mod checker;
pub mod dag;
pub mod discover;
pub mod finding;
pub mod python;
pub mod report;
pub mod snapshot;
pub mod target;
pub mod verdict;

pub use checker::Checker;
pub use finding::{Code, Finding, Issue, Severity};
pub use snapshot::Snapshot;
pub use target::Target;

use report::Report;
use verdict::Verdict;

/// What readers have, if it can be had: walking it is for the gate to ask for.
pub type Published<'a> = dyn Fn(&mut dyn FnMut(&dyn Snapshot)) + 'a;

/// Decides about revisions. Lives in the worker's thread.
pub trait Gate: Send {
    /// Looks at a revision. `published` calls its argument with what readers have, or not at all if nothing is published.
    fn judge(&mut self, revision: &dyn Snapshot, published: &Published<'_>) -> Report;
}

/// Lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    fn judge(&mut self, revision: &dyn Snapshot, _published: &Published<'_>) -> Report {
        Report {
            target: Target::default(),
            files: revision.entries().len(),
            dag_files: 0,
            findings: Vec::new(),
            verdict: Verdict::Pass,
        }
    }
}
