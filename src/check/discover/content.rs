//! What the bytes of a file say about it: whether it is a zip, and the words that safe mode looks for.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use gix::bstr::ByteSlice as _;

use super::glob::{self, Glob};
use super::regexp::{self, Dialect, Regexp};
use crate::check::snapshot::{Content, Snapshot, Unreadable};
use crate::check::target::Target;

type AGlob = Arc<Result<Option<Glob>, glob::Raises>>;
type ARegexp = Arc<Result<Regexp, regexp::Fault>>;

/// What discovery has learned of contents and patterns, for the next revision. Of what a revision does not have any more nothing
/// is kept.
#[derive(Debug, Default)]
pub struct Memory {
    /// With whether the revision at hand has it.
    looks: HashMap<Content, (Look, bool)>,
    /// By the index of the entry: of those whose content has no name, for this revision only.
    fresh: HashMap<usize, Look>,
    globs: HashMap<String, (AGlob, bool)>,
    regexps: HashMap<(Dialect, String), (ARegexp, bool)>,
    /// Bytes that the patterns take which were asked for since the last time.
    room: usize,
}

impl Memory {
    /// Adds what somebody who has read a file learned.
    pub fn learn(&mut self, at: usize, content: Option<Content>, look: Look) {
        match content {
            Some(content) => {
                self.looks.insert(content, (look, true));
            }
            None => {
                self.fresh.insert(at, look);
            }
        }
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, looks: usize) {
        self.looks.reserve(looks);
    }

    /// Forgets what was learned of places: the next revision has other files there.
    pub(super) fn forget_places(&mut self) {
        self.fresh = HashMap::new();
    }

    /// Forgets what was not asked for since the last time.
    pub fn tidy(&mut self) {
        self.looks.retain(|_, (_, used)| std::mem::take(used));
        self.tidy_patterns();
    }

    /// The same of patterns alone: after a walk that came to no end, what was learned of files is still good.
    pub(super) fn tidy_patterns(&mut self) {
        self.room = 0;
        self.globs.retain(|_, (_, used)| std::mem::take(used));
        self.regexps.retain(|_, (_, used)| std::mem::take(used));
    }

    /// Looks at a file, or remembers.
    pub(super) fn look(&mut self, snapshot: &dyn Snapshot, at: usize) -> Result<Look, Unreadable> {
        let content = snapshot.entry(at).content;
        let known = match content {
            Some(content) => self.looks.get_mut(&content).map(|(look, used)| {
                *used = true;
                *look
            }),
            None => self.fresh.get(&at).copied(),
        };
        if let Some(look) = known {
            return Ok(look);
        }
        let look = Look::at_entry(snapshot, at)?;
        self.learn(at, content, look);
        Ok(look)
    }

    /// A glob pattern, compiled once.
    pub(super) fn glob(&mut self, line: &str) -> AGlob {
        let (glob, first) = once(&mut self.globs, line, || glob::compile(line));
        if first {
            let size = glob.as_ref().as_ref().map_or(0, |glob| glob.as_ref().map_or(0, Glob::size));
            self.room += OF_A_PATTERN + 2 * line.len() + size;
        }
        glob
    }

    /// A regular expression, compiled once.
    pub(super) fn regexp(&mut self, line: &str, dialect: Dialect) -> ARegexp {
        let key = (dialect, line.to_owned());
        let (regexp, first) = once(&mut self.regexps, &key, || regexp::compile(line, dialect));
        if first {
            let size = regexp.as_ref().as_ref().map_or(0, Regexp::size);
            self.room += OF_A_PATTERN + 2 * line.len() + size;
        }
        regexp
    }

    /// Bytes that all patterns take that this walk has asked for.
    pub(super) fn room(&self) -> usize {
        self.room
    }
}

/// Bytes that a pattern takes besides, in the tables and as a rule.
const OF_A_PATTERN: usize = 256;

