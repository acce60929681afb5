//! What Airflow sees of times when revisions follow each other, through the binary.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use synced::Synced;

/// mtime and inode of a file.
fn facts(path: &Path) -> ((i64, i64), u64) {
    let meta = fs::symlink_metadata(path).unwrap();
    ((meta.mtime(), meta.mtime_nsec()), meta.ino())
}

#[test]
fn unchanged_files_keep_their_mtime_through_commits_and_rollbacks() {
    let world = Synced::new();
    world.repo.commit(&[("dags/a.py", "1"), ("dags/b.py", "1"), ("lib/c.py", "1")]);
    let first = world.repo.head();
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &first);
    let dags = world.link().join("dags");
    let (a, b) = (facts(&dags.join("a.py")), facts(&dags.join("b.py")));
    let mut last_b = b.0;
    for round in 2..7 {
        let commit = world.repo.commit(&[("dags/b.py", &round.to_string())]);
        agent.wait_published(&world.root, "repo", &commit);
        assert_eq!(facts(&dags.join("a.py")).0, a.0, "round {round}: the same content, the same time");
        let now = facts(&dags.join("b.py")).0;
        assert!(now.0 > last_b.0, "round {round}: other content, later by the whole second");
        last_b = now;
    }
    // Back to the first revision: its content is old, its time must be new.
    world.repo.reset(&first);
    agent.wait_published(&world.root, "repo", &first);
    assert_eq!(fs::read_to_string(dags.join("b.py")).unwrap(), "1");
    assert!(facts(&dags.join("b.py")).0.0 > last_b.0);
    assert_eq!(facts(&dags.join("a.py")).0, a.0);
}

#[test]
fn trees_that_are_promised_to_readers_are_never_used_up() {
    let world = Synced::new();
    let mut commits = vec![world.repo.head()];
    let agent = world.launch().args(["--max-failures=-1", "--keep=2"]).start();
    agent.wait_published(&world.root, "repo", &commits[0]);
    for round in 1..8 {
        let commit = world.repo.commit(&[("marker.py", &round.to_string())]);
        agent.wait_published(&world.root, "repo", &commit);
        commits.push(commit);
        for (back, kept) in commits.iter().enumerate().rev().skip(1).take(2) {
            let tree = world.root.join(".worktrees").join(kept);
            let marker = fs::read_to_string(tree.join("marker.py"));
            match back {
                0 => assert!(tree.is_dir()),
                _ => {
                    assert_eq!(marker.unwrap(), back.to_string(), "the tree of revision {back} is as it was")
                }
            }
        }
    }
}

#[test]
fn kept_trees_do_not_cost_the_speed_of_the_next_one() {
    let world = Synced::new();
    world.repo.commit(&[("a.py", "1"), ("b.py", "1"), ("c.py", "1"), ("d.py", "1")]);
    let launch = world.launch().args(["--max-failures=-1", "--keep=2", "--verbose=1", "--log-format=json"]);
    let agent = launch.start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    for round in 2..8 {
        let commit = world.repo.commit(&[("a.py", &round.to_string())]);
        agent.wait_published(&world.root, "repo", &commit);
    }
    agent.wait_until("the last tree is told", || agent.stderr().matches("the tree is built").count() >= 7);
    let said = agent.stderr();
    let last = said.lines().rfind(|line| line.contains("the tree is built")).unwrap();
    assert!(last.contains("\"written\":1,"), "from a spare, not whole: {last}");
}

#[test]
fn a_tree_that_claims_the_metadata_of_the_live_one_does_not_cost_it() {
    let world = Synced::new();
    world.repo.commit(&[("a.py", "1")]);
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    let first = fs::canonicalize(world.link()).unwrap();
    let second = world.repo.commit(&[("a.py", "2")]);
    agent.wait_published(&world.root, "repo", &second);
    // Somebody who may write into trees makes the replaced one name the metadata of the live one.
    let live = fs::read(world.link().join(".git")).unwrap();
    agent.wait_until("the replaced tree is at rest", || first.join(".git").is_file());
    fs::remove_file(first.join(".git")).unwrap();
    fs::write(first.join(".git"), live).unwrap();
    let third = world.repo.commit(&[("a.py", "3")]);
    agent.wait_published(&world.root, "repo", &third);
    let replaced = world.root.join(".worktrees").join(&second);
    let status =
        support::repo::git().arg("-C").arg(&replaced).args(["status", "--porcelain"]).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert_eq!(String::from_utf8_lossy(&status.stdout), "");
}

