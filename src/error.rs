//! What an error tells the schedule: what to do next.
//!
//! Every room has its own `thiserror` enum with the paths attached; what they share is the answer to "and now?", given
//! once, here, and read in one place (`agent::schedule`).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

/// What a failed pass asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Will pass by itself: the network, a busy server, a full disk. Back off with jitter; `after` is the server's own
    /// wish (`Retry-After`), if it had one.
    Retry {
        /// The shortest wait the server asked for.
        after: Option<Duration>,
    },
    /// Somebody has to act: bad credentials, an unknown ref, a directory in the link's place. Tried again, slowly.
    Human,
    /// The agent is being stopped; not a failure of the source at all.
    Stopped,
}

/// An error of a stage, as the pass sees it.
pub trait Advice: std::error::Error {
    /// What to do next.
    fn remedy(&self) -> Remedy;
    /// One line on what a human can do, if there is something. Shown as `hint: …` after the message.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// A system call on a volume that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`: {source}", path.display())]
pub struct OnDisk {
    /// What we were doing, as an infinitive.
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl OnDisk {
    /// For `map_err`.
    pub fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OnDisk + use<> {
        let path = path.to_owned();
        move |source| OnDisk { doing, path, source }
    }
}

impl Advice for OnDisk {
    fn remedy(&self) -> Remedy {
        Remedy::Retry { after: None }
    }

    fn hint(&self) -> Option<String> {
        hint_of(&self.source, &self.path).map(str::to_owned)
    }
}

const NO_INODES: &str = "the volume has no inodes left (`df -i`): remove files, or make it larger";
const FULL: &str = "the volume is full (`df`): free some space, or make it larger";
const NO_QUOTA: &str = "the quota of the volume is used up: free some space, or raise it";
/// The hint of a tree that does not fit.
pub const NO_ROOM: &str =
    "free some space or make the volume larger; nothing was written, and what is published stays";

/// Whether a hint asks for room. Every way that leads from a failed system call to the end of a pass keeps the hint.
pub fn asks_for_room(hint: &str) -> bool {
    [NO_INODES, FULL, NO_QUOTA, NO_ROOM].contains(&hint)
}

/// What a human can do about a failed system call on `path`.
pub fn hint_of(err: &io::Error, path: &Path) -> Option<&'static str> {
    let hint = match Errno::from_io_error(err)? {
        // One errno for two ends: a volume of many small files runs out of inodes first, and `df` shows room then.
        Errno::NOSPC if has_no_inodes(path) => NO_INODES,
        Errno::NOSPC => FULL,
        Errno::DQUOT => NO_QUOTA,
        Errno::ACCESS | Errno::PERM => "check who owns the volume, and `fsGroup`",
        Errno::ROFS => {
            "the root's volume has to be writable; after an error of the disk the kernel makes it read-only"
        }
        Errno::MFILE => "dagsync may not open more files: raise `ulimit -n`",
        Errno::NFILE => "the node cannot open more files: raise `fs.file-max`, or look who has so many open",
        Errno::STALE => {
            "the file server does not know the file any more: if that stays, mount the volume again"
        }
        Errno::IO => "the disk or the file server fails: look into the kernel's log of the node",
        _ => return None,
    };
    Some(hint)
}

/// Whether the volume of `path`, which need not exist, says that it counts inodes and has none.
fn has_no_inodes(path: &Path) -> bool {
    let there = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
    there.is_some_and(|volume| volume.f_files > 0 && volume.f_favail == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_volume_says_comes_with_what_to_do() {
        for (errno, word) in [
            (Errno::NOSPC, "full"),
            (Errno::DQUOT, "quota"),
            (Errno::ACCESS, "fsGroup"),
            (Errno::ROFS, "writable"),
            (Errno::MFILE, "ulimit"),
            (Errno::STALE, "mount"),
            (Errno::IO, "kernel"),
        ] {
            let err = OnDisk::new("write", Path::new("/nonexistent/file"))(errno.into());
            assert!(err.hint().is_some_and(|hint| hint.contains(word)), "{err}: {:?}", err.hint());
            assert_eq!(err.remedy(), Remedy::Retry { after: None });
            let is_about_room = matches!(errno, Errno::NOSPC | Errno::DQUOT);
            assert_eq!(err.hint().is_some_and(|hint| asks_for_room(&hint)), is_about_room, "{err}");
        }
        assert_eq!(OnDisk::new("write", Path::new("/"))(Errno::XDEV.into()).hint(), None);
    }
}