/// What is known, or made now, and whether it is asked for the first time since the last tidying.
fn once<K, Q, V>(known: &mut HashMap<K, (Arc<V>, bool)>, key: &Q, make: impl FnOnce() -> V) -> (Arc<V>, bool)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    if let Some((value, used)) = known.get_mut(key) {
        let first = !std::mem::replace(used, true);
        return (value.clone(), first);
    }
    let value = Arc::new(make());
    known.insert(key.to_owned(), (value.clone(), true));
    (value, true)
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
pub struct Look {
    zip: Zip,
    words: Words,
}

/// The words that safe mode looks for, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Words {
    dag: bool,
    airflow: bool,
    asset: bool,
}

impl Words {
    fn take(&mut self, bytes: &[u8]) {
        let lower = bytes.to_ascii_lowercase();
        let has = |word: &str| lower.contains_str(word);
        self.dag |= has("dag");
        self.airflow |= has("airflow");
        self.asset |= has("asset");
    }
}

/// The end of a file and its words, whatever its size.
#[derive(Default)]
struct Pieces {
    words: Words,
    tail: Vec<u8>,
    bytes: u64,
}

/// What may matter of an archive's end: the record, its comment, and what stands before it in large ones.
const TAIL: usize = LONGEST_COMMENT + END_LENGTH + LOCATOR_64_LENGTH + END_64_LENGTH;
/// A word may lie across two pieces.
const LONGEST_WORD: usize = "airflow".len();

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let before = &self.tail[self.tail.len().saturating_sub(LONGEST_WORD)..];
        let across = [before, &bytes[..bytes.len().min(LONGEST_WORD)]].concat();
        self.words.take(&across);
        self.words.take(bytes);
        self.bytes += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What stands at a place of a file.
struct Window {
    skip: u64,
    bytes: Vec<u8>,
}

impl Write for Window {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let from = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= from as u64;
        let more = DIRECTORY_LENGTH - self.bytes.len().min(DIRECTORY_LENGTH);
        self.bytes.extend(bytes[from..].iter().take(more));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A larger file is looked at in pieces.
const WORTH_PIECES: u64 = 1 << 20;

impl Look {
    /// At a whole file.
    pub fn at(bytes: &[u8]) -> Look {
        let mut words = Words::default();
        words.take(bytes);
        // What is in memory is there.
        let Ok(zip) =
            zip(bytes, bytes.len() as u64, |at| Ok::<_, Unreadable>(is_directory(&bytes[at as usize..])))
        else {
            unreachable!("reading memory does not fail")
        };
        Look { zip, words }
    }

