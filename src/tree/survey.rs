//! What is really on disk of a tree that has a manifest: every entry looked at, in parallel.
//!
//! Readers may have written into a tree (`__pycache__`), somebody may have edited it, a crash of the machine may have lost
//! writes. An entry counts as intact when the kernel says of it what the manifest says: kind, size, mtime, inode. What the
//! manifest does not know is in the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::index::entry::Mode;
use rustix::fs::{AtFlags, FileType, RawDir, Stat};
use rustix::io::Errno;

use super::Kind;
use super::index::{Index, Record};
use super::listed::kind_of;
use super::parallel::on_all_cores;
use super::plan::{Known, Mtime, OnDisk, parent};
use super::write::join;
use crate::deadline::{Deadline, Expired};
use crate::disk;

/// Below so many folders a second thread costs more than it brings.
const ALONE: usize = 16;
/// Names are read from a folder in pieces of this size.
const NAMES_BYTES: usize = 32 << 10;

/// The disk's side of a tree.
#[derive(Debug, Default)]
pub struct Survey {
    /// For each entry of the manifest, in its order.
    intact: Vec<bool>,
    /// Every folder that the manifest implies and that is there.
    folders: BTreeMap<BString, Mtime>,
    /// Files, links and folders that the manifest does not know, without `.git` at the top.
    pub extras: Vec<BString>,
}

/// Why a survey ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder could not be listed: the tree cannot be used.
    #[error("cannot list a folder of the tree: {0}")]
    Io(#[from] io::Error),
    /// The pass ended first.
    #[error(transparent)]
    Expired(#[from] Expired),
}

/// Looks at everything below `dir`.
pub fn survey(dir: &Path, manifest: &Index, deadline: &Deadline) -> Result<Survey, Error> {
    let layout = Layout::of(manifest);
    let folders: Vec<&BStr> = layout.folders.keys().copied().collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Survey { intact: vec![false; manifest.len()], ..Survey::default() });
    let work = |()| -> Result<(), Error> {
        let mut seen = Seen::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(folder) = folders.get(at) else { break };
            if at.is_multiple_of(64) {
                deadline.check()?;
            }
            look(dir, folder, manifest, &layout, &mut seen)?;
        }
        let mut found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.intact.iter().for_each(|at| found.intact[*at as usize] = true);
        found.folders.extend(seen.folders);
        found.extras.extend(seen.extras);
        Ok(())
    };
    on_all_cores(folders.len() >= ALONE, || (), work)?;
    let mut found = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.extras.sort();
    found.forget_detours(manifest);
    Ok(found)
}

/// The mtimes of a tree's folders alone: for the tree that readers hold, whose files are taken from its manifest.
pub fn folders(dir: &Path, manifest: &Index) -> io::Result<Survey> {
    let mut survey = Survey { intact: vec![true; manifest.len()], ..Survey::default() };
    for folder in Layout::of(manifest).folders.keys() {
        let stat = rustix::fs::lstat(join(dir, folder)).map_err(io::Error::from)?;
        survey.folders.insert((*folder).to_owned(), mtime_of(&stat));
    }
    Ok(survey)
}

impl Survey {
    /// A folder below one that is a link now was seen through that link, and is somewhere else: it is not there, nor is what
    /// is in it.
    fn forget_detours(&mut self, manifest: &Index) {
        let mut real: BTreeSet<BString> = BTreeSet::new();
        // Parents come first.
        for folder in self.folders.keys() {
            if folder.is_empty() || real.contains(parent(folder.as_ref())) {
                real.insert(folder.clone());
            }
        }
        if real.len() == self.folders.len() {
            return;
        }
        self.folders.retain(|folder, _| real.contains(folder));
        for (entry, intact) in manifest.entries().zip(&mut self.intact) {
            *intact &= real.contains(parent(entry.path));
        }
        let extras = std::mem::take(&mut self.extras);
        self.extras = extras.into_iter().filter(|extra| real.contains(parent(extra.as_ref()))).collect();
    }

