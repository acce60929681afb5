//! A repository on this machine and a root that follows it: what the tests of publishing and of local upstreams share.

// Each integration test uses a part of it only.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::agent::{Finished, Launch, published};
use crate::support::repo::{git, text_of};
use crate::support::{Repo, temp};

/// How long a run to its end may take; it takes milliseconds.
pub const RUN: Duration = Duration::from_secs(30);

/// One upstream with a work tree, one root, link `repo`.
pub struct Synced {
    pub dir: TempDir,
    pub repo: Repo,
    pub root: PathBuf,
}

impl Synced {
    /// An upstream without commits.
    pub fn empty() -> Synced {
        Synced::inside(temp())
    }

    /// The same, in memory where there is such a folder: for tests whose subject is not the disk but many swaps.
    pub fn in_memory() -> Synced {
        let mut builder = tempfile::Builder::new();
        Synced::inside(builder.prefix("dagsync-test-").tempdir_in("/dev/shm").unwrap_or_else(|_| temp()))
    }

    fn inside(dir: TempDir) -> Synced {
        // Other uids have to get in: upstreams and roots of several owners are tested.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let repo = Repo::new(dir.path().join("upstream"));
        let root = dir.path().join("root");
        Synced { dir, repo, root }
    }

    /// An upstream with one commit of a few files.
    pub fn new() -> Synced {
        let synced = Synced::empty();
        synced.repo.commit(&[("a.py", "print(1)\n"), ("dags/b.py", "print(2)\n"), ("dags/deep/c.py", "3\n")]);
        synced
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `dagsync` of this upstream into this root.
    pub fn launch(&self) -> Launch {
        self.launch_from(self.repo.work())
    }

    /// `dagsync` of another upstream into this root.
    pub fn launch_from(&self, repo: impl AsRef<OsStr>) -> Launch {
        Launch::default().set("repo", repo).set("root", &self.root).set("link", "repo").set("period", "20ms")
    }

    /// One pass that has to succeed, with more arguments.
    #[track_caller]
    pub fn once(&self, args: &[&str]) -> Finished {
        succeeds(&self.launch().args(["--one-time"]).args(args))
    }

    /// One pass that has to fail without touching what readers see; what it said.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        let before = self.seen();
        let text = fails(&self.launch().args(["--one-time"]).args(args));
        assert_eq!(self.seen(), before, "a failed pass changes nothing that is seen");
        text
    }

    /// The link.
    pub fn link(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// The commit that the link's target is named after.
    pub fn published(&self) -> Option<String> {
        published(&self.root, "repo")
    }

    /// Asserts what is published, by name and by content: the files are those of `commit` in the upstream.
    #[track_caller]
    pub fn shows(&self, commit: &str) {
        assert_eq!(self.published().as_deref(), Some(commit));
        assert_eq!(files(&self.link()), of_commit(&self.repo, commit));
    }

    /// What a reader sees: the link's text and all files, `None` if nothing is published.
    pub fn seen(&self) -> Option<(PathBuf, Files)> {
        let target = fs::read_link(self.link()).ok()?;
        Some((target, files(&self.link())))
    }

    /// Names below a folder of the root.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.root.join(folder))
    }

    /// Git in the published tree.
    #[track_caller]
    pub fn git_in_tree(&self, args: &[&str]) -> String {
        git_in(&self.link(), args)
    }

