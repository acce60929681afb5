//! Files and folders of ours below a root, so that their modes follow one rule: 0644 or 0755 minus the umask, and the
//! group's bits whole with `--group-write`.
//!
//! Each of these is several changes, one after the other, that share a point.

use std::io;
use std::path::Path;

use super::{Point, Writable, create, create_dir, set_mode};
use crate::umask;

/// Makes or empties a file of ours and writes it.
pub(crate) fn write_ours(
    point: Point,
    path: &Path,
    content: impl AsRef<[u8]>,
    group_write: bool,
) -> io::Result<()> {
    create_ours(point, path, group_write)?.write_all(point, content.as_ref())
}

/// Makes or empties a file of ours.
pub(crate) fn create_ours(point: Point, path: &Path, group_write: bool) -> io::Result<Writable> {
    let file = create(point, path, 0o644)?;
    file.open_for_group(point, group_write)?;
    Ok(file)
}

impl Writable {
    /// Gives a file its group's bits, if asked to. A file of another uid stays as it is: that one may do it, we may not.
    pub(crate) fn open_for_group(&self, point: Point, group_write: bool) -> io::Result<()> {
        if !group_write {
            return Ok(());
        }
        match self.set_mode(point, umask::apply(0o664, true)) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }
}

/// `mkdir -p`, group-writable if asked.
pub(crate) fn make_dirs(point: Point, path: &Path, group_write: bool) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dirs(point, parent, group_write)?;
    }
    match create_dir(point, path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            let what = if path.is_symlink() { "a link to nowhere" } else { "not a folder" };
            Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is {what}", path.display())))
        }
        Ok(()) if group_write => set_mode(point, path, umask::apply(0o775, true)),
        other => other,
    }
}
