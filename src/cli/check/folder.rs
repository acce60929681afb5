//! A folder on this machine as a snapshot.
//!
//! In a work tree these are the files that git tracks, as they are on disk: an editor's leavings and a `.venv` are not what will be
//! published. Elsewhere it is every file, but nothing of git's own.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::check::Snapshot;
use crate::check::snapshot::{Entry, Kind};

/// The files of a folder.
pub(super) struct Folder {
    top: PathBuf,
    entries: Vec<Entry>,
}

impl Folder {
    /// Every file and link below `top`.
    pub(super) fn whole(top: &Path) -> anyhow::Result<Folder> {
        let mut entries = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = top.join(&folder);
            let listing = fs::read_dir(&path).with_context(|| format!("cannot list `{}`", path.display()))?;
            for entry in listing {
                let entry = entry.with_context(|| format!("cannot list `{}`", path.display()))?;
                let name = folder.join(entry.file_name());
                let kind =
                    entry.file_type().with_context(|| format!("cannot look at `{}`", name.display()))?;
                if entry.file_name() == ".git" {
                    continue;
                }
                match kind {
                    kind if kind.is_dir() => folders.push(name),
                    kind if kind.is_symlink() => entries.push(named(&name, Kind::Link)),
                    kind if kind.is_file() => entries.push(named(&name, Kind::File)),
                    // Sockets and the like cannot be in a commit.
                    _ => {}
                }
            }
        }
        Ok(Folder::of(top, entries))
    }

    /// Of these paths below `top` those that are there.
    pub(super) fn tracked(top: &Path, paths: impl Iterator<Item = PathBuf>) -> Folder {
        let entry = |path: PathBuf| {
            let kind = fs::symlink_metadata(top.join(&path)).ok()?.file_type();
            match kind {
                kind if kind.is_symlink() => Some(named(&path, Kind::Link)),
                kind if kind.is_file() => Some(named(&path, Kind::File)),
                kind if kind.is_dir() => Some(named(&path, Kind::Submodule)),
                _ => None,
            }
        };
        Folder::of(top, paths.filter_map(entry).collect())
    }

    fn of(top: &Path, mut entries: Vec<Entry>) -> Folder {
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        // A conflict is in the index once for each side.
        entries.dedup_by(|one, other| one.path == other.path);
        Folder { top: top.to_owned(), entries }
    }
}

fn named(path: &Path, kind: Kind) -> Entry {
    Entry { path: path.as_os_str().as_bytes().into(), kind, content: None }
}

impl Snapshot for Folder {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let path = self.top.join(OsStr::from_bytes(&entry.path));
        let bytes: io::Result<Vec<u8>> = match entry.kind {
            Kind::File => fs::read(&path),
            Kind::Link => fs::read_link(&path).map(|target| target.into_os_string().into_vec()),
            Kind::Submodule => Ok(Vec::new()),
        };
        bytes.map_err(|err| format!("cannot read `{}`: {err}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(folder: &Folder) -> Vec<(String, Kind)> {
        folder.entries().iter().map(|entry| (entry.path.to_string(), entry.kind)).collect()
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
        let folder = Folder::whole(world.path()).unwrap();
        let expected = [
            ("a-b".to_owned(), Kind::File),
            ("a/b.py".to_owned(), Kind::File),
            ("a/link".to_owned(), Kind::Link),
        ];
        assert_eq!(paths(&folder), expected);
        let bytes: Vec<_> = folder.entries().iter().map(|entry| folder.read(entry).unwrap()).collect();
        assert_eq!(bytes, [b"".to_vec(), b"b\n".to_vec(), b"b.py".to_vec()]);
    }

    #[test]
    fn tracked_files_that_are_gone_are_gone() {
        let world = world();
        let paths_of = ["a/gone.py", "a/b.py", "a/b.py"].map(PathBuf::from);
        let folder = Folder::tracked(world.path(), paths_of.into_iter());
        assert_eq!(paths(&folder), [("a/b.py".to_owned(), Kind::File)]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_it() {
        let error = Folder::whole(Path::new("/nonexistent/dags")).err().expect("an error");
        assert!(format!("{error:#}").contains("/nonexistent/dags"), "{error:#}");
    }
}