    /// Everything that a clean pass leaves nowhere.
    #[track_caller]
    pub fn nothing_is_left_over(&self) {
        let bad = |name: &str| {
            name.starts_with(".new-")
                || name.starts_with(".gone-")
                || name.starts_with(".tmp")
                || name.starts_with("tmp")
                || name.starts_with(".dagsync-link-")
                || name.starts_with(".dagsync-case-")
                || name.ends_with(".lock")
                || name.ends_with(".tmp")
                || name.ends_with(".keep")
                || name.starts_with("airflowignore-")
        };
        for folder in [".", ".dagsync", ".git", ".git/objects/pack", ".worktrees"] {
            let left: Vec<_> = self.names(folder).into_iter().filter(|name| bad(name)).collect();
            assert!(left.is_empty(), "left over in {folder}: {left:?}");
        }
        let packs = |ext: &str| self.names(".git/objects/pack").iter().filter(|n| n.ends_with(ext)).count();
        assert_eq!(packs(".pack"), packs(".idx"));
        for name in self.names(".git/objects/pack").iter().filter_map(|name| name.strip_suffix(".rev")) {
            assert!(
                self.root.join(format!(".git/objects/pack/{name}.idx")).exists(),
                "{name}.rev of no pack"
            );
        }
        let mut trees = trees(&self.root);
        // Kept for the next build, with a time-out.
        let spares = self.names(".dagsync").into_iter().filter(|name| name.starts_with("spare-"));
        trees.extend(spares.map(|name| self.root.join(".dagsync").join(name)));
        // A tree that lost its metadata may stay for its readers; metadata without a tree is waste.
        for name in self.names(".git/worktrees") {
            let is_of = |tree: &PathBuf| {
                fs::read_to_string(tree.join(".git")).is_ok_and(|text| text.trim().ends_with(&name))
            };
            assert!(trees.iter().any(is_of), "metadata `{name}` of none of {trees:?}");
        }
    }
}

/// Paths and what they are: mode and content, or a link's target.
pub type Files = BTreeMap<String, (String, Vec<u8>)>;

/// Every file and link below `dir`, but for `.git` at its top.
pub fn files(dir: &Path) -> Files {
    try_files(dir).unwrap()
}

/// The same of a folder that may go while it is read.
pub fn try_files(dir: &Path) -> io::Result<Files> {
    let mut found = Files::new();
    let mut queue = vec![String::new()];
    while let Some(at) = queue.pop() {
        for entry in fs::read_dir(dir.join(&at))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            let full = dir.join(&path);
            let meta = fs::symlink_metadata(&full)?;
            if meta.is_dir() {
                queue.push(path);
            } else if meta.is_symlink() {
                let target = fs::read_link(&full)?.into_os_string().into_encoded_bytes();
                found.insert(path, ("link".into(), target));
            } else if path != ".git" {
                let mode = if meta.mode() & 0o100 == 0 { "file" } else { "executable" };
                found.insert(path, (mode.into(), fs::read(&full)?));
            }
        }
    }
    Ok(found)
}

/// The files of a commit, as git's own checkout writes them.
pub fn of_commit(repo: &Repo, commit: &str) -> Files {
    let dir = temp();
    let mut checkout = git();
    checkout
        .arg("--git-dir")
        .arg(repo.git_dir())
        .arg("--work-tree")
        .arg(dir.path())
        .env("GIT_INDEX_FILE", dir.path().join(".git"))
        .current_dir(dir.path())
        .args(["checkout", "-q", "-f", commit, "--", "."]);
    let output = checkout.output().unwrap();
    // A commit without files is no error of the test.
    assert!(output.status.success() || repo.git(&["ls-tree", commit]).is_empty(), "{output:?}");
    files(dir.path())
}

/// Names in a folder, sorted; none if it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every tree below `.worktrees`, those built again included.
pub fn trees(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let dir = root.join(".worktrees");
    for name in names(&dir) {
        let path = dir.join(&name);
        if name.starts_with("again-") {
            found.extend(names(&path).iter().map(|name| path.join(name)));
        } else {
            found.push(path);
        }
    }
    found
}

/// Git in any folder, as a user would run it.
#[track_caller]
pub fn git_in(dir: &Path, args: &[&str]) -> String {
    text_of(&format!("git {args:?}"), git().arg("-C").arg(dir).args(args).output().unwrap())
}

#[track_caller]
pub fn succeeds(launch: &Launch) -> Finished {
    let finished = launch.run(RUN);
    assert!(finished.status.success(), "{finished:?}");
    finished
}

#[track_caller]
pub fn fails(launch: &Launch) -> String {
    let finished = launch.run(RUN);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
    finished.stderr
}

/// Whether the tests run as root, which may become anybody.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Runs a command to its end and insists on its success.
#[track_caller]
pub fn ok(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
