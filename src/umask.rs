//! The process's umask, read once and without changing it.
//!
//! Files that we create get it from the kernel; modes that we set ourselves (packs, group-writable files) must apply it by
//! hand. `umask(2)` can only be read by setting it, which races with other threads; Linux shows it in `/proc`.
//!
//! Everything of ours below a root is made here, so that its modes follow one rule: 0644 or 0755 minus the umask, and the
//! group's bits whole with `--group-write`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

/// The umask, or 022 where `/proc` does not tell.
pub fn current() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        std::fs::read_to_string("/proc/self/status").ok().and_then(|status| parse(&status)).unwrap_or(0o022)
    })
}

fn parse(status: &str) -> Option<u32> {
    let value = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(value.trim(), 8).ok()
}

/// `mode` under the umask. With `group_write` the group's bits survive: that is what the option is for, and a umask
/// of 077 or 022 would undo it.
pub fn apply(mode: u32, group_write: bool) -> u32 {
    let mask = if group_write { current() & !0o070 } else { current() };
    mode & !mask
}

/// Makes or empties a file of ours and writes it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>, group_write: bool) -> io::Result<()> {
    create(path, group_write)?.write_all(content.as_ref())
}

/// Makes or empties a file of ours.
pub(crate) fn create(path: &Path, group_write: bool) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    open_for_group(&file, group_write)?;
    Ok(file)
}

/// Gives a file its group's bits, if asked to. A file of another uid stays as it is: that one may do it, we may not.
pub(crate) fn open_for_group(file: &File, group_write: bool) -> io::Result<()> {
    if !group_write {
        return Ok(());
    }
    match file.set_permissions(fs::Permissions::from_mode(apply(0o664, true))) {
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// `mkdir -p`, group-writable if asked.
pub(crate) fn make_dirs(path: &Path, group_write: bool) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dirs(parent, group_write)?;
    }
    match fs::create_dir(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            let what = if path.is_symlink() { "a link to nowhere" } else { "not a folder" };
            Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is {what}", path.display())))
        }
        Ok(()) if group_write => fs::set_permissions(path, fs::Permissions::from_mode(apply(0o775, true))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_proc_is_octal() {
        assert_eq!(parse("Name:\tx\nUmask:\t0077\nState:\tR\n"), Some(0o077));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn group_bits_survive_when_asked_for() {
        assert_eq!(apply(0o775, true) & 0o070, 0o070);
    }
}
