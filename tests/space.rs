//! A volume that is too small is told before anything is written, and what is published stays.

mod support;
mod synced;
mod volume;

use std::fs;

use synced::{Synced, files, names};
use volume::{Volume, fast_folder};

/// A root on a volume of its own, after one commit was published there.
fn world(options: &str) -> Option<(Synced, Volume, tempfile::TempDir)> {
    let folder = fast_folder();
    let volume = Volume::in_memory(&folder.path().join("volume"), options)?;
    let mut world = Synced::new();
    // Large files go into packs at once: a loose one would be unpacked on the small volume first.
    world.repo.git(&["config", "core.bigFileThreshold", "1m"]);
    world.root = volume.path().join("root");
    world.once(&[]);
    Some((world, volume, folder))
}

/// Files that take next to nothing in a pack.
fn add_empty_pages(world: &Synced, name: &str, mebibytes: usize) -> String {
    world.repo.write(name, vec![0; mebibytes << 20]);
    world.repo.commit_all(name)
}

#[test]
fn a_tree_that_is_too_large_is_refused_before_anything_is_written() {
    let Some((world, _volume, _folder)) = world("size=8m") else { return };
    add_empty_pages(&world, "large.bin", 12);
    let before = names(&world.root.join(".worktrees"));
    let said = world.fails(&[]);
    assert!(said.contains("the tree needs 12."), "{said}");
    assert!(said.contains(" MiB and ") && said.contains("; there are "), "{said}");
    assert!(said.contains("hint: free some space"), "{said}");
    assert_eq!(names(&world.root.join(".worktrees")), before);
    world.nothing_is_left_over();
    world.repo.remove("large.bin");
    let small = add_empty_pages(&world, "small.bin", 2);
    world.once(&[]);
    world.shows(&small);
}

#[test]
fn inodes_count_too() {
    let Some((world, _volume, _folder)) = world("size=64m,nr_inodes=300") else { return };
    for at in 0..400 {
        world.repo.write(&format!("d{}/f{at}", at % 9), "x");
    }
    world.repo.commit_all("many");
    let said = world.fails(&[]);
    assert!(said.contains(" and 4") && said.contains(" inodes on `"), "{said}");
    world.nothing_is_left_over();
}

#[test]
fn a_spare_is_given_up_for_the_room_that_it_takes() {
    let Some((world, _volume, _folder)) = world("size=24m") else { return };
    let agent = world.launch().args(["--max-failures=-1", "--verbose=1", "--log-format=json"]).start();
    // Two trees of 7 MiB, and no room for a third file of that size beside them.
    for (name, mebibytes) in [("a.bin", 7), ("b.bin", 1)] {
        let commit = add_empty_pages(&world, name, mebibytes);
        agent.wait_published(&world.root, "repo", &commit);
    }
    world.repo.write("a.bin", vec![1; 11 << 20]);
    let commit = world.repo.commit_all("another a");
    agent.wait_published(&world.root, "repo", &commit);
    agent.wait_until("the word about it", || agent.stderr().contains("the spare tree is given up"));
    world.shows(&commit);
    // What does not even fit beside readers' tree alone is refused, and they keep it.
    let seen = files(&world.link());
    world.repo.write("a.bin", vec![2; 13 << 20]);
    world.repo.commit_all("too much");
    agent.wait_until("the refusal", || agent.stderr().contains("the tree needs 1"));
    assert_eq!(files(&world.link()), seen);
    assert!(fs::read_link(world.link()).is_ok_and(|target| target.ends_with(&commit)));
}
