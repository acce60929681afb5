//! Git's index as a file and as we hold it: the bytes of the file, and where in them each entry begins.
//!
//! A pass holds the manifests of two trees. gix makes of each entry a structure that is larger than what it was read from, beside
//! all the names; of a hundred thousand files two of those were half of all memory. And it needs a third one to write the next:
//! here that goes entry by entry ([`Writer`]).
//!
//! Only version 2 is read here, which is what we write. What a git program made of it in a tree (versions 3 and 4, a split index)
//! is read by gix and put into that form.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use gix::bstr::{BStr, ByteSlice as _};
use gix::hash::Hasher;
use gix::index::entry::stat::Time;
use gix::index::entry::{Mode, Stat};
use gix::{ObjectId, oid};
use memmap2::MmapMut;

/// Signature, version, number of entries.
const HEADER: usize = 12;
/// What the kernel said of a file, ten numbers, before the id; two bytes of flags come behind it.
const STAT: usize = 40;
/// The part of the flags that is the length of the path, and the length that stands for "this or more".
const LENGTH: u16 = 0xfff;

/// An index in memory.
#[derive(Debug)]
pub struct Index {
    /// Not allocated but mapped: gone when it is dropped. glibc would keep tens of megabytes for the next one, in each thread.
    bytes: MmapMut,
    /// Where each entry begins.
    starts: Vec<u32>,
    hash: gix::hash::Kind,
    checksum: Option<ObjectId>,
}

/// An entry of an index.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The path.
    pub path: &'a BStr,
    /// The blob, or the commit of a submodule.
    pub id: &'a oid,
    /// What it is.
    pub mode: Mode,
    /// Everything that has a fixed place.
    numbers: &'a [u8],
}

impl Record<'_> {
    fn number(&self, at: usize) -> u32 {
        number(self.numbers, at * 4)
    }

    /// When it was written.
    pub fn mtime(&self) -> Time {
        Time { secs: self.number(2), nsecs: self.number(3) }
    }

    /// How long it is on disk: the lower 32 bits.
    pub fn size(&self) -> u32 {
        self.number(9)
    }

    /// What the kernel said of it.
    pub fn stat(&self) -> Stat {
        Stat {
            ctime: Time { secs: self.number(0), nsecs: self.number(1) },
            mtime: self.mtime(),
            dev: self.number(4),
            ino: self.number(5),
            uid: self.number(7),
            gid: self.number(8),
            size: self.size(),
        }
    }
}

/// The content of a file that nobody writes to: git and we put a new one in its place.
fn map_of(mut file: File) -> io::Result<MmapMut> {
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut map = MmapMut::map_anon(len)?;
    file.read_exact(&mut map)?;
    Ok(map)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Index {
    /// Reads one. `None` if it is damaged, of another hash, or of somebody's sparse checkout, which has folders for entries.
    pub fn read(path: &Path, hash: gix::hash::Kind) -> Option<Index> {
        if let Some(index) = Index::of_map(map_of(File::open(path).ok()?).ok()?, hash) {
            return Some(index);
        }
        let file = gix::index::File::at(path, hash, false, gix::index::decode::Options::default()).ok()?;
        let checksum = file.checksum();
        let state = file.into_parts().0;
        if state.is_sparse() {
            return None;
        }
        let mut writer = Writer::new(Vec::new(), state.entries().len(), hash).ok()?;
        for entry in state.entries() {
            writer.put(entry.path(&state), &entry.id, entry.mode, &entry.stat).ok()?;
        }
        Some(Index { checksum, ..Index::of_bytes(&writer.finish().ok()?.0, hash)? })
    }

    /// An index from the bytes of its file; `None` if they are not an intact one of version 2 that stands for itself.
    pub fn of_bytes(bytes: &[u8], hash: gix::hash::Kind) -> Option<Index> {
        let mut map = MmapMut::map_anon(bytes.len()).ok()?;
        map.copy_from_slice(bytes);
        Index::of_map(map, hash)
    }

    fn of_map(bytes: MmapMut, hash: gix::hash::Kind) -> Option<Index> {
        let end = bytes.len().checked_sub(hash.len_in_bytes()).filter(|end| *end >= HEADER)?;
        u32::try_from(end).ok()?;
        if !bytes.starts_with(b"DIRC\0\0\0\x02") {
            return None;
        }
        let count = number(&bytes, 8) as usize;
        if count > end / (STAT + hash.len_in_bytes() + 2) {
            return None;
        }
        // git leaves the sum out if it is told to.
        let checksum = ObjectId::from_bytes_or_panic(&bytes[end..]);
        let checksum = (!checksum.is_null()).then_some(checksum);
        if let Some(checksum) = checksum {
            let mut sum = gix::hash::hasher(hash);
            sum.update(&bytes[..end]);
            (sum.try_finalize().ok()? == checksum).then_some(())?;
        }
        let mut starts = Vec::with_capacity(count);
        let mut at = HEADER;
        for _ in 0..count {
            let entry = &bytes[at..end];
            let path = path_of(entry, hash)?;
            // Folders of a sparse checkout, and whatever only an extended flag explains.
            if mode_of(entry) == Mode::DIR {
                return None;
            }
            starts.push(at as u32);
            at += padded(fixed(hash) + path.len());
            if at > end {
                return None;
            }
        }
        // Extensions whose names begin with a small letter change what the entries mean.
        while at < end {
            let name = bytes.get(at).filter(|_| at + 8 <= end)?;
            name.is_ascii_uppercase().then_some(())?;
            at = at.checked_add(8)?.checked_add(number(&bytes, at + 4) as usize)?;
        }
        (at == end).then_some(Index { bytes, starts, hash, checksum })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it is the index of nothing.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The checksum that its file ends with, if it has one.
    pub fn checksum(&self) -> Option<&oid> {
        self.checksum.as_deref()
    }

    /// The entry at this place.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn entry(&self, at: usize) -> Record<'_> {
        let entry = &self.bytes[self.starts[at] as usize..];
        Record {
            path: path_of(entry, self.hash).expect("seen when it was read"),
            id: oid::try_from_bytes(&entry[STAT..fixed(self.hash) - 2]).expect("as long as an id"),
            mode: mode_of(entry),
            numbers: &entry[..STAT],
        }
    }

    /// All entries, by the bytes of the path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Record<'_>> + Clone {
        (0..self.len()).map(|at| self.entry(at))
    }
}

