//! Carries out a plan: turns a spare (or an empty folder) into the next tree, on all cores.
//!
//! The folder is private while this runs: no reader finds it, its manifest is gone, and the lock keeps other agents out. Every name in
//! the listing was checked, and no link of the listing is the parent of another entry; what stands in the way was removed
//! before. Files are created, never opened for writing, and renamed over what was there: whoever still has an old one open keeps
//! its content. A crash leaves a private folder that the next start removes.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::index::entry::Stat;
use gix::index::fs::Metadata;
use gix::objs::Find as _;
use rustix::fs::{Mode, OFlags};

use super::attributes::Converter;
use super::parallel::on_all_cores;
use super::plan::{Mtime, Plan, Work};
use super::{Entry, Kind, Listing};
use crate::deadline::{Deadline, Expired};
use crate::error::{Advice, Remedy};
use crate::git::order::in_pack_order;
use crate::git::pack::WORTH_STREAMING;
use crate::git::store::Objects;

/// Entries that a thread takes at once: enough to hold most of a chain of deltas, few enough to share the end.
const BATCH: usize = 256;
/// Below this a second thread costs more than it brings.
const ALONE: usize = 256;

/// Why a tree could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What we were doing, as an infinitive.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An object is missing or damaged: fetch again.
    #[error("the object store lacks or cannot read {id}")]
    Damaged {
        /// Its id.
        id: gix::ObjectId,
    },
    /// The pass ended first.
    #[error("building the tree {0}")]
    Expired(#[from] Expired),
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Expired(Expired::Stopped) => Remedy::Stopped,
            Error::Io { .. } | Error::Damaged { .. } | Error::Expired(_) => Remedy::Retry { after: None },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or inodes (`df -i`)".into())
                }
                io::ErrorKind::PermissionDenied => Some("check who owns the volume, and `fsGroup`".into()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What to build, and for whom.
pub struct Apply<'a> {
    /// What the tree is to hold.
    pub listing: &'a Listing,
    /// What to do.
    pub plan: &'a Plan,
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
        self.clear(dir)?;
        for folder in self.plan.make_folders.iter().filter(|folder| !folder.is_empty()) {
            self.folder(&join(dir, folder.as_ref()))?;
        }
        let mut done = self.write(objects, converter, dir)?;
        for work in &self.plan.retime {
            let entry = &self.listing.entries()[work.entry];
            let path = join(dir, entry.path.as_ref());
            set_mtime(&path, work.mtime).map_err(failed("set the time of", &path))?;
            done.push((work.entry, stat(&path)?));
        }
        for (folder, mtime) in self.plan.folders.iter().filter(|_| self.set_times) {
            let path = join(dir, folder.as_ref());
            set_mtime(&path, *mtime).map_err(failed("set the time of", &path))?;
        }
        Ok(done)
    }

    /// Removes what the new tree does not have.
    fn clear(&self, dir: &Path) -> Result<(), Error> {
        for path in &self.plan.remove {
            let path = join(dir, path.as_ref());
            tolerate_absence(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
        for folder in &self.plan.remove_folders {
            let path = join(dir, folder.as_ref());
            tolerate_absence(fs::remove_dir(&path)).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    fn folder(&self, path: &Path) -> Result<(), Error> {
        DirBuilder::new().mode(0o777).create(path).map_err(failed("make the folder", path))?;
        if self.group_write {
            let mode = fs::Permissions::from_mode(crate::umask::apply(0o775, true));
            fs::set_permissions(path, mode).map_err(failed("make group-writable", path))?;
        }
        Ok(())
    }

    fn write(
        &self,
        objects: &Objects,
        converter: Option<&Converter>,
        dir: &Path,
    ) -> Result<Vec<(usize, Stat)>, Error> {
        let works = &self.plan.write;
        if works.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.listing.entries();
        // Names are looked up from here, so that no file costs a walk from the root of the file system.
        let top = File::open(dir).map_err(failed("open the folder", dir))?;
        let order = in_pack_order(objects, works.iter().map(|work| entries[work.entry].id.as_ref()));
        let next = AtomicUsize::new(0);
        let all = Mutex::new(Vec::with_capacity(works.len() + self.plan.retime.len()));
        let work = |(objects, converter): (Objects, Option<Converter>)| -> Result<(), Error> {
            let mut writer = Writer { apply: self, objects, converter, dir, top: &top, blob: Vec::new() };
            let mut done = Vec::new();
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let Some(batch) = order.get(start..order.len().min(start + BATCH)).filter(|b| !b.is_empty())
                else {
                    all.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).append(&mut done);
                    return Ok(());
                };
                self.deadline.check()?;
                for at in batch {
                    let work = &works[*at as usize];
                    done.push((work.entry, writer.put(work)?));
                }
            }
        };
        let tools = || (objects.clone(), converter.cloned());
        on_all_cores(works.len() >= ALONE, tools, work)?;
        Ok(all.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// Fills a file.
type Pour<'a, W> = &'a dyn Fn(&mut W, &File) -> Result<(), Error>;

/// One thread's tools.
struct Writer<'a> {
    apply: &'a Apply<'a>,
    objects: Objects,
    converter: Option<Converter>,
    dir: &'a Path,
    /// The same, open.
    top: &'a File,
    blob: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, work: &Work) -> Result<Stat, Error> {
        let entry = &self.apply.listing.entries()[work.entry];
        if entry.size > WORTH_STREAMING && entry.kind != Kind::Symlink && self.is_unconverted(entry) {
            return self.file(entry, work, &|writer, file| writer.pour(entry, file));
        }
        match self.objects.try_find(&entry.id, &mut self.blob) {
            Ok(Some(data)) if data.kind == gix::objs::Kind::Blob => {}
            _ => return Err(Error::Damaged { id: entry.id }),
        }
        match entry.kind {
            Kind::Symlink => self.link(entry, work),
            _ => self.file(entry, work, &|writer, file| writer.pour_converted(entry, file)),
        }
    }

    fn is_unconverted(&mut self, entry: &Entry) -> bool {
        self.converter.as_mut().is_none_or(|converter| converter.rule(entry.path.as_ref()).is_identity())
    }

    /// Writes a blob that is too large to be held.
    fn pour(&mut self, entry: &Entry, mut file: &File) -> Result<(), Error> {
        use crate::git::pack;
        let poured = pack::stream_blob(&self.objects, &entry.id, &mut file, self.apply.deadline.interrupt());
        poured.map(|_| ()).map_err(|err| match err {
            pack::Error::Output(source) | pack::Error::Disk(source) => {
                failed("write", &join(self.dir, entry.path.as_ref()))(source)
            }
            pack::Error::Interrupted => match self.apply.deadline.check() {
                Err(expired) => Error::Expired(expired),
                Ok(()) => Error::Expired(Expired::Stopped),
            },
            _ => Error::Damaged { id: entry.id },
        })
    }

    /// Writes the blob that was read.
    fn pour_converted(&mut self, entry: &Entry, mut file: &File) -> Result<(), Error> {
        let bytes = match &mut self.converter {
            Some(converter) => converter.convert(entry.path.as_ref(), entry.kind, &entry.id, &self.blob),
            None => std::borrow::Cow::Borrowed(&self.blob[..]),
        };
        file.write_all(&bytes).map_err(failed("write", &join(self.dir, entry.path.as_ref())))
    }

    fn link(&self, entry: &Entry, work: &Work) -> Result<Stat, Error> {
        let path = join(self.dir, entry.path.as_ref());
        let target = to_path(self.blob.as_bstr());
        let made = match std::os::unix::fs::symlink(target, &path) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                let temp = self.dir.join(beside(to_path(entry.path.as_ref())));
                std::os::unix::fs::symlink(target, &temp).and_then(|()| fs::rename(&temp, &path))
            }
            other => other,
        };
        made.map_err(failed("make the link", &path))?;
        if self.apply.set_times {
            set_mtime(&path, work.mtime).map_err(failed("set the time of", &path))?;
        }
        stat(&path)
    }

    fn file(&mut self, entry: &Entry, work: &Work, pour: Pour<'_, Self>) -> Result<Stat, Error> {
        let path = to_path(entry.path.as_ref());
        let whole = |doing| {
            let path = self.dir.join(path);
            move |source| Error::Io { doing, path, source }
        };
        let (file, temp) = match create(self.apply, self.top, path, entry.kind) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                let temp = beside(path);
                let file = create(self.apply, self.top, &temp, entry.kind);
                (file.map_err(|err| whole("create")(err))?, Some(temp))
            }
            other => (other.map_err(|err| whole("create")(err))?, None),
        };
        pour(self, &file)?;
        if self.apply.set_times {
            let times = FileTimes::new().set_modified(system_time(work.mtime));
            file.set_times(times).map_err(|err| whole("set the time of")(err))?;
        }
        if let Some(temp) = temp {
            rustix::fs::renameat(self.top, &temp, self.top, path)
                .map_err(|err| whole("put in place")(err.into()))?;
        }
        // After the rename, which counts as a change of the file too.
        let metadata = Metadata::from_file(&file).map_err(|err| whole("look at")(err))?;
        Ok(stat_of(&metadata))
    }
}

