//! What is really on disk of a tree that has a manifest: every entry looked at, in parallel.
//!
//! Readers may have written into a tree (`__pycache__`), somebody may have edited it, a crash of the machine may have lost
//! writes. An entry counts as intact when the kernel says of it what the manifest says: kind, size, mtime, inode. What the
//! manifest does not know is in the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::index::entry::Mode;
use gix::index::{Entry as IndexEntry, State};

use super::Kind;
use super::parallel::on_all_cores;
use super::plan::{Known, Mtime, OnDisk, parent};
use super::write::join;
use crate::deadline::{Deadline, Expired};

/// Below so many folders a second thread costs more than it brings.
const ALONE: usize = 16;

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
pub fn survey(dir: &Path, manifest: &State, deadline: &Deadline) -> Result<Survey, Error> {
    let layout = Layout::of(manifest);
    let folders: Vec<&BStr> = layout.folders.keys().copied().collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Survey { intact: vec![false; manifest.entries().len()], ..Survey::default() });
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
        seen.intact.iter().for_each(|at| found.intact[*at] = true);
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
pub fn folders(dir: &Path, manifest: &State) -> io::Result<Survey> {
    let mut survey = Survey { intact: vec![true; manifest.entries().len()], ..Survey::default() };
    for folder in Layout::of(manifest).folders.keys() {
        let meta = fs::symlink_metadata(join(dir, folder))?;
        survey.folders.insert((*folder).to_owned(), mtime_of(&meta));
    }
    Ok(survey)
}

impl Survey {
    /// A folder below one that is a link now was seen through that link, and is somewhere else: it is not there, nor is what
    /// is in it.
    fn forget_detours(&mut self, manifest: &State) {
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
        for (entry, intact) in manifest.entries().iter().zip(&mut self.intact) {
            *intact &= real.contains(parent(entry.path(manifest)));
        }
        let extras = std::mem::take(&mut self.extras);
        self.extras = extras.into_iter().filter(|extra| real.contains(parent(extra.as_ref()))).collect();
    }

    /// Whether the folders of the tree, which is at `dir` now, have the times that were seen: nothing was made or removed since.
    pub fn has_same_folders(&self, dir: &Path) -> bool {
        self.folders.iter().all(|(folder, mtime)| {
            fs::symlink_metadata(join(dir, folder.as_ref())).is_ok_and(|meta| mtime_of(&meta) == *mtime)
        })
    }

    /// After the extras were removed: that changed the times of their folders.
    pub fn forget_extras(&mut self) {
        for extra in std::mem::take(&mut self.extras) {
            if let Some(mtime) = self.folders.get_mut(parent(extra.as_ref())) {
                *mtime = Mtime::default();
            }
        }
    }

    /// After the tree got another `.git` file: that changed the time of its top folder.
    pub fn forget_top(&mut self) {
        self.folders.entry(BString::default()).and_modify(|mtime| *mtime = Mtime::default());
    }

    /// The tree for the planner.
    pub fn on_disk<'a>(&'a self, manifest: &'a State) -> OnDisk<'a> {
        let known = |(entry, intact): (&'a IndexEntry, &bool)| Known {
            path: entry.path(manifest),
            kind: kind_of(entry.mode),
            id: &entry.id,
            mtime: Mtime { seconds: entry.stat.mtime.secs.into(), nanos: entry.stat.mtime.nsecs },
            intact: *intact,
        };
        OnDisk {
            entries: manifest.entries().iter().zip(&self.intact).map(known).collect(),
            folders: self.folders.iter().map(|(folder, mtime)| (folder.as_bstr(), *mtime)).collect(),
        }
    }
}

/// Which entries of the manifest are in which folder.
struct Layout<'a> {
    /// Indices of a folder's own files and links, in the order of their names.
    folders: HashMap<&'a BStr, Vec<usize>>,
}

impl<'a> Layout<'a> {
    fn of(manifest: &'a State) -> Self {
        let mut folders: HashMap<&BStr, Vec<usize>> = HashMap::from([(BStr::new(""), Vec::new())]);
        for (at, entry) in manifest.entries().iter().enumerate() {
            let path = entry.path(manifest);
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

/// What one thread found.
#[derive(Default)]
struct Seen {
    intact: Vec<usize>,
    folders: Vec<(BString, Mtime)>,
    extras: Vec<BString>,
}

fn look(
    dir: &Path,
    folder: &BStr,
    manifest: &State,
    layout: &Layout<'_>,
    seen: &mut Seen,
) -> Result<(), Error> {
    let path = join(dir, folder);
    let listing = match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_dir() => {
            seen.folders.push((folder.to_owned(), mtime_of(&meta)));
            fs::read_dir(&path)?
        }
        // Gone, or something else now (then its own parent reports it): everything in it is missing.
        Ok(_) => return Ok(()),
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(err) => return Err(err.into()),
    };
    let files = &layout.folders[folder];
    let mut full = BString::default();
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        if folder.is_empty() && name == ".git" {
            continue;
        }
        full.clear();
        if !folder.is_empty() {
            full.extend_from_slice(folder);
            full.push(b'/');
        }
        full.extend_from_slice(name.as_bytes());
        let meta = match entry.metadata() {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if meta.is_dir() && layout.folders.contains_key(full.as_bstr()) {
            continue;
        }
        let file = files.binary_search_by(|at| manifest.entries()[*at].path(manifest).cmp(full.as_bstr()));
        match file {
            Ok(at) if is_intact(&manifest.entries()[files[at]], &meta) => seen.intact.push(files[at]),
            // Of a kind that a rename replaces; the plan writes it anew.
            Ok(_) if !meta.is_dir() => {}
            _ => seen.extras.push(full.clone()),
        }
    }
    Ok(())
}

/// Whether the kernel says what the manifest says. The inode tells a copy from the file that we wrote; the ctime, which nobody
/// can set, that its content, mode and owner are still ours, whatever was done to its mtime.
fn is_intact(entry: &IndexEntry, meta: &fs::Metadata) -> bool {
    let stat = &entry.stat;
    let kind = match entry.mode {
        Mode::SYMLINK => meta.is_symlink(),
        Mode::FILE => meta.is_file() && meta.mode() & 0o100 == 0,
        Mode::FILE_EXECUTABLE => meta.is_file() && meta.mode() & 0o100 != 0,
        _ => false,
    };
    kind && stat.size == meta.size() as u32
        && stat.ino == meta.ino() as u32
        && i64::from(stat.mtime.secs) == meta.mtime()
        && i64::from(stat.mtime.nsecs) == meta.mtime_nsec()
        && i64::from(stat.ctime.secs) == meta.ctime()
        && i64::from(stat.ctime.nsecs) == meta.ctime_nsec()
}

fn mtime_of(meta: &fs::Metadata) -> Mtime {
    Mtime { seconds: meta.mtime(), nanos: meta.mtime_nsec() as u32 }
}

pub(super) fn kind_of(mode: Mode) -> Kind {
    match mode {
        Mode::FILE_EXECUTABLE => Kind::Executable,
        Mode::SYMLINK => Kind::Symlink,
        Mode::COMMIT => Kind::Submodule,
        _ => Kind::File,
    }
}
