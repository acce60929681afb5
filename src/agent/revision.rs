//! A revision in an object store, as the gate looks at it.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::check::Snapshot;
use crate::check::snapshot::{Content, Entry, Kind};
use crate::git::pack;
use crate::git::store::Objects;
use crate::tree;
use crate::tree::Listing;
use crate::tree::attributes::Converter;

/// A Python file of more is refused by the check without being read; DAGs in zips may be larger than that.
const LARGEST: u64 = 64 << 20;

/// The files of a revision, or of one of its folders, with the bytes that readers will see.
pub struct Candidate<'a> {
    entries: Vec<Entry>,
    listing: &'a Listing,
    /// Stands before each path in the listing.
    folder: BString,
    /// A reader is for one thread at a time: those that are not in use, the first of which is never taken away.
    readers: Mutex<Vec<Reader>>,
    interrupt: &'a AtomicBool,
}

#[derive(Clone)]
struct Reader {
    objects: Objects,
    converter: Option<Converter>,
}

impl<'a> Candidate<'a> {
    /// `folder` is below the top, without a slash at its end; the top is empty.
    pub fn new(
        listing: &'a Listing,
        folder: &BStr,
        objects: &Objects,
        converter: Option<&Converter>,
        interrupt: &'a AtomicBool,
    ) -> Candidate<'a> {
        let mut prefix = folder.to_owned();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let below = listing.entries().filter_map(|entry| {
            let kind = match entry.kind {
                tree::Kind::File | tree::Kind::Executable => Kind::File,
                tree::Kind::Symlink => Kind::Link,
                tree::Kind::Submodule => Kind::Submodule,
            };
            // What a file is converted to depends on its path and on the rules, not on its blob alone.
            let content = converter.is_none().then(|| content_of(&entry.id));
            Some(Entry { path: entry.path.strip_prefix(prefix.as_slice())?.into(), kind, content })
        });
        let entries = below.collect();
        let reader = Reader { objects: objects.clone(), converter: converter.cloned() };
        Candidate { entries, listing, folder: prefix, readers: Mutex::new(vec![reader]), interrupt }
    }

    fn reader(&self) -> Reader {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        match readers.len() {
            1 => readers[0].clone(),
            _ => readers.pop().expect("more than one"),
        }
    }
}

fn content_of(id: &gix::oid) -> Content {
    let mut content = Content::default();
    content[..id.as_bytes().len()].copy_from_slice(id.as_bytes());
    content
}

impl Snapshot for Candidate<'_> {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let path: BString = [self.folder.as_slice(), entry.path.as_slice()].concat().into();
        let listed = self.listing.find(path.as_bstr()).ok_or("it is not in the revision")?;
        if listed.kind == tree::Kind::Submodule {
            return Ok(Vec::new());
        }
        if listed.size > LARGEST {
            return Err(format!("it has {} bytes, more than are read for a check", listed.size));
        }
        let mut reader = self.reader();
        let mut blob = Vec::new();
        pack::read_blob(&reader.objects, &listed.id, &mut blob, self.interrupt)
            .map_err(|err| err.to_string())?;
        let bytes = match &mut reader.converter {
            Some(converter) => converter.convert(path.as_bstr(), listed.kind, &listed.id, &blob).into_owned(),
            None => blob,
        };
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(bytes)
    }
}
