//! The packs and loose objects of a store, read in pieces.
//!
//! For objects that are too large for gix's way, and for copying entries as they are.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::{Find as _, FindHeader as _, Kind};
use gix_pack::data::entry::Header;
use gix_pack::{data, index};

use super::content::{Arrival, Content};
use super::delta::{Applier, Target as _};
use super::inflate::{Inflater, longer};
use super::resolve::{entry, header, whole};
use super::{Error, IN_MEMORY, LONGEST_CHAIN, check};
use crate::git::store::Objects;

/// A pack and its index.
pub(super) struct Pack {
    pub(super) path: PathBuf,
    pub(super) index: index::File,
    data: OnceCell<data::File>,
}

impl Pack {
    pub(super) fn data(&self) -> Result<&data::File, Error> {
        if let Some(data) = self.data.get() {
            return Ok(data);
        }
        let data = data::File::at(&self.path, self.index.object_hash())
            .map_err(|err| Error::Damaged(format!("`{}`: {}", self.path.display(), err.probable_cause())))?;
        Ok(self.data.get_or_init(|| data))
    }

    /// Where the base of an entry is, if it is a delta.
    pub(super) fn base_of(&self, offset: u64) -> Result<Option<u64>, Error> {
        let no_base = || Error::damaged("a delta without its base");
        match header(self.data()?, offset)?.0 {
            Header::OfsDelta { base_distance } => {
                Header::verified_base_pack_offset(offset, base_distance).map(Some).ok_or_else(no_base)
            }
            Header::RefDelta { base_id } => {
                let found = self.index.lookup(base_id).ok_or_else(no_base)?;
                Ok(Some(self.index.pack_offset_at_index(found)))
            }
            _ => Ok(None),
        }
    }
}

/// An object that was read.
pub(super) struct Made {
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) content: Option<Content>,
}

/// All packs of a store and of those that it borrows from, and its loose objects.
pub(in crate::git) struct Packs {
    pub(super) packs: Vec<Pack>,
    folders: Vec<PathBuf>,
    hash: HashKind,
}

