//! A revision as others look at it: the gate before it is published, the log after.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};

use crate::check::Revision;
use crate::git::store::Objects;
use crate::tree::Listing;
use crate::tree::attributes::Converter;

/// The difference between two revisions, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// New paths.
    pub added: usize,
    /// Paths whose content or mode differs.
    pub changed: usize,
    /// Paths that are gone.
    pub removed: usize,
}

/// What is in `new` and was not in `old`. Both are sorted by path.
pub(super) fn compare(old: &Listing, new: &Listing) -> Changes {
    let (mut old, mut new) = (old.entries().iter().peekable(), new.entries().iter().peekable());
    let mut changes = Changes::default();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(a), Some(b)) if a.path == b.path => {
                changes.changed += usize::from((a.id, a.kind) != (b.id, b.kind));
                old.next();
                new.next();
            }
            (Some(a), Some(b)) if a.path < b.path => {
                changes.removed += 1;
                old.next();
            }
            (Some(_), None) => {
                changes.removed += 1;
                old.next();
            }
            (_, Some(_)) => {
                changes.added += 1;
                new.next();
            }
        }
    }
}

/// A revision in the object store, for the gate.
pub(super) struct Candidate<'a> {
    pub(super) commit: ObjectId,
    pub(super) listing: &'a Listing,
    pub(super) objects: &'a Objects,
    pub(super) converter: Option<&'a Converter>,
}

impl Revision for Candidate<'_> {
    fn commit(&self) -> String {
        self.commit.to_string()
    }

    fn paths(&self) -> Box<dyn Iterator<Item = &BStr> + '_> {
        Box::new(self.listing.entries().iter().map(|entry| entry.path.as_bstr()))
    }

    fn read(&self, path: &BStr) -> Option<Vec<u8>> {
        use gix::objs::Find as _;
        let entry = self.listing.find(path)?;
        let mut blob = Vec::new();
        self.objects.try_find(&entry.id, &mut blob).ok()??;
        match self.converter {
            Some(converter) => {
                Some(converter.clone().convert(path, entry.kind, &entry.id, &blob).into_owned())
            }
            None => Some(blob),
        }
    }
}
