//! The object store: `<root>/.git`, a cache.
//!
//! Nothing in it is precious: any damage is answered by fetching again, never by touching what is published. The caller
//! holds the lock of the root, so every `*.lock` found here at the start belonged to somebody who is dead.
//!
//! What a crash leaves: temporary packs, a pack without its index, a stale `shallow.lock`, or a pack whose shallow
//! lines were not written. [`Store::open`] removes the first three, [`Store::tidy_shallow`] mends the last.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::bstr::BString;
use gix::hash::Kind;
use gix::objs::{CommitRefIter, Exists as _, Find as _};
use gix::{ObjectId, oid};

use super::bases::Bases;
use super::error::Error;
use super::history::Whole;
use super::pack;
use crate::disk::{self, Point, make_dirs, remove_any};
use crate::error::Cause;

/// A handle to read objects with; cheap to clone, one a thread.
pub type Objects = gix::odb::Handle;

/// The file that says that a repository is of our making.
pub(super) const OURS: &str = "dagsync";
/// The damaged config of somebody's repository.
const CONFIG_ASIDE: &str = "config.before-dagsync";

/// The object store of a source.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    hash: Kind,
    /// Mode of directories and of read-only files that we make; see `umask`.
    group_write: bool,
    /// What need not be walked again.
    pub(super) whole: Whole,
}

/// What is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Pack files.
    pub packs: usize,
    /// Bytes in packs, their indices and loose objects' top-level files.
    pub bytes: u64,
}

/// A commit in its author's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The name.
    pub author: BString,
    /// When it was written, in seconds since 1970.
    pub seconds: i64,
    /// The first line of the message.
    pub subject: BString,
}

impl Store {
    /// Opens the store at `dir` (`…/.git`), making it if it is not there, and removes what a dead owner left.
    pub fn open(dir: &Path, group_write: bool) -> Result<Store, Error> {
        let mut store = Store { dir: dir.to_owned(), hash: Kind::Sha1, group_write, whole: Whole::default() };
        make_dirs(Point::StoreFolderMake, dir, group_write).map_err(|err| store.error(&err))?;
        store.restore()?;
        store.hash = store.configured_hash();
        store.remove_leftovers().map_err(|err| store.error(&err))?;
        store.lay_out().map_err(|err| store.error(&err))?;
        Ok(store)
    }

    /// `…/.git`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether what we make in it is writable by the group.
    pub(super) fn group_write(&self) -> bool {
        self.group_write
    }

    /// The kind of object id it holds.
    pub fn hash(&self) -> Kind {
        self.hash
    }

    /// Makes it hold another kind of object id. Everything fetched before goes; trees on disk stay.
    pub fn set_hash(&mut self, hash: Kind) -> Result<(), Error> {
        if hash != self.hash {
            self.hash = hash;
            self.wipe()?;
            self.write_config().map_err(|err| self.error(&err))?;
        }
        Ok(())
    }

    /// Objects as they are on disk now. Opened anew each pass: a long-lived handle runs out of slots after 32 packs.
    pub fn objects(&self) -> Result<Objects, Error> {
        let open = || bounded(self.dir.join("objects"), self.hash);
        // Folders that somebody removed while we run are made again before it counts as an error. gix does not miss the one of
        // packs, but who receives one does.
        let opened = match self.pack_dir().is_dir() {
            true => open().or_else(|_| self.lay_out().and_then(|()| open())),
            false => self.lay_out().and_then(|()| open()),
        };
        let mut objects = opened.map_err(|err| self.error(&err))?;
        objects.set_pack_cache(|| Box::<Bases>::default());
        Ok(objects)
    }

    /// Where packs go.
    pub fn pack_dir(&self) -> PathBuf {
        self.dir.join("objects/pack")
    }

    /// The list of commits whose parents were not fetched.
    pub fn shallow_file(&self) -> PathBuf {
        self.dir.join("shallow")
    }

