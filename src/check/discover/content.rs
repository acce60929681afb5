//! What the bytes of a file say about it: whether it is a zip, and the words that safe mode looks for.

use std::collections::HashMap;
use std::sync::Arc;

use gix::bstr::ByteSlice as _;

use super::glob::{self, Glob};
use super::regexp::{self, Dialect, Regexp};
use crate::check::snapshot::{Content, Entry, Snapshot};
use crate::check::target::Target;

/// What discovery has learned of contents and patterns, for the next revision. Of what a revision does not have any more nothing
/// is kept.
#[derive(Debug, Default)]
pub struct Memory {
    looks: HashMap<Content, Look>,
    globs: HashMap<String, Arc<Result<Option<Glob>, glob::Raises>>>,
    regexps: HashMap<(Dialect, String), Arc<Result<Regexp, regexp::Fault>>>,
}

impl Memory {
    /// An empty one, and what was in this as what may be taken over.
    pub(super) fn renew(&mut self) -> Remembering {
        Remembering { before: std::mem::take(self), now: Memory::default() }
    }
}

/// A memory while a revision is looked at.
#[derive(Debug)]
pub(super) struct Remembering {
    before: Memory,
    now: Memory,
}

impl Remembering {
    /// What is worth keeping.
    pub fn kept(self) -> Memory {
        self.now
    }

    /// Looks at a file, or remembers.
    pub fn look(&mut self, snapshot: &dyn Snapshot, entry: &Entry) -> Result<Look, String> {
        let Some(content) = entry.content else { return snapshot.read(entry).map(|bytes| Look::at(&bytes)) };
        if let Some(look) = self.now.looks.get(&content) {
            return Ok(*look);
        }
        let look = match self.before.looks.get(&content) {
            Some(look) => *look,
            None => Look::at(&snapshot.read(entry)?),
        };
        self.now.looks.insert(content, look);
        Ok(look)
    }

    /// A glob pattern, compiled once.
    pub fn glob(&mut self, line: &str) -> Arc<Result<Option<Glob>, glob::Raises>> {
        if let Some(known) = self.now.globs.get(line) {
            return known.clone();
        }
        let glob = self.before.globs.remove(line).unwrap_or_else(|| Arc::new(glob::compile(line)));
        self.now.globs.insert(line.to_owned(), glob.clone());
        glob
    }

    /// A regular expression, compiled once.
    pub fn regexp(&mut self, line: &str, dialect: Dialect) -> Arc<Result<Regexp, regexp::Fault>> {
        let key = (dialect, line.to_owned());
        if let Some(known) = self.now.regexps.get(&key) {
            return known.clone();
        }
        let compile = || Arc::new(regexp::compile(line, dialect));
        let regexp = self.before.regexps.remove(&key).unwrap_or_else(compile);
        self.now.regexps.insert(key, regexp.clone());
        regexp
    }
}

/// What Python's `zipfile.is_zipfile` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zip {
    No,
    Yes,
    /// Until Python 3.13; later ones look for the directory of the archive too.
    Loosely,
    /// It raises, and Airflow leaves the file out.
    Raises,
}

/// What a content looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    zip: Zip,
    dag: bool,
    airflow: bool,
    asset: bool,
}

impl Look {
    /// At a whole file.
    pub fn at(bytes: &[u8]) -> Look {
        let lower = bytes.to_ascii_lowercase();
        let has = |word: &str| lower.contains_str(word);
        Look { zip: zip(bytes), dag: has("dag"), airflow: has("airflow"), asset: has("asset") }
    }

    /// Whether it is a zip; `None` if asking makes Python raise.
    pub fn is_zip(self, target: &Target) -> Option<bool> {
        match self.zip {
            Zip::No => Some(false),
            Zip::Yes => Some(true),
            Zip::Loosely => Some(target.python.minor < 14),
            Zip::Raises => None,
        }
    }

    /// Whether safe mode takes it for a file with DAGs.
    pub fn may_have_dags(self, target: &Target) -> bool {
        self.airflow && (self.dag || (self.asset && target.airflow.at_least(3, 0)))
    }
}

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LENGTH: usize = 56;
const DIRECTORY: &[u8] = b"PK\x01\x02";
const DIRECTORY_LENGTH: usize = 46;
const LONGEST_COMMENT: usize = 1 << 16;

