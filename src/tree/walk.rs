//! From a root tree to a [`Listing`], or to the reason why not.
//!
//! Every bound is looked at **while** walking: ten tree objects that share each other make a listing of 10^10 files, a
//! chain of 100,000 trees made gix's own index builder take 10 GB. The walk has no recursion, counts the entries of a
//! tree object when it is loaded (so what is on the stack is counted too), and asks for the size of each object before
//! it reads it.
//!
//! It refuses what git would not write itself: names out of order, names twice, unknown modes. git reads some of
//! those, and two programs that read a damaged tree differently is how a tree comes to differ from what was reviewed.
//! Zero-padded and unusual permission bits are read as git reads them: old repositories have them.

use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::index::entry::Mode;
use gix::objs::tree::EntryRef;
use gix::objs::{Find, FindHeader, TreeRefIter};

use super::index::{Index, Record};
use super::{Bound, Entry, Error, Kind, Limits, Listing, Policy, collide, links, listed, names};

/// `NAME_MAX` of every file system in use.
const NAME_BYTES: usize = 255;
/// `PATH_MAX`, which counts the final NUL.
const PATH_BYTES: usize = 4095;
/// Paths of this many bytes on average are allowed for; 4 KiB each would be gigabytes from a handful of objects.
const AVERAGE_PATH_BYTES: u64 = 256;
/// Entries between two looks at the interrupt flag.
const STRIDE: usize = 1024;

/// Lists everything below the tree `root`, with every rule of the room applied.
///
/// Reads every tree object, the header of every blob (so a blob that is missing is noticed here, before anything is
/// written), and the blobs of symlinks. Bounded in memory and time by `limits` whatever the objects say.
///
/// # Errors
/// [`Error::Missing`] if the store lacks an object: fetch again. All others are final for this tree.
pub fn walk<O: Find + FindHeader>(
    objects: &O,
    root: &gix::oid,
    limits: &Limits,
    policy: &Policy,
    interrupt: &AtomicBool,
) -> Result<Listing, Error> {
    walk_after(None, objects, root, limits, policy, interrupt)
}

/// A tree that passed the same rules before, as its manifest has it.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// Its root.
    pub root: &'a gix::oid,
    /// Its manifest: just what a walk of `root` under the same limits and policy led to, with the sizes of the blobs.
    pub manifest: &'a Index,
}

/// The same, for a tree that differs a little from an earlier one: only folders that differ are read, the rest is taken over.
///
/// Asking for the size of each blob is most of a walk (1 to 3 µs, where the pack is made of deltas), reading all folders
/// most of the rest. What is taken over was checked when the earlier tree was walked; its blobs are not looked for again.
pub fn walk_after<O: Find + FindHeader>(
    earlier: Option<Earlier<'_>>,
    objects: &O,
    root: &gix::oid,
    limits: &Limits,
    policy: &Policy,
    interrupt: &AtomicBool,
) -> Result<Listing, Error> {
    let mut walk = Walk {
        earlier: earlier.map(|earlier| Rest { manifest: earlier.manifest, next: 0 }),
        objects,
        limits,
        policy,
        interrupt,
        hash: root.kind(),
        listing: Listing::new(root.kind()),
        stack: Vec::new(),
        spare: Vec::new(),
        path: BString::default(),
        entries: 0,
        folders: 0,
        path_bytes: 0,
        may_collide: false,
        fold_state: RandomState::new(),
        hashes: Vec::new(),
    };
    let before = earlier.map(|earlier| earlier.root.to_owned());
    walk.descend(root.to_owned(), before)?;
    while walk.step()? {}
    let Walk { listing, may_collide, .. } = walk;
    if may_collide && (policy.case_insensitive || listing.has_symlinks()) {
        collide::check(&listing, policy.case_insensitive)?;
    }
    links::check(objects, &listing, policy, interrupt)?;
    Ok(listing)
}

/// A tree object whose entries are being read.
struct Frame {
    data: Vec<u8>,
    offset: usize,
    /// The folder at the same path in the earlier tree; empty if there was none.
    before: Before,
    /// Length of the path of this folder in `Walk::path`.
    path_len: usize,
}

