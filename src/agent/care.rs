//! Care for what is published: that it is on disk, that our memory calls it by its name, and that it still is its commit.

use std::path::Path;
use std::time::Instant;

use gix::ObjectId;
use gix::objs::Exists as _;

use super::failure::{Broken, Failure, broken_write, failed};
use super::pass::{Outcome, Pass};
use super::resolve::Target;
use super::source::{Live, Source, live};
use crate::error::Remedy;
use crate::metrics::Stage;
use crate::publish::{AtLink, link, retain};
use crate::tree::durable::Flush;
use crate::tree::manifest;
use crate::tree::recycle::Done;
use crate::tree::verify::{self, Bounds, Subject};

/// Paths that a line of the log names.
const SHOWN: usize = 3;

impl Pass<'_> {
    /// Puts the tree that was built at `place`, out of `spare` if there was one, on disk, with its objects. One that cannot be put
    /// there is removed: nobody knows what of it would be there after a power cut.
    pub(super) fn flush(&mut self, place: &Path, spare: Option<&Path>, done: &Done) -> Result<(), Broken> {
        let source = &mut *self.source;
        let mut beside = source.unflushed_objects();
        // The name of a folder `again-<n>`.
        if place.parent() != Some(&source.layout.trees) {
            beside.push(source.layout.trees.clone());
        }
        let inherits = done.reused > 0 && spare.is_some_and(|spare| source.inherited.contains(spare));
        let how = source.disk.decide(source.config.durable, inherits, &done.touched, beside.len());
        if let Err(err) = source.disk.flush(how, place, &done.touched, &beside) {
            retain::remove(&source.lock, &source.layout, place, &mut retain::Removal::default());
            return Err(broken_write(err));
        }
        source.inherited.remove(place);
        if how == Flush::Whole {
            source.inherited.clear();
        }
        if how != Flush::Nothing {
            source.flushed = source.objects_on_disk();
            source.new_root = false;
        }
        Ok(())
    }

    /// The link leads to another tree. Nothing here fails the pass: readers have what they came for.
    pub(super) fn after_swap(&mut self) {
        let source = &mut *self.source;
        if std::mem::take(&mut source.repairing) {
            source.metrics.repaired();
        }
        source.seen = true;
        source.link_unflushed = source.disk.is_durable(source.config.durable);
        // The next pass tries again before it does anything else.
        if let Err(failure) = self.settle_link() {
            tracing::warn!("{}", failure.message);
        }
    }

    /// Puts the last swap on disk, if that has not worked yet.
    pub(super) fn settle_link(&mut self) -> Result<(), Failure> {
        let source = &mut *self.source;
        if source.link_unflushed {
            link::flush(&source.lock, &source.layout).map_err(failed(Stage::Publish))?;
            source.link_unflushed = false;
        }
        Ok(())
    }

    /// What is live was asked for by another name before (a tag, a mirror's URL, git-sync): from here on by this one, so
    /// that a restart without the remote knows that it serves the right thing.
    pub(super) fn confirm(&mut self, target: &Target, commit: ObjectId) {
        let source = &*self.source;
        let published = source.state.of(&commit);
        let known = published.is_some_and(|known| {
            known.repo == source.remote.shown()
                && known.wanted == target.wanted
                && known.reference == target.reference
        });
        if !known {
            if let Err(failure) = self.remember(target, commit, self.facts_of(&commit)) {
                tracing::warn!("{}", failure.failure.message);
            }
            let source = &*self.source;
            source.metrics.published(&commit.to_string(), &target.reference, source.files_of_live());
        }
    }

    /// The remote does not say what should be published. Then it is what was, and readers do not wait for the remote to have that
    /// whole: a link that is gone is made again, a damaged tree is built from the objects that are here.
    pub(super) fn keep_up(&mut self, failure: &Failure) {
        let source = &*self.source;
        let Some(published) = &source.state.published else { return };
        let Some(target) = Target::of_published(published) else { return };
        let commit = target.fetch;
        let here = commit.kind() == source.store.hash()
            && source.store.objects().is_ok_and(|objects| objects.exists(&commit));
        // With another depth its history is not all here, and only the remote has it.
        if failure.remedy == Remedy::Stopped || !here || published.depth != source.depth() {
            return;
        }
        let target = Target { looked_at: true, ..target };
        match self.settle_link().and_then(|()| self.aim(&target)) {
            Ok(Outcome::Published(report)) => {
                tracing::info!(commit = report.commit, "published again, without the remote");
            }
            Ok(_) => {}
            Err(failure) => tracing::warn!("{}", failure.line()),
        }
    }

    /// Nothing whole is published. Once there was: then what comes is a repair.
    pub(super) fn notice_loss(&mut self) {
        let source = &mut *self.source;
        if source.repairing {
            return;
        }
        let what = match source.layout.at_link() {
            Ok(AtLink::Tree { path, .. }) => lost(&path, &source.layout.store),
            Ok(AtLink::Nothing) if source.state.published.is_some() => "the link is gone".to_owned(),
            _ => return,
        };
        tracing::warn!("{what}: what is published is built again");
        source.repairing = true;
    }

    /// Compares a part of the published tree with its commit, when it is time. A tree that differs does not exist any more when this
    /// returns `false`, but readers keep it until another one is there.
    pub(super) fn is_as_its_commit(&mut self, live: &Live) -> bool {
        let source = &mut *self.source;
        let Some(period) = source.config.verify_period else { return true };
        if Instant::now() < source.verify_at {
            return true;
        }
        source.verify_at = Instant::now() + period;
        // Damage in the store is found, and mended, when something is fetched into it.
        let Ok(objects) = source.store.objects() else { return true };
        let root = source.store.peel_to_commit(&objects, &live.commit, "").ok().map(|(_, root)| root);
        let subject = Subject {
            tree: &live.path,
            store: &source.layout.store,
            commit: &live.commit,
            root,
            checkout: source.config.checkout,
            group_write: source.config.group_write,
            holds_modes: source.holds_modes,
            limits: &source.config.limits,
        };
        let started = Instant::now();
        let damage =
            verify::part(&subject, &objects, &mut source.verified, Bounds::default(), &self.deadline);
        tracing::debug!(took = ?started.elapsed(), "a part of the published tree was verified");
        if damage.is_empty() {
            return true;
        }
        let named: Vec<String> = damage.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = if damage.len() > SHOWN { ", …" } else { "" };
        tracing::warn!(
            "the published tree is not its commit any more and is built again: {}{more}",
            named.join(", ")
        );
        source.disown(&live.path);
        false
    }
}

