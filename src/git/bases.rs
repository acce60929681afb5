//! Objects that others are deltas of, kept for a moment.
//!
//! In a pack most objects are a chain of up to fifty deltas: without a memory, each read inflates the whole chain again.
//! git and gix's own repositories keep what they have just decoded; a bare object database does not, so we do. A pack holds a
//! chain's objects close together, bases first: read in the order of the pack, nearly every base is found here.

use gix::objs::Kind;
use gix_pack::cache::DecodeEntry;

/// Objects at most.
const SLOTS: usize = 1024;
/// Bytes at most, in all slots of one reader: eight of them build a tree, within the memory of a small container.
const BYTES: usize = 2 << 20;
/// Larger objects are not kept: one would drive out all others.
const LARGEST: usize = BYTES / 4;

/// The memory of one reader.
#[derive(Default)]
pub(super) struct Bases {
    /// Empty until something is put in: most handles read a handful of objects.
    slots: Vec<Slot>,
    bytes: usize,
    /// Where the search for something to forget goes on.
    hand: usize,
}

#[derive(Default)]
struct Slot {
    pack: u32,
    offset: u64,
    kind: Option<Kind>,
    packed: usize,
    data: Vec<u8>,
}

/// The upper bits of a product with an odd constant: spreads offsets that are a little apart.
fn slot_of(pack: u32, offset: u64) -> usize {
    let key = offset ^ u64::from(pack) << 40;
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

impl DecodeEntry for Bases {
    fn put(&mut self, pack: u32, offset: u64, data: &[u8], kind: Kind, packed: usize) {
        if data.len() > LARGEST {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let slot = &mut self.slots[slot_of(pack, offset)];
        // Its buffer is used again, so what counts is what it can hold.
        self.bytes -= slot.data.capacity();
        slot.data.clear();
        slot.data.extend_from_slice(data);
        self.bytes += slot.data.capacity();
        (slot.pack, slot.offset, slot.kind, slot.packed) = (pack, offset, Some(kind), packed);
        while self.bytes > BYTES {
            let slot = &mut self.slots[self.hand];
            self.hand = (self.hand + 1) % SLOTS;
            self.bytes -= slot.data.capacity();
            *slot = Slot::default();
        }
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let slot = self.slots.get(slot_of(pack, offset))?;
        let kind = slot.kind.filter(|_| slot.pack == pack && slot.offset == offset)?;
        out.clear();
        out.extend_from_slice(&slot.data);
        Some((kind, slot.packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_was_put_there() {
        let mut bases = Bases::default();
        let mut out = Vec::new();
        assert_eq!(bases.get(1, 12, &mut out), None);
        for offset in 0..5000 {
            bases.put(1, offset, format!("object {offset}").as_bytes(), Kind::Blob, offset as usize);
            assert_eq!(bases.get(1, offset, &mut out), Some((Kind::Blob, offset as usize)));
            assert_eq!(out, format!("object {offset}").as_bytes());
            assert_eq!(bases.get(2, offset, &mut out), None, "another pack");
        }
        for offset in 0..5000 {
            if bases.get(1, offset, &mut out).is_some() {
                assert_eq!(out, format!("object {offset}").as_bytes());
            }
        }
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut bases = Bases::default();
        for offset in 0..10_000_u64 {
            let size = (offset as usize * 7919) % (2 * LARGEST);
            bases.put(0, offset, &vec![0; size], Kind::Blob, 1);
            let held: usize = bases.slots.iter().map(|slot| slot.data.capacity()).sum();
            assert_eq!(held, bases.bytes);
            assert!(held <= BYTES, "{held}");
        }
    }
}
