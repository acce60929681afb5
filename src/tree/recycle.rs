//! The next tree from an expired one: time proportional to the change.
//!
//! The spare leaves the names that readers know and loses its manifest before anything in it changes: from then on it is no tree.
//! It is looked at on disk, what the manifest does not know goes, the [`plan`](super::plan) says what is left to do, and
//! [`write`](super::write) does it. The new manifest is written last; the caller gives the tree its name after that.
//!
//! Without a spare, or with one that cannot be used, the same starts from an empty folder: every file is written, and those that
//! readers already have come with their times.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use gix::bstr::{BStr, ByteSlice as _};
use gix::index::State;
use gix::index::entry::Stat;

use super::attributes::Converter;
use super::plan::{Mtime, OnDisk, plan};
use super::survey::{self, Survey};
use super::write::{self, Apply, Error, failed};
use super::{Kind, Listing, manifest};
use crate::deadline::Deadline;
use crate::disk::{self, Point};
use crate::git::store::Objects;

/// A tree on disk that helps to build the next one.
#[derive(Debug, Clone, Copy)]
pub struct Help<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether it was built with the settings of today: else its bytes and modes say nothing.
    pub same_settings: bool,
}

/// What to build, where, from what.
pub struct Job<'a> {
    /// The object store's folder.
    pub store: &'a Path,
    /// Where it is built: a private path that does not exist.
    pub new: &'a Path,
    /// Where a spare goes that turns out to be of no use: another private path, which the next sweep removes.
    pub trash: &'a Path,
    /// Where it will be.
    pub place: &'a Path,
    /// For which commit.
    pub commit: &'a gix::oid,
    /// What goes into it.
    pub listing: &'a Listing,
    /// What changes bytes on the way.
    pub converter: Option<&'a Converter>,
    /// An expired tree, to be used up.
    pub spare: Option<Help<'a>>,
    /// The tree that readers hold.
    pub current: Option<Help<'a>>,
    /// Files and folders are writable by the group.
    pub group_write: bool,
    /// When to give up.
    pub deadline: &'a Deadline,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Files and links that were written.
    pub written: usize,
    /// Entries of the spare that were used as they were.
    pub reused: usize,
}

/// A tree's manifest, and its disk.
struct Seen {
    manifest: State,
    survey: Survey,
}