/// An archive ends with a record that says where its directory is, behind which there may be a comment.
fn zip(bytes: &[u8]) -> Zip {
    let Some(last) = bytes.len().checked_sub(END_LENGTH) else { return Zip::No };
    let at = if bytes[last..].starts_with(END) && bytes.ends_with(&[0, 0]) {
        last
    } else {
        let from = last.saturating_sub(LONGEST_COMMENT);
        match bytes[from..].rfind(END) {
            Some(offset) if from + offset <= last => from + offset,
            _ => return Zip::No,
        }
    };
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    let (mut disk, mut start, mut entries) = (number(at + 4, 2), number(at + 6, 2), number(at + 10, 2));
    let (mut size, mut offset, mut location) = (number(at + 12, 4), number(at + 16, 4), at as u64);
    // The larger form stands before the record. A file that is too short for it has none.
    if let Some(locator) = at.checked_sub(LOCATOR_64_LENGTH)
        && bytes[locator..].starts_with(LOCATOR_64)
    {
        if number(locator + 4, 4) != 0 || number(locator + 16, 4) > 1 {
            return Zip::Raises;
        }
        let Some(record) = locator.checked_sub(END_64_LENGTH) else { return Zip::No };
        if bytes[record..].starts_with(END_64) {
            (disk, start) = (number(record + 16, 4), number(record + 20, 4));
            (entries, size, offset) =
                (number(record + 32, 8), number(record + 40, 8), number(record + 48, 8));
            location = record as u64;
        }
    }
    let is_empty = entries == 0 && size == 0 && offset == 0;
    let directory = location.checked_sub(size).and_then(|at| usize::try_from(at).ok());
    let is_whole = disk == start
        && size >= DIRECTORY_LENGTH as u64
        && directory
            .is_some_and(|at| bytes[at..].starts_with(DIRECTORY) && bytes.len() - at >= DIRECTORY_LENGTH);
    if is_empty || is_whole { Zip::Yes } else { Zip::Loosely }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::target::{Airflow, Python};

    fn target(airflow: (u16, u16), python: u8) -> Target {
        Target::of(Airflow::new(airflow.0, airflow.1), Python { minor: python })
    }

    #[test]
    fn safe_mode_looks_for_words_in_any_case() {
        let may = |text: &str, airflow| Look::at(text.as_bytes()).may_have_dags(&target(airflow, 12));
        assert!(may("DaG AirFlow", (2, 7)) && may("airflow asset", (3, 0)));
        assert!(!may("airflow asset", (2, 11)) && !may("dag asset", (3, 0)) && !may("airflow", (3, 0)));
    }

    #[test]
    fn an_archive_is_known_by_its_end() {
        let end = |size: u8| [END, &[0; 8], &[size, 0, 0, 0], &[0; 6]].concat();
        let is_zip = |bytes: &[u8], python| Look::at(bytes).is_zip(&target((3, 3), python));
        assert_eq!(is_zip(&end(0), 14), Some(true));
        assert_eq!(is_zip(&[b"prefix", end(0).as_slice()].concat(), 14), Some(true));
        assert_eq!(is_zip(&[end(0).as_slice(), b"comment"].concat(), 12), Some(true));
        assert_eq!(is_zip(&end(1), 13), Some(true));
        assert_eq!(is_zip(&end(1), 14), Some(false));
        assert_eq!(is_zip(&end(0)[..21], 12), Some(false));
        assert_eq!(is_zip(&[end(0).as_slice(), &[b'x'; LONGEST_COMMENT + 1]].concat(), 12), Some(false));
        let disks = [LOCATOR_64, &[0; 12], &[2, 0, 0, 0], &end(0)].concat();
        assert_eq!(is_zip(&disks, 12), None);
        let too_short = [LOCATOR_64, &[0; 12], &[1, 0, 0, 0], &end(0)].concat();
        assert_eq!(is_zip(&too_short, 12), Some(false));
    }
}
