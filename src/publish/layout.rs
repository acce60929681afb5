//! The names below a root.
//!
//! One source in a root: `.git` (objects), `.worktrees/<commit>` (trees), `.dagsync/` (lock, state): what git-sync's users know.
//! Several sources in one root each have their own objects and trees, `.dagsync/<name>/git` and `.worktrees/<name>/<commit>`, so that
//! none waits for another. A tree built again for the same commit goes to `.worktrees/again-<n>/<commit>`, because the
//! first one is still being read; the last component is the commit in every case.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use gix::{ObjectId, oid};

use super::error::Error;
use crate::disk::{self, Point};

/// Folders of trees that were built again begin with this.
const AGAIN: &str = "again-";
/// Trees that are being built begin with this; nobody reads them.
const NEW: &str = ".new-";
/// A tree that is kept for the next build begins with this, in our own folder.
const SPARE: &str = "spare-";
/// Trees on their way out begin with this; nobody finds them any more.
const GONE: &str = ".gone-";

/// Where the things of one source are. All paths are absolute and physical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The root.
    pub root: PathBuf,
    /// The object store.
    pub store: PathBuf,
    /// The folder of trees.
    pub trees: PathBuf,
    /// Our own state.
    pub state: PathBuf,
    /// The link that readers use.
    pub link: PathBuf,
    /// What we make is writable by the group.
    pub group_write: bool,
}

/// What is in the link's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtLink {
    /// Nothing.
    Nothing,
    /// A link to a tree: of ours, of an earlier git-sync, or of one that is gone.
    Tree {
        /// The folder it leads to, whether that exists or not.
        path: PathBuf,
        /// The commit by the folder's name.
        commit: ObjectId,
    },
    /// Something else, in words.
    Foreign(String),
}

impl Layout {
    /// The layout of the only source in a root.
    pub fn sole(root: &Path, link: &Path) -> Self {
        Layout {
            root: root.to_owned(),
            store: root.join(".git"),
            trees: root.join(".worktrees"),
            state: root.join(".dagsync"),
            link: link.to_owned(),
            group_write: false,
        }
    }

    /// The layout of one of several sources in a root.
    pub fn shared(root: &Path, link: &Path, name: &str) -> Self {
        let state = root.join(".dagsync").join(name);
        Layout {
            root: root.to_owned(),
            store: state.join("git"),
            trees: root.join(".worktrees").join(name),
            state,
            link: link.to_owned(),
            group_write: false,
        }
    }

    /// Makes the folders, and resolves symlinks on the way to the root and the link, so that a relative target means the
    /// same to the kernel as to us.
    pub fn create(&mut self, group_write: bool) -> Result<(), Error> {
        let make = |path: &Path| {
            disk::make_dirs(Point::RootFolderMake, path, group_write)
                .map_err(Error::io("make the folder", path))
        };
        let physical = |path: &Path| fs::canonicalize(path).map_err(Error::io("resolve", path));
        self.group_write = group_write;
        make(&self.root)?;
        let root = physical(&self.root)?;
        for path in [&mut self.store, &mut self.trees, &mut self.state] {
            *path = root.join(path.strip_prefix(&self.root).expect("built from the root"));
        }
        let name = self.link.file_name().expect("checked with the options").to_owned();
        let folder = self.link.parent().expect("checked with the options").to_owned();
        make(&folder)?;
        self.link = physical(&folder)?.join(name);
        self.root = root;
        make(&self.trees)?;
        make(&self.state)
    }

    /// The same paths physically, as far as they are there. For those who only look.
    #[must_use]
    pub fn found(self) -> Layout {
        let physical = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let root = physical(&self.root);
        let moved = |path: &Path| root.join(path.strip_prefix(&self.root).expect("built from the root"));
        let link = match (self.link.parent(), self.link.file_name()) {
            (Some(folder), Some(name)) => physical(folder).join(name),
            _ => self.link.clone(),
        };
        let (store, trees, state) = (moved(&self.store), moved(&self.trees), moved(&self.state));
        Layout { root, store, trees, state, link, ..self }
    }

    /// Whether the folders that [`Layout::create`] made are still there.
    pub fn is_there(&self) -> bool {
        self.root.join(".dagsync").is_dir() && self.trees.is_dir() && self.state.is_dir()
    }

    /// What is in the link's place.
    pub fn at_link(&self) -> Result<AtLink, Error> {
        let meta = match fs::symlink_metadata(&self.link) {
            Ok(meta) => meta,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(AtLink::Nothing),
            Err(err) => return Err(Error::io("look at", &self.link)(err)),
        };
        if !meta.is_symlink() {
            let what = if meta.is_dir() { "a folder" } else { "a file" };
            return Ok(AtLink::Foreign(what.into()));
        }
        let target = fs::read_link(&self.link).map_err(Error::io("read the link", &self.link))?;
        let folder = self.link.parent().expect("a link is in a folder");
        let path = physical(&folder.join(&target));
        match commit_of(&path) {
            Some(commit) => Ok(AtLink::Tree { path, commit }),
            None => Ok(AtLink::Foreign(format!("a link to `{}`", target.display()))),
        }
    }

