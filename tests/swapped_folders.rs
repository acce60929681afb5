//! Somebody who may write in a spare puts a link in a folder's place while the next tree is made of it: whatever the moment,
//! nothing outside of the tree changes.

mod recycled;
mod seen;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use dagsync::tree::plan::{Mtime, Plan, Work};
use dagsync::tree::write::{Apply, Error, remove_extras};
use dagsync::tree::{Limits, Listing, Policy, walk};
use gix::ObjectId;
use recycled::World;
use rustix::fs::{RenameFlags, renameat_with};
use seen::{checkout, git_finds_nothing, look, without_times};

const FILES: usize = 200;

/// A folder that a link is to lead to: with everything that a tree's folder has, and that could be written, removed or touched.
fn outside(dir: &Path) -> PathBuf {
    let outside = dir.join("outside");
    for folder in ["sub/empty", "empty", "__pycache__", "sub/extra"] {
        fs::create_dir_all(outside.join(folder)).unwrap();
    }
    for number in 0..FILES {
        fs::write(outside.join(format!("f{number}.py")), "precious").unwrap();
        fs::write(outside.join(format!("sub/f{number}.py")), "precious").unwrap();
    }
    for file in ["__pycache__/x.pyc", "sub/extra/x", "link"] {
        fs::write(outside.join(file), "precious").unwrap();
    }
    outside
}

/// Puts a link in the place of `dags` in a folder, and the folder back, again and again, wherever that folder is moved.
struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(tree: &Path, aside: &Path, target: &Path) -> Swapper {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (tree, aside_of) = (File::open(tree).unwrap(), File::open(aside).unwrap());
        symlink(target, aside.join("dags")).unwrap();
        let (end, count) = (stop.clone(), swaps.clone());
        let thread = std::thread::spawn(move || {
            let swap = || renameat_with(&tree, "dags", &aside_of, "dags", RenameFlags::EXCHANGE).is_ok();
            while !end.load(Ordering::Relaxed) {
                // Mostly the folder is there, so that it is taken for one.
                if swap() && swap() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                (0..fastrand::u32(..20_000)).for_each(|_| std::hint::spin_loop());
            }
        });
        Swapper { stop, swaps, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.swaps.load(Ordering::Relaxed)
    }
}

#[test]
fn whoever_swaps_a_folder_of_a_spare_for_a_link_leads_no_change_outside() {
    let mut world = World::new();
    let outside = outside(world.dir.path());
    let before = look(&outside);
    let content = |round: usize| -> Vec<(String, String)> {
        let file = |number: usize| {
            let sub = if number.is_multiple_of(2) { "sub/" } else { "" };
            (format!("dags/{sub}f{}.py", number + round % 3), format!("{round}"))
        };
        (0..FILES / 2).map(file).collect()
    };
    let (mut swaps, mut built) = (0, 0);
    for round in 0..12 {
        let files = content(round);
        for number in 0..3 {
            let _ = fs::remove_file(world.repo.work().join(format!("dags/f{number}.py")));
            let _ = fs::remove_file(world.repo.work().join(format!("dags/sub/f{number}.py")));
        }
        for (path, text) in &files {
            world.repo.write(path, text);
        }
        let commit = world.repo.commit_all("a round");
        let swapper = world.spare.as_ref().map(|spare| {
            for folder in ["dags/__pycache__", "dags/sub/extra"] {
                fs::create_dir_all(spare.join(folder)).unwrap();
                fs::write(spare.join(folder).join("x"), "x").unwrap();
            }
            let aside = world.dir.path().join(format!("aside{round}"));
            fs::create_dir(&aside).unwrap();
            Swapper::start(spare, &aside, &outside)
        });
        let was_swapped = swapper.is_some();
        let done = world.try_publish(&commit);
        swaps += swapper.map_or(0, Swapper::end);
        assert_eq!(look(&outside), before, "round {round}: {done:?}");
        match done {
            Ok(_) => built += usize::from(was_swapped),
            Err(err) => assert!(matches!(err, Error::Disk(_)), "{err}"),
        }
    }
    assert!(swaps > 0 && built > 0, "{swaps} swaps, {built} trees");
    // Nobody swaps any more.
    world.spare = None;
    let commit = world.repo.commit(&[("dags/f0.py", "the end")]);
    world.publish(&commit);
    let theirs = checkout(&world.repo, &commit, &world.dir.path().join("checkout"));
    assert_eq!(without_times(&look(world.tree())), without_times(&theirs));
    git_finds_nothing(world.tree());
}

