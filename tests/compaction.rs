//! Packs do not pile up, and rolling them up loses nothing.

mod support;

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use dagsync::config::{HttpConfig, RepoUrl};
use dagsync::deadline::{Deadline, Stop};
use dagsync::git::{Remote, Store, pack};
use gix::ObjectId;
use support::{Repo, temp};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An upstream, and a store that fetches from it.
struct World {
    dir: TempDir,
    repo: Repo,
    store: Store,
    remote: Remote,
    deadline: Rc<Deadline>,
    runtime: Runtime,
}

impl World {
    fn new() -> World {
        let dir = temp();
        let repo = Repo::new(dir.path().join("repo"));
        let store = Store::open(&dir.path().join("root/.git"), false).unwrap();
        let mut remote =
            Remote::new(&RepoUrl::Local(repo.work().to_owned()), &HttpConfig::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Rc::new(Deadline::start(Duration::from_secs(600), &Stop::new(), runtime.handle()));
        remote.arm(&deadline, None);
        World { dir, repo, store, remote, deadline, runtime }
    }
}

/// Packs in the store, as file names.
fn packs(store: &Store) -> Vec<String> {
    let names = fs::read_dir(store.pack_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".pack")).collect()
}

fn git(dir: &Path, args: &[&str]) -> String {
    support::repo::text_of("git", support::repo::git().arg("--git-dir").arg(dir).args(args).output().unwrap())
}

#[test]
fn many_revisions_make_few_packs_and_nothing_is_lost() {
    let World { dir, repo, store, mut remote, deadline, runtime } = World::new();
    let _inside = runtime.enter();
    let files: Vec<(String, String)> = (0..30).map(|n| (format!("f{n}.py"), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut commits = vec![repo.commit(&files)];
    let (mut most, mut rolled) = (0, 0);
    for round in 0..130 {
        let id = ObjectId::from_hex(commits.last().unwrap().as_bytes()).unwrap();
        remote.fetch(&store, &[id], &[], NonZeroU32::new(1)).unwrap();
        rolled += usize::from(pack::roll_up(&store, deadline.interrupt()).unwrap().is_some());
        most = most.max(packs(&store).len());
        commits.push(repo.commit(&[(&format!("f{}.py", round % 30), &format!("changed {round}\n"))]));
    }
    assert!(most <= 41, "{most} packs at most");
    assert!((3..=6).contains(&rolled), "rolled up {rolled} times: rarely");
    commits.pop();
    // Everything of every revision is still there, and git agrees.
    for commit in [&commits[0], &commits[64], commits.last().unwrap()] {
        assert_eq!(git(store.dir(), &["ls-tree", "-r", commit]), repo.git(&["ls-tree", "-r", commit]));
        git(store.dir(), &["archive", "--format=tar", "-o", dir.path().join("x").to_str().unwrap(), commit]);
    }
    git(store.dir(), &["fsck", "--full"]);
    for name in packs(&store) {
        git(store.dir(), &["verify-pack", store.pack_dir().join(name).to_str().unwrap()]);
    }
    let left: Vec<_> =
        fs::read_dir(store.pack_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), packs(&store).len() * 2, "a pack and its index each, and nothing else: {left:?}");
}

#[test]
fn a_pack_that_cannot_be_read_is_left_alone() {
    let World { dir: _dir, repo, store, mut remote, deadline, runtime } = World::new();
    let _inside = runtime.enter();
    for round in 0..42 {
        let commit = repo.commit(&[("a.py", &format!("{round}\n"))]);
        let id = ObjectId::from_hex(commit.as_bytes()).unwrap();
        remote.fetch(&store, &[id], &[], NonZeroU32::new(1)).unwrap();
    }
    let before = packs(&store);
    let damaged = store.pack_dir().join(&before[0]);
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, "not a pack").unwrap();
    assert!(pack::roll_up(&store, deadline.interrupt()).is_err());
    let after = packs(&store);
    assert!(
        before.iter().all(|name| after.contains(name)),
        "nothing is removed unless everything was copied"
    );
}
