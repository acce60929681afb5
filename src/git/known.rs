//! What is known of objects without looking: a fetch has just seen each of them.
//!
//! A walk asks for the size of every blob, and each answer costs a look into the index and, for a delta, some inflating.

use gix::ObjectId;
use gix::objs::{Data, Find, FindHeader, Header};

use super::pack::Object;

/// Kinds and sizes of objects that have just come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Sorted by id.
    objects: Vec<Object>,
}

impl Known {
    pub(super) fn of(objects: Vec<Object>) -> Known {
        Known { objects }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The kind and the size of an object.
    pub fn header(&self, id: &gix::oid) -> Option<Header> {
        let found = self.objects.binary_search_by(|object| object.id.as_ref().cmp(id)).ok()?;
        let Object { kind, size, .. } = self.objects[found];
        Some(Header { kind, size })
    }

    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.objects.iter().map(|object| object.id)
    }
}

/// A reader of objects that asks what is known first.
pub struct Remembering<'a, O> {
    /// What is known.
    pub known: &'a Known,
    /// Everything.
    pub objects: &'a O,
}

impl<O: Find> Find for Remembering<'_, O> {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        self.objects.try_find(id, buffer)
    }
}

impl<O: FindHeader> FindHeader for Remembering<'_, O> {
    fn try_header(&self, id: &gix::oid) -> gix::Result<Option<Header>> {
        match self.known.header(id) {
            Some(header) => Ok(Some(header)),
            None => self.objects.try_header(id),
        }
    }
}
