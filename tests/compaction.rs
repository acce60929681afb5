//! Packs do not pile up: many become one, what nobody needs goes, and what somebody needs stays, wherever a crash falls.

mod engine;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use dagsync::git::{Store, pack};
use engine::{Engine, object};
use gix::ObjectId;
use support::{Repo, temp};
use tempfile::TempDir;

static GO_ON: AtomicBool = AtomicBool::new(false);

/// An upstream, and a store that fetches from it.
struct World {
    dir: TempDir,
    repo: Repo,
    engine: Engine,
}

impl World {
    fn new() -> World {
        let dir = temp();
        let repo = Repo::new(dir.path().join("repo"));
        let engine = Engine::local(&repo);
        World { dir, repo, engine }
    }

    /// Brings a commit, or the object of a tag.
    fn fetch(&mut self, id: &str, depth: u32) {
        self.engine.arm();
        self.engine.fetch(id, &[], depth).unwrap();
    }

    /// A commit for each round, with as many new bytes, one after the other; the last one.
    fn fetch_noise(&mut self, rounds: u64, len: usize) -> String {
        let mut last = String::new();
        for round in 0..rounds {
            self.repo.write("noise.bin", noise(round, len));
            last = self.repo.commit_all("noise");
            self.fetch(&last, 1);
        }
        last
    }

    /// What the stage retire does, for these commits.
    fn tidy(&self, kept: &[&str]) -> Option<pack::Compacted> {
        let kept: Vec<ObjectId> = kept.iter().map(|id| object(id)).collect();
        self.engine.store.tidy_shallow(&self.engine.store.objects().unwrap(), &kept).unwrap();
        pack::compact(&self.engine.store, &kept, &GO_ON).unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        git(self.engine.store.dir(), args)
    }

    /// Everything of these commits is there, and git finds no fault.
    #[track_caller]
    fn holds(&self, commits: &[&str]) {
        for commit in commits {
            // Git tells what it misses only of what something leads to.
            self.git(&["update-ref", "refs/heads/checked", commit]);
            assert_eq!(self.git(&["fsck", "--full", "--no-dangling", "--no-progress"]), "");
            let tree = ["ls-tree", "-r", "-l", *commit];
            assert_eq!(self.git(&tree), self.repo.git(&tree));
            self.git(&["update-ref", "-d", "refs/heads/checked"]);
        }
        for name in packs(&self.engine.store) {
            self.git(&["verify-pack", self.engine.store.pack_dir().join(name).to_str().unwrap()]);
        }
    }

    fn has(&self, id: &str) -> bool {
        let store = self.engine.store.dir();
        let output = support::repo::git().arg("--git-dir").arg(store).args(["cat-file", "-e", id]).output();
        output.unwrap().status.success()
    }
}

/// Packs in the store, as file names.
fn packs(store: &Store) -> BTreeSet<String> {
    let names = fs::read_dir(store.pack_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".pack")).collect()
}

fn size(store: &Store) -> u64 {
    packs(store).iter().map(|name| store.pack_dir().join(name).metadata().unwrap().len()).sum()
}

fn git(dir: &Path, args: &[&str]) -> String {
    support::repo::text_of("git", support::repo::git().arg("--git-dir").arg(dir).args(args).output().unwrap())
}

/// Bytes that no compression makes fewer.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