/// What is lost of a tree that is not whole, in words: its files may all be there, and what says so may not.
fn lost(tree: &Path, store: &Path) -> String {
    let shown = tree.display();
    if !tree.is_dir() {
        return format!("the tree `{shown}` is gone");
    }
    if manifest::admin_of(tree, store).is_some() {
        return format!("the tree `{shown}` is not whole");
    }
    if !tree.join(".git").is_file() {
        return format!("the tree `{shown}` is not whole: its `.git` file is gone");
    }
    let lost = if store.join("worktrees").is_dir() { "its metadata in" } else { "the object store" };
    format!("the tree `{shown}` is there, but {lost} `{}` is gone", store.display())
}

impl Source {
    /// Looks at the tree that an earlier process published, until the disk has said how it is. Whether nothing is left to do about
    /// damage that was found.
    pub(super) fn look_for_damage(&mut self) -> bool {
        if self.seen {
            return true;
        }
        // None may also be for want of an answer, so that counts for nothing. What this process publishes needs no look.
        let Some((commit, tree)) = live(&self.layout) else { return true };
        match manifest::damage(&tree, &self.layout.store, commit.kind()) {
            Ok(None) => self.seen = true,
            Ok(Some(reason)) => {
                tracing::warn!("the published tree is damaged and is built again: {reason}");
                self.seen = true;
                self.damaged = Some(tree);
                self.repairing = true;
            }
            Err(reason) => tracing::debug!("cannot look at the published tree yet: {reason}"),
        }
        self.disown_damaged()
    }

    /// Makes the published tree one that does not exist: this pass, or the next one that can, builds it again beside it.
    pub(super) fn disown(&mut self, tree: &Path) {
        self.repairing = true;
        self.damaged = Some(tree.to_owned());
        self.leftovers |= !self.disown_damaged();
    }

    /// Makes the tree that was found damaged one that does not exist, so that the next pass builds it again. Whether there is
    /// nothing left to do.
    pub(super) fn disown_damaged(&mut self) -> bool {
        let Some(tree) = &self.damaged else { return true };
        // A tree that cannot be seen for a moment is still the readers'.
        let disowned = match self.layout.at_link() {
            Ok(AtLink::Tree { path, .. }) if path == *tree => {
                manifest::disown(tree, &self.layout.store).map_err(|err| err.to_string())
            }
            other => other.map(drop).map_err(|err| err.to_string()),
        };
        if let Err(err) = disowned {
            tracing::warn!("cannot remove the index of the damaged tree: {err}");
            return false;
        }
        self.damaged = None;
        true
    }
}