/// A tree object of the earlier tree, read along with its successor.
#[derive(Default)]
struct Before {
    data: Vec<u8>,
    offset: usize,
}

impl Before {
    /// The folder that has the name of `entry`. Both trees are in the same order, and asked in that order.
    fn folder(&mut self, entry: &EntryRef<'_>) -> Option<ObjectId> {
        loop {
            let rest = &self.data[self.offset..];
            let mut entries = TreeRefIter::from_bytes(rest, entry.oid.kind());
            let Some(Ok(before)) = entries.next() else { return None };
            match before.cmp(entry) {
                std::cmp::Ordering::Less => self.offset += entries.offset_to_next_entry(rest),
                std::cmp::Ordering::Equal => return before.mode.is_tree().then(|| before.oid.to_owned()),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }
}

/// What is left of the earlier manifest: it is in the order of the walk.
struct Rest<'a> {
    manifest: &'a Index,
    next: usize,
}

impl<'a> Rest<'a> {
    /// Leaves out what comes before `path`, and returns what is there.
    fn at(&mut self, path: &BStr) -> Option<Record<'a>> {
        while self.next < self.manifest.len() {
            let entry = self.manifest.entry(self.next);
            if entry.path >= path {
                return Some(entry);
            }
            self.skip();
        }
        None
    }

    /// Leaves out one entry.
    fn skip(&mut self) {
        self.next += 1;
    }
}

struct Walk<'a, O> {
    earlier: Option<Rest<'a>>,
    objects: &'a O,
    limits: &'a Limits,
    policy: &'a Policy,
    interrupt: &'a AtomicBool,
    hash: gix::hash::Kind,
    listing: Listing,
    stack: Vec<Frame>,
    /// Buffers of frames that are done.
    spare: Vec<Vec<u8>>,
    path: BString,
    entries: u64,
    folders: u64,
    path_bytes: u64,
    may_collide: bool,
    fold_state: RandomState,
    hashes: Vec<u64>,
}

