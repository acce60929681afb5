//! Which replaced trees stay, and how the others go.
//!
//! [`doomed`] decides, on values; [`remove`] acts. A tree first leaves the names that readers know, then its manifest goes,
//! then its files: a crash at any point leaves something that the next start knows to be garbage. Files that will not go
//! (`__pycache__` of another uid, `.nfs*`) are counted and tried again; they never fail a pass.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use super::layout::{AtLink, Layout, children};
use super::lock::RootLock;
use super::state::Retired;
use crate::disk::{self, Below, Point};
use crate::tree::manifest;

/// What to do with replaced trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long one stays; `None`: until the next build uses it up.
    pub timeout: Option<Duration>,
    /// How many stay whatever their age.
    pub keep: usize,
}

/// The trees that go now. `retired` is oldest first; `now` and its times are seconds since 1970. A tree whose time lies in
/// the future (a clock that jumped back) counts as replaced now.
fn expired(retired: &[Retired], policy: Policy, now: u64) -> Vec<&Retired> {
    let candidates = &retired[..retired.len().saturating_sub(policy.keep)];
    match policy.timeout {
        Some(timeout) => {
            candidates.iter().filter(|tree| now.saturating_sub(tree.at) >= timeout.as_secs()).collect()
        }
        None => {
            // One more than is promised, for the next build to use up.
            let promised = retired.len().saturating_sub(policy.keep + 1);
            retired[..promised].iter().collect()
        }
    }
}

/// The trees that go now, when `live` is what readers see. Another tree of the live commit is of no use for a rollback: it
/// does not count as a kept one, and goes when nobody can be reading it any more.
pub fn doomed(retired: &[Retired], live: &Path, policy: Policy, now: u64) -> Vec<PathBuf> {
    let (same, others): (Vec<Retired>, Vec<Retired>) =
        retired.iter().cloned().partition(|tree| tree.path.file_name() == live.file_name());
    let same = expired(&same, Policy { keep: 0, ..policy }, now);
    let others = expired(&others, policy, now);
    same.into_iter().chain(others).map(|tree| tree.path.clone()).collect()
}

/// The tree that the next build may use up: the oldest that nobody is promised any more. Never one that readers see, even if
/// somebody else pointed the link back to it, nor one that is not among `here`, the trees of this root: the memory may have been
/// copied with the root of another agent. What [`doomed`] does not count as kept is not counted here either.
pub fn spare<'a>(
    retired: &'a [Retired],
    here: &[PathBuf],
    live: &Path,
    policy: Policy,
    now: u64,
) -> Option<&'a Retired> {
    let ours = retired.iter().filter(|tree| tree.path != live && here.contains(&tree.path));
    let (same, others): (Vec<&Retired>, Vec<&Retired>) =
        ours.partition(|tree| tree.path.file_name() == live.file_name());
    let free = others.len().saturating_sub(policy.keep);
    let promised = policy.timeout.unwrap_or_default().as_secs();
    let over = |tree: &&Retired| now.saturating_sub(tree.at) >= promised;
    same.into_iter().chain(others.into_iter().take(free)).filter(over).min_by_key(|tree| tree.at)
}

/// What a removal did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Trees and strays that are gone.
    pub removed: usize,
    /// What is left, with the first reason each.
    pub failed: Vec<(PathBuf, String)>,
}

impl Removal {
    /// Adds what a sweep did after the removals: what it got rid of has not failed, and nothing counts twice.
    pub fn and_swept(&mut self, swept: Removal) {
        self.removed += swept.removed;
        let again = |path: &Path| swept.failed.iter().any(|(other, _)| other == path);
        self.failed.retain(|(path, _)| fs::symlink_metadata(path).is_ok() && !again(path));
        self.failed.extend(swept.failed);
    }
}

