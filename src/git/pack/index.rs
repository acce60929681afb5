//! The index of a pack, version 2, as git writes it.

use std::io::{self, Write};

use gix::hash::{Kind, oid};

use super::Object;

/// Offsets from here on are in a table of their own.
const LARGE: u64 = 1 << 31;

/// Writes the index of a pack. `objects` are sorted by id; `pack` is the sum that ends the pack.
pub(super) fn write(out: impl Write, objects: &[Object], pack: &oid, hash: Kind) -> io::Result<()> {
    let mut out = Summing { out: io::BufWriter::with_capacity(64 << 10, out), sum: gix::hash::hasher(hash) };
    out.put(b"\xfftOc\0\0\0\x02")?;
    let mut below = 0;
    for first in 0..=255_u8 {
        below += objects[below..].iter().take_while(|object| object.id.first_byte() == first).count();
        out.put(&(below as u32).to_be_bytes())?;
    }
    for object in objects {
        out.put(object.id.as_slice())?;
    }
    for object in objects {
        out.put(&object.crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for object in objects {
        let small = match object.offset {
            offset if offset < LARGE => offset as u32,
            offset => {
                large.push(offset);
                (large.len() - 1) as u32 | 1 << 31
            }
        };
        out.put(&small.to_be_bytes())?;
    }
    for offset in large {
        out.put(&offset.to_be_bytes())?;
    }
    out.put(pack.as_bytes())?;
    let sum = out.sum.try_finalize().map_err(|err| io::Error::other(err.to_string()))?;
    out.out.write_all(sum.as_slice())?;
    out.out.flush()
}

struct Summing<W> {
    out: W,
    sum: gix::hash::Hasher,
}

impl<W: Write> Summing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gix::ObjectId;
    use gix::objs::Kind as ObjectKind;

    #[test]
    fn offsets_beyond_two_gigabytes_are_found_again() {
        let object = |byte: u8, offset| Object {
            id: ObjectId::from_bytes_or_panic(&[byte; 20]),
            offset,
            crc: offset as u32,
            size: 1,
            kind: ObjectKind::Blob,
        };
        let objects = [object(1, 12), object(7, LARGE - 1), object(7, LARGE), object(255, 1 << 40)];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack-x.idx");
        let pack = ObjectId::from_bytes_or_panic(&[9; 20]);
        write(std::fs::File::create(&path).unwrap(), &objects, &pack, Kind::Sha1).unwrap();
        let index = gix_pack::index::File::at(&path, Kind::Sha1).unwrap();
        let read: Vec<_> = index.iter().map(|entry| (entry.oid, entry.pack_offset, entry.crc32)).collect();
        let wrote: Vec<_> =
            objects.iter().map(|object| (object.id, object.offset, Some(object.crc))).collect();
        assert_eq!(read, wrote);
        assert_eq!(index.lookup(objects[3].id), Some(3));
        assert_eq!(index.lookup(ObjectId::from_bytes_or_panic(&[8; 20])), None);
    }
}
