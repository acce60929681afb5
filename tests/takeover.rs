//! Roots that git-sync 3 and 4 left, taken over in place, with readers on them.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use dagsync::git::Store;
use gix::ObjectId;
use support::Repo;
use support::repo::git;
use synced::{Synced, git_in, names, ok, succeeds};

/// What git-sync 4 does: `git init`, a shallow fetch, `git worktree add`, a relative link.
fn git_sync_4(world: &Synced, commit: &str) -> PathBuf {
    let root = &world.root;
    fs::create_dir_all(root).unwrap();
    ok(git().args(["init", "-q", "-b", "git-sync", "--"]).arg(root));
    let from = format!("file://{}", world.repo.work().display());
    git_in(root, &["fetch", "-q", &from, commit, "--depth", "1", "--no-auto-gc"]);
    git_in(root, &["worktree", "prune"]);
    let tree = root.join(".worktrees").join(commit);
    git_in(
        root,
        &["worktree", "add", "-q", "--force", "--detach", tree.to_str().unwrap(), commit, "--no-checkout"],
    );
    fs::write(tree.join(".git"), format!("gitdir: ../../.git/worktrees/{commit}\n")).unwrap();
    git_in(&tree, &["reset", "-q", "--hard", commit, "--"]);
    symlink(format!(".worktrees/{commit}"), root.join("repo")).unwrap();
    tree
}

/// What git-sync 3 does: a clone, a work tree beside the link.
fn git_sync_3(world: &Synced, commit: &str, prefix: &str) -> PathBuf {
    let root = &world.root;
    ok(git()
        .args(["clone", "-q", "--no-checkout", "-b", "main", "--depth", "1", "--"])
        .arg(format!("file://{}", world.repo.work().display()))
        .arg(root));
    let name = format!("{prefix}{commit}");
    let tree = root.join(&name);
    git_in(
        root,
        &["worktree", "add", "-q", "--detach", tree.to_str().unwrap(), "origin/main", "--no-checkout"],
    );
    fs::write(tree.join(".git"), format!("gitdir: ../.git/worktrees/{name}\n")).unwrap();
    git_in(&tree, &["reset", "-q", "--hard", commit]);
    symlink(&name, root.join("repo")).unwrap();
    tree
}

/// Inodes and times of everything in a tree.
fn identity(tree: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut found = Vec::new();
    let mut queue = vec![tree.to_owned()];
    while let Some(path) = queue.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            queue.extend(names(&path).iter().map(|name| path.join(name)));
        }
        found.push((path, meta.ino(), meta.ctime(), meta.ctime_nsec()));
    }
    found.sort();
    found
}

#[test]
fn upgrade_from_git_sync_root_layout() {
    for version in ["4", "3", "3-rev"] {
        let world = Synced::new();
        let commit = world.repo.head();
        let tree = match version {
            "4" => git_sync_4(&world, &commit),
            "3" => git_sync_3(&world, &commit, ""),
            _ => git_sync_3(&world, &commit, "rev-"),
        };
        let (link, before) = (fs::symlink_metadata(world.link()).unwrap().ino(), identity(&tree));
        // At the same commit: nothing to do, and nothing is done.
        let text = world.once(&[]).stderr;
        assert!(text.contains("already published"), "{version}: {text}");
        assert_eq!(fs::symlink_metadata(world.link()).unwrap().ino(), link, "{version}");
        assert_eq!(identity(&tree), before, "{version}");
        // And on from there.
        let next = world.repo.commit(&[("a.py", "next")]);
        world.once(&["--stale-worktree-timeout=0s"]);
        world.shows(&next);
        assert_eq!(fs::read_link(world.link()).unwrap(), Path::new(".worktrees").join(&next));
        assert!(!tree.exists(), "{version}: the old tree went");
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
        assert_eq!(world.git_in_tree(&["rev-parse", "HEAD"]), next);
        world.git_in_tree(&["fsck", "--no-dangling"]);
        world.nothing_is_left_over();
    }
}