/// Takes a tree out of the readers' sight and removes it with its metadata.
///
/// Never the one that readers see: a file server may have made the swap that it said had failed.
pub fn remove(_proof: &RootLock, layout: &Layout, tree: &Path, outcome: &mut Removal) {
    match layout.at_link() {
        Ok(AtLink::Tree { path, .. }) if path == tree => return,
        Ok(_) => {}
        Err(err) => return outcome.failed.push((tree.to_owned(), err.to_string())),
    }
    // A `.git` file that names another tree's metadata (somebody wrote into the tree) must not cost that tree its own.
    let admin = match metadata(layout, tree).and_then(|admin| Ok((admin, metadata_in_use(layout)?))) {
        Ok((admin, in_use)) => {
            admin.filter(|admin| !in_use.iter().any(|(path, of)| path != tree && of == admin))
        }
        Err(err) => return outcome.failed.push((tree.to_owned(), err.to_string())),
    };
    let gone = layout.gone();
    // A folder of another file system or owner cannot be renamed: then it goes from where it is.
    let doomed =
        if disk::rename(Point::RetireTreeRename, tree, &gone).is_ok() { gone } else { tree.to_owned() };
    if let Some(admin) = admin {
        // The manifest first: without it the tree does not exist.
        let _ = disk::remove_file(Point::RetireIndexRemove, &admin.join("index"));
        if let Err(err) = remove_stubbornly(Point::RetireAdminRemove, &admin) {
            outcome.failed.push((admin, err.to_string()));
        }
    }
    match remove_stubbornly(Point::RetireTreeRemove, &doomed) {
        Ok(()) => outcome.removed += 1,
        Err(err) => outcome.failed.push((doomed, err.to_string())),
    }
    // A folder `again-<n>` that is empty now; one that is not stays.
    if let Some(parent) = tree
        .parent()
        .filter(|parent| [&layout.trees, &layout.root, &layout.state].iter().all(|own| own != parent))
    {
        let _ = disk::remove_dir(Point::RetireParentRemove, parent);
    }
}

/// Takes a tree out of the readers' sight and keeps it for the next build with these settings, instead of the one that was kept
/// before. `false` if it stays where it is.
pub fn park(proof: &RootLock, layout: &Layout, tree: &Path, settings: &str, outcome: &mut Removal) -> bool {
    // Elsewhere its `.git` would lead nowhere.
    if tree.parent() != Some(&layout.trees)
        || matches!(layout.at_link(), Ok(AtLink::Tree { path, .. }) if path == tree)
    {
        return false;
    }
    let Ok(spares) = layout.spares() else { return false };
    for before in spares {
        remove(proof, layout, &before, outcome);
    }
    disk::rename(Point::RetireTreePark, tree, &layout.spare_of(settings)).is_ok()
}

/// Removes what lies among the trees and is none, and metadata of trees that are gone. Nothing at all if the disk does not say
/// which these are: one error of a read must not cost a tree its metadata.
pub fn sweep(_proof: &RootLock, layout: &Layout) -> Removal {
    let mut outcome = Removal::default();
    let garbage = match garbage(layout) {
        Ok(garbage) => garbage,
        Err(err) => {
            outcome.failed.push((layout.trees.clone(), err.to_string()));
            return outcome;
        }
    };
    for stray in garbage.strays {
        match remove_stubbornly(Point::RetireStrayRemove, &stray) {
            Ok(()) => outcome.removed += 1,
            Err(err) => outcome.failed.push((stray, err.to_string())),
        }
    }
    for admin in garbage.metadata {
        if let Err(err) = remove_stubbornly(Point::RetireStrayRemove, &admin) {
            outcome.failed.push((admin, err.to_string()));
        }
    }
    outcome
}

/// What a sweep removes.
struct Garbage {
    strays: Vec<PathBuf>,
    metadata: Vec<PathBuf>,
}

fn garbage(layout: &Layout) -> Result<Garbage, Error> {
    let alive = metadata_in_use(layout)?;
    let mut metadata = children(&layout.store.join("worktrees"))?;
    metadata.retain(|path| !alive.iter().any(|(_, admin)| admin == path));
    Ok(Garbage { strays: layout.strays()?, metadata })
}

/// The metadata folders of all trees but this one.
pub fn metadata_of_others(layout: &Layout, tree: &Path) -> Result<Vec<PathBuf>, Error> {
    let in_use = metadata_in_use(layout)?.into_iter();
    Ok(in_use.filter(|(path, _)| path != tree).map(|(_, admin)| admin).collect())
}

/// Every tree, the one that readers see among them wherever it is, with its metadata folder.
fn metadata_in_use(layout: &Layout) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let live = match layout.at_link()? {
        AtLink::Tree { path, .. } => Some(path),
        _ => None,
    };
    let trees = layout.trees()?.into_iter().map(|(path, _)| path).chain(live).chain(layout.spares()?);
    let mut in_use = Vec::new();
    for path in trees {
        if let Some(admin) = metadata(layout, &path)? {
            in_use.push((path, admin));
        }
    }
    Ok(in_use)
}

