//! The history of what is kept, and where it ends: the shallow list.
//!
//! A walk over all commits is what tells, and with `--depth=0` those are tens of thousands. So it is remembered, as long as the process
//! runs, of which commits all history is here. Packs never change: as long as all packs that were there are there, so is all that was
//! found in them. After a start, after packs were made one, and in a store with a boundary, everything is walked.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gix::objs::{Exists as _, FindHeader as _};
use gix::{ObjectId, oid};

use super::error::Error;
use super::store::{Objects, Store};
use crate::disk::{self, Point, remove_any};

/// Commits all of whose history is in the store.
#[derive(Debug, Default)]
pub(super) struct Whole(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    commits: HashSet<ObjectId>,
    /// The packs that were there before it was found.
    packs: HashSet<OsString>,
}

impl Whole {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Rewrites the shallow list to what `kept` commits need: lines of trees long gone go (git and gix keep them for
    /// ever and send them with every request), and a commit whose parents a crash lost becomes a boundary. Returns how many
    /// commits were read for that.
    pub fn tidy_shallow(&self, objects: &Objects, kept: &[ObjectId]) -> Result<usize, Error> {
        let old = self.shallow()?;
        let whole = self.whole(&old);
        let packs = self.names_of_packs();
        let mut new = BTreeSet::new();
        let mut seen: HashSet<ObjectId> = HashSet::new();
        let mut here: HashSet<ObjectId> = HashSet::new();
        for commit in kept {
            if !self.lacks(objects, commit)? {
                here.insert(*commit);
            }
        }
        // Without open files to spare, nothing seems to be there.
        if let (true, Some(commit)) = (here.is_empty(), kept.first()) {
            return Err(self.damaged(commit));
        }
        let mut queue: Vec<ObjectId> = here.iter().copied().collect();
        while let Some(commit) = queue.pop() {
            if whole.contains(&commit) || !seen.insert(commit) {
                continue;
            }
            if old.contains(&commit) {
                new.insert(commit);
                continue;
            }
            let parents = self.parents(objects, &commit)?;
            let mut ends_here = false;
            for parent in &parents {
                ends_here |= self.lacks(objects, parent)?;
            }
            match ends_here {
                true => _ = new.insert(commit),
                false => queue.extend(parents),
            }
        }
        if new != old {
            self.write_shallow(&new)?;
        }
        // Loose objects go without a trace: with a pack, somebody who tidies up leaves one.
        *self.whole.lock() = match new.is_empty() && !packs.is_empty() {
            true => Found { commits: here, packs },
            false => Found::default(),
        };
        Ok(seen.len())
    }

    /// Whether an object is not here. An index that could not be read, once, makes a reader say so of all that is in it: another one
    /// asks the disk again, and tells what it says. A boundary that is written for want of an answer would stay.
    fn lacks(&self, objects: &Objects, id: &oid) -> Result<bool, Error> {
        if objects.exists(id) {
            return Ok(false);
        }
        let found = self.objects()?.try_header(id).map_err(|_| self.damaged(id))?;
        Ok(found.is_none())
    }

    /// Commits all of whose history is known to be here; none while the store has a `boundary`.
    pub(super) fn whole(&self, boundary: &BTreeSet<ObjectId>) -> HashSet<ObjectId> {
        let found = self.whole.lock();
        if !boundary.is_empty() || found.commits.is_empty() || !found.packs.is_subset(&self.names_of_packs())
        {
            return HashSet::new();
        }
        found.commits.clone()
    }

    fn names_of_packs(&self) -> HashSet<OsString> {
        let files = fs::read_dir(self.pack_dir()).into_iter().flatten().flatten();
        let names = files.map(|file| file.file_name());
        // Without its index it is as good as gone.
        names.filter(|name| name.as_encoded_bytes().ends_with(b".idx")).collect()
    }

    /// The shallow boundary as it is on disk.
    pub fn shallow(&self) -> Result<BTreeSet<ObjectId>, Error> {
        let text = match fs::read_to_string(self.shallow_file()) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            // Unreadable or not text: whatever it was, it is damaged, and only a fetch mends it.
            Err(_) => String::new(),
        };
        Ok(text.lines().filter_map(|line| ObjectId::from_hex(line.trim().as_bytes()).ok()).collect())
    }

    /// Removes a lock on the shallow list. We have the lock of the root, so whoever made it is dead, or gix could not remove its
    /// own, of which it says nothing. It refuses to fetch beside one, so one that stays would be the last of all fetches.
    pub(super) fn remove_shallow_lock(&self) -> Result<(), Error> {
        remove_any(Point::StoreLeftoverRemove, &self.shallow_lock()).map_err(|err| self.error(&err))
    }

    fn shallow_lock(&self) -> PathBuf {
        self.dir().join("shallow.lock")
    }

    /// Replaces the shallow list.
    pub fn write_shallow(&self, boundary: &BTreeSet<ObjectId>) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            if boundary.is_empty() {
                return remove_any(Point::StoreShallowRemove, &self.shallow_file());
            }
            let text: String = boundary.iter().map(|id| format!("{id}\n")).collect();
            let temp = self.shallow_lock();
            let file = disk::create_ours(Point::StoreShallowWrite, &temp, self.group_write())?;
            file.write_all(Point::StoreShallowWrite, text.as_bytes())?;
            // After a power cut every git program in the published tree would trip over half a list.
            file.sync_all(Point::StoreShallowSync)?;
            disk::rename(Point::StoreShallowRename, &temp, &self.shallow_file())
        };
        write().map_err(|err| self.error(&err))
    }
}
