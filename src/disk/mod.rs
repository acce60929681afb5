//! Every change below a root: one function for each system call that makes one, and a crash point with each call of it.
//!
//! A [`Point`] names a place in the code and says what a crash there leaves. Tests kill the agent before and after each of them,
//! or make the call fail with any errno; builds without debug assertions carry nothing of that, and these functions are
//! the calls themselves. `tests/architecture.rs` fails when another room changes the file system by itself, so that no change can be
//! without a point. Reads need none.
//!
//! It decides nothing: who calls it knows what may be changed, and what an error means.

mod absent;
mod below;
#[cfg(debug_assertions)]
mod fault;
mod ours;
mod points;

use std::borrow::Borrow;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};

pub(crate) use absent::{remove_any, rename_if_there};
pub(crate) use below::Below;
pub(crate) use ours::{create_ours, make_dirs, write_ours};
pub use points::Point;

#[cfg(debug_assertions)]
pub(crate) use fault::around_as;

/// Without tests there are no faults.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn around_as<T, E>(
    _: Point,
    _: impl FnOnce(io::Error) -> E,
    operation: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    operation()
}

/// One change, by whoever makes it: for writers that are not ours. With an error of theirs: [`around_as`], which is told how to
/// make one of a system's.
#[inline]
pub(crate) fn around<T>(point: Point, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    around_as(point, |fault| fault, operation)
}

/// `rename(2)`.
pub(crate) fn rename(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    around(point, || fs::rename(from, to))
}

/// `unlink(2)`.
pub(crate) fn remove_file(point: Point, path: &Path) -> io::Result<()> {
    around(point, || fs::remove_file(path))
}

/// `rmdir(2)`.
pub(crate) fn remove_dir(point: Point, path: &Path) -> io::Result<()> {
    around(point, || fs::remove_dir(path))
}

/// `rm -r`, which follows no link. One point for all of it: half of it is a state like any other.
pub(crate) fn remove_dir_all(point: Point, path: &Path) -> io::Result<()> {
    around(point, || fs::remove_dir_all(path))
}

/// `mkdir(2)`, mode 0777 minus the umask.
pub(crate) fn create_dir(point: Point, path: &Path) -> io::Result<()> {
    around(point, || fs::create_dir(path))
}

/// `symlink(2)`.
pub(crate) fn symlink(point: Point, target: &Path, link: &Path) -> io::Result<()> {
    around(point, || std::os::unix::fs::symlink(target, link))
}

/// `chmod(2)`, which follows links.
pub(crate) fn set_mode(point: Point, path: &Path, mode: u32) -> io::Result<()> {
    around(point, || fs::set_permissions(path, Permissions::from_mode(mode)))
}

/// Times for `utimensat(2)` that leave the one of the last access as it is.
fn time_of_last_change(seconds: i64, nanos: u32) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}

/// `fsync(2)` of a folder, or of a file that is open for reading.
pub(crate) fn sync(point: Point, file: &File) -> io::Result<()> {
    around(point, || file.sync_all())
}

/// `syncfs(2)`: everything on the volume that `file` is on.
pub(crate) fn sync_volume(point: Point, file: &File) -> io::Result<()> {
    around(point, || Ok(rustix::fs::syncfs(file)?))
}

