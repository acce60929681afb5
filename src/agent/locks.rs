//! Which roots this process owns.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::publish::{self, Layout, RootLock};

/// The locks of this process, one a root, shared by its sources.
#[derive(Debug, Clone, Default)]
pub struct Locks(Arc<Mutex<Vec<Known>>>);

/// A root, and its lock as long as somebody holds it.
type Known = (PathBuf, Weak<RootLock>);

impl Locks {
    /// The lock of a root, taken now or by another source of ours.
    pub fn acquire(&self, layout: &Layout) -> Result<Arc<RootLock>, publish::Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, lock)| lock.strong_count() > 0);
        if let Some(lock) =
            all.iter().find(|(root, _)| *root == layout.root).and_then(|(_, lock)| lock.upgrade())
        {
            return Ok(lock);
        }
        let lock = Arc::new(RootLock::try_acquire(layout)?);
        all.push((layout.root.clone(), Arc::downgrade(&lock)));
        Ok(lock)
    }
}