/// What a plan may ask of a folder, one thing at a time; the files of the listing are `dags/f0.py` and `dags/link`.
fn plans(listing: &Listing) -> Vec<(&'static str, Plan)> {
    let mtime = Mtime { seconds: 1_000, nanos: 0 };
    let work = |path: &str| {
        let entry = listing.entries().position(|entry| entry.path == path).unwrap();
        Work { entry, mtime, same: false }
    };
    let none = Plan::default;
    vec![
        ("remove", Plan { remove: vec!["dags/f1.py".into()], ..none() }),
        ("remove_folders", Plan { remove_folders: vec!["dags/empty".into()], ..none() }),
        ("make_folders", Plan { make_folders: vec!["dags/new".into()], ..none() }),
        ("write over", Plan { write: vec![work("dags/f0.py")], ..none() }),
        ("write anew", Plan { write: vec![work("dags/new.py")], ..none() }),
        ("link over", Plan { write: vec![work("dags/link")], ..none() }),
        ("retime", Plan { retime: vec![work("dags/f0.py")], ..none() }),
        ("folder", Plan { folders: vec![("dags/sub".into(), mtime)], ..none() }),
    ]
}

#[test]
fn a_link_that_appears_after_the_look_leads_no_change_outside() {
    let world = World::new();
    world.repo.write("dags/f0.py", "new").write("dags/new.py", "new").symlink("dags/link", "f0.py");
    let commit = world.repo.commit_all("three");
    let store = dagsync::git::Store::open(world.repo.git_dir(), false).unwrap();
    let objects = store.objects().unwrap();
    let (_, root) =
        store.peel_to_commit(&objects, &ObjectId::from_hex(commit.as_bytes()).unwrap(), "").unwrap();
    let interrupt = AtomicBool::new(false);
    let listing = walk(&objects, &root, &Limits::default(), &Policy::default(), &interrupt).unwrap();
    for group_write in [false, true] {
        for (what, plan) in plans(&listing) {
            let dir = support::temp();
            let target = outside(dir.path());
            let apply = Apply {
                listing: &listing,
                plan: &plan,
                from: None,
                set_times: true,
                group_write,
                deadline: &world.deadline,
            };
            let tree = dir.path().join("tree");
            fs::create_dir(&tree).unwrap();
            symlink(&target, tree.join("dags")).unwrap();
            let before = look(&target);
            let done = apply.run(&objects, None, &tree);
            // What is behind something that is no folder is not there, and need not be removed.
            assert!(done.is_err() || what.starts_with("remove"), "{what}: {done:?}");
            assert_eq!(look(&target), before, "{what}");
            // A folder of its own is changed, or this shows nothing.
            fs::remove_file(tree.join("dags")).unwrap();
            fs::rename(&target, tree.join("dags")).unwrap();
            apply.run(&objects, None, &tree).unwrap();
            assert_ne!(look(&tree.join("dags")), before, "{what}");
        }
    }
    let dir = support::temp();
    let target = outside(dir.path());
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(&target, tree.join("dags")).unwrap();
    let before = look(&target);
    for extra in ["dags/sub/extra", "dags/empty", "dags/f1.py", "dags/__pycache__"] {
        let _ = remove_extras(&tree, &[extra.into()]);
    }
    assert_eq!(look(&target), before);
    remove_extras(&tree, &["dags".into()]).unwrap();
    assert_eq!(look(&target), before, "the link itself goes");
    fs::rename(&target, tree.join("dags")).unwrap();
    remove_extras(&tree, &["dags".into()]).unwrap();
    assert!(!tree.join("dags").exists());
}
