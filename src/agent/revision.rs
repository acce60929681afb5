//! A revision in an object store, as the gate looks at it.

use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::check::snapshot::{Content, Entry, Kind, Unreadable};
use crate::check::{Looking, Snapshot};
use crate::git::pack;
use crate::git::store::Objects;
use crate::tree;
use crate::tree::attributes::Converter;
use crate::tree::{CheckoutConfig, Limits, Listing, Policy};

/// The files of a revision, with the bytes that readers will see.
pub struct Candidate<'a> {
    listing: &'a Listing,
    /// The DAGs folder.
    folder: BString,
    /// Which entries are something else than their blobs.
    converted: Vec<bool>,
    /// A reader is for one thread at a time: those that are not in use, the first of which is never taken away.
    readers: Mutex<Vec<Reader>>,
    interrupt: &'a AtomicBool,
}

#[derive(Clone)]
struct Reader {
    objects: Objects,
    converter: Option<Converter>,
}

/// Shows the files of a commit's tree that is in a store to `look`, and returns its answer. What is allowed to be published is no
/// question here.
///
/// # Errors
/// Those of [`tree::walk`]. Then nobody has looked.
pub fn show(
    objects: &Objects,
    root: &ObjectId,
    limits: &Limits,
    checkout: CheckoutConfig,
    folder: &BStr,
    interrupt: &AtomicBool,
    look: &mut Looking<'_>,
) -> Result<bool, tree::Error> {
    let listing = tree::walk(objects, root, limits, &Policy::ANYTHING, interrupt)?;
    let converter = Converter::new(&listing, objects, checkout)?;
    Ok(look(&Candidate::new(&listing, folder, objects, converter.as_ref(), interrupt)))
}

impl<'a> Candidate<'a> {
    /// `folder` is that of the DAGs, below the top, without a slash at its end; the top is empty.
    pub fn new(
        listing: &'a Listing,
        folder: &BStr,
        objects: &Objects,
        converter: Option<&Converter>,
        interrupt: &'a AtomicBool,
    ) -> Candidate<'a> {
        let mut converter = converter.cloned();
        let converted = match &mut converter {
            // What a file is converted to depends on its path and on the rules, not on its blob alone.
            Some(converter) => {
                let converts = |path| !converter.rule(path).is_identity();
                listing.paths().map(converts).collect()
            }
            None => Vec::new(),
        };
        let reader = Reader { objects: objects.clone(), converter };
        let folder = folder.to_owned();
        Candidate { listing, folder, converted, readers: Mutex::new(vec![reader]), interrupt }
    }

    fn reader(&self) -> Reader {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        match readers.len() {
            1 => readers[0].clone(),
            _ => readers.pop().expect("more than one"),
        }
    }

    /// Reads with a reader of its own. Of a submodule there is nothing to read.
    fn with_reader(
        &self,
        at: usize,
        read: impl FnOnce(&mut Reader, tree::Entry<'_>) -> Result<(), pack::Error>,
    ) -> Result<(), Unreadable> {
        let entry = self.listing.entry(at);
        if entry.kind == tree::Kind::Submodule {
            return Ok(());
        }
        self.stopped()?;
        let mut reader = self.reader();
        read(&mut reader, entry).map_err(|err| Unreadable(err.to_string()))?;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(())
    }
}

fn content_of(id: &gix::oid) -> Content {
    let mut content = Content::default();
    let len = content.len();
    content.copy_from_slice(&id.as_bytes()[..len]);
    content
}

impl Snapshot for Candidate<'_> {
    fn len(&self) -> usize {
        self.listing.len()
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let tree::Entry { path, kind, id, size } = self.listing.entry(at);
        let kind = match kind {
            tree::Kind::File | tree::Kind::Executable => Kind::File,
            tree::Kind::Symlink => Kind::Link,
            tree::Kind::Submodule => Kind::Submodule,
        };
        let converted = kind == Kind::File && self.converted.get(at).is_some_and(|converted| *converted);
        Entry { path, kind, size, content: (!converted).then(|| content_of(&id)) }
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = Vec::new();
        self.with_reader(at, |reader, entry| {
            let mut blob = Vec::new();
            pack::read_blob(&reader.objects, &entry.id, &mut blob, self.interrupt)?;
            bytes = match &mut reader.converter {
                Some(converter) => converter.convert(entry.path, entry.kind, &entry.id, &blob).into_owned(),
                None => blob,
            };
            Ok(())
        })?;
        Ok(bytes)
    }

    fn stream(&self, at: usize, to: &mut dyn Write) -> Result<(), Unreadable> {
        self.with_reader(at, |reader, entry| {
            let Reader { objects, converter } = reader;
            let mut read =
                |to: &mut dyn Write| pack::stream_blob(objects, &entry.id, to, self.interrupt).map(|_| ());
            match converter.as_mut().map(|converter| converter.rule(entry.path)) {
                Some(rule) if !rule.is_identity() => rule.apply_in_pieces(&entry.id, &mut read, to),
                _ => read(to),
            }
        })
    }

    /// Nobody reads the answer of a check that takes too long.
    fn stopped(&self) -> Result<(), Unreadable> {
        Unreadable::if_set(self.interrupt)
    }

    fn folder(&self) -> &BStr {
        self.folder.as_bstr()
    }
}