fn create(apply: &Apply<'_>, top: &File, path: &Path, kind: Kind) -> io::Result<File> {
    let (mode, group) = match kind {
        Kind::Executable => (0o755, 0o775),
        _ => (0o644, 0o664),
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(top, path, flags, Mode::from(mode))?);
    if apply.group_write {
        file.set_permissions(fs::Permissions::from_mode(crate::umask::apply(group, true)))?;
    }
    Ok(file)
}

/// Removes what the manifest of a spare does not know, and everything below it.
///
/// Python's caches may stay where they cannot be removed (Airflow runs as another uid and wrote them): Python itself
/// checks them against the time and size of the source, and both differ whenever the content does.
pub fn remove_extras(dir: &Path, extras: &[BString]) -> Result<(), Error> {
    for extra in extras {
        let path = join(dir, extra.as_ref());
        let removed = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(err) => Err(err),
        };
        match tolerate_absence(removed) {
            Err(_) if path.file_name().is_some_and(|name| name == "__pycache__") => {}
            other => other.map_err(failed("remove", &path))?,
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

/// A name in the same folder that nothing in a repository has: it holds a control character.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".\u{1}{:016x}", fastrand::u64(..)))
}

/// Never follows a link.
fn set_mtime(path: &Path, mtime: Mtime) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn system_time(mtime: Mtime) -> SystemTime {
    let nanos = Duration::from_nanos(mtime.nanos.into());
    match u64::try_from(mtime.seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + nanos,
        Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(mtime.seconds.unsigned_abs()) + nanos,
    }
}

fn stat(path: &Path) -> Result<Stat, Error> {
    let metadata = Metadata::from_path_no_follow(path).map_err(failed("look at", path))?;
    Ok(stat_of(&metadata))
}

/// Only a clock before 1970 fails here; git then looks at the content, which is right.
fn stat_of(metadata: &Metadata) -> Stat {
    Stat::from_fs(metadata).unwrap_or_default()
}

fn to_path(bytes: &BStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

pub(super) fn join(dir: &Path, path: &BStr) -> PathBuf {
    dir.join(to_path(path))
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

/// Whether the volume takes `a` and `A` for one name, as CIFS and SMB shares do.
pub fn folds_case(dir: &Path) -> io::Result<bool> {
    let name = format!(".dagsync-case-{}-{:08x}-a", std::process::id(), fastrand::u32(..));
    let file = dir.join(&name);
    File::create(&file)?;
    let folds = fs::symlink_metadata(dir.join(name.replace("-a", "-A"))).is_ok();
    fs::remove_file(&file)?;
    Ok(folds)
}
