//! What readers see of trees that follow each other, random trees to follow, and what is promised of any two of them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::Repo;

/// Random numbers whose seed is told when the test fails; `DAGSYNC_TEST_SEED` makes them the same again.
pub struct Dice {
    seed: u64,
    pub rng: fastrand::Rng,
}

impl Dice {
    pub fn new() -> Dice {
        let told = std::env::var("DAGSYNC_TEST_SEED").ok();
        let seed = told.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a seed is a number"));
        Dice { seed, rng: fastrand::Rng::with_seed(seed) }
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: DAGSYNC_TEST_SEED={}", self.seed);
        }
    }
}

/// Kind and mode, content or target, mtime.
pub type Facts = (u32, Vec<u8>, (i64, i64));
/// Every path but `.git`.
pub type Seen = BTreeMap<PathBuf, Facts>;

pub fn look(root: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut queue = vec![root.to_owned()];
    while let Some(path) = queue.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            let children = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            queue.extend(children.filter(|child| child != &root.join(".git")));
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().to_owned();
        seen.insert(name, (meta.mode(), content, (meta.mtime(), meta.mtime_nsec())));
    }
    seen
}

/// The same without times: what two checkouts of one commit have in common.
pub fn without_times(seen: &Seen) -> BTreeMap<&Path, (u32, &[u8])> {
    seen.iter().map(|(path, (mode, content, _))| (path.as_path(), (*mode, content.as_slice()))).collect()
}

/// What git's own checkout of a commit is, made in `folder`.
pub fn checkout(repo: &Repo, commit: &str, folder: &Path) -> Seen {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    let target = folder.to_str().unwrap();
    repo.git(&["--work-tree", target, "checkout", "--force", commit, "--", "."]);
    look(folder)
}

/// What git says about a tree: nothing, or it is not the commit.
#[track_caller]
pub fn git_finds_nothing(tree: &Path) {
    let mut status = crate::support::repo::git();
    let status = status.arg("-C").arg(tree).args(["status", "--porcelain"]).output().unwrap();
    let (found, said) = (String::from_utf8_lossy(&status.stdout), String::from_utf8_lossy(&status.stderr));
    assert!(status.status.success() && found.is_empty(), "{found}{said}");
}

pub fn is_folder(mode: u32) -> bool {
    mode & 0o170000 == 0o040000
}

fn listing(seen: &Seen, folder: &Path) -> Vec<(PathBuf, bool)> {
    let inside = |(path, (mode, ..)): (&PathBuf, &Facts)| {
        (path.parent() == Some(folder)).then(|| (path.clone(), is_folder(*mode)))
    };
    seen.iter().filter_map(inside).collect()
}

/// A folder's time as Python keeps it: what is the same to it is not looked at again.
fn as_python_sees(mtime: (i64, i64)) -> f64 {
    mtime.0 as f64 + 1e-9 * mtime.1 as f64
}

/// What the design promises of two trees that readers see one after the other.
#[track_caller]
pub fn compare(before: &Seen, after: &Seen) {
    for (path, (mode, content, mtime)) in after {
        let Some((was_mode, was, was_at)) = before.get(path) else { continue };
        if is_folder(*mode) && mode == was_mode {
            if listing(before, path) == listing(after, path) {
                assert_eq!(mtime, was_at, "{} lists the same", path.display());
            } else {
                assert!(mtime > was_at, "{} is later", path.display());
                assert!(as_python_sees(*mtime) > as_python_sees(*was_at), "{} is later", path.display());
            }
        } else if (mode, content) == (was_mode, was) {
            assert_eq!(mtime, was_at, "{} is the same", path.display());
        } else if !is_folder(*mode) && !is_folder(*was_mode) {
            assert!(mtime.0 > was_at.0, "{} is later by the whole second", path.display());
        }
    }
}

/// Random edits, additions, removals, renames, modes, links and kinds of things with these names, as a new commit. Folders that
/// lose their last file vanish, as git has none.
pub fn mutate(repo: &Repo, dice: &mut fastrand::Rng, names: &[&str], content: fn(&str) -> String) -> String {
    for _ in 0..dice.usize(1..6) {
        let deep = dice.usize(1..4);
        let path = (0..deep).map(|_| names[dice.usize(..names.len())]).collect::<Vec<_>>().join("/");
        let full = repo.work().join(&path);
        let blocked = full
            .ancestors()
            .skip(1)
            .take_while(|up| *up != repo.work())
            .any(|up| fs::symlink_metadata(up).is_ok_and(|meta| !meta.is_dir()));
        match dice.u8(..10) {
            0..=1 => {
                let _ = fs::remove_file(&full).or_else(|_| fs::remove_dir_all(&full));
            }
            _ if blocked => {}
            2 => {
                let to = repo.work().join(format!("moved-{}", dice.u8(..3)));
                let _ = fs::rename(&full, to);
            }
            3 if full.is_file() => drop(repo.chmod(&path, if dice.bool() { 0o755 } else { 0o644 })),
            4 => {
                let _ = fs::remove_file(&full).or_else(|_| fs::remove_dir_all(&full));
                repo.symlink(&path, names[dice.usize(..names.len())]);
            }
            _ => {
                if full.is_dir() && !full.is_symlink() {
                    let _ = fs::remove_dir_all(&full);
                } else {
                    let _ = fs::remove_file(&full);
                }
                // Few sizes, so that a change often keeps the size.
                let text: String = (0..dice.usize(1..3)).map(|_| dice.lowercase()).collect();
                repo.write(&path, content(&text));
            }
        }
    }
    // Twins that differ in case; links there would be refused on any volume.
    repo.write(if dice.bool() { "twin.py" } else { "TWIN.py" }, content(&dice.lowercase().to_string()));
    repo.commit_all("mutated")
}
