//! Files on this machine as a snapshot: a published tree, somebody's work tree.
//!
//! In a work tree these are the files that git tracks, as they are on disk: an editor's leavings and a `.venv` are not what will be
//! published. Elsewhere it is every file, but nothing of git's own.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::check::Snapshot;
use crate::check::snapshot::{Entry, Kind, Unreadable};

/// The files of a folder.
pub struct Folder<'a> {
    /// Where all others are.
    top: PathBuf,
    /// Where the files of the DAGs folder are.
    dags: PathBuf,
    /// The DAGs folder's name.
    folder: BString,
    entries: Vec<(BString, Kind, u64)>,
    /// Set when nobody waits any more for what is made of it.
    interrupt: Option<&'a AtomicBool>,
}

impl<'a> Folder<'a> {
    /// The same, until somebody sets this.
    #[must_use]
    pub fn until(self, interrupt: &'a AtomicBool) -> Folder<'a> {
        Folder { interrupt: Some(interrupt), ..self }
    }

    /// Every file and link below `top`, with the DAGs in one of its folders.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn whole(top: &Path, folder: &BStr) -> anyhow::Result<Folder<'a>> {
        Ok(Folder::of(top, folder, listed(top, Path::new(""))?))
    }

    /// Every file and link below `dags`, under the names that they have where the folder is `folder`.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn alone(dags: &Path, folder: &BStr) -> anyhow::Result<Folder<'a>> {
        let entries = listed(dags, Path::new(OsStr::from_bytes(folder)))?;
        Ok(Folder { dags: dags.to_owned(), ..Folder::of(dags, folder, entries) })
    }

    /// Of these paths below `top` those that are there. Those outside of the DAGs folder are taken for files without a look.
    pub fn tracked(top: &Path, folder: &BStr, paths: impl Iterator<Item = (PathBuf, Kind)>) -> Folder<'a> {
        let inside = Path::new(OsStr::from_bytes(folder)).to_owned();
        let entry = |(path, kind): (PathBuf, Kind)| {
            if !path.starts_with(&inside) {
                return Some(named(&path, kind, 0));
            }
            let file = fs::symlink_metadata(top.join(&path)).ok()?;
            let kind = match file.file_type() {
                kind if kind.is_symlink() => Kind::Link,
                kind if kind.is_file() => Kind::File,
                kind if kind.is_dir() => Kind::Submodule,
                _ => return None,
            };
            Some(named(&path, kind, file.len()))
        };
        Folder::of(top, folder, paths.filter_map(entry).collect())
    }

    fn of(top: &Path, folder: &BStr, mut entries: Vec<(BString, Kind, u64)>) -> Folder<'a> {
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        // A conflict is in the index once for each side.
        entries.dedup_by(|one, other| one.0 == other.0);
        let dags = top.join(OsStr::from_bytes(folder));
        Folder { top: top.to_owned(), dags, folder: folder.to_owned(), entries, interrupt: None }
    }

    fn place(&self, path: &BStr) -> PathBuf {
        match self.below(path) {
            Some(below) => self.dags.join(OsStr::from_bytes(below)),
            None => self.top.join(OsStr::from_bytes(path)),
        }
    }
}

/// Every file and link below `top`, as if it was `name`.
fn listed(top: &Path, name: &Path) -> anyhow::Result<Vec<(BString, Kind, u64)>> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = top.join(&folder);
        let listing = fs::read_dir(&path).with_context(|| format!("cannot list `{}`", path.display()))?;
        for entry in listing {
            let entry = entry.with_context(|| format!("cannot list `{}`", path.display()))?;
            let below = folder.join(entry.file_name());
            let kind = entry.file_type().with_context(|| format!("cannot look at `{}`", below.display()))?;
            if entry.file_name() == ".git" {
                continue;
            }
            match kind {
                kind if kind.is_dir() => folders.push(below),
                kind if kind.is_symlink() => entries.push(named(&name.join(below), Kind::Link, 0)),
                kind if kind.is_file() => {
                    let size = entry.metadata().map_or(0, |file| file.len());
                    entries.push(named(&name.join(below), Kind::File, size));
                }
                // Sockets and the like cannot be in a commit.
                _ => {}
            }
        }
    }
    Ok(entries)
}

