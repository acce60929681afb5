//! Carries out a plan: turns a spare (or an empty folder) into the next tree, on all cores.
//!
//! The folder is private while this runs: no reader finds it, its manifest is gone, and the lock keeps other agents out. But who
//! was in the spare before can still be in it, so every change is made in a folder that was opened through no link (`disk::Below`).
//! Every name in the listing was checked, and no link of the listing is the parent of another entry; what stands in the way was
//! removed before. Files are created, never opened for writing, and renamed over what was there: whoever still has an old one open
//! keeps its content. A crash leaves a private folder that the next start removes.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::index::entry::Stat;
use gix::index::fs::Metadata;

use super::attributes::Converter;
use super::parallel::on_all_cores;
use super::plan::{Mtime, Plan, Work};
use super::space::Shortage;
use super::{Entry, Kind, Listing};
use crate::deadline::{Deadline, Expired};
use crate::disk::{Below, Point, Writable};
use crate::error::{Advice, NO_ROOM, OnDisk, Remedy};
use crate::git::order::in_pack_order;
use crate::git::pack::{self, WORTH_STREAMING};
use crate::git::store::Objects;

/// Entries that a thread takes at once: enough to hold most of a chain of deltas, few enough to share the end.
const BATCH: usize = 256;
/// Below this a second thread costs more than it brings.
const ALONE: usize = 256;

/// Why a tree could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] OnDisk),
    /// An object is missing or damaged: fetch again.
    #[error("the object store lacks or cannot read {id}")]
    Damaged {
        /// Its id.
        id: gix::ObjectId,
    },
    /// The disk is too small. Nothing was written.
    #[error(transparent)]
    NoRoom(#[from] Shortage),
    /// The pass ended first.
    #[error("building the tree {0}")]
    Expired(#[from] Expired),
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Expired(Expired::Stopped) => Remedy::Stopped,
            Error::Disk(err) => err.remedy(),
            Error::Damaged { .. } | Error::NoRoom(_) | Error::Expired(_) => Remedy::Retry { after: None },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Disk(err) => err.hint(),
            Error::NoRoom(_) => Some(NO_ROOM.into()),
            Error::Damaged { .. } | Error::Expired(_) => None,
        }
    }
}

/// What to build, and for whom.
pub struct Apply<'a> {
    /// What the tree is to hold.
    pub listing: &'a Listing,
    /// What to do.
    pub plan: &'a Plan,
    /// The tree that readers hold, if what is the same in it may be cloned.
    pub from: Option<&'a Path>,
    /// Whether times matter: not for the first tree of all, which is compared with nothing. They are set by hand, since a
    /// file server's clock is not ours, and the kernel's is a tick behind the one we read.
    pub set_times: bool,
    /// Files and folders are writable by the group.
    pub group_write: bool,
    /// When to give up.
    pub deadline: &'a Deadline,
}

