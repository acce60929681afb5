//! A pack from somebody else, as it comes: to disk, each object inflated once and hashed, indexed at the end.
//!
//! gix's indexer holds every object whole and inflates it twice. Here no object above [`IN_MEMORY`](super::IN_MEMORY) is ever in memory, whatever a
//! header claims: counts and sizes are claims until the bytes are there.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::Kind;
use gix_pack::data::entry::Header;

use super::content::{begun, finished, id_of};
use super::delta::{apply, sizes};
use super::file::PackFile;
use super::inflate::Inflater;
use super::recent::Recent;
use super::resolve::{Base, Pending, resolve};
use super::{Error, IN_MEMORY, LONGEST_CHAIN, Object, chain_too_long, check};
use crate::git::known::Known;
use crate::git::store::{Objects, Store};

/// What came.
#[derive(Debug)]
pub struct Received {
    /// Size of the pack.
    pub bytes: u64,
    /// Objects in it, those included that completed it.
    pub objects: u64,
    /// Its file; `None` for a pack of nothing.
    pub path: Option<PathBuf>,
    /// What each object is.
    pub known: Known,
}

/// The most objects of a pack where nothing says how many are wanted: the largest histories have fewer. Each takes memory until all are
/// there, and an entry need not be longer than nine bytes.
pub const MOST_OBJECTS: u64 = 50_000_000;

/// Reads a pack of up to `most` objects to its end, checks every byte of it, and puts it into the store with its index. `bases` are
/// the objects that it may have deltas of without bringing them (a thin pack); they are added to it.
///
/// # Errors
/// Nothing is left in the store then.
pub fn receive(
    store: &Store,
    input: &mut dyn BufRead,
    bases: Option<&Objects>,
    most: u64,
    interrupt: &AtomicBool,
) -> Result<Received, Error> {
    let hash = store.hash();
    let mut arriving = Arriving {
        input,
        file: PackFile::create(store)?,
        crc: crc32fast::Hasher::new(),
        failed: None,
        lost: false,
    };
    let mut header = [0; 12];
    arriving.read_exact(&mut header).map_err(read_error)?;
    let (_, count) = gix_pack::data::header::decode(&header)
        .map_err(|err| Error::Damaged(err.probable_cause().to_string()))?;
    // Its header is a claim, but more than it claims are not read.
    if u64::from(count) > most {
        return Err(Error::Damaged(format!("it is of {count} objects, {most} at most can be wanted")));
    }
    let mut arrival = Phase {
        hash,
        inflater: Inflater::new(),
        recent: Recent::default(),
        objects: Vec::new(),
        pending: Vec::new(),
    };
    for _ in 0..count {
        check(interrupt)?;
        let taken = arrival.take(&mut arriving, interrupt);
        // A full disk says more than what the inflater makes of it.
        if let Some(err) = arriving.failed.take() {
            return Err(err);
        }
        taken?;
    }
    let Phase { objects, pending, .. } = arrival;
    let Arriving { input, mut file, .. } = arriving;
    let sum = file.sum()?;
    let mut trailer = vec![0; hash.len_in_bytes()];
    input.read_exact(&mut trailer).map_err(read_error)?;
    if trailer != sum.as_slice() {
        return Err(Error::damaged("its checksum is wrong"));
    }
    if !input.fill_buf().map_err(Error::Input)?.is_empty() {
        return Err(Error::damaged("something follows its end"));
    }
    if count == 0 {
        return Ok(Received { bytes: file.offset(), objects: 0, path: None, known: Known::default() });
    }
    let (mut objects, sum) = match pending.is_empty() {
        true => (objects, sum),
        false => resolve(store, &mut file, objects, pending, sum, bases, interrupt)?,
    };
    objects.sort_unstable_by(|a, b| a.id.cmp(&b.id).then(a.offset.cmp(&b.offset)));
    let bytes = file.offset() + hash.len_in_bytes() as u64;
    let path = file.settle(&objects, &sum)?;
    Ok(Received { bytes, objects: objects.len() as u64, path: Some(path), known: Known::of(objects) })
}

/// Everything until the last object is on disk.
struct Phase {
    hash: HashKind,
    inflater: Inflater,
    recent: Recent,
    objects: Vec<Object>,
    pending: Vec<Pending>,
}