    /// Which entries may have been written to since the manifest was: the kernel says something else of them than it says; or they
    /// were written in its last moments, so that a change right after it may have the same ctime.
    pub fn doubtful(&self, manifest: &Index) -> Vec<bool> {
        let seconds = |entry: Record<'_>| i64::from(entry.stat().ctime.secs);
        let last = manifest.entries().map(seconds).max().unwrap_or_default();
        let all = manifest.entries().zip(&self.intact);
        all.map(|(entry, intact)| !intact || seconds(entry) >= last - 1).collect()
    }

    /// Whether the folders of the tree, which is at `dir` now, have the times that were seen: nothing was made or removed since.
    pub fn has_same_folders(&self, dir: &Path) -> bool {
        let folders: Vec<(&BString, &Mtime)> = self.folders.iter().collect();
        let next = AtomicUsize::new(0);
        let work = |()| -> Result<(), ()> {
            while let Some((folder, mtime)) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                let same =
                    rustix::fs::lstat(join(dir, folder.as_ref())).is_ok_and(|s| mtime_of(&s) == **mtime);
                same.then_some(()).ok_or(())?;
            }
            Ok(())
        };
        on_all_cores(folders.len() >= ALONE * 16, || (), work).is_ok()
    }

    /// After the extras were removed: that changed the times of their folders. Returns them.
    pub fn forget_extras(&mut self) -> Vec<BString> {
        let extras = std::mem::take(&mut self.extras);
        for extra in &extras {
            if let Some(mtime) = self.folders.get_mut(parent(extra.as_ref())) {
                *mtime = Mtime::default();
            }
        }
        extras
    }

    /// After the tree got another `.git` file: that changed the time of its top folder.
    pub fn forget_top(&mut self) {
        self.folders.entry(BString::default()).and_modify(|mtime| *mtime = Mtime::default());
    }

    /// The tree for the planner; not `usable`: as if nothing in it were what the manifest says.
    pub fn on_disk<'a>(&'a self, manifest: &'a Index, usable: bool) -> OnDisk<'a> {
        let known = move |(entry, intact): (Record<'a>, &bool)| {
            let mtime = entry.mtime();
            Known {
                path: entry.path,
                // A sparse index was refused, and no other has other modes.
                kind: kind_of(entry.mode).unwrap_or(Kind::File),
                id: entry.id,
                mtime: Mtime { seconds: mtime.secs.into(), nanos: mtime.nsecs },
                intact: *intact && usable,
            }
        };
        OnDisk {
            entries: Box::new(manifest.entries().zip(&self.intact).map(known)),
            folders: self.folders.iter().map(|(folder, mtime)| (folder.as_bstr(), *mtime)).collect(),
        }
    }
}

/// Which entries of the manifest are in which folder.
struct Layout<'a> {
    /// Indices of a folder's own files and links, in the order of their names.
    folders: HashMap<&'a BStr, Vec<u32>>,
}

impl<'a> Layout<'a> {
    fn of(manifest: &'a Index) -> Self {
        let mut folders: HashMap<&BStr, Vec<u32>> = HashMap::from([(BStr::new(""), Vec::new())]);
        for (at, entry) in (0..).zip(manifest.entries()) {
            let path = entry.path;
            let mut folder = parent(path);
            if entry.mode == Mode::COMMIT {
                folder = path;
            } else {
                match folders.get_mut(folder) {
                    Some(files) => {
                        files.push(at);
                        continue;
                    }
                    None => drop(folders.insert(folder, vec![at])),
                }
            }
            // A folder that is new to us: so may its parents be.
            while !folder.is_empty() {
                folders.entry(folder).or_default();
                folder = parent(folder);
            }
        }
        Layout { folders }
    }
}

/// What one thread found, and what it needs to look.
#[derive(Default)]
struct Seen {
    intact: Vec<u32>,
    folders: Vec<(BString, Mtime)>,
    extras: Vec<BString>,
    /// For the names of one folder.
    names: Vec<u8>,
}

