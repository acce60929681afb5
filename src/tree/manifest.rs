//! The manifest of a tree: a linked worktree's metadata, with git's own index written last.
//!
//! `<tree>/.git` is a file that names `<store>/worktrees/<name>`; that folder holds `HEAD`, `commondir`, `gitdir` and
//! `index`. So `git status`, `git log` and GitPython work inside a published tree, wherever the volume is mounted: the
//! paths that readers need are relative. A tree whose index is missing does not exist.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use gix::index::entry::{Flags, Mode, Stat};
use gix::{ObjectId, oid};

use super::index::{self, Index};
use super::{Kind, Listing};
use crate::disk::{self, Below, Point, create_ours, write_ours};
use crate::git::cause::of_the_disk;
use crate::path::relative;

/// The metadata folder of a tree, by the name in the tree's `.git` file; `None` if there is none, or none that we can see.
///
/// Only the name counts, not the path before it: a git-sync that saw the volume elsewhere wrote an absolute one.
pub fn admin_of(tree: &Path, store: &Path) -> Option<PathBuf> {
    metadata_of(tree, store).ok().flatten()
}

/// The same for whoever removes what no tree names: a disk that does not answer is not a tree without metadata.
pub fn metadata_of(tree: &Path, store: &Path) -> io::Result<Option<PathBuf>> {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound};
    let text = match disk::read_small(&tree.join(".git")) {
        // A folder, and what is no such text, name nothing.
        Err(err) if matches!(err.kind(), NotFound | NotADirectory | IsADirectory | InvalidData) => {
            return Ok(None);
        }
        other => other?,
    };
    let named = text.strip_prefix("gitdir:").and_then(|gitdir| Path::new(gitdir.trim()).file_name());
    let Some(name) = named else { return Ok(None) };
    let admin = store.join("worktrees").join(name);
    match fs::metadata(&admin) {
        Ok(meta) => Ok(meta.is_dir().then_some(admin)),
        Err(err) if matches!(err.kind(), NotFound | NotADirectory) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Why a manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// The tree names no metadata, or such as is not there.
    NoMetadata,
    /// There is no index, or it is none of ours or git's: why.
    Index(String),
    /// The disk does not say, now: why. That is no damage of the tree.
    Disk(String),
}

/// The manifest of a tree whose store has ids of this kind, with all that git may have noted in it. Its own checksum is not
/// looked at.
pub fn read(tree: &Path, store: &Path, hash: gix::hash::Kind) -> Result<gix::index::File, Unreadable> {
    let options = gix::index::decode::Options::default();
    gix::index::File::at(index_of(tree, store)?, hash, false, options).map_err(unreadable)
}

/// The same for whoever holds it while a tree is built: in less memory, without git's notes. A damaged one, or one of another
/// hash, is as good as none: the tree is then built from nothing.
pub fn read_to_hold(tree: &Path, store: &Path, hash: gix::hash::Kind) -> Option<Index> {
    Index::read(&index_of(tree, store).ok()?, hash)
}

fn index_of(tree: &Path, store: &Path) -> Result<PathBuf, Unreadable> {
    let admin = metadata_of(tree, store).map_err(|err| Unreadable::Disk(err.to_string()))?;
    admin.map(|admin| admin.join("index")).ok_or(Unreadable::NoMetadata)
}

fn unreadable(err: gix::Error) -> Unreadable {
    match of_the_disk(&err) {
        Some(err) => Unreadable::Disk(err.to_string()),
        None => Unreadable::Index(err.probable_cause().to_string()),
    }
}

/// The commit that the tree's metadata names.
pub fn commit_of(tree: &Path, store: &Path) -> Option<ObjectId> {
    head_of(&admin_of(tree, store)?)
}

fn head_of(admin: &Path) -> Option<ObjectId> {
    let head = disk::read_small(&admin.join("HEAD")).ok()?;
    ObjectId::from_hex(head.trim().as_bytes()).ok()
}

/// Whether the tree is whole: its index exists, and it was made for `commit`.
pub fn is_complete(tree: &Path, store: &Path, commit: &oid) -> bool {
    let Some(admin) = admin_of(tree, store) else { return false };
    head_of(&admin).is_some_and(|head| head == commit) && header(&admin).is_some()
}

/// What is wrong with a tree that claims to be whole, found by looking at its index and at every entry's kind and size; `Ok(None)`
/// if nothing is, and an error in words if the disk does not say: that is no damage. For the start, after which nobody but us writes: a machine that lost power, or a full disk, leaves empty files
/// under names that are right.
pub fn damage(tree: &Path, store: &Path, hash: gix::hash::Kind) -> Result<Option<String>, String> {
    let read = read(tree, store, hash).and_then(|index| {
        index.verify_integrity().map_err(unreadable)?;
        Ok(index)
    });
    let index = match read {
        Ok(index) => index,
        Err(Unreadable::NoMetadata) => return Ok(Some("its metadata is gone".into())),
        Err(Unreadable::Index(reason)) => return Ok(Some(format!("its index is damaged: {reason}"))),
        Err(Unreadable::Disk(reason)) => return Err(reason),
    };
    let damage = index.entries().iter().find_map(|entry| {
        // Submodules are folders with a life of their own, and what is outside a sparse checkout is not there.
        if entry.mode == Mode::COMMIT || entry.mode == Mode::DIR || entry.flags.contains(Flags::SKIP_WORKTREE)
        {
            return None;
        }
        let path = entry.path(&index);
        let file = super::write::join(tree, path);
        let what = match fs::symlink_metadata(&file) {
            Err(err) => err.to_string(),
            Ok(meta) if meta.is_symlink() != (entry.mode == Mode::SYMLINK) || meta.is_dir() => {
                "not what it was".to_owned()
            }
            // git writes a size of 0 where it wants to look at the content again.
            Ok(meta) if entry.stat.size != 0 && meta.len() as u32 != entry.stat.size => {
                format!("{} bytes instead of {}", meta.len(), entry.stat.size)
            }
            Ok(_) => return None,
        };
        Some(format!("`{path}`: {what}"))
    });
    Ok(damage)
}

