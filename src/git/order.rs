//! Where objects are in the packs.
//!
//! Reading many of them goes fastest in the order in which they lie there: a delta comes soon after its base, and the
//! pages of a large pack are read once.

use gix::ObjectId;

use super::pack::Packs;
use super::store::Objects;

/// The positions `0..` of `ids`, in the order in which their objects lie in the packs; those in no pack come last.
///
/// Nothing but speed depends on it: an index that cannot be read is left out.
pub fn in_pack_order(objects: &Objects, ids: impl Iterator<Item = ObjectId>) -> Vec<u32> {
    let mut ids = ids.zip(0..).peekable();
    // A tree in which nothing is to be written asks for no index.
    if ids.peek().is_none() {
        return Vec::new();
    }
    let packs = Packs::of(objects);
    let last = (usize::MAX, u64::MAX);
    let mut places: Vec<_> = ids.map(|(id, position)| (packs.find(&id).unwrap_or(last), position)).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, position)| position).collect()
}
