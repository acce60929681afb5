//! The next tree from an expired one: time proportional to the change.
//!
//! The spare is looked at on disk while the new commit is still on its way ([`look`]). Then it leaves the names that readers know and
//! loses its manifest before anything in it changes: from then on it is no tree. What the manifest does not know goes, the
//! [`plan`](super::plan) says what is left to do, and [`write`](super::write) does it. The new manifest is written last; the caller
//! gives the tree its name after that.
//!
//! Without a spare, or with one that cannot be used, the same starts from an empty folder: every file is written, and those that
//! readers already have come with their times.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use gix::ObjectId;
use gix::bstr::BString;

use super::attributes::{Converter, is_name_of_rules};
use super::durable::Touched;
use super::index::Index;
use super::plan::{Mtime, later, plan};
use super::space;
use super::survey::{self, Survey};
use super::write::{self, Apply, Error, failed};
use super::{Listing, Times, manifest};
use crate::deadline::Deadline;
use crate::disk::{self, Point};
use crate::git::store::Objects;

/// A fetch may take long, and a look at a tree is worth less the older it is.
const LOOK_IS_GOOD_FOR: Duration = Duration::from_secs(2);

/// A tree on disk that helps to build the next one.
#[derive(Debug, Clone, Copy)]
pub struct Help<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether it was built with the settings of today: else its bytes and modes say nothing.
    pub same_settings: bool,
}

/// What the disk says of the trees that help.
#[derive(Default)]
pub struct Looked {
    spare: Option<Seen>,
    current: Option<Seen>,
}

impl Looked {
    /// The manifest of the tree that readers hold, if it is the one with this checksum.
    pub fn manifest_of_current(&self, checksum: &gix::oid) -> Option<&Index> {
        let manifest = &self.current.as_ref()?.manifest;
        (manifest.checksum() == Some(checksum)).then_some(manifest)
    }
}

