//! Where objects are in the packs.
//!
//! Reading many of them goes fastest in the order in which they lie there: a delta comes soon after its base, and the
//! pages of a large pack are read once.

use std::ffi::OsStr;
use std::fs;

use gix::ObjectId;

use super::store::Objects;

/// The positions `0..` of `ids`, in the order in which their objects lie in the packs; those in no pack come last.
///
/// Nothing but speed depends on it: an index that cannot be read is left out.
pub fn in_pack_order(objects: &Objects, ids: impl Iterator<Item = ObjectId>) -> Vec<u32> {
    let mut indices: Vec<gix_pack::index::File> = Vec::new();
    let mut hash = None;
    let folder = objects.store_ref().path().join("pack");
    let mut places: Vec<(u64, u32)> = ids
        .zip(0..)
        .map(|(id, position)| {
            if hash.replace(id.kind()).is_none() {
                let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
                let files = files.filter(|path| path.extension() == Some(OsStr::new("idx")));
                indices = files.filter_map(|path| gix_pack::index::File::at(path, id.kind()).ok()).collect();
                // Most objects are in the largest pack.
                indices.sort_by_key(|index| std::cmp::Reverse(index.num_objects()));
            }
            let mut found = indices
                .iter()
                .zip(0_u64..)
                .filter_map(|(index, pack)| Some(pack << 48 | index.pack_offset_at_index(index.lookup(id)?)));
            (found.next().unwrap_or(u64::MAX), position)
        })
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, position)| position).collect()
}