impl Job<'_> {
    /// Builds the tree at `new`, its manifest included. After an error the caller removes `new`; readers' trees are as they
    /// were, but the spare is used up.
    ///
    /// What readers left in a spare must not fail the build (a `__pycache__` of another uid, a folder without rights, a process
    /// that still writes there): then the tree is built from nothing.
    pub fn run(&self, objects: &Objects) -> Result<Done, Error> {
        let current = self.current.and_then(|help| self.see_current(help));
        if let Some(spare) = self.take_spare()? {
            match self.build(objects, Some(spare), current.as_ref()) {
                // Something in the spare would not go, or be changed: another uid's, or immutable. A tree of its own will do.
                Err(Error::Disk(err)) => {
                    tracing::debug!("the spare tree cannot be used: {err}");
                    self.discard()?;
                }
                other => return other,
            }
        }
        disk::make_dirs(Point::TreeNewMake, self.new, self.group_write)
            .map_err(failed("make the folder", self.new))?;
        self.build(objects, None, current.as_ref())
    }

    fn build(
        &self,
        objects: &Objects,
        spare: Option<Seen>,
        current: Option<&(Seen, bool)>,
    ) -> Result<Done, Error> {
        let (none, nobody) = (OnDisk::default(), OnDisk::default());
        let spare_disk = spare.as_ref().map(|seen| seen.survey.on_disk(&seen.manifest));
        let current_disk = current.map(|(seen, same)| {
            let mut disk = seen.survey.on_disk(&seen.manifest);
            if !same {
                // The same blobs became other bytes: nothing is the same for readers.
                disk.entries.iter_mut().for_each(|known| known.intact = false);
            }
            disk
        });
        let plan = plan(
            spare_disk.as_ref().unwrap_or(&none),
            current_disk.as_ref().unwrap_or(&nobody),
            self.listing.entries(),
            now(),
        );
        let admin = manifest::prepare(self.store, self.new, self.place, self.commit, self.group_write)
            .map_err(failed("write the metadata of", self.new))?;
        let done = Apply {
            listing: self.listing,
            plan: &plan,
            set_times: current.is_some() || spare.is_some(),
            group_write: self.group_write,
            deadline: self.deadline,
        }
        .run(objects, self.converter, self.new)?;
        let stats = self.stats(&done, spare.as_ref());
        drop((spare_disk, current_disk));
        drop(spare);
        manifest::write_index(&admin, self.commit.kind(), self.listing, &stats, self.group_write)
            .map_err(failed("write the index of", self.new))?;
        Ok(Done { written: plan.write.len(), reused: self.listing.entries().len() - plan.write.len() })
    }

    /// Makes the spare private and looks at it; `None` if there is none that can be used, and then nothing is at `new`.
    fn take_spare(&self) -> Result<Option<Seen>, Error> {
        let Some(help) = self.spare else { return Ok(None) };
        let manifest = read_manifest(help.path, self.store, self.commit.kind(), true);
        // A file server may say that it has not made a rename which it has.
        if disk::rename(Point::TreeSpareTake, help.path, self.new).is_err() && !self.new.exists() {
            return Ok(None);
        }
        // From here on it is no tree any more.
        let readers = self.current.and_then(|help| manifest::admin_of(help.path, self.store));
        match manifest::admin_of(self.new, self.store) {
            // Somebody wrote into the spare: its metadata is not its own.
            Some(admin) if Some(&admin) == readers.as_ref() => {
                self.discard_files()?;
                return Ok(None);
            }
            Some(admin) => remove_admin(&admin).map_err(failed("remove the metadata of", self.new))?,
            None => {}
        }
        match manifest.filter(|m| help.same_settings && same_attributes(m, self.listing)) {
            Some(manifest) => match self.look_at_spare(manifest) {
                Ok(seen) => return Ok(Some(seen)),
                Err(err @ Error::Expired(_)) => return Err(err),
                Err(err) => tracing::debug!("the spare tree cannot be used: {err}"),
            },
            None => tracing::debug!("the spare tree was built in another way"),
        }
        self.discard()?;
        Ok(None)
    }

    /// What is at `new` is of no use: out of the way with it.
    fn discard(&self) -> Result<(), Error> {
        if let Some(admin) = manifest::admin_of(self.new, self.store) {
            remove_admin(&admin).map_err(failed("remove the metadata of", self.new))?;
        }
        self.discard_files()
    }

    fn discard_files(&self) -> Result<(), Error> {
        disk::rename(Point::TreeSpareDiscard, self.new, self.trash).map_err(failed("put aside", self.new))
    }

    fn look_at_spare(&self, manifest: State) -> Result<Seen, Error> {
        let mut survey = survey::survey(self.new, &manifest, self.deadline).map_err(|err| match err {
            survey::Error::Io(source) => failed("list", self.new)(source),
            survey::Error::Expired(expired) => Error::Expired(expired),
        })?;
        write::remove_extras(self.new, &survey.extras)?;
        survey.forget_extras();
        // It is about to get the `.git` file of the tree that it becomes.
        survey.forget_top();
        Ok(Seen { manifest, survey })
    }

    /// The readers' tree, and whether the same blob means the same bytes in it.
    fn see_current(&self, help: Help<'_>) -> Option<(Seen, bool)> {
        // Only times are taken from it: a wrong bit costs a file that is parsed again.
        let manifest = read_manifest(help.path, self.store, self.commit.kind(), false)?;
        let survey = survey::folders(help.path, &manifest).ok()?;
        let same = help.same_settings && same_attributes(&manifest, self.listing);
        Some((Seen { manifest, survey }, same))
    }

    /// What the new manifest says of each entry: what was worked on, and what the spare's said of the rest.
    fn stats(&self, done: &[(usize, Stat)], spare: Option<&Seen>) -> Vec<Stat> {
        let mut stats = vec![Stat::default(); self.listing.entries().len()];
        if let Some(seen) = spare {
            let mut known = seen.manifest.entries().iter().peekable();
            for (entry, stat) in self.listing.entries().iter().zip(&mut stats) {
                while known.next_if(|old| old.path(&seen.manifest) < entry.path.as_bstr()).is_some() {}
                let old = known.next_if(|old| old.path(&seen.manifest) == entry.path.as_bstr());
                // A submodule is a folder: the manifest says nothing of it, whatever was at its path before.
                if let Some(old) = old.filter(|_| entry.kind != Kind::Submodule) {
                    *stat = old.stat;
                }
            }
        }
        for (at, stat) in done {
            stats[*at] = *stat;
        }
        stats
    }
}

/// A damaged one, or one of another hash, is as good as none: the tree is then built from nothing.
fn read_manifest(tree: &Path, store: &Path, hash: gix::hash::Kind, verified: bool) -> Option<State> {
    let index = manifest::admin_of(tree, store)?.join("index");
    let file = gix::index::File::at(index, hash, !verified, gix::index::decode::Options::default()).ok()?;
    Some(file.into_parts().0)
}

/// The manifest first, then the rest.
fn remove_admin(admin: &Path) -> io::Result<()> {
    match disk::remove_file(Point::TreeSpareIndex, &admin.join("index")) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    disk::remove_dir_all(Point::TreeSpareAdmin, admin)
}

/// Whether the rules that change bytes are the same: every `.gitattributes`, by path and content.
fn same_attributes(manifest: &State, listing: &Listing) -> bool {
    let is_rule = |path: &BStr| path == ".gitattributes" || path.ends_with(b"/.gitattributes");
    let before = manifest
        .entries()
        .iter()
        .map(|entry| (entry.path(manifest), entry.id.as_ref()))
        .filter(|(path, _)| is_rule(path));
    let after = listing
        .entries()
        .iter()
        .map(|entry| (entry.path.as_bstr(), entry.id.as_ref()))
        .filter(|(path, _): &(&BStr, &gix::oid)| is_rule(path));
    before.eq(after)
}

fn now() -> Mtime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Mtime { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() }
}