    /// A fresh private path to build a tree at; beside the final one, so that relative paths inside stay true.
    pub fn new_tree(&self) -> PathBuf {
        self.trees.join(format!("{NEW}{}", unique()))
    }

    /// A fresh private path for a tree on its way out.
    pub fn gone(&self) -> PathBuf {
        self.trees.join(format!("{GONE}{}", unique()))
    }

    /// Where a tree is kept for the next build, out of the readers' sight. The name tells the settings it was built with: no memory of
    /// them can be lost, or be about another tree.
    pub fn spare_of(&self, settings: &str) -> PathBuf {
        // Not the standard library's hash, which another version of it may change.
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(settings.as_bytes());
        let hash = hasher.try_finalize().expect("no settings are made to collide");
        self.state.join(format!("{SPARE}{hash}"))
    }

    /// Every tree that is kept for a next build. An error: nobody can say.
    pub fn spares(&self) -> Result<Vec<PathBuf>, Error> {
        let mut spares = children(&self.state)?;
        spares.retain(|path| has_prefix(path, SPARE));
        Ok(spares)
    }

    /// The first free place for a tree of `commit`; `leaving` is free by the time it is needed.
    pub fn place_for(&self, commit: &oid, leaving: Option<&Path>) -> PathBuf {
        let hex = commit.to_string();
        let again = (1..).map(|n| self.trees.join(format!("{AGAIN}{n}")).join(&hex));
        std::iter::once(self.trees.join(&hex))
            .chain(again)
            .find(|path| leaving == Some(path) || fs::symlink_metadata(path).is_err())
            .expect("there is always another number")
    }

    /// Every folder that is named like a tree of ours, also those of git-sync 3 directly below the root.
    ///
    /// An error, not a shorter list, where the disk does not answer: what is missing in the list loses its metadata.
    pub fn trees(&self) -> Result<Vec<(PathBuf, ObjectId)>, Error> {
        let mut found = Vec::new();
        let mut collect = |dir: &Path| {
            for path in children(dir)? {
                if let Some(commit) = commit_of(&path)
                    && is_folder(&path)?
                {
                    found.push((path, commit));
                }
            }
            Ok::<_, Error>(())
        };
        collect(&self.trees)?;
        for path in children(&self.trees)? {
            if has_prefix(&path, AGAIN) && is_folder(&path)? {
                collect(&path)?;
            }
        }
        // git-sync 3 kept its trees beside the link; only a linked worktree has a `.git` that is a file.
        for path in children(&self.root)? {
            if let Some(commit) = commit_of(&path)
                && kind_of(&path.join(".git"), |path| fs::metadata(path))?.is_some_and(|kind| kind.is_file())
            {
                found.push((path, commit));
            }
        }
        Ok(found)
    }

    /// What lies among the trees and is none: leftovers of a crash, things of others, dangling links.
    ///
    /// Never what the link leads to, wherever a former layout put that, nor the trees of a source that shares the root, or
    /// did until it was taken out of the configuration: what it published stays. An error: nobody can say.
    pub fn strays(&self) -> Result<Vec<PathBuf>, Error> {
        let live = match self.at_link()? {
            AtLink::Tree { path, .. } => Some(path),
            _ => None,
        };
        let mut strays = children(&self.trees)?;
        let mut kept = Vec::new();
        for path in &strays {
            if self.is_of_trees(path, live.as_deref())? {
                kept.push(path.clone());
            }
        }
        strays.retain(|path| !kept.contains(path));
        Ok(strays)
    }

