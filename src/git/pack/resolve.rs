//! Deltas whose bases were not at hand when they came, in bounded memory whatever they are deltas of.
//!
//! Depth first from each base, without recursion: an object is held only while others are to be made from it, and what is held
//! beyond a bound waits in a file (`frames`). A base that the pack lacks is added to it, as git does.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::objs::Kind;

use super::content::{Arrival, Content, id_of};
use super::deflate::Deflater;
use super::delta::{Applier, apply, sizes};
use super::file::PackFile;
use super::frames::{Bounds, Frame, Frames};
use super::inflate::Inflater;
use super::packs::Packs;
use super::{Error, IN_MEMORY, LONGEST_CHAIN, Object, chain_too_long, check};
use crate::git::store::{Objects, Store};

/// What objects whose deltas are being made may take. A chain of git's has fifty objects, of half a gigabyte at most.
const BOUNDS: Bounds = Bounds { memory: 16 << 20, files: 4, disk: 32 << 30 };

/// What a delta is of.
pub(super) enum Base {
    /// The object at this offset of the same pack.
    At(u64),
    /// Any object, here or in the store.
    Id(ObjectId),
}

/// A delta that waits for its base.
pub(super) struct Pending {
    /// Its place among the objects.
    pub(super) object: u32,
    pub(super) base: Base,
}

/// Makes all that is pending. Returns the objects, now all with their ids, and the sum of the pack.
pub(super) fn resolve(
    store: &Store,
    file: &mut PackFile<'_>,
    objects: Vec<Object>,
    pending: Vec<Pending>,
    sum: ObjectId,
    bases: Option<&Objects>,
    interrupt: &AtomicBool,
) -> Result<(Vec<Object>, ObjectId), Error> {
    // Readers of packs expect the sum at the end.
    file.end(&sum)?;
    let pack = gix_pack::data::File::at(file.path(), store.hash())
        .map_err(|err| Error::Damaged(err.probable_cause().to_string()))?;
    let mut at = Vec::new();
    let mut by_id: BTreeMap<ObjectId, Vec<u32>> = BTreeMap::new();
    let left = pending.len();
    for Pending { object, base } in pending {
        match base {
            Base::At(offset) => at.push((offset, object)),
            Base::Id(id) => by_id.entry(id).or_default().push(object),
        }
    }
    at.sort_unstable();
    let folder = store.pack_dir();
    let mut resolver =
        Resolver { pack, objects, at, by_id, left, folder, inflater: Inflater::new(), interrupt };
    resolver.begin_at_what_is_whole()?;
    let came = resolver.objects.len();
    if resolver.left > 0
        && let Some(bases) = bases
    {
        resolver.complete(file, bases)?;
    }
    if resolver.left > 0 {
        let left = resolver.left;
        return Err(match resolver.by_id.keys().next() {
            Some(id) => {
                Error::Damaged(format!("{left} deltas have no base: {id} is neither in it nor in the store"))
            }
            None => Error::Damaged(format!("{left} deltas have no base")),
        });
    }
    let objects = resolver.objects;
    let sum = match objects.len() == came {
        true => sum,
        false => file.recount(objects.len() as u32, interrupt)?,
    };
    Ok((objects, sum))
}

struct Resolver<'a> {
    pack: gix_pack::data::File,
    objects: Vec<Object>,
    /// Deltas by the offset of their base, sorted.
    at: Vec<(u64, u32)>,
    by_id: BTreeMap<ObjectId, Vec<u32>>,
    /// Deltas that still wait.
    left: usize,
    folder: PathBuf,
    inflater: Inflater,
    interrupt: &'a AtomicBool,
}

