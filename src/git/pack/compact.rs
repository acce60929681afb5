//! A store that serves for months stays as small and as quick as on its first day.
//!
//! Every fetch brings a pack; each costs two files, and a look into its index for every object that is not in it. And most of
//! what was fetched is soon needed by nobody. Now and then many packs become one, without what no kept commit needs.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use gix::ObjectId;
use gix::objs::{Find as _, Kind, TagRefIter};

use super::closure::closure;
use super::file::PackFile;
use super::packs::{Pack, Packs};
use super::resolve::header;
use super::{Error, check, copy};
use crate::disk::{self, Point};
use crate::git::store::{Objects, Store};

/// More packs than this are made one.
const MOST_PACKS: usize = 40;
/// At least so many at once.
const ROLL_UP: usize = 10;
/// Less garbage than this is not worth any work.
const GARBAGE: u64 = 8 << 20;
/// A loose object may be of a git program that is at work in a published tree, unless it is older than this.
const AT_WORK: Duration = Duration::from_secs(3600);

/// How many bytes of packs were needed when that was counted, in the store.
const LIVE: &str = "dagsync.live";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Packs that became one.
    pub packs: usize,
    /// Objects that are gone.
    pub dropped: usize,
}

/// Makes one pack of many small ones, or of all when more of them is garbage than not. Garbage is what no commit of `kept`
/// needs, up to the shallow boundary; it is dropped on the way. In a store that we did not make nothing is dropped.
///
/// Costs a few system calls when there is nothing to do. What is small is what is not much larger than all smaller
/// ones together, and garbage is counted only when the store has doubled: however long it runs, each byte is copied a
/// few times.
///
/// A crash leaves objects in two packs, or a pack without its index, which the next start removes.
pub fn compact(store: &Store, kept: &[ObjectId], interrupt: &AtomicBool) -> Result<Option<Compacted>, Error> {
    let all = packs_of(store).map_err(Error::Disk)?;
    let total: u64 = all.iter().map(|(size, _)| size).sum();
    let many = all.len() > MOST_PACKS;
    let may_drop = store.is_ours() && !kept.is_empty();
    // One pack of a first fetch has no garbage.
    let live = live_bytes(store).or((all.len() == 1).then_some(total)).unwrap_or(0);
    let doubled = may_drop && total.saturating_sub(live) > live.max(GARBAGE);
    if !many && !doubled {
        if may_drop && (total < live || live_bytes(store).is_none()) && all.len() == 1 {
            remember_live_bytes(store, total).map_err(Error::Disk)?;
        }
        return Ok(None);
    }
    let objects = store.objects().map_err(Error::Store)?;
    let needed = match may_drop {
        true => Some(closure(store, &objects, kept, interrupt)?),
        false => None,
    };
    let mut heavy = false;
    if let Some(needed) = &needed {
        let paths: Vec<PathBuf> = all.iter().map(|(_, path)| path.clone()).collect();
        let live = bytes_of(&Packs::at(&paths, store.hash())?, needed, interrupt)?;
        heavy = total.saturating_sub(live) > live.max(GARBAGE);
        remember_live_bytes(store, live).map_err(Error::Disk)?;
    }
    let victims = match (heavy, many) {
        (true, _) => all.into_iter().map(|(_, path)| path).collect(),
        (false, true) => small(all),
        (false, false) => return Ok(None),
    };
    let dropped = rewrite(store, &objects, &victims, needed.as_ref(), interrupt)?;
    if let Some(needed) = &needed {
        remove_loose(store, needed, interrupt).map_err(Error::Disk)?;
    }
    Ok(Some(Compacted { packs: victims.len(), dropped }))
}

/// Bytes of packs that were needed when they were last counted.
fn live_bytes(store: &Store) -> Option<u64> {
    fs::read_to_string(store.dir().join(LIVE)).ok()?.trim().parse().ok()
}

/// Keeps the count for the next time, across restarts. A damaged one costs a count.
fn remember_live_bytes(store: &Store, bytes: u64) -> io::Result<()> {
    disk::write_ours(
        Point::StoreLiveWrite,
        &store.dir().join(LIVE),
        format!("{bytes}\n"),
        store.group_write(),
    )
}

/// Packs and their sizes, the smallest first. One that somebody asked to keep is theirs.
fn packs_of(store: &Store) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut packs: Vec<(u64, PathBuf)> = fs::read_dir(store.pack_dir())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "pack"))
        .filter(|path| !path.with_extension("keep").exists())
        .filter_map(|path| Some((path.metadata().ok()?.len(), path)))
        .collect();
    packs.sort();
    Ok(packs)
}

fn small(packs: Vec<(u64, PathBuf)>) -> Vec<PathBuf> {
    let mut together = 0;
    let small = packs.into_iter().enumerate().take_while(|(at, (size, _))| {
        let take = *at < ROLL_UP || *size <= 2 * together;
        together += size;
        take
    });
    small.map(|(_, (_, path))| path).collect()
}

