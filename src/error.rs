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
    /// Whether the volume was too small. By default when that is what a system call below it said.
    fn asks_for_room(&self) -> bool {
        let mut below = std::iter::successors(self.source(), |err| err.source());
        below.any(|err| {
            let errno = err.downcast_ref().and_then(Errno::from_io_error);
            matches!(errno, Some(Errno::NOSPC | Errno::DQUOT))
        })
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
        Cause::of(&self.source, &self.path).map(|cause| cause.hint().to_owned())
    }
}

/// The hint of a tree that does not fit.
pub const NO_ROOM: &str =
    "free some space or make the volume larger; nothing was written, and what is published stays";

/// What a system call on a volume failed of, if a human can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No inodes are left.
    NoInodes,
    /// No bytes are left.
    Full,
    /// The quota is used up.
    NoQuota,
    /// Somebody else's file or folder.
    NotAllowed,
    /// Nothing on the volume can be changed.
    ReadOnly,
    /// The process may not open more files.
    TooManyFiles,
    /// Nobody on the machine may.
    TooManyFilesOfAll,
    /// A file server forgot the file.
    Stale,
    /// The disk, or the file server.
    Broken,
}

impl Cause {
    /// Of an error that a call on `path`, or below it, ended with.
    pub fn of(err: &io::Error, path: &Path) -> Option<Cause> {
        let cause = match Errno::from_io_error(err)? {
            // One errno for two ends: a volume of many small files runs out of inodes first, and `df` shows room then.
            Errno::NOSPC if has_no_inodes(path) => Cause::NoInodes,
            Errno::NOSPC => Cause::Full,
            Errno::DQUOT => Cause::NoQuota,
            Errno::ACCESS | Errno::PERM => Cause::NotAllowed,
            Errno::ROFS => Cause::ReadOnly,
            Errno::MFILE => Cause::TooManyFiles,
            Errno::NFILE => Cause::TooManyFilesOfAll,
            Errno::STALE => Cause::Stale,
            Errno::IO => Cause::Broken,
            _ => return None,
        };
        Some(cause)
    }

    /// What a human can do.
    pub fn hint(self) -> &'static str {
        match self {
            Cause::NoInodes => "the volume has no inodes left (`df -i`): remove files, or make it larger",
            Cause::Full => "the volume is full (`df`): free some space, or make it larger",
            Cause::NoQuota => "the quota of the volume is used up: free some space, or raise it",
            Cause::NotAllowed => "check who owns the volume, and `fsGroup`",
            Cause::ReadOnly => {
                "the root's volume has to be writable; after an error of the disk the kernel makes it read-only"
            }
            Cause::TooManyFiles => "dagsync may not open more files: raise `ulimit -n`",
            Cause::TooManyFilesOfAll => {
                "the node cannot open more files: raise `fs.file-max`, or look who has so many open"
            }
            Cause::Stale => {
                "the file server does not know the file any more: if that stays, mount the volume again"
            }
            Cause::Broken => "the disk or the file server fails: look into the kernel's log of the node",
        }
    }

    /// Whether it may go away when something else leaves the volume.
    pub fn asks_for_room(self) -> bool {
        matches!(self, Cause::NoInodes | Cause::Full | Cause::NoQuota)
    }
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
            assert_eq!(err.asks_for_room(), is_about_room, "{err}");
            let cause = Cause::of(&err.source, &err.path).unwrap();
            assert_eq!(cause.asks_for_room(), is_about_room, "{cause:?}");
        }
        assert_eq!(OnDisk::new("write", Path::new("/"))(Errno::XDEV.into()).hint(), None);
    }
}