    /// At a file of a snapshot, of which little is held.
    fn at_entry(snapshot: &dyn Snapshot, at: usize) -> Result<Look, Unreadable> {
        if snapshot.entry(at).size <= WORTH_PIECES {
            return Ok(Look::at(&snapshot.read(at)?));
        }
        let mut pieces = Pieces::default();
        snapshot.stream(at, &mut pieces)?;
        let Pieces { words, tail, bytes } = pieces;
        let read = |offset| {
            let mut window = Window { skip: offset, bytes: Vec::new() };
            snapshot.stream(at, &mut window)?;
            Ok(is_directory(&window.bytes))
        };
        Ok(Look { zip: zip(&tail, bytes, read)?, words })
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
        let Words { dag, airflow, asset } = self.words;
        airflow && (dag || (asset && target.airflow.at_least(3, 0)))
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

fn is_directory(bytes: &[u8]) -> bool {
    bytes.starts_with(DIRECTORY) && bytes.len() >= DIRECTORY_LENGTH
}

/// An archive ends with a record that says where its directory is, behind which there may be a comment. `bytes` is the end of the
/// file, `total` its size; `at` is asked whether a directory begins at a place of the file.
fn zip<E>(bytes: &[u8], total: u64, at: impl FnOnce(u64) -> Result<bool, E>) -> Result<Zip, E> {
    let Some(last) = bytes.len().checked_sub(END_LENGTH) else { return Ok(Zip::No) };
    let end = if bytes[last..].starts_with(END) && bytes.ends_with(&[0, 0]) {
        last
    } else {
        let from = last.saturating_sub(LONGEST_COMMENT);
        match bytes[from..].rfind(END) {
            Some(offset) if from + offset <= last => from + offset,
            _ => return Ok(Zip::No),
        }
    };
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    let before = total - bytes.len() as u64;
    let (mut disk, mut start, mut entries) = (number(end + 4, 2), number(end + 6, 2), number(end + 10, 2));
    let (mut size, mut offset, mut location) =
        (number(end + 12, 4), number(end + 16, 4), before + end as u64);
    // The larger form stands before the record. A file that is too short for it has none.
    if let Some(locator) = end.checked_sub(LOCATOR_64_LENGTH)
        && bytes[locator..].starts_with(LOCATOR_64)
    {
        if number(locator + 4, 4) != 0 || number(locator + 16, 4) > 1 {
            return Ok(Zip::Raises);
        }
        let Some(record) = locator.checked_sub(END_64_LENGTH) else { return Ok(Zip::No) };
        if bytes[record..].starts_with(END_64) {
            (disk, start) = (number(record + 16, 4), number(record + 20, 4));
            (entries, size, offset) =
                (number(record + 32, 8), number(record + 40, 8), number(record + 48, 8));
            location = before + record as u64;
        }
    }
    let is_empty = entries == 0 && size == 0 && offset == 0;
    let is_whole = !is_empty
        && disk == start
        && size >= DIRECTORY_LENGTH as u64
        && location.checked_sub(size).map_or(Ok(false), at)?;
    Ok(if is_empty || is_whole { Zip::Yes } else { Zip::Loosely })
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
    fn a_file_in_pieces_looks_as_it_does_as_a_whole() {
        struct InPieces(Vec<u8>, usize);
        impl Snapshot for InPieces {
            fn len(&self) -> usize {
                1
            }
            fn entry(&self, _: usize) -> crate::check::snapshot::Entry<'_> {
                let (kind, size) = (crate::check::snapshot::Kind::File, u64::MAX);
                crate::check::snapshot::Entry { path: "a".into(), kind, size, content: None }
            }
            fn read(&self, _: usize) -> Result<Vec<u8>, Unreadable> {
                panic!("held")
            }
            fn stream(&self, _: usize, to: &mut dyn Write) -> Result<(), Unreadable> {
                self.0.chunks(self.1).try_for_each(|piece| to.write_all(piece)).map_err(|_| unreachable!())
            }
        }
        let directory = [DIRECTORY, &[0; 42]].concat();
        let end = |size: u8| [END, &[0; 4], &[1, 0, 1, 0], &[size, 0, 0, 0], &[0; 6]].concat();
        let far = |comment: usize| {
            [
                END,
                &[0; 4],
                &[1, 0, 1, 0],
                &[46 + 200, 0, 0, 0],
                &[0; 4],
                &(comment as u16).to_le_bytes(),
                &vec![b'c'; comment],
            ]
            .concat()
        };
        for bytes in [
            vec![b'x'; 300_000],
            [vec![b'x'; 200_000].as_slice(), b"AirFlow", &[b'y'; 5], b"dAG"].concat(),
            [vec![b'x'; 200_000].as_slice(), &directory, &end(46)].concat(),
            [vec![b'x'; 200_000].as_slice(), &directory, &[b'z'; 200], &far(65_000)].concat(),
            [vec![b'x'; 200_000].as_slice(), &directory, &[b'z'; 201], &far(65_000)].concat(),
            end(0),
        ] {
            let whole = Look::at(&bytes);
            for piece in [1, 7, 4096, 1 << 20] {
                let look = Look::at_entry(&InPieces(bytes.clone(), piece), 0).unwrap();
                assert_eq!(look, whole, "{} bytes in pieces of {piece}", bytes.len());
            }
        }
        let far_away = [vec![b'x'; 200_000].as_slice(), &directory, &[b'z'; 200], &far(65_000)].concat();
        assert_eq!(Look::at(&far_away).is_zip(&target((3, 3), 14)), Some(true));
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
