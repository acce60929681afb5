//! Packs of our own making: of what a local upstream has and we have not, and of many small packs.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;
use gix::progress::Discard;
use gix_pack::data::output;

use super::cause::of_the_disk;
use super::store::{Objects, Store};
use crate::disk::{self, Point};

/// More packs than this are rolled up: each costs two files, and a look into its index for every object that is not in it.
const MOST_PACKS: usize = 40;
/// At least so many are rolled up at once.
const ROLL_UP: usize = 10;

/// What was written.
pub(super) struct Written {
    /// Size of the pack.
    pub(super) bytes: u64,
    /// Objects in it.
    pub(super) objects: u64,
    /// Its file; `None` for a pack of nothing.
    pub(super) path: Option<PathBuf>,
}

/// Who is to blame.
pub(super) enum Error {
    /// The objects cannot be read from where they come from, or somebody wants to stop.
    Source(String),
    /// What was generated does not make a pack.
    Index(String),
    /// Our store cannot be written.
    Store(super::Error),
}

/// Writes a pack of exactly `objects` into the store: entries are copied as they are packed in `source`, on one thread, and
/// indexed on another, through a pipe, so that nothing is on disk twice.
pub(super) fn write(
    store: &Store,
    source: Objects,
    objects: &[ObjectId],
    interrupt: &AtomicBool,
) -> Result<Written, Error> {
    let in_store = |err: io::Error| Error::Store(store.error(&err));
    let (reader, writer) = io::pipe().map_err(in_store)?;
    let mut db = source.into_inner();
    db.prevent_pack_unload();
    let db = db.into_arc().map_err(in_store)?;
    let hash = store.hash();
    let (generated, indexed) = std::thread::scope(|scope| {
        let generator = scope.spawn(move || generate(db, objects, hash, interrupt, writer));
        let indexed = index(store, io::BufReader::new(reader), interrupt);
        (generator.join(), indexed)
    });
    // A volume that is full breaks the pipe, and then the generator fails too.
    if matches!(indexed, Err(Error::Store(_))) {
        return indexed;
    }
    // The generator's error is the cause of what the indexer says about a pack that ends early.
    generated.unwrap_or_else(|_| Err("the pack generator panicked".into())).map_err(Error::Source)?;
    indexed
}

fn index(
    store: &Store,
    mut pack: io::BufReader<io::PipeReader>,
    interrupt: &AtomicBool,
) -> Result<Written, Error> {
    let outcome = disk::around_as(Point::StorePackWrite, gix::Error::from_error, || {
        gix_pack::Bundle::write_to_directory(
            &mut pack,
            Some(&store.pack_dir()),
            &mut Discard,
            interrupt,
            None::<Objects>,
            store.hash(),
            gix_pack::bundle::write::Options::default(),
        )
    })
    .map_err(|err| match of_the_disk(&err) {
        Some(err) => Error::Store(store.error(&err)),
        None => Error::Index(err.probable_cause().to_string()),
    })?;
    if let (Some(pack), Some(index)) = (&outcome.data_path, &outcome.index_path) {
        store.settle_pack(pack, index, outcome.keep_path.as_deref()).map_err(Error::Store)?;
    }
    let bytes = outcome.data_path.as_ref().and_then(|path| path.metadata().ok()).map_or(0, |meta| meta.len());
    Ok(Written { bytes, objects: u64::from(outcome.index.num_objects), path: outcome.data_path })
}

/// Makes one pack of the small ones, when there are too many. No object is dropped: also in a store that we took over,
/// nothing can be lost. Small is what is not much larger than all smaller ones together, so that a large pack is
/// written again only after as much new has come.
///
/// A crash leaves objects in two packs, which costs space until the next time.
pub fn roll_up(store: &Store, interrupt: &AtomicBool) -> Result<Option<usize>, String> {
    let mut packs: Vec<(u64, PathBuf)> = fs::read_dir(store.pack_dir())
        .map_err(|err| err.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "pack"))
        // A pack that somebody asked to keep is theirs.
        .filter(|path| !path.with_extension("keep").exists())
        .filter_map(|path| Some((path.metadata().ok()?.len(), path)))
        .collect();
    if packs.len() <= MOST_PACKS {
        return Ok(None);
    }
    packs.sort();
    let mut together = 0;
    let small = packs.iter().enumerate().take_while(|(at, (size, _))| {
        let take = *at < ROLL_UP || *size <= 2 * together;
        together += size;
        take
    });
    let small: Vec<PathBuf> = small.map(|(_, (_, path))| path.clone()).collect();
    let mut objects: Vec<ObjectId> = Vec::new();
    for pack in &small {
        let index = gix_pack::index::File::at(pack.with_extension("idx"), store.hash())
            .map_err(|err| err.probable_cause().to_string())?;
        objects.extend(index.iter().map(|entry| entry.oid));
    }
    objects.sort();
    objects.dedup();
    let source = store.objects().map_err(|err| err.to_string())?;
    let written = write(store, source, &objects, interrupt).map_err(|err| match err {
        Error::Source(reason) | Error::Index(reason) => reason,
        Error::Store(err) => err.to_string(),
    })?;
    let complete = written.objects == objects.len() as u64;
    let Some(new) = written.path.filter(|_| complete) else {
        return Err(format!("{} of {} objects were written", written.objects, objects.len()));
    };
    for pack in small.iter().filter(|pack| **pack != new) {
        // The index first: a pack without one is a leftover that the next start removes.
        for file in [pack.with_extension("idx"), pack.with_extension("rev"), pack.clone()] {
            match disk::remove_file(Point::StoreRollUpRemove, &file) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err.to_string()),
                _ => {}
            }
        }
    }
    Ok(Some(small.len()))
}

/// Writes a pack of exactly `objects` to `writer`.
fn generate(
    db: impl gix_pack::Find + Clone + Send + 'static,
    objects: &[ObjectId],
    hash: gix::hash::Kind,
    interrupt: &AtomicBool,
    writer: io::PipeWriter,
) -> Result<(), String> {
    let text = |err: gix::Error| err.probable_cause().to_string();
    let (counts, _) = output::count::objects_unthreaded(
        &db,
        &mut objects.iter().copied().map(Ok),
        &Discard,
        interrupt,
        output::count::objects::ObjectExpansion::AsIs,
    )
    .map_err(text)?;
    let total = counts.len() as u32;
    let options = output::entry::iter_from_counts::Options { thread_limit: Some(1), ..Default::default() };
    let entries = output::entry::iter_from_counts(counts, db, Box::new(Discard), options).map_err(text)?;
    let mut bytes = output::bytes::FromEntriesIter::new(
        gix::parallel::InOrderIter::from(entries),
        io::BufWriter::new(writer),
        total,
        gix_pack::data::Version::V2,
        hash,
    );
    for written in &mut bytes {
        written.map_err(text)?;
        if interrupt.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
    }
    io::Write::flush(&mut bytes.into_write()).map_err(|err| err.to_string())
}
