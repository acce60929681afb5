//! Deltas: an object as copies of parts of another one and new bytes in between.

use std::sync::atomic::AtomicBool;

use super::content::Content;
use super::{Error, LARGEST_DELTA, check};

/// Where the result goes, in pieces.
pub(super) trait Target {
    /// Before the first piece: the size of all.
    fn begin(&mut self, size: u64) -> Result<(), Error>;
    /// The next piece.
    fn write(&mut self, piece: &[u8]) -> Result<(), Error>;
}

/// The size of the base and of the result, and how many bytes of the delta say so.
pub(super) fn sizes(delta: &[u8]) -> Option<(u64, u64, usize)> {
    let (base, first) = number(delta)?;
    let (result, second) = number(&delta[first..])?;
    Some((base, result, first + second))
}

fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits.checked_shl(7 * at as u32).filter(|shifted| shifted >> (7 * at) == bits)?;
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// Applies a whole delta to a base in memory.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, Error> {
    let (base_size, size, header) = sizes(delta).ok_or_else(no_header)?;
    if base_size != base.len() as u64 {
        return Err(another_base());
    }
    // Not by the claim alone: what is copied and inserted makes it grow.
    let mut result = Vec::with_capacity((size as usize).min(64 << 10));
    let mut rest = &delta[header..];
    while let Some((&op, after)) = rest.split_first() {
        let part = if op & 0x80 != 0 {
            let (start, len, used) = copy(op, after).ok_or_else(cut)?;
            rest = &after[used..];
            base.get(start as usize..(start + len) as usize)
                .ok_or_else(|| Error::damaged("a delta copies from beyond its base"))?
        } else {
            let part = after.get(..usize::from(op)).filter(|part| !part.is_empty()).ok_or_else(cut)?;
            rest = &after[part.len()..];
            part
        };
        if (result.len() + part.len()) as u64 > size {
            return Err(wrong_size());
        }
        result.extend_from_slice(part);
    }
    if result.len() as u64 != size {
        return Err(wrong_size());
    }
    Ok(result)
}

/// The start and the length that a copy asks for, and how many bytes say so.
fn copy(op: u8, args: &[u8]) -> Option<(u64, u64, usize)> {
    let mut used = 0;
    let mut field = |bits: std::ops::Range<u32>| {
        let mut value = 0_u64;
        for (place, bit) in bits.enumerate() {
            if op & (1 << bit) != 0 {
                value |= u64::from(*args.get(used)?) << (8 * place);
                used += 1;
            }
        }
        Some(value)
    };
    let start = field(0..4)?;
    let len = field(4..7)?;
    Some((start, if len == 0 { 0x10000 } else { len }, used))
}

/// Applies a delta that comes in pieces to a base of any size.
pub(super) struct Applier<'a> {
    base: &'a Content,
    interrupt: &'a AtomicBool,
    /// Beginning of a header or an instruction that is not whole yet.
    held: Vec<u8>,
    begun: bool,
    /// Bytes of an insertion that are still to come.
    insert: usize,
    /// Bytes of the result that are still to come.
    left: u64,
}

impl<'a> Applier<'a> {
    pub(super) fn new(base: &'a Content, interrupt: &'a AtomicBool) -> Self {
        Applier { base, interrupt, held: Vec::new(), begun: false, insert: 0, left: 0 }
    }

    /// Takes the next piece of the delta.
    pub(super) fn feed(&mut self, mut piece: &[u8], target: &mut dyn Target) -> Result<(), Error> {
        while !piece.is_empty() {
            if self.insert > 0 {
                let (part, rest) = piece.split_at(self.insert.min(piece.len()));
                self.insert -= part.len();
                piece = rest;
                self.produce(part.len() as u64)?;
                target.write(part)?;
                continue;
            }
            self.held.push(piece[0]);
            piece = &piece[1..];
            if !self.begun {
                if let Some((base, size, _)) = sizes(&self.held) {
                    if base != self.base.len() {
                        return Err(another_base());
                    }
                    if size > LARGEST_DELTA {
                        return Err(Error::damaged("a delta makes an object that is too large"));
                    }
                    target.begin(size)?;
                    (self.begun, self.left) = (true, size);
                    self.held.clear();
                } else if self.held.len() > 20 {
                    return Err(no_header());
                }
                continue;
            }
            let op = self.held[0];
            if op & 0x80 == 0 {
                self.insert = usize::from(op);
                if op == 0 {
                    return Err(cut());
                }
            } else {
                let Some((start, len, _)) = copy(op, &self.held[1..]) else { continue };
                self.produce(len)?;
                self.base.part(start, len, &mut |part| target.write(part))?;
            }
            self.held.clear();
        }
        Ok(())
    }