impl Phase {
    /// Takes the next entry.
    fn take(&mut self, arriving: &mut Arriving<'_>, interrupt: &AtomicBool) -> Result<(), Error> {
        let offset = arriving.file.offset();
        arriving.crc = crc32fast::Hasher::new();
        let entry = gix_pack::data::Entry::from_read(arriving, offset, self.hash.len_in_bytes());
        let entry = entry.map_err(|err| match arriving.lost {
            true => Error::Input(err),
            false if err.kind() == io::ErrorKind::UnexpectedEof => read_error(err),
            false => Error::Damaged(err.to_string()),
        })?;
        let size = entry.decompressed_size;
        // What becomes of the object here: its kind, and its id if all is known for that.
        let (kind, size, id) = match entry.header {
            Header::OfsDelta { base_distance } => {
                let base = Header::verified_base_pack_offset(offset, base_distance)
                    .ok_or_else(|| Error::damaged("a delta whose base is outside of the pack"))?;
                match self.delta(arriving, size, offset, base, interrupt)? {
                    Some((kind, size, id)) => (kind, size, id),
                    None => (self.later(Base::At(base)), size, self.hash.null()),
                }
            }
            Header::RefDelta { base_id } => {
                self.inflater.stream(arriving, size, &mut |_| check(interrupt))?;
                (self.later(Base::Id(base_id)), size, self.hash.null())
            }
            header => {
                let kind = header.as_kind().expect("what is no delta has a kind");
                (kind, size, self.object(arriving, kind, size, offset, interrupt)?)
            }
        };
        let crc = arriving.crc.clone().finalize();
        self.objects.push(Object { id, offset, crc, size, kind });
        Ok(())
    }

    /// The next object is made when its base is.
    fn later(&mut self, base: Base) -> Kind {
        self.pending.push(Pending { object: self.objects.len() as u32, base });
        Kind::Blob
    }

    fn object(
        &mut self,
        arriving: &mut Arriving<'_>,
        kind: Kind,
        size: u64,
        offset: u64,
        interrupt: &AtomicBool,
    ) -> Result<ObjectId, Error> {
        if size <= IN_MEMORY {
            let data = self.inflater.whole(arriving, size)?;
            let id = id_of(self.hash, kind, &data)?;
            self.recent.put(offset, kind, data, 0);
            return Ok(id);
        }
        let mut hasher = begun(self.hash, kind, size);
        self.inflater.stream(arriving, size, &mut |piece| {
            hasher.update(piece);
            check(interrupt)
        })?;
        finished(hasher)
    }

    /// A delta, if its base is still at hand and neither is large.
    fn delta(
        &mut self,
        arriving: &mut Arriving<'_>,
        size: u64,
        offset: u64,
        base: u64,
        interrupt: &AtomicBool,
    ) -> Result<Option<(Kind, u64, ObjectId)>, Error> {
        if size > IN_MEMORY {
            self.inflater.stream(arriving, size, &mut |_| check(interrupt))?;
            return Ok(None);
        }
        let delta = self.inflater.whole(arriving, size)?;
        let small = sizes(&delta).is_some_and(|(_, result, _)| result <= IN_MEMORY);
        let Some((kind, base, depth)) = self.recent.get(base).filter(|_| small) else { return Ok(None) };
        if depth >= LONGEST_CHAIN {
            return Err(chain_too_long());
        }
        let data = apply(base, &delta)?;
        let id = id_of(self.hash, kind, &data)?;
        let size = data.len() as u64;
        self.recent.put(offset, kind, data, depth + 1);
        Ok(Some((kind, size, id)))
    }
}

/// What comes, copied to disk on its way to the inflater.
struct Arriving<'a> {
    input: &'a mut dyn BufRead,
    file: PackFile<'a>,
    /// Of the entry that is being read.
    crc: crc32fast::Hasher,
    /// Why it could not be copied: `consume` cannot say it.
    failed: Option<Error>,
    /// It broke off where it comes from, and is not to blame for what it is.
    lost: bool,
}

impl BufRead for Arriving<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.failed {
            Some(_) => Err(io::ErrorKind::Other.into()),
            None => self.input.fill_buf().inspect_err(|_| self.lost = true),
        }
    }

    fn consume(&mut self, amount: usize) {
        // The same buffer again: nothing was consumed since.
        match self.input.fill_buf() {
            Ok(buffer) => {
                let taken = &buffer[..amount];
                self.crc.update(taken);
                self.failed = self.failed.take().or(self.file.put(taken).err());
            }
            Err(err) => self.failed = Some(Error::Input(err)),
        }
        self.input.consume(amount);
    }
}

impl Read for Arriving<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(out.len());
        out[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}

fn read_error(err: io::Error) -> Error {
    match err.kind() {
        io::ErrorKind::UnexpectedEof => Error::damaged("it ends too early"),
        _ => Error::Input(err),
    }
}
