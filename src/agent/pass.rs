//! One pass: resolve → fetch → check → stage → publish → retire → announce.
//!
//! The order is the design. Each stage says what it may change and what a crash in it leaves; none but `publish` changes what
//! readers see, and that is one rename. A stage that fails ends the pass with the published tree as it was.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::objs::Exists as _;

use super::source::Source;
use crate::check::{Revision, Verdict};
use crate::config::{RefChoice, Submodules};
use crate::deadline::Deadline;
use crate::error::{Advice, Remedy};
use crate::git::refs::{Choice, Found, Wanted};
use crate::git::store::Objects;
use crate::git::{self, auth};
use crate::hooks::Publication;
use crate::metrics::Stage;
use crate::publish::state::{Published, Retired, seconds};
use crate::publish::{self, AtLink, link, retain};
use crate::tree::attributes::Converter;
use crate::tree::write::{self, Build};
use crate::tree::{self, Listing, Policy, manifest};

/// How a pass ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What is published is what should be.
    Unchanged,
    /// A revision went live.
    Published(Box<Report>),
    /// The gate held a revision back.
    Rejected {
        /// The commit.
        commit: String,
        /// Why, for people.
        reason: String,
    },
}

/// What a publication changed, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The commit, in hex.
    pub commit: String,
    /// The ref's full name.
    pub reference: String,
    /// The commit that was live before.
    pub previous: Option<String>,
    /// Files and links of the tree.
    pub files: usize,
    /// Files that are new, differ, and are gone; `None` when the previous revision is not known any more.
    pub changes: Option<Changes>,
    /// Bytes received.
    pub bytes: u64,
    /// What each stage took.
    pub took: HashMap<&'static str, Duration>,
}

/// The difference between two revisions, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// New paths.
    pub added: usize,
    /// Paths whose content or mode differs.
    pub changed: usize,
    /// Paths that are gone.
    pub removed: usize,
}

/// How a pass ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Why, for people.
    pub message: String,
    /// What a human can do.
    pub hint: Option<String>,
    /// What the schedule should do.
    pub remedy: Remedy,
}

impl Failure {
    /// The message with its hint, on one line.
    pub fn line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} (hint: {hint})", self.message),
            None => self.message.clone(),
        }
    }
}

/// A ref, resolved.
struct Target {
    reference: String,
    wanted: String,
    fetch: ObjectId,
    commit: Option<ObjectId>,
}

/// What the link leads to, if that is a whole tree.
struct Live {
    path: PathBuf,
    commit: ObjectId,
}

/// Runs one pass of `source`.
pub fn run(source: &mut Source, deadline: &Rc<Deadline>) -> Result<Outcome, Failure> {
    let mut pass = Pass { took: HashMap::new(), bytes: 0, deadline: deadline.clone(), source };
    pass.run()
}