#[test]
fn an_older_root_with_every_leftover_of_a_crash_is_taken_over() {
    for version in ["4", "3"] {
        let world = Synced::new();
        let old = world.repo.head();
        let tree = if version == "4" { git_sync_4(&world, &old) } else { git_sync_3(&world, &old, "rev-") };
        let next = world.repo.commit(&[("dags/new.py", "new")]);
        let name = tree.file_name().unwrap().to_str().unwrap().to_owned();
        let git_dir = world.root.join(".git");
        for lock in ["index.lock", "shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock"] {
            fs::write(git_dir.join(lock), "").unwrap();
        }
        fs::write(git_dir.join("worktrees").join(name).join("index.lock"), "").unwrap();
        fs::write(git_dir.join("objects/pack/tmp_pack_AbCdEf"), "half").unwrap();
        symlink(format!(".worktrees/{next}"), world.root.join("tmp-link")).unwrap();
        fs::create_dir_all(world.root.join(".worktrees").join(&next)).unwrap();
        fs::write(world.root.join(".worktrees").join(&next).join("half.py"), "half").unwrap();
        world.once(&["--stale-worktree-timeout=0s"]);
        world.shows(&next);
        world.nothing_is_left_over();
        world.git_in_tree(&["fsck", "--no-dangling"]);
    }
}

/// Runs `work` while readers look through the link all the time; whatever they see is one of `allowed`.
fn no_gap(link: &Path, file: &str, allowed: &[&str], work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let text = fs::read_to_string(link.join(file)).expect("no gap for readers");
                assert!(allowed.contains(&text.as_str()), "{text:?}");
                looks += 1;
            }
            looks
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        ran.unwrap();
    });
}

#[test]
fn another_repository_and_another_ref_come_without_a_gap() {
    let world = Synced::empty();
    let first = world.repo.commit(&[("rev", "first")]);
    let other = Repo::new(world.path("other"));
    let theirs = other.commit(&[("rev", "other")]);
    git_sync_4(&world, &first);
    no_gap(&world.link(), "rev", &["first", "other", "release"], || {
        succeeds(&world.launch_from(other.work()).args(["--one-time"]));
        assert_eq!(world.published(), Some(theirs));
        world.repo.switch("release");
        let release = world.repo.commit(&[("rev", "release")]);
        succeeds(&world.launch().args(["--one-time", "--ref=release"]));
        assert_eq!(world.published(), Some(release));
        succeeds(&world.launch().args(["--one-time", "--ref=main"]));
        assert_eq!(world.published(), Some(first));
    });
    world.nothing_is_left_over();
}

#[test]
fn changed_settings_build_the_tree_again_aside() {
    let world = Synced::empty();
    let head =
        world.repo.commit(&[("rev", "only"), ("text.txt", "a\nb\n"), (".gitattributes", "* text=auto\n")]);
    world.once(&[]);
    let first = fs::canonicalize(world.link()).unwrap();
    no_gap(&world.link(), "rev", &["only"], || {
        world.once(&["--group-write"]);
        let target = fs::read_link(world.link()).unwrap();
        assert_eq!(target, Path::new(".worktrees/again-1").join(&head));
        assert_eq!(fs::metadata(world.link().join("rev")).unwrap().mode() & 0o020, 0o020);
        assert_eq!(fs::metadata(first.join("rev")).unwrap().mode() & 0o020, 0, "the old one is not touched");
        world.once(&["--group-write", "--git-config=core.autocrlf:true"]);
        assert_eq!(fs::read(world.link().join("text.txt")).unwrap(), b"a\r\nb\r\n");
        world.once(&[]);
    });
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    world.nothing_is_left_over();
    // Noop from here.
    let inode = fs::symlink_metadata(world.link()).unwrap().ino();
    world.once(&[]);
    assert_eq!(fs::symlink_metadata(world.link()).unwrap().ino(), inode);
}

#[test]
fn a_clone_of_somebody_keeps_what_only_it_has() {
    let world = Synced::new();
    ok(git().args(["clone", "-q", "--"]).arg(world.repo.work()).arg(&world.root));
    fs::write(world.root.join("local.txt"), "mine").unwrap();
    git_in(&world.root, &["add", "."]);
    git_in(&world.root, &["commit", "-qm", "never pushed"]);
    let mine = git_in(&world.root, &["rev-parse", "HEAD"]);
    world.once(&[]);
    world.shows(&world.repo.head());
    assert_eq!(git_in(&world.root, &["rev-parse", "main"]), mine);
    assert_eq!(git_in(&world.root, &["cat-file", "-p", "main:local.txt"]), "mine");
    assert_eq!(fs::read(world.root.join("local.txt")).unwrap(), b"mine");
}

