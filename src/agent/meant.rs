//! What people say in the messages of the commits that they push.

use std::collections::{BTreeSet, VecDeque};

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice as _};
use gix::objs::Exists as _;

use super::failure::{Broken, broken};
use super::gate::{HISTORY, PUSHED};
use super::pass::Pass;
use super::replay::WINDOW;
use crate::check::verdict::is_shrink_meant;
use crate::git;
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

/// Whether a remote has answered that it does not give a commit away.
fn is_answer(err: &git::Error) -> bool {
    matches!(err, git::Error::ServerSaid { .. } | git::Error::Local { .. })
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
        if said.is_some() || !is_cut || !self.has_little_history() {
            return Ok(said);
        }
        // With little history the commits between are not here. That is asked for once: what is held back is remembered.
        let objects = self.deepen(commit, &[commit]).map_err(broken(Stage::Fetch))?;
        Ok(self.message_among(&objects, commit, before).0)
    }

    /// Whether `commit` is in the history of `from`, with so much more of it fetched as it takes to know. That of `commit` comes first: of
    /// nearly every push it has `from`, and then nothing else is asked for.
    pub(super) fn is_older(&mut self, commit: ObjectId, from: ObjectId) -> Result<bool, Broken> {
        if !self.has_little_history() || commit.kind() != from.kind() {
            return Ok(false);
        }
        for of in [commit, from] {
            let store = &self.source.store;
            let mut objects = store.objects().map_err(broken(Stage::Check))?;
            if Reached::from(of, &BTreeSet::new(), HISTORY, store, &objects).is_cut {
                let haves: Vec<ObjectId> =
                    [commit, from].into_iter().filter(|id| objects.exists(id)).collect();
                match self.deepen(of, &haves) {
                    Ok(deeper) => objects = deeper,
                    // After a forced push a server may not have it any more.
                    Err(err) if of == from && is_answer(&err) => {
                        tracing::warn!(
                            "nobody can tell any more whether {commit} is older than {from}: {err}"
                        );
                        return Ok(false);
                    }
                    Err(err) => return Err(broken(Stage::Fetch)(err)),
                }
            }
            let store = &self.source.store;
            if store.is_ancestor(&objects, &from, &commit, PUSHED) {
                return Ok(false);
            }
            if store.is_ancestor(&objects, &commit, &from, HISTORY) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there may be more history within what is looked at than is fetched with each commit.
    fn has_little_history(&self) -> bool {
        self.source.config.depth.is_some_and(|depth| depth < WINDOW)
    }

    /// Fetches some history of a commit: more than `--depth` says.
    fn deepen(&mut self, commit: ObjectId, haves: &[ObjectId]) -> Result<Objects, git::Error> {
        let source = &mut *self.source;
        let fetched = source.remote.fetch(&source.store, &[commit], haves, Some(WINDOW))?;
        source.metrics.fetched(fetched.bytes, fetched.objects);
        self.bytes += fetched.bytes;
        self.source.store.objects()
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