#[test]
fn many_revisions_make_few_packs_and_nothing_is_lost() {
    let World { dir, repo, mut engine } = World::new();
    let deadline = engine.arm();
    let files: Vec<(String, String)> = (0..30).map(|n| (format!("f{n}.py"), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut commits = vec![repo.commit(&files)];
    let (mut most, mut rolled) = (0, 0);
    for round in 0..130 {
        engine.fetch(commits.last().unwrap(), &[], 1).unwrap();
        // Of a store that keeps nothing it is not known what may go.
        rolled += usize::from(pack::compact(&engine.store, &[], deadline.interrupt()).unwrap().is_some());
        most = most.max(packs(&engine.store).len());
        commits.push(repo.commit(&[(&format!("f{}.py", round % 30), &format!("changed {round}\n"))]));
    }
    assert!(most <= 41, "{most} packs at most");
    assert!((3..=6).contains(&rolled), "rolled up {rolled} times: rarely");
    commits.pop();
    // Everything of every revision is still there, and git agrees.
    for commit in [&commits[0], &commits[64], commits.last().unwrap()] {
        assert_eq!(git(engine.store.dir(), &["ls-tree", "-r", commit]), repo.git(&["ls-tree", "-r", commit]));
        git(
            engine.store.dir(),
            &["archive", "--format=tar", "-o", dir.path().join("x").to_str().unwrap(), commit],
        );
    }
    git(engine.store.dir(), &["fsck", "--full"]);
    let left: Vec<_> =
        fs::read_dir(engine.store.pack_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(
        left.len(),
        packs(&engine.store).len() * 2,
        "a pack and its index each, and nothing else: {left:?}"
    );
}

#[test]
fn a_pack_that_cannot_be_read_is_left_alone() {
    let mut world = World::new();
    let mut last = String::new();
    for round in 0..42 {
        last = world.repo.commit(&[("a.py", &format!("{round}\n"))]);
        world.fetch(&last, 1);
    }
    let before = packs(&world.engine.store);
    let damaged = world.engine.store.pack_dir().join(before.first().unwrap());
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, "not a pack").unwrap();
    for kept in [vec![], vec![object(&last)]] {
        assert!(pack::compact(&world.engine.store, &kept, &GO_ON).is_err());
        assert_eq!(packs(&world.engine.store), before, "nothing is removed unless everything was copied");
    }
}

#[test]
fn an_entry_that_has_changed_on_disk_is_not_copied() {
    let mut world = World::new();
    let mut last = String::new();
    for round in 0..42 {
        world.repo.write("a.bin", noise(round, 5000));
        last = world.repo.commit_all("noise");
        world.fetch(&last, 1);
    }
    let before = packs(&world.engine.store);
    let rotten = before.iter().map(|name| world.engine.store.pack_dir().join(name));
    let rotten = rotten.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&rotten).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::remove_file(&rotten).unwrap();
    fs::write(&rotten, bytes).unwrap();
    assert!(pack::compact(&world.engine.store, &[], &GO_ON).is_err());
    assert_eq!(packs(&world.engine.store), before);
    // Where nobody needs what has changed, it goes with the rest.
    let kept = [object(&last)];
    if pack::compact(&world.engine.store, &kept, &GO_ON).is_ok() {
        world.holds(&[&last]);
    }
}

#[test]
fn what_no_kept_commit_needs_goes_and_the_rest_is_whole() {
    let mut world = World::new();
    world.repo.write("dags/a.py", "a = 1\n").write("dags/b.py", "b = 1\n");
    let mut commits = Vec::new();
    let mut compacted = 0;
    let mut most = 0;
    for round in 0..30 {
        world.repo.write("data/noise.bin", noise(round, 2 << 20));
        commits.push(world.repo.commit_all("noise"));
        let [.., last] = &commits[..] else { unreachable!() };
        let last = last.clone();
        world.fetch(&last, 1);
        let previous = commits[commits.len().saturating_sub(2)].clone();
        compacted += usize::from(world.tidy(&[&last, &previous]).is_some());
        most = most.max(size(&world.engine.store));
    }
    assert!((2..=8).contains(&compacted), "{compacted} times: now and then");
    assert!(most < 26 << 20, "{most} bytes of 60 MiB that came, for 4 MiB that are needed");
    let [.., previous, last] = &commits[..] else { unreachable!() };
    world.holds(&[previous, last]);
    assert!(!world.has(&format!("{}^{{commit}}", commits[0])));
    assert!(!world.has(&world.repo.id(&format!("{}:data/noise.bin", commits[0]))));
    // What was kept is enough to go on from.
    let next = world.repo.commit(&[("dags/a.py", "a = 2\n")]);
    world.fetch(&next, 1);
    world.holds(&[&next, last]);
}

#[test]
fn history_is_kept_as_deep_as_it_was_asked_for() {
    for depth in [0, 3] {
        let mut world = World::new();
        let mut commits = Vec::new();
        for round in 0..45 {
            world.repo.write("a.py", format!("{}{round}\n", "same\n".repeat(300)));
            commits.push(world.repo.commit_all("a round"));
            let last = commits.last().unwrap().clone();
            world.fetch(&last, depth);
            world.tidy(&[&last]);
        }
        assert!(packs(&world.engine.store).len() < 40);
        let last = commits.last().unwrap();
        world.holds(&[last]);
        let history = world.git(&["rev-list", last]).lines().count();
        assert!(if depth == 0 { history == 45 } else { history >= 3 }, "{history} commits");
    }
}

#[test]
fn a_tag_of_what_is_kept_is_kept_too() {
    let mut world = World::new();
    let commit = world.repo.commit(&[("a.py", "1\n")]);
    let inner = world.repo.annotated_tag("inner", 1_700_000_000);
    world.repo.git(&["tag", "-a", "-m", "outer", "outer", "inner"]);
    let outer = world.repo.id("refs/tags/outer");
    world.fetch(&outer, 1);
    world.fetch_noise(8, 3 << 20);
    let done = world.tidy(&[&commit]).expect("more garbage than not");
    assert_eq!((done.packs, packs(&world.engine.store).len()), (9, 1));
    assert!(world.has(&outer) && world.has(&inner));
    world.holds(&[&commit]);
    assert!(size(&world.engine.store) < 10_000);
}

#[test]
fn a_store_that_is_not_ours_and_a_pack_to_keep_lose_nothing() {
    let mut world = World::new();
    let last = world.fetch_noise(6, 4 << 20);
    let before = packs(&world.engine.store);
    let mark = world.engine.store.dir().join("dagsync");
    fs::rename(&mark, world.dir.path().join("dagsync")).unwrap();
    assert_eq!(world.tidy(&[&last]), None);
    assert_eq!(packs(&world.engine.store), before);
    fs::rename(world.dir.path().join("dagsync"), &mark).unwrap();
    let keep = world.engine.store.pack_dir().join(before.first().unwrap());
    fs::write(keep.with_extension("keep"), "").unwrap();
    assert!(world.tidy(&[&last]).is_some());
    assert!(keep.exists() && keep.with_extension("idx").exists());
    assert_eq!(packs(&world.engine.store).len(), 2);
    world.holds(&[&last]);
}

#[test]
fn a_small_store_is_never_looked_through() {
    let mut world = World::new();
    let mut last = String::new();
    for round in 0..30 {
        world.repo.write("noise.bin", noise(round, 100_000));
        last = world.repo.commit_all("noise");
        world.fetch(&last, 1);
        assert_eq!(world.tidy(&[&last]), None, "three megabytes are not worth it");
    }
    assert_eq!(packs(&world.engine.store).len(), 30);
    world.holds(&[&last]);
}

/// All files of packs, with their content.
fn contents(store: &Store) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(store.pack_dir()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_whole_store() {
    let mut world = World::new();
    let mut last = String::new();
    // What is needed is in two packs, so that the new one is none of the old.
    world.repo.write("fixed.py", "fixed = True\n");
    for round in 0..5 {
        world.repo.write("noise.bin", noise(round, 3 << 20)).write("a.py", format!("{round}\n"));
        last = world.repo.commit_all("noise");
        world.fetch(&last, 1);
    }
    let before = contents(&world.engine.store);
    world.tidy(&[&last]).expect("more garbage than not");
    let after = contents(&world.engine.store);
    assert_eq!(after.len(), 2);
    let ext = |path: &Path, ext: &str| path.extension().is_some_and(|found| found == ext);
    // In the order in which they happen: temporary files, the pack, its index, then the old ones one by one.
    let mut steps: Vec<Vec<(PathBuf, Vec<u8>)>> = Vec::new();
    let (new_index, new_pack) = (after[0].clone(), after[1].clone());
    assert!(ext(&new_index.0, "idx") && ext(&new_pack.0, "pack"));
    let beside = |name: &str, content: &[u8]| (world.engine.store.pack_dir().join(name), content.to_vec());
    let with = |more: &[(PathBuf, Vec<u8>)]| [&before[..], more].concat();
    steps.push(with(&[beside("tmp_pack_0", &new_pack.1[..99])]));
    steps.push(with(&[beside("tmp_pack_0", &new_pack.1), beside("tmp_idx_0", &new_index.1[..99])]));
    steps.push(with(&[new_pack.clone(), beside("tmp_idx_0", &new_index.1)]));
    let both = with(&[new_pack, new_index]);
    steps.push(both.clone());
    let mut left = both;
    for pack in before.iter().filter(|(path, _)| ext(path, "pack")) {
        for gone in [pack.0.with_extension("idx"), pack.0.clone()] {
            left.retain(|(path, _)| *path != gone);
            steps.push(left.clone());
        }
    }
    for (number, step) in steps.iter().enumerate() {
        fs::remove_dir_all(world.engine.store.pack_dir()).unwrap();
        fs::create_dir(world.engine.store.pack_dir()).unwrap();
        for (path, content) in step {
            fs::write(path, content).unwrap();
        }
        world.engine.store = Store::open(world.engine.store.dir(), false).unwrap();
        world.holds(&[&last]);
        // And the work is taken up again.
        let _ = fs::remove_file(world.engine.store.dir().join("dagsync.live"));
        world.tidy(&[&last]);
        world.holds(&[&last]);
        let (packs, bytes) = (packs(&world.engine.store), size(&world.engine.store));
        assert!(bytes < 12 << 20, "step {number}: {bytes} bytes in {packs:?}");
    }
}

#[test]
fn loose_garbage_goes_but_not_what_somebody_is_making() {
    let mut world = World::new();
    let last = world.fetch_noise(5, 4 << 20);
    let loose = |text: &str| {
        let mut command = support::repo::git();
        command.arg("--git-dir").arg(world.engine.store.dir()).args(["hash-object", "-w", "--stdin"]);
        let id = support::repo::text_of("git", support::repo::run_with_input(&mut command, text.as_bytes()));
        (id.clone(), world.engine.store.dir().join("objects").join(&id[..2]).join(&id[2..]))
    };
    let (young, _) = loose("young");
    let (old, file) = loose("old");
    let file = fs::OpenOptions::new().read(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    assert!(world.tidy(&[&last]).is_some());
    assert!(world.has(&young) && !world.has(&old));
}

#[test]
fn an_interrupted_compaction_leaves_everything() {
    let mut world = World::new();
    let last = world.fetch_noise(5, 4 << 20);
    let before = packs(&world.engine.store);
    let stopped = pack::compact(&world.engine.store, &[object(&last)], &AtomicBool::new(true));
    assert!(matches!(stopped, Err(pack::Error::Interrupted)));
    assert_eq!(packs(&world.engine.store), before);
    assert_eq!(fs::read_dir(world.engine.store.pack_dir()).unwrap().count(), before.len() * 2);
}
