//! One writer per root.
//!
//! `flock` on `<root>/.dagsync/lock`: the kernel drops it with its owner, so a crash never leaves a lock behind that somebody has to remove
//! (git-sync's users know `index.lock`). The file stays; only the lock on it counts.

use std::fs::{self, File, TryLockError};
use std::io;

use super::error::Error;
use super::layout::Layout;
use crate::disk::{self, Point, Writable};

/// Proof of being the only writer of a root, and its file.
#[derive(Debug)]
pub struct RootLock {
    file: Writable,
    /// `false` where the file system has no locks: nobody can be kept out then.
    exclusive: bool,
}

impl RootLock {
    /// Takes the lock if nobody has it. The root and its `.dagsync` exist.
    pub fn try_acquire(layout: &Layout) -> Result<Self, Error> {
        let root = &layout.root;
        let path = root.join(".dagsync/lock");
        // Not truncated: until the lock is ours, the text in it is the owner's.
        let file = disk::open_lock(Point::RootLockOpen, &path).map_err(Error::io("open the lock", &path))?;
        file.open_for_group(Point::RootLockMode, layout.group_write)
            .map_err(Error::io("make group-writable", &path))?;
        let exclusive = match file.look(File::try_lock) {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = holder.lines().next().filter(|line| !line.is_empty()).unwrap_or("unknown");
                return Err(Error::Locked {
                    path: root.to_owned(),
                    holder: holder.chars().take(200).collect(),
                });
            }
            Err(TryLockError::Error(err)) if has_no_locks(&err) => false,
            Err(TryLockError::Error(err)) => return Err(Error::io("lock", &path)(err)),
        };
        let lock = RootLock { file, exclusive };
        // For people only; failing to write it (a full disk) must not keep us from owning the root.
        let _ = lock.sign();
        Ok(lock)
    }

    /// Whether others are really kept out.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    fn sign(&self) -> io::Result<()> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        self.file.set_len(Point::RootLockSign, 0)?;
        let signature = format!("pid {} on {}\n", std::process::id(), host.trim());
        self.file.write_all(Point::RootLockSign, signature.as_bytes())
    }
}

fn has_no_locks(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::Unsupported
        || matches!(
            rustix::io::Errno::from_io_error(err),
            Some(rustix::io::Errno::NOLCK | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let mut layout = Layout::sole(dir.path(), &dir.path().join("link"));
        layout.create(false).unwrap();
        (dir, layout)
    }

    #[test]
    fn a_root_has_one_owner_until_it_is_gone() {
        let (_dir, layout) = world();
        let first = RootLock::try_acquire(&layout).unwrap();
        let err = RootLock::try_acquire(&layout).unwrap_err();
        assert!(matches!(&err, Error::Locked { holder, .. } if holder.contains("pid")), "{err}");
        drop(first);
        assert!(RootLock::try_acquire(&layout).unwrap().is_exclusive());
    }

    #[test]
    fn stale_lock_files_are_recovered_when_owner_is_dead() {
        let (dir, layout) = world();
        fs::write(dir.path().join(".dagsync/lock"), "pid 1 on somewhere\n").unwrap();
        assert!(RootLock::try_acquire(&layout).is_ok());
    }
}
