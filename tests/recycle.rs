//! Trees built from spares, one after the other, against git's own checkout of the same commits.

mod recycled;
mod seen;
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use recycled::World;
use seen::{Dice, Seen, checkout, compare, git_finds_nothing, look, mutate, without_times};

#[test]
fn trees_from_spares_equal_a_checkout_and_keep_the_times_of_what_is_the_same() {
    const NAMES: &[&str] = &["a.py", "b", "dags", "ü.py", "x y", "lib", "c.txt", "empty"];
    let mut dice = Dice::new();
    let mut world = World::new();
    world.repo.commit(&[("dags/a.py", "1"), ("lib/b.py", "2")]);
    let mut before = Seen::new();
    for step in 0..60 {
        let commit = mutate(&world.repo, &mut dice.rng, NAMES, str::to_owned);
        if step % 7 == 3
            && let Some(spare) = &world.spare
        {
            // Readers leave things behind, and somebody edits.
            fs::create_dir_all(spare.join("__pycache__/deep")).unwrap();
            fs::write(spare.join("__pycache__/deep/x.pyc"), "x").unwrap();
            if let Some(entry) =
                fs::read_dir(spare).unwrap().flatten().find(|e| e.path().is_file() && e.file_name() != ".git")
            {
                fs::write(entry.path(), "tampered").unwrap();
            }
        }
        world.publish(&commit);
        let after = look(world.tree());
        let theirs = checkout(&world.repo, &commit, &world.dir.path().join("checkout"));
        assert_eq!(without_times(&after), without_times(&theirs), "step {step}");
        compare(&before, &after);
        git_finds_nothing(world.tree());
        before = after;
    }
}

#[test]
fn a_one_file_commit_writes_one_file() {
    let mut world = World::new();
    let files: Vec<(String, String)> =
        (0..500).map(|n| (format!("d{}/f{n}.py", n % 10), n.to_string())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let first = world.repo.commit(&files);
    assert_eq!(world.publish(&first).written, 500);
    let second = world.repo.commit(&[("d1/f1.py", "changed")]);
    assert_eq!(
        world.publish(&second).written,
        500,
        "no spare yet: a full build, with the times of what is the same"
    );
    let third = world.repo.commit(&[("d2/f2.py", "changed")]);
    assert_eq!(world.publish(&third).written, 2, "its own change, and the one that the spare had missed");
}

/// A folder with something in it that we cannot remove, until it is dropped: what another uid leaves behind.
struct Stubborn(PathBuf);

impl Stubborn {
    fn new(folder: PathBuf) -> Stubborn {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        if rustix::process::geteuid().is_root() {
            // Nothing but the file system stops root.
            let done =
                std::process::Command::new("chattr").arg("+i").arg(&folder).status().expect("chattr starts");
            assert!(done.success(), "the temporary folder is on a file system with attributes");
        } else {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
        }
        Stubborn(folder)
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt as _;
        if rustix::process::geteuid().is_root() {
            let _ = std::process::Command::new("chattr").arg("-i").arg(&self.0).status();
        } else {
            let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
        }
    }
}

#[test]
fn a_python_cache_that_cannot_be_removed_does_not_cost_the_spare() {
    let mut world = World::new();
    let first = world.repo.commit(&[("dags/a.py", "1"), ("dags/b.py", "1")]);
    world.publish(&first);
    let stubborn = Stubborn::new(world.tree().join("dags/__pycache__"));
    let second = world.repo.commit(&[("dags/a.py", "2")]);
    world.publish(&second);
    let third = world.repo.commit(&[("dags/b.py", "2")]);
    assert_eq!(world.publish(&third).written, 2);
    let at = world.tree().join("dags/__pycache__");
    let _moved = Stubborn(at);
    std::mem::forget(stubborn);
    assert_eq!(fs::read_to_string(world.tree().join("dags/a.py")).unwrap(), "2");
}

#[test]
fn anything_else_that_cannot_be_removed_means_a_full_build_beside_it() {
    let mut world = World::new();
    let first = world.repo.commit(&[("dags/a.py", "1"), ("dags/b.py", "1")]);
    world.publish(&first);
    let stubborn = Stubborn::new(world.tree().join("dags/precious"));
    let second = world.repo.commit(&[("dags/a.py", "2")]);
    world.publish(&second);
    let third = world.repo.commit(&[("dags/b.py", "2")]);
    assert_eq!(world.publish(&third).written, 2, "all of it");
    assert!(!world.tree().join("dags/precious").exists());
    assert_eq!(fs::read_to_string(world.tree().join("dags/a.py")).unwrap(), "2");
    let trash = fs::read_dir(world.dir.path().join("root/.worktrees")).unwrap().flatten();
    let gone = trash.map(|entry| entry.path()).find(|path| path.join("dags/precious").exists());
    let _moved = Stubborn(gone.expect("it is out of the way").join("dags/precious"));
    std::mem::forget(stubborn);
}

#[test]
fn rules_that_change_bytes_make_every_file_new() {
    let mut world = World::new();
    let first = world.repo.commit(&[("a.txt", "1\n"), ("b.txt", "1\n")]);
    world.publish(&first);
    let second = world.repo.commit(&[("b.txt", "2\n")]);
    world.publish(&second);
    let before = look(world.tree());
    let third = world.repo.commit(&[(".gitattributes", "*.txt eol=crlf\n")]);
    world.publish(&third);
    let after = look(world.tree());
    for name in ["a.txt", "b.txt"] {
        let (was, is) = (&before[Path::new(name)], &after[Path::new(name)]);
        assert!(
            is.1.ends_with(b"\r\n") && is.2.0 > was.2.0,
            "{name}: the same blob, other bytes, a later time"
        );
    }
    git_finds_nothing(world.tree());
}

#[test]
fn a_change_deep_inside_leaves_the_time_of_the_top_folder() {
    let mut world = World::new();
    let mut times = Vec::new();
    for n in 0..4 {
        let commit = world.repo.commit(&[("top.py", "1"), ("dags/a.py", &n.to_string())]);
        world.publish(&commit);
        times.push(look(world.tree())[Path::new("")].2);
    }
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
}

/// What a clock leaves that was set back: the folder that readers have seen is from the future.
#[test]
fn a_new_listing_is_later_for_python_even_when_the_clock_was_set_back() {
    let mut world = World::new();
    let first = world.repo.commit(&[("dags/a.py", "1")]);
    world.publish(&first);
    let ahead = std::time::SystemTime::now() + Duration::from_secs(3600);
    fs::File::open(world.tree().join("dags")).unwrap().set_modified(ahead).unwrap();
    let before = look(world.tree());
    let second = world.repo.commit(&[("dags/new.py", "1")]);
    world.publish(&second);
    compare(&before, &look(world.tree()));
}

/// Three trees of two folders: the third is to be built from the first.
fn two_trees(world: &mut World) -> PathBuf {
    for n in 0..2 {
        let files = [("dags/sub/a.py", "a"), ("dags/b.py", "b"), ("c.py", ["1", "2"][n])];
        let commit = world.repo.commit(&files);
        world.publish(&commit);
    }
    world.spare.clone().unwrap()
}

fn publish_and_compare(world: &mut World, change: &str) {
    let commit = world.repo.commit(&[("c.py", change)]);
    world.publish(&commit);
    let content = |path: &str| fs::read_to_string(world.tree().join(path)).unwrap();
    assert_eq!(content("dags/sub/a.py"), "a");
    assert_eq!(content("dags/b.py"), "b");
    assert_eq!(content("c.py"), change);
    let meta = fs::symlink_metadata(world.tree().join("dags")).unwrap();
    assert!(meta.is_dir(), "a folder of our own");
}

#[test]
fn a_file_that_was_changed_behind_its_mtime_is_written_again() {
    let mut world = World::new();
    let spare = two_trees(&mut world);
    let path = spare.join("dags/b.py");
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "B").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    fs::set_permissions(spare.join("dags/sub/a.py"), PermissionsExt::from_mode(0o000)).unwrap();
    publish_and_compare(&mut world, "3");
    assert_eq!(fs::metadata(world.tree().join("dags/sub/a.py")).unwrap().mode() & 0o444, 0o444);
}

