//! Which files Airflow would load: its walk, its ignore files, its safe mode.

use gix::bstr::BString;

use super::{Finding, Snapshot, Target};

/// A file that Airflow loads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DagFile {
    /// As Airflow's walk names it, below the DAGs folder; links are part of it.
    pub path: BString,
    /// Where its bytes are: the index of its entry in [`Snapshot::entries`].
    pub entry: usize,
    /// Whether it is a zip of DAG files.
    pub zip: bool,
}

/// What discovery finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Ordered by path.
    pub files: Vec<DagFile>,
    /// What would stop the walk, and what it wrongly leaves out.
    pub findings: Vec<Finding>,
}

/// Looks for DAG files as `target` does.
pub fn discover(_snapshot: &dyn Snapshot, _target: &Target) -> Discovery {
    Discovery::default()
}