fn metadata(layout: &Layout, tree: &Path) -> Result<Option<PathBuf>, Error> {
    manifest::metadata_of(tree, &layout.store).map_err(Error::io("read the `.git` file of", tree))
}

/// `rm -rf`, with a second try after giving ourselves the rights to folders that somebody took away.
fn remove_stubbornly(point: Point, path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.is_dir() {
        return disk::remove_file(point, path);
    }
    match disk::remove_dir_all(point, path) {
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            disk::remove_dir_all(point, path)
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes every folder below `path` that is ours readable and writable for us, never through a link. Folders of others stay as they
/// are.
fn open_up(path: &Path) {
    let Ok(mut tree) = Below::open(path) else { return };
    let mut queue = vec![PathBuf::new()];
    while let Some(dir) = queue.pop() {
        let _ = tree.set_folder_mode(Point::RetireRightsGive, &dir, 0o700);
        queue.extend(tree.folders_in(&dir).into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn retired(times: &[u64]) -> Vec<Retired> {
        times.iter().map(|at| Retired::unknown(format!("/{at}").into(), *at)).collect()
    }

    fn times(policy: Policy, all: &[u64], now: u64) -> Vec<u64> {
        expired(&retired(all), policy, now).iter().map(|tree| tree.at).collect()
    }

    #[test]
    fn without_a_timeout_the_last_replaced_tree_stays() {
        assert_eq!(times(Policy { timeout: None, keep: 0 }, &[1, 2, 3], 1_000_000), [1, 2]);
        assert_eq!(times(Policy { timeout: None, keep: 2 }, &[1, 2, 3], 1_000_000), [0u64; 0]);
        assert_eq!(times(Policy { timeout: None, keep: 1 }, &[1, 2, 3], 1_000_000), [1]);
    }

    #[test]
    fn with_a_timeout_of_zero_all_go_at_once_as_in_git_sync() {
        assert_eq!(times(Policy { timeout: Some(Duration::ZERO), keep: 0 }, &[1, 2, 3], 3), [1, 2, 3]);
    }

    #[test]
    fn retention_never_removes_what_is_young_or_kept() {
        let policy = Policy { timeout: Some(Duration::from_secs(10)), keep: 1 };
        assert_eq!(times(policy, &[1, 5, 9], 15), [1, 5]);
        assert_eq!(times(policy, &[1, 5, 9], 14), [1]);
        assert_eq!(times(policy, &[100], 50), [0u64; 0], "a clock that jumped back removes nothing");
    }

    fn spared(retired: &[Retired], live: &str, keep: usize) -> Option<u64> {
        let here: Vec<PathBuf> = retired.iter().map(|tree| tree.path.clone()).collect();
        let policy = Policy { timeout: None, keep };
        spare(retired, &here, Path::new(live), policy, 1_000).map(|tree| tree.at)
    }

    #[test]
    fn the_spare_is_never_what_readers_see_nor_what_is_kept_nor_of_another_root() {
        let all = retired(&[1, 2, 3]);
        assert_eq!(spared(&all, "/live", 0), Some(1));
        assert_eq!(spared(&all, "/1", 0), Some(2), "somebody pointed the link back");
        assert_eq!(spared(&all, "/live", 2), Some(1));
        assert_eq!(spared(&all, "/live", 3), None);
        let policy = Policy { timeout: None, keep: 0 };
        assert_eq!(spare(&all, &["/2".into()], Path::new("/live"), policy, 9).map(|tree| tree.at), Some(2));
        assert_eq!(spare(&all, &[], Path::new("/live"), policy, 9), None, "a copied root");
        let policy = Policy { timeout: Some(Duration::from_secs(8)), keep: 0 };
        assert_eq!(spare(&all, &["/2".into(), "/3".into()], Path::new("/live"), policy, 9), None, "leased");
    }

    #[test]
    fn another_tree_of_the_live_commit_is_used_up_before_the_kept_one() {
        let mut all = retired(&[1, 2]);
        all[1].path = "/again-1/live".into();
        assert_eq!(spared(&all, "/live", 1), Some(2));
    }

    #[test]
    fn a_failed_removal_counts_once_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let here = |name: &str| {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            (dir.path().join(name), "busy".to_owned())
        };
        let gone = (dir.path().join("gone"), "busy".to_owned());
        let mut removal = Removal { removed: 1, failed: vec![here("tree"), here(".gone-1"), gone] };
        removal.and_swept(Removal { removed: 2, failed: vec![here(".gone-1"), here("stray")] });
        assert_eq!(
            removal,
            Removal { removed: 3, failed: vec![here("tree"), here(".gone-1"), here("stray")] }
        );
    }

    const COMMITS: [&str; 2] =
        ["0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"];

    /// A root with two trees and their metadata, the first one live; and a tree's metadata that nobody names.
    fn two_trees() -> (tempfile::TempDir, Layout, RootLock) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let mut layout = Layout::sole(&root, &root.join("link"));
        layout.create(false).unwrap();
        for commit in COMMITS {
            fs::create_dir(layout.trees.join(commit)).unwrap();
            fs::write(
                layout.trees.join(commit).join(".git"),
                format!("gitdir: ../../.git/worktrees/{commit}"),
            )
            .unwrap();
            fs::create_dir_all(layout.store.join("worktrees").join(commit)).unwrap();
        }
        fs::create_dir(layout.store.join("worktrees/of-nobody")).unwrap();
        std::os::unix::fs::symlink(format!(".worktrees/{}", COMMITS[0]), &layout.link).unwrap();
        let lock = RootLock::try_acquire(&layout).unwrap();
        (dir, layout, lock)
    }

    fn metadata_folders(layout: &Layout) -> usize {
        fs::read_dir(layout.store.join("worktrees")).unwrap().count()
    }

    /// Every open below fails with ELOOP, for root too.
    fn make_unreadable(path: &Path) -> PathBuf {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
        aside
    }

    #[test]
    fn a_tree_whose_metadata_cannot_be_read_costs_no_tree_its_metadata() {
        for commit in COMMITS {
            let (_dir, layout, lock) = two_trees();
            let gitfile = layout.trees.join(commit).join(".git");
            let aside = make_unreadable(&gitfile);
            let stray = layout.trees.join(".new-1");
            fs::create_dir(&stray).unwrap();
            let swept = sweep(&lock, &layout);
            assert_eq!((swept.removed, swept.failed.len()), (0, 1), "{swept:?}");
            assert!(swept.failed[0].1.contains("cannot read the `.git` file of"), "{swept:?}");
            let mut removal = Removal::default();
            remove(&lock, &layout, &layout.trees.join(COMMITS[1]), &mut removal);
            assert_eq!((removal.removed, removal.failed.len()), (0, 1), "{removal:?}");
            assert_eq!(metadata_folders(&layout), 3);
            assert!(stray.exists() && layout.trees.join(COMMITS[1]).exists());
            fs::rename(aside, gitfile).unwrap();
            assert_eq!(sweep(&lock, &layout), Removal { removed: 1, failed: Vec::new() });
            assert_eq!(metadata_folders(&layout), 2, "that of nobody goes");
        }
    }

    #[test]
    fn a_folder_of_trees_that_cannot_be_listed_is_not_an_empty_one() {
        let (_dir, layout, lock) = two_trees();
        let aside = make_unreadable(&layout.trees);
        assert!(layout.trees().is_err() && layout.strays().is_err());
        let swept = sweep(&lock, &layout);
        assert_eq!((swept.removed, swept.failed.len()), (0, 1), "{swept:?}");
        assert_eq!(metadata_folders(&layout), 3);
        fs::remove_file(&layout.trees).unwrap();
        fs::rename(aside, &layout.trees).unwrap();
        assert_eq!(layout.trees().unwrap().len(), 2);
    }

    #[test]
    fn cleanup_survives_chmod_000_dirs() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("tree/a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(deep.parent().unwrap(), fs::Permissions::from_mode(0o500)).unwrap();
        remove_stubbornly(Point::RetireTreeRemove, &dir.path().join("tree")).unwrap();
        assert!(!dir.path().join("tree").exists());
    }

    #[test]
    fn rights_are_given_to_folders_of_the_tree_and_to_nothing_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        for folder in [tree.join("real"), outside.join("sub")] {
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).unwrap();
        }
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        open_up(&tree);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&tree.join("real")), mode(&outside.join("sub"))], [0o700, 0o500]);
        let before = mode(&outside);
        open_up(&tree.join("link"));
        assert_eq!([mode(&outside), mode(&outside.join("sub"))], [before, 0o500]);
    }
}
