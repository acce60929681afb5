//! A git tree as it will be on disk: what is in it, whether it may be written at all, and the bytes of each file.
//!
//! This half of the room only reads, and only from the object store: [`walk()`] turns a root tree into a [`Listing`],
//! [`attributes::Converter`] turns a blob into what git's own checkout would write. There is no other way to get a
//! listing, so whoever holds one holds a tree that passed every rule: names (`names`), collisions (`collide`),
//! symlinks (`links`), bounds and well-formedness (`walk`). Nothing here writes, runs, follows a path on disk, or
//! reads configuration of the machine. `agent::pass` calls it before anything is staged.
//!
//! The listing is in the order of the git index and knows nothing of what is on disk, so that a builder can compare
//! two of them (or one with a manifest) and write the difference.

use std::fmt;
use std::fmt::Write as _;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};

use crate::error::{Advice, Remedy};

pub mod attributes;
mod collide;
mod comparison;
pub mod durable;
mod encoding;
mod ident;
pub mod index;
mod links;
mod listed;
mod listing;
pub mod manifest;
mod names;
mod parallel;
mod pieces;
pub mod plan;
pub mod recycle;
mod settings;
pub mod space;
pub mod survey;
pub mod verify;
pub mod volume;
mod walk;
pub mod write;

pub use listing::{Entry, Listing};
pub use names::NameProblem;
pub use settings::{AutoCrlf, CheckoutConfig, Durable, Limits, Symlinks, Times};
pub use walk::{Earlier, walk, walk_after};

/// What an entry becomes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A file, mode 0644 minus umask.
    File,
    /// A file, mode 0755 minus umask.
    Executable,
    /// A symlink; the blob is its target.
    Symlink,
    /// A commit of another repository: an empty directory unless submodules are on.
    Submodule,
}

/// What a source allows, apart from [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Where symlinks may point.
    pub symlinks: Symlinks,
    /// The volume folds case, as CIFS and SMB shares do: names that would fall together, and names that such a volume
    /// cannot hold (device names, `:`, a trailing dot), are refused too.
    pub case_insensitive: bool,
}

impl Policy {
    /// For a tree that is looked at and not written.
    pub const ANYTHING: Policy = Policy { symlinks: Symlinks::Any, case_insensitive: false };
}

/// A bound that a tree went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Files, links and submodules.
    Entries,
    /// Folders; as many as entries are allowed.
    Folders,
    /// Nested folders.
    Depth,
    /// Sum of the blobs, in bytes.
    Bytes,
    /// One blob, in bytes.
    BlobBytes,
    /// One name, in bytes: what Linux file systems hold.
    Name,
    /// One path, in bytes: what a system call takes.
    Path,
    /// Sum of all paths, in bytes: few objects can make a list that fills the memory.
    PathBytes,
    /// Sum of all link targets, in bytes.
    LinkBytes,
    /// Sum of all `.gitattributes`, in bytes.
    AttributeBytes,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Entries => "files and links",
            Bound::Folders => "folders",
            Bound::Depth => "nested folders",
            Bound::Bytes => "bytes in all files",
            Bound::BlobBytes => "bytes in one file",
            Bound::Name => "bytes in one name",
            Bound::Path => "bytes in one path",
            Bound::PathBytes => "bytes in all paths",
            Bound::LinkBytes => "bytes in all symlink targets",
            Bound::AttributeBytes => "bytes in all `.gitattributes`",
        })
    }
}

/// What is wrong with a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkProblem {
    /// Starts with `/`.
    Absolute,
    /// Leaves the tree, by itself or through other links.
    Outside,
    /// No target at all: no file system can make such a link.
    Empty,
    /// A NUL in the target: the same.
    Nul,
    /// Longer than 4095 bytes: the same.
    TooLong,
}

impl fmt::Display for LinkProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkProblem::Absolute => "is absolute",
            LinkProblem::Outside => "leads out of the tree",
            LinkProblem::Empty => "is empty",
            LinkProblem::Nul => "contains a NUL byte",
            LinkProblem::TooLong => "is longer than 4095 bytes",
        })
    }
}

