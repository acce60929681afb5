//! One pass: resolve → fetch → check → stage → publish → retire → announce.
//!
//! The order is the design. Each stage says what it may change and what a crash in it leaves; none but `publish` changes what
//! readers see, and that is one rename. A stage that fails ends the pass with the published tree as it was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use gix::{ObjectId, oid};

use super::failure::{Broken, Failure, broken, broken_write, failed, on_disk};
use super::own_check::Staged;
use super::resolve::Target;
use super::retire::Compaction;
use super::source::{self, Live, Source};
use crate::check::Finding;
use crate::check::verdict::Verdict;
use crate::deadline::Deadline;
use crate::disk::{self, Point};
use crate::git;
use crate::git::diff::Changes;
use crate::git::known::Known;
use crate::git::store::Objects;
use crate::hooks::Publication;
use crate::metrics::Stage;
use crate::publish::state::{Held, Passed, Published, Retired, seconds};
use crate::publish::{AtLink, link, retain};
use crate::tree::Listing;
use crate::tree::attributes::Converter;
use crate::tree::recycle::{Done, Help, Job, Looked};

/// How a pass ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What is published is what should be.
    Unchanged,
    /// A revision went live.
    Published(Box<Report>),
    /// The gate held a revision back, just now.
    Rejected(Held),
    /// The ref still is what the gate held back.
    Held(Held),
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
    /// The newest revision, which was held back: this is an older one.
    pub held: Option<Held>,
}

/// The revision that is to become a tree.
struct New<'a> {
    commit: ObjectId,
    listing: &'a Listing,
    converter: Option<&'a Converter>,
}

/// What is remembered of a tree.
#[derive(Default)]
pub(super) struct Facts {
    bytes: u64,
    passed: Option<Passed>,
}

/// Runs one pass of `source`.
pub fn run(source: &mut Source, deadline: &Rc<Deadline>) -> Result<Outcome, Failure> {
    let mut pass = Pass::new(source, deadline);
    let outcome = pass.run();
    match &outcome {
        Ok(Outcome::Unchanged | Outcome::Published(_) | Outcome::Held(_)) => {}
        Ok(Outcome::Rejected(_)) => pass.retire_unpublished(None),
        Err(failure) => pass.retire_unpublished(Some(failure)),
    }
    for stage in Stage::ALL {
        if let Some(took) = pass.took.get(stage.name()) {
            pass.source.metrics.stage(stage, *took);
        }
    }
    if let Ok(outcome) = &outcome {
        source.show_findings(outcome);
    }
    // What failed may have left something, and may have failed to remove it.
    source.leftovers |= outcome.is_err();
    outcome
}

pub(super) struct Pass<'a> {
    pub(super) source: &'a mut Source,
    pub(super) deadline: Rc<Deadline>,
    took: HashMap<&'static str, Duration>,
    pub(super) bytes: u64,
    /// Sizes of what came just now, which the walk asks for.
    pub(super) known: Known,
    /// What was found of the revision.
    pub(super) findings: Vec<Finding>,
    /// What the gate said of commits over others, or over nothing: none is looked at twice. `None` cannot be written at all.
    pub(super) played: HashMap<(ObjectId, Option<ObjectId>), Option<Verdict>>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(source: &'a mut Source, deadline: &Rc<Deadline>) -> Pass<'a> {
        Pass {
            took: HashMap::new(),
            bytes: 0,
            known: Known::default(),
            findings: Vec::new(),
            played: HashMap::new(),
            deadline: deadline.clone(),
            source,
        }
    }
}