#[test]
fn what_a_git_program_puts_into_the_index_of_a_published_tree_is_not_in_the_next_one() {
    let world = Synced::new();
    world.repo.commit(&[("dags/a.py", "1"), ("lib/b.py", "1"), ("top.py", "1")]);
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    let tree = fs::canonicalize(world.link()).unwrap();
    fs::write(tree.join("lib/stray.py"), "stray").unwrap();
    fs::write(tree.join("lib/b.py"), "edited").unwrap();
    let added = support::repo::git().arg("-C").arg(&tree).args(["add", "-A"]).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    // The first commit is compared with that index, the second is built from that tree.
    for round in ["2", "3"] {
        let commit = world.repo.commit(&[("dags/a.py", round)]);
        agent.wait_published(&world.root, "repo", &commit);
        assert!(!world.link().join("lib/stray.py").exists(), "commit {round}");
        assert_eq!(fs::read_to_string(world.link().join("lib/b.py")).unwrap(), "1", "commit {round}");
        assert_eq!(fs::read_to_string(world.link().join("dags/a.py")).unwrap(), round);
    }
}
/// The times of everything in a tree but its `.git`, folders and the top included.
fn times(tree: &Path) -> std::collections::BTreeSet<(i64, i64)> {
    let mut found = std::collections::BTreeSet::new();
    let mut queue = vec![tree.to_owned()];
    while let Some(path) = queue.pop() {
        found.insert(facts(&path).0);
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            let inside = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            queue.extend(inside.filter(|path| !path.ends_with(".git")));
        }
    }
    found
}

#[test]
fn with_mtime_now_everything_in_a_tree_is_as_old_as_the_tree() {
    let world = Synced::new();
    world.repo.commit(&[("dags/a.py", "1"), ("dags/b.py", "1"), ("lib/deep/c.py", "1")]);
    let agent = world.launch().args(["--max-failures=-1", "--mtime=now"]).start();
    let mut last = (0, 0);
    for round in 2..8 {
        let commit = world.repo.commit(&[("dags/b.py", &round.to_string())]);
        agent.wait_published(&world.root, "repo", &commit);
        world.shows(&commit);
        let tree = fs::canonicalize(world.link()).unwrap();
        let times = times(&tree);
        assert_eq!(times.len(), 1, "round {round}: one time for all: {times:?}");
        let time = *times.first().unwrap();
        assert!(time.0 > last.0, "round {round}: later by the whole second: {time:?} after {last:?}");
        last = time;
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "the manifest knows of the times");
    }
}

#[test]
fn a_change_of_mtime_waits_for_the_next_commit() {
    let world = Synced::new();
    world.once(&["--mtime=preserve"]);
    let tree = fs::canonicalize(world.link()).unwrap();
    let (first, before) = (facts(&tree.join("a.py")), facts(&tree));
    world.once(&["--mtime=now"]);
    assert_eq!(fs::canonicalize(world.link()).unwrap(), tree);
    assert_eq!(
        (facts(&tree.join("a.py")), facts(&tree)),
        (first, before),
        "the published tree is left alone"
    );
    world.repo.commit(&[("dags/b.py", "other")]);
    world.once(&["--mtime=now"]);
    let second = facts(&world.link().join("a.py")).0;
    assert!(second.0 > first.0.0, "the new tree is of now: {second:?}");
    world.repo.commit(&[("dags/b.py", "once more")]);
    world.once(&["--mtime=preserve"]);
    assert_eq!(facts(&world.link().join("a.py")).0, second, "and from there on times stay");
}

#[test]
fn with_a_time_out_a_tree_past_its_time_is_out_of_sight_and_still_helps_the_next_one() {
    let world = Synced::new();
    world.repo.commit(&[("a.py", "1"), ("b.py", "1"), ("c.py", "1"), ("d.py", "1")]);
    let args = ["--max-failures=-1", "--stale-worktree-timeout=0s", "--verbose=1", "--log-format=json"];
    let agent = world.launch().args(args).start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    let kept = facts(&world.link().join("b.py")).0;
    for round in 2..7 {
        let commit = world.repo.commit(&[("a.py", &round.to_string())]);
        agent.wait_published(&world.root, "repo", &commit);
        agent.wait_until("the replaced tree is gone", || world.names(".worktrees") == [commit.clone()]);
        world.shows(&commit);
        assert_eq!(facts(&world.link().join("b.py")).0, kept, "round {round}");
    }
    agent.wait_until("the last tree is told", || agent.stderr().matches("the tree is built").count() >= 6);
    let said = agent.stderr();
    let last = said.lines().rfind(|line| line.contains("the tree is built")).unwrap();
    assert!(last.contains("\"written\":1,"), "from a spare, not whole: {last}");
    drop(agent);
    // A restart goes on with it; without a time-out, and with other settings, nobody needs it.
    let spares = || world.names(".dagsync").iter().filter(|name| name.starts_with("spare-")).count();
    assert_eq!(spares(), 1);
    world.repo.commit(&[("a.py", "after a restart")]);
    let said = world.once(&["--stale-worktree-timeout=0s", "--verbose=1", "--log-format=json"]).stderr;
    assert!(said.contains("\"written\":1,"), "{said}");
    assert_eq!(spares(), 1);
    world.once(&["--stale-worktree-timeout=0s", "--group-write"]);
    assert_eq!(spares(), 0, "the one of the old settings is given up");
    // Its first tree is built beside that of the same commit, from where none is kept.
    for content in ["other settings", "and again"] {
        world.repo.commit(&[("a.py", content)]);
        world.once(&["--stale-worktree-timeout=0s", "--group-write"]);
    }
    assert_eq!(spares(), 1, "of the new settings");
    world.once(&[]);
    assert_eq!(spares(), 0);
    world.nothing_is_left_over();
}
