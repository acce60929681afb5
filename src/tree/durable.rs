//! What must be on disk before the link moves, and how it gets there.
//!
//! A rename is not on disk before the file's content unless somebody says so: ext4 and its kin write a new file's bytes half a
//! minute after its name. After a power cut the link would lead to a tree of empty files. So the tree, its manifest and the commit's
//! objects are flushed first, and the link's folder after the swap.
//!
//! Two ways lead there. `fsync` of each file costs 0.1 ms a file and touches nobody else's data. `syncfs` costs one call, and also
//! writes whatever other programs have not written yet: on the disk of a node that is anybody's guess. [`Flush::decide`] chooses;
//! the numbers behind it are in `docs/durability.md`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::Advice;

use super::plan::{Plan, parent};
use super::write::{Error, failed, join};
use super::{Durable, Kind, Listing};
use crate::disk::{self, Point};

/// More files and folders than this go with one `syncfs`: up to here each of its own takes 15 ms at most on a quiet disk.
const MANY: usize = 128;
/// `f_type` of file systems that do not outlive the power.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// What to do about what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Nothing.
    Nothing,
    /// `fsync` of each file and folder.
    Each,
    /// `syncfs` of the root's file system.
    Whole,
}

impl Flush {
    /// The policy. `in_memory`: the root's file system does not outlive the power. `inherits`: the tree is made of files of an earlier
    /// process, which may have been killed or told not to flush, so that they can still be on their way. `touched`: files and
    /// folders that changed.
    pub fn decide(mode: Durable, in_memory: bool, inherits: bool, touched: usize) -> Flush {
        match mode {
            Durable::Off => Flush::Nothing,
            Durable::Auto if in_memory => Flush::Nothing,
            Durable::Auto | Durable::On if inherits || touched > MANY => Flush::Whole,
            Durable::Auto | Durable::On => Flush::Each,
        }
    }
}

/// What a build changed below its tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// How many files and folders.
    pub count: usize,
    /// Which, relative to the tree, files first; empty when there are so many that nobody flushes them one by one.
    pub paths: Vec<PathBuf>,
    /// The tree's metadata folder.
    pub admin: PathBuf,
}

impl Touched {
    /// What this plan changes. Times alone do not count: a tree that lost them is looked at more closely, and is right.
    /// `cleared` are paths that a spare had too much.
    pub(super) fn of(plan: &Plan, listing: &Listing, cleared: &[BString], admin: PathBuf) -> Touched {
        let rough = plan.write.len() + plan.remove.len() + plan.make_folders.len() + cleared.len();
        if rough > MANY {
            return Touched { count: rough, paths: Vec::new(), admin };
        }
        // The top folder too: it has a new `.git`.
        let mut folders: BTreeSet<&BStr> = BTreeSet::from([BStr::new("")]);
        let mut files = vec![PathBuf::from(".git")];
        for work in &plan.write {
            let entry = listing.entry(work.entry);
            folders.insert(parent(entry.path));
            // A link has no content of its own: it is in its folder.
            if entry.kind != Kind::Symlink {
                files.push(join(Path::new(""), entry.path));
            }
        }
        let gone =
            plan.remove.iter().chain(&plan.remove_folders).chain(cleared).map(|path| parent(path.as_ref()));
        let made = plan.make_folders.iter().flat_map(|path| [path.as_bstr(), parent(path.as_ref())]);
        folders.extend(gone.chain(made));
        // A folder that went away with what was in it has nothing to flush.
        let lost: BTreeSet<&BStr> = plan.remove_folders.iter().map(|path| path.as_bstr()).collect();
        let folders = folders.difference(&lost).map(|folder| join(Path::new(""), folder));
        let paths: Vec<PathBuf> = files.into_iter().chain(folders).collect();
        Touched { count: paths.len(), paths, admin }
    }
}

/// The disk below a root.
#[derive(Debug)]
pub struct Disk {
    /// Open since before the first write: `syncfs` tells of failed writes since then, even of those that the kernel tried on its own.
    root: File,
    in_memory: bool,
}

impl Disk {
    /// Opens it. Nothing is flushed.
    pub fn open(root: &Path) -> io::Result<Disk> {
        let root = File::open(root)?;
        let kind = rustix::fs::fstatfs(&root)?.f_type;
        // The type is signed on some machines and as wide as a word; the numbers have 32 bits.
        let in_memory = IN_MEMORY.contains(&(kind as u64 & 0xffff_ffff));
        Ok(Disk { root, in_memory })
    }

