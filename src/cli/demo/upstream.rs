//! A bare repository, written with gix: what a git host would be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use gix::ObjectId;
use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{Commit, Tree};
use gix::refs::Target;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit};

/// Paths and their content.
pub(super) type Files = BTreeMap<String, String>;

pub(super) struct Upstream {
    repo: gix::Repository,
    path: PathBuf,
    tip: Option<ObjectId>,
}

impl Upstream {
    /// Makes an empty repository at `path`. Nothing of the machine's git configuration is read.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let repo = gix::ThreadSafeRepository::init_opts(
            path,
            gix::create::Kind::Bare,
            gix::create::Options::default(),
            gix::open::Options::isolated(),
        )
        .map_err(|err| anyhow!("cannot make a repository at `{}`: {err}", path.display()))?;
        Ok(Upstream { repo: repo.to_thread_local(), path: path.to_owned(), tip: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a commit on top of the last one. No ref shows it yet.
    pub(super) fn write_commit(&mut self, message: &str, files: &Files) -> anyhow::Result<ObjectId> {
        let tree = self.write_tree(files)?;
        let author = gix::actor::Signature {
            name: "dagsync demo".into(),
            email: "demo@dagsync.invalid".into(),
            time: gix::date::Time::now_utc(),
        };
        let commit = Commit {
            tree,
            parents: self.tip.into_iter().collect(),
            author: author.clone(),
            committer: author,
            encoding: None,
            message: format!("{message}\n").into(),
            extra_headers: Vec::new(),
        };
        let commit = self.write(&commit)?;
        self.tip = Some(commit);
        Ok(commit)
    }

    /// Points a ref at a commit, by a lock and a rename as git does.
    pub(super) fn set_ref(&self, name: &str, commit: ObjectId) -> anyhow::Result<()> {
        let edit = RefEdit {
            change: Change::Update {
                log: LogChange::default(),
                expected: PreviousValue::Any,
                new: Target::Object(commit),
            },
            name: name.try_into().with_context(|| format!("`{name}` is no ref"))?,
            deref: false,
        };
        self.repo.edit_references_as([edit], None).map_err(|err| anyhow!("cannot write `{name}`: {err}"))?;
        Ok(())
    }

    /// The commit that a ref shows.
    pub(super) fn at(&self, name: &str) -> anyhow::Result<ObjectId> {
        let mut found =
            self.repo.find_reference(name).map_err(|err| anyhow!("cannot read `{name}`: {err}"))?;
        let id = found.peel_to_id().map_err(|err| anyhow!("cannot read `{name}`: {err}"))?;
        Ok(id.detach())
    }

    fn write_tree(&self, files: &Files) -> anyhow::Result<ObjectId> {
        let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
        let mut entries = Vec::new();
        for (path, content) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder).or_default().insert(rest.to_owned(), content.clone());
                }
                None => {
                    let blob = self
                        .repo
                        .write_blob(content)
                        .map_err(|err| anyhow!("cannot write `{path}`: {err}"))?;
                    entries.push(entry(EntryKind::Blob, path, blob.detach()));
                }
            }
        }
        for (folder, files) in folders {
            entries.push(entry(EntryKind::Tree, folder, self.write_tree(&files)?));
        }
        // git's order, in which a folder's name ends in a slash.
        entries.sort();
        self.write(&Tree { entries })
    }

    fn write(&self, object: &impl gix::objs::WriteTo) -> anyhow::Result<ObjectId> {
        let id = self.repo.write_object(object).map_err(|err| anyhow!("cannot write an object: {err}"))?;
        Ok(id.detach())
    }
}

fn entry(kind: EntryKind, name: &str, oid: ObjectId) -> Entry {
    Entry { mode: kind.into(), filename: name.into(), oid }
}