/// Opens a folder to look at what is in it: a read, here because what else `open(2)` does is here. Never through a link.
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Opens a file to read it: a read, like the one above. Never through a link at its name, and without waiting for a pipe that
/// somebody put there.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Reads a small text of ours where somebody else may write: a pipe, a device or a file that is longer is none, and no link is
/// followed.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no such text.
pub(crate) fn read_small(path: &Path) -> io::Result<String> {
    const LONGEST: u64 = 4096;
    let none = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it is {what}"));
    let file = open_to_read(path).map_err(|err| match rustix::io::Errno::from_io_error(&err) {
        // A socket, or a device that nobody drives.
        Some(rustix::io::Errno::NXIO) => none("no file"),
        _ => err,
    })?;
    if !file.metadata()?.is_file() {
        return Err(none("no file"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST { Err(none("too long")) } else { Ok(text) }
}

/// Whether files of the volume may share their content, by the kind of its file system: if not, it need not be tried.
pub(crate) fn may_clone(path: &Path) -> bool {
    const BTRFS: u64 = 0x9123_683e;
    const XFS: u64 = 0x5846_5342;
    const BCACHEFS: u64 = 0xca45_1a4e;
    const ZFS: u64 = 0x2fc1_2fc1;
    const NFS: u64 = 0x6969;
    const OVERLAY: u64 = 0x794c_7630;
    let kind = rustix::fs::statfs(path).map(|volume| volume.f_type as u64);
    kind.is_ok_and(|kind| [BTRFS, XFS, BCACHEFS, ZFS, NFS, OVERLAY].contains(&kind))
}

/// Makes or empties a file; `mode` minus the umask when it is made.
pub(crate) fn create(point: Point, path: &Path, mode: u32) -> io::Result<Writable> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    around(point, || options.open(path).map(Writable))
}

/// Makes a file that must not be there, to be written and read; mode 0600 until it is whole.
pub(crate) fn create_new(point: Point, path: &Path) -> io::Result<Writable> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    around(point, || options.open(path).map(Writable))
}

/// Opens a file to change its time, with what is in it; made if it is not there.
pub(crate) fn open_or_create(point: Point, path: &Path) -> io::Result<Writable> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    around(point, || options.open(path).map(Writable))
}

/// Opens a file to lock it, with what is in it; made with mode 0644 minus the umask if it is not there.
pub(crate) fn open_lock(point: Point, path: &Path) -> io::Result<Writable> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    around(point, || options.open(path).map(Writable))
}

/// A file that is open for writing: through these methods only, so that each change of it has its point.
#[derive(Debug)]
pub(crate) struct Writable(File);

impl Writable {
    /// `pwrite(2)` until all is written.
    pub(crate) fn write_all_at(&self, point: Point, bytes: &[u8], offset: u64) -> io::Result<()> {
        around(point, || self.0.write_all_at(bytes, offset))
    }

    /// `pread(2)`; only what was made to be read too.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    /// For those who write to whatever takes bytes.
    pub(crate) fn at(&self, point: Point) -> Writing<&Writable> {
        Writing { file: self, point }
    }

    /// The same, for those who keep it.
    pub(crate) fn into_writing(self, point: Point) -> Writing<Writable> {
        Writing { file: self, point }
    }

    /// Makes it share the content of another file, where the file system can: only what is written later takes up room.
    pub(crate) fn clone_from(&self, point: Point, other: &File) -> io::Result<()> {
        around(point, || Ok(rustix::fs::ioctl_ficlone(&self.0, other)?))
    }

    /// `write(2)` until all is written.
    pub(crate) fn write_all(&self, point: Point, bytes: &[u8]) -> io::Result<()> {
        around(point, || (&self.0).write_all(bytes))
    }

    /// `ftruncate(2)`.
    pub(crate) fn set_len(&self, point: Point, bytes: u64) -> io::Result<()> {
        around(point, || self.0.set_len(bytes))
    }

    /// `futimens(2)`: the time of the last change.
    pub(crate) fn set_modified(&self, point: Point, at: SystemTime) -> io::Result<()> {
        around(point, || self.0.set_times(FileTimes::new().set_modified(at)))
    }

    /// `fchmod(2)`.
    pub(crate) fn set_mode(&self, point: Point, mode: u32) -> io::Result<()> {
        around(point, || self.0.set_permissions(Permissions::from_mode(mode)))
    }

    /// `fsync(2)`.
    pub(crate) fn sync_all(&self, point: Point) -> io::Result<()> {
        around(point, || self.0.sync_all())
    }

    /// What the kernel says of it now, in the form of a `T` that can be made of a file.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&File) -> T) -> T {
        look(&self.0)
    }
}

/// A file that is written at one point.
#[derive(Debug)]
pub(crate) struct Writing<F> {
    file: F,
    point: Point,
}

impl<F> Writing<F> {
    /// The file again.
    pub(crate) fn into_inner(self) -> F {
        self.file
    }
}

impl<F: Borrow<Writable>> io::Write for Writing<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.borrow().write_all(self.point, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