    /// Before each part of the result: a few bytes of a delta can ask for gigabytes.
    fn produce(&mut self, bytes: u64) -> Result<(), Error> {
        check(self.interrupt)?;
        self.left = self.left.checked_sub(bytes).ok_or_else(wrong_size)?;
        Ok(())
    }

    /// After the last piece.
    pub(super) fn finish(self) -> Result<(), Error> {
        if !self.begun {
            return Err(no_header());
        }
        if self.insert > 0 || !self.held.is_empty() {
            return Err(cut());
        }
        if self.left > 0 { Err(wrong_size()) } else { Ok(()) }
    }
}

fn no_header() -> Error {
    Error::damaged("a delta without a header")
}

fn another_base() -> Error {
    Error::damaged("a delta is of another base than it names")
}

fn cut() -> Error {
    Error::damaged("a delta with an instruction that makes no sense")
}

fn wrong_size() -> Error {
    Error::damaged("a delta makes another size than it says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Out(Vec<u8>, u64);

    impl Target for Out {
        fn begin(&mut self, size: u64) -> Result<(), Error> {
            self.1 = size;
            Ok(())
        }

        fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
            self.0.extend_from_slice(piece);
            Ok(())
        }
    }

    fn in_pieces(base: &[u8], delta: &[u8], piece: usize) -> Result<Vec<u8>, Error> {
        let base = Content::Memory(base.to_vec());
        let go_on = AtomicBool::new(false);
        let (mut applier, mut out) = (Applier::new(&base, &go_on), Out::default());
        for piece in delta.chunks(piece) {
            applier.feed(piece, &mut out)?;
        }
        applier.finish()?;
        assert_eq!(out.0.len() as u64, out.1);
        Ok(out.0)
    }

    #[test]
    fn a_delta_makes_the_same_whole_and_in_pieces_of_any_size() {
        let base: Vec<u8> = (0..70_000_u32).map(|n| ((n * 7919) >> 8) as u8).collect();
        // Copies 65,536 bytes from 4, inserts three, copies two from 260.
        let mut delta = vec![0xf0, 0xa2, 0x04];
        delta.extend([0x85, 0x80, 0x04]);
        delta.extend([0x81, 4, 3, b'a', b'b', b'c', 0x93, 4, 1, 2]);
        let mut wanted = base[4..65_540].to_vec();
        wanted.extend(b"abc");
        wanted.extend(&base[260..262]);
        assert_eq!(apply(&base, &delta).unwrap(), wanted);
        for piece in [1, 2, 3, 100] {
            assert_eq!(in_pieces(&base, &delta, piece).unwrap(), wanted);
        }
    }

    #[test]
    fn a_delta_that_lies_is_an_error_in_either_way() {
        let base = b"base";
        let good = [4, 5, 0x90, 4, 1, b'x'];
        assert_eq!(apply(base, &good).unwrap(), b"basex");
        let bad: [&[u8]; 11] = [
            &[],
            &[0x84],
            &[4],
            &[5, 5, 0x90, 4, 1, b'x'],
            &[4, 6, 0x90, 4, 1, b'x'],
            &[4, 4, 0x90, 4, 1, b'x'],
            &[4, 5, 0x91, 1, 4, 1, b'x'],
            &[4, 5, 0x90, 4, 2, b'x'],
            &[4, 5, 0x90, 4, 0, b'x'],
            &[4, 4, 0x90],
            &[0xff; 24],
        ];
        for delta in bad {
            assert!(apply(base, delta).is_err(), "{delta:?}");
            assert!(in_pieces(base, delta, 1).is_err(), "{delta:?}");
            assert!(in_pieces(base, delta, 64).is_err(), "{delta:?}");
        }
    }
    #[test]
    fn a_few_bytes_that_ask_for_gigabytes_can_be_stopped() {
        let base = Content::Memory(vec![0; 0xff_ffff]);
        let stop = AtomicBool::new(false);
        let (mut applier, mut out) = (Applier::new(&base, &stop), Out::default());
        // Asks for one GiB, in copies of 16 MiB.
        let mut delta = vec![0xff, 0xff, 0xff, 0x07, 0x80, 0x80, 0x80, 0x80, 0x04];
        applier.feed(&delta, &mut out).unwrap();
        assert_eq!((out.0.len(), out.1), (0, 1 << 30));
        applier.feed(&[0xf0, 0xff, 0xff, 0xff], &mut out).unwrap();
        assert_eq!(out.0.len(), 0xff_ffff);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        delta = [0xf0, 0xff, 0xff, 0xff].repeat(50);
        assert!(matches!(applier.feed(&delta, &mut out), Err(Error::Interrupted)));
        assert_eq!(out.0.len(), 0xff_ffff, "not one more");
    }
}