fn named(path: &Path, kind: Kind, size: u64) -> (BString, Kind, u64) {
    (path.as_os_str().as_bytes().into(), kind, size)
}

impl Snapshot for Folder<'_> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let (path, kind, size) = &self.entries[at];
        Entry { path: path.as_bstr(), kind: *kind, size: *size, content: None }
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
        let (path, kind, _) = &self.entries[at];
        let path = self.place(path.as_bstr());
        let bytes: io::Result<Vec<u8>> = match kind {
            Kind::File => fs::read(&path),
            Kind::Link => fs::read_link(&path).map(|target| target.into_os_string().into_vec()),
            Kind::Submodule => Ok(Vec::new()),
        };
        bytes.map_err(|err| unreadable(&path, &err))
    }

    fn stream(&self, at: usize, to: &mut dyn Write) -> Result<(), Unreadable> {
        let path = self.place(self.entries[at].0.as_bstr());
        let copied = fs::File::open(&path).and_then(|mut file| io::copy(&mut file, &mut { to }));
        copied.map(|_| ()).map_err(|err| unreadable(&path, &err))
    }

    fn stopped(&self) -> Result<(), Unreadable> {
        self.interrupt.map_or(Ok(()), Unreadable::if_set)
    }

    fn folder(&self) -> &BStr {
        self.folder.as_bstr()
    }
}

fn unreadable(path: &Path, err: &io::Error) -> Unreadable {
    Unreadable(format!("cannot read `{}`: {err}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(folder: &Folder<'_>) -> Vec<(String, Kind)> {
        let entries = (0..folder.len()).map(|at| folder.entry(at));
        entries.map(|entry| (entry.path.to_string(), entry.kind)).collect()
    }

    fn world() -> tempfile::TempDir {
        let world = tempfile::tempdir().unwrap();
        fs::create_dir_all(world.path().join("a/.git")).unwrap();
        fs::write(world.path().join("a/b.py"), "b\n").unwrap();
        fs::write(world.path().join("a/.git/config"), "").unwrap();
        fs::write(world.path().join("a-b"), "").unwrap();
        symlink("b.py", world.path().join("a/link")).unwrap();
        world
    }

    #[test]
    fn a_folder_has_its_files_and_links_in_order_and_nothing_of_git() {
        let world = world();
        let folder = Folder::whole(world.path(), "".into()).unwrap();
        let expected = [
            ("a-b".to_owned(), Kind::File),
            ("a/b.py".to_owned(), Kind::File),
            ("a/link".to_owned(), Kind::Link),
        ];
        assert_eq!(paths(&folder), expected);
        let bytes: Vec<_> = (0..folder.len()).map(|at| folder.read(at).unwrap()).collect();
        assert_eq!(bytes, [b"".to_vec(), b"b\n".to_vec(), b"b.py".to_vec()]);
    }

    #[test]
    fn a_folder_alone_has_the_names_that_it_has_in_its_repository() {
        let world = world();
        let folder = Folder::alone(&world.path().join("a"), "repo/dags".into()).unwrap();
        let expected = [("repo/dags/b.py".to_owned(), Kind::File), ("repo/dags/link".to_owned(), Kind::Link)];
        assert_eq!(paths(&folder), expected);
        assert_eq!((folder.read(0).unwrap(), folder.inside()), (b"b\n".to_vec(), 0..2));
    }

    #[test]
    fn tracked_files_that_are_gone_are_gone() {
        let world = world();
        let paths_of =
            ["a/gone.py", "a/b.py", "a/b.py", "else/gone.py"].map(|path| (path.into(), Kind::File));
        let folder = Folder::tracked(world.path(), "a".into(), paths_of.into_iter());
        let expected = [("a/b.py".to_owned(), Kind::File), ("else/gone.py".to_owned(), Kind::File)];
        assert_eq!(paths(&folder), expected);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_it() {
        let error = Folder::whole(Path::new("/nonexistent/dags"), "".into()).err().expect("an error");
        assert!(format!("{error:#}").contains("/nonexistent/dags"), "{error:#}");
    }
}