struct Pass<'a> {
    source: &'a mut Source,
    deadline: Rc<Deadline>,
    took: HashMap<&'static str, Duration>,
    bytes: u64,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<Outcome, Failure> {
        let target = self.time(Stage::Resolve, Self::resolve)?;
        let live = self.live().map_err(failed(Stage::Resolve))?;
        if let Some(live) = &live
            && self.is_current(live, &target)
        {
            self.retire(None);
            return Ok(Outcome::Unchanged);
        }
        match self.bring(&target, live.as_ref()) {
            // The object store is a cache: damage in it costs one more fetch, never what is published.
            Err(failure) if failure.damaged => {
                tracing::warn!(
                    "the object store is damaged and is fetched again: {}",
                    failure.failure.message
                );
                self.source.store.wipe().map_err(failed(Stage::Fetch))?;
                self.bring(&target, live.as_ref()).map_err(|again| again.failure)
            }
            other => other.map_err(|err| err.failure),
        }
    }

    fn time<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let start = Instant::now();
        let result = work(self);
        let took = start.elapsed();
        self.source.metrics.stage(stage, took);
        *self.took.entry(stage.name()).or_default() += took;
        result
    }

    /// **resolve**: which commit should be live. Changes nothing.
    fn resolve(&mut self) -> Result<Target, Failure> {
        let source = &mut *self.source;
        let text = match &source.config.reference {
            RefChoice::Fixed(text) => text.clone(),
            RefChoice::File(path) => read_ref_file(path).map_err(|reason| Failure {
                stage: Stage::Resolve,
                message: format!("ref file `{}`: {reason}", path.display()),
                hint: Some("its first line is the ref".into()),
                remedy: Remedy::Human,
            })?,
        };
        let wanted = Wanted::parse(&text).map_err(|err| Failure {
            stage: Stage::Resolve,
            message: format!("the ref cannot be used: {err}"),
            hint: None,
            remedy: Remedy::Human,
        })?;
        let login = auth::login(&source.config.auth).map_err(failed(Stage::Resolve))?;
        source.remote.arm(&self.deadline, login.as_ref());
        let found = self.find(&wanted).map_err(failed(Stage::Resolve))?;
        if found.shadows_tag && self.source.warned_shadow.as_deref() != Some(&found.name) {
            tracing::warn!(reference = found.name, "a tag has the same name; the branch wins");
            self.source.warned_shadow = Some(found.name.clone());
        }
        if let Some(commit) = found.commit {
            self.source.metrics.remote(&commit.to_string(), &found.name);
        }
        Ok(Target { reference: found.name, wanted: text, fetch: found.fetch, commit: found.commit })
    }

    fn find(&mut self, wanted: &Wanted) -> Result<Found, git::Error> {
        let remote = self.source.remote.shown().to_owned();
        if let Wanted::Id(id) = wanted {
            // An id never moves: nothing to ask.
            let Choice::Found(mut found) = wanted.choose(&[]) else { unreachable!("an id is always found") };
            if id.kind() == self.source.store.hash()
                && let Ok(objects) = self.source.store.objects()
                && let Ok((commit, _)) = self.source.store.peel_to_commit(&objects, id, &remote)
            {
                found.commit = Some(commit);
            }
            self.source.set_hash(id.kind())?;
            return Ok(found);
        }
        let listed = self.source.remote.list(&wanted.prefixes())?;
        match wanted.choose(&listed.refs) {
            Choice::Found(found) => {
                self.source.set_hash(listed.hash)?;
                Ok(found)
            }
            Choice::Tie(tied) => {
                self.source.set_hash(listed.hash)?;
                self.newest(tied)
            }
            Choice::Unborn(branch) => {
                Err(git::Error::Empty { remote, detail: format!("`{branch}` has no commit yet") })
            }
            Choice::Missing => {
                let all =
                    self.source.remote.list(&["HEAD".into(), "refs/heads/".into(), "refs/tags/".into()])?;
                if !all.refs.iter().any(|found| found.id.is_some()) {
                    return Err(git::Error::Empty { remote, detail: "it has no branch and no tag".into() });
                }
                Err(git::Error::NoSuchRef {
                    remote,
                    wanted: wanted.shown(),
                    similar: wanted.similar(&all.refs),
                })
            }
        }
    }

    /// Among tags of one version the youngest wins; only their objects tell when they were made.
    fn newest(&mut self, tied: Vec<Found>) -> Result<Found, git::Error> {
        let source = &mut *self.source;
        let unknown: Vec<ObjectId> =
            tied.iter().map(|tag| tag.fetch).filter(|id| !source.tag_dates.contains_key(id)).collect();
        if !unknown.is_empty() {
            let objects = source.store.objects()?;
            let absent: Vec<ObjectId> = unknown.iter().filter(|id| !objects.exists(id)).copied().collect();
            if !absent.is_empty() {
                source.remote.fetch_heads(&source.store, &absent)?;
            }
            let objects = source.store.objects()?;
            for id in unknown {
                let date = source.store.date(&objects, &id)?;
                source.tag_dates.insert(id, date);
            }
        }
        let youngest = tied.into_iter().max_by(|a, b| {
            let date = |tag: &Found| source.tag_dates.get(&tag.fetch).copied().unwrap_or_default();
            date(a).cmp(&date(b)).then_with(|| a.name.cmp(&b.name))
        });
        Ok(youngest.expect("a tie has at least two"))
    }

    /// The tree that the link leads to, if it is whole.
    fn live(&self) -> Result<Option<Live>, publish::Error> {
        let layout = &self.source.layout;
        Ok(match layout.at_link()? {
            AtLink::Tree { path, commit } if manifest::is_complete(&path, &layout.store, &commit) => {
                Some(Live { path, commit })
            }
            AtLink::Tree { .. } | AtLink::Nothing => None,
            AtLink::Foreign(what) => {
                return Err(publish::Error::Occupied { path: layout.link.clone(), what });
            }
        })
    }

    /// Same commit, same settings, same history.
    fn is_current(&self, live: &Live, target: &Target) -> bool {
        if target.commit != Some(live.commit) {
            return false;
        }
        match &self.source.state.published {
            Some(published) if published.is_of(&live.commit) => {
                published.settings == self.source.settings() && published.depth == self.source.depth()
            }
            // Taken over, or our state was lost: what is there is taken to be what was asked for.
            _ => true,
        }
    }

    /// Everything between knowing the commit and its being live.
    fn bring(&mut self, target: &Target, live: Option<&Live>) -> Result<Outcome, Broken> {
        let (commit, root) = self.timed(Stage::Fetch, |pass| pass.fetch(target))?;
        if let Some(live) = live
            && live.commit == commit
            && self.same_settings(live)
        {
            // An id of a tag, or another depth: the tree is right, its history is now too.
            let bytes = self.source.state.published.as_ref().map_or(0, |published| published.bytes);
            self.remember(target, commit, bytes)?;
            self.retire(Some(commit));
            return Ok(Outcome::Unchanged);
        }
        let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
        let listing = self.timed(Stage::Check, |pass| pass.list(&objects, root))?;
        let converter = Converter::new(&listing, &objects, self.source.config.checkout)
            .map_err(broken_tree(Stage::Check))?;
        let verdict = self.timed(Stage::Check, |pass| {
            let revision =
                Candidate { commit, listing: &listing, objects: &objects, converter: converter.as_ref() };
            Ok(pass.source.gate.judge(&revision))
        })?;
        if let Verdict::Reject { reason } = verdict {
            return Ok(Outcome::Rejected { commit: commit.to_string(), reason });
        }
        let tree =
            self.timed(Stage::Stage, |pass| pass.stage(&objects, &listing, converter.as_ref(), commit))?;
        self.timed(Stage::Publish, |pass| pass.publish(&tree, target, commit, live, listing.bytes()))?;
        let previous = live.map(|live| live.commit);
        let changes = previous.and_then(|previous| self.changes(&objects, previous, &listing));
        let start = Instant::now();
        self.retire(Some(commit));
        self.source.metrics.stage(Stage::Retire, start.elapsed());
        self.announce(&tree, commit, previous);
        self.source.metrics.published(&commit.to_string(), &target.reference, listing.entries().len() as u64);
        Ok(Outcome::Published(Box::new(Report {
            commit: commit.to_string(),
            reference: target.reference.clone(),
            previous: previous.map(|id| id.to_string()),
            files: listing.entries().len(),
            changes,
            bytes: self.bytes,
            took: std::mem::take(&mut self.took),
        })))
    }

    fn timed<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let start = Instant::now();
        let result = work(self);
        let took = start.elapsed();
        self.source.metrics.stage(stage, took);
        *self.took.entry(stage.name()).or_default() += took;
        result
    }

    /// **fetch**: the commit's objects, into the store, which is a cache. A crash leaves temporary packs. Returns the
    /// commit and its tree.
    fn fetch(&mut self, target: &Target) -> Result<(ObjectId, ObjectId), Broken> {
        let err = broken(Stage::Fetch);
        let source = &mut *self.source;
        let objects = source.store.objects().map_err(&err)?;
        let kept: Vec<ObjectId> = source.kept_commits().filter(|id| objects.exists(id)).collect();
        let same_depth = source.state.published.as_ref().is_none_or(|p| p.depth == source.depth());
        // A commit whose tree we keep is complete: back to it without asking anybody.
        let have = target.commit.is_some_and(|commit| kept.contains(&commit)) && same_depth;
        if !have {
            let haves = if same_depth { &kept[..] } else { &[] };
            let fetched = source
                .remote
                .fetch(&source.store, &[target.fetch], haves, source.config.depth)
                .map_err(&err)?;
            source.metrics.fetched(fetched.bytes, fetched.objects);
            self.bytes += fetched.bytes;
        }
        let objects = source.store.objects().map_err(&err)?;
        source.store.peel_to_commit(&objects, &target.fetch, source.remote.shown()).map_err(&err)
    }

    /// **check**, first half: what is in the tree, within bounds. Reads objects only.
    fn list(&mut self, objects: &Objects, root: ObjectId) -> Result<Listing, Broken> {
        let source = &*self.source;
        let policy = Policy { symlinks: source.config.symlinks, case_insensitive: source.folds_case };
        let listing = tree::walk(objects, &root, &source.config.limits, &policy, self.deadline.interrupt())
            .map_err(|err| match (err, self.deadline.check()) {
            (tree::Error::Interrupted, Err(expired)) => {
                Broken::new(Stage::Check, &write::Error::Expired(expired))
            }
            (err, _) => broken_tree(Stage::Check)(err),
        })?;
        if listing.has_submodules() && source.config.submodules != Submodules::Off {
            let path = listing.entries().iter().find(|entry| entry.kind == tree::Kind::Submodule);
            let path = path.map(|entry| entry.path.to_str_lossy().into_owned()).unwrap_or_default();
            return Err(Broken::from(Failure {
                stage: Stage::Check,
                message: format!("the revision has a submodule at `{path}`, which is not supported yet"),
                hint: Some("`--submodules=off` publishes it with that folder empty".into()),
                remedy: Remedy::Human,
            }));
        }
        Ok(listing)
    }

    /// **stage**: the tree's files, under a private name; its index; its final name, which no reader knows yet. A crash
    /// leaves a private folder, or a whole tree that nothing links to; the next start removes either.
    fn stage(
        &mut self,
        objects: &Objects,
        listing: &Listing,
        converter: Option<&Converter>,
        commit: ObjectId,
    ) -> Result<PathBuf, Broken> {
        let source = &*self.source;
        let (layout, group) = (&source.layout, source.config.group_write);

        let new = layout.new_tree();
        let place = layout.place_for(&commit);
        crate::umask::make_dirs(&new, group).map_err(on_disk("make the folder", &new))?;
        let build = || -> Result<(), Broken> {
            let admin = manifest::prepare(&layout.store, &new, &place, &commit, group)
                .map_err(on_disk("write the metadata of", &new))?;
            let stats = Build { listing, group_write: group, deadline: &self.deadline }
                .run(objects, converter, &new)
                .map_err(broken_write)?;
            manifest::write_index(&admin, commit.kind(), listing, &stats, group)
                .map_err(on_disk("write the index of", &new))?;
            if let Some(parent) = place.parent() {
                crate::umask::make_dirs(parent, group).map_err(on_disk("make the folder", parent))?;
            }
            std::fs::rename(&new, &place).map_err(on_disk("put in place the tree", &place))
        };
        build()
            .inspect_err(|_| retain::remove(&source.lock, layout, &new, &mut retain::Removal::default()))?;
        Ok(place)
    }

    /// **publish**: the link. A crash leaves the old tree or the new one live, both whole.
    fn publish(
        &mut self,
        tree: &Path,
        target: &Target,
        commit: ObjectId,
        live: Option<&Live>,
        bytes: u64,
    ) -> Result<(), Broken> {
        let layout = &self.source.layout;
        if let Err(err) = link::swap(&self.source.lock, layout, tree) {
            retain::remove(&self.source.lock, layout, tree, &mut retain::Removal::default());
            return Err(Broken::new(Stage::Publish, &err));
        }
        if let Some(live) = live {
            let at = seconds(SystemTime::now());
            let bytes = self.source.state.published.as_ref().map_or(0, |published| published.bytes);
            self.source.state.retired.push(Retired { path: live.path.clone(), bytes, at });
        }
        // It is live: from here on nothing may fail the pass.
        if let Err(failure) = self.remember(target, commit, bytes) {
            tracing::warn!("{}", failure.failure.message);
        }
        Ok(())
    }

    fn remember(&mut self, target: &Target, commit: ObjectId, bytes: u64) -> Result<(), Broken> {
        let source = &mut *self.source;
        source.state.published = Some(Published {
            repo: source.remote.shown().to_owned(),
            wanted: target.wanted.clone(),
            reference: target.reference.clone(),
            commit: commit.to_string(),
            depth: source.depth(),
            settings: source.settings(),
            bytes,
            at: seconds(SystemTime::now()),
        });
        source.state.save(&source.lock, &source.layout).map_err(|err| Broken::new(Stage::Publish, &err))
    }

    fn same_settings(&self, live: &Live) -> bool {
        match &self.source.state.published {
            Some(published) if published.is_of(&live.commit) => published.settings == self.source.settings(),
            _ => true,
        }
    }

    /// **retire**: trees past their time go. What cannot be removed is counted and tried again; nothing here fails a pass.
    /// `published` is the new commit, if there is one: then the shallow list and strays are tidied too.
    fn retire(&mut self, published: Option<ObjectId>) {
        let source = &mut *self.source;
        let Ok(at_link) = source.layout.at_link() else { return };
        let live = match &at_link {
            AtLink::Tree { path, .. } => path.clone(),
            _ => return,
        };
        let now = seconds(SystemTime::now());
        let trees: HashSet<PathBuf> = source.layout.trees().into_iter().map(|(path, _)| path).collect();
        let before = source.state.retired.clone();
        source.state.retired.retain(|tree| trees.contains(&tree.path) && tree.path != live);
        let known: HashSet<PathBuf> = source.state.retired.iter().map(|tree| tree.path.clone()).collect();
        // Trees of an earlier agent, or of a crash between swap and save: replaced now, as far as we know.
        let unknown = trees.iter().filter(|path| **path != live && !known.contains(*path));
        source.state.retired.extend(unknown.map(|path| Retired { path: path.clone(), bytes: 0, at: now }));
        let policy =
            retain::Policy { timeout: source.config.stale_worktree_timeout, keep: source.config.keep };
        let doomed = retain::doomed(&source.state.retired, &live, policy, now);
        let mut removal = retain::Removal::default();
        for tree in &doomed {
            retain::remove(&source.lock, &source.layout, tree, &mut removal);
        }
        source.state.retired.retain(|tree| !doomed.contains(&tree.path));
        if published.is_some() || source.leftovers {
            let swept = retain::sweep(&source.lock, &source.layout);
            removal.failed = swept.failed;
            source.leftovers = !removal.failed.is_empty();
        }
        if let Some((path, reason)) = removal.failed.first() {
            source.metrics.removal_failures(removal.failed.len() as u64);
            let first = source.warned_removal.replace(path.clone()).as_ref() != Some(path);
            if first {
                tracing::warn!(
                    count = removal.failed.len(),
                    "cannot remove `{}` yet: {reason}",
                    path.display()
                );
            }
        }
        if source.state.retired != before
            && let Err(err) = source.state.save(&source.lock, &source.layout)
        {
            tracing::warn!("{err}");
        }
        if published.is_some() {
            let kept: Vec<ObjectId> = source.kept_commits().collect();
            let tidied =
                source.store.objects().and_then(|objects| source.store.tidy_shallow(&objects, &kept));
            if let Err(err) = tidied {
                tracing::debug!("cannot tidy the shallow list: {err}");
            }
            source.measure_disk();
        }
    }

    /// **announce**: whoever wants to know. Nothing here fails a pass.
    fn announce(&mut self, tree: &Path, commit: ObjectId, previous: Option<ObjectId>) {
        let start = Instant::now();
        let source = &mut *self.source;
        if let Some(path) = &source.config.touch_file
            && let Err(err) = super::files::touch(path)
        {
            tracing::warn!("cannot touch `{}`: {err}", path.display());
        }
        source.announcer.published(&Publication {
            source: source.config.name.clone(),
            commit: commit.to_string(),
            previous: previous.map(|id| id.to_string()),
            tree: tree.to_owned(),
        });
        source.metrics.stage(Stage::Announce, start.elapsed());
    }

    /// Counts files, from the two trees' objects; the previous ones may be gone.
    fn changes(&self, objects: &Objects, previous: ObjectId, new: &Listing) -> Option<Changes> {
        let store = &self.source.store;
        let (_, root) = store.peel_to_commit(objects, &previous, "").ok()?;
        let policy = Policy { symlinks: crate::config::Symlinks::Any, case_insensitive: false };
        let old = tree::walk(objects, &root, &self.source.config.limits, &policy, self.deadline.interrupt())
            .ok()?;
        Some(compare(&old, new))
    }
}