#[test]
fn a_folder_that_became_a_link_is_not_taken_for_what_is_behind_the_link() {
    let mut world = World::new();
    let spare = two_trees(&mut world);
    let elsewhere = world.dir.path().join("elsewhere");
    fs::rename(spare.join("dags"), &elsewhere).unwrap();
    fs::write(elsewhere.join("sub/of-somebody"), "precious").unwrap();
    std::os::unix::fs::symlink(&elsewhere, spare.join("dags")).unwrap();
    publish_and_compare(&mut world, "3");
    assert_eq!(fs::read_to_string(elsewhere.join("sub/of-somebody")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(elsewhere.join("sub/a.py")).unwrap(), "a");
}

/// Makes everything below removable again, also when a test fails.
struct Undo(PathBuf);

impl Drop for Undo {
    fn drop(&mut self) {
        drop(Command::new("chattr").args(["-R", "-f", "-i"]).arg(&self.0).output());
    }
}

#[test]
fn a_spare_that_cannot_be_changed_costs_a_full_build_and_not_the_pass() {
    let mut world = World::new();
    let spare = two_trees(&mut world);
    let _undo = Undo(world.dir.path().to_owned());
    // What another uid, or a folder without rights, is to us; root needs a file that even root cannot remove.
    let left = spare.join("reports");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("a.txt"), "x").unwrap();
    drop(Command::new("chattr").arg("+i").arg(left.join("a.txt")).output());
    fs::set_permissions(&left, PermissionsExt::from_mode(0o500)).unwrap();
    publish_and_compare(&mut world, "3");
    assert!(!world.tree().join("reports").exists());
}

#[test]
fn a_git_file_that_became_a_link_is_replaced_and_not_written_through() {
    let mut world = World::new();
    let spare = two_trees(&mut world);
    let elsewhere = world.dir.path().join("elsewhere");
    fs::rename(spare.join(".git"), &elsewhere).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, spare.join(".git")).unwrap();
    publish_and_compare(&mut world, "3");
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
    assert!(fs::symlink_metadata(world.tree().join(".git")).unwrap().is_file());
}