/// Looks at the trees that help, on all cores. Changes nothing, needs no object: it is done while the commit is fetched.
///
/// Of the tree that readers hold only the folders are looked at, unless there is no spare and its files can be cloned.
///
/// A tree that cannot be used is left out; the tree is then built without it.
pub fn look(
    store: &Path,
    hash: gix::hash::Kind,
    spare: Option<Help<'_>>,
    current: Option<Help<'_>>,
    deadline: &Deadline,
) -> Looked {
    std::thread::scope(|scope| {
        let spare = spare.filter(|help| help.same_settings);
        let whole = spare.is_none() && disk::may_clone(store);
        let current = current.map(|help| {
            scope.spawn(move || match whole && help.same_settings {
                true => see_whole(help.path, store, hash, deadline),
                false => see_current(help.path, store, hash),
            })
        });
        let spare = spare.and_then(|help| see_whole(help.path, store, hash, deadline));
        // A panic there is one of ours: no tree is worth hiding it.
        let current =
            current.and_then(|seen| seen.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Looked { spare, current }
    })
}

fn see_whole(tree: &Path, store: &Path, hash: gix::hash::Kind, deadline: &Deadline) -> Option<Seen> {
    let at = Instant::now();
    let manifest = manifest::read_to_hold(tree, store, hash)?;
    let survey = survey::survey(tree, &manifest, deadline);
    let whole = true;
    let survey =
        survey.inspect_err(|err| tracing::debug!("`{}` is of no use: {err}", tree.display())).ok()?;
    Some(Seen { tree: tree.to_owned(), at, whole, manifest, survey, cleared: Vec::new() })
}

/// Only times are taken from the files of the readers' tree, and those are in its manifest.
fn see_current(tree: &Path, store: &Path, hash: gix::hash::Kind) -> Option<Seen> {
    let at = Instant::now();
    let manifest = manifest::read_to_hold(tree, store, hash)?;
    let (whole, survey) = (false, survey::folders(tree, &manifest).ok()?);
    Some(Seen { tree: tree.to_owned(), at, whole, manifest, survey, cleared: Vec::new() })
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
    /// The metadata folders of all trees but the spare.
    pub others: &'a [PathBuf],
    /// Which times it gets.
    pub times: Times,
    /// Files and folders are writable by the group.
    pub group_write: bool,
    /// When to give up.
    pub deadline: &'a Deadline,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Files and links that were written.
    pub written: usize,
    /// Entries of the spare that were used as they were.
    pub reused: usize,
    /// The checksum of the manifest.
    pub manifest: Option<ObjectId>,
    /// What is to be flushed, if anything is.
    pub touched: Touched,
}

/// A tree's manifest, and its disk.
struct Seen {
    tree: PathBuf,
    /// When.
    at: Instant,
    /// Its files too, not its folders alone.
    whole: bool,
    manifest: Index,
    survey: Survey,
    /// What it had too much.
    cleared: Vec<BString>,
}

impl Job<'_> {
    /// Builds the tree at `new`, its manifest included. After an error the caller removes `new`; readers' trees are as they
    /// were, but the spare is used up.
    ///
    /// What readers left in a spare must not fail the build (a `__pycache__` of another uid, a folder without rights, a process
    /// that still writes there): then the tree is built from nothing.
    pub fn run(&self, objects: &Objects, looked: Looked) -> Result<Done, Error> {
        let Looked { spare, current } = looked;
        let current = match self.take_spare(spare)? {
            None => current,
            Some(spare) => match self.build(objects, Some(spare), current) {
                // Something in the spare would not go, or be changed: another uid's, or immutable. A tree of its own will do.
                Err(Error::Disk(err)) => {
                    tracing::debug!("the spare tree cannot be used: {err}");
                    self.discard()?;
                    self.current.and_then(|help| see_current(help.path, self.store, self.commit.kind()))
                }
                // The room that the spare takes up is what a tree of its own needs.
                Err(Error::NoRoom(shortage)) => {
                    tracing::debug!("the spare tree is given up: {shortage}");
                    disk::remove_dir_all(Point::TreeSpareDiscard, self.new).or_else(|_| self.discard())?;
                    self.current.and_then(|help| see_current(help.path, self.store, self.commit.kind()))
                }
                other => return other,
            },
        };
        self.build(objects, None, current)
    }

    /// Each manifest is as large as the tree has names: none is kept longer than it is needed, and the new one is never held.
    fn build(&self, objects: &Objects, spare: Option<Seen>, current: Option<Seen>) -> Result<Done, Error> {
        let anew = self.times == Times::Now;
        let set_times = current.is_some() || spare.is_some() || anew;
        let from = current.as_ref().filter(|seen| seen.whole).map(|seen| seen.tree.clone());
        let readers = current.as_ref().map(|seen| {
            let mut disk = seen.survey.on_disk(&seen.manifest, !anew && self.means_the_same(seen));
            if anew {
                disk.folders.clear();
            }
            disk
        });
        let plan = plan(
            spare.as_ref().map(|seen| seen.survey.on_disk(&seen.manifest, true)).unwrap_or_default(),
            readers.unwrap_or_default(),
            self.listing,
            match self.times {
                Times::Preserve => now(),
                // One time for everything, later than all that was there.
                Times::Now => later(now(), newest(current.as_ref()), newest(spare.as_ref())),
            },
        );
        drop(current);
        let (spare, cleared) = spare.map(|seen| (seen.manifest, seen.cleared)).unzip();
        let cleared = cleared.unwrap_or_default();
        space::check(&plan, self.listing, from.is_some(), self.new.parent().unwrap_or(self.new))?;
        if spare.is_none() {
            disk::make_dirs(Point::TreeNewMake, self.new, self.group_write)
                .map_err(failed("make the folder", self.new))?;
        }
        let admin = manifest::prepare(self.store, self.new, self.place, self.commit, self.group_write)
            .map_err(failed("write the metadata of", self.new))?;
        let done = Apply {
            listing: self.listing,
            plan: &plan,
            from: from.as_deref(),
            set_times,
            group_write: self.group_write,
            deadline: self.deadline,
        }
        .run(objects, self.converter, self.new)?;
        let written = plan.write.len();
        let touched = Touched::of(&plan, self.listing, &cleared, admin.clone());
        drop(plan);
        let hash = self.commit.kind();
        let manifest =
            manifest::write_index(&admin, spare.as_ref(), hash, self.listing, done, self.group_write)
                .map_err(failed("write the index of", self.new))?;
        let reused = self.listing.len() - written;
        Ok(Done { written, reused, manifest: Some(manifest), touched })
    }

    /// Whether the same blob means the same bytes in the tree that readers hold.
    fn means_the_same(&self, current: &Seen) -> bool {
        let same_settings = self.current.is_some_and(|help| help.same_settings);
        same_settings && same_attributes(&current.manifest, self.listing)
    }

    /// Makes the spare private; `None` if there is none that can be used, and then nothing is at `new`.
    fn take_spare(&self, seen: Option<Seen>) -> Result<Option<Seen>, Error> {
        let Some(help) = self.spare else { return Ok(None) };
        // A file server may say that it has not made a rename which it has.
        if disk::rename(Point::TreeSpareTake, help.path, self.new).is_err() && !self.new.exists() {
            return Ok(None);
        }
        // From here on it is no tree any more.
        match manifest::admin_of(self.new, self.store) {
            // Somebody wrote into the spare: its metadata is not its own.
            Some(admin) if self.others.contains(&admin) => {
                self.discard_files()?;
                return Ok(None);
            }
            Some(admin) => remove_admin(&admin).map_err(failed("remove the metadata of", self.new))?,
            None => {}
        }
        let seen =
            seen.filter(|seen| seen.tree == help.path && same_attributes(&seen.manifest, self.listing));
        match seen {
            Some(seen) => match self.clear_spare(seen) {
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
        let admin = manifest::admin_of(self.new, self.store).filter(|admin| !self.others.contains(admin));
        if let Some(admin) = admin {
            remove_admin(&admin).map_err(failed("remove the metadata of", self.new))?;
        }
        self.discard_files()
    }

    fn discard_files(&self) -> Result<(), Error> {
        disk::rename(Point::TreeSpareDiscard, self.new, self.trash).map_err(failed("put aside", self.new))
    }

    /// Removes from the spare what its manifest does not know.
    ///
    /// Readers that are still in it may have written since it was looked at. New files show in the times of their folders; a
    /// file changed in place shows only in its own, so an old look counts for nothing.
    fn clear_spare(&self, mut seen: Seen) -> Result<Seen, Error> {
        if seen.at.elapsed() > LOOK_IS_GOOD_FOR || !seen.survey.has_same_folders(self.new) {
            seen.survey =
                survey::survey(self.new, &seen.manifest, self.deadline).map_err(|err| match err {
                    survey::Error::Io(source) => failed("list", self.new)(source),
                    survey::Error::Expired(expired) => Error::Expired(expired),
                })?;
        }
        write::remove_extras(self.new, &seen.survey.extras)?;
        seen.cleared = seen.survey.forget_extras();
        // It is about to get the `.git` file of the tree that it becomes.
        seen.survey.forget_top();
        Ok(seen)
    }
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
fn same_attributes(manifest: &Index, listing: &Listing) -> bool {
    let before = manifest.entries().filter(|entry| is_name_of_rules(entry.path));
    let after = listing.entries().filter(|entry| is_name_of_rules(entry.path));
    before.map(|entry| (entry.path, entry.id.to_owned())).eq(after.map(|entry| (entry.path, entry.id)))
}

fn newest(seen: Option<&Seen>) -> Option<Mtime> {
    seen.and_then(|seen| seen.survey.on_disk(&seen.manifest, true).entries.map(|known| known.mtime).max())
}

fn now() -> Mtime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Mtime { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() }
}
