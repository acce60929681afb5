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
//! - [`verdict`]: the policy.
//! - [`report`]: what is written about it.

pub mod dag;
pub mod discover;
pub mod finding;
pub mod python;
pub mod report;
pub mod snapshot;
pub mod target;
pub mod verdict;

pub use finding::{Code, Finding, Issue, Severity};
pub use snapshot::Snapshot;
pub use target::Target;

use gix::bstr::BStr;

/// A revision as a gate sees it.
pub trait Revision {
    /// The commit's id, in hex.
    fn commit(&self) -> String;
    /// Every file and link, in the order of git's index.
    fn paths(&self) -> Box<dyn Iterator<Item = &BStr> + '_>;
    /// The bytes of a file as they will be on disk, or `None` if there is none at that path.
    fn read(&self, path: &BStr) -> Option<Vec<u8>>;
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Publish it.
    Pass,
    /// Hold it back; what is published stays.
    Reject {
        /// One line for people.
        reason: String,
    },
}

/// Decides about revisions. Lives in the worker's thread.
pub trait Gate: Send {
    /// Looks at a revision.
    fn judge(&mut self, revision: &dyn Revision) -> Verdict;
}

/// Lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    fn judge(&mut self, _revision: &dyn Revision) -> Verdict {
        Verdict::Pass
    }
}
