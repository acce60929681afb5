//! Objects that have just arrived, in case the next ones are deltas of them.
//!
//! A server sends an object right behind its base, so most deltas are resolved here, while the pack comes in, and nothing
//! is inflated twice.

use std::collections::{HashMap, VecDeque};

use gix::objs::Kind;

/// Bytes at most.
const BYTES: usize = 8 << 20;
/// Larger objects are not kept: a few would drive out all others.
const LARGEST: usize = BYTES / 2;

/// The memory of one arrival.
#[derive(Default)]
pub(super) struct Recent {
    objects: HashMap<u64, Held>,
    order: VecDeque<u64>,
    bytes: usize,
}

struct Held {
    kind: Kind,
    data: Vec<u8>,
    /// How many deltas it was made of.
    depth: usize,
    /// Asked for since the last look: it stays for one more round.
    used: bool,
}

impl Recent {
    pub(super) fn put(&mut self, offset: u64, kind: Kind, data: Vec<u8>, depth: usize) {
        if data.capacity() > LARGEST {
            return;
        }
        self.bytes += data.capacity();
        self.objects.insert(offset, Held { kind, data, depth, used: false });
        self.order.push_back(offset);
        while self.bytes > BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            match self.objects.get_mut(&oldest) {
                Some(held) if held.used => {
                    held.used = false;
                    self.order.push_back(oldest);
                }
                _ => {
                    let gone = self.objects.remove(&oldest);
                    self.bytes -= gone.map_or(0, |held| held.data.capacity());
                }
            }
        }
    }

    pub(super) fn get(&mut self, offset: u64) -> Option<(Kind, &[u8], usize)> {
        let held = self.objects.get_mut(&offset)?;
        held.used = true;
        Some((held.kind, &held.data, held.depth))
    }
}
