//! Which files Airflow would load: its walk, its ignore files, its safe mode; and what would stop the walk.
//!
//! A wrong answer here is a DAG that nobody checks, or a commit held back for nothing, so this does what each Airflow really does,
//! oddities included. It reads what is in a snapshot and nothing else, compiles no pattern twice, and ends in bounded time whatever
//! is in the tree. The top of the snapshot is the DAGs folder.
//!
//! - `folders`: where links lead, as the kernel says.
//! - `walk`: the walk, and where it raises.
//! - `ignore`: the rules of ignore files in each version; `glob` and `regexp` are their patterns, `bounds` what they may cost.
//! - `content`: zips and safe mode, and the [`Memory`] of both.
//!
//! What differs between versions of Airflow, from their sources:
//!
//! | | |
//! |---|---|
//! | to 2.7.1 | a name like `..py` is no Python file; later it is, until Python 3.14 |
//! | 2.x | regular expressions are RE2's, and a name that is not UTF-8 raises where there is one; comments are cut by ASCII's white space; safe mode does not know assets |
//! | 3.0 | regular expressions are those of Python |
//! | to 3.0 | globs fit from the first character on; a line is used once |
//! | 3.1.0 | the first glob that fits decides, and no folder's path ends in a slash |
//! | 3.1.1 | the last glob decides again |
//! | 3.1.6 | every folder's path ends in a slash |
//! | 3.2 | a glob that ends in a slash leaves files alone |

mod bounds;
mod content;
mod folders;
mod glob;
mod ignore;
mod regexp;
mod text;
mod walk;

pub use content::{Look, Memory};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::snapshot::Unreadable;
use super::target::Airflow;
use super::{Code, Finding, Issue, Snapshot, Target};

/// A file that Airflow loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagFile {
    through: Through,
    entry: u32,
    zip: bool,
}

/// How a walk came to a file, if that is not where its bytes are: through a link. Nearly always it is, so this is small.
type Through = Option<Box<BString>>;

/// So many entries no revision has.
fn short(entry: usize) -> u32 {
    u32::try_from(entry).unwrap_or(u32::MAX)
}

impl DagFile {
    /// As Airflow's walk names it, below the DAGs folder; links are part of it.
    pub fn path<'a>(&'a self, snapshot: &'a dyn Snapshot) -> &'a BStr {
        walked(&self.through, self.entry(), snapshot)
    }

    /// Where its bytes are: the index of its entry.
    pub fn entry(&self) -> usize {
        self.entry as usize
    }

    /// Whether it is a zip of DAG files.
    pub fn is_zip(&self) -> bool {
        self.zip
    }
}

/// The path of a walk: that of the entry, unless a link leads there.
fn walked<'a>(through: &'a Through, entry: usize, snapshot: &'a dyn Snapshot) -> &'a BStr {
    let entry = || snapshot.entry(entry).path;
    through.as_deref().map(|path| path.as_bstr()).or_else(|| snapshot.below(entry())).unwrap_or_default()
}

/// What discovery finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Ordered by path.
    pub files: Vec<DagFile>,
    /// What would stop the walk. Ordered by path.
    pub findings: Vec<Finding>,
    /// For each `path-loop`: its path, and each folder to which it leads a second time.
    pub loops: Vec<(BString, BString)>,
    /// There is no DAGs folder.
    pub is_missing: bool,
    /// Some folders were not looked into, as their ignore files cost too much: there may be more files.
    pub is_partial: bool,
}

/// Looks for DAG files as `target` does.
///
/// # Errors
/// When something of the snapshot cannot be read.
pub fn discover(snapshot: &dyn Snapshot, target: &Target) -> Result<Discovery, Unreadable> {
    discover_with(snapshot, target, &mut Memory::default())
}

/// The same, without reading again what was read for the revision before.
///
/// # Errors
/// As of [`discover`].
pub fn discover_with(
    snapshot: &dyn Snapshot,
    target: &Target,
    memory: &mut Memory,
) -> Result<Discovery, Unreadable> {
    let walked = walk::walk(snapshot, target, memory);
    if walked.is_err() {
        memory.tidy_patterns();
    }
    let walk::Found { files, mut findings, loops, is_missing, is_partial } = walked?;
    let mut dags = Vec::new();
    for (through, entry) in files {
        snapshot.stopped()?;
        dags.extend(dag_file(snapshot, target, through, entry, memory)?);
    }
    memory.forget_places();
    for file in dags.iter().filter(|file| file.path(snapshot).to_str().is_err()) {
        let message =
            "the path of a DAG file is not UTF-8; Airflow cannot store it, and stops looking for DAGs";
        let issue = Issue::of_file(Code::NameEncoding, message)
            .hint("rename it, or ignore it in an `.airflowignore`");
        findings.push(Finding::new(snapshot.whole(file.path(snapshot)), issue));
    }
    dags.sort_by(|one, other| one.path(snapshot).cmp(other.path(snapshot)));
    findings.sort();
    findings.dedup();
    Ok(Discovery { files: dags, findings, loops, is_missing, is_partial })
}

/// Whether a target takes bytes for those of a file with DAGs, which it then loads.
pub(super) fn may_have_dags(bytes: &[u8], target: &Target) -> bool {
    !target.safe_mode || content::Look::at(bytes).may_have_dags(target)
}

/// Whether Airflow loads a file that its walk came by.
fn dag_file(
    snapshot: &dyn Snapshot,
    target: &Target,
    through: Through,
    entry: u32,
    memory: &mut Memory,
) -> Result<Option<DagFile>, Unreadable> {
    let at = entry as usize;
    let path = walked(&through, at, snapshot);
    let name = path.rsplit_str("/").next().unwrap_or_default();
    let is_python = is_python(name, target);
    if is_python && !target.safe_mode {
        return Ok(Some(DagFile { through, entry, zip: false }));
    }
    let look = memory.look(snapshot, at)?;
    let Some(is_zip) = look.is_zip(target) else { return Ok(None) };
    let is_loaded = is_zip || (is_python && look.may_have_dags(target));
    // What ends in `.py` is loaded as a module whatever it is.
    let zip = is_zip && !path.ends_with(b".py");
    Ok(is_loaded.then_some(DagFile { through, entry, zip }))
}

/// Whether a name has the ending of Python files. A name that begins with a dot has an ending from its second dot on; of several
/// dots before the ending, the versions think differently.
fn is_python(name: &[u8], target: &Target) -> bool {
    let Some(stem) = name.strip_suffix(b".py") else { return false };
    let by_splitext = target.python.minor >= 14 || target.airflow < Airflow { major: 2, minor: 7, patch: 2 };
    if by_splitext { stem.iter().any(|byte| *byte != b'.') } else { !stem.is_empty() }
}
