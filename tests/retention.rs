//! Which replaced trees stay, for how long, and how stubborn ones go.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::agent::http_get;
use support::free_port;
use synced::{RUN, Synced, is_root, names, ok, succeeds, trees};

fn tree_of(world: &Synced, commit: &str) -> PathBuf {
    world.root.join(".worktrees").join(commit)
}

#[test]
fn a_timeout_of_zero_removes_at_once() {
    let world = Synced::new();
    let agent = world.launch().args(["--stale-worktree-timeout=0"]).start();
    for n in 0..4 {
        let head = world.repo.commit(&[("a.py", &n.to_string())]);
        agent.wait_published(&world.root, "repo", &head);
        agent.wait_until("the old tree to go", || trees(&world.root) == [tree_of(&world, &head)]);
    }
    // Its own, and that of the tree which is kept out of sight for the next build.
    agent.wait_until("metadata to go", || world.names(".git/worktrees").len() == 2);
}

#[test]
fn without_a_timeout_the_last_replaced_tree_stays() {
    let world = Synced::new();
    let mut commits = vec![world.repo.head()];
    world.once(&[]);
    for n in 0..3 {
        commits.push(world.repo.commit(&[("a.py", &n.to_string())]));
        world.once(&[]);
    }
    let mut kept = vec![tree_of(&world, &commits[2]), tree_of(&world, &commits[3])];
    kept.sort();
    assert_eq!(trees(&world.root), kept);
    assert_eq!(synced::git_in(&tree_of(&world, &commits[2]), &["status", "--porcelain"]), "");
    world.nothing_is_left_over();
}

/// What a reader finds in a tree, down to the inode: built again it would be others.
fn identity(tree: &Path) -> Vec<(PathBuf, u64, i64)> {
    let of = |name: &str| {
        let meta = fs::symlink_metadata(tree.join(name)).unwrap();
        (tree.join(name), meta.ino(), meta.ctime_nsec())
    };
    ["a.py", "dags", "dags/b.py", "dags/deep/c.py"].map(of).to_vec()
}

#[test]
fn a_tree_that_somebody_pointed_the_link_back_to_is_not_used_up_and_stays_when_replaced() {
    let world = Synced::new();
    let first = world.repo.head();
    world.once(&[]);
    let second = world.repo.commit(&[("a.py", "2")]);
    world.once(&[]);
    let before = identity(&tree_of(&world, &first));
    fs::remove_file(world.link()).unwrap();
    std::os::unix::fs::symlink(format!(".worktrees/{first}"), world.link()).unwrap();
    let third = world.repo.commit(&[("a.py", "3")]);
    world.once(&[]);
    world.shows(&third);
    assert_eq!(identity(&tree_of(&world, &first)), before, "readers had it until now");
    assert!(!tree_of(&world, &second).exists());
    world.nothing_is_left_over();
}

#[test]
fn a_copied_root_leaves_the_trees_of_the_original_alone() {
    let world = Synced::new();
    world.once(&[]);
    world.repo.commit(&[("a.py", "2")]);
    world.once(&[]);
    let before: Vec<_> = trees(&world.root).iter().map(|tree| identity(tree)).collect();
    let copy = world.path("copy");
    ok(Command::new("cp").arg("-a").arg(&world.root).arg(&copy));
    let head = world.repo.commit(&[("a.py", "3")]);
    succeeds(&world.launch().set("root", &copy).args(["--one-time"]));
    assert!(fs::read_link(copy.join("repo")).unwrap().ends_with(&head));
    let after: Vec<_> = trees(&world.root).iter().map(|tree| identity(tree)).collect();
    assert_eq!(after, before);
}

#[test]
fn retention_never_removes_current_or_leased() {
    let world = Synced::new();
    let old = world.repo.head();
    let agent = world.launch().args(["--stale-worktree-timeout=2s"]).start();
    agent.wait_published(&world.root, "repo", &old);
    // A task that runs on the old tree keeps its files for the whole of the time.
    let lease = std::time::Instant::now();
    let new = world.repo.commit(&[("a.py", "new")]);
    agent.wait_published(&world.root, "repo", &new);
    let mut gone_after = None;
    agent.wait_until("the old tree to go in its time", || {
        assert!(world.link().join("a.py").is_file(), "the current one is never removed");
        if !tree_of(&world, &old).exists() {
            gone_after.get_or_insert(lease.elapsed());
        }
        gone_after.is_some()
    });
    // Whole seconds are counted, so it may be up to one short.
    assert!(gone_after.unwrap().as_millis() >= 1000, "{gone_after:?}");
    drop(agent);
    // An expired list in our state that names the current tree is not believed.
    let state = world.root.join(".dagsync/state.json");
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    json["retired"] = serde_json::json!([
        {"path": tree_of(&world, &new), "bytes": 1, "at": 1},
        {"path": world.repo.work(), "bytes": 1, "at": 1},
        {"path": "/", "bytes": 1, "at": 1},
    ]);
    fs::write(&state, json.to_string()).unwrap();
    world.once(&["--stale-worktree-timeout=0"]);
    world.shows(&new);
    assert!(world.repo.work().join("a.py").exists());
}

