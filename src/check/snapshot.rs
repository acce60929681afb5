//! The files of a revision, wherever they are.

use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::{BStr, BString, ByteSlice as _};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A symbolic link; its bytes are its target.
    Link,
    /// An empty folder, where another repository belongs.
    Submodule,
}

/// What identifies a content: the first bytes of its blob's id. Two entries with one [`Content`] have the same bytes, today and after
/// a restart.
pub type Content = [u8; 20];

/// A path of a snapshot. Borrowed: a revision may have a hundred thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'s> {
    /// Below the snapshot's top, with `/` between its parts.
    pub path: &'s BStr,
    /// What is there.
    pub kind: Kind,
    /// Bytes that reading it takes, before any conversion.
    pub size: u64,
    /// What it holds, if that is known without reading it.
    pub content: Option<Content>,
}

/// Why a revision cannot be checked: the object is missing, the disk cannot be read, the time is over. That says nothing of the
/// revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Unreadable {
    /// An error once nobody waits any more.
    pub fn if_set(interrupt: &AtomicBool) -> Result<(), Unreadable> {
        match interrupt.load(Ordering::Relaxed) {
            true => Err(Unreadable("interrupted".to_owned())),
            false => Ok(()),
        }
    }
}

/// The files of a revision. Folders are not named: one exists if something is in it.
///
/// It is the whole revision, because links lead out of the DAGs folder and modules move out of it; what is checked is
/// [`Snapshot::inside`].
pub trait Snapshot: Sync {
    /// How many files, links and submodules there are.
    fn len(&self) -> usize;

    /// One of them. They are ordered by the bytes of their paths.
    ///
    /// # Panics
    /// If there are not so many.
    fn entry(&self, at: usize) -> Entry<'_>;

    /// The bytes that a reader of the published tree sees at this entry; of a link its target.
    ///
    /// # Errors
    /// When that cannot be known now.
    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable>;

    /// The same in pieces, for what is too large to be held.
    ///
    /// # Errors
    /// As of [`Snapshot::read`].
    fn stream(&self, at: usize, to: &mut dyn Write) -> Result<(), Unreadable> {
        to.write_all(&self.read(at)?).map_err(|err| Unreadable(err.to_string()))
    }

    /// Whether anybody still waits for what is made of this. Asked often, wherever a repository decides how long something takes.
    ///
    /// # Errors
    /// When the time is over, or somebody wants to stop.
    fn stopped(&self) -> Result<(), Unreadable> {
        Ok(())
    }

    /// The DAGs folder below the top, without a slash at its end; the top is empty.
    fn folder(&self) -> &BStr {
        BStr::new("")
    }

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the entry of a path is, by bisection.
    fn find(&self, path: &BStr) -> Option<usize> {
        let at = bisect(0, self.len(), |at| self.entry(at).path < path);
        (at < self.len() && self.entry(at).path == path).then_some(at)
    }

    /// What is in the DAGs folder, at any depth.
    fn inside(&self) -> Range<usize> {
        if self.folder().is_empty() {
            return 0..self.len();
        }
        // `0` is the byte behind `/`.
        let [from, to] = [b'/', b'0'].map(|end| {
            let bound = [self.folder().as_bytes(), &[end]].concat();
            bisect(0, self.len(), |at| self.entry(at).path.as_bytes() < bound.as_slice())
        });
        from..to
    }

    /// A path as seen from the DAGs folder; `None` if it is elsewhere.
    fn below<'p>(&self, path: &'p BStr) -> Option<&'p BStr> {
        let folder = self.folder();
        if folder.is_empty() {
            return Some(path);
        }
        let rest = path.strip_prefix(folder.as_bytes())?;
        rest.strip_prefix(b"/").map(|rest| rest.as_bstr())
    }

    /// A path below the DAGs folder as one below the top.
    fn whole(&self, below: &BStr) -> BString {
        match self.folder() {
            folder if folder.is_empty() => below.to_owned(),
            folder if below.is_empty() => folder.to_owned(),
            folder => [folder.as_bytes(), b"/", below.as_bytes()].concat().into(),
        }
    }
}

/// The first of these for which it does not hold any more.
fn bisect(mut from: usize, mut to: usize, holds: impl Fn(usize) -> bool) -> usize {
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// A snapshot in memory, for tests of every room.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    files: Vec<(BString, Kind, Vec<u8>)>,
    folder: BString,
}

impl InMemory {
    /// From paths, kinds and bytes, in any order. A later one at the same path wins.
    pub fn new<P: Into<BString>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, Kind, B)>) -> Self {
        let sorted: std::collections::BTreeMap<BString, (Kind, Vec<u8>)> =
            files.into_iter().map(|(path, kind, bytes)| (path.into(), (kind, bytes.into()))).collect();
        let files = sorted.into_iter().map(|(path, (kind, bytes))| (path, kind, bytes)).collect();
        InMemory { files, folder: BString::default() }
    }

    /// Of files only.
    pub fn files(files: &[(&str, &str)]) -> Self {
        Self::new(files.iter().map(|(path, text)| (*path, Kind::File, *text)))
    }

    /// With its DAGs below the top.
    #[must_use]
    pub fn with_folder(mut self, folder: impl AsRef<[u8]>) -> Self {
        self.folder = folder.as_ref().into();
        self
    }
}

impl Snapshot for InMemory {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let (path, kind, bytes) = &self.files[at];
        Entry { path: path.as_bstr(), kind: *kind, size: bytes.len() as u64, content: None }
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
        Ok(self.files[at].2.clone())
    }

    fn folder(&self) -> &BStr {
        self.folder.as_bstr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_the_run_of_what_is_below_it() {
        let files = [("a/b", ""), ("a/c/d", ""), ("a-b", ""), ("a0", ""), ("b", "")];
        let inside = |folder: &str| -> Vec<String> {
            let snapshot = InMemory::files(&files).with_folder(folder);
            snapshot.inside().map(|at| snapshot.entry(at).path.to_string()).collect()
        };
        assert_eq!(inside("a"), ["a/b", "a/c/d"]);
        assert_eq!(inside("a/c"), ["a/c/d"]);
        assert_eq!(inside(""), ["a-b", "a/b", "a/c/d", "a0", "b"]);
        assert!(inside("a/b").is_empty() && inside("zz").is_empty());
    }

    #[test]
    fn paths_are_found_and_seen_from_the_folder() {
        let snapshot = InMemory::files(&[("a/b", "1"), ("a0", "22")]).with_folder("a");
        assert_eq!(snapshot.find("a0".into()).map(|at| snapshot.entry(at).size), Some(2));
        assert_eq!(snapshot.find("a".into()), None);
        assert_eq!(snapshot.below("a/b".into()), Some("b".into()));
        assert_eq!((snapshot.below("a0".into()), snapshot.below("a".into())), (None, None));
        assert_eq!(snapshot.whole("b".into()), "a/b");
    }
}
