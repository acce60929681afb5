//! Whether the published tree still is its commit: a part of it at a time, content and all.
//!
//! The survey of a spare trusts what the kernel says of a file; here every byte counts, because a disk that rots and a clock that was
//! set back change no time. A blob's id is the hash of its bytes, so the object store is asked only where the tree's rules convert
//! them, and for the list of files itself. What the store does not have is not known, and no damage of the tree.
//!
//! Reads only. The caller makes a damaged tree one that does not exist, and builds it again beside it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::hash::Hasher;
use gix::index::entry::{Flags, Mode};
use gix::index::{Entry as IndexEntry, State};
use gix::objs::Kind as ObjectKind;

use super::attributes::{Conversion, Converter};
use super::comparison::Comparison;
use super::listed::{converter, kind_of, knows, lists_the_commit};
use super::manifest::Unreadable;
use super::plan::parent;
use super::write::join;
use super::{CheckoutConfig, Kind, Limits, manifest, shown};
use crate::deadline::Deadline;
use crate::disk::open_to_read;
use crate::git::pack::{self, WORTH_STREAMING, read_blob, stream_blob};
use crate::git::store::Objects;

/// The permissions that `fsGroup` leaves alone.
const OWNER_AND_OTHERS: u32 = 0o707;

/// Bytes that are read before anything else is looked at.
const CHUNK: usize = 256 << 10;
/// No more damage than this is looked for: the tree is built again anyway.
const ENOUGH: usize = 5;

/// The tree to look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Where it is.
    pub tree: &'a Path,
    /// The object store's folder.
    pub store: &'a Path,
    /// Which commit it is.
    pub commit: &'a gix::oid,
    /// The root tree of that commit; `None` if the store does not have it.
    pub root: Option<ObjectId>,
    /// The settings it was built with.
    pub checkout: CheckoutConfig,
    /// The same.
    pub group_write: bool,
    /// Whether the volume keeps the modes of files as they are set.
    pub holds_modes: bool,
    /// The bounds it was listed with.
    pub limits: &'a Limits,
}

/// How much is looked at in one go. Whatever ends it, the next one goes on from there.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// One part in so many of the entries.
    pub parts: usize,
    /// Bytes of files.
    pub bytes: u64,
    /// Time.
    pub time: Duration,
}

impl Default for Bounds {
    /// Little enough that no poll is late because of it.
    fn default() -> Self {
        Bounds { parts: 6, bytes: 64 << 20, time: Duration::from_millis(250) }
    }
}

/// Where the last part ended. Begins anywhere: an agent that is restarted often sees the whole tree too.
#[derive(Debug)]
pub struct Progress {
    next: usize,
    partial: Option<Partial>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { next: fastrand::usize(..), partial: None }
    }
}

/// A large file that was not read to its end.
struct Partial {
    path: BString,
    id: ObjectId,
    read: u64,
    size: u64,
    hasher: Hasher,
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} bytes", self.path, self.read, self.size)
    }
}

/// Something that is not as the commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where, below the tree.
    pub path: BString,
    /// What.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", shown(&self.path), self.what)
    }
}

/// Looks at all folders and at these entries, whatever time that takes. Only the deadline ends it: then something is left out.
pub fn these(subject: &Subject<'_>, objects: &Objects, chosen: &[bool], deadline: &Deadline) -> Vec<Damage> {
    let bounds = Bounds { parts: 1, bytes: u64::MAX, time: Duration::MAX };
    look(subject, objects, &mut Progress { next: 0, partial: None }, bounds, Some(chosen), deadline)
}

/// Looks at the next part. Nothing is found in a part that the deadline cut short, but what was found before.
pub fn part(
    subject: &Subject<'_>,
    objects: &Objects,
    progress: &mut Progress,
    bounds: Bounds,
    deadline: &Deadline,
) -> Vec<Damage> {
    look(subject, objects, progress, bounds, None, deadline)
}