/// Both are sorted by path.
fn compare(old: &Listing, new: &Listing) -> Changes {
    let (mut old, mut new) = (old.entries().iter().peekable(), new.entries().iter().peekable());
    let mut changes = Changes::default();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(a), Some(b)) if a.path == b.path => {
                changes.changed += usize::from((a.id, a.kind) != (b.id, b.kind));
                old.next();
                new.next();
            }
            (Some(a), Some(b)) if a.path < b.path => {
                changes.removed += 1;
                old.next();
            }
            (Some(_), None) => {
                changes.removed += 1;
                old.next();
            }
            (_, Some(_)) => {
                changes.added += 1;
                new.next();
            }
        }
    }
}

/// A failure, and whether the object store is to blame.
struct Broken {
    failure: Failure,
    damaged: bool,
}

impl Broken {
    fn new(stage: Stage, err: &dyn Advice) -> Self {
        Broken { failure: Failure::of(stage, err), damaged: false }
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Broken { failure, damaged: false }
    }
}

fn failed<E: Advice>(stage: Stage) -> impl FnOnce(E) -> Failure {
    move |err| Failure::of(stage, &err)
}

fn broken(stage: Stage) -> impl Fn(git::Error) -> Broken {
    move |err| Broken {
        damaged: matches!(err, git::Error::Damaged { .. }),
        failure: Failure::of(stage, &err),
    }
}

