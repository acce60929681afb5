//! Puts a tree on disk: every entry of a listing, into a fresh private folder, on all cores.
//!
//! The folder is new and nobody else's, every name in the listing was checked, and no link of the listing is the parent of
//! another entry; so nothing that is written here can land elsewhere (CVE-2026-71556 and its kin). Files are created, never
//! opened. A crash leaves a private folder that the next start removes.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::bstr::{BStr, ByteSlice as _};
use gix::index::entry::Stat;
use gix::index::fs::Metadata;
use gix::objs::Find as _;
use rustix::fs::{Mode, OFlags};

use super::attributes::Converter;
use super::{Entry, Kind, Listing};
use crate::deadline::{Deadline, Expired};
use crate::error::{Advice, Remedy};
use crate::git::order::in_pack_order;
use crate::git::store::Objects;

/// Entries that a thread takes at once: enough to hold most of a chain of deltas, few enough to share the end.
const BATCH: usize = 256;
/// Below this a second thread costs more than it brings.
const ALONE: usize = 256;
/// More threads only wait for the file system.
const MOST_THREADS: usize = 8;

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

/// What to build.
pub struct Build<'a> {
    /// What goes on disk.
    pub listing: &'a Listing,
    /// Files and folders are writable by the group.
    pub group_write: bool,
    /// When to give up.
    pub deadline: &'a Deadline,
}

impl Build<'_> {
    /// Builds everything below `dir` from `objects`; `converter` changes the bytes on the way, where a repository wants
    /// that. The folder exists and is empty but for `.git`. Returns what the kernel says of each
    /// entry, in the order of the listing, for the manifest.
    pub fn run(
        &self,
        objects: &Objects,
        converter: Option<&Converter>,
        dir: &Path,
    ) -> Result<Vec<Stat>, Error> {
        let entries = self.listing.entries();
        self.folders(dir, entries)?;
        // Names are looked up from here, so that no file costs a walk from the root of the file system.
        let top = File::open(dir).map_err(io_error("open the folder", dir))?;
        let threads = match entries.len() {
            n if n < ALONE => 1,
            _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_THREADS)),
        };
        let order = in_pack_order(objects, entries.iter().map(|entry| entry.id.as_ref()));
        let next = AtomicUsize::new(0);
        let stats = Mutex::new(vec![Stat::default(); entries.len()]);
        let work = |objects: Objects, converter: Option<Converter>| -> Result<(), Error> {
            let mut writer = Writer { build: self, objects, converter, dir, top: &top, blob: Vec::new() };
            let mut done = Vec::with_capacity(BATCH);
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                if start >= order.len() {
                    return Ok(());
                }
                self.deadline.check()?;
                for at in &order[start..order.len().min(start + BATCH)] {
                    let at = *at as usize;
                    done.push((at, writer.entry(&entries[at])?));
                }
                let mut stats = stats.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                done.drain(..).for_each(|(at, stat)| stats[at] = stat);
            }
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|_| {
                    let (objects, converter) = (objects.clone(), converter.cloned());
                    scope.spawn(|| work(objects, converter))
                })
                .collect();
            let mut result = work(objects.clone(), converter.cloned());
            for other in others {
                let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })?;
        Ok(stats.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Every folder, parents first: entries are sorted, so a folder that was just made is not asked for again.
    fn folders(&self, dir: &Path, entries: &[Entry]) -> Result<(), Error> {
        let mut last: &[u8] = b"";
        for entry in entries {
            let folder = match entry.kind {
                Kind::Submodule => entry.path.as_bytes(),
                _ => &entry.path[..entry.path.rfind_byte(b'/').unwrap_or(0)],
            };
            if folder == last || folder.is_empty() {
                continue;
            }
            let shared = common_folders(last, folder);
            for (at, _) in folder.match_indices_from(shared) {
                self.folder(&dir.join(to_path(folder[..at].as_bstr())))?;
            }
            self.folder(&dir.join(to_path(folder.as_bstr())))?;
            last = folder;
        }
        Ok(())
    }

    fn folder(&self, path: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o777).create(path) {
            // Sorting by path puts `a-b` between `a` and `a/x`: a folder may be met twice.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => other.map_err(io_error("make the folder", path))?,
        }
        if self.group_write {
            let mode = fs::Permissions::from_mode(crate::umask::apply(0o775, true));
            fs::set_permissions(path, mode).map_err(io_error("make group-writable", path))?;
        }
        Ok(())
    }
}

/// One thread's tools.
struct Writer<'a> {
    build: &'a Build<'a>,
    objects: Objects,
    converter: Option<Converter>,
    dir: &'a Path,
    /// The same, open.
    top: &'a File,
    blob: Vec<u8>,
}

impl Writer<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<Stat, Error> {
        if entry.kind == Kind::Submodule {
            return Ok(Stat::default());
        }
        let path = to_path(entry.path.as_ref());
        let whole = || self.dir.join(path);
        let damaged = || Error::Damaged { id: entry.id };
        match self.objects.try_find(&entry.id, &mut self.blob) {
            Ok(Some(data)) if data.kind == gix::objs::Kind::Blob => {}
            _ => return Err(damaged()),
        }
        let metadata = if entry.kind == Kind::Symlink {
            let target = to_path(self.blob.as_bstr());
            std::os::unix::fs::symlink(target, whole())
                .map_err(|err| io_error("make the link", &whole())(err))?;
            Metadata::from_path_no_follow(&whole())
        } else {
            let converted = match &mut self.converter {
                Some(converter) => converter.convert(entry.path.as_ref(), entry.kind, &entry.id, &self.blob),
                None => std::borrow::Cow::Borrowed(&self.blob[..]),
            };
            let file = self.create(path, entry.kind).map_err(|err| io_error("create", &whole())(err))?;
            (&file).write_all(&converted).map_err(|err| io_error("write", &whole())(err))?;
            Metadata::from_file(&file)
        };
        let metadata = metadata.map_err(|err| io_error("look at", &whole())(err))?;
        // Only a clock before 1970 fails here; git then looks at the content, which is right.
        Ok(Stat::from_fs(&metadata).unwrap_or_default())
    }

    fn create(&self, path: &Path, kind: Kind) -> io::Result<File> {
        let (mode, group) = match kind {
            Kind::Executable => (0o777, 0o775),
            _ => (0o666, 0o664),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(self.top, path, flags, Mode::from(mode & !0o022))?);
        if self.build.group_write {
            file.set_permissions(fs::Permissions::from_mode(crate::umask::apply(group, true)))?;
        }
        Ok(file)
    }
}

/// How many bytes of `b` are folders that `a` has too, counted to a slash.
fn common_folders(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    b[..same].rfind_byte(b'/').unwrap_or(0)
}

trait MatchIndicesFrom {
    fn match_indices_from(&self, start: usize) -> impl Iterator<Item = (usize, u8)>;
}

impl MatchIndicesFrom for [u8] {
    /// The slashes behind the first `start` bytes.
    fn match_indices_from(&self, start: usize) -> impl Iterator<Item = (usize, u8)> {
        let skip = if start == 0 { 0 } else { start + 1 };
        self.iter().copied().enumerate().skip(skip).filter(|(_, byte)| *byte == b'/')
    }
}

fn to_path(bytes: &BStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
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
