//! A repository on this machine (`file://` or a path), read without a git program.
//!
//! git would spawn `upload-pack`; we open the other repository and copy what is missing into a pack of our own, so that the
//! two share nothing afterwards. It may belong to another uid, be bare, a work tree, shallow, or borrow objects. Nothing of its
//! configuration runs, and nothing is searched for above the given path (CVE-2022-24765).

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;
use gix::bstr::BString;
use gix::objs::{Exists as _, Find as _, FindHeader as _, Header, Kind};

use super::error::Error;
use super::pack::Packs;
use super::remote::{Fetched, RemoteRef, RemoteRefs};
use super::store::{Objects, Store, bounded};

/// No tree, commit or tag is larger: a tree of this size has a million entries.
const LARGEST: u64 = 64 << 20;

pub(super) struct Local {
    path: PathBuf,
}

impl Local {
    pub(super) fn new(path: &Path) -> Self {
        Local { path: path.to_owned() }
    }

    pub(super) fn list(&self, prefixes: &[BString]) -> Result<RemoteRefs, Error> {
        let repo = self.open()?;
        let mut refs = Vec::new();
        if prefixes.is_empty() || prefixes.iter().any(|prefix| b"HEAD".starts_with(prefix)) {
            refs.extend(self.head(&repo)?);
        }
        let platform = repo.references().map_err(|err| self.error(&err))?;
        // One walk over everything: a local listing costs less than being clever about prefixes.
        for found in platform.all().map_err(|err| self.error(&err))? {
            let Ok(mut found) = found else { continue };
            let name = found.name().as_bstr().to_owned();
            if !prefixes.is_empty() && !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let target = found.target().try_name().map(|name| name.as_bstr().to_owned());
            // A ref whose object is missing is the upstream's damage; it is as good as absent.
            let Ok(tag) = found.follow_to_object() else { continue };
            let Ok(id) = found.peel_to_id() else { continue };
            let tag = Some(tag.detach()).filter(|tag| *tag != id.detach());
            refs.push(RemoteRef { name, id: Some(id.detach()), tag, target });
        }
        let refs = refs.into_iter().filter_map(|found| found.accept(prefixes)).collect();
        Ok(RemoteRefs { refs, hash: repo.object_hash() })
    }

    fn head(&self, repo: &gix::Repository) -> Result<Option<RemoteRef>, Error> {
        let mut head = repo.head().map_err(|err| self.error(&err))?;
        let target = head.referent_name().map(|name| name.as_bstr().to_owned());
        if head.is_unborn() {
            return Ok(Some(RemoteRef { name: "HEAD".into(), id: None, tag: None, target }));
        }
        let id = head.try_peel_to_id().map_err(|err| self.error(&err))?.map(|id| id.detach());
        Ok(id.map(|id| RemoteRef { name: "HEAD".into(), id: Some(id), tag: None, target }))
    }

    pub(super) fn fetch(
        &self,
        store: &Store,
        wants: &[ObjectId],
        depth: Option<NonZeroU32>,
        interrupt: &AtomicBool,
    ) -> Result<Fetched, Error> {
        let repo = self.open()?;
        let ours = store.objects()?;
        let packed = Packs::of(&ours);
        let theirs = bounded(repo.objects.store_ref().path().to_owned(), repo.object_hash());
        let theirs = theirs.map_err(|err| self.unopened(&err))?;
        let copy = Copy { upstream: self, theirs, ours: &ours, packed: &packed, store, interrupt };
        let (missing, boundary) = copy.plan(wants, depth, &shallow_of(&repo))?;
        let fetched = if missing.is_empty() { Fetched::default() } else { copy.write(missing)? };
        store.write_shallow(&boundary)?;
        Ok(fetched)
    }