/// Why a tree is not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fetch left something out, or the store lost it. Fetching again helps, the published tree does not care.
    #[error("object `{id}` is missing from the object store")]
    Missing {
        /// What is missing.
        id: ObjectId,
    },
    /// The store is damaged. The inner text is for the log, not for the outside.
    #[error("object `{id}` cannot be read from the object store")]
    Read {
        /// What cannot be read.
        id: ObjectId,
        /// What the store says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody asked to stop.
    #[error("reading the tree was interrupted")]
    Interrupted,
    /// An object that is no tree as git writes them.
    #[error("the tree is malformed: {problem} in {}", folder(.path))]
    Malformed {
        /// The folder, empty for the root.
        path: BString,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A name that could leave the tree, change `.git`, or hide in a log.
    #[error("the tree has a path that is never written: {}: {problem}", shown(.path))]
    Name {
        /// The full path.
        path: BString,
        /// What is wrong with its last component.
        problem: NameProblem,
    },
    /// Two paths that a volume which folds case cannot tell apart.
    #[error("the tree has two paths that differ in case only: {} and {}", shown(.first), shown(.second))]
    Collision {
        /// One of them.
        first: BString,
        /// The other.
        second: BString,
        /// One of them is a symlink (CVE-2024-32002): refused on every volume.
        symlink: bool,
    },
    /// More than allowed.
    #[error("the tree has more than {max} {bound}, at {}", folder(.path))]
    TooMuch {
        /// Which bound.
        bound: Bound,
        /// Its value.
        max: u64,
        /// Where it was noticed.
        path: BString,
    },
    /// A symlink that may not be, or cannot be.
    #[error("the target of symlink {} {problem}: {}", shown(.path), shown(.target))]
    Link {
        /// The link.
        path: BString,
        /// Where it points, cut when very long.
        target: BString,
        /// What is wrong with that.
        problem: LinkProblem,
    },
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Missing { .. } | Error::Read { .. } => Remedy::Retry { after: None },
            Error::Interrupted => Remedy::Stopped,
            _ => Remedy::Human,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Missing { .. } | Error::Read { .. } => {
                "the object store is a cache and will be fetched again"
            }
            Error::Interrupted => return None,
            Error::Malformed { .. } => "`git fsck` names the tree; it was not made by git itself",
            Error::Name { .. } => {
                "rename it in the repository; git refuses or mangles such a name on some systems"
            }
            Error::Collision { symlink: true, .. } => {
                "rename one of them: on a volume that folds case a file would be written through the symlink"
            }
            Error::Collision { .. } => "rename one of them: this volume cannot hold both",
            Error::TooMuch { bound: Bound::Name | Bound::Path, .. } => "the file system cannot hold it",
            Error::TooMuch { bound: Bound::Entries | Bound::Folders, .. } => {
                "raise `--max-entries` if the tree is meant to be that large"
            }
            Error::TooMuch { bound: Bound::Depth, .. } => {
                "raise `--max-tree-depth` if the tree is meant to be that deep"
            }
            Error::TooMuch { bound: Bound::Bytes, .. } => {
                "raise `--max-tree-bytes` if the tree is meant to be that large"
            }
            Error::TooMuch { bound: Bound::BlobBytes, .. } => {
                "raise `--max-blob-bytes` if the file is meant to be that large"
            }
            Error::TooMuch { .. } => "no sane tree has that much; look at who made it",
            Error::Link { problem: LinkProblem::Absolute | LinkProblem::Outside, .. } => {
                "make it point inside the repository, or allow symlinks to anywhere with `--symlinks=any`"
            }
            Error::Link { .. } => "no file system can hold it; fix it in the repository",
        };
        Some(hint.to_owned())
    }
}

/// A path for messages: in backticks, with everything escaped that could end a line, move a cursor, or reorder text
/// (CVE-2024-43785 and its kin), and cut when absurdly long.
pub(crate) fn shown(path: &BString) -> String {
    const MOST: usize = 300;
    let mut out = String::from("`");
    for (start, end, c) in path.char_indices() {
        if start > MOST {
            out.push('…');
            break;
        }
        match c {
            // What is not UTF-8 comes as the replacement character.
            '\u{fffd}' => path[start..end].iter().for_each(|b| {
                let _ = write!(out, "\\x{b:02x}");
            }),
            '`' => out.push_str("\\`"),
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{61c}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('`');
    out
}

fn folder(path: &BString) -> String {
    if path.is_empty() { "the top folder".to_owned() } else { shown(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_in_paths_are_escaped_in_messages() {
        let shown = |b: &[u8]| super::shown(&b.into());
        assert_eq!(shown(b"dags/a.py"), "`dags/a.py`");
        assert_eq!(shown(b"a\x1b[31m\r\n\0\x7f"), "`a\\u{1b}[31m\\r\\n\\u{0}\\u{7f}`");
        assert_eq!(shown("tr\u{202e}yp.exe".as_bytes()), "`tr\\u{202e}yp.exe`");
        assert_eq!(shown(b"\xff`"), "`\\xff\\``");
        assert_eq!(shown("däg.py".as_bytes()), "`däg.py`");
        assert!(shown(&[b'a'; 5000]).len() < 400);
    }

    #[test]
    fn what_fetching_again_can_mend_is_retried_and_nothing_else_is() {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        assert_eq!(Error::Missing { id }.remedy(), Remedy::Retry { after: None });
        assert_eq!(Error::Interrupted.remedy(), Remedy::Stopped);
        let human = Error::TooMuch { bound: Bound::Depth, max: 128, path: "a/b".into() };
        assert_eq!(human.remedy(), Remedy::Human);
        assert_eq!(human.to_string(), "the tree has more than 128 nested folders, at `a/b`");
    }
}