/// Bytes of an entry before its path.
fn fixed(hash: gix::hash::Kind) -> usize {
    STAT + hash.len_in_bytes() + 2
}

/// An entry ends with one to eight zeroes.
fn padded(len: usize) -> usize {
    (len + 8) & !7
}

fn mode_of(entry: &[u8]) -> Mode {
    Mode::from_bits_truncate(number(entry, 24))
}

/// The path of an entry that begins here, if it is an ordinary one and ends here too.
fn path_of(entry: &[u8], hash: gix::hash::Kind) -> Option<&BStr> {
    let (before, rest) = entry.split_at_checked(fixed(hash))?;
    let flags = u16::from_be_bytes(before.last_chunk().copied()?);
    let path = match flags & LENGTH {
        LENGTH => &rest[..rest.find_byte(0)?],
        length => rest.get(..length.into())?,
    };
    Some(path.as_bstr())
}

/// Writes an index entry by entry.
pub struct Writer<W> {
    out: W,
    sum: Hasher,
    hash: gix::hash::Kind,
    /// What is not yet written: the sum and the disk take large pieces better than small ones.
    buffer: Vec<u8>,
    left: usize,
}

/// Bytes that are written and hashed at once.
const BUFFER: usize = 64 << 10;

impl<W: Write> Writer<W> {
    /// Begins an index of `count` entries.
    pub fn new(out: W, count: usize, hash: gix::hash::Kind) -> io::Result<Writer<W>> {
        let number = u32::try_from(count).map_err(io::Error::other)?;
        let mut buffer = Vec::with_capacity(BUFFER);
        buffer.extend_from_slice(b"DIRC\0\0\0\x02");
        buffer.extend_from_slice(&number.to_be_bytes());
        Ok(Writer { out, sum: gix::hash::hasher(hash), hash, buffer, left: count })
    }

    /// Adds the next entry in the order of paths. What a git program may note of one, an index of ours does not have.
    pub fn put(&mut self, path: &BStr, id: &oid, mode: Mode, stat: &Stat) -> io::Result<()> {
        self.left = self.left.checked_sub(1).expect("no more entries than were promised");
        let length = padded(fixed(self.hash) + path.len());
        if self.buffer.len() + length > BUFFER {
            self.flush()?;
        }
        let end = self.buffer.len() + length;
        let Stat { ctime, mtime, dev, ino, uid, gid, size } = *stat;
        let mode = mode.bits();
        for number in [ctime.secs, ctime.nsecs, mtime.secs, mtime.nsecs, dev, ino, mode, uid, gid, size] {
            self.buffer.extend_from_slice(&number.to_be_bytes());
        }
        self.buffer.extend_from_slice(id.as_bytes());
        let flags = u16::try_from(path.len()).map_or(LENGTH, |len| len.min(LENGTH));
        self.buffer.extend_from_slice(&flags.to_be_bytes());
        self.buffer.extend_from_slice(path);
        self.buffer.resize(end, 0);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sum.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the checksum. Returns where it was written to, and the checksum.
    pub fn finish(mut self) -> io::Result<(W, ObjectId)> {
        assert_eq!(self.left, 0, "as many entries as were promised");
        self.flush()?;
        let sum = self.sum.try_finalize().map_err(|err| io::Error::other(err.to_string()))?;
        self.out.write_all(sum.as_slice())?;
        Ok((self.out, sum))
    }
}
