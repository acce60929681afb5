//! A revision as the gate looks at it.

use gix::ObjectId;
use gix::bstr::BStr;

use crate::check::Revision;
use crate::git::store::Objects;
use crate::tree::Listing;
use crate::tree::attributes::Converter;

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
        Box::new(self.listing.paths())
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