impl Apply<'_> {
    /// Does it below `dir`. Returns what the kernel says of each entry that was worked on, with its place in the listing.
    pub fn run(
        &self,
        objects: &Objects,
        converter: Option<&Converter>,
        dir: &Path,
    ) -> Result<Vec<(usize, Stat)>, Error> {
        let mut tree = Below::open(dir).map_err(failed("open the folder", dir))?;
        self.clear(&mut tree, dir)?;
        for folder in self.plan.make_folders.iter().filter(|folder| !folder.is_empty()) {
            self.folder(&mut tree, dir, to_path(folder.as_ref()))?;
        }
        let mut done = self.write(objects, converter, &tree, dir)?;
        for work in &self.plan.retime {
            let path = to_path(self.listing.entry(work.entry).path);
            set_mtime(&mut tree, Point::TreeKeptTime, path, work.mtime).map_err(below(
                "set the time of",
                dir,
                path,
            ))?;
            done.push((work.entry, stat(&mut tree, path).map_err(below("look at", dir, path))?));
        }
        for (folder, mtime) in self.plan.folders.iter().filter(|_| self.set_times) {
            let path = to_path(folder.as_ref());
            set_mtime(&mut tree, Point::TreeFolderTime, path, *mtime).map_err(below(
                "set the time of",
                dir,
                path,
            ))?;
        }
        Ok(done)
    }

    /// Removes what the new tree does not have.
    fn clear(&self, tree: &mut Below, dir: &Path) -> Result<(), Error> {
        for path in &self.plan.remove {
            let path = to_path(path.as_ref());
            tolerate_absence(tree.remove_file(Point::TreeStaleRemove, path))
                .map_err(below("remove", dir, path))?;
        }
        for folder in &self.plan.remove_folders {
            let path = to_path(folder.as_ref());
            tolerate_absence(tree.remove_dir(Point::TreeStaleRmdir, path))
                .map_err(below("remove", dir, path))?;
        }
        Ok(())
    }

    fn folder(&self, tree: &mut Below, dir: &Path, path: &Path) -> Result<(), Error> {
        tree.create_dir(Point::TreeFolderMake, path).map_err(below("make the folder", dir, path))?;
        if self.group_write {
            tree.set_folder_mode(Point::TreeFolderMode, path, crate::umask::apply(0o775, true))
                .map_err(below("make group-writable", dir, path))?;
        }
        Ok(())
    }

    fn write(
        &self,
        objects: &Objects,
        converter: Option<&Converter>,
        tree: &Below,
        dir: &Path,
    ) -> Result<Vec<(usize, Stat)>, Error> {
        let works = &self.plan.write;
        if works.is_empty() {
            return Ok(Vec::new());
        }
        let order = in_pack_order(objects, works.iter().map(|work| self.listing.entry(work.entry).id));
        let from = self.from.and_then(|from| Below::open(from).ok());
        let cannot_clone = AtomicBool::new(from.is_none());
        let next = AtomicUsize::new(0);
        let all = Mutex::new(Vec::with_capacity(works.len() + self.plan.retime.len()));
        let work = |(objects, converter): (Objects, Option<Converter>)| -> Result<(), Error> {
            let reflinks = Reflinks { from: from.as_ref(), impossible: &cannot_clone };
            let mut writer = Writer {
                apply: self,
                objects,
                converter,
                dir,
                tree: tree.clone(),
                reflinks,
                blob: Vec::new(),
            };
            let mut done = Vec::with_capacity(BATCH);
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let Some(batch) = order.get(start..order.len().min(start + BATCH)).filter(|b| !b.is_empty())
                else {
                    return Ok(());
                };
                self.deadline.check()?;
                for at in batch {
                    let work = &works[*at as usize];
                    done.push((work.entry, writer.put(work)?));
                }
                // Batch by batch: a list of each thread's own would be there twice in the end.
                all.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).append(&mut done);
            }
        };
        let tools = || (objects.clone(), converter.cloned());
        on_all_cores(works.len() >= ALONE, tools, work)?;
        Ok(all.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// One thread's tools.
struct Writer<'a> {
    apply: &'a Apply<'a>,
    objects: Objects,
    converter: Option<Converter>,
    dir: &'a Path,
    /// The same, open.
    tree: Below,
    reflinks: Reflinks<'a>,
    blob: Vec<u8>,
}

/// Files that share the content of those that readers have.
struct Reflinks<'a> {
    from: Option<&'a Below>,
    /// It was tried, and this file system or this pair of folders cannot.
    impossible: &'a AtomicBool,
}

