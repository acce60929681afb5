//! Entries that are not copied from another pack but made.

use std::sync::atomic::AtomicBool;

use gix::objs::Kind;
use gix::zlib::stream::deflate::{Compress, FlushCompress};
use gix::zlib::{Compression, Status};
use gix_pack::data::entry::Header;

use super::content::Content;
use super::{Error, check};

/// A deflater with its buffer, made once: its state is 260 KiB.
pub(super) struct Deflater {
    zlib: Compress,
    out: Vec<u8>,
}

impl Deflater {
    pub(super) fn new() -> Self {
        Deflater { zlib: Compress::new(Compression::DEFAULT), out: vec![0; 64 << 10] }
    }

    /// Writes an entry that is no delta. Returns the sum over it.
    pub(super) fn entry(
        &mut self,
        kind: Kind,
        content: &Content,
        interrupt: &AtomicBool,
        put: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<u32, Error> {
        let mut crc = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            put(bytes)
        };
        let mut head = Vec::with_capacity(16);
        header_of(kind).write_to(content.len(), &mut head).map_err(Error::Disk)?;
        put(&head)?;
        self.zlib.reset();
        let Deflater { zlib, out } = self;
        content.part(0, content.len(), &mut |piece| {
            check(interrupt)?;
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, _) = step(zlib, rest, out, FlushCompress::None, &mut put)?;
                rest = &rest[used..];
            }
            Ok(())
        })?;
        while !step(zlib, &[], out, FlushCompress::Finish, &mut put)?.1 {}
        Ok(crc.finalize())
    }
}

fn step(
    zlib: &mut Compress,
    input: &[u8],
    out: &mut [u8],
    flush: FlushCompress,
    put: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(usize, bool), Error> {
    let (before_in, before_out) = (zlib.total_in(), zlib.total_out());
    let status = zlib.compress(input, out, flush).map_err(|err| Error::Damaged(err.to_string()))?;
    put(&out[..(zlib.total_out() - before_out) as usize])?;
    Ok(((zlib.total_in() - before_in) as usize, status == Status::StreamEnd))
}

fn header_of(kind: Kind) -> Header {
    match kind {
        Kind::Commit => Header::Commit,
        Kind::Tree => Header::Tree,
        Kind::Blob => Header::Blob,
        Kind::Tag => Header::Tag,
    }
}
