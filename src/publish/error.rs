//! What can go wrong below a root, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Advice, Remedy};

/// An error of the stages publish and retire, or of taking a root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What we were doing, as an infinitive.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something that is not ours is where the link goes.
    #[error("`{}` is {what}, not a link of ours", path.display())]
    Occupied {
        /// The link's path.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// Another agent owns the root.
    #[error("root `{}` belongs to another agent ({holder})", path.display())]
    Locked {
        /// The root.
        path: PathBuf,
        /// What it wrote into the lock file.
        holder: String,
    },
}

impl Error {
    /// For `map_err`.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { doing, path, source }
    }
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Io { .. } => Remedy::Retry { after: None },
            Error::Occupied { .. } | Error::Locked { .. } => Remedy::Human,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Occupied { .. } => {
                Some("move it away, or choose another `--link`; nothing was touched".into())
            }
            Error::Locked { .. } => {
                Some("one agent writes a root; give each its own, or let this one stand by".into())
            }
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space".into()),
                io::ErrorKind::PermissionDenied => Some("check who owns the volume, and `fsGroup`".into()),
                io::ErrorKind::ReadOnlyFilesystem => Some("only the root's volume has to be writable".into()),
                _ => None,
            },
        }
    }
}
