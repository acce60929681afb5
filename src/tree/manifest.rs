//! The manifest of a tree: a linked worktree's metadata, with git's own index written last.
//!
//! `<tree>/.git` is a file that names `<store>/worktrees/<name>`; that folder holds `HEAD`, `commondir`, `gitdir` and
//! `index`. So `git status`, `git log` and GitPython work inside a published tree, wherever the volume is mounted: the
//! paths that readers need are relative. A tree whose index is missing does not exist.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::index::entry::{Flags, Mode, Stat};
use gix::oid;

use super::{Kind, Listing};

/// The metadata folder of a tree, by the name in the tree's `.git` file; `None` if there is none.
///
/// Only the name counts, not the path before it: a git-sync that saw the volume elsewhere wrote an absolute one.
pub fn admin_of(tree: &Path, store: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(tree.join(".git")).ok()?;
    let gitdir = Path::new(text.strip_prefix("gitdir:")?.trim());
    let admin = store.join("worktrees").join(gitdir.file_name()?);
    admin.is_dir().then_some(admin)
}

/// Whether the tree is whole: its index exists, and it was made for `commit`.
pub fn is_complete(tree: &Path, store: &Path, commit: &oid) -> bool {
    let Some(admin) = admin_of(tree, store) else { return false };
    let head = fs::read_to_string(admin.join("HEAD")).unwrap_or_default();
    let head = gix::ObjectId::from_hex(head.trim().as_bytes());
    head.is_ok_and(|head| head == commit) && admin.join("index").is_file()
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
    crate::git::store::make_dirs(&admin, group_write)?;
    fs::write(admin.join("HEAD"), format!("{hex}\n"))?;
    fs::write(admin.join("commondir"), "../..\n")?;
    // For `git worktree list` and `prune`, which old gits can only follow by an absolute path.
    fs::write(admin.join("gitdir"), format!("{}\n", place.join(".git").display()))?;
    let gitdir = relative(place, &admin);
    fs::write(new.join(".git"), format!("gitdir: {}\n", gitdir.display()))?;
    Ok(admin)
}

/// Writes the index. `stats` are in the order of the listing.
pub fn write_index(admin: &Path, hash: gix::hash::Kind, listing: &Listing, stats: &[Stat]) -> io::Result<()> {
    let mut state = gix::index::State::new(hash);
    for (entry, stat) in listing.entries().iter().zip(stats) {
        let mode = match entry.kind {
            Kind::File => Mode::FILE,
            Kind::Executable => Mode::FILE_EXECUTABLE,
            Kind::Symlink => Mode::SYMLINK,
            Kind::Submodule => Mode::COMMIT,
        };
        state.dangerously_push_entry(*stat, entry.id, Flags::empty(), mode, entry.path.as_ref());
    }
    state.sort_entries();
    let mut index = gix::index::File::from_state(state, admin.join("index"));
    index
        .write(gix::index::write::Options::default())
        .map_err(|err| io::Error::other(err.probable_cause().to_string()))
}

/// How many entries the index has: the third word of its header.
pub fn count(tree: &Path, store: &Path) -> Option<u64> {
    use std::io::Read as _;
    let mut header = [0; 12];
    fs::File::open(admin_of(tree, store)?.join("index")).ok()?.read_exact(&mut header).ok()?;
    Some(u32::from_be_bytes(header[8..].try_into().ok()?).into())
}

fn relative(from: &Path, to: &Path) -> PathBuf {
    crate::publish::layout::relative(from, to)
}