#[test]
fn a_kept_number_of_trees_is_for_rollback_without_a_network() {
    let world = Synced::new();
    let args = ["--keep=3", "--stale-worktree-timeout=0"];
    let mut commits = vec![world.repo.head()];
    world.once(&args);
    for n in 0..6 {
        commits.push(world.repo.commit(&[("a.py", &n.to_string())]));
        world.once(&args);
    }
    let mut kept: Vec<_> = commits[3..].iter().map(|commit| tree_of(&world, commit)).collect();
    kept.sort();
    assert_eq!(trees(&world.root), kept);
    fs::rename(world.repo.work(), world.path("away")).unwrap();
    for back in [&commits[4], &commits[3], &commits[6]] {
        let text = world.once(&[&args[..], &["--ref", back]].concat()).stderr;
        assert!(text.contains(r#""bytes":0"#), "nothing is fetched: {text}");
        assert_eq!(world.published().as_deref(), Some(back.as_str()));
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    }
    fs::rename(world.path("away"), world.repo.work()).unwrap();
    world.shows(&commits[6]);
}

#[test]
fn cleanup_survives_chmod_000_dirs() {
    let world = Synced::new();
    world.once(&[]);
    let old = fs::canonicalize(world.link()).unwrap();
    fs::set_permissions(old.join("dags/deep"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(old.join("dags"), fs::Permissions::from_mode(0o500)).unwrap();
    let head = world.repo.commit(&[("a.py", "2")]);
    world.once(&["--stale-worktree-timeout=0"]);
    world.shows(&head);
    assert!(!old.exists());
    world.nothing_is_left_over();
}

/// Puts a file into a tree that even root cannot remove: the flag moves with the tree.
fn stubborn(tree: &Path) {
    let folder = tree.join("of-a-reader");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("output"), "x").unwrap();
    ok(Command::new("chattr").arg("+i").arg(folder.join("output")));
}

/// Makes everything below the root removable again, also when a test fails.
struct Undo(PathBuf);

impl Drop for Undo {
    fn drop(&mut self) {
        drop(Command::new("chattr").args(["-R", "-f", "-i"]).arg(&self.0).output());
    }
}

#[test]
fn what_cannot_be_removed_is_counted_and_tried_again() {
    let world = Synced::new();
    let works = is_root() && {
        let probe = world.path("probe");
        fs::write(&probe, "").unwrap();
        let set = Command::new("chattr").arg("+i").arg(&probe).output().is_ok_and(|o| o.status.success());
        drop(Command::new("chattr").arg("-i").arg(&probe).output());
        set
    };
    if !works {
        // Another uid's folder cannot be made here (no root), nor an immutable file (no `chattr` on this file
        // system). What remains of the promise: a stray that is gone before we get to it is no failure either.
        world.once(&[]);
        fs::write(world.root.join(".worktrees/stray"), "").unwrap();
        world.once(&[]);
        world.nothing_is_left_over();
        return;
    }
    let port = free_port();
    let addr = format!("127.0.0.1:{port}");
    let launch = world.launch().set("http-bind", &addr).args(["--stale-worktree-timeout=0"]);
    let agent = launch.start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    let undo = Undo(world.root.clone());
    stubborn(&fs::canonicalize(world.link()).unwrap());
    // First it is kept for the next build, then it turns out to be of no use.
    for content in ["2", "2 again"] {
        let head = world.repo.commit(&[("a.py", content)]);
        agent.wait_published(&world.root, "repo", &head);
    }
    agent.wait_for_text("cannot remove", RUN);
    let metric = |name: &str| -> f64 {
        let page = http_get(addr.parse().unwrap(), "/metrics", &[]).unwrap().text();
        let line = page.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    };
    let failures = metric("dagsync_removal_failures_total");
    assert!(failures >= 1.0, "{failures}");
    assert_eq!(metric("git_sync_count_total{status=\"error\"}"), 0.0);
    // Nobody finds the half-removed tree under its name.
    assert_eq!(names(&world.root.join(".worktrees")).iter().filter(|n| !n.starts_with('.')).count(), 1);
    let next = world.repo.commit(&[("a.py", "3")]);
    agent.wait_published(&world.root, "repo", &next);
    agent.wait_until("another try", || metric("dagsync_removal_failures_total") > failures);
    drop(undo);
    agent.wait_until("it to go at last", || names(&world.root.join(".worktrees")) == [next.clone()]);
}

#[test]
fn a_kept_tree_that_cannot_be_read_for_a_while_costs_no_tree_its_metadata() {
    let world = Synced::new();
    let args = ["--keep=3", "--stale-worktree-timeout=0"];
    let kept = world.repo.head();
    world.once(&args);
    world.repo.commit(&[("a.py", "2")]);
    world.once(&args);
    // Every open fails with ELOOP, for root too.
    let gitfile = tree_of(&world, &kept).join(".git");
    let text = fs::read(&gitfile).unwrap();
    fs::remove_file(&gitfile).unwrap();
    std::os::unix::fs::symlink(".git", &gitfile).unwrap();
    let head = world.repo.commit(&[("a.py", "3")]);
    let said = world.once(&args).stderr;
    assert!(said.contains("cannot read the `.git` file of"), "{said}");
    world.shows(&head);
    assert_eq!(world.names(".git/worktrees").len(), 3);
    fs::remove_file(&gitfile).unwrap();
    fs::write(&gitfile, text).unwrap();
    world.once(&args);
    assert_eq!(synced::git_in(&tree_of(&world, &kept), &["status", "--porcelain"]), "");
    world.nothing_is_left_over();
}