/// Opens the folder once and asks it for each name: no path is looked up twice, and nothing is allocated for a name.
fn look(
    dir: &Path,
    folder: &BStr,
    manifest: &Index,
    layout: &Layout<'_>,
    seen: &mut Seen,
) -> Result<(), Error> {
    let open = match disk::open_folder(&join(dir, folder)) {
        // Gone, or something else now (then its own parent reports it): everything in it is missing.
        Err(err) if is_elsewhere(&err) => return Ok(()),
        other => other?,
    };
    let stat = rustix::fs::fstat(&open).map_err(io::Error::from)?;
    seen.folders.push((folder.to_owned(), mtime_of(&stat)));
    let files = &layout.folders[folder];
    let above = if folder.is_empty() { 0 } else { folder.len() + 1 };
    let name_of = |at: u32| &manifest.entry(at as usize).path[above..];
    let full = |name: &[u8]| {
        let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
        BString::from([folder.as_bytes(), slash, name].concat())
    };
    seen.names.reserve(NAMES_BYTES);
    let mut listing = RawDir::new(&open, seen.names.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name();
        let bytes = name.to_bytes();
        if bytes == b"." || bytes == b".." || (folder.is_empty() && bytes == b".git") {
            continue;
        }
        let is_known_folder = || layout.folders.contains_key(full(bytes).as_bstr());
        if entry.file_type() == FileType::Directory && is_known_folder() {
            continue;
        }
        let stat = match rustix::fs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other.map_err(io::Error::from)?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // Some file systems do not say what a name is.
        if is_folder && is_known_folder() {
            continue;
        }
        match files.binary_search_by(|at| name_of(*at).as_bytes().cmp(bytes)) {
            Ok(at) if is_intact(&manifest.entry(files[at] as usize), &stat) => seen.intact.push(files[at]),
            // Of a kind that a rename replaces; the plan writes it anew.
            Ok(_) if !is_folder => {}
            _ => seen.extras.push(full(bytes)),
        }
    }
    Ok(())
}

fn is_elsewhere(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// Whether the kernel says what the manifest says. The inode tells a copy from the file that we wrote; the ctime, which nobody
/// can set, that its content, mode and owner are still ours, whatever was done to its mtime.
fn is_intact(entry: &Record<'_>, found: &Stat) -> bool {
    let stat = entry.stat();
    let kind = FileType::from_raw_mode(found.st_mode);
    let kind = match entry.mode {
        Mode::SYMLINK => kind == FileType::Symlink,
        Mode::FILE => kind == FileType::RegularFile && found.st_mode & 0o100 == 0,
        Mode::FILE_EXECUTABLE => kind == FileType::RegularFile && found.st_mode & 0o100 != 0,
        _ => false,
    };
    kind && stat.size == found.st_size as u32
        && stat.ino == found.st_ino as u32
        && i64::from(stat.mtime.secs) == found.st_mtime
        && u64::from(stat.mtime.nsecs) == found.st_mtime_nsec
        && i64::from(stat.ctime.secs) == found.st_ctime
        && u64::from(stat.ctime.nsecs) == found.st_ctime_nsec
}

fn mtime_of(stat: &Stat) -> Mtime {
    Mtime { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 }
}

#[cfg(test)]
mod tests {
    use gix::ObjectId;
    use gix::hash::Kind::Sha1;
    use gix::index::entry::{Stat as Written, stat::Time};

    use super::super::index::Writer;
    use super::*;

    #[test]
    fn what_was_written_last_is_in_doubt_and_what_the_kernel_says_nothing_else_of_is_not() {
        let mut index = Writer::new(Vec::new(), 4, Sha1).unwrap();
        for (path, secs) in [("a", 100), ("b", 100), ("c", 199), ("d", 200)] {
            let written = Written { ctime: Time { secs, nsecs: 0 }, ..Written::default() };
            index.put(path.into(), &ObjectId::null(Sha1), Mode::FILE, &written).unwrap();
        }
        let manifest = Index::of_bytes(&index.finish().unwrap().0, Sha1).unwrap();
        let seen = Survey { intact: vec![true, false, true, true], ..Survey::default() };
        assert_eq!(seen.doubtful(&manifest), [false, true, true, true]);
    }
}
