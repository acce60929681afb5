//! Changes below a folder in which somebody else may write too.
//!
//! A path that is looked up again at each call leads wherever a folder on its way leads at that moment: who may write in a tree
//! can put a link there between two calls, and a write or a removal lands elsewhere. Here the top is opened once, and each
//! folder below it through that handle, following no link; a change names nothing but its last component, in a folder that is open.
//! What was a folder of the tree when it was opened is one, wherever somebody moves it meanwhile.

use std::ffi::{CStr, OsStr};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::fs::{mkdirat, openat, openat2, renameat, statat, symlinkat, unlinkat, utimensat};
use rustix::io::Errno;

use super::{Point, Writable, around, time_of_last_change};

/// A handle that names a folder and needs no right to list it.
const NAMED: OFlags = OFlags::PATH.union(LISTED);
/// The same that lists it.
const LISTED: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Each level of a removal keeps a folder open, and some of the stack.
const MOST_LEVELS: usize = 256;

/// A folder that is open, and the one below it that the last change was in: changes come in runs within the same folder.
///
/// A clone shares the top and has a folder of its own: one for each thread.
#[derive(Debug)]
pub(crate) struct Below {
    top: Arc<Top>,
    last: Option<(PathBuf, OwnedFd)>,
}

#[derive(Debug)]
struct Top {
    folder: OwnedFd,
    /// This kernel, or what stands before it, has no `openat2(2)`.
    by_component: AtomicBool,
}

impl Clone for Below {
    fn clone(&self) -> Self {
        Below { top: self.top.clone(), last: None }
    }
}

impl Below {
    /// Opens the top. Its own name may not be a link; the way to it may.
    pub(crate) fn open(top: &Path) -> io::Result<Below> {
        let folder = rustix::fs::openat(CWD, top, NAMED, Mode::empty())?;
        Ok(Below { top: Arc::new(Top { folder, by_component: AtomicBool::new(false) }), last: None })
    }