    fn open(&self) -> Result<gix::Repository, Error> {
        let options = gix::open::Options::isolated().with(gix::sec::Trust::Full).bail_if_untrusted(false);
        match options.open(&self.path) {
            Ok(repo) => Ok(repo.to_thread_local()),
            Err(err) => Err(Error::Local {
                path: self.path.clone(),
                reason: match std::fs::metadata(&self.path) {
                    Err(err) => err.to_string(),
                    Ok(_) => format!("not a git repository ({})", err.probable_cause()),
                },
            }),
        }
    }

    fn unopened(&self, err: &std::io::Error) -> Error {
        Error::Local { path: self.path.clone(), reason: err.to_string() }
    }

    fn error(&self, err: &gix::Error) -> Error {
        Error::Local { path: self.path.clone(), reason: err.probable_cause().to_string() }
    }
}

fn shallow_of(repo: &gix::Repository) -> HashSet<ObjectId> {
    let commits = repo.shallow_commits().ok().flatten();
    commits.map(|commits| commits.iter().copied().collect()).unwrap_or_default()
}

/// One copy from the upstream's objects into ours.
struct Copy<'a> {
    upstream: &'a Local,
    theirs: Objects,
    ours: &'a Objects,
    /// What we have, without a look for a loose object for each that we have not: that is three system calls.
    packed: &'a Packs,
    store: &'a Store,
    interrupt: &'a AtomicBool,
}

