//! A file against bytes that come in pieces: neither is held whole.

use std::fs::File;
use std::io::{self, Read as _, Write};

/// Takes what a file should be.
///
/// It goes on taking bytes when they differ: whoever makes them may find out at the end that they were the wrong ones.
pub(super) struct Comparison {
    file: File,
    buffer: Vec<u8>,
    bytes: u64,
    differs: bool,
    /// The file could not be read.
    failed: Option<io::Error>,
}

impl Comparison {
    /// Begins at the begin of a file that was just opened.
    pub(super) fn with(file: File) -> Comparison {
        Comparison { file, buffer: Vec::new(), bytes: 0, differs: false, failed: None }
    }

    /// How many bytes of the file were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the file is something else, more or less.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        match self.failed.take() {
            Some(err) => Err(err),
            None => Ok(self.differs || self.file.read(&mut [0])? > 0),
        }
    }

    fn compare(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        let read = (&self.file).take(bytes.len() as u64).read_to_end(&mut self.buffer)?;
        self.bytes += read as u64;
        self.differs = self.buffer != bytes;
        Ok(())
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.differs && self.failed.is_none() {
            self.failed = self.compare(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(content: &[u8], pieces: &[&[u8]]) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        let mut comparison = Comparison::with(File::open(path).unwrap());
        pieces.iter().for_each(|piece| comparison.write_all(piece).unwrap());
        comparison.finish().unwrap()
    }

    #[test]
    fn a_file_is_what_it_should_be_only_if_every_byte_is_and_no_more() {
        assert!(!differs(b"", &[]));
        assert!(!differs(b"one two", &[b"one", b" ", b"two"]));
        for other in [&b""[..], b"one tw", b"one two ", b"one twO", b"One two"] {
            assert!(differs(other, &[b"one", b" ", b"two"]), "{other:?}");
        }
    }
}
