//! What a volume does to names and modes, found by trying it with a file of ours.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::disk::{self, Point};

/// Whether the volume takes `a` and `A` for one name, as CIFS and SMB shares do.
pub fn folds_case(dir: &Path) -> io::Result<bool> {
    let name = format!(".dagsync-case-{}-{:08x}-a", std::process::id(), fastrand::u32(..));
    let file = dir.join(&name);
    disk::create(Point::RootCaseCreate, &file, 0o666)?;
    let folds = fs::symlink_metadata(dir.join(name.replace("-a", "-A"))).is_ok();
    disk::remove_file(Point::RootCaseRemove, &file)?;
    Ok(folds)
}

/// Whether the volume keeps the modes of files: a share of another system gives all the same.
pub fn holds_modes(dir: &Path) -> io::Result<bool> {
    let path = dir.join(format!(".dagsync-case-{}-{:08x}-m", std::process::id(), fastrand::u32(..)));
    let file = disk::create(Point::RootCaseCreate, &path, 0o666)?;
    let mode_of = |file: &File| file.metadata().map(|meta| meta.permissions().mode() & 0o777).ok();
    let holds = [0o700, 0o640]
        .iter()
        .all(|mode| file.set_mode(Point::RootCaseMode, *mode).is_ok() && file.look(mode_of) == Some(*mode));
    disk::remove_file(Point::RootCaseRemove, &path)?;
    Ok(holds)
}
