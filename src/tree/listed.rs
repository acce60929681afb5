//! An index as the list of what a tree holds: whether that is its commit, what is in it, and what changes its bytes.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::index::entry::Mode;
use gix::index::{Entry as IndexEntry, State};
use gix::objs::Kind as ObjectKind;

use super::attributes::{Converter, is_name_of_rules};
use super::{CheckoutConfig, Entry, Kind, Limits, Policy, walk};
use crate::deadline::Deadline;
use crate::git::store::Objects;

/// Whether the index lists exactly the tree `root`. What cannot be known counts as yes.
pub(super) fn lists_the_commit(
    state: &State,
    root: &ObjectId,
    objects: &Objects,
    limits: &Limits,
    deadline: &Deadline,
) -> bool {
    // Of somebody else's sparse checkout.
    if state.entries().iter().any(|entry| entry.mode == Mode::DIR) {
        return true;
    }
    if tree_id(state.entries(), state, 0, root.kind()) == Some(*root) {
        return true;
    }
    // Old repositories have modes in their trees that no index has: then the trees themselves are read.
    let Ok(listing) = walk(objects, root, limits, &Policy::ANYTHING, deadline.interrupt()) else {
        return true;
    };
    let listed = listing.entries().map(|entry| (entry.path, Some(entry.kind), entry.id));
    listed.eq(state.entries().iter().map(|entry| (entry.path(state), kind_of(entry.mode), entry.id)))
}

/// The id of the tree that these entries make, all of which have the same first `skip` bytes; `None` if they make none.
fn tree_id(entries: &[IndexEntry], state: &State, skip: usize, hash: gix::hash::Kind) -> Option<ObjectId> {
    let mut items: Vec<(&[u8], bool, &'static str, ObjectId)> = Vec::new();
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let name = &first.path(state)[skip..];
        match name.find_byte(b'/') {
            None => {
                let mode = match kind_of(first.mode)? {
                    Kind::File => "100644",
                    Kind::Executable => "100755",
                    Kind::Symlink => "120000",
                    Kind::Submodule => "160000",
                };
                items.push((name, false, mode, first.id));
                rest = &rest[1..];
            }
            Some(end) => {
                // The index is in the order of whole paths: what is in a folder lies together.
                let inside =
                    rest.partition_point(|entry| entry.path(state)[skip..].starts_with(&name[..=end]));
                let id = tree_id(&rest[..inside], state, skip + end + 1, hash)?;
                items.push((&name[..end], true, "40000", id));
                rest = &rest[inside..];
            }
        }
    }
    // git sorts a folder as if its name ended with a slash.
    let key = |(name, folder, ..): &(&[u8], bool, &str, ObjectId)| {
        let mut key = name.to_vec();
        key.extend(folder.then_some(b'/'));
        key
    };
    items.sort_by_cached_key(key);
    let mut data = Vec::new();
    for (name, _, mode, id) in items {
        data.extend_from_slice(mode.as_bytes());
        data.push(b' ');
        data.extend_from_slice(name);
        data.push(0);
        data.extend_from_slice(id.as_bytes());
    }
    gix::objs::compute_hash(hash, ObjectKind::Tree, &data).ok()
}

/// What changes bytes in the tree of this index; `Err` when the store does not have the rules.
pub(super) fn converter(
    state: &State,
    objects: &Objects,
    checkout: CheckoutConfig,
) -> Result<Option<Converter>, ()> {
    let rules = state.entries().iter().filter(|entry| is_name_of_rules(entry.path(state)));
    let rules = rules.filter_map(|entry| {
        let kind = kind_of(entry.mode)?;
        Some(Entry { path: entry.path(state), kind, id: entry.id, size: 0 })
    });
    Converter::of_rules(rules, objects, checkout).map_err(drop)
}

/// Whether a path is an entry, or a folder that has some.
pub(super) fn knows(state: &State, path: &BStr) -> bool {
    let entries = state.entries();
    let at = |path: &[u8]| entries.partition_point(|entry| entry.path(state) < path.as_bstr());
    if entries.get(at(path)).is_some_and(|entry| entry.path(state) == path) {
        return true;
    }
    let inside = [path.as_bytes(), b"/"].concat();
    entries.get(at(&inside)).is_some_and(|entry| entry.path(state).starts_with(&inside))
}

/// What an entry of an index is; `None` for a folder outside of a sparse checkout.
pub(super) fn kind_of(mode: Mode) -> Option<Kind> {
    match mode {
        Mode::FILE => Some(Kind::File),
        Mode::FILE_EXECUTABLE => Some(Kind::Executable),
        Mode::SYMLINK => Some(Kind::Symlink),
        Mode::COMMIT => Some(Kind::Submodule),
        _ => None,
    }
}