impl Copy<'_> {
    /// The objects to copy, and the shallow list that goes with them.
    ///
    /// A tree that we have is taken to be complete: packs appear whole, and each one completes what it adds.
    fn plan(
        &self,
        wants: &[ObjectId],
        depth: Option<NonZeroU32>,
        their_shallow: &HashSet<ObjectId>,
    ) -> Result<(Vec<ObjectId>, BTreeSet<ObjectId>), Error> {
        let mut missing = Vec::new();
        let mut planned: HashSet<ObjectId> = HashSet::new();
        let mut boundary = self.store.shallow()?;
        // What is asked for whole ends where we have the rest.
        let whole = if depth.is_none() { self.store.whole(&boundary) } else { HashSet::new() };
        let mut commits: VecDeque<(ObjectId, u32)> = VecDeque::new();
        let mut buf = Vec::new();
        for want in wants {
            commits.push_back((self.tags(*want, &mut missing)?, 1));
        }
        let mut seen = HashSet::new();
        while let Some((commit, generation)) = commits.pop_front() {
            if whole.contains(&commit) || !seen.insert(commit) {
                continue;
            }
            self.check()?;
            let header = self.header(&commit)?;
            if header.kind != Kind::Commit {
                return Err(Error::NotACommit {
                    remote: self.upstream.path.display().to_string(),
                    id: commit.to_string(),
                    kind: header.kind.to_string(),
                });
            }
            let data = self.find(&commit, header, Kind::Commit, &mut buf)?;
            let parsed = gix::objs::CommitRef::from_bytes(data, self.store.hash())
                .map_err(|err| self.unreadable(&commit, &err.to_string()))?;
            let parents: Vec<_> = parsed.parents().collect();
            let tree = parsed.tree();
            if !self.ours.exists(&commit) {
                missing.push(commit);
            }
            self.trees(tree, &mut planned, &mut missing)?;
            let at_the_end = depth.is_some_and(|depth| generation >= depth.get());
            if !parents.is_empty() && (at_the_end || their_shallow.contains(&commit)) {
                boundary.insert(commit);
            } else {
                boundary.remove(&commit);
                commits.extend(parents.into_iter().map(|parent| (parent, generation.saturating_add(1))));
            }
        }
        tracing::debug!(commits = seen.len(), "looked at the history of the upstream");
        Ok((missing, boundary))
    }

    /// Adds the tags on the way from `id` to what they lead to, and returns that.
    fn tags(&self, id: ObjectId, missing: &mut Vec<ObjectId>) -> Result<ObjectId, Error> {
        let mut buf = Vec::new();
        let mut at = id;
        loop {
            let header = self.header(&at)?;
            if header.kind != Kind::Tag {
                return Ok(at);
            }
            let data = self.find(&at, header, Kind::Tag, &mut buf)?;
            let target = gix::objs::TagRefIter::from_bytes(data, self.store.hash())
                .target_id()
                .map_err(|err| self.unreadable(&at, &err.to_string()))?;
            if !self.ours.exists(&at) {
                missing.push(at);
            }
            at = target;
        }
    }

    fn trees(
        &self,
        root: ObjectId,
        planned: &mut HashSet<ObjectId>,
        missing: &mut Vec<ObjectId>,
    ) -> Result<(), Error> {
        let mut queue = vec![root];
        let mut buf = Vec::new();
        while let Some(tree) = queue.pop() {
            if self.packed.find(&tree).is_some() || !planned.insert(tree) {
                continue;
            }
            self.check()?;
            missing.push(tree);
            let data = self.find(&tree, self.header(&tree)?, Kind::Tree, &mut buf)?;
            for entry in gix::objs::TreeRefIter::from_bytes(data, self.store.hash()) {
                let entry = entry.map_err(|err| self.unreadable(&tree, &err.to_string()))?;
                let id = entry.oid.to_owned();
                if entry.mode.is_tree() {
                    queue.push(id);
                } else if !entry.mode.is_commit() && planned.insert(id) && self.packed.find(&id).is_none() {
                    missing.push(id);
                }
            }
        }
        Ok(())
    }

    /// Writes a pack of `missing`.
    fn write(&self, missing: Vec<ObjectId>) -> Result<Fetched, Error> {
        use super::pack::Error as Pack;
        match super::pack::write(self.store, &self.theirs, &missing, self.interrupt) {
            Ok(received) => {
                Ok(Fetched { bytes: received.bytes, objects: received.objects, known: received.known })
            }
            Err((Some(id), Pack::Damaged(reason))) => Err(self.unreadable(&id, &reason)),
            Err((_, Pack::Interrupted)) => Err(self.interrupted()),
            Err((_, Pack::Store(err))) => Err(err),
            Err((_, Pack::Disk(err))) => Err(self.store.error(&err)),
            Err((_, err)) => {
                Err(Error::Pack { remote: self.upstream.path.display().to_string(), reason: err.to_string() })
            }
        }
    }

    fn header(&self, id: &ObjectId) -> Result<Header, Error> {
        match self.theirs.try_header(id) {
            Ok(Some(header)) => Ok(header),
            Ok(None) => Err(self.unreadable(id, "not there")),
            Err(err) => Err(self.unreadable(id, &err.probable_cause().to_string())),
        }
    }

    /// The bytes of an object of that kind, which are held as a whole: its header is looked at first, since a blob in the place of
    /// a tree may be of any size.
    fn find<'b>(
        &self,
        id: &ObjectId,
        header: Header,
        kind: Kind,
        buf: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Error> {
        let refuse = |found: Kind| self.unreadable(id, &format!("a {found} where a {kind} has to be"));
        if header.kind != kind {
            return Err(refuse(header.kind));
        }
        if header.size > LARGEST {
            let (size, most) = (header.size, LARGEST >> 20);
            return Err(self.unreadable(id, &format!("a {kind} of {size} bytes, of at most {most} MiB")));
        }
        match self.theirs.try_find(id, buf) {
            Ok(Some(data)) if data.kind == kind => Ok(data.data),
            Ok(Some(data)) => Err(refuse(data.kind)),
            Ok(None) => Err(self.unreadable(id, "not there")),
            Err(err) => Err(self.unreadable(id, &err.probable_cause().to_string())),
        }
    }

    fn unreadable(&self, id: &ObjectId, reason: &str) -> Error {
        Error::Local { path: self.upstream.path.clone(), reason: format!("object {id}: {reason}") }
    }

    fn check(&self) -> Result<(), Error> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(self.interrupted());
        }
        Ok(())
    }

    fn interrupted(&self) -> Error {
        Error::Local { path: self.upstream.path.clone(), reason: "interrupted".into() }
    }
}