impl Reflinks<'_> {
    /// Whether `file` has now the content of the readers' file at `path`, as it was looked at.
    fn make(&self, file: &Writable, path: &Path, mtime: Mtime) -> bool {
        let Some(from) = self.from.filter(|_| !self.impossible.load(Ordering::Relaxed)) else { return false };
        let Ok(other) = from.open_to_read(path) else { return false };
        let is_it = Metadata::from_file(&other).is_ok_and(|meta| {
            let stat = stat_of(&meta);
            meta.is_file() && (i64::from(stat.mtime.secs), stat.mtime.nsecs) == (mtime.seconds, mtime.nanos)
        });
        if !is_it {
            return false;
        }
        let cloned = file.clone_from(Point::TreeFileClone, &other).is_ok();
        if !cloned {
            self.impossible.store(true, Ordering::Relaxed);
        }
        cloned
    }
}

impl Writer<'_> {
    fn put(&mut self, work: &Work) -> Result<Stat, Error> {
        let entry = &self.apply.listing.entry(work.entry);
        match entry.kind {
            Kind::Symlink => self.link(entry, work),
            _ => self.file(entry, work),
        }
    }

    /// Writes the content of an entry.
    fn pour(&mut self, entry: &Entry<'_>, file: &Writable) -> Result<(), Error> {
        if entry.size > WORTH_STREAMING {
            return self.stream(entry, file);
        }
        self.read(entry)?;
        let bytes = match &mut self.converter {
            Some(converter) => converter.convert(entry.path, entry.kind, &entry.id, &self.blob),
            None => std::borrow::Cow::Borrowed(&self.blob[..]),
        };
        let path = to_path(entry.path);
        file.write_all(Point::TreeFileWrite, &bytes).map_err(below("write", self.dir, path))
    }

    /// The same for a blob that is too large to be held.
    fn stream(&mut self, entry: &Entry<'_>, file: &Writable) -> Result<(), Error> {
        let interrupt = self.apply.deadline.interrupt();
        let mut read =
            |to: &mut dyn Write| pack::stream_blob(&self.objects, &entry.id, to, interrupt).map(|_| ());
        let mut out = file.at(Point::TreeFileWrite);
        let rule = self.converter.as_mut().map(|converter| converter.rule(entry.path));
        let poured = match rule.filter(|rule| !rule.is_identity()) {
            Some(rule) => rule.apply_in_pieces(&entry.id, &mut read, &mut out),
            None => read(&mut out),
        };
        poured.map_err(|err| self.unread(entry, err))
    }

    fn unread(&self, entry: &Entry<'_>, err: pack::Error) -> Error {
        match err {
            pack::Error::Output(source) | pack::Error::Disk(source) => {
                failed("write", &join(self.dir, entry.path))(source)
            }
            pack::Error::Interrupted => match self.apply.deadline.check() {
                Err(expired) => Error::Expired(expired),
                Ok(()) => Error::Expired(Expired::Stopped),
            },
            _ => Error::Damaged { id: entry.id },
        }
    }

    /// Reads the blob of an entry into `self.blob`.
    fn read(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let interrupt = self.apply.deadline.interrupt();
        let read = pack::read_blob(&self.objects, &entry.id, &mut self.blob, interrupt);
        read.map_err(|err| self.unread(entry, err))
    }

    fn link(&mut self, entry: &Entry<'_>, work: &Work) -> Result<Stat, Error> {
        self.read(entry)?;
        let path = to_path(entry.path);
        let whole = |doing| below(doing, self.dir, path);
        let target = to_path(self.blob.as_bstr());
        let made = match self.tree.symlink(Point::TreeLinkMake, target, path) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                let temp = unheard_of();
                self.tree
                    .symlink(Point::TreeLinkBeside, target, &path.with_file_name(&temp))
                    .and_then(|()| self.tree.rename_beside(Point::TreeLinkRename, &temp, path))
            }
            other => other,
        };
        made.map_err(whole("make the link"))?;
        if self.apply.set_times {
            set_mtime(&mut self.tree, Point::TreeLinkTime, path, work.mtime)
                .map_err(whole("set the time of"))?;
        }
        stat(&mut self.tree, path).map_err(whole("look at"))
    }

    fn file(&mut self, entry: &Entry<'_>, work: &Work) -> Result<Stat, Error> {
        let path = to_path(entry.path);
        let whole = |doing| below(doing, self.dir, path);
        let (file, temp) = match self.create(Point::TreeFileCreate, path, entry.kind) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                let temp = unheard_of();
                let file = self.create(Point::TreeFileBeside, &path.with_file_name(&temp), entry.kind);
                (file.map_err(whole("create"))?, Some(temp))
            }
            other => (other.map_err(whole("create"))?, None),
        };
        if !(work.same && self.reflinks.make(&file, path, work.mtime)) {
            self.pour(entry, &file)?;
        }
        if self.apply.set_times {
            file.set_modified(Point::TreeFileTime, system_time(work.mtime))
                .map_err(whole("set the time of"))?;
        }
        if let Some(temp) = temp {
            self.tree.rename_beside(Point::TreeFileRename, &temp, path).map_err(whole("put in place"))?;
        }
        // After the rename, which counts as a change of the file too.
        let metadata = file.look(Metadata::from_file).map_err(whole("look at"))?;
        Ok(stat_of(&metadata))
    }

    fn create(&mut self, point: Point, path: &Path, kind: Kind) -> io::Result<Writable> {
        let (mode, group) = match kind {
            Kind::Executable => (0o755, 0o775),
            _ => (0o644, 0o664),
        };
        let file = self.tree.create(point, path, mode)?;
        if self.apply.group_write {
            file.set_mode(Point::TreeFileMode, crate::umask::apply(group, true))?;
        }
        Ok(file)
    }
}