/// Bytes of the packs that are entries of what is needed, each object once, and of what those are deltas of.
fn bytes_of(packs: &Packs, needed: &HashSet<ObjectId>, interrupt: &AtomicBool) -> Result<u64, Error> {
    let mut bytes = 0;
    for (number, pack) in packs.packs.iter().enumerate() {
        let offsets = pack.index.sorted_offsets();
        let end = pack.data()?.pack_end() as u64;
        let mut counted = vec![false; offsets.len()];
        for entry in pack.index.iter().filter(|entry| needed.contains(&entry.oid)) {
            check(interrupt)?;
            let mut next = packs.find(&entry.oid).filter(|found| found.0 == number).map(|(_, offset)| offset);
            while let Some(offset) = next
                && let Ok(at) = offsets.binary_search(&offset)
                && !std::mem::replace(&mut counted[at], true)
            {
                bytes += offsets.get(at + 1).copied().unwrap_or(end).saturating_sub(offset);
                next = pack.base_of(offset)?;
            }
        }
    }
    Ok(bytes)
}

/// Copies what is needed of `victims` into a new pack, then removes them. Returns how many objects are gone.
fn rewrite(
    store: &Store,
    objects: &Objects,
    victims: &[PathBuf],
    needed: Option<&HashSet<ObjectId>>,
    interrupt: &AtomicBool,
) -> Result<usize, Error> {
    let packs = Packs::at(victims, store.hash())?;
    let mut ids: Vec<ObjectId> =
        packs.packs.iter().flat_map(|pack| pack.index.iter()).map(|e| e.oid).collect();
    ids.sort_unstable();
    ids.dedup();
    let before = ids.len();
    if let Some(needed) = needed {
        let tags = tags_of(&packs, objects, needed, interrupt)?;
        ids.retain(|id| needed.contains(id) || tags.contains(id));
    }
    let mut new = None;
    if !ids.is_empty() {
        let mut file = PackFile::create(store)?;
        let folder = store.pack_dir();
        let written = copy::entries(&packs, objects, &ids, &folder, interrupt, &mut |bytes| file.put(bytes));
        let mut written = written.map_err(|(id, err)| match (id, err) {
            (Some(id), Error::Damaged(reason)) => Error::Damaged(format!("{id}: {reason}")),
            (_, err) => err,
        })?;
        written.sort_unstable_by_key(|object| object.id);
        let sum = file.sum()?;
        let pack = file.settle(&written, &sum)?;
        flush(&pack).map_err(Error::Disk)?;
        new = Some(pack);
    }
    drop(packs);
    for pack in victims.iter().filter(|pack| Some(*pack) != new.as_ref()) {
        remove(pack).map_err(Error::Disk)?;
    }
    Ok(before - ids.len())
}

/// Puts a pack on disk before the ones that it replaces go: some may hold what only they have, in a store that is not ours.
fn flush(pack: &Path) -> io::Result<()> {
    for path in [pack, &pack.with_extension("idx"), pack.parent().expect("a pack is in a folder")] {
        match disk::sync(Point::StoreCompactFlush, &fs::File::open(path)?) {
            // Some file systems cannot flush a folder; then nothing more can be done.
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => {}
            other => other?,
        }
    }
    Ok(())
}

/// The index first: a pack without one is a leftover that the next start removes.
fn remove(pack: &Path) -> io::Result<()> {
    for file in [pack.with_extension("idx"), pack.with_extension("rev"), pack.to_owned()] {
        disk::remove_any(Point::StoreCompactRemove, &file)?;
    }
    Ok(())
}

/// Annotated tags that lead to something needed: no commit needs them, but the next pass may ask by their id.
fn tags_of(
    packs: &Packs,
    objects: &Objects,
    needed: &HashSet<ObjectId>,
    interrupt: &AtomicBool,
) -> Result<HashSet<ObjectId>, Error> {
    let is_tag = |pack: &Pack, offset| -> Result<bool, Error> {
        Ok(header(pack.data()?, offset)?.0.as_kind() == Some(Kind::Tag))
    };
    let mut tags = Vec::new();
    for pack in &packs.packs {
        for entry in pack.index.iter().filter(|entry| !needed.contains(&entry.oid)) {
            check(interrupt)?;
            if is_tag(pack, entry.pack_offset)? {
                tags.push(entry.oid);
            }
        }
    }
    let mut found = HashSet::new();
    let mut buffer = Vec::new();
    // A tag may be of a tag. Each round finds one more link of such a chain.
    loop {
        let before = found.len();
        for tag in &tags {
            let Ok(Some(data)) = objects.try_find(tag, &mut buffer) else { continue };
            if let Ok(target) = TagRefIter::from_bytes(data.data, tag.kind()).target_id()
                && (needed.contains(&target) || found.contains(&target))
            {
                found.insert(*tag);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// Loose objects that nothing kept needs.
fn remove_loose(store: &Store, needed: &HashSet<ObjectId>, interrupt: &AtomicBool) -> io::Result<()> {
    let before = SystemTime::now().checked_sub(AT_WORK);
    for first in 0..=255_u8 {
        if check(interrupt).is_err() {
            break;
        }
        let first = format!("{first:02x}");
        let Ok(folder) = fs::read_dir(store.dir().join("objects").join(&first)) else { continue };
        for file in folder.flatten() {
            let name = format!("{first}{}", file.file_name().to_string_lossy());
            let Ok(id) = ObjectId::from_hex(name.as_bytes()) else { continue };
            let changed = file.metadata()?.modified().ok();
            if !needed.contains(&id) && changed < before {
                disk::remove_any(Point::StoreLooseRemove, &file.path())?;
            }
        }
    }
    Ok(())
}
