//! What can go wrong below a root, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Advice, OnDisk, Remedy};

/// An error of the stages publish and retire, or of taking a root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] OnDisk),
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
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let failed = OnDisk::new(doing, path);
        move |source| Error::Disk(failed(source))
    }
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Disk(err) => err.remedy(),
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
            Error::Disk(err) => err.hint(),
        }
    }
}
