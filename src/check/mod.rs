//! Is this revision fit to publish?
//!
//! The pass asks a [`Gate`] about every new revision, after its objects are here and before anything of it is on disk; the command
//! `check` asks the same of a folder. Knows no disk and no remote: what it sees of a revision is a [`Snapshot`], paths and bytes,
//! and nothing of it is ever run.
//!
//! - [`target`]: which Airflow, on which Python.
//! - [`discover`]: which files that Airflow would load.
//! - [`archive`]: what is wrong inside of a zip of DAG files.
//! - [`python`]: whether Python can compile them, and their syntax trees.
//! - [`dag`]: what a DAG file says, as facts, and what is wrong with it.
//! - [`finding`]: the table of all that can be found; [`docs`] makes a page of it.
//! - [`checker`]: the check itself; `contents` is what it remembers of files, [`looked`] what it keeps of a revision.
//! - `doubt`: what hangs on something that nobody said.
//! - [`verdict`]: the policy; [`age`]: which findings are news.
//! - [`difference`]: which DAGs two revisions differ in.
//! - [`command`]: the operator's own check, which the agent runs.
//! - [`report`]: what is written about it.

pub mod age;
pub mod archive;
pub mod checker;
pub mod command;
mod contents;
pub mod dag;
pub mod difference;
pub mod discover;
pub mod docs;
mod doubt;
pub mod finding;
pub mod looked;
pub mod paths;
pub mod python;
pub mod report;
pub mod snapshot;
pub mod target;
pub mod verdict;

pub use age::Age;
pub use checker::Checker;
pub use command::OwnCheck;
pub use finding::{Code, Finding, Issue, Severity};
pub use snapshot::{Snapshot, Unreadable};
pub use target::{Assumed, Target};

use gix::bstr::{BStr, BString};

use report::Report;
use verdict::{Policy, Verdict};

/// What a source is checked for, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is done about findings.
    pub policy: Policy,
    /// What a revision is checked for.
    pub target: Target,
    /// What of that nobody said.
    pub assumed: Assumed,
    /// The DAGs folder below the repository's top, without a slash at its end; the top is empty.
    pub folder: BString,
    /// A revision that removes more of the DAG files, in percent, is held; 100 = none is.
    pub max_removed: u8,
    /// What is done when a branch moves backward.
    pub on_rewind: OnRewind,
    /// What is asked besides, when a revision is on disk and not yet published.
    pub own: Option<OwnCheck>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            policy: Policy::Gate,
            target: Target::default(),
            assumed: Assumed::default(),
            folder: BString::default(),
            max_removed: 50,
            on_rewind: OnRewind::Warn,
            own: None,
        }
    }
}

/// What is done when a branch moves backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRewind {
    /// Follow.
    Allow,
    /// Follow, and say so.
    Warn,
    /// Stay.
    Block,
}

/// A revision that somebody wants published.
#[derive(Clone, Copy)]
pub struct Revision<'a> {
    /// Its id, in hex.
    pub commit: &'a str,
    /// What its author wrote about it.
    pub message: &'a BStr,
    /// Its files.
    pub files: &'a dyn Snapshot,
}

/// Calls its argument with the files of a revision, until one answer is that they could be read.
pub type Files<'a> = dyn Fn(&mut Looking<'_>) + 'a;

/// What looks at the files of a revision. Returns whether they could be read.
pub type Looking<'a> = dyn FnMut(&dyn Snapshot) -> bool + 'a;

/// What readers have.
#[derive(Clone, Copy)]
pub struct Published<'a> {
    /// Its id, in hex.
    pub commit: &'a str,
    /// Calls its argument with its files, or not at all if they are not known any more. Costs a walk.
    pub files: &'a Files<'a>,
}

/// Decides about revisions. Lives in the worker's thread.
pub trait Gate: Send {
    /// Looks at a revision that is to take the place of what is published, if anything is.
    ///
    /// # Errors
    /// When it cannot be read, which says nothing of it.
    fn judge(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable>;
}

/// Lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    fn judge(
        &mut self,
        revision: Revision<'_>,
        _published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable> {
        Ok(Report {
            target: Target::default(),
            files: revision.files.inside().len(),
            dag_files: 0,
            findings: Vec::new(),
            ages: None,
            verdict: Verdict::Pass,
        })
    }
}
