//! The states of a root in which a pass may die: together they reach every crash point.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Scenario, World};
use crate::support::Repo;
use crate::support::repo::{git, run_with_input};
use crate::synced::{names, ok};

/// One scenario for each way on which an agent changes a root.
pub static ALL: &[Scenario] = &[
    Scenario { name: "the first sync", history: one_commit, args: &["--touch-file=touched"], ..NOTHING },
    Scenario {
        name: "the first sync over HTTP for a group, shallow",
        history: |repo| vec![two_commits(repo).remove(1)],
        // For its check a first start asks for more history than there is, and then nothing is shallow.
        args: &["--depth=1", "--group-write", "--check=off"],
        over_http: true,
        ..NOTHING
    },
    Scenario {
        name: "the first sync over HTTP, all of a short history",
        history: |repo| vec![two_commits(repo).remove(1)],
        args: &["--depth=1"],
        over_http: true,
        ..NOTHING
    },
    Scenario {
        name: "a change by way of a spare",
        history: three_commits,
        before: |world| {
            // A reader's, in the spare: the tree that nobody sees any more.
            let spare = spare(world);
            fs::create_dir(spare.join("written-here")).unwrap();
            fs::write(spare.join("written-here/notes"), "x").unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "a change without a spare",
        history: two_commits,
        first: &["--stale-worktree-timeout=0s"],
        args: &["--stale-worktree-timeout=0s"],
        ..NOTHING
    },
    Scenario {
        name: "a spare of other settings",
        history: three_commits,
        args: &["--group-write"],
        ..NOTHING
    },
    Scenario {
        name: "a published tree that is damaged",
        history: same_commit,
        before: |world| fs::remove_file(world.synced.link().join("a.py")).unwrap(),
        ..NOTHING
    },
    Scenario {
        name: "a tree that was built again goes",
        history: two_commits,
        args: &["--stale-worktree-timeout=0s"],
        before: |world| {
            fs::remove_file(world.synced.link().join("a.py")).unwrap();
            let newest = world.commits.last().unwrap();
            world.point_at(&world.commits[0]);
            assert!(world.launch(&["--one-time"]).run(crate::synced::RUN).status.success());
            world.point_at(newest);
        },
        ..NOTHING
    },
    Scenario {
        name: "packs that are damaged",
        history: two_commits,
        first: &["--depth=1"],
        args: &["--depth=1"],
        before: |world| {
            damage_packs(world);
            // As a restore leaves it that could not go on: nothing of ours, and in the way.
            symlink("nowhere", world.synced.root.join(".git/objects.aside")).unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "packs that are damaged, in somebody's repository",
        history: two_commits,
        before: |world| {
            damage_packs(world);
            fs::remove_file(world.synced.root.join(".git/dagsync")).unwrap();
        },
        // The damaged objects may be back in use, or kept without the store being marked as ours: it stays somebody's.
        may_lack: &[".git/objects.before-dagsync", ".git/dagsync"],
        ..NOTHING
    },
    Scenario {
        name: "objects that were set aside",
        history: two_commits,
        first: &["--depth=1"],
        args: &["--depth=1"],
        before: |world| {
            let store = world.synced.root.join(".git");
            fs::write(store.join("shallow.aside"), format!("{}\n", world.commits[0])).unwrap();
            fs::rename(store.join("objects"), store.join("objects.aside")).unwrap();
            fs::create_dir_all(store.join("objects/pack")).unwrap();
            fs::write(store.join("shallow"), "").unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "somebody's repository without a config",
        history: same_commit,
        before: |world| {
            let store = world.synced.root.join(".git");
            fs::remove_file(store.join("dagsync")).unwrap();
            fs::write(store.join("config"), "[[[").unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "a store with other things in its places",
        history: same_commit,
        before: |world| {
            let store = world.synced.root.join(".git");
            fs::remove_file(store.join("config")).unwrap();
            fs::create_dir(store.join("config")).unwrap();
            fs::write(store.join("HEAD"), "\0\0").unwrap();
            fs::remove_dir_all(store.join("refs")).unwrap();
            fs::write(store.join("refs"), "").unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "leftovers of others",
        history: two_commits,
        before: |world| {
            let root = &world.synced.root;
            symlink("nowhere", root.join("tmp-link")).unwrap();
            fs::write(root.join(".dagsync/state-1-00000000.tmp"), "{").unwrap();
            fs::write(root.join(".git/shallow.lock"), "").unwrap();
            fs::write(root.join(".git/objects/pack/tmp_pack_x"), "x").unwrap();
            fs::write(root.join(".git/objects/pack/pack-x.rev"), "x").unwrap();
            fs::create_dir_all(root.join(".worktrees/.gone-1-00000000/dags")).unwrap();
            fs::create_dir_all(root.join(".git/worktrees/nobodys")).unwrap();
        },
        ..NOTHING
    },
    Scenario {
        name: "git-sync's root",
        history: two_commits,
        args: &["--stale-worktree-timeout=0s"],
        before: |world| {
            let (root, commit) = (&world.synced.root, &world.commits[0]);
            fs::remove_dir_all(root).unwrap();
            git_sync(&world.synced.repo, root, commit);
        },
        ..NOTHING
    },
    Scenario {
        name: "all of a history that was shallow",
        history: |repo| {
            let commits = two_commits(repo);
            vec![commits[1].clone(), commits[1].clone()]
        },
        first: &["--depth=1", "--check=off"],
        args: &["--depth=0"],
        ..NOTHING
    },
    Scenario {
        name: "many packs",
        history: |repo| {
            let mut commits = two_commits(repo);
            let many: Vec<_> = (0..45).map(|n| (format!("f{n}.py"), format!("{n}\n"))).collect();
            let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            commits.push(repo.commit(&many));
            commits
        },
        before: |world| {
            many_packs(world);
            loose_garbage(world);
        },
        may_keep: &[".git/objects/7e/"],
        ..NOTHING
    },
    Scenario {
        name: "a large file and its delta",
        history: large_file_and_its_delta,
        args: &["--depth=0"],
        ..NOTHING
    },
    Scenario {
        name: "a pack without room for its index",
        history: two_commits,
        fault: "error:ENOSPC:store.index.write:1",
        ..NOTHING
    },
    Scenario {
        name: "a failure that is told in a file",
        history: two_commits,
        first: &["--error-file=error.json"],
        args: &["--error-file=error.json"],
        fault: "error:ENOSPC:tree.index.write:1",
        ..NOTHING
    },
    Scenario {
        name: "a failure that cannot be told",
        history: two_commits,
        args: &["--error-file=error.json"],
        fault: "error:ENOSPC:tree.index.write:1;error:ENOSPC:error.file.rename:1",
        ..NOTHING
    },
    Scenario {
        name: "a failure that is over",
        history: two_commits,
        args: &["--error-file=error.json"],
        before: |world| fs::write(world.synced.root.join("error.json"), "{}").unwrap(),
        ..NOTHING
    },
    Scenario {
        name: "a link that cannot be put in place",
        history: two_commits,
        fault: "error:EIO:publish.link.rename:1",
        ..NOTHING
    },
    Scenario {
        name: "a state that cannot be written",
        history: two_commits,
        fault: "error:EIO:publish.state.rename:1",
        ..NOTHING
    },
    Scenario {
        name: "a tree without rights",
        history: two_commits,
        first: &["--stale-worktree-timeout=0s"],
        args: &["--stale-worktree-timeout=0s"],
        fault: "error:EBUSY:retire.tree.park:1;error:EACCES:retire.tree.remove:1",
        ..NOTHING
    },
];

/// The scenario of this name.
pub fn named(name: &str) -> &'static Scenario {
    ALL.iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no scenario `{name}`"))
}

const NOTHING: Scenario = Scenario {
    name: "",
    history: one_commit,
    first: &[],
    args: &[],
    over_http: false,
    before: |_| {},
    fault: "",
    may_lack: &[],
    may_keep: &[],
};

pub fn one_commit(repo: &Repo) -> Vec<String> {
    repo.symlink("link", "a.py").symlink("was-link", "a.py");
    repo.write("run.sh", "#!/bin/sh\n").chmod("run.sh", 0o755);
    vec![repo.commit(&[
        ("a.py", "print(1)\n"),
        ("back.py", "1\n"),
        ("dags/b.py", "print(2)\n"),
        ("dags/deep/c.py", "3\n"),
        ("gone.py", "gone\n"),
        ("gone/deep/x.py", "gone\n"),
        ("was-file", "file\n"),
        ("was-folder/x.py", "x\n"),
    ])]
}

fn same_commit(repo: &Repo) -> Vec<String> {
    let commit = one_commit(repo).remove(0);
    vec![commit.clone(), commit]
}

fn two_commits(repo: &Repo) -> Vec<String> {
    let mut commits = one_commit(repo);
    commits.push(repo.commit(&[("a.py", "print(2)\n"), ("back.py", "2\n")]));
    commits
}

/// The third is made from the first as a spare: all kinds become all others.
pub fn three_commits(repo: &Repo) -> Vec<String> {
    let mut commits = two_commits(repo);
    repo.remove("gone.py").remove("gone").remove("was-file").remove("was-folder").remove("was-link");
    repo.symlink("link", "dags/b.py").symlink("was-folder", "nowhere");
    repo.write("was-file/y.py", "y\n").write("was-link", "file\n");
    commits.push(repo.commit(&[("a.py", "print(3)\n"), ("back.py", "1\n"), ("new/deep/z.py", "z\n")]));
    commits
}

/// The tree that readers do not see.
fn spare(world: &World) -> std::path::PathBuf {
    world.synced.root.join(".worktrees").join(&world.commits[0])
}

fn damage_packs(world: &World) {
    let packs = world.synced.root.join(".git/objects/pack");
    for name in names(&packs).iter().filter(|name| name.ends_with(".pack")) {
        // By a new file: somebody may have mapped the old one.
        fs::remove_file(packs.join(name)).unwrap();
        fs::write(packs.join(name), "not a pack").unwrap();
    }
}

/// More packs than an agent likes, of one object each.
fn many_packs(world: &World) {
    let made = world.synced.path("packs");
    if !made.exists() {
        fs::create_dir(&made).unwrap();
        let repo = &world.synced.repo;
        let tree = repo.git(&["ls-tree", "-r", world.commits.last().unwrap()]);
        for id in tree.lines().filter_map(|line| line.split([' ', '\t']).nth(2)) {
            let mut pack = repo.command();
            pack.args(["pack-objects", "-q"]).arg(made.join("pack"));
            assert!(run_with_input(&mut pack, format!("{id}\n").as_bytes()).status.success());
        }
    }
    let packs = world.synced.root.join(".git/objects/pack");
    // Those that die in between stay many until the next publication.
    for name in names(&made).iter().filter(|name| !name.ends_with(".rev")) {
        fs::copy(made.join(name), packs.join(name)).unwrap();
    }
}

/// A loose object that nothing needs, old enough that nobody is at work on it.
fn loose_garbage(world: &World) {
    let folder = world.synced.root.join(".git/objects/7e");
    fs::create_dir_all(&folder).unwrap();
    let file = fs::File::create(folder.join("0".repeat(38))).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
}

/// Larger than what is held in memory while a pack is received.
fn large_file_and_its_delta(repo: &Repo) -> Vec<String> {
    let mut text: String = (0..1_200_000).map(|n| format!("{n:07}\n")).collect();
    repo.write("large.txt", &text).commit_all("one");
    text.replace_range(5_000_000..5_000_006, "change");
    repo.write("large.txt", text);
    let commit = repo.commit_all("two");
    repo.git(&["repack", "-q", "-a", "-d", "-f", "--window=2"]);
    vec![commit]
}

/// What git-sync 4 leaves: a shallow fetch, a linked worktree, a relative link.
fn git_sync(repo: &Repo, root: &Path, commit: &str) {
    fs::create_dir_all(root).unwrap();
    let git = |dir: &Path, args: &[&str]| drop(ok(git().arg("-C").arg(dir).args(args)));
    git(root, &["init", "-q", "-b", "git-sync"]);
    let from = format!("file://{}", repo.work().display());
    git(root, &["fetch", "-q", &from, commit, "--depth=1"]);
    let tree = root.join(".worktrees").join(commit);
    git(root, &["worktree", "add", "-q", "--detach", tree.to_str().unwrap(), commit]);
    fs::write(tree.join(".git"), format!("gitdir: ../../.git/worktrees/{commit}\n")).unwrap();
    symlink(format!(".worktrees/{commit}"), root.join("repo")).unwrap();
}