impl Resolver<'_> {
    /// Begins at each object that needed no base, or whose base was at hand.
    fn begin_at_what_is_whole(&mut self) -> Result<(), Error> {
        let of_ids = self.by_id.values().flatten();
        let waiting: HashSet<u32> = self.at.iter().map(|(_, object)| object).chain(of_ids).copied().collect();
        for number in 0..self.objects.len() as u32 {
            if waiting.contains(&number) {
                continue;
            }
            let children = self.children_of(number);
            if !children.is_empty() {
                check(self.interrupt)?;
                let (content, depth) = self.read(number)?;
                let kind = self.objects[number as usize].kind;
                self.descend(kind, Frame { content, children, depth })?;
            }
        }
        Ok(())
    }

    /// The deltas of an object. Each is given out once.
    fn children_of(&mut self, number: u32) -> Vec<u32> {
        let Object { id, offset, .. } = self.objects[number as usize];
        let mut children = self.by_id.remove(&id).unwrap_or_default();
        children.extend(self.of_offset(offset).iter().map(|(_, child)| child));
        children
    }

    fn of_offset(&self, offset: u64) -> &[(u64, u32)] {
        let start = self.at.partition_point(|(base, _)| *base < offset);
        let len = self.at[start..].partition_point(|(base, _)| *base == offset);
        &self.at[start..start + len]
    }

    fn descend(&mut self, kind: Kind, root: Frame) -> Result<(), Error> {
        let mut stack = Frames::new(self.folder.clone(), BOUNDS, self.interrupt);
        stack.push(root)?;
        while let Some(frame) = stack.last_mut() {
            check(self.interrupt)?;
            let Some(child) = frame.children.pop() else {
                stack.pop();
                continue;
            };
            let depth = frame.depth + 1;
            if depth > LONGEST_CHAIN {
                return Err(chain_too_long());
            }
            let (id, size, content) = self.make(child, kind, &frame.content)?;
            let object = &mut self.objects[child as usize];
            (object.id, object.size, object.kind) = (id, size, kind);
            self.left -= 1;
            // What nothing more is made from is not held while its children's children are.
            if frame.children.is_empty() {
                stack.pop();
            }
            let children = self.children_of(child);
            if let Some(content) = content.filter(|_| !children.is_empty()) {
                stack.push(Frame { content, children, depth })?;
            }
        }
        Ok(())
    }

    /// Makes a delta's object. Its content is kept only if something may be made from it.
    fn make(
        &mut self,
        child: u32,
        kind: Kind,
        base: &Content,
    ) -> Result<(ObjectId, u64, Option<Content>), Error> {
        let hash = self.pack.object_hash();
        let Object { offset, .. } = self.objects[child as usize];
        let wanted = !self.by_id.is_empty() || !self.of_offset(offset).is_empty();
        let (mut input, size) = entry(&self.pack, offset)?;
        let interrupt = self.interrupt;
        let folder = wanted.then_some(self.folder.as_path());
        let mut arrival = Arrival::new(hash, kind).kept_in(folder);
        let mut applier = Applier::new(base, interrupt);
        if size <= IN_MEMORY {
            let delta = self.inflater.whole(&mut input, size)?;
            if let Content::Memory(base) = base
                && sizes(&delta).is_some_and(|(_, result, _)| result <= IN_MEMORY)
            {
                let data = apply(base, &delta)?;
                let id = id_of(hash, kind, &data)?;
                return Ok((id, data.len() as u64, wanted.then_some(Content::Memory(data))));
            }
            for piece in delta.chunks(64 << 10) {
                check(interrupt)?;
                applier.feed(piece, &mut arrival)?;
            }
        } else {
            self.inflater.stream(&mut input, size, &mut |piece| {
                check(interrupt)?;
                applier.feed(piece, &mut arrival)
            })?;
        }
        applier.finish()?;
        arrival.finish()
    }

    /// The content of an object that is whole: not a delta, or one that was made while it came. And how many deltas it is made of.
    fn read(&mut self, number: u32) -> Result<(Content, usize), Error> {
        let hash = self.pack.object_hash();
        let mut chain = Vec::new();
        let mut offset = self.objects[number as usize].offset;
        // Up to what is no delta. Offsets only fall, so this ends.
        while let Some(base) = base_of(&self.pack, offset)? {
            chain.push(offset);
            offset = base;
        }
        let depth = chain.len();
        let (mut input, size) = entry(&self.pack, offset)?;
        let mut content = whole(&mut self.inflater, &mut input, size, &self.folder, self.interrupt)?;
        while let Some(offset) = chain.pop() {
            let (mut input, size) = entry(&self.pack, offset)?;
            let interrupt = self.interrupt;
            let mut arrival = Arrival::new(hash, Kind::Blob).kept_in(Some(&self.folder));
            let mut applier = Applier::new(&content, interrupt);
            self.inflater.stream(&mut input, size, &mut |piece| {
                check(interrupt)?;
                applier.feed(piece, &mut arrival)
            })?;
            applier.finish()?;
            content = arrival.finish()?.2.expect("it was to be kept");
        }
        Ok((content, depth))
    }

    /// Adds the bases that the pack lacks, and makes what waits for them.
    fn complete(&mut self, file: &mut PackFile<'_>, bases: &Objects) -> Result<(), Error> {
        let packs = Packs::of(bases);
        let missing: Vec<ObjectId> = self.by_id.keys().copied().collect();
        let mut deflater = Deflater::new();
        for id in missing {
            check(self.interrupt)?;
            // Made meanwhile, from another base.
            if !self.by_id.contains_key(&id) {
                continue;
            }
            // Perhaps it is in the pack, and waits for a base that comes later in this list.
            let Some((kind, content)) = packs.content(bases, &id, &self.folder, self.interrupt)? else {
                continue;
            };
            let offset = file.offset();
            let size = content.len();
            let crc = deflater.entry(kind, &content, self.interrupt, &mut |bytes| file.put(bytes))?;
            self.objects.push(Object { id, offset, crc, size, kind });
            let children = self.children_of(self.objects.len() as u32 - 1);
            self.descend(kind, Frame { content, children, depth: 0 })?;
        }
        Ok(())
    }
}