impl Pass<'_> {
    fn run(&mut self) -> Result<Outcome, Failure> {
        let resolved = self.time(Stage::Resolve, Self::resolve);
        let target = resolved.inspect_err(|failure| self.keep_up(failure))?;
        self.settle_link()?;
        self.source.leftovers |= !self.source.look_for_damage();
        let Some(held) = self.held(&target) else {
            let outcome = match self.aim(&target) {
                // Nor does anybody know how long the newest one cannot be written.
                Err(failure) if failure.is_of_the_revision && self.source.live().is_none() => {
                    if let Some(published) = self.instead(&target) {
                        self.aim(&published)?;
                    }
                    return Err(failure);
                }
                aimed => aimed?,
            };
            // What readers have may have lost its metadata with the object store: it is built again at once, as nobody knows
            // how long this one is held back.
            if let Outcome::Rejected(_) = outcome
                && self.source.live().is_none()
                && let Some(published) = self.instead(&target)
            {
                self.aim(&published)?;
            }
            return Ok(outcome);
        };
        self.hold_again(&held);
        // Until something else is wanted, what should be published is what is.
        let outcome = match self.instead(&target) {
            Some(published) => self.aim(&published)?,
            None => self.search_on(&target)?,
        };
        Ok(match outcome {
            Outcome::Unchanged => Outcome::Held(held),
            // Built again: what is held back still is.
            Outcome::Published(mut report) => {
                report.held = Some(held);
                Outcome::Published(report)
            }
            other => other,
        })
    }

    /// Everything behind knowing which revision should be live.
    pub(super) fn aim(&mut self, target: &Target) -> Result<Outcome, Failure> {
        let mut live = source::look(&self.source.layout).map_err(failed(Stage::Resolve))?;
        // One try: if it fails, passes go on with what still works of the objects.
        let renew = std::mem::take(&mut self.source.compaction.damaged);
        if let Some(tree) = &live
            && !renew
            && self.is_current(tree, target)
        {
            self.confirm(target, tree.commit);
            self.retire(None);
            if self.is_as_its_commit(tree) {
                return Ok(Outcome::Unchanged);
            }
            live = None;
        }
        if live.is_none() {
            self.notice_loss();
        }
        if renew {
            return self.bring_from_nothing(target, live.as_ref());
        }
        match self.bring(target, live.as_ref()) {
            // The object store is a cache: damage in it costs one more fetch, never what is published.
            Err(failure) if failure.damaged => {
                tracing::warn!(
                    "the object store is damaged and is fetched again: {}",
                    failure.failure.message
                );
                self.bring_from_nothing(target, live.as_ref())
            }
            other => other.map_err(|err| err.failure),
        }
    }

    /// Fetches everything anew. The objects that were there stay aside until that has worked: a server that leaves out
    /// an object must not cost the published tree its history.
    fn bring_from_nothing(&mut self, target: &Target, live: Option<&Live>) -> Result<Outcome, Failure> {
        self.source.store.set_aside().map_err(failed(Stage::Fetch))?;
        let brought = self.bring(target, live);
        let swapped = self.source.live() != live.map(|live| live.commit);
        let settled = match brought.is_ok() || swapped {
            true => self.source.store.discard_aside(),
            false => self.source.store.restore(),
        };
        let outcome = brought.map_err(|again| match again.damaged {
            true => {
                let remote = self.source.remote.shown();
                let message = format!("{remote} does not send the whole revision: {}", again.failure.message);
                Failure { message, ..again.failure }
            }
            false => again.failure,
        })?;
        settled.map_err(failed(Stage::Fetch))?;
        self.source.compaction = Compaction::default();
        Ok(outcome)
    }

    /// Does a stage's work and tells how long it took, well or not.
    pub(super) fn time<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = Instant::now();
        let result = work(self);
        *self.took.entry(stage.name()).or_default() += start.elapsed();
        result
    }

    /// Same commit, same settings, same history.
    pub(super) fn is_current(&self, live: &Live, target: &Target) -> bool {
        target.commit == Some(live.commit)
            && self.same_settings(live)
            && self.source.state.of(&live.commit).is_none_or(|known| known.depth == self.source.depth())
    }

    /// Everything between knowing the commit and its being live.
    pub(super) fn bring(&mut self, target: &Target, live: Option<&Live>) -> Result<Outcome, Broken> {
        let (fetched, looked) = self.fetch_and_look(target, live);
        let (commit, root) = fetched?;
        if let Some(live) = live
            && live.commit == commit
            && self.same_settings(live)
        {
            // An id of a tag, or another depth: the tree is right, its history is now too.
            self.remember(target, commit, self.facts_of(&commit))?;
            self.retire(Some(commit));
            return Ok(Outcome::Unchanged);
        }
        let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
        let is_first = self.is_first(target);
        if is_first && let Some(held) = self.held(target) {
            return self.publish_an_older_one(target, commit, held);
        }
        let (listing, converter) =
            match self.time(Stage::Check, |pass| pass.list(&objects, root, live, &looked)) {
                Err(unfit) if is_first && unfit.failure.is_of_the_revision => {
                    return Err(self.serve_an_older_one(target, commit, unfit));
                }
                listed => listed?,
            };
        let held = self.time(Stage::Check, |pass| {
            pass.check(&objects, commit, target, (&listing, converter.as_ref()), live)
        })?;
        if let Some(held) = held {
            return self.held_back(target, commit, held);
        }
        let new = New { commit, listing: &listing, converter: converter.as_ref() };
        let (tree, manifest) = self.time(Stage::Stage, |pass| pass.stage(&objects, &new, live, looked))?;
        let staged = Staged { tree: &tree, commit, root };
        if let Some(held) = self.time(Stage::Check, |pass| pass.ask(&objects, &staged, target))? {
            return self.held_back(target, commit, held);
        }
        // With a converter a manifest has other sizes than the blobs.
        let passed = manifest
            .filter(|_| converter.is_none())
            .map(|manifest| Passed { rules: self.source.rules(), manifest: manifest.to_string() });
        let facts = Facts { bytes: listing.bytes(), passed };
        self.time(Stage::Publish, |pass| pass.publish(&tree, target, commit, live, facts))?;
        let previous = live.map(|live| live.commit);
        let changes = previous.and_then(|previous| self.changes(&objects, previous, root));
        self.time(Stage::Retire, |pass| pass.retire(Some(commit)));
        self.time(Stage::Announce, |pass| pass.announce(&tree, commit, previous));
        self.source.metrics.published(&commit.to_string(), &target.reference, listing.len() as u64);
        Ok(Outcome::Published(Box::new(Report {
            commit: commit.to_string(),
            reference: target.reference.clone(),
            previous: previous.map(|id| id.to_string()),
            files: listing.len(),
            changes,
            bytes: self.bytes,
            took: self.took.clone(),
            held: None,
        })))
    }

    /// **stage**: the tree's files, under a private name, from an expired tree if there is one; its index; its final name,
    /// which no reader knows yet. A crash leaves a private folder, or a whole tree that nothing links to; the next start removes
    /// either.
    fn stage(
        &mut self,
        objects: &Objects,
        revision: &New<'_>,
        live: Option<&Live>,
        looked: Looked,
    ) -> Result<(PathBuf, Option<ObjectId>), Broken> {
        let source = &*self.source;
        let (layout, group) = (&source.layout, source.config.group_write);
        let (new, trash) = (layout.new_tree(), layout.gone());
        let settings = source.settings();
        let spare = source.spare();
        let place = layout.place_for(&revision.commit, spare.as_ref().map(|tree| tree.path.as_path()));
        // What somebody wrote into the spare must not cost another tree its metadata. Where that cannot be known, it is left alone.
        let others = spare.as_ref().map(|tree| retain::metadata_of_others(layout, &tree.path));
        let spare = spare.filter(|_| !matches!(others, Some(Err(_))));
        let others = others.and_then(Result::ok).unwrap_or_default();
        let job = Job {
            store: &layout.store,
            new: &new,
            trash: &trash,
            place: &place,
            commit: &revision.commit,
            listing: revision.listing,
            converter: revision.converter,
            spare: spare
                .as_ref()
                .map(|tree| Help { path: &tree.path, same_settings: tree.settings == settings }),
            current: live.map(|live| Help { path: &live.path, same_settings: self.same_settings(live) }),
            others: &others,
            group_write: group,
            times: source.config.mtime,
            deadline: &self.deadline,
        };
        let built = || -> Result<Done, Broken> {
            let done = job.run(objects, looked).map_err(broken_write)?;
            tracing::debug!(written = done.written, reused = done.reused, "the tree is built");
            if let Some(parent) = place.parent() {
                disk::make_dirs(Point::TreePlaceMake, parent, group)
                    .map_err(on_disk("make the folder", parent))?;
            }
            disk::rename(Point::TreePlaceRename, &new, &place)
                .map_err(on_disk("put in place the tree", &place))?;
            Ok(done)
        };
        let done = match built() {
            Ok(done) => done,
            Err(broken) => {
                // Also the spare that was of no use: on a full volume the next try needs its room.
                let mut removal = retain::Removal::default();
                retain::remove(&source.lock, layout, &new, &mut removal);
                removal.and_swept(retain::sweep(&source.lock, layout));
                self.source.leftovers |= !removal.failed.is_empty();
                return Err(broken);
            }
        };
        self.flush(&place, spare.map(|tree| tree.path).as_deref(), &done)?;
        Ok((place, done.manifest))
    }

    /// **publish**: the link. A crash leaves the old tree or the new one live, both whole.
    fn publish(
        &mut self,
        tree: &Path,
        target: &Target,
        commit: ObjectId,
        live: Option<&Live>,
        facts: Facts,
    ) -> Result<(), Broken> {
        let layout = &self.source.layout;
        if let Err(err) = link::swap(&self.source.lock, layout, tree) {
            // A file server may say that a rename failed which it made, and a flush may fail after it.
            if !matches!(layout.at_link(), Ok(AtLink::Tree { path, .. }) if path == tree) {
                retain::remove(&self.source.lock, layout, tree, &mut retain::Removal::default());
                return Err(Broken::new(Stage::Publish, &err));
            }
            tracing::warn!("{}", Failure::of(Stage::Publish, &err).line());
        }
        if let Some(live) = live {
            let at = seconds(SystemTime::now());
            // Another agent, or we before a crash, may have swapped the link since: then nothing is known of the tree.
            let known = self.source.state.of(&live.commit);
            let (bytes, settings) =
                known.map_or((0, String::new()), |known| (known.bytes, known.settings.clone()));
            // Once, even if it was replaced before and somebody pointed the link back to it.
            let retired = &mut self.source.state.retired;
            retired.retain(|tree| tree.path != live.path);
            retired.push(Retired { path: live.path.clone(), bytes, settings, at });
        }
        self.after_swap();
        // It is live: from here on nothing may fail the pass.
        if let Err(failure) = self.remember(target, commit, facts) {
            tracing::warn!("{}", failure.failure.line());
        }
        Ok(())
    }

    /// What is remembered of the published tree.
    pub(super) fn facts_of(&self, commit: &oid) -> Facts {
        let known = self.source.state.of(commit);
        known.map_or_else(Facts::default, |known| Facts { bytes: known.bytes, passed: known.passed.clone() })
    }

    pub(super) fn remember(&mut self, target: &Target, commit: ObjectId, facts: Facts) -> Result<(), Broken> {
        let source = &mut *self.source;
        source.state.published = Some(Published {
            repo: source.remote.shown().to_owned(),
            wanted: target.wanted.clone(),
            reference: target.reference.clone(),
            commit: commit.to_string(),
            depth: source.depth(),
            settings: source.settings(),
            bytes: facts.bytes,
            passed: facts.passed,
            at: seconds(SystemTime::now()),
        });
        let saved = source.state.save(&source.lock, &source.layout);
        source.leftovers |= saved.is_err();
        saved.map_err(|err| Broken::new(Stage::Publish, &err))
    }

    /// A tree that was taken over, or of which our memory was lost, is taken to be what was asked for.
    pub(super) fn same_settings(&self, live: &Live) -> bool {
        self.source.state.of(&live.commit).is_none_or(|known| known.settings == self.source.settings())
    }

    /// **announce**: whoever wants to know. Nothing here fails a pass.
    fn announce(&mut self, tree: &Path, commit: ObjectId, previous: Option<ObjectId>) {
        let source = &mut *self.source;
        if let Some(path) = &source.config.touch_file
            && let Err(err) = super::files::touch(path)
        {
            source.leftovers = true;
            tracing::warn!("cannot touch `{}`: {err}", path.display());
        }
        source.announcer.published(&Publication {
            source: source.config.name.clone(),
            commit: commit.to_string(),
            previous: previous.map(|id| id.to_string()),
            tree: tree.to_owned(),
        });
    }

    /// Counts files, from the two revisions' tree objects; the previous ones may be gone.
    fn changes(&self, objects: &Objects, previous: ObjectId, root: ObjectId) -> Option<Changes> {
        let store = &self.source.store;
        let (_, before) = store.peel_to_commit(objects, &previous, "").ok()?;
        let limit = usize::try_from(self.source.config.limits.entries).unwrap_or(usize::MAX);
        git::diff::changes(store, objects, &before, &root, limit)
    }
}
