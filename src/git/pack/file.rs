//! A pack that is being written: a temporary file beside the others, its sum, and the moment in which it becomes one of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::hash::Hasher;

use super::{Error, Object, check, index};
use crate::disk::{self, Point, Writable};
use crate::git::store::Store;

/// Bytes that are written and hashed at once.
const BUFFER: usize = 128 << 10;

/// A pack on its way to disk. Dropped before it is in place, it leaves nothing.
pub(super) struct PackFile<'a> {
    store: &'a Store,
    path: PathBuf,
    file: Writable,
    buffer: Vec<u8>,
    hasher: Hasher,
    offset: u64,
}

impl<'a> PackFile<'a> {
    pub(super) fn create(store: &'a Store) -> Result<Self, Error> {
        let path = store.pack_dir().join(format!("tmp_pack_{:016x}", fastrand::u64(..)));
        let file = disk::create_new(Point::StorePackCreate, &path).map_err(Error::Disk)?;
        let hasher = gix::hash::hasher(store.hash());
        Ok(PackFile { store, path, file, buffer: Vec::with_capacity(BUFFER), hasher, offset: 0 })
    }

    /// Where the next byte goes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where it is for now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.offset += bytes.len() as u64;
        while self.buffer.len() + bytes.len() >= BUFFER {
            let (now, later) = bytes.split_at(BUFFER - self.buffer.len());
            self.buffer.extend_from_slice(now);
            self.flush()?;
            bytes = later;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.hasher.update(&self.buffer);
        self.file.write_all(Point::StorePackWrite, &self.buffer).map_err(Error::Disk)?;
        self.buffer.clear();
        Ok(())
    }

    /// The sum of everything so far.
    pub(super) fn sum(&mut self) -> Result<ObjectId, Error> {
        self.flush()?;
        self.hasher.clone().try_finalize().map_err(|err| Error::Damaged(err.to_string()))
    }

    /// Writes the sum behind the objects. More objects may follow: they overwrite it.
    pub(super) fn end(&mut self, sum: &ObjectId) -> Result<(), Error> {
        self.file.write_all_at(Point::StorePackWrite, sum.as_slice(), self.offset).map_err(Error::Disk)
    }

    /// Makes the header say `count`, and sums everything again.
    pub(super) fn recount(&mut self, count: u32, interrupt: &AtomicBool) -> Result<ObjectId, Error> {
        self.flush()?;
        self.file.write_all_at(Point::StorePackWrite, &count.to_be_bytes(), 8).map_err(Error::Disk)?;
        self.hasher = gix::hash::hasher(self.store.hash());
        let mut piece = vec![0; BUFFER];
        let mut at = 0;
        while at < self.offset {
            check(interrupt)?;
            let len = (self.offset - at).min(BUFFER as u64) as usize;
            self.file.read_exact_at(&mut piece[..len], at).map_err(Error::Disk)?;
            self.hasher.update(&piece[..len]);
            at += len as u64;
        }
        self.sum()
    }

    /// Writes the index of `objects`, which are sorted by id, and puts both in place. A crash leaves temporary files, or
    /// a pack without its index; the next start removes either.
    pub(super) fn settle(mut self, objects: &[Object], sum: &ObjectId) -> Result<PathBuf, Error> {
        self.flush()?;
        self.end(sum)?;
        let index = self.path.with_file_name(format!("tmp_idx_{:016x}", fastrand::u64(..)));
        let write = || -> io::Result<()> {
            let file = disk::create_new(Point::StoreIndexCreate, &index)?;
            index::write(file.at(Point::StoreIndexWrite), objects, sum, self.store.hash())
        };
        let placed = write().and_then(|()| self.place(&index, sum)).map_err(Error::Disk);
        // After the rename it is not there, which is what is wanted.
        let _ = disk::remove_any(Point::StorePackDiscard, &index);
        placed
    }

    /// Gives the pack and its index, both complete under temporary names, git's modes and names. The index last: without
    /// it a pack does not exist.
    fn place(&self, index: &Path, sum: &ObjectId) -> io::Result<PathBuf> {
        let group_write = self.store.group_write();
        let mode = crate::umask::apply(if group_write { 0o464 } else { 0o444 }, group_write);
        for file in [self.path.as_path(), index] {
            disk::set_mode(Point::StorePackMode, file, mode)?;
        }
        let target = self.path.with_file_name(format!("pack-{sum}.pack"));
        disk::rename(Point::StorePackRename, &self.path, &target)?;
        disk::rename(Point::StoreIndexRename, index, &target.with_extension("idx"))?;
        Ok(target)
    }
}

impl Drop for PackFile<'_> {
    fn drop(&mut self) {
        let _ = disk::remove_any(Point::StorePackDiscard, &self.path);
    }
}