fn look(
    subject: &Subject<'_>,
    objects: &Objects,
    progress: &mut Progress,
    bounds: Bounds,
    chosen: Option<&[bool]>,
    deadline: &Deadline,
) -> Vec<Damage> {
    let of_index = |what: String| vec![Damage { path: ".git".into(), what }];
    let state = match manifest::read(subject.tree, subject.store, subject.commit.kind()) {
        Ok(file) => file.into_parts().0,
        Err(Unreadable::NoMetadata) => return of_index("does not name its metadata".into()),
        Err(Unreadable::Disk(reason)) => {
            tracing::debug!("cannot verify `{}`: its index: {reason}", subject.tree.display());
            return Vec::new();
        }
        Err(Unreadable::Index(reason)) => {
            return of_index(format!("names an index that cannot be read: {reason}"));
        }
    };
    let listed = |root: &ObjectId| lists_the_commit(&state, root, objects, subject.limits, deadline);
    if !subject.root.as_ref().is_none_or(listed) {
        return of_index("names an index that is not of its commit".into());
    }
    let mut look = Look {
        subject,
        state: &state,
        objects,
        converter: converter(&state, objects, subject.checkout),
        chosen,
        until: Instant::now().checked_add(bounds.time),
        bytes: bounds.bytes,
        deadline,
        top_mode: 0,
        damage: Vec::new(),
        buffer: Vec::new(),
    };
    look.run(progress, bounds.parts);
    look.damage
}

/// One part, under way.
struct Look<'a> {
    subject: &'a Subject<'a>,
    state: &'a State,
    objects: &'a Objects,
    converter: Result<Option<Converter>, ()>,
    /// All, or these.
    chosen: Option<&'a [bool]>,
    until: Option<Instant>,
    bytes: u64,
    deadline: &'a Deadline,
    /// Permissions of the top folder: those of all others.
    top_mode: u32,
    damage: Vec<Damage>,
    buffer: Vec<u8>,
}

