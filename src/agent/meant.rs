//! What people say in the messages of the commits that they push.

use std::collections::{BTreeSet, VecDeque};

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice as _};

use super::failure::{Broken, broken};
use super::gate::{HISTORY, PUSHED};
use super::pass::Pass;
use super::replay::WINDOW;
use crate::check::verdict::is_shrink_meant;
use crate::git::store::{Objects, Store};
use crate::metrics::Stage;

/// Commits that are reached from one, and whether more would be if more of the history were here.
struct Reached {
    commits: BTreeSet<ObjectId>,
    is_cut: bool,
}

impl Reached {
    /// Up to `most` commits, without those `but` some and what those were made of.
    fn from(
        commit: ObjectId,
        but: &BTreeSet<ObjectId>,
        most: usize,
        store: &Store,
        objects: &Objects,
    ) -> Reached {
        let mut reached = Reached { commits: BTreeSet::new(), is_cut: false };
        let mut open = VecDeque::from([commit]);
        while let Some(at) = open.pop_front() {
            if but.contains(&at) || reached.commits.contains(&at) {
                continue;
            }
            match store.parents(objects, &at) {
                Ok(parents) if reached.commits.len() < most => {
                    reached.commits.insert(at);
                    open.extend(parents);
                }
                _ => reached.is_cut = true,
            }
        }
        reached
    }
}

impl Pass<'_> {
    /// The message of a commit that says that DAGs are to go: one that readers would get with `commit` and do not have with `before`,
    /// the branches that were merged included. A push has many commits, and whoever writes the line writes it where the DAGs go.
    pub(super) fn message_that_means_it(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        before: ObjectId,
    ) -> Result<Option<BString>, Broken> {
        let (said, is_cut) = self.message_among(objects, commit, before);
        if said.is_some() || !is_cut || self.source.config.depth.is_none() {
            return Ok(said);
        }
        // With little history the commits between are not here. That is asked for once: what is held back is remembered.
        let source = &mut *self.source;
        let fetched = source.remote.fetch(&source.store, &[commit], &[commit], Some(WINDOW));
        let fetched = fetched.map_err(broken(Stage::Fetch))?;
        source.metrics.fetched(fetched.bytes, fetched.objects);
        self.bytes += fetched.bytes;
        let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
        Ok(self.message_among(&objects, commit, before).0)
    }

    /// The same in the history that is here, and whether more of it might say more.
    fn message_among(
        &self,
        objects: &Objects,
        commit: ObjectId,
        before: ObjectId,
    ) -> (Option<BString>, bool) {
        let store = &self.source.store;
        let old = Reached::from(before, &BTreeSet::new(), HISTORY, store, objects);
        let new = Reached::from(commit, &old.commits, PUSHED, store, objects);
        let is_built_upon = store.is_ancestor(objects, &before, &commit, PUSHED);
        // Of two branches whose common past is not here nobody knows what is new.
        if old.is_cut && !is_built_upon {
            return (None, new.is_cut);
        }
        let mut messages = new.commits.iter().filter_map(|commit| store.message(objects, commit).ok());
        (messages.find(|message| is_shrink_meant(message.as_bstr())), new.is_cut)
    }
}