impl<O: Find + FindHeader> Walk<'_, O> {
    /// Takes the next entry of the innermost tree. `false` at the end.
    fn step(&mut self) -> Result<bool, Error> {
        let Some(frame) = self.stack.last_mut() else { return Ok(false) };
        self.path.truncate(frame.path_len);
        let rest = &frame.data[frame.offset..];
        let mut entries = TreeRefIter::from_bytes(rest, self.hash);
        // Malformed data was refused when the tree was entered.
        let Some(Ok(entry)) = entries.next() else {
            let done = self.stack.pop().expect("seen above");
            self.spare.push(done.data);
            return Ok(true);
        };
        let next = frame.offset + entries.offset_to_next_entry(rest);
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(entry.filename);
        let (id, kind) = (entry.oid.to_owned(), kind_of(&entry).expect("checked on entering"));
        let before = if kind.is_none() { frame.before.folder(&entry) } else { None };
        frame.offset = next;
        if self.path.len() > PATH_BYTES {
            return Err(self.too_much(Bound::Path, PATH_BYTES as u64));
        }
        match kind {
            None => self.descend(id, before)?,
            Some(kind) => {
                let size = match kind {
                    Kind::Submodule => 0,
                    _ => match self.known_size(&id) {
                        Some(size) => size,
                        None => self.header(&id, gix::objs::Kind::Blob)?,
                    },
                };
                self.list(id, kind, size)?;
            }
        }
        Ok(true)
    }

    /// The folder `self.path`: taken over if it is what it was, read if not.
    fn descend(&mut self, id: ObjectId, before: Option<ObjectId>) -> Result<(), Error> {
        match before {
            Some(before) if before == id => self.take_over(),
            before => self.enter(id, before),
        }
    }

    /// Lists what is below `self.path` as the earlier manifest has it.
    fn take_over(&mut self) -> Result<(), Error> {
        let Some(mut rest) = self.earlier.take() else { return Ok(()) };
        let mut prefix = self.path.clone();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        while let Some(entry) = rest.at(prefix.as_ref()).filter(|entry| entry.path.starts_with(&prefix)) {
            let path = entry.path;
            // Folders that the entry before was not in.
            let same = path.iter().zip(self.path.iter()).take_while(|(a, b)| a == b).count();
            let deeper = &path[same.max(prefix.len())..];
            self.folders += deeper.iter().filter(|byte| **byte == b'/').count() as u64;
            self.entries += 1;
            self.path.clear();
            self.path.extend_from_slice(path);
            // A manifest of ours has no other modes.
            let kind = listed::kind_of(entry.mode).unwrap_or(Kind::File);
            self.list(entry.id.to_owned(), kind, entry.size().into())?;
            rest.skip();
        }
        self.earlier = Some(rest);
        self.check_counts()
    }

    /// Lists what is at `self.path`.
    fn list(&mut self, id: ObjectId, kind: Kind, size: u64) -> Result<(), Error> {
        if self.listing.len().is_multiple_of(STRIDE) {
            self.check_interrupt()?;
        }
        let max = self.limits.entries.saturating_mul(AVERAGE_PATH_BYTES);
        self.path_bytes += self.path.len() as u64;
        if self.path_bytes > max {
            return Err(self.too_much(Bound::PathBytes, max));
        }
        if size > self.limits.blob_bytes {
            return Err(self.too_much(Bound::BlobBytes, self.limits.blob_bytes));
        }
        if self.listing.bytes().saturating_add(size) > self.limits.bytes {
            return Err(self.too_much(Bound::Bytes, self.limits.bytes));
        }
        self.listing.push(Entry { path: self.path.as_ref(), kind, id, size });
        Ok(())
    }

    /// Loads and checks the tree object of the folder `self.path`.
    fn enter(&mut self, id: ObjectId, before: Option<ObjectId>) -> Result<(), Error> {
        self.check_interrupt()?;
        if self.stack.len() as u64 > u64::from(self.limits.depth) {
            return Err(self.too_much(Bound::Depth, self.limits.depth.into()));
        }
        let size = self.header(&id, gix::objs::Kind::Tree)?;
        // No tree within the bounds is larger than its entries with the longest names: do not even load it.
        let room = (self.limits.entries.saturating_sub(self.entries))
            .saturating_add(self.limits.entries.saturating_sub(self.folders));
        let entry_bytes = (7 + 1 + NAME_BYTES + 1 + id.as_bytes().len()) as u64;
        if size > room.saturating_mul(entry_bytes) {
            return Err(self.too_much(Bound::Entries, self.limits.entries));
        }
        let mut data = self.spare.pop().unwrap_or_default();
        let found = self.objects.try_find(&id, &mut data).map_err(|e| read_error(id, e))?;
        let Some(kind) = found.map(|object| object.kind) else { return Err(Error::Missing { id }) };
        if kind != gix::objs::Kind::Tree {
            return Err(self.malformed("a file where a folder should be"));
        }
        self.check_tree(&data)?;
        let before = before.and_then(|before| {
            let mut data = Vec::new();
            let found = self.objects.try_find(&before, &mut data).ok()??.kind;
            (found == gix::objs::Kind::Tree).then_some(Before { data, offset: 0 })
        });
        self.stack.push(Frame {
            data,
            offset: 0,
            before: before.unwrap_or_default(),
            path_len: self.path.len(),
        });
        Ok(())
    }

    /// Everything about one tree object that needs no other one.
    fn check_tree(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut previous: Option<EntryRef<'_>> = None;
        // Files whose name is the beginning of all names since: `a`, `a.b`, then the folder `a` again is a duplicate
        // that order alone does not show (GHSA-f89h-2fjh-2r9q: the link `a`, then `a/b` written through it).
        let mut open: Vec<&BStr> = Vec::new();
        let mut entries = TreeRefIter::from_bytes(data, self.hash);
        loop {
            let raw = &data[entries.offset_to_next_entry(data)..];
            let Some(entry) = entries.next() else { break };
            let Ok(entry) = entry else { return Err(self.malformed("an entry that cannot be read")) };
            // gix reads `14….` as a folder and lets a seventh digit push out the first one.
            let odd = raw.starts_with(b"14") || !raw[..7].contains(&b' ');
            let Some(kind) = kind_of(&entry).filter(|_| !odd) else {
                return Err(self.malformed("an entry of unknown mode"));
            };
            match kind {
                None => self.folders += 1,
                Some(_) => self.entries += 1,
            }
            self.check_counts()?;
            if entry.oid.is_null() {
                return Err(self.malformed("an entry without an object"));
            }
            let name = entry.filename;
            let symlink = kind == Some(Kind::Symlink);
            if let Err(problem) = names::check(name, symlink, self.policy.case_insensitive) {
                return Err(Error::Name { path: self.child(name), problem });
            }
            if name.len() > NAME_BYTES {
                let path = self.child(name);
                return Err(Error::TooMuch { bound: Bound::Name, max: NAME_BYTES as u64, path });
            }
            if let Some(previous) = previous {
                match previous.cmp(&entry) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Err(self.malformed("a name that is there twice")),
                    std::cmp::Ordering::Greater => return Err(self.malformed("names out of order")),
                }
            }
            while open.last().is_some_and(|file| !name.starts_with(file)) {
                open.pop();
            }
            match kind {
                Some(_) => open.push(name),
                None if open.last() == Some(&name) => {
                    return Err(self.malformed("a name that is there twice"));
                }
                None => {}
            }
            previous = Some(entry);
        }
        if !self.may_collide {
            let entries = TreeRefIter::from_bytes(data, self.hash).filter_map(Result::ok);
            let names = entries.map(|entry| entry.filename);
            self.may_collide = collide::may_collide(names, &self.fold_state, &mut self.hashes);
        }
        Ok(())
    }

    /// The size of the blob at the same path in the earlier tree, if it is the same blob.
    fn known_size(&mut self, id: &ObjectId) -> Option<u64> {
        let entry = self.earlier.as_mut()?.at(self.path.as_ref())?;
        let same = entry.path == self.path && entry.id == *id && entry.mode != Mode::COMMIT;
        same.then(|| entry.size().into())
    }

    fn check_counts(&self) -> Result<(), Error> {
        if self.entries > self.limits.entries {
            return Err(self.too_much(Bound::Entries, self.limits.entries));
        }
        if self.folders > self.limits.entries {
            return Err(self.too_much(Bound::Folders, self.limits.entries));
        }
        Ok(())
    }

    /// The size of an object that must be of `kind`.
    fn header(&self, id: &ObjectId, kind: gix::objs::Kind) -> Result<u64, Error> {
        match self.objects.try_header(id).map_err(|e| read_error(*id, e))? {
            None => Err(Error::Missing { id: *id }),
            Some(header) if header.kind == kind => Ok(header.size),
            Some(_) => Err(self.malformed("an object of another kind than the entry says")),
        }
    }

    fn check_interrupt(&self) -> Result<(), Error> {
        if self.interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn child(&self, name: &BStr) -> BString {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    fn too_much(&self, bound: Bound, max: u64) -> Error {
        Error::TooMuch { bound, max, path: self.path.clone() }
    }

    fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed { path: self.path.clone(), problem }
    }
}

pub(super) fn read_error(id: ObjectId, source: gix::Error) -> Error {
    Error::Read { id, source: Box::new(source) }
}

/// `Some(None)` for a folder, `None` for a mode that git never writes. Permission bits as git reads them: only the
/// owner's `x` counts.
#[expect(clippy::option_option, reason = "a folder is no `Kind`: nothing of it is listed")]
fn kind_of(entry: &EntryRef<'_>) -> Option<Option<Kind>> {
    let mode = entry.mode.value();
    match mode & 0o170_000 {
        0o040_000 => Some(None),
        0o100_000 if mode & 0o100 != 0 => Some(Some(Kind::Executable)),
        0o100_000 => Some(Some(Kind::File)),
        0o120_000 => Some(Some(Kind::Symlink)),
        0o160_000 => Some(Some(Kind::Submodule)),
        _ => None,
    }
}