/// A shallow clone of somebody in the place of the root, with a branch of theirs.
fn shallow_clone(world: &Synced) -> PathBuf {
    world.repo.commit(&[("b.py", "history\n")]);
    let from = format!("file://{}", world.repo.work().display());
    ok(git().args(["clone", "-q", "--depth=1", "--", &from]).arg(&world.root));
    git_in(&world.root, &["branch", "theirs"]);
    world.root.join(".git")
}

/// Nothing of it went, and it is not taken to be of our making.
#[track_caller]
fn is_still_theirs(git_dir: &Path, shallow: &str) {
    assert!(!git_dir.join("dagsync").exists());
    assert!(git_dir.join("refs/heads/theirs").exists() && git_dir.join("logs").exists());
    assert_eq!(fs::read_to_string(git_dir.join("shallow")).unwrap(), shallow);
    assert!(!git_dir.join("shallow.aside").exists() && !git_dir.join("objects.aside").exists());
}

#[test]
fn a_shallow_list_alone_aside_does_not_make_somebodys_repository_ours() {
    let world = Synced::new();
    let git_dir = shallow_clone(&world);
    let store = Store::open(&git_dir, false).unwrap();
    let shallow = fs::read_to_string(git_dir.join("shallow")).unwrap();
    let live = ObjectId::from_hex(world.repo.head().as_bytes()).unwrap();
    // The objects could not follow their list, nor could it come back.
    fs::rename(git_dir.join("shallow"), git_dir.join("shallow.aside")).unwrap();
    store.tidy(Some(live)).unwrap();
    is_still_theirs(&git_dir, &shallow);
    // Nor is the list lost when they are set aside after all.
    fs::rename(git_dir.join("shallow"), git_dir.join("shallow.aside")).unwrap();
    store.set_aside().unwrap();
    store.restore().unwrap();
    is_still_theirs(&git_dir, &shallow);
}

#[test]
#[cfg(debug_assertions)]
fn objects_that_cannot_be_set_aside_stay_in_use_with_their_shallow_list() {
    let world = Synced::new();
    let git_dir = shallow_clone(&world);
    // For its check a first start fetches all of a history this short, and then there is no list.
    world.once(&["--depth=1", "--check=off"]);
    let shallow = fs::read_to_string(git_dir.join("shallow")).unwrap();
    for name in names(&git_dir.join("objects/pack")).iter().filter(|name| name.ends_with(".pack")) {
        let path = git_dir.join("objects/pack").join(name);
        let mut content = fs::read(&path).unwrap();
        content.iter_mut().skip(12).for_each(|byte| *byte ^= 0x5a);
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
    }
    let next = world.repo.commit(&[("a.py", "next\n")]);
    let fault = "error:EIO:store.aside.objects:1";
    let failing =
        world.launch().args(["--one-time", "--depth=1", "--max-failures=0"]).env("DAGSYNC_TEST_FAULT", fault);
    let text = synced::fails(&failing);
    assert!(text.contains("the object store is damaged"), "{text}");
    assert_ne!(world.published(), Some(next.clone()));
    assert_eq!(
        fs::read_to_string(git_dir.join("shallow")).ok().map(|now| now.contains(shallow.trim())),
        Some(true)
    );
    assert!(!git_dir.join("shallow.aside").exists() && !git_dir.join("dagsync").exists());
    assert!(git_dir.join("refs/heads/theirs").exists());
    world.once(&["--depth=1"]);
    world.shows(&next);
}

#[test]
fn what_somebody_has_in_the_pack_folder_of_their_clone_stays_there() {
    let world = Synced::new();
    let git_dir = shallow_clone(&world);
    let folder = git_dir.join("objects/pack");
    let pack = names(&folder).into_iter().find(|name| name.ends_with(".pack")).expect("a pack");
    let theirs = [
        folder.join(&pack).with_extension("keep"),
        folder.join("pack-1111111111111111111111111111111111111111.pack"),
        folder.join("pack-2222222222222222222222222222222222222222.idx"),
        git_dir.join("tmp_notes"),
        git_dir.join(".tmp-backup"),
    ];
    let of_the_dead = [folder.join("tmp_pack_0"), folder.join("tmp_idx_0"), git_dir.join("shallow.lock")];
    theirs.iter().chain(&of_the_dead).for_each(|path| fs::write(path, "x").unwrap());
    world.once(&[]);
    world.once(&[]);
    assert!(!git_dir.join("dagsync").exists());
    let gone: Vec<_> = theirs.iter().filter(|path| !path.exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let still: Vec<_> = of_the_dead.iter().filter(|path| path.exists()).collect();
    assert!(still.is_empty(), "{still:?}");
}
