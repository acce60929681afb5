//! **check**, first half: what is in a revision's tree, and whether it may be written.

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

use super::failure::{Broken, Failure, broken_tree};
use super::pass::Pass;
use super::source::Live;
use crate::config::Submodules;
use crate::error::Remedy;
use crate::git::known::Remembering;
use crate::git::store::Objects;
use crate::metrics::Stage;
use crate::tree::attributes::Converter;
use crate::tree::recycle::Looked;
use crate::tree::{self, Earlier, Listing, write};

impl Pass<'_> {
    /// What is in the tree, within bounds, and how it is converted. Reads objects only.
    pub(super) fn list(
        &mut self,
        objects: &Objects,
        root: ObjectId,
        live: Option<&Live>,
        looked: &Looked,
    ) -> Result<(Listing, Option<Converter>), Broken> {
        let known = std::mem::take(&mut self.known);
        let source = &*self.source;
        let (limits, policy) = (&source.config.limits, source.tree_policy());
        let manifest = live.and_then(|live| looked.manifest_of_current(&source.vouched(&live.commit)?));
        let before = live.and_then(|live| source.store.peel_to_commit(objects, &live.commit, "").ok());
        let earlier = manifest.zip(before.as_ref()).map(|(manifest, (_, root))| Earlier { root, manifest });
        let objects = &Remembering { known: &known, objects };
        let walked = tree::walk_after(earlier, objects, &root, limits, &policy, self.deadline.interrupt());
        let listing = walked.map_err(|err| match (err, self.deadline.check()) {
            (tree::Error::Interrupted, Err(expired)) => {
                Broken::new(Stage::Check, &write::Error::Expired(expired))
            }
            (err, _) => broken_tree(Stage::Check)(err).of_the_revision(),
        })?;
        if listing.has_submodules() && source.config.submodules != Submodules::Off {
            let path = listing.entries().find(|entry| entry.kind == tree::Kind::Submodule);
            let path = path.map(|entry| entry.path.to_str_lossy().into_owned()).unwrap_or_default();
            let failure = Failure::new(
                Stage::Check,
                &format!("the revision has a submodule at `{path}`, which is not supported yet"),
                Some("`--submodules=off` publishes it with that folder empty"),
                Remedy::Human,
            );
            return Err(Broken::from(failure).of_the_revision());
        }
        let converter = Converter::new(&listing, objects.objects, source.config.checkout)
            .map_err(|err| broken_tree(Stage::Check)(err).of_the_revision())?;
        Ok((listing, converter))
    }
}