/// Makes a damaged tree one that does not exist: it is built again, beside it, and readers keep it until then.
pub fn disown(tree: &Path, store: &Path) -> io::Result<()> {
    let Some(admin) = metadata_of(tree, store)? else { return Ok(()) };
    match disk::remove_file(Point::TreeIndexDisown, &admin.join("index")) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the metadata of a tree that is being built at `new` and will be at `place`, without its index. Returns the
/// metadata folder.
///
/// A crash leaves a folder that no tree names; the sweep of the next start removes it.
pub fn prepare(
    store: &Path,
    new: &Path,
    place: &Path,
    commit: &oid,
    group_write: bool,
) -> io::Result<PathBuf> {
    let hex = commit.to_string();
    let name = std::iter::once(hex.clone())
        .chain((1..).map(|n| format!("{hex}-{n}")))
        .find(|name| fs::symlink_metadata(store.join("worktrees").join(name)).is_err())
        .expect("there is always another number");
    let admin = store.join("worktrees").join(name);
    disk::make_dirs(Point::TreeAdminMake, &admin, group_write)?;
    write_ours(Point::TreeAdminHead, &admin.join("HEAD"), format!("{hex}\n"), group_write)?;
    write_ours(Point::TreeAdminCommondir, &admin.join("commondir"), "../..\n", group_write)?;
    // For `git worktree list` and `prune`, which old gits can only follow by an absolute path.
    let back = format!("{}\n", place.join(".git").display());
    write_ours(Point::TreeAdminGitdir, &admin.join("gitdir"), back, group_write)?;
    let gitdir = relative(place, &admin);
    // In a spare it may be anything by now, also a link to a file of somebody.
    let (mut tree, name) = (Below::open(new)?, Path::new(".git"));
    match tree.remove_file(Point::TreeGitfileRemove, name) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let file = tree.create(Point::TreeGitfileWrite, name, 0o644)?;
    file.open_for_group(Point::TreeGitfileWrite, group_write)?;
    file.write_all(Point::TreeGitfileWrite, format!("gitdir: {}\n", gitdir.display()).as_bytes())?;
    Ok(admin)
}

fn mode_of(kind: Kind) -> Mode {
    match kind {
        Kind::File => Mode::FILE,
        Kind::Executable => Mode::FILE_EXECUTABLE,
        Kind::Symlink => Mode::SYMLINK,
        Kind::Submodule => Mode::COMMIT,
    }
}

/// Writes the index of the tree that a spare became, and returns its checksum: the spare's, with what was worked on. `done` has
/// what the kernel says of entries of the listing, by their places in it.
///
/// It goes to disk entry by entry. What a git program noted in a spare's (`add -N`, `update-index`, an unfinished merge) was about
/// another commit, and is left out.
pub fn write_index(
    admin: &Path,
    spare: Option<&Index>,
    hash: gix::hash::Kind,
    listing: &Listing,
    mut done: Vec<(usize, Stat)>,
    group_write: bool,
) -> io::Result<ObjectId> {
    done.sort_unstable_by_key(|(at, _)| *at);
    let mut done = done.into_iter().peekable();
    let mut olds = spare.into_iter().flat_map(Index::entries).peekable();
    let temp = admin.join("index.lock");
    let file = create_ours(Point::TreeIndexCreate, &temp, group_write)?;
    let mut index = index::Writer::new(file.at(Point::TreeIndexWrite), listing.len(), hash)?;
    for (at, entry) in listing.entries().enumerate() {
        while olds.next_if(|old| old.path < entry.path).is_some() {}
        let old = olds.next_if(|old| old.path == entry.path);
        let stat = match done.next_if(|(done, _)| *done == at) {
            Some((_, stat)) => stat,
            // A submodule is a folder: nothing is known of it, whatever was at its path before.
            None if entry.kind == Kind::Submodule => Stat::default(),
            None => old.map(|old| old.stat()).unwrap_or_default(),
        };
        index.put(entry.path, &entry.id, mode_of(entry.kind), &stat)?;
    }
    let (_, checksum) = index.finish()?;
    disk::rename(Point::TreeIndexRename, &temp, &admin.join("index"))?;
    Ok(checksum)
}

/// How many entries the index has.
pub fn count(tree: &Path, store: &Path) -> Option<u64> {
    header(&admin_of(tree, store)?)
}

/// The number of entries by the index's header; `None` without an index, or if what is there is none.
fn header(admin: &Path) -> Option<u64> {
    let mut header = [0; 12];
    fs::File::open(admin.join("index")).ok()?.read_exact(&mut header).ok()?;
    let (magic, rest) = header.split_at(4);
    let (version, count) = rest.split_at(4);
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    (magic == b"DIRC" && (2..=4).contains(&number(version))).then(|| number(count).into())
}