    /// Whether an entry of the folder of trees is a tree, holds some, or is somebody's whom we serve.
    fn is_of_trees(&self, path: &Path, live: Option<&Path>) -> Result<bool, Error> {
        let leads_to_folder = || -> Result<bool, Error> {
            Ok(kind_of(path, |path| fs::metadata(path))?.is_some_and(|kind| kind.is_dir()))
        };
        if commit_of(path).is_some() && is_folder(path)? {
            return Ok(true);
        }
        if live.is_some_and(|live| live.starts_with(path)) && leads_to_folder()? {
            return Ok(true);
        }
        let state = self.state.join(path.file_name().expect("a folder's entry")).join("state.json");
        if kind_of(&state, |path| fs::metadata(path))?.is_some_and(|kind| kind.is_file())
            && leads_to_folder()?
        {
            return Ok(true);
        }
        if has_prefix(path, AGAIN) && is_folder(path)? {
            for child in children(path)? {
                if commit_of(&child).is_some() && is_folder(&child)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The path of a tree by the folder that it is really in, as [`Layout::trees`] has it: whoever made the link may have seen the
/// root under another name. The tree itself need not exist.
fn physical(path: &Path) -> PathBuf {
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => normal(path),
    }
}

/// `/a/./b/../c` → `/a/c`, by text: for paths whose folders are physical already.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// The commit in a tree's name: `<hex>`, or `rev-<hex>` as old git-syncs had it.
fn commit_of(path: &Path) -> Option<ObjectId> {
    let name = path.file_name()?.to_str()?;
    let hex = name.strip_prefix("rev-").unwrap_or(name);
    if !matches!(hex.len(), 40 | 64) || hex.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    ObjectId::from_hex(hex.as_bytes()).ok()
}

/// What is in a folder; nothing if there is none.
pub(super) fn children(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    match entries {
        Err(err) if is_absent(&err) => Ok(Vec::new()),
        other => other.map_err(Error::io("list", dir)),
    }
}

/// A folder, and no link to one.
fn is_folder(path: &Path) -> Result<bool, Error> {
    Ok(kind_of(path, |path| fs::symlink_metadata(path))?.is_some_and(|kind| kind.is_dir()))
}

/// What is at a path by `look`; `None` if nothing is.
fn kind_of(path: &Path, look: fn(&Path) -> io::Result<fs::Metadata>) -> Result<Option<fs::FileType>, Error> {
    match look(path) {
        Err(err) if is_absent(&err) => Ok(None),
        other => Ok(Some(other.map_err(Error::io("look at", path))?.file_type())),
    }
}

/// The two answers of a disk that mean that nothing is there; every other error means that it does not say.
fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn has_prefix(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// A name that nobody else has: the lock makes us the only writer, the process id tells a crash's leftovers apart.
pub(super) fn unique() -> String {
    format!("{}-{:08x}", std::process::id(), fastrand::u32(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";

    fn world() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let mut layout = Layout::sole(&root, &root.join("link"));
        layout.create(false).unwrap();
        (dir, layout)
    }

    #[test]
    fn the_link_is_told_apart_from_what_is_not_ours() {
        let (_dir, layout) = world();
        assert_eq!(layout.at_link().unwrap(), AtLink::Nothing);
        for (target, ours) in [
            (format!(".worktrees/{HEX}"), true),
            (format!("rev-{HEX}"), true),
            (HEX.to_owned(), true),
            ("/etc".to_owned(), false),
            (".worktrees/main".to_owned(), false),
        ] {
            std::os::unix::fs::symlink(&target, &layout.link).unwrap();
            let at = layout.at_link().unwrap();
            assert_eq!(matches!(at, AtLink::Tree { .. }), ours, "{target}: {at:?}");
            fs::remove_file(&layout.link).unwrap();
        }
        fs::create_dir(&layout.link).unwrap();
        assert_eq!(layout.at_link().unwrap(), AtLink::Foreign("a folder".into()));
    }

    #[test]
    fn symlinks_on_the_way_are_resolved_so_that_relative_targets_hold() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("real/deep")).unwrap();
        std::os::unix::fs::symlink("real/deep", dir.path().join("alias")).unwrap();
        let root = dir.path().join("root");
        let mut layout = Layout::sole(&root, &dir.path().join("alias/link"));
        layout.create(false).unwrap();
        assert!(layout.link.ends_with("real/deep/link"), "{:?}", layout.link);
        let target = crate::path::relative(layout.link.parent().unwrap(), &layout.trees);
        assert_eq!(target, Path::new("../../root/.worktrees"));
    }

    #[test]
    fn a_link_that_takes_another_way_to_a_tree_leads_to_that_tree() {
        let (dir, layout) = world();
        let tree = layout.trees.join(HEX);
        fs::create_dir(&tree).unwrap();
        let alias = dir.path().join("alias");
        std::os::unix::fs::symlink(&layout.root, &alias).unwrap();
        std::os::unix::fs::symlink(alias.join(".worktrees").join(HEX), &layout.link).unwrap();
        match layout.at_link().unwrap() {
            AtLink::Tree { path, .. } => assert_eq!(path, tree),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dangling_symlinks_in_root_are_cleaned() {
        let (_dir, layout) = world();
        std::os::unix::fs::symlink("/nonexistent", layout.trees.join("dangling")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", layout.trees.join(HEX)).unwrap();
        fs::create_dir(layout.trees.join(".new-1-0000")).unwrap();
        fs::write(layout.trees.join("file"), "").unwrap();
        assert_eq!(layout.strays().unwrap().len(), 4);
        assert!(layout.trees().unwrap().is_empty());
    }

    #[test]
    fn the_name_of_a_spare_is_the_same_in_every_version() {
        let (_dir, layout) = world();
        let spare = layout.spare_of("abc");
        assert_eq!(spare, layout.state.join("spare-a9993e364706816aba3e25717850c26c9cd0d89d"));
        fs::create_dir(&spare).unwrap();
        assert_eq!(layout.spares().unwrap(), [spare]);
    }

    #[test]
    fn a_second_tree_of_a_commit_has_its_own_place() {
        let (_dir, layout) = world();
        let commit = ObjectId::from_hex(HEX.as_bytes()).unwrap();
        let first = layout.place_for(&commit, None);
        assert_eq!(first, layout.trees.join(HEX));
        fs::create_dir(&first).unwrap();
        let second = layout.place_for(&commit, None);
        assert_eq!(second, layout.trees.join("again-1").join(HEX));
        fs::create_dir_all(&second).unwrap();
        assert_eq!(layout.trees().unwrap().len(), 2);
        assert!(layout.strays().unwrap().is_empty());
    }
}