    /// The parents of a commit.
    pub fn parents(&self, objects: &Objects, commit: &oid) -> Result<Vec<ObjectId>, Error> {
        let mut buf = Vec::new();
        let data = self.find(objects, commit, &mut buf)?;
        if data.kind != gix::objs::Kind::Commit {
            return Err(self.damaged(commit));
        }
        let mut parents = Vec::new();
        for token in CommitRefIter::from_bytes(data.data, self.hash) {
            match token.map_err(|_| self.damaged(commit))? {
                gix::objs::commit::ref_iter::Token::Tree { .. } => {}
                gix::objs::commit::ref_iter::Token::Parent { id } => parents.push(id),
                _ => break,
            }
        }
        Ok(parents)
    }

    /// An object that must be there.
    pub fn find<'a>(
        &self,
        objects: &Objects,
        id: &oid,
        buf: &'a mut Vec<u8>,
    ) -> Result<gix::objs::Data<'a>, Error> {
        // gix asserts the kind of an id; one of another kind (a root that changed to a SHA-256 upstream) is not here.
        if id.kind() != self.hash {
            return Err(self.damaged(id));
        }
        match objects.try_find(id, buf) {
            Ok(Some(data)) => Ok(data),
            Ok(None) | Err(_) => Err(self.damaged(id)),
        }
    }

    /// Follows tags to a commit: an annotated tag's id, or a commit's own. The second value is the tree.
    pub fn peel_to_commit(
        &self,
        objects: &Objects,
        id: &oid,
        remote: &str,
    ) -> Result<(ObjectId, ObjectId), Error> {
        let mut buf = Vec::new();
        let mut at = id.to_owned();
        // A tag may point to a tag; nobody nests them deeply, and an id cannot contain itself.
        for _ in 0..32 {
            let data = self.find(objects, &at, &mut buf)?;
            match data.kind {
                gix::objs::Kind::Commit => {
                    let tree = CommitRefIter::from_bytes(data.data, self.hash)
                        .tree_id()
                        .map_err(|_| self.damaged(&at))?;
                    return Ok((at, tree));
                }
                gix::objs::Kind::Tag => {
                    at = gix::objs::TagRefIter::from_bytes(data.data, self.hash)
                        .target_id()
                        .map_err(|_| self.damaged(&at))?;
                }
                kind => {
                    return Err(Error::NotACommit {
                        remote: remote.to_owned(),
                        id: id.to_string(),
                        kind: kind.to_string(),
                    });
                }
            }
        }
        Err(Error::NotACommit { remote: remote.to_owned(), id: id.to_string(), kind: "endless tag".into() })
    }

    /// Whether `of` is reached from `descendant`, looking at so many commits at most. What is not here is no way.
    pub fn is_ancestor(&self, objects: &Objects, of: &oid, descendant: &oid, most: usize) -> bool {
        // gix asserts the kind of an id; a root may have changed to an upstream of the other kind.
        let of_here = |id: &&oid| id.kind() == self.hash;
        let mut queue: VecDeque<ObjectId> =
            Some(descendant).filter(of_here).map(ToOwned::to_owned).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(commit) = queue.pop_front() {
            if commit == of {
                return true;
            }
            if seen.len() < most && seen.insert(commit) && objects.exists(&commit) {
                queue.extend(self.parents(objects, &commit).unwrap_or_default());
            }
        }
        false
    }

    /// What the author of a commit wrote about it.
    pub fn message(&self, objects: &Objects, commit: &oid) -> Result<BString, Error> {
        let mut buf = Vec::new();
        let data = self.find(objects, commit, &mut buf)?;
        let commit =
            gix::objs::CommitRef::from_bytes(data.data, self.hash).map_err(|_| self.damaged(commit))?;
        Ok(commit.message.to_owned())
    }

    /// Who wrote a commit, when, and what it is called.
    pub fn about(&self, objects: &Objects, commit: &oid) -> Result<About, Error> {
        let mut buf = Vec::new();
        let data = self.find(objects, commit, &mut buf)?;
        let read =
            gix::objs::CommitRef::from_bytes(data.data, self.hash).map_err(|_| self.damaged(commit))?;
        let author = read.author().ok();
        Ok(About {
            author: author.map(|who| who.name.to_owned()).unwrap_or_default(),
            seconds: author.map_or(0, |who| who.seconds()),
            subject: read.message_summary().into_owned(),
        })
    }

    /// When a tag was made, or a commit if the tag is none: seconds since 1970.
    pub fn date(&self, objects: &Objects, id: &oid) -> Result<i64, Error> {
        let mut buf = Vec::new();
        let data = self.find(objects, id, &mut buf)?;
        let seconds = match data.kind {
            gix::objs::Kind::Tag => {
                let tag =
                    gix::objs::TagRef::from_bytes(data.data, self.hash).map_err(|_| self.damaged(id))?;
                tag.tagger().ok().flatten().map(|who| who.seconds())
            }
            gix::objs::Kind::Commit => {
                let commit =
                    gix::objs::CommitRef::from_bytes(data.data, self.hash).map_err(|_| self.damaged(id))?;
                commit.committer().ok().map(|who| who.seconds())
            }
            _ => None,
        };
        // A tag without a tagger is older than any that has one.
        Ok(seconds.unwrap_or(i64::MIN))
    }

    /// Disk use, for the metrics.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for entry in fs::read_dir(self.pack_dir()).into_iter().flatten().flatten() {
            let path = entry.path();
            usage.packs += usize::from(path.extension() == Some(OsStr::new("pack")));
            usage.bytes += entry.metadata().map(|meta| meta.len()).unwrap_or(0);
        }
        usage
    }

    /// An error about this store, in words.
    pub fn error(&self, err: &io::Error) -> Error {
        let cause = Cause::of(err, &self.dir);
        Error::Store { path: self.dir.clone(), reason: err.to_string(), cause }
    }

    /// An object is missing or cannot be decoded.
    pub fn damaged(&self, id: &oid) -> Error {
        Error::Damaged { path: self.dir.clone(), id: id.to_string() }
    }

    pub(super) fn lay_out(&self) -> io::Result<()> {
        for name in
            ["objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/tags", "worktrees"]
        {
            let path = self.dir.join(name);
            // A file where a folder has to be: in a store of our own it is damage, and goes.
            if self.is_ours() && !path.is_dir() {
                remove_any(Point::StoreDamageRemove, &path)?;
            }
            make_dirs(Point::StoreFolderMake, &path, self.group_write)?;
        }
        // `HEAD` and `config` last: without them it is no repository, and the next start lays it out again.
        if !self.dir.join("config").is_file() {
            // Somebody's store whose config was set aside stays somebody's, if a crash came before ours was written.
            if !self.dir.join(CONFIG_ASIDE).exists() {
                self.write(Point::StoreMarkWrite, OURS, "")?;
            }
            self.write_config()?;
        } else if !self.has_good_config() {
            if !self.is_ours() {
                let kept = self.dir.join(CONFIG_ASIDE);
                disk::rename(Point::StoreConfigKeep, &self.dir.join("config"), &kept)?;
            }
            self.write_config()?;
        }
        if !self.has_good_head() {
            remove_any(Point::StoreHeadRemove, &self.dir.join("HEAD"))?;
            self.write(Point::StoreHeadWrite, "HEAD", "ref: refs/heads/main\n")?;
        }
        Ok(())
    }

    /// Whether the store is of our making, not somebody's that was taken over.
    pub fn is_ours(&self) -> bool {
        self.dir.join(OURS).exists()
    }

    pub(super) fn write(&self, point: Point, name: &str, text: &str) -> io::Result<()> {
        disk::write_ours(point, &self.dir.join(name), text, self.group_write)
    }

    /// A damaged one would make every git program in the published tree fail; one of our own always forbids hooks.
    fn has_good_config(&self) -> bool {
        let Some(config) = self.config() else { return false };
        let format = config.integer("core.repositoryFormatVersion");
        let hooks = config.string("core.hooksPath").is_some_and(|path| path.as_slice() == b"/dev/null");
        matches!(format, Ok(Some(0 | 1))) && (hooks || !self.is_ours())
    }

    fn has_good_head(&self) -> bool {
        fs::read_to_string(self.dir.join("HEAD")).is_ok_and(|head| {
            head.starts_with("ref: refs/") || ObjectId::from_hex(head.trim().as_bytes()).is_ok()
        })
    }

    /// `gc.auto=0`: a git program that somebody runs in a published tree must not collect what we need.
    fn write_config(&self) -> io::Result<()> {
        let format = match self.hash {
            Kind::Sha1 => "[core]\n\trepositoryformatversion = 0\n",
            _ => "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n[core]\n",
        };
        let rest = "\tfilemode = true\n\tbare = false\n\tlogAllRefUpdates = false\n\thooksPath = /dev/null\n\
                    [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
        self.write(Point::StoreConfigWrite, "config.lock", &format!("{format}{rest}"))?;
        let config = self.dir.join("config");
        if config.is_dir() {
            remove_any(Point::StoreConfigRemove, &config)?;
        }
        disk::rename(Point::StoreConfigRename, &self.dir.join("config.lock"), &config)
    }

    fn config(&self) -> Option<gix::config::File> {
        gix::config::File::from_path_no_includes(self.dir.join("config"), gix::config::Source::Local).ok()
    }

    fn configured_hash(&self) -> Kind {
        let format = self.config().and_then(|c| c.string("extensions.objectFormat").map(|v| v.to_string()));
        match format {
            Some(name) if name.eq_ignore_ascii_case("sha256") => Kind::Sha256,
            _ => Kind::Sha1,
        }
    }

    /// A whole pack's `.keep` is somebody's wish: we never make one. In a store that is not ours a pack without its index, or
    /// an index without its pack, may be all that somebody has of it; there only names go that a fetch gives its own.
    pub(super) fn remove_leftovers(&self) -> io::Result<()> {
        let has = |path: &Path, ext: &str| path.extension() == Some(OsStr::new(ext));
        // A store whose mark a crash kept from being written is new, and nobody's.
        let ours = self.is_ours() || !self.dir.join("config").exists();
        for dir in [self.dir.clone(), self.pack_dir()] {
            for entry in entries(&dir)? {
                let path = entry.path();
                let name = entry.file_name();
                let begins = |start: &str| name.as_encoded_bytes().starts_with(start.as_bytes());
                let temporary = ["tmp_pack_", "tmp_idx_", "tmp_object_"].into_iter().any(begins)
                    || ours && (begins(".tmp") || begins("tmp_"));
                let lonely = has(&path, "pack") && !path.with_extension("idx").exists()
                    || has(&path, "idx") && !path.with_extension("pack").exists()
                    || has(&path, "rev") && !path.with_extension("idx").exists()
                    || has(&path, "keep") && !path.with_extension("pack").exists();
                if has(&path, "lock") || temporary || ours && lonely {
                    remove_any(Point::StoreLeftoverRemove, &path)?;
                }
            }
        }
        for entry in entries(&self.dir.join("worktrees"))? {
            remove_any(Point::StoreLeftoverRemove, &entry.path().join("index.lock"))?;
        }
        Ok(())
    }
}

/// A reader that refuses what would take more memory than an object of ordinary size: gix asks for room for the largest object of
/// a chain of deltas, so a blob of one byte may cost as much as its base.
pub(super) fn bounded(dir: PathBuf, hash: Kind) -> io::Result<Objects> {
    let options = gix::odb::store::init::Options {
        alloc_limit_bytes: Some(pack::LARGEST_READ),
        ..gix::odb::store::init::Options::default()
    };
    gix::odb::at_opts(dir, hash, None, options)
}

fn entries(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(err) => Err(err),
    }
}