fn broken_tree(stage: Stage) -> impl Fn(tree::Error) -> Broken {
    move |err| {
        let damaged = matches!(err, tree::Error::Missing { .. } | tree::Error::Read { .. });
        Broken { damaged, failure: Failure::of(stage, &err) }
    }
}

fn on_disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Broken + use<> {
    let path = path.to_owned();
    move |source| Broken::new(Stage::Stage, &publish::Error::Io { doing, path, source })
}

fn broken_write(err: write::Error) -> Broken {
    Broken { damaged: matches!(err, write::Error::Damaged { .. }), failure: Failure::of(Stage::Stage, &err) }
}

/// The first line of the file.
fn read_ref_file(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|err| err.to_string())?;
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(|err| err.to_string())?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err("empty".into()),
    }
}

/// A revision in the object store, for the gate.
struct Candidate<'a> {
    commit: ObjectId,
    listing: &'a Listing,
    objects: &'a Objects,
    converter: Option<&'a Converter>,
}

impl Revision for Candidate<'_> {
    fn commit(&self) -> String {
        self.commit.to_string()
    }

    fn paths(&self) -> Box<dyn Iterator<Item = &BStr> + '_> {
        Box::new(self.listing.entries().iter().map(|entry| entry.path.as_bstr()))
    }

    fn read(&self, path: &BStr) -> Option<Vec<u8>> {
        use gix::objs::Find as _;
        let entry = self.listing.find(path)?;
        let mut blob = Vec::new();
        self.objects.try_find(&entry.id, &mut blob).ok()??;
        match self.converter {
            Some(converter) => {
                Some(converter.clone().convert(path, entry.kind, &entry.id, &blob).into_owned())
            }
            None => Some(blob),
        }
    }
}
