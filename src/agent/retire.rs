//! **retire**: trees past their time, and objects that no tree needs.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gix::ObjectId;

use super::failure::Failure;
use super::pass::Pass;
use crate::error::Remedy;
use crate::git;
use crate::publish::retain::Removal;
use crate::publish::state::{Retired, seconds};
use crate::publish::{AtLink, retain};

/// After making few packs of many failed: so many more packs until it is tried again.
const PACKS_LATER: usize = 10;

/// What came of the last try to make few packs of many.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// It failed: not again with fewer packs than this.
    not_before: usize,
    /// It met damage in something that is still needed: the next pass fetches everything again, once.
    pub(super) damaged: bool,
    /// That was reported.
    warned: bool,
}

impl Compaction {
    fn failed(&mut self, packs: usize, err: &git::pack::Error, ours: bool) {
        self.not_before = packs + PACKS_LATER;
        if !matches!(err, git::pack::Error::Damaged(_)) {
            tracing::debug!("cannot make one pack of many: {err}");
            return;
        }
        // Somebody's repository is not given up for the sake of fewer packs.
        self.damaged = ours;
        if !std::mem::replace(&mut self.warned, true) {
            let then = if ours { "is fetched again" } else { "its packs stay as they are" };
            tracing::warn!("the object store is damaged and {then}: {err}");
        }
    }
}

impl Pass<'_> {
    /// **retire**: trees past their time go. What cannot be removed is counted and tried again; nothing here fails a pass.
    /// `published` is the new commit, if there is one: then the shallow list and strays are tidied too.
    pub(super) fn retire(&mut self, published: Option<ObjectId>) {
        let Some(mut removal) = self.expire(published.is_some()) else {
            // What is left undone here nobody else does before the next publication.
            self.source.leftovers |= published.is_some();
            return;
        };
        let source = &mut *self.source;
        let mut untidy = source.leftovers && !source.tidy();
        let all = published.is_some() || source.leftovers;
        if all {
            removal.and_swept(retain::sweep(&source.lock, &source.layout));
        }
        source.tell_removal(&removal);
        if all {
            untidy |= !self.retire_objects(published.is_some());
        }
        self.source.leftovers = untidy || !removal.failed.is_empty();
    }

    /// The same after a pass that published nothing: what is past its time may be the room that the next one needs. If there was
    /// none and nothing is past its time, what is kept for the next build goes: built from nothing it is still built.
    pub(super) fn retire_unpublished(&mut self, failure: Option<&Failure>) {
        let is_stopped = failure.is_some_and(|failure| failure.remedy == Remedy::Stopped);
        if is_stopped || self.settle_link().is_err() {
            return;
        }
        let Some(mut removal) = self.expire(false) else { return };
        let source = &mut *self.source;
        if removal.removed == 0 && failure.is_some_and(|failure| failure.asks_for_room) {
            source.give_up_spares(&mut removal);
        }
        if removal.removed > 0 {
            source.measure_disk();
        }
        source.tell_removal(&removal);
        source.leftovers |= !removal.failed.is_empty();
    }

    /// Trees past their time leave. `None` if nobody can say which these are.
    fn expire(&mut self, published: bool) -> Option<Removal> {
        let source = &mut *self.source;
        // After a power cut the link may still lead to the tree that was replaced.
        if source.link_unflushed {
            return None;
        }
        let Ok(AtLink::Tree { path: live, .. }) = source.layout.at_link() else { return None };
        let now = seconds(SystemTime::now());
        let trees: HashSet<PathBuf> = match source.layout.trees() {
            Ok(trees) => trees.into_iter().map(|(path, _)| path).collect(),
            // A tree that we do not see now would be forgotten, and its commit's history with it.
            Err(err) => {
                source.leftovers = true;
                let folder = source.layout.trees.clone();
                source.tell_removal(&Removal { removed: 0, failed: vec![(folder, err.to_string())] });
                return None;
            }
        };
        let before = source.state.retired.clone();
        source.state.retired.retain(|tree| trees.contains(&tree.path) && tree.path != live);
        let known: HashSet<PathBuf> = source.state.retired.iter().map(|tree| tree.path.clone()).collect();
        // Trees of an earlier agent, or of a crash between swap and save: replaced now, as far as we know.
        let unknown = trees.iter().filter(|path| **path != live && !known.contains(*path));
        // The one that was replaced a moment ago stays the youngest: readers had it until then.
        let end = source.state.retired.len().saturating_sub(usize::from(published));
        source.state.retired.splice(end..end, unknown.map(|path| Retired::unknown(path.clone(), now)));
        let doomed = retain::doomed(&source.state.retired, &live, source.policy(), now);
        let mut removal = Removal::default();
        let parked = source.park(&doomed, &mut removal);
        for tree in doomed.iter().filter(|tree| Some(*tree) != parked.as_ref()) {
            retain::remove(&source.lock, &source.layout, tree, &mut removal);
        }
        // One that will not go keeps its age.
        source.state.retired.retain(|tree| !doomed.contains(&tree.path) || may_be_there(&tree.path));
        if source.state.retired != before
            && let Err(err) = source.state.save(&source.lock, &source.layout)
        {
            // The next good pass saves it, with all that is to be tidied.
            source.leftovers = true;
            tracing::warn!("{err}");
        }
        Some(removal)
    }

    /// What no tree needs any more. Whether the next pass need not try again.
    fn retire_objects(&mut self, published: bool) -> bool {
        let source = &mut *self.source;
        let Ok(kept) = source.kept_commits() else { return false };
        let tidied = source.store.objects().and_then(|objects| source.store.tidy_shallow(&objects, &kept));
        // Once more, soon: objects that are lost would make it fail for ever.
        let tidy = tidied.is_ok() || !published;
        match tidied {
            Ok(commits) => tracing::debug!(commits, "tidied the shallow list"),
            Err(err) => tracing::debug!("cannot tidy the shallow list: {err}"),
        }
        let mut usage = source.store.usage();
        let packs = usage.packs;
        if packs >= source.compaction.not_before {
            let compacted = git::pack::compact(&source.store, &kept, self.deadline.interrupt());
            if !matches!(compacted, Ok(None)) {
                usage = source.store.usage();
            }
            match compacted {
                Ok(done) => {
                    source.compaction = Compaction::default();
                    if let Some(done) = done {
                        tracing::debug!(packs = done.packs, dropped = done.dropped, "made one pack of many");
                    }
                }
                // They do no harm but to speed.
                Err(err) => source.compaction.failed(packs, &err, source.store.is_ours()),
            }
        }
        source.tell_disk(usage);
        tidy
    }
}

/// Only the disk's word that it is gone counts.
fn may_be_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(err) if err.kind() == io::ErrorKind::NotFound)
}
