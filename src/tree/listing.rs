//! What a tree will hold, in as little memory as its names need.
//!
//! A tree of a hundred thousand files is listed once a pass, beside the manifests of two others. All names lie behind each other in
//! one piece, all ids in another: an allocation for each path would cost as much again as the path itself.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::hash::Kind as HashKind;

use super::Kind;
use super::attributes::is_name_of_rules;

/// One file, link or submodule of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The full path below the root, `/` between components. Checked: safe to join to a directory.
    pub path: &'a BStr,
    /// What it becomes.
    pub kind: Kind,
    /// The blob, or the commit of a submodule.
    pub id: ObjectId,
    /// Bytes of the blob, before any conversion; 0 for a submodule.
    pub size: u64,
}

/// A whole tree that passed every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    hash: HashKind,
    /// All paths, one behind the other.
    paths: Vec<u8>,
    /// Where the path of each entry ends in `paths`.
    ends: Vec<u64>,
    /// The bytes of all ids, one behind the other.
    ids: Vec<u8>,
    sizes: Vec<u64>,
    kinds: Vec<Kind>,
    bytes: u64,
    has_attributes: bool,
    has_symlinks: bool,
    has_submodules: bool,
}

impl Listing {
    /// An empty tree, whose objects have ids of this kind.
    pub(super) fn new(hash: HashKind) -> Listing {
        Listing {
            hash,
            paths: Vec::new(),
            ends: Vec::new(),
            ids: Vec::new(),
            sizes: Vec::new(),
            kinds: Vec::new(),
            bytes: 0,
            has_attributes: false,
            has_symlinks: false,
            has_submodules: false,
        }
    }

    /// Adds the next entry in the order of the index. It is the caller's to check.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        let Entry { path, kind, id, size } = entry;
        self.bytes = self.bytes.saturating_add(size);
        self.has_symlinks |= kind == Kind::Symlink;
        self.has_submodules |= kind == Kind::Submodule;
        self.has_attributes |= matches!(kind, Kind::File | Kind::Executable) && is_name_of_rules(path);
        self.paths.extend_from_slice(path);
        self.ends.push(self.paths.len() as u64);
        self.ids.extend_from_slice(id.as_bytes());
        self.sizes.push(size);
        self.kinds.push(kind);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it is the tree of nothing.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The entry at this place.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn entry(&self, at: usize) -> Entry<'_> {
        let len = self.hash.len_in_bytes();
        Entry {
            path: self.path(at),
            kind: self.kinds[at],
            id: ObjectId::from_bytes_or_panic(&self.ids[at * len..(at + 1) * len]),
            size: self.sizes[at],
        }
    }

    fn path(&self, at: usize) -> &BStr {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.paths[start as usize..self.ends[at] as usize].as_bstr()
    }

    /// All entries, in the order of the git index: by the bytes of the path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// All paths, in the same order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &BStr> + Clone {
        (0..self.len()).map(|at| self.path(at))
    }

    /// The entry at exactly this path.
    pub fn find(&self, path: &BStr) -> Option<Entry<'_>> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.path(middle).cmp(path) {
                std::cmp::Ordering::Equal => return Some(self.entry(middle)),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// Sum of the blobs as they will be on disk before conversion: a blob used twice counts twice.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a `.gitattributes` file is anywhere in it.
    pub fn has_attributes(&self) -> bool {
        self.has_attributes
    }

    /// Whether a symlink is anywhere in it.
    pub fn has_symlinks(&self) -> bool {
        self.has_symlinks
    }

    /// Whether a submodule is anywhere in it.
    pub fn has_submodules(&self) -> bool {
        self.has_submodules
    }
}

#[cfg(test)]
impl Listing {
    /// Of these entries, in any order.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Listing {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|entry| entry.path);
        let mut listing = Listing::new(HashKind::Sha1);
        entries.into_iter().for_each(|entry| listing.push(entry));
        listing
    }
}
