//! Changes of something that may not be there, and then need not be made.

use std::fs;
use std::io;
use std::path::Path;

use super::{Point, remove_dir_all, remove_file, rename};

/// Removes a file, link or folder; one that is not there is fine.
pub(crate) fn remove_any(point: Point, path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => remove_dir_all(point, path),
        Ok(_) => remove_file(point, path),
        Err(err) => Err(err),
    };
    match removed {
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

/// Renames what may be there.
pub(crate) fn rename_if_there(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    match rename(point, from, to) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