    /// Whether anything is flushed at all.
    pub fn is_durable(&self, mode: Durable) -> bool {
        Flush::decide(mode, self.in_memory, false, 0) != Flush::Nothing
    }

    /// What is to be done about a tree that was built, and so many files and folders beside it; see [`Flush::decide`].
    pub fn decide(&self, mode: Durable, inherits: bool, touched: &Touched, beside: usize) -> Flush {
        Flush::decide(mode, self.in_memory, inherits, touched.count + beside)
    }

    /// Flushes the tree at `place` and what belongs to it, `beside`: new objects, and the folders that got a name. An error means
    /// that some of it is not on disk, nobody knows what: the tree must not be published.
    pub fn flush(
        &self,
        how: Flush,
        place: &Path,
        touched: &Touched,
        beside: &[PathBuf],
    ) -> Result<(), Error> {
        match how {
            Flush::Nothing => {}
            Flush::Whole => {
                disk::sync_volume(Point::TreePlaceFlush, &self.root).map_err(failed("flush", place))?;
            }
            Flush::Each => {
                let tree = touched.paths.iter().map(|path| place.join(path));
                let admin = ["HEAD", "commondir", "gitdir", "index", ""].map(|name| touched.admin.join(name));
                let above = [place.parent(), touched.admin.parent()].into_iter().flatten();
                let all = tree.chain(admin).chain(beside.iter().cloned()).chain(above.map(Path::to_owned));
                each(&all.collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }
}

/// Flushes files and folders, one after the other.
fn each(paths: &[PathBuf]) -> Result<(), Error> {
    // Begun for all before any is waited for: else each costs the file system a transaction of its own. "Not needed" is how to say
    // that without unsafe code; Linux takes it for a reason to write, and what is dirty stays in memory until it is written.
    for path in paths {
        // Closed at once: a process may have few files open.
        let file = disk::open_to_read(path).map_err(failed("open", path))?;
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    }
    for path in paths {
        // Who opens a file hears of a write that has failed before, if nobody has heard of it yet.
        let file = disk::open_to_read(path).map_err(failed("open", path))?;
        match disk::sync(Point::TreePlaceFlush, &file) {
            // Some file systems cannot flush a folder; then nothing more can be done.
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => {}
            other => other.map_err(failed("flush", path))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Durable::{Auto, Off, On};

    #[test]
    fn what_does_not_outlive_the_power_is_not_flushed_unless_asked_for() {
        assert_eq!(Flush::decide(Auto, true, true, 1_000_000), Flush::Nothing);
        assert_eq!(Flush::decide(Off, false, true, 1), Flush::Nothing);
        assert_eq!(Flush::decide(On, true, false, 1), Flush::Each);
    }

    #[test]
    fn few_files_are_flushed_one_by_one_and_many_at_once() {
        for mode in [Auto, On] {
            assert_eq!(Flush::decide(mode, false, false, 1), Flush::Each);
            assert_eq!(Flush::decide(mode, false, false, MANY), Flush::Each);
            assert_eq!(Flush::decide(mode, false, false, MANY + 1), Flush::Whole);
            assert_eq!(Flush::decide(mode, false, true, 1), Flush::Whole, "what an earlier run left");
        }
    }

    #[test]
    fn a_file_system_in_memory_is_known_by_its_type() {
        let shm = Path::new("/dev/shm");
        if shm.is_dir() {
            let disk = Disk::open(shm).unwrap();
            assert_eq!((disk.is_durable(Auto), disk.is_durable(On)), (false, true));
        }
        assert!(Disk::open(Path::new("/proc")).unwrap().is_durable(Auto), "anything else counts as a disk");
    }

    #[test]
    fn flushing_what_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (place, admin) = (dir.path().join("tree"), dir.path().join("admin"));
        let folders = [&place, &admin];
        folders.iter().for_each(|path| std::fs::create_dir(path).unwrap());
        for name in ["HEAD", "commondir", "gitdir", "index"] {
            std::fs::write(admin.join(name), "x").unwrap();
        }
        let disk = Disk::open(dir.path()).unwrap();
        let touched = Touched { count: 1, paths: vec!["a.py".into()], admin };
        let err = disk.flush(Flush::Each, &place, &touched, &[]).unwrap_err();
        assert!(err.to_string().contains("a.py"), "{err}");
        std::fs::write(place.join("a.py"), "x").unwrap();
        disk.flush(Flush::Each, &place, &touched, &[]).unwrap();
        disk.flush(Flush::Whole, &place, &touched, &[]).unwrap();
    }
}