/// Removes what the manifest of a spare does not know, and everything below it.
///
/// Python's caches may stay where they cannot be removed (Airflow runs as another uid and wrote them): Python itself
/// checks them against the time and size of the source, and both differ whenever the content does.
pub fn remove_extras(dir: &Path, extras: &[BString]) -> Result<(), Error> {
    if extras.is_empty() {
        return Ok(());
    }
    let mut tree = Below::open(dir).map_err(failed("open the folder", dir))?;
    for extra in extras {
        let path = to_path(extra.as_ref());
        match tree.remove_any(Point::TreeExtraRemove, path) {
            Err(_) if path.file_name().is_some_and(|name| name == "__pycache__") => {}
            other => other.map_err(below("remove", dir, path))?,
        }
    }
    Ok(())
}

fn tolerate_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

/// A name that nothing in a repository has: it holds a control character.
fn unheard_of() -> OsString {
    format!(".\u{1}{:016x}", fastrand::u64(..)).into()
}

fn set_mtime(tree: &mut Below, point: Point, path: &Path, mtime: Mtime) -> io::Result<()> {
    tree.set_mtime(point, path, mtime.seconds, mtime.nanos)
}

fn system_time(mtime: Mtime) -> SystemTime {
    let nanos = Duration::from_nanos(mtime.nanos.into());
    match u64::try_from(mtime.seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + nanos,
        Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(mtime.seconds.unsigned_abs()) + nanos,
    }
}

fn stat(tree: &mut Below, path: &Path) -> io::Result<Stat> {
    Ok(stat_of(&Metadata::from_file(&tree.look(path)?)?))
}

/// Only a clock before 1970 fails here; git then looks at the content, which is right.
fn stat_of(metadata: &Metadata) -> Stat {
    Stat::from_fs(metadata).unwrap_or_default()
}

fn to_path(bytes: &BStr) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(super) fn join(dir: &Path, path: &BStr) -> PathBuf {
    dir.join(to_path(path))
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let failed = OnDisk::new(doing, path);
    move |source| Error::Disk(failed(source))
}

/// The same of a path in a tree; it is joined when it is needed.
fn below<'a>(
    doing: &'static str,
    dir: &'a Path,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> Error + use<'a> {
    move |source| Error::Disk(OnDisk { doing, path: dir.join(path), source })
}
