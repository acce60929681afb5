//! Somebody's work tree on this machine, for `dagsync check`: what git tracks in it, and what its revisions are.
//!
//! Only read. Of its configuration nothing runs, and nothing of the user's or the machine's is read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

use super::error::Error;
use super::store::{Objects, bounded};

/// A work tree.
pub struct WorkTree {
    repo: gix::Repository,
    top: PathBuf,
}

impl WorkTree {
    /// The one that a folder is in, if it is in one.
    pub fn around(folder: &Path) -> Option<WorkTree> {
        let (found, _) = gix::discover::upwards(folder).ok()?;
        let (git_dir, work_dir) = found.into_repository_and_work_tree_directories();
        let top = std::fs::canonicalize(work_dir?).ok()?;
        let options = gix::open::Options::isolated().with(gix::sec::Trust::Full).bail_if_untrusted(false);
        let repo = options.open(git_dir).ok()?.to_thread_local();
        Some(WorkTree { repo, top })
    }

    /// Its top folder, without links.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The paths that git tracks, from its index, below the top, with whether they are links.
    pub fn tracked(&self) -> Result<Vec<(PathBuf, bool)>, Error> {
        let index = self.repo.index_or_empty().map_err(|err| self.error(&err))?;
        let path = |entry: &gix::index::Entry| {
            let is_link = entry.mode == gix::index::entry::Mode::SYMLINK;
            (Path::new(OsStr::from_bytes(entry.path(&index))).to_owned(), is_link)
        };
        Ok(index.entries().iter().map(path).collect())
    }

    /// A commit and its tree, by any name that git's own programs take: `HEAD~1`, a branch, `origin/main`, a part of an id.
    pub fn revision(&self, name: &str) -> Result<(ObjectId, ObjectId), Error> {
        let found = || -> Result<_, gix::Error> {
            let commit = self.repo.rev_parse_single(name.as_bytes().as_bstr())?.object()?.peel_to_commit()?;
            let tree = commit.tree_id()?.detach();
            Ok((commit.id, tree))
        };
        found().map_err(|err| Error::Local {
            path: self.top.clone(),
            reason: format!("no revision `{name}`: {}", err.probable_cause()),
        })
    }

    /// Its objects.
    pub fn objects(&self) -> Result<Objects, Error> {
        let dir = self.repo.objects.store_ref().path().to_owned();
        bounded(dir, self.repo.object_hash())
            .map_err(|err| Error::Local { path: self.top.clone(), reason: err.to_string() })
    }

    fn error(&self, err: &gix::Error) -> Error {
        Error::Local { path: self.top.clone(), reason: err.probable_cause().to_string() }
    }
}
