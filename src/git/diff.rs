//! How many files differ between two commits, from their trees alone.
//!
//! gix's low-level diff: it enters only folders whose ids differ, so one change in 100,000 files costs 0.2 ms. The
//! convenient call of `gix::Repository` builds an index of `HEAD` each time.

use std::ops::ControlFlow;

use gix::bstr::{BStr, BString};
use gix::objs::TreeRefIter;
use gix::oid;
use gix_diff::tree::visit::{Action, Change};
use gix_diff::tree::{State, Visit};

use super::error::Error;
use super::store::{Objects, Store};

/// The difference between two revisions, in files and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// New paths.
    pub added: usize,
    /// Paths whose content or mode differs.
    pub changed: usize,
    /// Paths that are gone.
    pub removed: usize,
}

/// Counts what differs between the trees `old` and `new`, up to `limit` changes in all: a tree that another agent
/// published was not looked at by us, and may be a bomb. `None` if an object is missing or the limit is reached.
pub fn changes(store: &Store, objects: &Objects, old: &oid, new: &oid, limit: usize) -> Option<Changes> {
    let counter = Counter { changes: Changes::default(), left: limit, but: None, at: BString::default() };
    count(store, objects, old, new, counter)
}

/// Whether a change is one that is not to be there: by its name, in whatever folder, and by whether a link is or was at its path.
pub type But<'a> = dyn Fn(&BStr, bool) -> bool + 'a;

/// The same, and `None` too if something differs that is not to.
pub fn changes_but(
    but: &But<'_>,
    store: &Store,
    objects: &Objects,
    old: &oid,
    new: &oid,
    limit: usize,
) -> Option<Changes> {
    let counter =
        Counter { changes: Changes::default(), left: limit, but: Some(but), at: BString::default() };
    count(store, objects, old, new, counter)
}

fn count(
    store: &Store,
    objects: &Objects,
    old: &oid,
    new: &oid,
    mut counter: Counter<'_>,
) -> Option<Changes> {
    if old == new {
        return Some(Changes::default());
    }
    let mut count = || -> Result<Option<Changes>, Error> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let before = store.find(objects, old, &mut before)?.data;
        let after = store.find(objects, new, &mut after)?.data;
        let iter = |data| TreeRefIter::from_bytes(data, store.hash());
        let done = gix_diff::tree(iter(before), iter(after), &mut State::default(), objects, &mut counter);
        Ok(done.is_ok().then_some(counter.changes))
    };
    count().ok().flatten()
}

struct Counter<'a> {
    changes: Changes,
    left: usize,
    /// What may not differ.
    but: Option<&'a But<'a>>,
    /// The name of what is visited.
    at: BString,
}

impl Visit for Counter<'_> {
    fn pop_front_tracked_path_and_set_current(&mut self) {}

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.push_path_component(component);
    }

    fn push_path_component(&mut self, component: &BStr) {
        if self.but.is_some() {
            self.at.clear();
            self.at.extend_from_slice(component);
        }
    }

    fn pop_path_component(&mut self) {}

    fn visit(&mut self, change: Change) -> Action {
        let was = match &change {
            Change::Modification { previous_entry_mode, .. } => *previous_entry_mode,
            other => other.entry_mode(),
        };
        let is_link = was.is_link() || change.entry_mode().is_link();
        if self.but.is_some_and(|but| but(self.at.as_ref(), is_link)) {
            return ControlFlow::Break(());
        }
        match change {
            Change::Addition { entry_mode, .. } if !entry_mode.is_tree() => self.changes.added += 1,
            Change::Deletion { entry_mode, .. } if !entry_mode.is_tree() => self.changes.removed += 1,
            // A change between file and folder comes as a deletion and an addition.
            Change::Modification { entry_mode, .. } if !entry_mode.is_tree() => self.changes.changed += 1,
            _ => {}
        }
        // Folders count against the limit too, or a bomb of folders would never end.
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}