impl Look<'_> {
    fn run(&mut self, progress: &mut Progress, parts: usize) {
        let entries = self.state.entries();
        self.top_mode =
            fs::symlink_metadata(self.subject.tree).map_or(0, |meta| meta.mode() & OWNER_AND_OTHERS);
        if entries.is_empty() {
            return self.folder(BStr::new(""));
        }
        progress.next %= entries.len();
        for _ in 0..entries.len().div_ceil(parts.max(1)) {
            let at = progress.next;
            // Folders are looked at together with the first of their entries.
            let before = at.checked_sub(1).map(|before| entries[before].path(self.state));
            for folder in folders_above(entries[at].path(self.state)) {
                if before.is_none_or(|before| !is_inside(before, folder)) {
                    self.folder(folder);
                }
            }
            let is_chosen = self.chosen.is_none_or(|chosen| chosen.get(at) != Some(&false));
            let done = !is_chosen || self.entry(&entries[at], &mut progress.partial);
            if done {
                progress.next = (at + 1) % entries.len();
            }
            if !done || self.damage.len() >= ENOUGH || self.is_over() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.bytes == 0
            || self.until.is_some_and(|until| Instant::now() >= until)
            || self.deadline.check().is_err()
    }

    fn report(&mut self, path: &BStr, what: impl Into<String>) {
        self.damage.push(Damage { path: path.to_owned(), what: what.into() });
    }

    /// An error of a system call. Only those that the tree is to blame for are damage; a machine without memory is not.
    fn failed(&mut self, path: &BStr, err: &io::Error) {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        use rustix::io::Errno;
        match err.kind() {
            NotFound | NotADirectory => self.report(path, "is missing"),
            PermissionDenied => self.report(path, format!("cannot be read: {err}")),
            _ if matches!(Errno::from_io_error(err), Some(Errno::IO | Errno::LOOP)) => {
                self.report(path, format!("cannot be read: {err}"));
            }
            _ => tracing::debug!("cannot verify {}: {err}", shown(&path.to_owned())),
        }
    }

    /// A folder of the commit: whether it is one, and what is in it that no commit has.
    fn folder(&mut self, folder: &BStr) {
        let path = join(self.subject.tree, folder);
        let listing = match fs::symlink_metadata(&path) {
            Ok(meta) if !meta.is_dir() => return self.report(folder, "is not a folder"),
            // All are made alike: the volume's defaults for new folders are in both.
            Ok(meta)
                if self.subject.holds_modes && !self.is_mode_of_folders(meta.mode() & OWNER_AND_OTHERS) =>
            {
                return self.report(folder, format!("has mode {:04o}", meta.mode() & 0o777));
            }
            Ok(_) => fs::read_dir(&path),
            Err(err) => Err(err),
        };
        let listing = match listing {
            Ok(listing) => listing,
            Err(err) => return self.failed(folder, &err),
        };
        for entry in listing.flatten() {
            let name = entry.file_name();
            let mut full = folder.to_owned();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(name.as_bytes());
            if full == ".git" || is_of_readers(name.as_bytes()) || knows(self.state, full.as_ref()) {
                continue;
            }
            self.report(full.as_ref(), "is not in the commit");
            if self.damage.len() >= ENOUGH {
                return;
            }
        }
    }

    fn is_mode_of_folders(&self, mode: u32) -> bool {
        mode == self.top_mode && mode & 0o700 == 0o700
    }

    /// One entry; `false` when there is more to read of it.
    fn entry(&mut self, entry: &IndexEntry, partial: &mut Option<Partial>) -> bool {
        let path = entry.path(self.state);
        // Outside of somebody's sparse checkout.
        if entry.mode == Mode::DIR || entry.flags.contains(Flags::SKIP_WORKTREE) {
            return true;
        }
        let Some(kind) = kind_of(entry.mode) else { return true };
        let file = join(self.subject.tree, path);
        let meta = match fs::symlink_metadata(&file) {
            Ok(meta) => meta,
            Err(err) => {
                self.failed(path, &err);
                return true;
            }
        };
        let is_right = match kind {
            Kind::Submodule => meta.is_dir(),
            Kind::Symlink => meta.is_symlink(),
            Kind::File | Kind::Executable => meta.is_file(),
        };
        if !is_right {
            self.report(path, "is another kind of thing");
            return true;
        }
        match kind {
            // A folder with a life of its own.
            Kind::Submodule => true,
            Kind::Symlink => {
                match fs::read_link(&file) {
                    Ok(target) => self.compare_link(entry, target.as_os_str().as_bytes()),
                    Err(err) => self.failed(path, &err),
                }
                true
            }
            Kind::File | Kind::Executable => self.file(entry, kind, &file, &meta, partial),
        }
    }

    fn compare_link(&mut self, entry: &IndexEntry, target: &[u8]) {
        let id = gix::objs::compute_hash(entry.id.kind(), ObjectKind::Blob, target);
        if id.is_ok_and(|id| id != entry.id) {
            self.report(entry.path(self.state), format!("leads to {}", shown(&target.into())));
        }
    }

    fn file(
        &mut self,
        entry: &IndexEntry,
        kind: Kind,
        file: &Path,
        meta: &fs::Metadata,
        partial: &mut Option<Partial>,
    ) -> bool {
        let path = entry.path(self.state);
        if !self.is_mode_right(entry, kind, meta) {
            self.report(path, format!("has mode {:04o}", meta.mode() & 0o7777));
            return true;
        }
        // Before it is read: it may be endless by now. git writes 0 where it wants to look at the content again.
        if entry.stat.size != 0 && entry.stat.size != meta.len() as u32 {
            self.report(path, format!("has {} bytes instead of {}", meta.len(), entry.stat.size));
            return true;
        }
        let rule = match &mut self.converter {
            Ok(None) => None,
            Ok(Some(converter)) => Some(converter.rule(path)),
            Err(()) => return true,
        };
        let read = match rule.filter(|rule| !rule.is_identity()) {
            Some(rule) => self.converted(entry, rule, file, meta.len()),
            None => self.plain(entry, file, partial),
        };
        read.unwrap_or_else(|err| {
            *partial = None;
            self.failed(path, &err);
            true
        })
    }

    /// Whether the permissions are those it was made with, but for the group's: `fsGroup` opens every file and folder of a volume to
    /// its group when a pod mounts it. A mode that we did not expect counts only if the file was changed since:
    /// a folder's access list gives new files other modes than the umask says.
    fn is_mode_right(&self, entry: &IndexEntry, kind: Kind, meta: &fs::Metadata) -> bool {
        let (own, group) = if kind == Kind::Executable { (0o755, 0o775) } else { (0o644, 0o664) };
        let group_write = self.subject.group_write;
        let made = crate::umask::apply(if group_write { group } else { own }, group_write);
        let ctime = (i64::from(entry.stat.ctime.secs), i64::from(entry.stat.ctime.nsecs));
        !self.subject.holds_modes
            || meta.mode() & OWNER_AND_OTHERS == made & OWNER_AND_OTHERS
            || (meta.ctime(), meta.ctime_nsec()) == ctime
    }

    /// A file whose bytes are the blob's.
    fn plain(&mut self, entry: &IndexEntry, file: &Path, partial: &mut Option<Partial>) -> io::Result<bool> {
        let path = entry.path(self.state);
        let mut open = open_to_read(file)?;
        let size = open.metadata()?.len();
        let begun = partial.take().filter(|at| at.path == path && at.id == entry.id && at.size == size);
        let (mut read, mut hasher) = match begun {
            Some(begun) => {
                open.seek(SeekFrom::Start(begun.read))?;
                (begun.read, begun.hasher)
            }
            None => {
                let mut hasher = gix::hash::hasher(entry.id.kind());
                hasher.update(&gix::objs::encode::loose_header(ObjectKind::Blob, size));
                (0, hasher)
            }
        };
        self.buffer.resize(CHUNK, 0);
        loop {
            let got = open.read(&mut self.buffer)?;
            if got == 0 {
                break;
            }
            hasher.update(&self.buffer[..got]);
            read += got as u64;
            self.bytes = self.bytes.saturating_sub(got as u64);
            if read < size && self.is_over() {
                *partial = Some(Partial { path: path.to_owned(), id: entry.id, read, size, hasher });
                return Ok(false);
            }
        }
        if hasher.try_finalize().is_ok_and(|id| id != entry.id) {
            self.report(path, "has other content");
        }
        Ok(true)
    }

    /// A file whose bytes are made from the blob's.
    fn converted(
        &mut self,
        entry: &IndexEntry,
        rule: Conversion,
        file: &Path,
        size: u64,
    ) -> io::Result<bool> {
        let mut found = Comparison::with(open_to_read(file)?);
        let interrupt = self.deadline.interrupt();
        let read = if size > WORTH_STREAMING {
            let mut read =
                |to: &mut dyn Write| stream_blob(self.objects, &entry.id, to, interrupt).map(|_| ());
            rule.apply_in_pieces(&entry.id, &mut read, &mut found)
        } else {
            let mut blob = Vec::new();
            let read = read_blob(self.objects, &entry.id, &mut blob, interrupt);
            read.and_then(|()| found.write_all(&rule.apply(&entry.id, &blob)).map_err(pack::Error::Output))
        };
        self.bytes = self.bytes.saturating_sub(found.bytes());
        let differs = found.finish()?;
        match read {
            Ok(()) if differs => self.report(entry.path(self.state), "has other content"),
            Ok(()) => {}
            Err(err) => {
                tracing::debug!("cannot verify a file: its blob {} cannot be read: {err}", entry.id);
            }
        }
        Ok(true)
    }
}

/// What readers leave behind: Python's caches, and names of deleted files that somebody on a file server still has open.
fn is_of_readers(name: &[u8]) -> bool {
    name == b"__pycache__"
        || name.strip_prefix(b".nfs").is_some_and(|rest| rest.len() >= 16 && rest.is_ascii())
}

/// The folders that a path is in, the top one included.
fn folders_above(path: &BStr) -> BTreeSet<&BStr> {
    let mut folders = BTreeSet::new();
    let mut at = path;
    while !at.is_empty() {
        at = parent(at);
        folders.insert(at);
    }
    folders
}

fn is_inside(path: &BStr, folder: &BStr) -> bool {
    folder.is_empty() || (path.starts_with(folder) && path.get(folder.len()) == Some(&b'/'))
}
