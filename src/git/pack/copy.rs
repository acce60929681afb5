//! Entries of other packs, copied as they are: nothing is inflated but what was a delta of something that does not come along.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::objs::Kind;
use gix_pack::data::Version;
use gix_pack::data::entry::Header;

use super::deflate::Deflater;
use super::packs::{Pack, Packs};
use super::resolve::header;
use super::{Error, Object, check};
use crate::git::store::Objects;

/// Bytes of an entry that are copied at once.
const PIECE: usize = 1 << 20;

/// Where an object comes from; sorted, so that each pack is read from its begin to its end, and bases before their deltas.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// `usize::MAX` for one in no pack.
    pack: usize,
    offset: u64,
    id: ObjectId,
}

type Put<'a> = dyn FnMut(&[u8]) -> Result<(), Error> + 'a;

/// Writes a pack of exactly these objects, its sum at the end. The error names the object that cannot be read.
pub(super) fn stream(
    packs: &Packs,
    objects: &Objects,
    ids: &[ObjectId],
    folder: &Path,
    interrupt: &AtomicBool,
    put: &mut Put<'_>,
) -> Result<(), (Option<ObjectId>, Error)> {
    let mut sum = gix::hash::hasher(objects.store_ref().object_hash());
    entries(packs, objects, ids, folder, interrupt, &mut |bytes| {
        sum.update(bytes);
        put(bytes)
    })?;
    let sum = sum.try_finalize().map_err(|err| (None, Error::Damaged(err.to_string())))?;
    put(sum.as_slice()).map_err(|err| (None, err))
}

/// Writes the header and the entries of a pack of exactly these objects.
pub(super) fn entries(
    packs: &Packs,
    objects: &Objects,
    ids: &[ObjectId],
    folder: &Path,
    interrupt: &AtomicBool,
    put: &mut Put<'_>,
) -> Result<Vec<Object>, (Option<ObjectId>, Error)> {
    let mut places: Vec<Place> = ids
        .iter()
        .map(|id| {
            let (pack, offset) = packs.find(id).unwrap_or((usize::MAX, 0));
            Place { pack, offset, id: *id }
        })
        .collect();
    places.sort_unstable();
    let count =
        u32::try_from(places.len()).map_err(|_| (None, Error::damaged("too many objects for a pack")))?;
    let mut copier = Copier {
        packs,
        objects,
        folder,
        interrupt,
        deflater: Deflater::new(),
        pack: usize::MAX,
        ends: Vec::new(),
        copied: Vec::new(),
        offset: 0,
        put,
    };
    copier.write(&gix_pack::data::header::encode(Version::V2, count)).map_err(|err| (None, err))?;
    let mut written = Vec::with_capacity(places.len());
    for place in &places {
        let offset = copier.offset;
        let crc = copier.place(place).map_err(|err| (Some(place.id), err))?;
        written.push(Object { id: place.id, offset, crc, size: 0, kind: Kind::Blob });
    }
    Ok(written)
}

struct Copier<'a, 'p> {
    packs: &'a Packs,
    objects: &'a Objects,
    folder: &'a Path,
    interrupt: &'a AtomicBool,
    deflater: Deflater,
    /// The pack that is being read, and where its entries begin.
    pack: usize,
    ends: Vec<u64>,
    /// Entries of that pack that were copied: from where, to where.
    copied: Vec<(u64, u64)>,
    offset: u64,
    put: &'a mut Put<'p>,
}

impl Copier<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.offset += bytes.len() as u64;
        (self.put)(bytes)
    }

    /// Writes one object. Returns the sum over its entry.
    fn place(&mut self, place: &Place) -> Result<u32, Error> {
        check(self.interrupt)?;
        let packs = self.packs;
        let Some(pack) = packs.packs.get(place.pack) else { return self.make(&place.id) };
        if self.pack != place.pack {
            self.pack = place.pack;
            self.ends = pack.index.sorted_offsets();
            self.copied.clear();
        }
        let new = self.offset;
        let crc = match pack.base_of(place.offset)? {
            None => self.copy(pack, place, None)?,
            Some(base) => match self.copied.binary_search_by_key(&base, |(from, _)| *from) {
                Ok(at) => self.copy(pack, place, Some(new - self.copied[at].1))?,
                // Its base stays behind, or lies in another pack here.
                Err(_) => self.make(&place.id)?,
            },
        };
        self.copied.push((place.offset, new));
        Ok(crc)
    }

    /// Copies an entry as it is but for the distance to its base.
    fn copy(&mut self, pack: &Pack, place: &Place, distance: Option<u64>) -> Result<u32, Error> {
        let data = pack.data()?;
        let next = self.ends.partition_point(|offset| *offset <= place.offset);
        let end = self.ends.get(next).copied().unwrap_or(data.pack_end() as u64);
        let raw = data
            .entry_slice(place.offset..end)
            .ok_or_else(|| Error::damaged("an entry outside of its pack"))?;
        let (_, size, rest) = header(data, place.offset)?;
        let head_len = data.pack_end() - place.offset as usize - rest.len();
        let (old_head, deflated) =
            raw.split_at_checked(head_len).ok_or_else(|| Error::damaged("an entry without an end"))?;
        let mut new_head = Vec::new();
        let head = match distance {
            None => old_head,
            Some(base_distance) => {
                Header::OfsDelta { base_distance }.write_to(size, &mut new_head).map_err(Error::Disk)?;
                &new_head
            }
        };
        // What the index said of it when it came is what is copied: a disk that forgets is noticed here.
        let mut before = crc32fast::Hasher::new();
        before.update(old_head);
        let mut after = crc32fast::Hasher::new();
        after.update(head);
        self.write(head)?;
        for piece in deflated.chunks(PIECE) {
            check(self.interrupt)?;
            before.update(piece);
            after.update(piece);
            self.write(piece)?;
        }
        let known = pack.index.lookup(place.id).and_then(|found| pack.index.crc32_at_index(found));
        if known.is_some_and(|known| known != before.finalize()) {
            return Err(Error::damaged("its entry has changed on disk"));
        }
        Ok(after.finalize())
    }

    /// Makes an entry that is no delta.
    fn make(&mut self, id: &ObjectId) -> Result<u32, Error> {
        let found = self.packs.content(self.objects, id, self.folder, self.interrupt)?;
        let (kind, content) = found.ok_or_else(|| Error::damaged("not there"))?;
        let Copier { deflater, interrupt, offset, put, .. } = self;
        deflater.entry(kind, &content, interrupt, &mut |bytes| {
            *offset += bytes.len() as u64;
            put(bytes)
        })
    }
}
