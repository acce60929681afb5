//! Inflating, once and in pieces: from a network or from a pack on disk, into memory or through it.
//!
//! What a header claims is never believed: memory grows with what really comes, and a stream that is longer or shorter than
//! its header said is damage.

use std::io::BufRead;

use gix::zlib::{Decompress, FlushDecompress, Status};

use super::Error;

/// Bytes that are inflated at once where the whole is not held.
const CHUNK: usize = 64 << 10;

/// An inflater with its buffer, made once: its state is 40 KiB.
pub(super) struct Inflater {
    zlib: Decompress,
    chunk: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Inflater { zlib: Decompress::new(), chunk: Vec::new() }
    }

    /// Inflates a stream of exactly `size` bytes into memory. For sizes that the caller has bounded.
    pub(super) fn whole<R: BufRead + ?Sized>(&mut self, input: &mut R, size: u64) -> Result<Vec<u8>, Error> {
        self.zlib.reset();
        let size =
            usize::try_from(size).map_err(|_| Error::damaged("an object too large for this machine"))?;
        let mut data = vec![0; size.min(CHUNK)];
        let mut filled = 0;
        loop {
            if filled == data.len() && filled < size {
                data.resize(size.min(2 * filled), 0);
            }
            let mut beyond = [0];
            let room = if filled < size { &mut data[filled..] } else { &mut beyond[..] };
            // With `Finish` no window is kept of a stream that ends in this call, as nearly all do.
            let (written, end) = step(&mut self.zlib, input, room, FlushDecompress::Finish)?;
            filled += written;
            if filled > size {
                return Err(longer());
            }
            if end {
                return if filled == size { Ok(data) } else { Err(shorter()) };
            }
        }
    }

    /// Inflates a stream of exactly `size` bytes, and hands it on in pieces.
    pub(super) fn stream<R: BufRead + ?Sized>(
        &mut self,
        input: &mut R,
        size: u64,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.pieces(input, size, each)? {
            so_far if so_far == size => Ok(()),
            _ => Err(shorter()),
        }
    }

    /// Inflates a stream of at most `most` bytes, and hands it on in pieces. Returns how many there were.
    pub(super) fn pieces<R: BufRead + ?Sized>(
        &mut self,
        input: &mut R,
        most: u64,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        self.zlib.reset();
        self.chunk.resize(CHUNK, 0);
        let mut so_far = 0;
        loop {
            let (written, end) = step(&mut self.zlib, input, &mut self.chunk, FlushDecompress::None)?;
            so_far += written as u64;
            if so_far > most {
                return Err(longer());
            }
            each(&self.chunk[..written])?;
            if end {
                return Ok(so_far);
            }
        }
    }
}

/// More comes than was claimed.
pub(super) fn longer() -> Error {
    Error::damaged("an object is longer than its header says")
}

fn shorter() -> Error {
    Error::damaged("an object is shorter than its header says")
}

/// One call of zlib: what it wrote, and whether the stream ended.
fn step<R: BufRead + ?Sized>(
    zlib: &mut Decompress,
    input: &mut R,
    room: &mut [u8],
    flush: FlushDecompress,
) -> Result<(usize, bool), Error> {
    let available = input.fill_buf().map_err(Error::Input)?;
    if available.is_empty() {
        return Err(Error::damaged("it ends inside of an object"));
    }
    let (before_in, before_out) = (zlib.total_in(), zlib.total_out());
    let status = zlib
        .decompress(available, room, flush)
        .map_err(|_| Error::damaged("an object cannot be inflated"))?;
    let consumed = (zlib.total_in() - before_in) as usize;
    let written = (zlib.total_out() - before_out) as usize;
    input.consume(consumed);
    let end = status == Status::StreamEnd;
    if !end && consumed == 0 && written == 0 {
        return Err(Error::damaged("an object cannot be inflated"));
    }
    Ok((written, end))
}
