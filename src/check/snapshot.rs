//! The files of a revision, wherever they are.

use gix::bstr::{BStr, BString};

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

/// What identifies a content: the id of a blob, padded with zeros, or a sum that the snapshot makes. Two entries with one
/// [`Content`] have the same bytes, today and after a restart.
pub type Content = [u8; 32];

/// A path of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Below the snapshot's top, with `/` between its parts.
    pub path: BString,
    /// What is there.
    pub kind: Kind,
    /// What it holds, if that is known without reading it.
    pub content: Option<Content>,
}

/// The files of a revision. Folders are not named: one exists if something is in it.
pub trait Snapshot: Sync {
    /// Every file, link and submodule, ordered by the bytes of their paths.
    fn entries(&self) -> &[Entry];

    /// The bytes that a reader of the published tree sees in this entry; of a link its target.
    ///
    /// # Errors
    /// One line for people: the object is missing, the disk cannot be read.
    fn read(&self, entry: &Entry) -> Result<Vec<u8>, String>;

    /// The entry of a path, by bisection.
    fn find(&self, path: &BStr) -> Option<&Entry> {
        let entries = self.entries();
        let at = entries.binary_search_by(|entry| BStr::cmp(entry.path.as_ref(), path)).ok()?;
        Some(&entries[at])
    }

    /// What is in a folder, at any depth: a run of [`Snapshot::entries`]. The top is the empty path.
    fn below(&self, folder: &BStr) -> &[Entry] {
        let entries = self.entries();
        if folder.is_empty() {
            return entries;
        }
        let inside = |entry: &Entry| {
            entry.path.strip_prefix(folder.as_ref() as &[u8]).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        let mut start: Vec<u8> = folder.to_vec();
        start.push(b'/');
        let from = entries.partition_point(|entry| entry.path.as_slice() < start.as_slice());
        let count = entries[from..].iter().take_while(|entry| inside(entry)).count();
        &entries[from..from + count]
    }
}

/// A snapshot in memory, for tests of every room.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    entries: Vec<Entry>,
    bytes: Vec<Vec<u8>>,
}

impl InMemory {
    /// From paths, kinds and bytes, in any order. A later one at the same path wins.
    pub fn new<P: Into<BString>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, Kind, B)>) -> Self {
        let sorted: std::collections::BTreeMap<BString, (Kind, Vec<u8>)> =
            files.into_iter().map(|(path, kind, bytes)| (path.into(), (kind, bytes.into()))).collect();
        let mut snapshot = InMemory::default();
        for (path, (kind, bytes)) in sorted {
            snapshot.entries.push(Entry { path, kind, content: None });
            snapshot.bytes.push(bytes);
        }
        snapshot
    }

    /// Of files only.
    pub fn files(files: &[(&str, &str)]) -> Self {
        Self::new(files.iter().map(|(path, text)| (*path, Kind::File, *text)))
    }
}

impl Snapshot for InMemory {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let at = self.entries.binary_search_by(|other| other.path.cmp(&entry.path));
        at.map(|at| self.bytes[at].clone()).map_err(|_| "not there".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_the_run_of_what_is_below_it() {
        let snapshot = InMemory::files(&[("a/b", ""), ("a/c/d", ""), ("a-b", ""), ("a0", ""), ("b", "")]);
        let below = |folder: &str| -> Vec<String> {
            snapshot.below(folder.into()).iter().map(|entry| entry.path.to_string()).collect()
        };
        assert_eq!(below("a"), ["a/b", "a/c/d"]);
        assert_eq!(below("a/c"), ["a/c/d"]);
        assert_eq!(below(""), ["a-b", "a/b", "a/c/d", "a0", "b"]);
        assert!(below("a/b").is_empty() && below("zz").is_empty());
        assert_eq!(snapshot.find("a0".into()).map(|entry| entry.path.to_string()), Some("a0".into()));
    }
}
