//! Packs: received, read, written and kept few, without ever holding a large object.
//!
//! gix holds every object whole, in its indexer and in its reader; a blob of a gigabyte would take one. What is here goes
//! through buffers: [`receive`] writes and indexes what a remote sends, [`stream_blob`] reads a large blob, [`write()`] makes a
//! pack of what a local upstream has and we have not, [`compact`] drops what nobody needs any more. Objects of ordinary size are
//! read through gix, by everybody.

mod closure;
mod compact;
mod content;
mod copy;
mod deflate;
mod delta;
mod file;
mod frames;
mod index;
mod inflate;
mod packs;
mod receive;
mod recent;
mod resolve;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;
use gix::objs::{Find as _, Kind};

use super::store::{Objects, Store};
pub use compact::{Compacted, compact};
pub(super) use packs::Packs;
pub use receive::{MOST_OBJECTS, Received, receive};

/// Larger objects are never in memory as a whole. One is made of a base and a delta, so three times this may be held.
const IN_MEMORY: u64 = 8 << 20;

/// What gix may ask of memory for one object: two of a chain of deltas, which it makes by turns, and the deltas.
pub(super) const LARGEST_READ: usize = 3 * IN_MEMORY as usize;

/// A delta of a few bytes can ask for an object that fills every disk. None in a DAG repository is larger than this.
const LARGEST_DELTA: u64 = 4 << 30;

/// No chain of deltas is longer, git makes none; one that is may go in a circle.
const LONGEST_CHAIN: usize = 4095;

/// What can go wrong with a pack.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not what it says it is.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be read from where it comes from.
    #[error("{0}")]
    Input(#[source] io::Error),
    /// Our own files cannot be read or written.
    #[error("{0}")]
    Disk(#[source] io::Error),
    /// What was asked for cannot be written to where it was to go.
    #[error("{0}")]
    Output(#[source] io::Error),
    /// Our store cannot be opened or read.
    #[error(transparent)]
    Store(super::Error),
    /// Somebody wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    fn damaged(what: &str) -> Self {
        Error::Damaged(what.to_owned())
    }
}

/// An object of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) id: ObjectId,
    /// Where its entry begins.
    pub(super) offset: u64,
    /// The sum over its entry.
    pub(super) crc: u32,
    /// Of the object, not of its entry.
    pub(super) size: u64,
    pub(super) kind: Kind,
}

fn chain_too_long() -> Error {
    Error::Damaged(format!("a chain of more than {LONGEST_CHAIN} deltas"))
}

fn check(interrupt: &AtomicBool) -> Result<(), Error> {
    if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Blobs above this are better streamed than held.
pub const WORTH_STREAMING: u64 = 4 << 20;

/// Writes a blob to `to` in pieces, whatever its size, and checks that it is what its id says.
///
/// # Errors
/// [`Error::Damaged`] when the object is missing, damaged or no blob; then part of it may have been written.
pub fn stream_blob(
    objects: &Objects,
    id: &gix::oid,
    to: &mut dyn Write,
    interrupt: &AtomicBool,
) -> Result<u64, Error> {
    let packs = Packs::of(objects);
    let folder = objects.store_ref().path().join("pack");
    let made = packs.make(id, &folder, None, Some(to), interrupt)?;
    match made {
        Some(made) if made.kind == Kind::Blob => Ok(made.size),
        Some(_) => Err(Error::Damaged(format!("{id} is no blob"))),
        None => Err(Error::Damaged(format!("{id} is not there"))),
    }
}

/// Reads a blob whole, in no more memory than its own size beyond what an object of ordinary size takes: if it is small but made
/// from a large one, that one waits in a file.
///
/// # Errors
/// As of [`stream_blob`].
pub fn read_blob(
    objects: &Objects,
    id: &gix::oid,
    buffer: &mut Vec<u8>,
    interrupt: &AtomicBool,
) -> Result<(), Error> {
    if let Ok(found) = objects.try_find(id, buffer) {
        return match found.map(|data| data.kind) {
            Some(Kind::Blob) => Ok(()),
            Some(_) => Err(Error::Damaged(format!("{id} is no blob"))),
            None => Err(Error::Damaged(format!("{id} is not there"))),
        };
    }
    // It was too much for gix, or it is damaged: then it is damaged here too. Nothing of that is to be held meanwhile.
    *buffer = Vec::new();
    stream_blob(objects, id, buffer, interrupt).map(|_| ())
}

/// Writes a pack of exactly `objects` into the store: entries are copied as they are packed in `source`, on one thread, and
/// received like any other pack on another, through a pipe, so that all is verified and nothing is on disk twice.
pub(super) fn write(
    store: &Store,
    source: &Objects,
    objects: &[ObjectId],
    interrupt: &AtomicBool,
) -> Result<Received, (Option<ObjectId>, Error)> {
    let (reader, writer) = io::pipe().map_err(|err| (None, Error::Disk(err)))?;
    let folder = store.pack_dir();
    let source = source.clone();
    let (copied, received) = std::thread::scope(|scope| {
        let copier = scope.spawn(move || {
            let packs = Packs::of(&source);
            let mut writer = io::BufWriter::with_capacity(64 << 10, writer);
            let mut put = |bytes: &[u8]| writer.write_all(bytes).map_err(Error::Output);
            copy::stream(&packs, &source, objects, &folder, interrupt, &mut put)?;
            writer.flush().map_err(|err| (None, Error::Output(err)))
        });
        let received = receive(
            store,
            &mut io::BufReader::with_capacity(64 << 10, reader),
            None,
            MOST_OBJECTS,
            interrupt,
        );
        (copier.join(), received)
    });
    let copied = copied.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (copied, received) {
        (Ok(()), received) => received.map_err(|err| (None, err)),
        // The copier's error is the cause of what the receiver says about a pack that ends early, unless it is the other
        // way round.
        (Err((_, Error::Output(_))), Err(err)) => Err((None, err)),
        (Err(err), _) => Err(err),
    }
}
