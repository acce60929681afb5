//! An object's bytes while others are made from them: in memory if they are few, else in a file without a name.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::rc::Rc;

use gix::ObjectId;
use gix::hash::{Hasher, Kind as HashKind};
use gix::objs::Kind;

use super::delta::Target;
use super::{Error, IN_MEMORY};
use crate::disk::{self, Point, Writable, Writing};

/// The bytes of one object.
pub(super) enum Content {
    Memory(Vec<u8>),
    /// A part of a file.
    File {
        file: Rc<Writable>,
        start: u64,
        len: u64,
    },
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Content::Memory(data) => data.len() as u64,
            Content::File { len, .. } => *len,
        }
    }

    /// What it takes of our memory.
    pub(super) fn held(&self) -> usize {
        match self {
            Content::Memory(data) => data.capacity(),
            Content::File { .. } => 0,
        }
    }

    /// Hands on a part in pieces. A part that is not there is the delta's damage.
    pub(super) fn part(
        &self,
        start: u64,
        len: u64,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let end = start.checked_add(len).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| Error::damaged("a delta copies from beyond its base"))?;
        match self {
            Content::Memory(data) => each(&data[start as usize..end as usize]),
            Content::File { file, start: begin, .. } => {
                let (mut at, end) = (begin + start, begin + end);
                let mut buffer = vec![0; (len as usize).min(64 << 10)];
                while at < end {
                    let piece = (buffer.len() as u64).min(end - at) as usize;
                    file.read_exact_at(&mut buffer[..piece], at).map_err(Error::Disk)?;
                    each(&buffer[..piece])?;
                    at += piece as u64;
                }
                Ok(())
            }
        }
    }
}

/// A file that is gone when it is closed, by a crash too. Its name lasts for the moment between two system calls; the next
/// start removes it if that was the last one.
pub(super) fn nameless(folder: &Path) -> io::Result<Writable> {
    let path = folder.join(format!("tmp_object_{:016x}", fastrand::u64(..)));
    let file = disk::create_new(Point::StoreObjectCreate, &path)?;
    disk::remove_file(Point::StoreObjectUnlink, &path)?;
    Ok(file)
}

/// The same, behind a buffer.
pub(super) type Spool = BufWriter<Writing<Writable>>;

/// A file without a name for what comes in pieces.
pub(super) fn spool(folder: &Path) -> io::Result<Spool> {
    Ok(BufWriter::with_capacity(256 << 10, nameless(folder)?.into_writing(Point::StoreObjectWrite)))
}

/// The id of an object in memory.
pub(super) fn id_of(hash: HashKind, kind: Kind, data: &[u8]) -> Result<ObjectId, Error> {
    let mut hasher = begun(hash, kind, data.len() as u64);
    hasher.update(data);
    finished(hasher)
}

/// A hasher that has seen an object's header.
pub(super) fn begun(hash: HashKind, kind: Kind, size: u64) -> Hasher {
    let mut hasher = gix::hash::hasher(hash);
    hasher.update(&gix::objs::encode::loose_header(kind, size));
    hasher
}

/// Its result; an error when the bytes were made to collide.
pub(super) fn finished(hasher: Hasher) -> Result<ObjectId, Error> {
    hasher.try_finalize().map_err(|err| Error::Damaged(err.to_string()))
}

/// An object that comes in pieces: hashed, and kept or handed on if somebody wants it.
pub(super) struct Arrival<'a> {
    hash: HashKind,
    kind: Kind,
    hasher: Option<Hasher>,
    size: u64,
    /// Where to keep it: memory if it is small, a file if not.
    keep: Option<&'a Path>,
    memory: Vec<u8>,
    file: Option<Spool>,
    to: Option<&'a mut dyn Write>,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(hash: HashKind, kind: Kind) -> Self {
        Arrival { hash, kind, hasher: None, size: 0, keep: None, memory: Vec::new(), file: None, to: None }
    }

    /// Keeps the content; what is large, in a file of this folder.
    pub(super) fn kept_in(self, folder: Option<&'a Path>) -> Self {
        Arrival { keep: folder, ..self }
    }

    /// Hands it on.
    pub(super) fn to(self, writer: &'a mut dyn Write) -> Self {
        Arrival { to: Some(writer), ..self }
    }

    /// Its id, its size, and what was kept.
    pub(super) fn finish(self) -> Result<(ObjectId, u64, Option<Content>), Error> {
        let Some(hasher) = self.hasher else { return Err(Error::damaged("a delta without a header")) };
        let id = finished(hasher)?;
        let content = match self.file {
            Some(file) => {
                let file = file.into_inner().map_err(|err| Error::Disk(err.into_error()))?;
                Some(Content::File { file: Rc::new(file.into_inner()), start: 0, len: self.size })
            }
            None => self.keep.map(|_| Content::Memory(self.memory)),
        };
        Ok((id, self.size, content))
    }
}

impl Target for Arrival<'_> {
    fn begin(&mut self, size: u64) -> Result<(), Error> {
        self.hasher = Some(begun(self.hash, self.kind, size));
        self.size = size;
        if let Some(folder) = self.keep.filter(|_| size > IN_MEMORY) {
            self.file = Some(spool(folder).map_err(Error::Disk)?);
        }
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        match &mut self.file {
            Some(file) => file.write_all(piece).map_err(Error::Disk)?,
            None if self.keep.is_some() => self.memory.extend_from_slice(piece),
            None => {}
        }
        match &mut self.to {
            Some(to) => to.write_all(piece).map_err(Error::Output),
            None => Ok(()),
        }
    }
}
