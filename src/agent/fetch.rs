//! **fetch**: objects from the remote into the store, while the disk is looked at.

use std::path::PathBuf;

use gix::ObjectId;
use gix::objs::Exists as _;

use super::failure::{Broken, broken};
use super::pass::Pass;
use super::resolve::Target;
use super::source::Live;
use crate::deadline::Deadline;
use crate::metrics::Stage;
use crate::tree::recycle::{self, Help, Looked};

impl Pass<'_> {
    /// **fetch**, and meanwhile a look at the trees that will help to build the next one: the network leaves the disk idle.
    pub(super) fn fetch_and_look(
        &mut self,
        target: &Target,
        live: Option<&Live>,
    ) -> (Result<(ObjectId, ObjectId), Broken>, Looked) {
        let source = &*self.source;
        let (store, hash) = (source.layout.store.clone(), source.store.hash());
        let spare = source.spare().map(|tree| (tree.path.clone(), tree.settings == source.settings()));
        let current = live.map(|live| (live.path.clone(), self.same_settings(live)));
        let deadline = self.deadline.clone();
        let deadline: &Deadline = &deadline;
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                fn help(tree: &(PathBuf, bool)) -> Help<'_> {
                    Help { path: &tree.0, same_settings: tree.1 }
                }
                recycle::look(&store, hash, spare.as_ref().map(help), current.as_ref().map(help), deadline)
            });
            let fetched = self.time(Stage::Fetch, |pass| pass.fetch(target));
            // What is left of the look when the objects are there is the builder's time.
            let looked = self.time(Stage::Stage, |_| looking.join());
            let looked = looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (fetched, looked)
        })
    }

    /// **fetch**: the commit's objects, into the store, which is a cache. A crash leaves temporary packs. Returns the
    /// commit and its tree.
    fn fetch(&mut self, target: &Target) -> Result<(ObjectId, ObjectId), Broken> {
        let err = broken(Stage::Fetch);
        let depth = self.depth_to_fetch(target);
        let is_first = self.is_first(target);
        let source = &mut *self.source;
        // A first start fetches all that it searches before it looks at any of it, which may take many passes.
        let was_fetched = is_first && source.searched == Some((target.fetch, depth));
        let objects = source.store.objects().map_err(&err)?;
        // Not knowing them costs bytes.
        let kept: Vec<ObjectId> =
            source.kept_commits().unwrap_or_default().into_iter().filter(|id| objects.exists(id)).collect();
        let same_depth = source.state.published.as_ref().is_none_or(|p| p.depth == source.depth());
        let is_here = |id: &ObjectId| source.store.peel_to_commit(&objects, id, "").is_ok();
        // A commit whose tree we keep is complete: back to it without asking anybody.
        let have = target.looked_at
            || target.commit.is_some_and(|commit| kept.contains(&commit)) && same_depth
            || was_fetched && is_here(&target.fetch);
        if !have {
            let haves = if same_depth { &kept[..] } else { &[] };
            let fetched = source.remote.fetch(&source.store, &[target.fetch], haves, depth).map_err(&err)?;
            source.metrics.fetched(fetched.bytes, fetched.objects);
            self.bytes += fetched.bytes;
            self.known = fetched.known;
        }
        if is_first {
            source.searched = Some((target.fetch, depth));
        }
        let objects = source.store.objects().map_err(&err)?;
        source.store.peel_to_commit(&objects, &target.fetch, source.remote.shown()).map_err(&err)
    }
}