impl Packs {
    /// Those that a reader of objects sees, the largest first: most objects are in it.
    pub(in crate::git) fn of(objects: &Objects) -> Packs {
        let own = objects.store_ref().path().to_owned();
        let mut folders = vec![own.clone()];
        folders.extend(gix::odb::alternate::resolve(own, Path::new("/")).unwrap_or_default());
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder.join("pack")));
        let files = files.flatten().flatten().map(|entry| entry.path());
        let hash = objects.store_ref().object_hash();
        let mut packs: Vec<Pack> = files
            .filter(|path| path.extension() == Some(OsStr::new("pack")))
            .filter_map(|path| Self::open(path, hash).ok())
            .collect();
        packs.sort_by_key(|pack| std::cmp::Reverse(pack.index.num_objects()));
        Packs { packs, folders, hash }
    }

    /// These packs only.
    pub(super) fn at(paths: &[PathBuf], hash: HashKind) -> Result<Packs, Error> {
        let packs = paths.iter().map(|path| Self::open(path.clone(), hash)).collect::<Result<_, _>>()?;
        Ok(Packs { packs, folders: Vec::new(), hash })
    }

    fn open(path: PathBuf, hash: HashKind) -> Result<Pack, Error> {
        let index = index::File::at(path.with_extension("idx"), hash)
            .map_err(|err| Error::Damaged(format!("`{}`: {}", path.display(), err.probable_cause())))?;
        Ok(Pack { path, index, data: OnceCell::new() })
    }

    /// Where an object is packed: which pack, and its offset.
    pub(in crate::git) fn find(&self, id: &gix::oid) -> Option<(usize, u64)> {
        self.packs.iter().enumerate().find_map(|(number, pack)| {
            let found = pack.index.lookup(id)?;
            Some((number, pack.index.pack_offset_at_index(found)))
        })
    }

    /// An object's kind and content, from wherever it is; `None` if it is not there.
    pub(super) fn content(
        &self,
        objects: &Objects,
        id: &gix::oid,
        folder: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Option<(Kind, Content)>, Error> {
        let unreadable = |err: gix::Error| Error::Damaged(format!("{id}: {}", err.probable_cause()));
        let Some(header) = objects.try_header(id).map_err(unreadable)? else { return Ok(None) };
        if header.size <= IN_MEMORY {
            let mut data = Vec::new();
            // An error may be that of a reader with a bound: what it is made from is larger than itself.
            if let Ok(found) = objects.try_find(id, &mut data) {
                let kind = found.map(|found| found.kind);
                return Ok(kind.map(|kind| (kind, Content::Memory(data))));
            }
        }
        let made = self.make(id, folder, Some(folder), None, interrupt)?;
        Ok(made.and_then(|made| Some((made.kind, made.content?))))
    }

    /// Reads an object through buffers and checks its id; `None` if it is not there. It is kept in `keep`, and handed on
    /// `to` somebody. `folder` is for bases that are on the way to it.
    pub(super) fn make(
        &self,
        id: &gix::oid,
        folder: &Path,
        keep: Option<&Path>,
        to: Option<&mut dyn Write>,
        interrupt: &AtomicBool,
    ) -> Result<Option<Made>, Error> {
        let mut inflater = Inflater::new();
        let (kind, (found, size, content)) = match self.find(id) {
            Some((pack, offset)) => {
                self.packed(&mut inflater, &self.packs[pack], offset, folder, keep, to, interrupt)?
            }
            None => match self.loose(id) {
                Some(file) => read_loose(&mut inflater, file, self.hash, keep, to, interrupt)?,
                None => return Ok(None),
            },
        };
        if *found != *id {
            return Err(Error::Damaged(format!("{id} has another content than its id says")));
        }
        Ok(Some(Made { kind, size, content }))
    }

    #[expect(clippy::too_many_arguments, reason = "one caller, which has them all at hand")]
    fn packed(
        &self,
        inflater: &mut Inflater,
        pack: &Pack,
        offset: u64,
        folder: &Path,
        keep: Option<&Path>,
        to: Option<&mut dyn Write>,
        interrupt: &AtomicBool,
    ) -> Result<(Kind, Finished), Error> {
        let data = pack.data()?;
        let mut chain = Vec::new();
        let mut bottom = offset;
        while let Some(base) = pack.base_of(bottom)? {
            chain.push(bottom);
            bottom = base;
            if chain.len() > LONGEST_CHAIN {
                return Err(Error::damaged("a delta of itself"));
            }
        }
        let (first, size, mut input) = header(data, bottom)?;
        let kind = first.as_kind().ok_or_else(|| Error::damaged("a delta without its base"))?;
        let mut last = Arrival::new(self.hash, kind).kept_in(keep);
        if let Some(to) = to {
            last = last.to(to);
        }
        if chain.is_empty() {
            last.begin(size)?;
            inflater.stream(&mut input, size, &mut |piece| {
                check(interrupt)?;
                last.write(piece)
            })?;
            return Ok((kind, last.finish()?));
        }
        let mut content = whole(inflater, &mut input, size, folder, interrupt)?;
        let mut last = Some(last);
        while let Some(offset) = chain.pop() {
            let arrival = match chain.is_empty() {
                true => last.take(),
                false => None,
            };
            let mut arrival = arrival.unwrap_or_else(|| Arrival::new(self.hash, kind).kept_in(Some(folder)));
            let (mut input, size) = entry(data, offset)?;
            let mut applier = Applier::new(&content, interrupt);
            inflater.stream(&mut input, size, &mut |piece| {
                check(interrupt)?;
                applier.feed(piece, &mut arrival)
            })?;
            applier.finish()?;
            let finished = arrival.finish()?;
            if chain.is_empty() {
                return Ok((kind, finished));
            }
            content = finished.2.ok_or_else(|| Error::damaged("a delta of nothing"))?;
        }
        Err(Error::damaged("a delta of nothing"))
    }

    fn loose(&self, id: &gix::oid) -> Option<File> {
        let name = id.to_string();
        self.folders.iter().find_map(|folder| File::open(folder.join(&name[..2]).join(&name[2..])).ok())
    }
}

type Finished = (ObjectId, u64, Option<Content>);

fn read_loose(
    inflater: &mut Inflater,
    file: File,
    hash: HashKind,
    keep: Option<&Path>,
    mut to: Option<&mut dyn Write>,
    interrupt: &AtomicBool,
) -> Result<(Kind, Finished), Error> {
    let mut input = BufReader::with_capacity(64 << 10, file);
    let mut head = Vec::new();
    let mut begun: Option<(Kind, Arrival<'_>)> = None;
    // What may still come: its own header says it, in the first piece.
    let mut left = 0_u64;
    let bounded = |left: u64, piece: &[u8]| left.checked_sub(piece.len() as u64).ok_or_else(longer);
    inflater.pieces(&mut input, u64::MAX, &mut |piece| {
        check(interrupt)?;
        if let Some((_, arrival)) = &mut begun {
            left = bounded(left, piece)?;
            return arrival.write(piece);
        }
        head.extend_from_slice(piece);
        let (kind, size, used) = match gix::objs::decode::loose_header(&head) {
            Ok(parsed) => parsed,
            Err(_) if head.len() < 64 => return Ok(()),
            Err(err) => return Err(Error::Damaged(err.to_string())),
        };
        let mut arrival = Arrival::new(hash, kind).kept_in(keep);
        if let Some(to) = to.take() {
            arrival = arrival.to(to);
        }
        left = bounded(size, &head[used..])?;
        arrival.begin(size)?;
        arrival.write(&head[used..])?;
        begun = Some((kind, arrival));
        Ok(())
    })?;
    let (kind, arrival) = begun.ok_or_else(|| Error::damaged("a loose object without a header"))?;
    // One that is shorter is found by the hash, which covers the size.
    Ok((kind, arrival.finish()?))
}