/// The deflated bytes of an entry, and more behind them; and the size of what they inflate to.
pub(super) fn entry(pack: &gix_pack::data::File, offset: u64) -> Result<(&[u8], u64), Error> {
    let (_, size, data) = header(pack, offset)?;
    Ok((data, size))
}

/// An entry's header, the size of what it inflates to, and its deflated bytes with more behind them.
pub(super) fn header(
    pack: &gix_pack::data::File,
    offset: u64,
) -> Result<(gix_pack::data::entry::Header, u64, &[u8]), Error> {
    let end = pack.pack_end() as u64;
    let bytes =
        pack.entry_slice(offset..end).ok_or_else(|| Error::damaged("an entry outside of the pack"))?;
    let entry = gix_pack::data::Entry::from_bytes(bytes, offset, pack.object_hash())
        .map_err(|err| Error::Damaged(err.probable_cause().to_string()))?;
    let data = bytes.get(entry.header_size()..).unwrap_or_default();
    Ok((entry.header, entry.decompressed_size, data))
}

/// Where the base of an entry is, if it is a delta of one in the same pack by its offset.
fn base_of(pack: &gix_pack::data::File, offset: u64) -> Result<Option<u64>, Error> {
    use gix_pack::data::entry::Header;
    Ok(match header(pack, offset)?.0 {
        Header::OfsDelta { base_distance } => Header::verified_base_pack_offset(offset, base_distance),
        _ => None,
    })
}

/// Inflates an object to where it fits.
pub(super) fn whole(
    inflater: &mut Inflater,
    input: &mut &[u8],
    size: u64,
    folder: &std::path::Path,
    interrupt: &AtomicBool,
) -> Result<Content, Error> {
    if size <= IN_MEMORY {
        return Ok(Content::Memory(inflater.whole(input, size)?));
    }
    let mut file = super::content::spool(folder).map_err(Error::Disk)?;
    inflater.stream(input, size, &mut |piece| {
        check(interrupt)?;
        std::io::Write::write_all(&mut file, piece).map_err(Error::Disk)
    })?;
    let file = file.into_inner().map_err(|err| Error::Disk(err.into_error()))?;
    Ok(Content::File { file: Rc::new(file.into_inner()), start: 0, len: size })
}
