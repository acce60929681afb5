//! Conversions of blobs that are too large to be held: the same as [`Conversion::apply`], through a small buffer.
//!
//! What depends on the whole of a blob is asked first: whether `text=auto` takes it for text, and whether all of it can be encoded.
//! So a blob is read up to three times, and most are read once.

use std::io::{self, Write};

use gix::bstr::ByteSlice as _;
use gix_filter::eol::{AttributesDigest, Configuration, Stats};

use super::encoding::{Encoder, Encoding};
use super::ident::Expander;
use crate::git::pack;

/// More is not converted at once, however large the pieces are that come.
const PIECE: usize = 64 << 10;

/// What is done, in this order, to each piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) ident: Option<Program>,
    pub(super) crlf: Crlf,
    pub(super) encoding: Option<Encoding>,
}

/// Which of git's two programs expands keywords.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program {
    Whole,
    Stream,
}

/// Whether line ends become CRLF.
#[derive(Debug, Clone, Copy)]
pub(super) enum Crlf {
    Never,
    Always,
    /// If the content is text.
    Auto(AttributesDigest, Configuration),
}

/// Reads a blob into what it is given, from the begin.
pub(super) type Read<'a> = &'a mut dyn FnMut(&mut dyn Write) -> Result<(), pack::Error>;

/// Writes the converted blob `id` to `to`.
pub(super) fn convert(
    mut steps: Steps,
    id: &gix::oid,
    read: Read<'_>,
    to: &mut dyn Write,
) -> Result<(), pack::Error> {
    if let Crlf::Auto(digest, config) = steps.crlf {
        let mut tally = Tally::default();
        let before = Steps { crlf: Crlf::Never, encoding: None, ..steps };
        let read = Pieces::new(before, id, &mut tally).run(read);
        let crlf = !tally.is_clear() && {
            read?;
            tally.finish().will_convert_lf_to_crlf(digest, config)
        };
        steps.crlf = if crlf { Crlf::Always } else { Crlf::Never };
    }
    if steps.encoding.is_some() {
        let mut nowhere = io::sink();
        let mut pieces = Pieces::new(steps, id, &mut nowhere);
        let read = pieces.run(read);
        if pieces.cannot_encode {
            steps.encoding = None;
        } else {
            read?;
        }
    }
    Pieces::new(steps, id, to).run(read)
}

/// The steps under way.
struct Pieces<'a> {
    ident: Option<Expander>,
    line_ends: Option<LineEnds>,
    encoder: Option<Encoder>,
    to: &'a mut dyn Write,
    cannot_encode: bool,
    /// What each step makes of a piece.
    made: [Vec<u8>; 3],
}

impl<'a> Pieces<'a> {
    fn new(steps: Steps, id: &gix::oid, to: &'a mut dyn Write) -> Self {
        Pieces {
            ident: steps.ident.map(|program| match program {
                Program::Whole => Expander::whole(id),
                Program::Stream => Expander::stream(id),
            }),
            line_ends: matches!(steps.crlf, Crlf::Always).then(LineEnds::default),
            encoder: steps.encoding.map(Encoder::new),
            to,
            cannot_encode: false,
            made: Default::default(),
        }
    }

    fn run(&mut self, read: Read<'_>) -> Result<(), pack::Error> {
        read(self)?;
        self.step(b"", true).map_err(pack::Error::Output)
    }

    fn step(&mut self, bytes: &[u8], last: bool) -> io::Result<()> {
        let mut piece = bytes;
        let [expanded, ended, encoded] = &mut self.made;
        if let Some(ident) = &mut self.ident {
            expanded.clear();
            ident.push(piece, expanded)?;
            if last {
                ident.finish(expanded);
            }
            piece = expanded;
        }
        if let Some(line_ends) = &mut self.line_ends {
            ended.clear();
            line_ends.push(piece, ended);
            piece = ended;
        }
        if let Some(encoder) = &mut self.encoder {
            encoded.clear();
            if encoder.push(piece, last, encoded).is_none() {
                self.cannot_encode = true;
                return Err(io::Error::other("the blob cannot be encoded"));
            }
            piece = encoded;
        }
        self.to.write_all(piece)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.chunks(PIECE).try_for_each(|piece| self.step(piece, false))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes CRLF of each LF that is alone.
#[derive(Default)]
struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = piece.find_byte(b'\n') {
            let after_cr = if at > 0 { piece[at - 1] == b'\r' } else { self.after_cr };
            out.extend_from_slice(&piece[..at]);
            out.extend_from_slice(if after_cr { b"\n" } else { b"\r\n" });
            piece = &piece[at + 1..];
            self.after_cr = false;
        }
        out.extend_from_slice(piece);
        if let Some(last) = piece.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

/// The statistics by which `text=auto` knows text, of a blob that comes in pieces.
#[derive(Default)]
struct Tally {
    stats: Stats,
    /// The last piece ended with a CR, which is not counted yet.
    after_cr: bool,
    last: Option<u8>,
}

impl Tally {
    /// Whether it is certain already that nothing is converted: as `will_convert_lf_to_crlf` decides it.
    fn is_clear(&self) -> bool {
        self.stats.null > 0 || self.stats.lone_cr > 0 || self.stats.crlf > 0
    }

    fn finish(mut self) -> Stats {
        self.stats.lone_cr += usize::from(self.after_cr);
        // The end of a file, to DOS.
        self.stats.non_printable -= usize::from(self.last == Some(0x1a));
        self.stats
    }
}

impl Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let [first, ..] = bytes else { return Ok(0) };
        let mut piece = bytes;
        if std::mem::take(&mut self.after_cr) {
            if *first == b'\n' {
                self.stats.crlf += 1;
                piece = &piece[1..];
            } else {
                self.stats.lone_cr += 1;
            }
        }
        if let Some(before) = piece.strip_suffix(b"\r") {
            self.after_cr = true;
            piece = before;
        }
        let found = Stats::from_bytes(piece);
        self.stats.null += found.null;
        self.stats.lone_cr += found.lone_cr;
        self.stats.lone_lf += found.lone_lf;
        self.stats.crlf += found.crlf;
        self.stats.printable += found.printable;
        // It takes the end of the piece for the end of the file.
        self.stats.non_printable += found.non_printable + usize::from(piece.last() == Some(&0x1a));
        self.last = bytes.last().copied();
        if self.is_clear() {
            return Err(io::Error::other("no more is needed"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