    /// Makes a file that must not be there; `mode` minus the umask.
    pub(crate) fn create(&mut self, point: Point, path: &Path, mode: u32) -> io::Result<Writable> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(Writable(File::from(openat(folder, name, flags, Mode::from(mode))?)))
        })
    }

    /// `renameat(2)` within a folder: from the name `from` to that of `path`.
    pub(crate) fn rename_beside(&mut self, point: Point, from: &OsStr, path: &Path) -> io::Result<()> {
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(renameat(folder, from, folder, name)?)
        })
    }

    /// `symlinkat(2)`.
    pub(crate) fn symlink(&mut self, point: Point, target: &Path, path: &Path) -> io::Result<()> {
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(symlinkat(target, folder, name)?)
        })
    }

    /// `mkdirat(2)`, mode 0777 minus the umask.
    pub(crate) fn create_dir(&mut self, point: Point, path: &Path) -> io::Result<()> {
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(mkdirat(folder, name, Mode::from(0o777))?)
        })
    }

    /// `unlinkat(2)` of what is no folder.
    pub(crate) fn remove_file(&mut self, point: Point, path: &Path) -> io::Result<()> {
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(unlinkat(folder, name, AtFlags::empty())?)
        })
    }

    /// `unlinkat(2)` of an empty folder.
    pub(crate) fn remove_dir(&mut self, point: Point, path: &Path) -> io::Result<()> {
        self.forget(path);
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        })
    }

    /// Removes a file, link or folder with what is in it; one that is not there is fine. One point for all of it: half of it is
    /// a state like any other.
    pub(crate) fn remove_any(&mut self, point: Point, path: &Path) -> io::Result<()> {
        self.forget(path);
        around(point, || {
            let removed = self.place(path).and_then(|(folder, name)| {
                let name = std::ffi::CString::new(name.as_bytes())?;
                remove(folder, &name, MOST_LEVELS)
            });
            match removed {
                Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    Ok(())
                }
                other => other,
            }
        })
    }

    /// `utimensat(2)` of whatever has the name, a link too; the time since 1970. The time of the last access stays.
    pub(crate) fn set_mtime(
        &mut self,
        point: Point,
        path: &Path,
        seconds: i64,
        nanos: u32,
    ) -> io::Result<()> {
        let times = time_of_last_change(seconds, nanos);
        around(point, || {
            let (folder, name) = self.place(path)?;
            Ok(utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
        })
    }

    /// `chmod(2)` of a folder.
    pub(crate) fn set_folder_mode(&mut self, point: Point, path: &Path, mode: u32) -> io::Result<()> {
        around(point, || {
            let (folder, name) = self.place(path)?;
            match openat(folder, name, LISTED, Mode::empty()) {
                Ok(open) => Ok(rustix::fs::fchmod(open, Mode::from(mode))?),
                // Not ours to list, and the other kind of handle takes no mode but by its name in `/proc`.
                Err(Errno::ACCESS) => {
                    let open = openat(folder, name, NAMED, Mode::empty())?;
                    let handle = format!("/proc/self/fd/{}", open.as_raw_fd());
                    std::fs::set_permissions(handle, Permissions::from_mode(mode))
                }
                Err(err) => Err(err.into()),
            }
        })
    }

    /// What has this name, to ask the kernel about it and nothing else: a read, a link is not followed.
    pub(crate) fn look(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (folder, name) = self.place(path)?;
        Ok(File::from(openat(folder, name, flags, Mode::empty())?))
    }

    /// Opens a file to read it, without waiting for a pipe that somebody put there. Keeps no folder open.
    pub(crate) fn open_to_read(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (folder, name) = split(path);
        let folder = self.top.descend(folder)?;
        Ok(File::from(openat(folder, name, flags, Mode::empty())?))
    }

    /// The folders in a folder: a read.
    pub(crate) fn folders_in(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let (folder, name) = self.place(path)?;
        let mut listing = Dir::new(openat(folder, name, LISTED, Mode::empty())?)?;
        let mut found = Vec::new();
        while let Some(entry) = listing.read() {
            let entry = entry?;
            let name = entry.file_name();
            let kind = match entry.file_type() {
                // Some file systems do not say what a name is.
                FileType::Unknown => {
                    let stat = statat(listing.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            if kind == FileType::Directory && !is_dots(name) {
                found.push(path.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
        Ok(found)
    }

    /// The folder that a path is in, open, and its name there.
    fn place<'a>(&'a mut self, path: &'a Path) -> io::Result<(BorrowedFd<'a>, &'a OsStr)> {
        let (folder, name) = split(path);
        if folder.is_empty() {
            return Ok((self.top.folder.as_fd(), name));
        }
        let open = match self.last.take() {
            Some((last, open)) if last.as_os_str() == folder => (last, open),
            // Closed before the next one is opened: a process may have few files open.
            other => {
                drop(other);
                (folder.into(), self.top.descend(folder)?)
            }
        };
        Ok((self.last.insert(open).1.as_fd(), name))
    }

    /// A folder that is about to go is not kept open: another one may get its name.
    fn forget(&mut self, path: &Path) {
        self.last.take_if(|(last, _)| last.starts_with(path));
    }
}

impl Top {
    /// Opens a folder below, following no link on the way.
    fn descend(&self, folder: &OsStr) -> io::Result<OwnedFd> {
        if folder.is_empty() {
            return Ok(openat(&self.folder, ".", NAMED, Mode::empty())?);
        }
        if !self.by_component.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(&self.folder, folder, NAMED, Mode::empty(), resolve) {
                // Linux before 5.6; and filters of system calls that have not heard of it.
                Err(Errno::NOSYS | Errno::PERM) => self.by_component.store(true, Ordering::Relaxed),
                other => return Ok(other?),
            }
        }
        self.descend_by_component(folder)
    }

    fn descend_by_component(&self, folder: &OsStr) -> io::Result<OwnedFd> {
        let mut open: Option<OwnedFd> = None;
        for component in folder.as_bytes().split(|byte| *byte == b'/') {
            if matches!(component, b"" | b"." | b"..") {
                return Err(Errno::XDEV.into());
            }
            let above = open.as_ref().unwrap_or(&self.folder);
            open = Some(openat(above, component, NAMED, Mode::empty())?);
        }
        open.ok_or_else(|| Errno::INVAL.into())
    }
}

/// A path's folder and its name in it; of the top itself, a name that it has in itself.
fn split(path: &Path) -> (&OsStr, &OsStr) {
    let bytes = path.as_os_str().as_bytes();
    let (folder, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b""[..], bytes),
    };
    (OsStr::from_bytes(folder), OsStr::from_bytes(if bytes.is_empty() { b"." } else { name }))
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// `rm -r` of a name in a folder that is open.
fn remove(folder: BorrowedFd<'_>, name: &CStr, levels: usize) -> io::Result<()> {
    let refused = match unlinkat(folder, name, AtFlags::empty()) {
        Err(err @ (Errno::ISDIR | Errno::PERM)) => err,
        other => return Ok(other?),
    };
    if levels == 0 {
        return Err(io::Error::other(format!("more than {MOST_LEVELS} folders inside each other")));
    }
    let mut inside = match openat(folder, name, LISTED, Mode::empty()) {
        // No folder: the system had another reason.
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(refused.into()),
        other => Dir::new(other?)?,
    };
    while let Some(entry) = inside.read() {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            match remove(inside.fd()?, entry.file_name(), levels - 1) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    const POINT: Point = Point::TreeFileCreate;

    /// A top with a real folder, and links: to a folder outside, and to one inside.
    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (top, outside) = (dir.path().join("top"), dir.path().join("outside"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b/c")).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        fs::write(outside.join("b/file"), "precious").unwrap();
        symlink(&outside, top.join("out")).unwrap();
        symlink("a", top.join("in")).unwrap();
        (dir, top, outside)
    }

    fn both_ways(top: &Path) -> [Below; 2] {
        let without = Below::open(top).unwrap();
        without.top.by_component.store(true, Ordering::Relaxed);
        [Below::open(top).unwrap(), without]
    }

    fn seen(folder: &Path) -> Vec<(PathBuf, i64, u32, Vec<u8>)> {
        let mut all = Vec::new();
        let mut queue = vec![folder.to_owned()];
        while let Some(path) = queue.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                queue.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            all.push((path, meta.mtime_nsec(), meta.mode(), content));
        }
        all.sort();
        all
    }

    #[test]
    fn no_change_goes_through_a_link_with_or_without_openat2() {
        let (_dir, top, outside) = world();
        let before = seen(&outside);
        for mut below in both_ways(&top) {
            for way in ["out", "out/b", "in", "in/b"] {
                let path = |name: &str| Path::new(way).join(name);
                assert!(below.create(POINT, &path("new"), 0o644).is_err(), "{way}");
                assert!(below.symlink(POINT, Path::new("x"), &path("new")).is_err(), "{way}");
                assert!(below.create_dir(POINT, &path("new")).is_err(), "{way}");
                assert!(below.remove_file(POINT, &path("file")).is_err(), "{way}");
                assert!(below.remove_dir(POINT, &path("c")).is_err(), "{way}");
                assert!(below.rename_beside(POINT, OsStr::new("file"), &path("new")).is_err(), "{way}");
                assert!(below.set_mtime(POINT, &path("file"), 1, 1).is_err(), "{way}");
                assert!(below.set_folder_mode(POINT, &path("b"), 0o700).is_err(), "{way}");
                assert!(below.look(&path("file")).is_err(), "{way}");
                assert!(below.open_to_read(&path("file")).is_err(), "{way}");
                assert!(below.folders_in(&path("b")).is_err(), "{way}");
                let _ = below.remove_any(POINT, &path("b"));
            }
            // A link is not its target as the last component either.
            assert!(below.set_folder_mode(POINT, Path::new("out"), 0o700).is_err());
            assert!(below.create(POINT, Path::new("../outside/new"), 0o644).is_err());
            below.set_mtime(POINT, Path::new("out"), 1, 1).unwrap();
            assert_eq!(seen(&outside), before);
            assert!(top.join("a/b").is_dir());
        }
        assert!(Below::open(&top.join("out")).is_err(), "the top is no link");
    }

    #[test]
    fn changes_below_the_top_are_made_with_or_without_openat2() {
        let (_dir, top, outside) = world();
        let before = seen(&outside);
        for mut below in both_ways(&top) {
            let path = Path::new("a/b/new");
            below.create(POINT, path, 0o644).unwrap().write_all(POINT, b"x").unwrap();
            below.rename_beside(POINT, OsStr::new("new"), Path::new("a/b/file")).unwrap();
            below.set_mtime(POINT, Path::new("a/b/file"), 7, 0).unwrap();
            assert_eq!(below.look(Path::new("a/b/file")).unwrap().metadata().unwrap().mtime(), 7);
            below.set_mtime(POINT, Path::new(""), 8, 0).unwrap();
            assert_eq!(fs::metadata(&top).unwrap().mtime(), 8);
            below.create_dir(POINT, Path::new("a/d")).unwrap();
            below.set_folder_mode(POINT, Path::new("a/d"), 0o700).unwrap();
            below.symlink(POINT, &outside, Path::new("a/d/link")).unwrap();
            assert_eq!(below.folders_in(Path::new("a")).unwrap().len(), 2);
            // With a link to the outside in it, which is not followed.
            below.remove_any(POINT, Path::new("a/d")).unwrap();
            below.remove_any(POINT, Path::new("a/d")).unwrap();
            below.remove_any(POINT, Path::new("a/b/file/not")).unwrap();
            below.remove_file(POINT, Path::new("a/b/file")).unwrap();
            below.remove_dir(POINT, Path::new("a/b")).unwrap();
            below.create_dir(POINT, Path::new("a/b")).unwrap();
            below.create(POINT, path, 0o644).unwrap();
            below.remove_file(POINT, path).unwrap();
        }
        assert_eq!(seen(&outside), before);
    }

    #[test]
    fn a_folder_without_rights_gets_them_by_its_handle() {
        let (_dir, top, _) = world();
        fs::set_permissions(top.join("a"), Permissions::from_mode(0o000)).unwrap();
        let mut below = Below::open(&top).unwrap();
        below.set_folder_mode(POINT, Path::new("a"), 0o700).unwrap();
        assert_eq!(fs::metadata(top.join("a")).unwrap().mode() & 0o777, 0o700);
        assert_eq!(below.folders_in(Path::new("a")).unwrap(), [Path::new("a/b")]);
    }
}
