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
